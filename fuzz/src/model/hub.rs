//! One life of a hub: its end of the log, its history, and what it should have counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidings_core::event::Priority;
use tidings_core::stats::Stats;
use tidings_core::{Config, Hub, Instant, Now, PerLane, RequestId};

use super::closing::Expelled;
use super::ledger::Key;
use super::tokens::Pass;
use super::truth::{Event, Seen, Window};
use super::{Invariant, LinkId, Moment, Violation};

/// A deadline fires up to a tick of the hub's timers late.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// An event that a hub asks the log for.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// How often it did so and nobody has been told that the event is new.
    untold: u32,
    /// When it did so last.
    at: Option<Instant>,
}

impl Fresh {
    pub(super) fn asked(&mut self, now: Instant) {
        (self.untold, self.at) = (self.untold + 1, Some(now));
    }

    /// Somebody is told that the event is new; says whether that can be.
    pub(super) fn tell(&mut self) -> bool {
        let can_be = 0 < self.untold;
        self.untold = self.untold.saturating_sub(1);
        can_be
    }
}

/// What happened, to be compared with what the hub counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) published: PerLane<u64>,
    pub(super) delivered: PerLane<u64>,
    pub(super) gaps_expired: u64,
    pub(super) gaps_epoch: u64,
    pub(super) resumes: u64,
    pub(super) recovered: u64,
    pub(super) heartbeats: u64,
    /// Connections that ended with something unsaid: what they were yet to be told is counted by the hub only.
    pub(super) unsaid: u64,
    /// Connections that ended.
    pub(super) ended: u64,
    /// Streams, whose blocks do not say why they came.
    pub(super) streams: u64,
}

/// A hub as the model has it.
#[derive(Debug)]
pub(super) struct HubModel {
    pub(super) config: Config,
    /// Which life of the log it serves.
    pub(super) life: usize,
    /// The newest offset that it was handed.
    pub(super) end: u64,
    pub(super) keys: Vec<u8>,
    /// Keys that it trusted and, at some moment, did not.
    pub(super) distrusted: BTreeSet<u8>,
    /// Since when it drains.
    pub(super) draining: Option<Instant>,
    pub(super) stopping: bool,
    /// Whom an operator has sent away.
    pub(super) expelled: Vec<Expelled>,
    /// Sessions of each user, and when they were last more than are allowed.
    crowds: BTreeMap<String, (usize, Option<Instant>)>,
    /// Some connection cannot be followed: of whichever user's it is.
    pub(super) blind: bool,
    /// What it asked the log for.
    pub(super) fresh: BTreeMap<Key, Fresh>,
    /// What the log has neither taken nor refused of it, and since when.
    pending: BTreeMap<Key, (RequestId, Instant)>,
    /// Whenever an event may have taken a place in its table: asked for, or handed over.
    placed: Vec<Instant>,
    pub(super) links: BTreeSet<LinkId>,
    /// Connections for which it had nothing since its outputs were last taken, though nothing held it back.
    pub(super) silent: Vec<LinkId>,
    pub(super) counts: Counts,
    /// The most by which its timers were ever called late.
    pub(super) lateness: Duration,
    /// What its wall clock said last, and whenever it went back: what it had said before.
    wall: (i64, Vec<(Instant, i64)>),
    /// When its connections' deadlines were last looked at.
    pub(super) checked: Instant,
    /// Users whose tokens issued up to this second may be refused.
    pub(super) revoked: BTreeMap<String, i64>,
    /// Keys of idempotency that it was handed, by the log.
    pub(super) seen: Seen,
    window: Window,
}

impl HubModel {
    pub(super) fn new(config: &Config, keys: &[u8], now: Instant) -> Self {
        Self {
            config: config.clone(),
            life: usize::MAX,
            end: 0,
            keys: keys.to_vec(),
            distrusted: BTreeSet::new(),
            draining: None,
            stopping: false,
            expelled: Vec::new(),
            crowds: BTreeMap::new(),
            blind: false,
            fresh: BTreeMap::new(),
            pending: BTreeMap::new(),
            placed: Vec::new(),
            links: BTreeSet::new(),
            silent: Vec::new(),
            counts: Counts::default(),
            lateness: Duration::ZERO,
            wall: (i64::MIN, Vec::new()),
            checked: now,
            revoked: BTreeMap::new(),
            seen: Seen::new(),
            window: Window::default(),
        }
    }

