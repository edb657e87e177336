//! What is due when: one timer entry a connection, re-armed when it fires or when something comes sooner.
//!
//! Token expiry runs on the wall clock and so in a table of its own; it is looked at with every input, and
//! the shell is asked to come back within a second while any token can expire.

use std::time::Duration;

use super::Hub;
use super::connection::{Busy, Connection, Exchange, Phase, Session, Step, Transport};
use super::publish::Answer;
use crate::protocol::{CloseCode, ConnId, PerLane, ServerMessage};
use crate::time::Instant;
use crate::wire::http::{Phase as ReadPhase, Response};
use crate::wire::ping_into;

/// The tick of connections' deadlines, in microseconds.
pub(super) const TICK_US: u64 = 50_000;
/// The tick of token expiry, in milliseconds.
pub(super) const EXPIRY_TICK_MS: u64 = 250;
/// Entries looked at in one timeout.
const FIRED_MAX: usize = 1_024;
/// Events of history that age evicts in one timeout.
const EXPIRED_MAX: usize = 4_096;
/// For how far ahead token expiry is armed, in milliseconds: what a connection that is gone leaves behind is
/// forgotten after that, however long its token is good.
const EXPIRY_AHEAD_MS: i64 = 300_000;
/// How often the wall clock is looked at while tokens can expire.
const WALL_CLOCK: Duration = Duration::from_millis(500);

/// What a connection's deadline means once it has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Heartbeat,
    Silence,
    Leave,
    Pace,
    Fragments,
    Unavailable,
    Handshake,
    Body,
    Idle,
    Response,
    Closed,
}

