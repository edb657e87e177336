//! The beginning of a user's connection: where its token is, who it is, and the first frame.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::Hub;
use super::answers::{Query, serves_users};
use super::closing::close_with;
use super::connection::{Connection, Phase, Rate, Session, Transport};
use super::delivery::write_position;
use super::pace::Pace;
use super::request::Asking;
use crate::auth::{Identity, TokenError};
use crate::output::{Note, Output};
use crate::protocol::{CloseCode, ConnId, Epoch, HeartbeatTimes, Offset, PerLane, ServerMessage};
use crate::time::UnixTime;
use crate::wire::http::{ReplyTo, RequestHead, Response, StreamFraming};
use crate::wire::{Reader, Role, Upgrade, text_into};

/// The subprotocol of this protocol.
const PROTOCOL: &str = "tidings.v1";
/// The subprotocol that carries a token: the rest of its name is the token.
const BEARER: &str = "tidings.bearer.";

impl Hub {
    /// Answers a request for a WebSocket that is well-formed.
    pub(super) fn upgrade(&mut self, conn: ConnId, head: &RequestHead) {
        let Ok(Some(upgrade)) = Upgrade::parse(head) else { return };
        let listener = self.connections.get(conn).map(|connection| connection.peer.listener);
        if !matches!(head.path(), "/" | "/ws") || !listener.is_some_and(serves_users) {
            let response = Response::problem(404, "not_found", "WebSocket is spoken at / and /ws", &[]);
            return self.answer_closing(conn, response);
        }
        if !self.loaded || self.leaving.is_some() {
            return self.overloaded(conn, "draining");
        }
        let pace = match Pace::read(&Query::new(head), self.now.instant) {
            Ok(pace) => pace,
            Err(response) => return self.answer_closing(conn, response),
        };
        let protocol = upgrade.protocols().contains(&PROTOCOL).then_some(PROTOCOL);
        let verified = self
            .find_token(head, upgrade.protocols())
            .map(Cow::into_owned)
            .and_then(|token| self.verify(&token));
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.outbox.append(|out| upgrade.accept(protocol, out));
        connection.pace = pace.map(Box::new);
        match verified {
            Ok(identity) => {
                let transport = Transport::WebSocket(Reader::new(Role::Server));
                self.begin_session(conn, identity, transport);
                self.welcome(conn);
            }
            Err(error) => {
                self.stats.refuse(error.reason());
                self.outputs.push_back(Output::Note(Note::Refused { reason: error.reason() }));
                self.stats.close(CloseCode::Unauthorized);
                if let Some(connection) = self.connections.get_mut(conn) {
                    connection.outbox.append(|out| close_with(out, CloseCode::Unauthorized));
                }
                self.begin_closing(conn, Some(Reader::new(Role::Server)));
            }
        }
    }

