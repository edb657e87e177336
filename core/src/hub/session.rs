//! A user's connection: what its messages do.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Hub;
use super::connection::{Busy, Connection, Phase, Session, Transport};
use super::publish::{Answer, Asker, Batch, Begun, PublishId, Publisher};
use crate::output::Output;
use crate::protocol::{
    ClientMessage, CloseCode, ConnId, ErrorCode, Failure, MessageLimits, Rejected, ServerMessage,
};
use crate::wire::{Message, Reader, Role, Violation, WebSocketLimits, pong_into};

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
                return self.go_on_reading_closed(conn, reader, input);
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

    pub(super) fn websocket_limits(&self) -> WebSocketLimits {
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
        let resumed = std::mem::take(&mut connection.paused);
        if resumed {
            // What it sent meanwhile could not be heard, so its silence begins anew.
            connection.heard = self.now.instant;
            self.outputs.push_back(Output::Resume(conn));
        }
        if connection.session().is_some_and(|session| !session.inbox.is_empty()) {
            self.receive_frames(conn, &[]);
        }
        if resumed {
            self.arm(conn);
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
            ClientMessage::Auth { id, token } => self.refresh(conn, id.as_deref(), token.expose()),
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

    pub(super) fn refuse_with(&mut self, conn: ConnId, id: Option<&str>, failure: Failure) {
        self.refuse(conn, id, failure.code, &failure.message, failure.details);
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

    pub(super) fn session_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.connections.get_mut(conn).and_then(Connection::session_mut)
    }
}
