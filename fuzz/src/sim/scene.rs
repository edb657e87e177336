//! Everything that actors can touch: the clock, the network, the hosts, the log, the tokens, and the model
//! that is told what happens.

use std::fmt;
use std::time::Duration;

use tidings_core::{Instant, Now};

use super::draw::{Draw, Stream};
use super::host::Host;
use super::log::Store;
use super::network::{Link, Word};
use super::outcome::Counts;
use super::queue::{Due, Queue};
use super::scenario::{Fault, Settings};
use super::tokens::Tokens;
use super::trace::Trace;
use crate::model::{Invariant, LinkId, Model, Violation};

/// Bytes of events a second that are asked for: what is owed when the faults stop must come within the time that is
/// given to that.
const PACES: (u64, u64) = (1 << 10, 1 << 20);

/// A run while it goes on, without its actors.
#[derive(Debug)]
pub(crate) struct Scene<'s> {
    pub(crate) seed: u64,
    pub(crate) settings: &'s Settings,
    pub(crate) now: Instant,
    pub(crate) queue: Queue,
    pub(crate) links: Vec<Link>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) store: Store,
    pub(crate) tokens: Tokens,
    pub(crate) model: Model,
    pub(crate) counts: Counts,
    /// The faults have stopped.
    pub(crate) calm: bool,
    /// What peers have yet to learn.
    pub(crate) words: Vec<(LinkId, Word)>,
    /// What the engine itself found.
    pub(crate) violation: Option<Violation>,
    pub(crate) trace: Trace<'s>,
    /// When each actor is woken next.
    wakes: Vec<Option<Instant>>,
}

impl<'s> Scene<'s> {
    pub(crate) fn new(seed: u64, settings: &'s Settings, actors: usize, trace: Trace<'s>) -> Self {
        Self {
            seed,
            settings,
            now: Instant::ZERO,
            queue: Queue::default(),
            links: Vec::new(),
            hosts: (0..settings.hubs).map(|index| Host::new(seed, index)).collect(),
            store: Store::new(seed, settings.log),
            tokens: Tokens::default(),
            model: Model::new(),
            counts: Counts::default(),
            calm: false,
            words: Vec::new(),
            violation: None,
            trace,
            wakes: vec![None; actors],
        }
    }

    /// The clocks of whoever's clock is right.
    pub(crate) fn true_now(&self) -> Now {
        super::host::Clock::default().now(self.now)
    }

    /// The clocks of a host.
    pub(crate) fn hub_now(&self, host: u16) -> Now {
        self.hosts[usize::from(host)].clock.now(self.now)
    }

    /// A fault's rate at the moment.
    pub(crate) const fn rate(&self, fault: Fault) -> u32 {
        if self.calm { 0 } else { self.settings.faults.of(fault) }
    }

    pub(crate) const fn count(&mut self, fault: Fault) {
        *self.counts.faults.of_mut(fault) += 1;
    }

    /// Whether a fault strikes; counts it.
    pub(crate) fn strikes(&mut self, draw: &mut Draw<'_>, fault: Fault) -> bool {
        let strikes = draw.chance(self.rate(fault));
        if strikes {
            self.count(fault);
        }
        strikes
    }

    pub(crate) fn trace(&mut self, line: fmt::Arguments<'_>) {
        self.trace.line(self.now, line);
    }

    /// Takes note of what must not be and the model cannot see.
    pub(crate) fn violate(&mut self, invariant: Invariant, text: String) {
        self.violation.get_or_insert(Violation { invariant, text });
    }

    pub(crate) fn violated(&self) -> Option<&Violation> {
        self.model.violation().or(self.violation.as_ref())
    }

    /// Wakes an actor at `at`, or sooner.
    pub(crate) fn wake(&mut self, actor: u16, at: Instant) {
        let at = at.max(self.now);
        let wake = &mut self.wakes[usize::from(actor)];
        if wake.is_none_or(|armed| at < armed) {
            *wake = Some(at);
            self.queue.push(at, Due::Actor(actor));
        }
    }

    /// Wakes an actor after so many microseconds.
    pub(crate) fn wake_after(&mut self, actor: u16, after: Duration) {
        self.wake(actor, self.now + after);
    }

    /// Whether an actor's wake-up is the one that counts.
    pub(crate) fn wakes(&mut self, actor: u16) -> bool {
        let now = self.now;
        self.wakes[usize::from(actor)].take_if(|armed| *armed <= now).is_some()
    }

    /// Hosts that take connections.
    pub(crate) fn hosts_up(&self) -> Vec<u16> {
        let up = self.hosts.iter().filter(|host| host.is_ready());
        up.map(|host| host.index).collect()
    }

    /// The number of a key that hubs trust.
    pub(crate) fn signing_key(&self) -> u8 {
        u8::from(self.hosts.first().is_some_and(|host| host.keys & 1 == 0))
    }

    /// The query by which an actor asks for its pace: in some runs some do, each for its own.
    pub(crate) fn pace(&self, actor: u16) -> Option<String> {
        let draw = |number| Draw::new(self.seed, Stream::Pace, number);
        let mut own = draw(u64::from(actor));
        let asks = draw(u64::MAX).chance(100) && own.chance(500);
        asks.then(|| format!("pace={}", own.scaled(PACES.0, PACES.1)))
    }

    /// The host that a new connection goes to: one that is ready, where one is.
    pub(crate) fn place(&mut self, draw: &mut Draw<'_>) -> u16 {
        let up = self.hosts_up();
        if up.is_empty() {
            return u16::try_from(draw.index(self.hosts.len())).unwrap_or(0);
        }
        *draw.pick(&up)
    }
}
