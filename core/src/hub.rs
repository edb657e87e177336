//! The server as a machine: inputs and time in, outputs, bytes and deadlines out.
//!
//! The hub dispatches. It carries results between machines that do not know each other: auth, history,
//! lanes, the subscription index, deduplication and timers. What a peer does wrong is an output; what the
//! shell does wrong is an assertion.

mod answers;
mod closing;
mod connection;
mod deadlines;
mod delivery;
mod grants;
mod memory;
mod metrics;
mod names;
mod operators;
mod pace;
mod publish;
mod request;
mod resume;
mod routes;
mod scan;
mod session;
mod shared;
mod subscribe;
mod upgrade;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::auth::{Authenticator, Origins};
use crate::config::{Config, ConfigFault};
use crate::dedup::{Dedup, DedupSettings};
use crate::event::Catalog;
use crate::history::{History, HistorySettings};
use crate::input::{Input, Peer};
use crate::lanes::{Gap, LaneSettings, Lanes, LanesId};
use crate::map::{Keyed, Map};
use crate::output::Output;
use crate::protocol::{ConnId, Epoch, Offset, RequestId};
use crate::rng::Rng;
use crate::stats::Stats;
use crate::subscription::Index;
use crate::time::{Instant, Now};
use crate::timers::Timers;
use crate::wire::http::RequestReader;
use closing::Leaving;
use connection::{AddressKey, Connection, Exchange, Outbox, Phase, Step};
use grants::Allowed;
use names::Names;
use publish::{Append, PublishId, Publishing};
use shared::{Connections, Outputs, State};

pub use delivery::Transmit;
pub use memory::Held;
pub use metrics::metrics;

/// Connections over the limit that are still told so; beyond them a socket is closed without a word.
const OVERLOAD_TOLD: usize = 256;

/// A hub cannot be built from a configuration: everything that is at fault in it, each with its key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct HubError(pub Vec<ConfigFault>);

/// Everything for which no hub can be built from `config`: what [`Config::validate`] finds, and keys,
/// templates and names that have their form and yet cannot be used.
#[must_use]
pub fn check(config: &Config) -> Vec<ConfigFault> {
    build(config, Keyed::new([0; 2])).err().unwrap_or_default()
}

/// The machines that a configuration can be at fault for.
fn build(config: &Config, keyed: Keyed) -> Result<(Catalog, Authenticator), Vec<ConfigFault>> {
    match (config.validated_catalog(), Authenticator::new(&config.auth, keyed)) {
        (Ok(catalog), Ok(auth)) => Ok((catalog, auth)),
        (catalog, auth) => {
            let mut faults = catalog.err().unwrap_or_default();
            ConfigFault::add_new(&mut faults, auth.err().unwrap_or_default());
            Err(faults)
        }
    }
}

/// The server machine.
///
/// - Outside to machine: [`handle`](Self::handle).
/// - Machine to outside: [`poll_output`](Self::poll_output), [`poll_transmit`](Self::poll_transmit),
///   [`poll_timeout`](Self::poll_timeout), in any order.
/// - Getters: [`stats`](Self::stats), [`conflated`](Self::conflated), [`is_ready`](Self::is_ready),
///   [`connections`](Self::connections).
pub struct Hub {
    config: Config,
    now: Now,
    rng: Rng,
    keyed: Keyed,
    catalog: Catalog,
    schema_json: Option<String>,
    auth: Authenticator,
    origins: Origins,
    history: History,
    loaded: bool,
    dedup: Dedup,
    index: Index<Allowed>,
    lanes: Lanes,
    connections: Connections,
    names: Names,
    timers: Timers,
    expiries: Timers,
    outputs: Outputs,
    stats: Stats,
    /// A user's connections.
    users: Map<Arc<str>, Vec<ConnId>>,
    unauthenticated: Map<AddressKey, usize>,
    sessions: usize,
    subscribed: usize,
    publishes: BTreeMap<PublishId, Publishing>,
    next_publish: u64,
    appends: Map<RequestId, Append>,
    /// Events of publish requests that wait for an append, repeats included.
    waiting: usize,
    next_request: u64,
    /// Connections whose search goes on.
    work: VecDeque<ConnId>,
    /// The slot that a look at all connections has come to.
    sweep: Option<closing::Sweep>,
    leaving: Option<Leaving>,
    page_enabled: bool,
    gaps: Vec<Gap>,
}