impl Hub {
    /// When [`Input::Timeout`](crate::Input::Timeout) is due, or none while nothing is.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let now = self.now.instant;
        if !self.work.is_empty() || self.sweep.is_some() {
            return Some(now);
        }
        let timers = self.timers.next().map(Instant::from_micros);
        let history = self.history.next_expiry();
        let expiry = self.expiries.next().map(|at| {
            let wait = i64::try_from(at).unwrap_or(i64::MAX).saturating_sub(self.now.unix.as_millis());
            let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
            now + wait.min(WALL_CLOCK)
        });
        let leaving = self.leaving.and_then(|leaving| leaving.deadline);
        [timers, history, expiry, leaving].into_iter().flatten().min()
    }

    /// Does what is due, a bounded piece of it.
    pub(super) fn on_timeout(&mut self) {
        self.go_on_searching();
        self.go_on_sweeping();
        let now = self.now.instant;
        for _ in 0..FIRED_MAX {
            let Some((tick, conn)) = self.timers.pop(now.as_micros()) else { break };
            self.fired(conn, tick);
        }
        self.history.expire(now, EXPIRED_MAX);
        self.check_leaving();
    }

    /// Closes the connections whose token has expired by the wall clock.
    pub(super) fn expire_tokens(&mut self) {
        let now = self.now.unix;
        for _ in 0..FIRED_MAX {
            let millis = u64::try_from(now.as_millis()).unwrap_or(0);
            let Some((tick, conn)) = self.expiries.pop(millis) else { return };
            let Some(session) = self.session_mut(conn) else { continue };
            if session.expiry_armed != tick {
                continue;
            }
            session.expiry_armed = u64::MAX;
            match session.identity.deadline() {
                Some(deadline) if deadline <= now => self.close(conn, CloseCode::TokenExpired),
                // The token was refreshed since, or is good for longer than was armed.
                _ => self.arm_expiry(conn),
            }
        }
    }

    /// Arms the end of a session's token, unless its entry comes due no later.
    pub(super) fn arm_expiry(&mut self, conn: ConnId) {
        let Some(session) = self.connections.get_mut(conn).and_then(Connection::session_mut) else { return };
        let Some(deadline) = session.identity.deadline() else { return };
        let ahead = self.now.unix.as_millis().saturating_add(EXPIRY_AHEAD_MS);
        let at = u64::try_from(deadline.as_millis().min(ahead)).unwrap_or(0);
        if self.expiries.tick_of(at) < session.expiry_armed {
            session.expiry_armed = self.expiries.arm(conn, at);
        }
    }

    /// Arms a connection's next deadline, unless its entry comes due no later. One that has passed is met at the
    /// next tick.
    pub(super) fn arm(&mut self, conn: ConnId) {
        let Some((at, _)) = self.next_due(conn) else { return };
        let at = at.max(self.now.instant);
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if self.timers.tick_of(at.as_micros()) < connection.armed {
            connection.armed = self.timers.arm(conn, at.as_micros());
        }
    }

    fn heartbeat_timeout(&self) -> Duration {
        Duration::from_millis(self.config.heartbeat.timeout_ms)
    }

    fn fired(&mut self, conn: ConnId, tick: u64) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if connection.armed != tick {
            return;
        }
        connection.armed = u64::MAX;
        // A connection has few deadlines, and each that has passed moves on or ends it.
        for _ in 0..4 {
            match self.next_due(conn) {
                Some((at, due)) if at <= self.now.instant => self.due(conn, due),
                _ => break,
            }
        }
        self.arm(conn);
    }

    fn next_due(&self, conn: ConnId) -> Option<(Instant, Due)> {
        let connection = self.connections.get(conn)?;
        match &connection.phase {
            Phase::Http(exchange) => Some(self.next_due_http(connection, exchange)),
            Phase::Live(session) => Some(self.next_due_live(connection, session)),
            Phase::Closing(closing) => Some((closing.deadline, Due::Closed)),
        }
    }

    fn next_due_http(&self, connection: &Connection, exchange: &Exchange) -> (Instant, Due) {
        let http = &self.config.http;
        let after = |millis: u64| exchange.since + Duration::from_millis(millis);
        if !connection.outbox.is_empty() {
            let from = exchange.since.max(connection.took);
            return (from + Duration::from_millis(http.response_ms), Due::Response);
        }
        match &exchange.step {
            Step::Body(_) => (after(http.body_ms), Due::Body),
            Step::Busy(..) => (after(http.response_ms), Due::Unavailable),
            Step::Respond => (after(http.response_ms), Due::Response),
            Step::Request if exchange.reader.phase() == ReadPhase::Head => {
                (after(http.head_ms.min(self.config.limits.handshake_ms)), Due::Handshake)
            }
            // Whoever has not said who it is gets no longer for its next request than for its first.
            Step::Request if exchange.counted.is_some() => {
                (after(http.idle_ms.min(self.config.limits.handshake_ms)), Due::Idle)
            }
            Step::Request => (after(http.idle_ms), Due::Idle),
        }
    }

    fn next_due_live(&self, connection: &Connection, session: &Session) -> (Instant, Due) {
        let now = self.now.instant;
        let timeout = self.heartbeat_timeout();
        let backlog = !connection.lanes.is_idle() || !connection.outbox.is_empty();
        let silent_at = connection.heard.max(connection.took) + timeout;
        let silence = match session.transport {
            // Whom the hub does not read from cannot be heard: only taking nothing of a backlog counts.
            Transport::WebSocket(_) => {
                (connection.behind.is_some() || !connection.paused).then_some(silent_at)
            }
            // The reader of a stream never sends: only one that takes nothing of a backlog is dead.
            Transport::Stream(_) => backlog.then_some(silent_at),
        };
        let fragments = match &session.transport {
            Transport::WebSocket(reader) => reader.fragmented_since(),
            Transport::Stream(_) => None,
        };
        let limit = Duration::from_millis(self.config.limits.fragment_ms);
        let wait = Duration::from_millis(self.config.http.response_ms);
        let waits = !connection.lanes.is_idle() && !connection.pending;
        let pace = connection.pace.as_ref().filter(|_| waits);
        let publish = session.busy.as_ref().filter(|busy| matches!(busy.1, Busy::Publish(..)));
        [
            silence.map(|at| (at, Due::Silence)),
            Some((session.next_heartbeat, Due::Heartbeat)),
            session.leave.map(|at| (at, Due::Leave)),
            pace.map(|pace| (pace.free(), Due::Pace)),
            fragments.map(|since| (since + limit, Due::Fragments)),
            publish.map(|busy| (busy.0 + wait, Due::Unavailable)),
        ]
        .into_iter()
        .flatten()
        // Of all that has passed the first in this list goes first: a heartbeat would be a backlog.
        .min_by_key(|(at, _)| now.max(*at))
        .expect("a session always has its heartbeat")
    }

    fn due(&mut self, conn: ConnId, due: Due) {
        match due {
            Due::Heartbeat => self.beat(conn),
            Due::Silence => self.close(conn, CloseCode::HeartbeatTimeout),
            Due::Leave => self.close(conn, CloseCode::Restart),
            Due::Pace => self.wake(conn),
            Due::Fragments => self.close(conn, CloseCode::TooBig),
            Due::Unavailable => self.give_up(conn),
            Due::Handshake | Due::Body => {
                self.stats.refuse("timeout");
                let response = Response::problem(408, "timeout", "the request took too long", &[]);
                self.answer_closing(conn, response);
            }
            Due::Idle | Due::Response | Due::Closed => self.drop_connection(conn),
        }
    }

    fn beat(&mut self, conn: ConnId) {
        let interval = Duration::from_millis(self.config.heartbeat.interval_ms);
        let now = self.now.instant;
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let Some(session) = connection.session_mut() else { return };
        while session.next_heartbeat <= now {
            session.next_heartbeat = session.next_heartbeat + interval;
        }
        let stream = session.is_stream();
        // A peer that takes nothing has its heartbeats waiting already; one that only asked for much has not.
        if connection.behind.is_some() && self.config.limits.unsent_bytes < connection.outbox.len() {
            return;
        }
        self.stats.heartbeats += 1;
        if stream {
            return self.stream_block(conn, None, None);
        }
        let lanes: PerLane<_> = self.lanes.position(connection.lanes, &self.history);
        connection.outbox.append(|out| ping_into(out, b""));
        self.send(conn, &ServerMessage::Heartbeat { lanes });
    }

    /// Answers for a log that has not.
    fn give_up(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let waiting = match &connection.phase {
            Phase::Live(session) => session.busy.as_ref().map(|busy| &busy.1),
            Phase::Http(exchange) => match &exchange.step {
                Step::Busy(_, busy) => Some(&**busy),
                _ => None,
            },
            Phase::Closing(_) => None,
        };
        match waiting {
            Some(Busy::Publish(publish, _)) => {
                let publish = *publish;
                let answer = self.abandon_publish(publish).unwrap_or(Answer::Unavailable(Vec::new()));
                self.published(conn, publish, answer);
            }
            _ => self.drop_connection(conn),
        }
    }
}