    pub(super) fn open(&mut self, life: usize, begin: u64) {
        (self.life, self.end, self.window) = (life, begin, Window::new(begin));
    }

    pub(super) fn append(&mut self, event: &Event, now: Instant) {
        self.end = event.offset;
        self.counts.published[event.lane] += 1;
        self.window.push(event, &self.config, now);
        let text = |name: &str| event.value[name].as_str().unwrap_or("").to_owned();
        let key = (event.record.publisher.to_string(), text("source"), text("id"));
        // It is known from when it was asked for on.
        let since = self.fresh.get(&key).and_then(|fresh| fresh.at).unwrap_or(now);
        self.pending.remove(&key);
        self.placed.push(now);
        self.seen.insert(key, (event.offset, since));
    }

    /// It asks the log for an event.
    pub(super) fn ask(&mut self, key: Key, request: RequestId, now: Instant) -> Result<(), Violation> {
        let result = self.check_new(&key, now);
        self.pending.insert(key.clone(), (request, now));
        self.fresh.entry(key).or_default().asked(now);
        self.placed.push(now);
        result
    }

    /// The log has not taken what it was asked for.
    pub(super) fn failed(&mut self, request: RequestId) {
        for (_, (_, asked)) in self.pending.extract_if(.., |_, (pending, _)| *pending == request) {
            if let Some(place) = self.placed.iter().rposition(|at| *at == asked) {
                self.placed.remove(place);
            }
        }
    }

    /// Whether an event that the log is asked for is not known to be in it, or under way to it (PROTOCOL §6).
    fn check_new(&self, key: &Key, now: Instant) -> Result<(), Violation> {
        let window = Duration::from_millis(self.config.dedup.window_ms);
        let seen = self.seen.get(key).map(|(offset, at)| (Some(offset), at));
        let known = seen.or_else(|| self.pending.get(key).map(|(_, at)| (None, at)));
        // What it was handed at this very moment came after it had asked: outputs are taken late.
        let known = known.filter(|(_, at)| **at < now && now.since(**at) < window);
        let Some((offset, at)) = known else { return Ok(()) };
        // The hub may forget early only where its table is full, save an eighth for what the log did not take.
        let placed = self.placed.iter().rev().take_while(|at| now.since(**at) < window).count();
        let entries = self.config.dedup.entries;
        if entries - entries / 8 <= placed {
            return Ok(());
        }
        let text = format!("{key:?} is known since {at:?}, logged at {offset:?}, and is published again");
        Err(Violation::new(Invariant::Durable, text))
    }

    /// Whether a token must be taken now.
    pub(super) fn takes(&self, pass: &Pass, at: Moment) -> bool {
        let revoked = self.revoked.get(&pass.user);
        pass.is_current(at.now.unix)
            && self.keys.contains(&pass.key)
            && !self.distrusted.contains(&pass.key)
            && revoked.is_none_or(|until| pass.issued_s.is_some_and(|issued| until < &issued))
    }

    /// The hub was told the time.
    pub(super) fn look_at_clock(&mut self, now: Now) {
        let before = std::mem::replace(&mut self.wall.0, now.unix.as_millis());
        if self.wall.0 < before {
            self.wall.1.push((now.instant, before));
        }
    }

    /// The latest that its wall clock has said since then, in Unix milliseconds.
    pub(super) fn latest_wall_clock(&self, since: Instant) -> i64 {
        let before = self.wall.1.iter().filter(|(at, _)| since <= *at).map(|(_, millis)| *millis);
        before.fold(self.wall.0, i64::max)
    }

    /// Whether a token has been revoked here.
    pub(super) fn is_void(&self, pass: &Pass) -> bool {
        self.expelled.iter().any(|expelled| expelled.voids(pass))
    }

