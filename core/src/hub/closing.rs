//! How connections end: one by one, all of them when the instance leaves, and what is done with each of
//! many connections a piece at a time.

use std::time::Duration;

use super::Hub;
use super::connection::{Closing, Connection, Phase, Session, Transport};
use super::linger;
use crate::output::{Note, Output};
use crate::protocol::{CloseCode, ConnId, ServerMessage};
use crate::time::Instant;
use crate::wire::{Message, Reader, close_into};

/// Connections looked at in one step of a sweep.
const SWEEP_STEP: usize = 256;

/// A look at all connections, a piece at a time.
///
/// It closes those whose token the keys no longer vouch for, and while the instance leaves it tells the others
/// to reconnect elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    slot: usize,
}

/// The instance leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// When the next stage begins, whatever is left; none where there is none.
    pub(super) deadline: Option<Instant>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Clients are told to reconnect, and leave one by one.
    Telling,
    /// Whoever is left has been closed.
    Ending,
    /// The shell knows that nothing is left to wait for.
    Over,
}

impl Hub {
    /// Sends a Close frame, or ends a stream, and lets go of the session.
    pub(super) fn close(&mut self, conn: ConnId, code: CloseCode) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let Phase::Live(session) = &connection.phase else { return };
        match &session.transport {
            Transport::Stream(framing) => {
                let framing = *framing;
                connection.outbox.append(|out| framing.finish(out));
            }
            Transport::WebSocket(_) => connection.outbox.append(|out| close_with(out, code)),
        }
        self.stats.close(code);
        let (reader, unread) = self.end_session(conn, Some(code.as_u16()));
        self.begin_closing(conn, reader);
        self.receive_closing(conn, &unread);
    }

    /// The peer sent a Close frame: it is answered, and that is all.
    pub(super) fn peer_closed(&mut self, conn: ConnId, code: Option<u16>) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.outbox.append(|out| close_into(out, code.unwrap_or(1000), ""));
        self.stats.close(CloseCode::Normal);
        let (reader, _) = self.end_session(conn, code);
        self.begin_closing(conn, reader);
        if let Some(Connection { phase: Phase::Closing(closing), .. }) = self.connections.get_mut(conn) {
            closing.answered = true;
        }
        self.wake(conn);
    }

    /// Parsing for this connection panicked: its state cannot be trusted.
    pub(super) fn panicked(&mut self, conn: ConnId) {
        self.outputs.push_back(Output::Note(Note::Panicked));
        let Some(connection) = self.connections.get(conn) else { return };
        match connection.phase {
            Phase::Live(_) => self.close(conn, CloseCode::Internal),
            Phase::Http(_) => {
                let response =
                    crate::wire::http::Response::problem(500, "internal", "the request cannot be read", &[]);
                self.answer_closing(conn, response);
            }
            Phase::Closing(_) => self.drop_connection(conn),
        }
    }

    /// Lets go of what a session holds; the connection stays to say its last. Gives the reader of its
    /// WebSocket frames and what has arrived of them that is not read.
    fn end_session(&mut self, conn: ConnId, code: Option<u16>) -> (Option<Reader>, Vec<u8>) {
        let now = self.now.instant;
        // One by one while the session is still found: of two subscriptions to the same thing the second
        // moves in the index as the first leaves.
        while let Some(subscription) = self.session_mut(conn).and_then(|session| session.subscriptions.pop())
        {
            self.leave(&subscription);
        }
        let none = (None, Vec::new());
        let Some(connection) = self.connections.get_mut(conn) else { return none };
        let closing = Closing { deadline: linger(now), answered: false, reader: None };
        let lanes = &mut connection.lanes;
        // The rest of a frame begun is owed before the Close frame, so it joins what is final.
        let [rest, _] = self.lanes.slices(*lanes, crate::lanes::Staged::NOTHING);
        if !rest.is_empty() {
            let rest = rest.to_vec();
            connection.outbox.prepend(&rest);
        }
        self.lanes.release(lanes);
        let Some(Phase::Live(session)) = self.connections.enter(conn, Phase::Closing(closing)) else {
            return none;
        };
        self.sessions -= 1;
        let user = session.identity.user();
        if let Some(own) = self.users.get_mut(user) {
            own.retain(|other| *other != conn);
            if own.is_empty() {
                self.users.remove(user);
            }
        }
        let connection = self.names.write(conn).into();
        self.outputs.push_back(Output::Note(Note::Ended { connection, code }));
        match session.transport {
            Transport::WebSocket(reader) => (Some(reader), session.inbox),
            Transport::Stream(_) => none,
        }
    }

    /// Everything is said: what is unsent is sent, then the socket closes. A WebSocket's `reader` goes on to
    /// look for the peer's Close frame.
    pub(super) fn begin_closing(&mut self, conn: ConnId, reader: Option<Reader>) {
        self.authenticated(conn);
        let now = self.now.instant;
        let closing = Closing { deadline: linger(now), answered: false, reader };
        self.connections.enter(conn, Phase::Closing(closing));
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if std::mem::take(&mut connection.paused) {
            self.outputs.push_back(Output::Resume(conn));
        }
        self.wake(conn);
        self.arm(conn);
        self.go_on_closing(conn);
    }

    /// Goes on with a connection whose last bytes may have been taken.
    pub(super) fn go_on_closing(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if !connection.outbox.is_empty() {
            return;
        }
        match &connection.phase {
            // What was asked before the peer said its last is answered.
            Phase::Http(exchange) if connection.ended && !exchange.is_working() => self.drop_connection(conn),
            Phase::Closing(closing) if closing.answered || connection.ended => self.drop_connection(conn),
            Phase::Closing(_) if !connection.finished => {
                connection.finished = true;
                self.outputs.push_back(Output::Finish(conn));
            }
            _ => {}
        }
    }

    /// Looks in what a closing peer sends for its Close frame; all else is dropped unseen.
    pub(super) fn receive_closing(&mut self, conn: ConnId, bytes: &[u8]) {
        let (limits, now) = (self.websocket_limits(), self.now.instant);
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let Phase::Closing(Closing { answered, reader: Some(reader), .. }) = &mut connection.phase else {
            return;
        };
        if *answered {
            return;
        }
        let mut input = bytes;
        let found = super::guard(&mut self.stats, || {
            while let Ok(Some(message)) = reader.next(&limits, now, &mut input) {
                if matches!(message, Message::Close(_)) {
                    return true;
                }
            }
            false
        });
        *answered = found.unwrap_or(true);
        self.go_on_closing(conn);
    }

    /// Goes on in the middle of the frames of a connection that closed over one of them.
    pub(super) fn go_on_reading_closed(&mut self, conn: ConnId, reader: Reader, rest: &[u8]) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if let Phase::Closing(closing) = &mut connection.phase {
            closing.reader = Some(reader);
            self.receive_closing(conn, rest);
        }
    }

    /// The peer sends nothing more.
    pub(super) fn ended(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.ended = true;
        match &connection.phase {
            // Half-closed: what was asked is still answered, then there is nothing left to wait for.
            Phase::Http(exchange) if exchange.is_working() || !connection.outbox.is_empty() => {}
            Phase::Closing(_) => self.go_on_closing(conn),
            _ => self.drop_connection(conn),
        }
    }

    /// Closes the socket at once.
    pub(super) fn drop_connection(&mut self, conn: ConnId) {
        if self.connections.get(conn).is_some() {
            self.outputs.push_back(Output::Close(conn));
            self.forget(conn);
        }
    }

    /// Lets go of a connection whose socket is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.authenticated(conn);
        if self.session_mut(conn).is_some() {
            self.end_session(conn, None);
        }
        self.connections.remove(conn);
        self.check_leaving();
    }

    // Leaving

    /// Tells everyone to reconnect elsewhere, spread over time.
    pub(super) fn drain(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        let deadline = self.now.instant + Duration::from_millis(self.config.drain.deadline_ms);
        self.leaving = Some(Leaving { deadline: Some(deadline), stage: Stage::Telling });
        self.begin_sweep();
        self.check_leaving();
    }

    /// Closes everything at once, as politely as one frame allows.
    pub(super) fn stop(&mut self) {
        self.end_all(CloseCode::GoingAway);
    }

    fn end_all(&mut self, code: CloseCode) {
        self.leaving = Some(Leaving { deadline: Some(linger(self.now.instant)), stage: Stage::Ending });
        let all: Vec<ConnId> = self.connections.ids().collect();
        for conn in all {
            match self.connections.get(conn).map(|connection| &connection.phase) {
                Some(Phase::Live(_)) => self.close(conn, code),
                Some(Phase::Http(_)) => self.begin_closing(conn, None),
                Some(Phase::Closing(_)) | None => {}
            }
        }
        self.check_leaving();
    }

    /// Says once that nothing is left, or that the time is over.
    pub(super) fn check_leaving(&mut self) {
        let Some(leaving) = &mut self.leaving else { return };
        let late = leaving.deadline.is_some_and(|deadline| deadline <= self.now.instant);
        match leaving.stage {
            Stage::Over => {}
            Stage::Telling if late && 0 < self.connections.len() => self.end_all(CloseCode::Restart),
            Stage::Telling | Stage::Ending if late || self.connections.len() == 0 => {
                *leaving = Leaving { deadline: None, stage: Stage::Over };
                self.outputs.push_back(Output::Drained);
            }
            Stage::Telling | Stage::Ending => {}
        }
    }

    /// What a shell that must give the hub up can still send on a connection: the rest of a frame begun and
    /// a Close frame with 1011, so that no client takes it for the end of the network.
    #[must_use]
    pub fn last_words(&self, conn: ConnId) -> Vec<u8> {
        let mut words = Vec::new();
        let Some(connection) = self.connections.get(conn) else { return words };
        if connection.session().is_none_or(Session::is_stream) {
            return words;
        }
        let [rest, _] = self.lanes.slices(connection.lanes, crate::lanes::Staged::NOTHING);
        words.extend_from_slice(rest);
        words.extend_from_slice(connection.outbox.bytes());
        close_with(&mut words, CloseCode::Internal);
        words
    }

    /// Begins a look at all connections. One that goes on begins anew: what it does is done once.
    pub(super) fn begin_sweep(&mut self) {
        self.sweep = Some(Sweep { slot: 0 });
    }

    /// Looks at the next connections of a sweep.
    pub(super) fn go_on_sweeping(&mut self) {
        let Some(Sweep { slot }) = self.sweep else { return };
        let end = (slot + SWEEP_STEP).min(self.connections.slots());
        for slot in slot..end {
            if let Some(conn) = self.connections.at(slot).map(|connection| connection.id) {
                self.check_trust(conn);
                if self.leaving.is_some() {
                    self.tell_to_leave(conn);
                }
            }
        }
        self.sweep = (end < self.connections.slots()).then_some(Sweep { slot: end });
    }

    fn check_trust(&mut self, conn: ConnId) {
        let Some(session) = self.connections.get(conn).and_then(Connection::session) else { return };
        if !self.auth.still_trusted(&session.identity) {
            self.close(conn, CloseCode::Unauthorized);
        }
    }

    fn tell_to_leave(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get(conn) else { return };
        match &connection.phase {
            Phase::Http(exchange) if exchange.is_idle() && connection.outbox.is_empty() => {
                self.drop_connection(conn);
            }
            Phase::Http(_) | Phase::Closing(_) => {}
            Phase::Live(session) if session.leave.is_some() => {}
            Phase::Live(session) => {
                let stream = session.is_stream();
                let after = self.rng.below(self.config.drain.spread_ms + 1);
                let grace =
                    Duration::from_millis(self.config.drain.deadline_ms - self.config.drain.spread_ms) / 2;
                let leave = self.now.instant + Duration::from_millis(after) + grace;
                if !stream {
                    self.send(conn, &ServerMessage::Reconnect { after });
                }
                if let Some(session) = self.session_mut(conn) {
                    session.leave = Some(leave);
                }
                self.arm(conn);
            }
        }
    }
}

/// Appends a Close frame with the code and its reason.
pub(super) fn close_with(out: &mut Vec<u8>, code: CloseCode) {
    close_into(out, code.as_u16(), code.reason());
}
