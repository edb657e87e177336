//! The log of all hubs: one epoch, ascending offsets with holes, and an order that is the log's own choice.
//!
//! An append is taken, or fails, when its time comes. A repeat of what is pending or logged is the same event,
//! so that a publisher may retry at another hub. Whatever is taken is handed to all hubs in order, at once where
//! none of them lags; who asked for it learns so from the log, and may before its own hub does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::history::Record;
use tidings_core::{Epoch, Input, Instant, LogUnavailable, Offset, RequestId};

use super::draw::{Draw, Stream};
use super::queue::Due;
use super::scenario::{Fault, LogProfile};
use super::scene::Scene;
use crate::model::{HubId, Logged};

/// Who asked for an append.
#[derive(Clone, Copy, Debug)]
struct Asker {
    host: u16,
    hub: HubId,
    request: RequestId,
}

/// What the log knows under a key.
#[derive(Clone, Copy, Debug)]
enum Known {
    Pending(u32),
    Logged(Offset, [u8; 16]),
}

/// Publisher, source and id.
type Key = (Box<str>, Box<str>, Box<str>);

/// An append that is under way.
#[derive(Debug)]
struct Append {
    record: Arc<Record>,
    askers: Vec<Asker>,
}

/// An answer that is under way.
type Answer = (Asker, Result<Offset, LogUnavailable>);

/// The log.
#[derive(Debug)]
pub(crate) struct Store {
    draw: Draw<'static>,
    profile: LogProfile,
    lives: u64,
    epoch: Epoch,
    begin: Offset,
    end: Offset,
    entries: Vec<(Offset, Arc<Record>)>,
    known: BTreeMap<Key, Known>,
    appends: BTreeMap<u32, Append>,
    answers: BTreeMap<u32, Answer>,
    next: u32,
    down_until: Instant,
    /// The last append is decided then; others wait for it where the log keeps their order.
    last_due: Instant,
}

impl Store {
    pub(crate) fn new(seed: u64, profile: LogProfile) -> Self {
        let mut draw = Draw::new(seed, Stream::Log, 0);
        let begin = first_offset(&mut draw, profile);
        Self {
            draw,
            profile,
            lives: 0,
            epoch: epoch(seed, 0),
            begin,
            end: begin,
            entries: Vec::new(),
            known: BTreeMap::new(),
            appends: BTreeMap::new(),
            answers: BTreeMap::new(),
            next: 0,
            down_until: Instant::ZERO,
            last_due: Instant::ZERO,
        }
    }

    pub(crate) const fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Whether nothing is under way.
    pub(crate) fn is_still(&self) -> bool {
        self.appends.is_empty() && self.answers.is_empty()
    }

    /// Forgets everything and begins anew.
    pub(crate) fn forget(&mut self, seed: u64) {
        self.lives += 1;
        self.epoch = epoch(seed, self.lives);
        self.begin = first_offset(&mut self.draw, self.profile);
        self.end = self.begin;
        self.entries.clear();
        self.known.clear();
        self.appends.clear();
        self.answers.clear();
    }

    /// Takes nothing until then.
    pub(crate) const fn fail_until(&mut self, until: Instant) {
        self.down_until = until;
    }

    /// The newest offset before what a hub that starts over finds.
    pub(crate) fn begin(&self) -> Offset {
        match self.entries.len().checked_sub(self.profile.retained + 1) {
            Some(index) => self.entries[index].0,
            None => self.begin,
        }
    }

    /// What a hub that starts over finds above an offset.
    pub(crate) fn after(&self, offset: Offset) -> Option<(Offset, Arc<Record>)> {
        let index = self.entries.partition_point(|(at, _)| *at <= offset);
        self.entries.get(index).cloned()
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }
}

/// A log need not begin at zero, and may be near its end.
fn first_offset(draw: &mut Draw<'_>, profile: LogProfile) -> Offset {
    if profile.hole_max == 0 || draw.chance(700) {
        return Offset::ZERO;
    }
    let offset = if draw.chance(500) { draw.scaled(1, 1 << 40) } else { (1 << 53) - (1 << 30) };
    Offset::new(offset).unwrap_or_default()
}

fn epoch(seed: u64, life: u64) -> Epoch {
    Epoch::new(&format!("e{seed:x}-{life}")).expect("hexadecimal digits are of the alphabet of epochs")
}

fn key(record: &Record) -> Key {
    let event = &record.event;
    (record.publisher.clone(), event.source().into(), event.id().into())
}

