//! What must hold, whatever happens: a model of the protocol that knows the log and sees every byte that goes
//! in and out of a hub, and is far simpler than the hub.
//!
//! The simulator tells it facts as they happen; the model keeps what each connection is owed and says which
//! [`Invariant`] was broken first.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidings_core::client::{ClientOutput, SubscriptionId};
use tidings_core::history::Record;
use tidings_core::{Config, Epoch, Hub, Now, Offset};

/// A connection of a run; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// One life of a hub, from its start to its end; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HubId(pub u32);

/// An application with a client machine; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(pub u32);

/// What the simulator promises to hold at every step and at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Everyone ends with exactly what they are owed.
    Complete,
    /// No event twice on a connection, nor across a resume.
    Once,
    /// Offsets ascend within a lane.
    Ordered,
    /// Nothing that grant, forced filter or subscriptions do not let through.
    Permitted,
    /// `critical` is never staged behind other lanes, and none of those starves.
    Prompt,
    /// Memory stays within what the configuration implies.
    Bounded,
    /// Deadlines fire at their time.
    Punctual,
    /// Dead peers are closed, living ones are not.
    Alive,
    /// Counters say what happened.
    Counted,
    /// What was acknowledged is in the log, once.
    Durable,
    /// Everything on the wire is legal.
    Legal,
}

/// A broken invariant, with what was seen.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// What was seen, in a sentence.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The hub closed the socket.
    Hub,
    /// The peer or the network did; the hub is told.
    Peer,
}

/// An event that the log has taken.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The life of the log.
    pub epoch: Epoch,
    /// Its place.
    pub offset: Offset,
    /// The event as the hub made it.
    pub record: Arc<Record>,
}

/// Knows what each connection is owed.
#[derive(Debug, Default)]
pub struct Model {
    violation: Option<Violation>,
}

impl Model {
    /// A model of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first invariant that was broken.
    #[must_use]
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// A token of the run, before its first use: its claims, and the number of the key that signed it.
    pub fn token(&mut self, _text: &str, _claims: &Value, _key: u8) {}

    // Hubs

    /// A hub begins; `keys` are the numbers of the keys that it trusts.
    pub fn hub_began(&mut self, _now: Now, _hub: HubId, _config: &Config, _keys: &[u8]) {}
    /// The hub's log is open (just before the input).
    pub fn log_opened(&mut self, _now: Now, _hub: HubId, _epoch: &Epoch, _begin: Offset) {}
    /// The hub trusts other keys from here on (just before the input).
    pub fn keys_replaced(&mut self, _now: Now, _hub: HubId, _keys: &[u8]) {}
    /// The hub is told to drain (just before the input).
    pub fn draining(&mut self, _now: Now, _hub: HubId) {}
    /// The hub has been handed an input or the time, and all its outputs have been taken. `lateness` bounds how
    /// much later than asked the engine calls its timers at the moment.
    pub fn stepped(&mut self, _now: Now, _hub: HubId, _machine: &Hub, _lateness: Duration) {}
    /// The hub is gone; its connections have been ended before.
    pub fn hub_ended(&mut self, _now: Now, _hub: HubId, _machine: &Hub) {}

    // The log

    /// The log has taken an event; told once, before any hub is handed it.
    pub fn logged(&mut self, _now: Now, _logged: Logged) {}
    /// A hub is about to be handed the event at `offset`.
    pub fn appended(&mut self, _now: Now, _hub: HubId, _offset: Offset) {}

    // Connections

    /// A connection is about to be accepted. `rogue`: its peer breaks rules, or its bytes are corrupted.
    pub fn accepted(&mut self, _now: Now, _link: LinkId, _hub: HubId, _rogue: bool) {}
    /// From here on what this connection's peer sends may be corrupted.
    pub fn corrupted(&mut self, _link: LinkId) {}
    /// The hub is about to be handed bytes.
    pub fn received(&mut self, _now: Now, _link: LinkId, _bytes: &[u8]) {}
    /// The hub is about to be told that the peer sends nothing more.
    pub fn peer_ended(&mut self, _now: Now, _link: LinkId) {}
    /// The kernel took these bytes and the hub knows it (after the commit).
    pub fn wrote(&mut self, _now: Now, _link: LinkId, _bytes: &[u8]) {}
    /// The hub was asked for bytes and had none for this connection.
    pub fn idle(&mut self, _now: Now, _link: LinkId) {}
    /// The kernel's buffer of this connection is full (`true`), or can take bytes again.
    pub fn blocked(&mut self, _now: Now, _link: LinkId, _blocked: bool) {}
    /// The connection is over.
    pub fn closed(&mut self, _now: Now, _link: LinkId, _by: Ending) {}

    // Applications on client machines

    /// An application subscribes.
    pub fn subscribing(
        &mut self,
        _now: Now,
        _app: AppId,
        _subscription: SubscriptionId,
        _events: &Value,
        _filter: &Value,
    ) {
    }
    /// An application unsubscribes.
    pub fn unsubscribing(&mut self, _now: Now, _app: AppId, _subscription: SubscriptionId) {}
    /// The client machine gave an output, of any kind.
    pub fn told(&mut self, _now: Now, _app: AppId, _output: &ClientOutput) {}
    /// The client machine opens this connection with this token.
    pub fn opened(&mut self, _app: AppId, _link: LinkId, _token: &str) {}

    // Publishers

    /// A publisher saw its publish acknowledged.
    pub fn acknowledged(
        &mut self,
        _now: Now,
        _publisher: &str,
        _source: &str,
        _id: &str,
        _epoch: &Epoch,
        _offset: Offset,
        _duplicate: bool,
    ) {
    }
    /// A publisher was refused: nothing of these ids may be in the log because of this request.
    pub fn refused(&mut self, _now: Now, _publisher: &str, _ids: &[(String, String)]) {}

    // The end

    /// The faults have stopped long ago: everyone who is connected must have everything.
    pub fn settled(&mut self, _now: Now) {}
}