    /// A user's session begins.
    pub(super) fn enter(&mut self, user: &str, now: Instant) {
        let (count, crowded) = self.crowds.entry(user.to_owned()).or_default();
        *count += 1;
        if self.config.limits.connections_per_user < *count {
            *crowded = Some(now);
        }
    }

    /// A user's session is over.
    pub(super) fn leave(&mut self, user: &str) {
        if let Some((count, _)) = self.crowds.get_mut(user) {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether a user had too many sessions at `since` or later.
    pub(super) fn was_crowded(&self, user: &str, since: Instant) -> bool {
        self.crowds.get(user).is_some_and(|(_, crowded)| crowded.is_some_and(|at| since <= at))
    }

    /// How late a deadline may fire.
    pub(super) fn tolerance(&self) -> Duration {
        TICK + self.lateness
    }

    /// The newest offset that a lane may have evicted, and the newest that it must have.
    pub(super) fn evicted(&mut self, lane: Priority, now: Instant) -> (u64, u64) {
        let tolerance = self.tolerance() + Duration::from_secs(1);
        self.window.evicted(lane, &self.config, now, tolerance)
    }

    /// The weight of a lane beside `critical`.
    pub(super) fn weight(&self, lane: Priority) -> usize {
        let weights = &self.config.lanes;
        let weight = match lane {
            Priority::High => weights.high,
            Priority::Normal => weights.normal,
            Priority::Low | Priority::Critical => weights.low,
        };
        usize::try_from(weight).unwrap_or(usize::MAX / 8)
    }

    /// Compares what happened with what the hub counted.
    pub(super) fn check_counters(&self, machine: &Hub) -> Result<(), Violation> {
        let (own, stats) = (&self.counts, machine.stats());
        let differs = |name: &str, own: u64, counted: u64| {
            Err(Violation::new(Invariant::Counted, format!("{name}: {own} happened, {counted} were counted")))
        };
        let sum =
            |counted: &[PerLane<u64>], lane: Priority| counted.iter().map(|lanes| lanes[lane]).sum::<u64>();
        let exact = [
            ("accepted", own.accepted, stats.accepted),
            ("bytes received", own.bytes_received, stats.bytes_received),
            ("bytes sent", own.bytes_sent, stats.bytes_sent),
        ];
        for (name, own, counted) in exact {
            if own != counted {
                return differs(name, own, counted);
            }
        }
        for lane in Priority::ALL {
            let counted = sum(&stats.published, lane);
            if own.published[lane] != counted {
                return differs(&format!("published in {lane}"), own.published[lane], counted);
            }
            let counted = sum(&stats.delivered, lane);
            let unsaid = self.unsaid(machine);
            // A stream's blocks are counted as they are encoded, ahead of the socket.
            let ahead = 0 < own.streams && 0 < unsaid;
            if counted < own.delivered[lane] || !ahead && own.delivered[lane] + unsaid < counted {
                return differs(&format!("delivered in {lane}"), own.delivered[lane], counted);
            }
        }
        self.check_told(machine, stats)
    }

    /// Counters of what is told by replies, which may still wait where a connection ended.
    fn check_told(&self, machine: &Hub, stats: &Stats) -> Result<(), Violation> {
        let own = &self.counts;
        let told = [
            ("gaps", own.gaps_expired, stats.gaps_expired),
            ("gaps of an epoch", own.gaps_epoch, stats.gaps_epoch),
            ("resumes", own.resumes, stats.resumes),
            ("recovered resumes", own.recovered, stats.resumes_recovered),
            ("heartbeats", own.heartbeats, stats.heartbeats),
        ];
        let whole = self.unsaid(machine) == 0 && own.streams == 0;
        for (name, told, counted) in told {
            // A heartbeat may have been made in the very step in which a connection ended.
            let whole = whole && (name != "heartbeats" || own.ended == 0);
            if counted < told || whole && told != counted {
                let text = format!("{name}: {told} were told, {counted} were counted");
                return Err(Violation::new(Invariant::Counted, text));
            }
        }
        Ok(())
    }

    /// Connections of which something may be counted that nobody saw.
    fn unsaid(&self, machine: &Hub) -> u64 {
        self.counts.unsaid + machine.connections() as u64
    }
}
