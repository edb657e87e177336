//! What is in the log, and what of it a hub's history may and must still hold.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidings_core::event::Priority;
use tidings_core::history::Record;
use tidings_core::{Config, Instant, PerLane};

use super::ledger::Key;
use super::matching::{conflation_key, priority};
use super::{Invariant, Logged, Violation};

/// Bytes by which an event of history may cost more than its texts.
const OVERHEAD_MAX: usize = 512;

/// Bytes of an `event` message around its event.
const ENVELOPE: usize = 80;

/// One event of the log.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) offset: u64,
    pub(super) lane: Priority,
    pub(super) value: Value,
    pub(super) record: Arc<Record>,
    /// Under which it may replace an older event.
    pub(super) key: Option<String>,
    /// Bytes of its texts.
    size: usize,
}

/// One life of the log.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) epoch: String,
    pub(super) events: Vec<Event>,
}

impl Life {
    pub(super) fn get(&self, offset: u64) -> Option<&Event> {
        let index = self.events.binary_search_by_key(&offset, |event| event.offset).ok()?;
        self.events.get(index)
    }

    /// The events above `after`, up to and with `until`.
    pub(super) fn between(&self, after: u64, until: u64) -> &[Event] {
        let place = |offset| self.events.partition_point(|event| event.offset <= offset);
        self.events.get(place(after)..place(until)).unwrap_or(&[])
    }
}

/// The log in all its lives.
#[derive(Debug, Default)]
pub(super) struct Truth {
    lives: Vec<Life>,
    rules: Vec<(String, Vec<String>)>,
    /// The longest `event` message.
    pub(super) longest: usize,
}

impl Truth {
    /// Which types may be conflated, by which paths.
    pub(super) fn configure(&mut self, config: &Config) {
        self.rules =
            config.events.conflate.iter().map(|rule| (rule.type_name.clone(), rule.keys.clone())).collect();
    }

    pub(super) fn life(&self, index: usize) -> &Life {
        &self.lives[index]
    }

    /// The number of a life, which begins where it is new.
    pub(super) fn open(&mut self, epoch: &str) -> usize {
        self.lives.iter().position(|life| life.epoch == epoch).unwrap_or_else(|| {
            self.lives.push(Life { epoch: epoch.to_owned(), events: Vec::new() });
            self.lives.len() - 1
        })
    }

    pub(super) fn append(&mut self, logged: Logged) -> Result<(), Violation> {
        let Logged { epoch, offset, record } = logged;
        let json = record.event.json();
        let value: Value = serde_json::from_str(json)
            .map_err(|_| Violation::new(Invariant::Legal, "an event in the log is not JSON".to_owned()))?;
        let key = conflation_key(&value, &self.rules);
        let size = json.len() + record.publisher.len() + record.event.memory();
        self.longest = self.longest.max(json.len() + ENVELOPE);
        let life = self.open(epoch.as_str());
        let (offset, lane) = (offset.get(), record.event.priority());
        if lane != priority(&value) {
            let text = format!("an event of lane {lane} that belongs into {}: {json}", priority(&value));
            return Err(Violation::new(Invariant::Legal, text));
        }
        self.lives[life].events.push(Event { offset, lane, value, record, key, size });
        Ok(())
    }
}

/// One lane of a hub's history, between what it must and what it may have evicted.
#[derive(Debug, Default)]
pub(super) struct Held {
    entries: VecDeque<(u64, Instant, usize)>,
    /// Entries at the front that it must have evicted, and bytes of those behind.
    must: (usize, usize),
    /// Entries at the front that it may have evicted, and bytes at most of those behind.
    may: (usize, usize),
}

impl Held {
    fn push(&mut self, event: &Event, now: Instant) {
        self.entries.push_back((event.offset, now, event.size));
        self.must.1 += event.size;
        self.may.1 += event.size + OVERHEAD_MAX;
    }

    fn settle(&mut self, config: &Config, now: Instant, tolerance: Duration) {
        let history = &config.history;
        let age = Duration::from_millis(history.age_ms);
        let len = self.entries.len();
        while let Some((_, at, size)) = self.entries.get(self.may.0) {
            let over = history.events < len - self.may.0 || history.bytes < self.may.1;
            if !(over && self.may.0 + 1 < len || *at + age <= now) {
                break;
            }
            self.may = (self.may.0 + 1, self.may.1 - size - OVERHEAD_MAX);
        }
        while let Some((_, at, size)) = self.entries.get(self.must.0) {
            let over = history.events < len - self.must.0 || history.bytes < self.must.1;
            if !(over && self.must.0 + 1 < len || *at + age + tolerance < now) {
                break;
            }
            self.must = (self.must.0 + 1, self.must.1 - size);
        }
    }

    fn newest(&self, evicted: usize) -> Option<u64> {
        Some(self.entries.get(evicted.checked_sub(1)?)?.0)
    }
}

/// What a hub's history holds of the log, as far as its bounds say.
#[derive(Debug, Default)]
pub(super) struct Window {
    lanes: PerLane<Held>,
    begin: u64,
}

impl Window {
    /// Everything up to `begin` is past.
    pub(super) fn new(begin: u64) -> Self {
        Self { begin, ..Self::default() }
    }

    pub(super) fn push(&mut self, event: &Event, config: &Config, now: Instant) {
        let held = &mut self.lanes[event.lane];
        held.push(event, now);
        held.settle(config, now, Duration::ZERO);
    }

    /// The newest offset that a lane may have evicted, and the newest that it must have.
    pub(super) fn evicted(
        &mut self,
        lane: Priority,
        config: &Config,
        now: Instant,
        tolerance: Duration,
    ) -> (u64, u64) {
        let held = &mut self.lanes[lane];
        held.settle(config, now, tolerance);
        (held.newest(held.may.0).unwrap_or(self.begin), held.newest(held.must.0).unwrap_or(self.begin))
    }
}

/// Which keys of idempotency were seen, and when.
pub(super) type Seen = BTreeMap<Key, (u64, Instant)>;
