//! How much memory is held. Events, definitions and grants are shared, and are not a connection's.

use super::Hub;
use super::connection::{Connection, Exchange, Phase, Session, Subscription, Transport};
use crate::protocol::ConnId;

/// What a hub holds of things that the configuration bounds by number or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Connections of any kind.
    pub connections: usize,
    /// Events of history, in all lanes.
    pub history_events: usize,
    /// Bytes of history, in all lanes.
    pub history_bytes: usize,
    /// Event ids remembered for deduplication.
    pub dedup_keys: usize,
    /// Events that the log has yet to take.
    pub appends: usize,
}

impl Hub {
    /// What the hub holds as a whole.
    #[must_use]
    pub fn held(&self) -> Held {
        Held {
            connections: self.connections.len(),
            history_events: self.history.events(),
            history_bytes: self.history.bytes(),
            dedup_keys: self.dedup.len(),
            appends: self.appends.len(),
        }
    }

    /// Bytes of memory that a connection holds.
    #[must_use]
    pub fn memory(&self, conn: ConnId) -> Option<usize> {
        let connection = self.connections.get(conn)?;
        let of_phase = match &connection.phase {
            Phase::Http(exchange) => exchange.memory(),
            Phase::Live(session) => session.memory(),
            Phase::Closing(_) => 0,
        };
        let pace = connection.pace.as_ref().map_or(0, |pace| size_of_val(&**pace));
        let own = size_of::<Connection>() + pace + connection.outbox.memory();
        Some(own + of_phase + self.lanes.memory(connection.lanes))
    }
}

impl Exchange {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.inbox.capacity() + self.reader.memory()
    }
}

impl Session {
    fn memory(&self) -> usize {
        let ids: usize = self.subscriptions.iter().map(|subscription| subscription.id.len()).sum();
        let list = self.subscriptions.capacity() * size_of::<Subscription>();
        let reader = match &self.transport {
            Transport::WebSocket(reader) => reader.memory(),
            Transport::Stream(_) => 0,
        };
        size_of::<Self>() + self.inbox.capacity() + ids + list + reader
    }
}
