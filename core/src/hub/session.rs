//! A user's connection: what its messages do.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Hub;
use super::connection::{Busy, Connection, Phase, Session, Subscription, Transport};
use super::grants::Allowed;
use super::publish::{Answer, Asker, Batch, Begun, PublishId, Publisher};
use super::scan::{Scan, ScanFor};
use crate::event::{Filter, Pattern, Patterns, Priority};
use crate::output::Output;
use crate::protocol::{
    ClientMessage, CloseCode, ConnId, ErrorCode, Failure, GapReason, MessageLimits, Offset, Outcome, PerLane,
    Position, Rejected, ResumeEntry, Resumed, ServerMessage, Since,
};
use crate::subscription::Member;
use crate::wire::{Message, Reader, Role, Violation, WebSocketLimits, pong_into};

/// Entries of history that one message's worth of rate pays for.
const SCANNED_PER_MESSAGE: usize = 10_000;

impl Hub {
    /// Takes frames of a WebSocket connection, as far as it is not busy.
    pub(super) fn receive_frames(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(session) = self.session_mut(conn) else { return };
        let Transport::WebSocket(reader) = &mut session.transport else { return };
        let mut reader = std::mem::replace(reader, Reader::new(Role::Server));
        let mut held = std::mem::take(&mut session.inbox);
        let all: &[u8] = if held.is_empty() {
            bytes
        } else {
            held.extend_from_slice(bytes);
            &held
        };
        let mut input = all;
        while !self.is_blocked(conn) {
            let limits = self.websocket_limits();
            let now = self.now.instant;
            let read = super::guard(&mut self.stats, || reader.next(&limits, now, &mut input));
            match read {
                None => return self.panicked(conn),
                Some(Err(violation)) => return self.violated(conn, violation),
                Some(Ok(None)) => break,
                Some(Ok(Some(message))) => self.on_message(conn, message),
            }
            if self.session_mut(conn).is_none() {
                return;
            }
        }
        let blocked = self.is_blocked(conn);
        let Some(session) = self.session_mut(conn) else { return };
        let fragmented = reader.fragmented_since().is_some();
        session.transport = Transport::WebSocket(reader);
        if !input.is_empty() {
            session.inbox = input.to_vec();
        }
        if blocked {
            self.pause(conn);
        }
        if fragmented {
            self.arm(conn);
        }
    }

    fn websocket_limits(&self) -> WebSocketLimits {
        let limits = &self.config.limits;
        WebSocketLimits {
            message_bytes_max: limits.message_bytes,
            fragments_max: u32::try_from(limits.fragments).unwrap_or(u32::MAX),
        }
    }

    /// Whether the connection's next message has to wait.
    pub(super) fn is_blocked(&self, conn: ConnId) -> bool {
        let Some(connection) = self.connections.get(conn) else { return false };
        let busy = connection.session().is_some_and(|session| session.busy.is_some());
        busy || self.config.limits.unsent_bytes < connection.outbox.len()
    }

    fn pause(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(conn)
            && !connection.paused
        {
            connection.paused = true;
            self.outputs.push_back(Output::Pause(conn));
        }
    }

    /// Goes on with what waited, if nothing blocks any more.
    pub(super) fn unblock(&mut self, conn: ConnId) {
        if self.is_blocked(conn) {
            return;
        }
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if let Phase::Http(exchange) = &connection.phase {
            if connection.paused && !exchange.is_working() {
                self.next_request(conn);
            }
            return;
        }
        if connection.paused {
            connection.paused = false;
            self.outputs.push_back(Output::Resume(conn));
        }
        if connection.session().is_some_and(|session| !session.inbox.is_empty()) {
            self.receive_frames(conn, &[]);
        }
    }

    fn on_message(&mut self, conn: ConnId, message: Message) {
        match message {
            Message::Text(text) => {
                if self.pay(conn, || ClientMessage::id_of(&text)) {
                    self.on_text(conn, &text);
                }
            }
            Message::Binary(_) => self.close(conn, CloseCode::Unsupported),
            Message::Ping(payload) => {
                if self.pay(conn, || None)
                    && let Some(connection) = self.connections.get_mut(conn)
                {
                    connection.outbox.append(|out| pong_into(out, &payload));
                    self.wake(conn);
                }
            }
            Message::Pong(_) => {}
            Message::Close(close) => self.peer_closed(conn, close.map(|close| close.code)),
        }
    }

