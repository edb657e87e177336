//! Subscriptions of a session: begun, replaced, ended, and put under another grant.

use std::sync::Arc;

use serde_json::json;

use super::Hub;
use super::connection::{Connection, Subscription};
use super::grants::Allowed;
use super::scan::{Scan, ScanFor};
use crate::event::{Filter, Pattern, Patterns};
use crate::protocol::{ConnId, ErrorCode, Failure, Offset, ServerMessage};
use crate::subscription::Member;

/// Entries of history that one message's worth of rate pays for.
const SCANNED_PER_MESSAGE: usize = 10_000;

impl Hub {
    pub(super) fn subscribe(
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
        session.began = true;
        let replaces = session.subscription(&id).is_some();
        let grant = Arc::clone(session.identity.grant());
        match recent {
            Some(_) if replaces => {
                let message = "a replaced subscription keeps its beginning; `recent` goes with a new one";
                self.refuse(conn, Some(&id), ErrorCode::InvalidMessage, message, None);
            }
            Some(limit) => {
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

    pub(super) fn check_subscription(
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
            // Most connections have one subscription; room for the next is made when it comes.
            session.subscriptions.reserve_exact(1);
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

    pub(super) fn unsubscribe(&mut self, conn: ConnId, id: &str) {
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
        if let Some(connection) = self.connections.get_mut(conn) {
            self.lanes.rewind(&mut connection.lanes, &self.history);
        }
    }

    pub(super) fn refresh(&mut self, conn: ConnId, id: Option<&str>, token: &str) {
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
    pub(super) fn regrant(&mut self, conn: ConnId) {
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