/// Connections hold what peers sent and what they are sent, tokens included: a hub shows how many there are.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("connections", &self.connections.len()).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub without connections, whose log is not open yet. `seed` is its only randomness.
    ///
    /// # Errors
    /// [`HubError`] with everything that [`check`] finds.
    pub fn new(config: Config, seed: [u8; 32], now: Now) -> Result<Self, HubError> {
        let mut rng = Rng::new(seed);
        let keyed = rng.keyed();
        let (catalog, auth) = build(&config, keyed).map_err(HubError)?;
        let origins = Origins::new(&config.origins);
        let millis = Duration::from_millis;
        let history = HistorySettings {
            events: config.history.events,
            bytes: config.history.bytes,
            age: millis(config.history.age_ms),
        };
        let dedup = DedupSettings { window: millis(config.dedup.window_ms), keys: config.dedup.entries };
        let lanes = LaneSettings {
            queue: u32::try_from(config.limits.lane_queue).unwrap_or(u32::MAX),
            scan: config.limits.catch_up_step,
            weights: [config.lanes.high, config.lanes.normal, config.lanes.low],
        };
        Ok(Self {
            stats: Stats::new(catalog.len()),
            names: Names::new(rng.next_u64()),
            page_enabled: config.page.enabled,
            config,
            now,
            rng,
            keyed,
            catalog,
            schema_json: None,
            auth,
            origins,
            history: History::new(history),
            loaded: false,
            dedup: Dedup::new(dedup, keyed),
            index: Index::new(keyed),
            lanes: Lanes::new(lanes, keyed),
            connections: Connections::default(),
            timers: Timers::new(deadlines::TICK_US),
            expiries: Timers::new(deadlines::EXPIRY_TICK_MS),
            outputs: Outputs::new(),
            users: Map::with_hasher(keyed),
            unauthenticated: Map::with_hasher(keyed),
            sessions: 0,
            subscribed: 0,
            publishes: BTreeMap::new(),
            next_publish: 0,
            appends: Map::with_hasher(keyed),
            waiting: 0,
            next_request: 0,
            work: VecDeque::new(),
            sweep: None,
            leaving: None,
            gaps: Vec::new(),
        })
    }

    /// Takes one input at `now`. The monotonic clock never goes back; the wall clock may.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.count_delivered();
        self.now = Now { instant: now.instant.max(self.now.instant), unix: now.unix };
        match input {
            Input::Accepted { conn, peer } => self.accepted(conn, peer),
            Input::Received { conn, bytes } => self.received(conn, bytes),
            Input::Ended { conn } => self.ended(conn),
            Input::Closed { conn } => self.forget(conn),
            Input::LogOpened { epoch, begin } => self.log_opened(epoch, begin),
            Input::LogLoaded => self.loaded = true,
            Input::Appended { offset, record } => self.appended(offset, &record),
            Input::AppendResult { request, result } => self.append_result(request, result),
            Input::Publish { request, publisher, event } => self.publish_embedded(request, publisher, event),
            Input::KeysReplaced(keys) => {
                self.auth.replace_keys(keys);
                self.begin_sweep();
            }
            Input::Drain => self.drain(),
            Input::Stop => self.stop(),
            Input::Timeout => self.on_timeout(),
            Input::TurnTook(took) => self.stats.turns.record(took, 1),
            Input::Succeeds(counted) => {
                self.stats = *counted;
                self.stats.hubs_given_up += 1;
            }
        }
        self.expire_tokens();
    }

    /// The next command to the shell, in order.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What was counted up to the last input.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Events that a newer one of their key has replaced on some connection.
    #[must_use]
    pub const fn conflated(&self) -> u64 {
        self.lanes.conflated()
    }

    /// Whether the log is loaded and the hub does not drain.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.loaded && self.leaving.is_none()
    }

    /// Connections of any kind.
    #[must_use]
    pub const fn connections(&self) -> usize {
        self.connections.len()
    }

    fn accepted(&mut self, conn: ConnId, peer: Peer) {
        self.stats.accepted += 1;
        if self.config.limits.connections + OVERLOAD_TOLD <= self.connections.len() {
            self.stats.refuse("connections");
            self.outputs.push_back(Output::Close(conn));
            return;
        }
        let address = AddressKey::new(peer.address);
        let overload = !self.count(address) && !self.is_proxy(peer.address.to_canonical())
            || self.config.limits.connections <= self.connections.len();
        let now = self.now.instant;
        self.connections.insert(Connection {
            id: conn,
            peer,
            phase: Phase::Http(Box::new(Exchange {
                reader: RequestReader::new(self.http_limits()),
                inbox: Vec::new(),
                step: Step::Request,
                origin: None,
                since: now,
                counted: Some(address),
                overload,
            })),
            state: State::Http,
            outbox: Outbox::default(),
            lanes: LanesId::default(),
            pending: false,
            paused: false,
            ended: false,
            finished: false,
            heard: now,
            took: now,
            behind: None,
            pace: None,
            armed: u64::MAX,
        });
        self.arm(conn);
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        self.stats.bytes_received += bytes.len() as u64;
        let now = self.now.instant;
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.heard = now;
        match &connection.phase {
            Phase::Http(_) => self.receive_request(conn, bytes),
            Phase::Live(session) if session.is_stream() => {}
            Phase::Live(_) => self.receive_frames(conn, bytes),
            Phase::Closing(_) => self.receive_closing(conn, bytes),
        }
    }

    fn log_opened(&mut self, epoch: Epoch, begin: Offset) {
        assert!(self.history.epoch().is_none(), "a hub has one log; another epoch is another hub");
        self.history.open(epoch, begin);
    }
}

/// Runs a parser on a peer's bytes. A panic in it costs that peer's connection and nothing else: parsers
/// change nothing but what they return and the reader they are given, which is thrown away with
/// the connection.
fn guard<T>(stats: &mut Stats, parse: impl FnOnce() -> T) -> Option<T> {
    let guarded = || {
        #[cfg(test)]
        tests::sabotage();
        parse()
    };
    let parsed = catch_unwind(AssertUnwindSafe(guarded)).ok();
    if parsed.is_none() {
        stats.panics += 1;
    }
    parsed
}

/// The longest that a connection lingers after everything is said.
const LINGER: Duration = Duration::from_secs(2);

fn linger(now: Instant) -> Instant {
    now + LINGER
}

#[cfg(test)]
mod tests;
