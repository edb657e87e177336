//! The log as this hub holds it: per lane a window of the newest events, bounded by count, bytes and age.
//!
//! Offsets come from outside, strictly ascending. Within a lane entries have consecutive sequence
//! numbers, so that a queue is a list of numbers and history is the only owner of an event.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, Priority};
use crate::protocol::{Epoch, Offset, PerLane};
use crate::time::Instant;
use crate::wire::Frame;

/// An event on its way to the log: what every instance needs to know of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Who published it: scopes the event's id.
    pub publisher: Box<str>,
    /// The event.
    pub event: Event,
    /// When the publish was accepted, by the clock of the process that accepted it.
    pub accepted: Instant,
}

/// One event of history.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the log.
    pub offset: Offset,
    /// The event and its publisher.
    pub record: Arc<Record>,
    /// The `event` message, encoded once.
    pub frame: Frame,
    /// When it was appended, for expiry.
    pub appended: Instant,
}

/// Bounds of each lane.
#[derive(Clone, Copy, Debug)]
pub struct HistorySettings {
    /// Events kept.
    pub events: usize,
    /// Bytes kept, all that an event costs counted.
    pub bytes: usize,
    /// How long an event is kept.
    pub age: Duration,
}

/// The newest events of one lane.
#[derive(Debug, Default)]
pub struct Window {
    entries: VecDeque<Entry>,
    first: u64,
    evicted: Offset,
    bytes: usize,
}

impl Window {
    /// The oldest sequence number held.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The sequence number that the next event gets.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Events held.
    #[must_use]
    pub fn events(&self) -> usize {
        self.entries.len()
    }

    /// Bytes held, all that an event costs counted.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The newest offset no longer held.
    #[must_use]
    pub const fn evicted(&self) -> Offset {
        self.evicted
    }

    /// The entry with that sequence number, where it is held.
    #[must_use]
    pub fn get(&self, seq: u64) -> Option<&Entry> {
        let index = seq.checked_sub(self.first)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// The sequence number of the oldest held entry above `offset`.
    #[must_use]
    pub fn seq_above(&self, offset: Offset) -> u64 {
        self.first + self.entries.partition_point(|entry| entry.offset <= offset) as u64
    }

    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.first += 1;
            self.evicted = entry.offset;
            self.bytes -= cost(&entry);
        }
    }

    fn is_over(&self, settings: &HistorySettings) -> bool {
        settings.events < self.entries.len() || settings.bytes < self.bytes
    }
}

fn cost(entry: &Entry) -> usize {
    size_of::<Entry>()
        + entry.frame.bytes().len()
        + entry.record.publisher.len()
        + entry.record.event.memory()
}

/// The log's recent past, by lane.
#[derive(Debug)]
pub struct History {
    settings: HistorySettings,
    epoch: Option<Epoch>,
    end: Offset,
    lanes: PerLane<Window>,
}

impl History {
    /// A log that is not open yet.
    #[must_use]
    pub fn new(settings: HistorySettings) -> Self {
        Self { settings, epoch: None, end: Offset::ZERO, lanes: PerLane::default() }
    }

    /// The epoch, once the log is open.
    #[must_use]
    pub const fn epoch(&self) -> Option<&Epoch> {
        self.epoch.as_ref()
    }

    /// The newest offset of the log.
    #[must_use]
    pub const fn end(&self) -> Offset {
        self.end
    }

    /// The window of one lane.
    #[must_use]
    pub fn lane(&self, lane: Priority) -> &Window {
        &self.lanes[lane]
    }

    /// Events held in all lanes.
    #[must_use]
    pub fn events(&self) -> usize {
        self.lanes.iter().map(|(_, window)| window.entries.len()).sum()
    }