    /// The token of a request, from the first place that has one.
    pub(super) fn find_token<'a>(
        &self,
        head: &'a RequestHead,
        protocols: &[&'a str],
    ) -> Result<Cow<'a, str>, TokenError> {
        if let Some(token) = super::request::bearer(head)? {
            return Ok(Cow::Borrowed(token));
        }
        let offered = protocols.contains(&PROTOCOL);
        if let Some(token) = protocols.iter().find_map(|name| name.strip_prefix(BEARER)).filter(|_| offered) {
            return Ok(Cow::Borrowed(token));
        }
        if let Some(token) = self.auth.cookie().and_then(|name| cookie(head, name)) {
            // Browsers send cookies along for any page: only an origin that was checked may use one.
            return match head.headers().get("origin") {
                Some(_) => Ok(Cow::Borrowed(token)),
                None => Err(TokenError::Missing),
            };
        }
        if self.auth.query_token()
            && let Some(token) = Query::new(head).get("token")
        {
            return Ok(Cow::Owned(token.to_owned()));
        }
        Err(TokenError::Missing)
    }

    pub(super) fn begin_session(&mut self, conn: ConnId, identity: Arc<Identity>, transport: Transport) {
        self.authenticated(conn);
        self.make_room(identity.user());
        let now = self.now.instant;
        let interval = self.config.heartbeat.interval_ms * 1000;
        // The first heartbeat comes at a random point of the interval, so that a thousand connections that
        // began together do not beat together.
        let first = Duration::from_micros(self.rng.below(interval) + 1);
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let user = Arc::clone(identity.user());
        connection.heard = now;
        let session = Session {
            identity,
            transport,
            subscriptions: Vec::new(),
            next_tag: 0,
            subscriptions_bytes: 0,
            began: false,
            born: now,
            next_heartbeat: now + first,
            expiry_armed: u64::MAX,
            leave: None,
            rate: Rate::new(now),
            strikes: None,
            inbox: Vec::new(),
            busy: None,
        };
        self.connections.enter(conn, Phase::Live(Box::new(session)));
        self.sessions += 1;
        let note = Note::Connected { connection: self.names.write(conn).into(), user: (&*user).into() };
        self.outputs.push_back(Output::Note(note));
        self.users.entry(user).or_insert_with(|| Vec::with_capacity(1)).push(conn);
        self.arm(conn);
        self.arm_expiry(conn);
    }

    /// Closes the user's longest silent connection where one more would be too many.
    fn make_room(&mut self, user: &str) {
        let Some(own) = self.users.get(user) else { return };
        if own.len() < self.config.limits.connections_per_user {
            return;
        }
        let heard = |conn: &ConnId| self.connections.get(*conn).map(|connection| (connection.heard, *conn));
        if let Some((_, silent)) = own.iter().filter_map(heard).min() {
            self.close(silent, CloseCode::TooMany);
        }
    }

    fn welcome(&mut self, conn: ConnId) {
        let Some(session) = self.connections.get(conn).and_then(Connection::session) else { return };
        let Some(epoch) = self.history.epoch() else { return };
        let message = ServerMessage::Welcome {
            protocol: 1,
            connection: &self.names.write(conn),
            user: session.identity.user(),
            epoch,
            offset: self.history.end(),
            heartbeat: HeartbeatTimes {
                interval: self.config.heartbeat.interval_ms,
                timeout: self.config.heartbeat.timeout_ms,
            },
            expires_at: session.identity.expires_at().map(UnixTime::as_secs),
        };
        let json = message.to_json();
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.outbox.append(|out| text_into(out, &json));
        }
        self.wake(conn);
    }

    /// Begins a stream of Server-Sent Events: a session with one subscription.
    pub(super) fn begin_stream(&mut self, conn: ConnId, head: &RequestHead, to: ReplyTo) {
        let refuse =
            |detail: &str| Response::problem(503, "unavailable", detail, &[]).header("Retry-After", "1");
        if !self.loaded || self.leaving.is_some() {
            return self.answer(conn, to, refuse("the server is loading or leaving"));
        }
        let query = Query::new(head);
        let identity = match self.reader(conn, head) {
            Ok(Asking::User(identity)) => identity,
            Ok(Asking::Key(..)) => {
                let response =
                    Response::problem(403, "forbidden", "an API key publishes; it reads no stream", &[]);
                return self.answer(conn, to, response);
            }
            Err(response) => return self.answer(conn, to, response),
        };
        let read = self.read_interest(&query, identity.grant());
        let read = read.and_then(|interest| Ok((interest, Pace::read(&query, self.now.instant)?)));
        let ((patterns, filter), pace) = match read {
            Ok(read) => read,
            Err(response) => return self.answer(conn, to, response),
        };
        let last = head.headers().get("last-event-id").or_else(|| query.get("lastEventId"));
        let since = last.and_then(read_position);
        let response = Response::new(200)
            .header("Content-Type", "text/event-stream")
            .header("Cache-Control", "no-store");
        let response = self.with_cors(conn, response);
        self.stats.response(200);
        let now = self.now.unix;
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let mut framing = StreamFraming::HeadOnly;
        connection.outbox.append(|out| framing = response.encode_stream(to, now, out));
        connection.pace = pace.map(Box::new);
        if framing == StreamFraming::HeadOnly {
            return self.begin_closing(conn, None);
        }
        self.begin_session(conn, identity, Transport::Stream(framing));
        self.open_stream(conn, since, &patterns, &filter);
    }

    fn open_stream(
        &mut self,
        conn: ConnId,
        since: Option<(Epoch, PerLane<Offset>)>,
        patterns: &crate::event::Patterns,
        filter: &crate::event::Filter,
    ) {
        let Some((epoch, lanes)) = since else {
            self.join(conn, "stream", patterns, filter, None);
            return self.stream_block(conn, None, None);
        };
        // A stream has one subscription and no `from` of its own: whatever is above a lane's position is its.
        self.join(conn, "stream", patterns, filter, Some(Offset::ZERO));
        let (_, _, gaps) = self.take_position(conn, epoch.as_str(), &lanes);
        let Some((last, before)) = gaps.split_last() else { return self.stream_block(conn, None, None) };
        // The stream may break behind any block: until the last gap is told, ids stay where the reader was.
        let held = write_position(epoch.as_str(), &lanes);
        for gap in before {
            self.stream_block_at(conn, &held, Some("gap"), Some(&gap.to_json()));
        }
        self.stream_block(conn, Some("gap"), Some(&last.to_json()));
    }
}

/// The value of a cookie. A name that stands twice is no one's.
fn cookie<'a>(head: &'a RequestHead, name: &str) -> Option<&'a str> {
    let pairs = head.headers().get_all("cookie").flat_map(|line| line.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(key, _)| *key == name);
    let (_, value) = found.next()?;
    found.next().is_none().then_some(value.trim_matches('"')).filter(|value| !value.is_empty())
}

/// A position as an event stream's id has it: `epoch.critical.high.normal.low`.
fn read_position(id: &str) -> Option<(Epoch, PerLane<Offset>)> {
    let mut parts = id.split('.');
    let epoch = Epoch::new(parts.next()?)?;
    let mut offset = || parts.next()?.parse::<u64>().ok().and_then(Offset::new);
    let lanes = PerLane { critical: offset()?, high: offset()?, normal: offset()?, low: offset()? };
    parts.next().is_none().then_some((epoch, lanes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_id_is_read_whole_or_not_at_all() {
        let (epoch, lanes) = read_position("e1.1.2.3.4").unwrap();
        assert_eq!((epoch.as_str(), lanes.low.get()), ("e1", 4));
        for bad in ["", "e1", "e1.1.2.3", "e1.1.2.3.4.5", "e1.1.2.3.x", "e1.1.2.3.9007199254740992"] {
            assert!(read_position(bad).is_none(), "{bad}");
        }
    }
}