impl Scene<'_> {
    /// A hub asks for an append.
    pub(crate) fn append(&mut self, host: u16, hub: HubId, request: RequestId, record: Arc<Record>) {
        let asker = Asker { host, hub, request };
        let key = key(&record);
        match self.store.known.get(&key).copied() {
            Some(Known::Pending(number)) => {
                let Some(append) = self.store.appends.get_mut(&number) else { return };
                if append.record.event.fingerprint() == record.event.fingerprint() {
                    append.askers.push(asker);
                } else {
                    self.answer(asker, Err(LogUnavailable), Duration::ZERO);
                }
            }
            Some(Known::Logged(offset, print)) => {
                let same = print == record.event.fingerprint();
                self.answer(asker, if same { Ok(offset) } else { Err(LogUnavailable) }, Duration::ZERO);
            }
            None => {
                let number = self.store.number();
                self.store.known.insert(key, Known::Pending(number));
                self.store.appends.insert(number, Append { record, askers: vec![asker] });
                let due = self.append_due();
                self.queue.push(due, Due::Log(number));
            }
        }
    }

    fn append_due(&mut self) -> Instant {
        let (delays, reorders) = (self.rate(Fault::AppendDelay), self.rate(Fault::AppendReorder));
        let store = &mut self.store;
        let mut delay = Duration::from_micros(store.draw.range(0, store.profile.delay_max));
        let delayed = store.draw.chance(delays);
        if delayed {
            delay += store.draw.micros(1_000, 90_000_000);
        }
        let reordered = store.draw.chance(reorders);
        let mut due = self.now + delay;
        if !reordered && !delayed {
            due = due.max(store.last_due.min(self.now + Duration::from_millis(20)));
            store.last_due = due;
        }
        if delayed {
            self.count(Fault::AppendDelay);
        }
        if reordered {
            self.count(Fault::AppendReorder);
        }
        due
    }

    /// The log takes an append, or does not.
    pub(crate) fn decide(&mut self, number: u32) {
        let rate = self.rate(Fault::AppendFailure);
        let Some(Append { record, askers }) = self.store.appends.remove(&number) else { return };
        let fails = self.now < self.store.down_until || self.store.draw.chance(rate);
        let result = if fails { Err(LogUnavailable) } else { self.take_event(&record) };
        if result.is_err() {
            self.store.known.remove(&key(&record));
            self.count(Fault::AppendFailure);
            self.trace(format_args!("the log does not take {}", record.event.id()));
        }
        for asker in askers {
            let late = self.rate(Fault::AppendDelay) / 4;
            let delay = if self.store.draw.chance(late) {
                self.store.draw.micros(1, 50_000_000)
            } else {
                Duration::from_micros(self.store.draw.below(self.settings.log.delay_max / 4 + 1))
            };
            self.answer(asker, result, delay);
        }
    }

    fn take_event(&mut self, record: &Arc<Record>) -> Result<Offset, LogUnavailable> {
        let store = &mut self.store;
        let hole = store.draw.range(0, store.profile.hole_max);
        let offset = Offset::new(store.end.get() + 1 + hole).ok_or(LogUnavailable)?;
        store.end = offset;
        store.known.insert(key(record), Known::Logged(offset, record.event.fingerprint()));
        store.entries.push((offset, Arc::clone(record)));
        self.counts.logged += 1;
        self.trace(format_args!("{offset} is {} {}", record.event.id(), record.publisher));
        let epoch = self.store.epoch.clone();
        self.model.logged(Logged { epoch, offset, record: Arc::clone(record) });
        for host in 0..self.settings.hubs {
            self.with_life(host, |life, scene| life.feed(scene, offset, Arc::clone(record)));
        }
        Ok(offset)
    }

    fn answer(&mut self, asker: Asker, result: Result<Offset, LogUnavailable>, delay: Duration) {
        let number = self.store.number();
        self.store.answers.insert(number, (asker, result));
        self.queue.push(self.now + delay, Due::Answer(number));
    }

    /// A hub is told, where it still lives.
    pub(crate) fn answer_due(&mut self, number: u32) {
        let Some((asker, result)) = self.store.answers.remove(&number) else { return };
        self.with_life(asker.host, |life, scene| {
            if life.id == asker.hub {
                if result.is_err() {
                    scene.model.append_failed(life.id, asker.request);
                }
                life.input(scene, Input::AppendResult { request: asker.request, result });
                scene.turn_at(asker.host, scene.now);
            }
        });
    }
}