    fn violated(&mut self, conn: ConnId, violation: Violation) {
        let code = match violation.close_code() {
            1007 => CloseCode::InvalidUtf8,
            1009 => CloseCode::TooBig,
            _ => CloseCode::Protocol,
        };
        self.close(conn, code);
    }

    /// Charges a message to the connection's rate, or answers that it is over it.
    fn pay(&mut self, conn: ConnId, id: impl FnOnce() -> Option<Box<str>>) -> bool {
        let limits = &self.config.limits;
        let (per_second, burst, strikes) =
            (limits.messages_per_s, limits.messages_burst, limits.rate_faults_per_10s);
        let now = self.now.instant;
        let Some(session) = self.session_mut(conn) else { return false };
        if session.rate.take(now, per_second, burst, 1) {
            return true;
        }
        let kept = session.strikes.get_or_insert_default();
        let over = kept.rate.strike(now, Duration::from_secs(10), strikes);
        let message = format!("more than {per_second} messages a second");
        let id = super::guard(&mut self.stats, id).flatten();
        self.refuse(conn, id.as_deref(), ErrorCode::RateLimited, &message, None);
        if over {
            self.close(conn, CloseCode::TooMany);
        }
        false
    }

    fn on_text(&mut self, conn: ConnId, text: &str) {
        let limits = MessageLimits {
            patterns: self.config.limits.patterns,
            filter_keys: self.config.limits.filter_keys,
            recent: self.config.limits.recent,
            subscriptions: self.config.limits.subscriptions,
        };
        match super::guard(&mut self.stats, || ClientMessage::parse(text, &limits)) {
            None => self.panicked(conn),
            Some(Ok(message)) => self.on_client(conn, message),
            Some(Err(Rejected { id, code, message })) => {
                self.refuse(conn, id.as_deref(), code, &message, None);
            }
        }
    }

    fn on_client(&mut self, conn: ConnId, message: ClientMessage<'_>) {
        match message {
            ClientMessage::Subscribe { id, patterns, filter, recent } => {
                self.subscribe(conn, id, patterns, filter, recent);
            }
            ClientMessage::Resume { id, since, subscriptions } => {
                self.resume(conn, id.as_deref(), &since, subscriptions);
            }
            ClientMessage::Unsubscribe { id } => self.unsubscribe(conn, &id),
            ClientMessage::Auth { id, token } => self.refresh(conn, id.as_deref(), &token),
            ClientMessage::Ping { id } => self.send(conn, &ServerMessage::Pong { id: id.as_deref() }),
            ClientMessage::Publish { id, event } => self.publish_message(conn, id, event.get()),
        }
    }

    /// Answers a request with an error. Ten faults of the client within a minute close the connection.
    pub(super) fn refuse(
        &mut self,
        conn: ConnId,
        id: Option<&str>,
        code: ErrorCode,
        message: &str,
        details: Option<Value>,
    ) {
        self.stats.error(code);
        self.send(conn, &ServerMessage::Error { id, code, message, details });
        if !code.is_fault_of_client() {
            return;
        }
        let (now, limit) = (self.now.instant, self.config.limits.faults_per_minute);
        let Some(session) = self.session_mut(conn) else { return };
        let kept = session.strikes.get_or_insert_default();
        if kept.faults.strike(now, Duration::from_secs(60), limit) {
            self.close(conn, CloseCode::BadMessages);
        }
    }

    fn refuse_with(&mut self, conn: ConnId, id: Option<&str>, failure: Failure) {
        self.refuse(conn, id, failure.code, &failure.message, failure.details);
    }

    // Subscriptions

