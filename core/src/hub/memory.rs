//! How much memory a connection holds by itself, and how much it may. Events, definitions and grants are shared, and
//! are not a connection's.

use super::Hub;
use super::connection::{Connection, Exchange, Phase, Session, Subscription};
use crate::config::Config;
use crate::protocol::ConnId;

/// Bytes around what is bounded by a setting: structs, and what an answer has around its events.
const AROUND: usize = 16 * 1024;
/// Bytes of one subscription beside its text.
const SUBSCRIPTION: usize = 4 * size_of::<Subscription>();
/// Bytes of one connection in an operator's list.
const LISTED: usize = 1024;

/// Bytes of memory of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// What it holds.
    pub held: usize,
    /// What it may hold at most, by the configuration, doing what it does.
    pub most: usize,
}

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
            history_events: self.history.len(),
            history_bytes: self.history.bytes(),
            dedup_keys: self.dedup.len(),
            appends: self.appends.len(),
        }
    }

    /// The memory of a connection whose shell reads at most `read` bytes at once.
    #[must_use]
    pub fn footprint(&self, conn: ConnId, read: usize) -> Option<Footprint> {
        let connection = self.connections.get(conn)?;
        let of_phase = match &connection.phase {
            Phase::Http(exchange) => exchange.memory(),
            Phase::Live(session) => session.memory(),
            Phase::Closing(_) => 0,
        };
        let own = size_of::<Connection>() + connection.outbox.memory() + self.lanes.memory(connection.lanes);
        let (request, session) = (request_max(&self.config, read), session_max(&self.config, read));
        let most = match &connection.phase {
            Phase::Http(_) => request,
            Phase::Live(_) => session,
            // Its last answer is still under way, whatever it was.
            Phase::Closing(_) => request.max(session),
        };
        Some(Footprint { held: own + of_phase, most })
    }
}

/// What a request and its answer take at most; buffers double as they grow.
fn request_max(config: &Config, read: usize) -> usize {
    let http = &config.http;
    let listed = LISTED * config.limits.connections;
    let answer = page_max(config) + listed + config.limits.unsent_bytes;
    AROUND + 2 * (http.head_bytes + http.body_bytes + 2 * read + answer) + METRICS
}

/// Bytes of the metrics and of the schema, whichever is longer.
const METRICS: usize = 512 * 1024;

/// What a page of events takes at most: one event more than fits ends it.
fn page_max(config: &Config) -> usize {
    config.limits.recent_bytes
        + config.limits.event_bytes
        + 64 * config.http.page_max.max(config.limits.recent)
}

/// What a session takes at most.
fn session_max(config: &Config, read: usize) -> usize {
    let limits = &config.limits;
    let subscriptions = SUBSCRIPTION * limits.subscriptions + 2 * limits.subscriptions_bytes;
    // One reply more than the bound on what is unsent, and the longest is that to a `recent` or a `resume`.
    let reply = (limits.recent_bytes + 64 * limits.recent).max(2 * limits.subscriptions_bytes);
    let unsent = limits.unsent_bytes + reply + limits.event_bytes;
    let queues = crate::lanes::memory_max(limits.lane_queue);
    AROUND + subscriptions + 2 * (unsent + limits.message_bytes + 2 * read) + queues
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
            super::connection::Transport::WebSocket(reader) => reader.memory(),
            super::connection::Transport::Stream(_) => 0,
        };
        size_of::<Self>() + self.inbox.capacity() + ids + list + reader
    }
}
