//! One life of a hub: its end of the log, its history, and what it should have counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidings_core::event::Priority;
use tidings_core::stats::Stats;
use tidings_core::{Config, Hub, Instant, PerLane};

use super::truth::{Event, Seen, Window};
use super::{Invariant, LinkId, Violation};

/// A deadline fires up to a tick of the hub's timers late.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// Connections over the limit that a hub still tells so.
const OVERLOAD: usize = 256;
/// Bytes that history holds for a byte of a small event, at most.
const HELD_A_BYTE: usize = 16;

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
    pub(super) draining: bool,
    pub(super) links: BTreeSet<LinkId>,
    pub(super) counts: Counts,
    /// The most by which its timers were ever called late.
    pub(super) lateness: Duration,
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
            draining: false,
            links: BTreeSet::new(),
            counts: Counts::default(),
            lateness: Duration::ZERO,
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

    /// How many of the longest events may go in other lanes before one that waits in `lane`.
    pub(super) fn patience(&self, lane: Priority) -> usize {
        let weights = &self.config.lanes;
        let own = match lane {
            Priority::High => weights.high,
            Priority::Normal => weights.normal,
            Priority::Low | Priority::Critical => weights.low,
        };
        let others = weights.high + weights.normal + weights.low - own;
        let share = usize::try_from(others / own.max(1)).unwrap_or(usize::MAX / 8);
        3 * (share + 2)
    }

    /// Whether the hub as a whole keeps to its bounds.
    pub(super) fn check_bounds(&self, machine: &Hub) -> Result<(), Violation> {
        let (config, held) = (&self.config, machine.held());
        // A lane keeps its newest event, however large it is.
        let history = 4 * (config.history.bytes + HELD_A_BYTE * config.limits.event_bytes);
        let bounds = [
            ("connections", held.connections, config.limits.connections + OVERLOAD),
            ("events of history", held.history_events, 4 * config.history.events),
            ("bytes of history", held.history_bytes, history),
            ("keys of deduplication", held.dedup_keys, config.dedup.entries),
            ("appends", held.appends, config.dedup.entries),
        ];
        match bounds.iter().find(|(_, held, most)| most < held) {
            Some((name, held, most)) => {
                let text = format!("the hub holds {held} {name}, of {most} at most");
                Err(Violation::new(Invariant::Bounded, text))
            }
            None => Ok(()),
        }
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