    fn subscribe(
        &mut self,
        conn: ConnId,
        id: Box<str>,
        patterns: Patterns,
        filter: Filter,
        recent: Option<usize>,
    ) {
        if let Err(failure) = self.check_subscription(conn, &id, &patterns, &filter) {
            return self.refuse_with(conn, Some(&id), failure);
        }
        let Some(session) = self.session_mut(conn) else { return };
        let replaces = session.subscription(&id).is_some();
        session.began = true;
        match recent {
            Some(_) if replaces => {
                let message = "a replaced subscription keeps its beginning; `recent` goes with a new one";
                self.refuse(conn, Some(&id), ErrorCode::InvalidMessage, message, None);
            }
            Some(limit) => {
                let session = self.session_mut(conn).expect("looked up above");
                let grant = Arc::clone(session.identity.grant());
                let purpose = ScanFor::Recent { id, limit };
                let scan = Scan::newest(&self.history, patterns, filter, Allowed(grant), purpose);
                self.begin_scan(conn, scan);
            }
            None => {
                let offset = self.join(conn, &id, &patterns, &filter, None);
                self.send(
                    conn,
                    &ServerMessage::Subscribed { id: &id, offset, recent: None, truncated: false },
                );
            }
        }
    }

    fn check_subscription(
        &self,
        conn: ConnId,
        id: &str,
        patterns: &Patterns,
        filter: &Filter,
    ) -> Result<(), Failure> {
        let failure = |code, message: String| Failure { code, message, details: None };
        let Some(session) = self.connections.get(conn).and_then(Connection::session) else { return Ok(()) };
        let unknown = patterns.iter().find(|pattern| !self.knows(pattern));
        if let Some(pattern) = unknown {
            return Err(failure(ErrorCode::InvalidEventType, format!("no event type matches {pattern}")));
        }
        let limits = &self.config.limits;
        let earlier = session.subscription(id);
        if earlier.is_none() && limits.subscriptions <= session.subscriptions.len() {
            let message = format!("a connection has at most {} subscriptions", limits.subscriptions);
            return Err(failure(ErrorCode::TooManySubscriptions, message));
        }
        let rest = session.subscriptions_bytes - earlier.map_or(0, |earlier| earlier.bytes as usize);
        if limits.subscriptions_bytes < rest + serialised(id, patterns, filter) {
            let max = limits.subscriptions_bytes;
            let message = format!("the subscriptions of a connection take at most {max} bytes");
            return Err(failure(ErrorCode::TooManySubscriptions, message));
        }
        let grant = session.identity.grant();
        let outside: Vec<String> = patterns
            .iter()
            .filter(|pattern| !grant.allows_subscription(pattern))
            .map(ToString::to_string)
            .collect();
        if outside.is_empty() {
            return Ok(());
        }
        let message = format!("the grant does not cover {}", outside.join(", "));
        Err(Failure { code: ErrorCode::Forbidden, message, details: Some(json!({"events": outside})) })
    }

    /// Whether some event type matches the pattern.
    pub(super) fn knows(&self, pattern: &Pattern) -> bool {
        match pattern {
            Pattern::Any => true,
            Pattern::Exact(name) => self.catalog.id(name).is_some(),
            Pattern::Category(_) => self.catalog.iter().any(|(_, name, _)| pattern.matches(name)),
        }
    }

    /// Adds or replaces a subscription. Returns where it began: `from`, else where the one it replaces
    /// began, else the log's end.
    pub(super) fn join(
        &mut self,
        conn: ConnId,
        id: &str,
        patterns: &Patterns,
        filter: &Filter,
        from: Option<Offset>,
    ) -> Offset {
        let end = self.history.end();
        let Some(session) = self.session_mut(conn) else { return end };
        let earlier = session.take(id);
        let replaces = earlier.is_some();
        let from = from.or(earlier.as_ref().map(|earlier| earlier.from)).unwrap_or(end);
        let tag = session.next_tag;
        session.next_tag = tag.wrapping_add(1);
        let permit = Allowed(Arc::clone(session.identity.grant()));
        if let Some(earlier) = earlier {
            self.leave(&earlier);
        }
        let slot = u32::try_from(conn.slot()).expect("slots are 32 bits");
        let place = self.index.join(patterns, filter, &permit, Member { slot, tag, from });
        let bytes = u32::try_from(serialised(id, patterns, filter)).unwrap_or(u32::MAX);
        if let Some(session) = self.session_mut(conn) {
            session.subscriptions_bytes += bytes as usize;
            session.subscriptions.push(Subscription { id: id.into(), from, bytes, tag, place });
        }
        self.subscribed += 1;
        if replaces {
            self.rewind(conn);
        }
        from
    }