    /// Bytes held in all lanes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lanes.iter().map(|(_, window)| window.bytes).sum()
    }

    /// Opens the log: everything up to `begin` is past and not held.
    pub fn open(&mut self, epoch: Epoch, begin: Offset) {
        self.epoch = Some(epoch);
        self.end = begin;
        self.lanes = PerLane::from_fn(|_| Window { evicted: begin, ..Window::default() });
    }

    /// Adds the next event to its lane and evicts what the bounds no longer hold. Returns its
    /// sequence number.
    ///
    /// # Panics
    /// Where offsets do not ascend, or the log is not open: the shell's fault, not a peer's.
    pub fn append(&mut self, entry: Entry) -> u64 {
        assert!(self.epoch.is_some(), "a log is opened before events are appended");
        assert!(self.end < entry.offset, "offsets ascend strictly");
        self.end = entry.offset;
        let settings = self.settings;
        let window = &mut self.lanes[entry.record.event.priority()];
        window.bytes += cost(&entry);
        window.entries.push_back(entry);
        let seq = window.end() - 1;
        // One event more than the bounds allow at most, so this takes few steps, amortised one.
        while window.is_over(&settings) && 1 < window.entries.len() {
            window.pop();
        }
        seq
    }

    /// Evicts up to `max` events that are too old. Says whether there are more.
    pub fn expire(&mut self, now: Instant, max: usize) -> bool {
        let mut evicted = 0;
        for priority in Priority::ALL {
            let window = &mut self.lanes[priority];
            while window.entries.front().is_some_and(|entry| self.settings.age <= now.since(entry.appended)) {
                if evicted == max {
                    return true;
                }
                window.pop();
                evicted += 1;
            }
        }
        false
    }

    /// When the oldest event becomes too old.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        let oldest = self.lanes.iter().filter_map(|(_, window)| window.entries.front());
        oldest.map(|entry| entry.appended).min().map(|appended| appended + self.settings.age)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Catalog, Defaults};
    use crate::time::UnixTime;

    const SETTINGS: HistorySettings =
        HistorySettings { events: 6, bytes: 8_000, age: Duration::from_millis(100) };

    /// Where the log begins: what is up to there is past.
    const BEGIN: Offset = Offset::new(7).unwrap();

    fn open() -> History {
        let mut history = History::new(SETTINGS);
        history.open(Epoch::new("e").unwrap(), BEGIN);
        history
    }

    fn entry(catalog: &Catalog, offset: u64, priority: Priority, padding: usize, at: Instant) -> Entry {
        let json = serde_json::json!({
            "type": "user.login", "priority": priority.as_str(),
            "data": {"userId": "u", "timestamp": "2026-01-31T08:00:00Z", "pad": "x".repeat(padding)},
        });
        let defaults = Defaults { id: "e", source: "/t", time: UnixTime::from_secs(0) };
        let event = catalog.parse(&json.to_string(), &defaults).unwrap();
        let frame = Frame::text(event.json());
        let record = Arc::new(Record { publisher: "p".into(), event, accepted: at });
        Entry { offset: Offset::new(offset).unwrap(), record, frame, appended: at }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append { lane: usize, padding: usize, hole: u64 },
        Pass(u64),
        Expire(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..4usize, prop_oneof![0..50usize, 0..2_000usize], 1..4u64)
                .prop_map(|(lane, padding, hole)| Step::Append { lane, padding, hole }),
            1 => (0..4usize).prop_map(|lane| Step::Append { lane, padding: SETTINGS.bytes, hole: 1 }),
            1 => (0..80u64).prop_map(Step::Pass),
            1 => (0..5usize).prop_map(Step::Expire),
        ]
    }

    /// An event that was appended at some time: its offset, what it costs, and since when it is there.
    type Appended = (Offset, usize, Instant);

    /// Holds a lane against the list of all that was ever appended to it.
    fn check(window: &Window, all: &[Appended]) {
        let first = usize::try_from(window.first()).unwrap();
        let held = &all[first..];
        assert_eq!((window.end(), window.events()), (all.len() as u64, held.len()));
        assert_eq!(window.bytes(), held.iter().map(|(_, cost, _)| cost).sum::<usize>());
        assert!(window.events() <= SETTINGS.events);
        assert!(window.bytes() <= SETTINGS.bytes || window.events() == 1, "one event is kept, however large");
        let evicted = first.checked_sub(1).map_or(BEGIN, |last| all[last].0);
        assert_eq!(window.evicted(), evicted, "a gap ends at the newest that is gone");
        for (seq, (offset, ..)) in (0_u64..).zip(all) {
            let found = window.get(seq).map(|entry| entry.offset);
            assert_eq!(found, (window.first() <= seq).then_some(*offset));
            let above = held.iter().position(|(other, ..)| offset < other).unwrap_or(held.len());
            assert_eq!(window.seq_above(*offset), window.first() + above as u64);
        }
    }

    /// Holds what an append has evicted against the bounds: with the newest of it they were exceeded.
    fn check_evicted(window: &Window, before: u64, all: &[Appended]) {
        assert_ne!(window.events(), 0, "the newest event is kept, however large");
        if before < window.first() {
            let (_, cost, _) = all[usize::try_from(window.first()).unwrap() - 1];
            let fits = window.events() < SETTINGS.events && window.bytes() + cost <= SETTINGS.bytes;
            assert!(!fits, "nothing goes that the bounds have room for");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_lane_holds_the_newest_that_its_bounds_allow_and_says_what_is_gone(
            steps in prop::collection::vec(step(), 0..60)
        ) {
            let catalog = Catalog::builtin();
            let mut history = open();
            let mut now = Instant::ZERO;
            let mut all: [Vec<Appended>; 4] = Default::default();
            let mut end = BEGIN.get();
            for step in steps {
                match step {
                    Step::Append { lane, padding, hole } => {
                        end += hole;
                        let (priority, all) = (Priority::ALL[lane], &mut all[lane]);
                        let entry = entry(&catalog, end, priority, padding, now);
                        let before = history.lane(priority).first();
                        all.push((entry.offset, cost(&entry), now));
                        prop_assert_eq!(history.append(entry), all.len() as u64 - 1);
                        check_evicted(history.lane(priority), before, all);
                    }
                    Step::Pass(millis) => now = now + Duration::from_millis(millis),
                    Step::Expire(max) => {
                        let before = Priority::ALL.map(|lane| history.lane(lane).first());
                        let events = history.events();
                        let more = history.expire(now, max);
                        prop_assert!(events - history.events() <= max);
                        let due = history.next_expiry().is_some_and(|at| at <= now);
                        prop_assert_eq!(more, due);
                        for ((lane, before), all) in Priority::ALL.into_iter().zip(before).zip(&all) {
                            let gone = usize::try_from(before).unwrap()
                                ..usize::try_from(history.lane(lane).first()).unwrap();
                            let is_old = |appended| SETTINGS.age <= now.since(appended);
                            prop_assert!(all[gone].iter().all(|(.., appended)| is_old(*appended)));
                        }
                    }
                }
                prop_assert_eq!(history.end().get(), end);
                for (lane, all) in Priority::ALL.into_iter().zip(&all) {
                    check(history.lane(lane), all);
                }
                let windows = Priority::ALL.map(|lane| history.lane(lane));
                prop_assert_eq!(history.events(), windows.map(Window::events).iter().sum::<usize>());
                prop_assert_eq!(history.bytes(), windows.map(Window::bytes).iter().sum::<usize>());
            }
        }
    }

    #[test]
    fn every_byte_that_an_event_keeps_in_memory_is_counted() {
        // Given an event,
        let catalog = Catalog::builtin();
        let base = entry(&catalog, 8, Priority::Low, 0, Instant::ZERO);
        let Record { event, accepted, .. } = &*base.record;
        // when its publisher's name is three bytes longer, or its frame, then so much more is counted,
        let record = Arc::new(Record { publisher: "pqrs".into(), event: event.clone(), accepted: *accepted });
        let frame = Frame::text(&format!("{}   ", event.json()));
        assert_eq!(cost(&Entry { record, ..base.clone() }), cost(&base) + 3);
        assert_eq!(cost(&Entry { frame, ..base.clone() }), cost(&base) + 3);
        // and its data twice: the event and the frame both have it.
        let padded = entry(&catalog, 8, Priority::Low, 100, Instant::ZERO);
        assert!(cost(&base) + 200 <= cost(&padded));
    }

    #[test]
    fn a_lane_holds_as_many_bytes_as_its_bound_and_not_one_more() {
        let catalog = Catalog::builtin();
        let entries = [8, 9].map(|offset| entry(&catalog, offset, Priority::Low, 0, Instant::ZERO));
        let both: usize = entries.iter().map(cost).sum();
        for (bytes, held) in [(both, 2), (both - 1, 1)] {
            let mut history = History::new(HistorySettings { bytes, ..SETTINGS });
            history.open(Epoch::new("e").unwrap(), BEGIN);
            for entry in entries.clone() {
                history.append(entry);
            }
            assert_eq!(history.lane(Priority::Low).events(), held);
        }
    }

    #[test]
    fn a_log_has_an_epoch_from_its_opening_on() {
        assert_eq!(History::new(SETTINGS).epoch(), None);
        assert_eq!(open().epoch().map(Epoch::as_str), Some("e"));
    }

    #[test]
    #[should_panic(expected = "offsets ascend strictly")]
    fn an_offset_that_does_not_ascend_is_the_shells_fault() {
        let catalog = Catalog::builtin();
        let mut history = open();
        for _ in 0..2 {
            history.append(entry(&catalog, 8, Priority::Low, 0, Instant::ZERO));
        }
    }
}