    /// Takes a subscription out of the index.
    pub(super) fn leave(&mut self, subscription: &Subscription) {
        self.subscribed -= 1;
        let Some(moved) = self.index.leave(subscription.place) else { return };
        let owner = self.connections.at_mut(moved.slot).and_then(Connection::session_mut);
        if let Some(session) = owner
            && let Some(other) = session.subscriptions.iter_mut().find(|other| other.tag == moved.tag)
        {
            other.place = moved.place;
        }
    }

    fn unsubscribe(&mut self, conn: ConnId, id: &str) {
        let Some(subscription) = self.session_mut(conn).and_then(|session| session.take(id)) else {
            let message = format!("no subscription {id:?}");
            return self.refuse(conn, Some(id), ErrorCode::NotSubscribed, &message, None);
        };
        self.leave(&subscription);
        self.rewind(conn);
        self.send(conn, &ServerMessage::Unsubscribed { id });
    }

    /// Has what is queued matched anew, by the definitions as they are.
    pub(super) fn rewind(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get(conn) {
            self.lanes.rewind(connection.lanes);
        }
    }

    // Resume

    fn resume(&mut self, conn: ConnId, id: Option<&str>, since: &Since, entries: Vec<ResumeEntry>) {
        let Some(session) = self.session_mut(conn) else { return };
        if session.began {
            let message = "`resume` comes before the first `subscribe`, and once";
            return self.refuse(conn, id, ErrorCode::InvalidMessage, message, None);
        }
        session.began = true;
        let known = self.is_of_this_log(&since.epoch, &since.lanes);
        let mut results = Vec::with_capacity(entries.len());
        for ResumeEntry { id, wanted } in entries {
            results.push((id.clone(), self.resume_one(conn, &id, wanted, known)));
        }
        let (position, recovered, gaps) = self.take_position(conn, &since.epoch, &since.lanes);
        let subscriptions = results
            .iter()
            .map(|(id, result)| match result {
                Ok(offset) => Outcome { id, offset: Some(*offset), error: None },
                Err(failure) => Outcome { id, offset: None, error: Some(failure.clone()) },
            })
            .collect();
        let reply = ServerMessage::Resumed { id, recovered, position: &position, subscriptions };
        self.send(conn, &reply);
        for gap in &gaps {
            self.send(conn, gap);
        }
        self.wake(conn);
    }

    fn resume_one(
        &mut self,
        conn: ConnId,
        id: &str,
        wanted: Result<Resumed, (ErrorCode, String)>,
        known: bool,
    ) -> Result<Offset, Failure> {
        // An offset of another log, or beyond this one's end, says nothing here: nothing is above the end.
        let end = self.history.end();
        let checked = match wanted {
            Ok(Resumed { from, patterns, filter }) => {
                let from = if known { from.min(end) } else { end };
                self.check_subscription(conn, id, &patterns, &filter)
                    .map(|()| self.join(conn, id, &patterns, &filter, Some(from)))
            }
            Err((code, message)) => Err(Failure { code, message, details: None }),
        };
        if let Err(failure) = &checked {
            self.stats.error(failure.code);
        }
        checked
    }

    /// Whether a position is one of this log: of its epoch, and not above its end.
    fn is_of_this_log(&self, epoch: &str, lanes: &PerLane<Offset>) -> bool {
        let end = self.history.end();
        self.history.epoch().is_some_and(|ours| ours.as_str() == epoch)
            && lanes.iter().all(|(_, offset)| *offset <= end)
    }

    /// Begins every lane at the client's position, where that is one of this log. Returns the position
    /// that the client adopts, whether history covers it, and the gaps to tell.
    pub(super) fn take_position(
        &mut self,
        conn: ConnId,
        epoch: &str,
        lanes: &PerLane<Offset>,
    ) -> (Position, bool, Vec<ServerMessage<'static>>) {
        self.stats.resumes += 1;
        let end = self.history.end();
        let ours = self.history.epoch().cloned().expect("connections begin when the log is open");
        if !self.is_of_this_log(epoch, lanes) {
            self.stats.gaps_epoch += 4;
            let gap = |lane| ServerMessage::Gap { lane, after: None, until: end, reason: GapReason::Epoch };
            let position = Position { epoch: ours, lanes: PerLane::from_fn(|_| end) };
            return (position, false, Priority::ALL.map(gap).into());
        }
        let mut gaps = Vec::new();
        let mut position = *lanes;
        for lane in Priority::ALL {
            let (after, evicted) = (lanes[lane], self.history.lane(lane).evicted());
            if after < evicted {
                let (after, until) = (Some(after), evicted);
                gaps.push(ServerMessage::Gap { lane, after, until, reason: GapReason::Expired });
                self.stats.gaps_expired += 1;
                position[lane] = evicted;
            }
            let seq = self.history.lane(lane).seq_above(position[lane]);
            if let Some(connection) = self.connections.get_mut(conn) {
                self.lanes.resume(&mut connection.lanes, lane, position[lane], seq, &self.history);
            }
        }
        let recovered = gaps.is_empty();
        self.stats.resumes_recovered += u64::from(recovered);
        (Position { epoch: ours, lanes: *lanes }, recovered, gaps)
    }

    // Token

    fn refresh(&mut self, conn: ConnId, id: Option<&str>, token: &str) {
        let verified = self.verify(token);
        let Some(session) = self.session_mut(conn) else { return };
        let identity = match verified {
            Ok(identity) if identity.user() == session.identity.user() => identity,
            Ok(_) => {
                let message = "the token is of another user; the connection keeps what it had";
                return self.refuse(conn, id, ErrorCode::InvalidToken, message, None);
            }
            Err(error) => {
                let message = format!("{error}; the connection keeps what it had");
                return self.refuse(conn, id, ErrorCode::InvalidToken, &message, None);
            }
        };
        let changed = identity.grant() != session.identity.grant();
        session.identity = Arc::clone(&identity);
        let expires_at = identity.expires_at().map(crate::time::UnixTime::as_secs);
        self.send(conn, &ServerMessage::Authenticated { id, expires_at });
        if changed {
            self.regrant(conn);
        }
        self.arm(conn);
        self.arm_expiry(conn);
    }

    /// Puts every subscription under the session's grant as it is, and ends those that it no longer allows.
    fn regrant(&mut self, conn: ConnId) {
        let Some(session) = self.session_mut(conn) else { return };
        let grant = Arc::clone(session.identity.grant());
        let ids: Vec<Box<str>> =
            session.subscriptions.iter().map(|subscription| subscription.id.clone()).collect();
        let mut ended = Vec::new();
        for id in ids {
            let Some(subscription) = self.session_mut(conn).and_then(|session| session.take(&id)) else {
                continue;
            };
            let (patterns, filter, _) = self.index.definition(subscription.place.definition());
            let (patterns, filter) = (patterns.clone(), filter.clone());
            self.leave(&subscription);
            let outside: Vec<String> = patterns
                .iter()
                .filter(|pattern| !grant.allows_subscription(pattern))
                .map(ToString::to_string)
                .collect();
            if outside.is_empty() {
                self.join(conn, &id, &patterns, &filter, Some(subscription.from));
            } else {
                ended.push((id, outside));
            }
        }
        self.rewind(conn);
        for (id, outside) in ended {
            let message =
                format!("the new grant does not cover {}; the subscription ended", outside.join(", "));
            self.refuse(conn, Some(&id), ErrorCode::Forbidden, &message, Some(json!({"events": outside})));
        }
    }

    // Publish

    fn publish_message(&mut self, conn: ConnId, id: Option<Box<str>>, event: &str) {
        let Some(session) = self.session_mut(conn) else { return };
        let publisher = Publisher {
            name: session.identity.user().as_ref().into(),
            grant: Some(Arc::clone(session.identity.grant())),
        };
        let batch = Batch::Structured(vec![event]);
        match self.begin_publish(Asker::Connection(conn), &publisher, &batch) {
            Begun::Done(answer) => self.answer_message(conn, id.as_deref(), answer),
            Begun::Waiting(publish) => {
                let now = self.now.instant;
                let Some(session) = self.session_mut(conn) else { return };
                session.busy = Some(Box::new((now, Busy::Publish(publish, id))));
                self.arm(conn);
            }
        }
    }

    fn answer_message(&mut self, conn: ConnId, id: Option<&str>, answer: Answer) {
        match answer.single() {
            Ok(result) => {
                let (event_id, offset, duplicate) = (&*result.id, result.offset, result.duplicate);
                self.send(conn, &ServerMessage::Published { id, event_id, offset, duplicate });
            }
            Err(failure) => self.refuse_with(conn, id, failure),
        }
    }

    /// Answers a connection whose publish is decided, and goes on with what it sent meanwhile.
    pub(super) fn published(&mut self, conn: ConnId, publish: PublishId, answer: Answer) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let Phase::Live(session) = &mut connection.phase else {
            return self.published_http(conn, publish, answer);
        };
        match session.busy.take().map(|busy| *busy) {
            Some((_, Busy::Publish(waited, id))) if waited == publish => {
                self.answer_message(conn, id.as_deref(), answer);
                self.unblock(conn);
            }
            other => session.busy = other.map(Box::new),
        }
    }

    /// Ends a search that a `subscribe` with `recent` began: the subscription begins where it ended.
    pub(super) fn recent_found(&mut self, conn: ConnId, scan: &Scan) {
        let Scan { purpose: ScanFor::Recent { id, .. }, patterns, filter, truncated, .. } = &scan else {
            return;
        };
        let truncated = *truncated;
        let charge = u32::try_from(scan.looked / SCANNED_PER_MESSAGE).unwrap_or(u32::MAX);
        let (now, per_second) = (self.now.instant, self.config.limits.messages_per_s);
        if let Some(session) = self.session_mut(conn) {
            session.rate.charge(now, per_second, charge);
        }
        let offset = self.join(conn, id, patterns, filter, None);
        let reply = ServerMessage::Subscribed { id, offset, recent: Some(scan.found()), truncated };
        let json = reply.to_json();
        self.send_json(conn, &json);
    }

    pub(super) fn session_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.connections.get_mut(conn).and_then(Connection::session_mut)
    }
}

impl Connection {
    pub(super) fn session(&self) -> Option<&Session> {
        match &self.phase {
            Phase::Live(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.phase {
            Phase::Live(session) => Some(session),
            _ => None,
        }
    }
}

impl Session {
    pub(super) const fn is_stream(&self) -> bool {
        matches!(self.transport, Transport::Stream(_))
    }

    pub(super) fn subscription(&self, id: &str) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| *subscription.id == *id)
    }

    /// Takes a subscription out of the list.
    fn take(&mut self, id: &str) -> Option<Subscription> {
        let index = self.subscriptions.iter().position(|subscription| *subscription.id == *id)?;
        let taken = self.subscriptions.swap_remove(index);
        self.subscriptions_bytes -= taken.bytes as usize;
        Some(taken)
    }
}

/// Bytes of a subscription in a `resume`, generously.
fn serialised(id: &str, patterns: &Patterns, filter: &Filter) -> usize {
    const PUNCTUATION: usize = 64;
    let patterns: usize = patterns.iter().map(|pattern| pattern.to_string().len() + 3).sum();
    let filter: usize = filter
        .iter()
        .map(|(path, values)| path.len() + 8 + values.iter().map(|value| value.json_len() + 1).sum::<usize>())
        .sum();
    PUNCTUATION + id.len() * 2 + patterns + filter
}
