//! Deduplication of publishes: what was published under (publisher, source, id), and what came of it.
//!
//! Bounded by a window of time and by a number of keys; the oldest key is forgotten first.

use std::collections::VecDeque;
use std::time::Duration;

use crate::map::{Keyed, Map};
use crate::protocol::{Offset, RequestId};
use crate::time::Instant;

/// Bounds of the table.
#[derive(Clone, Copy, Debug)]
pub struct DedupSettings {
    /// How long a key is remembered.
    pub window: Duration,
    /// How many keys are remembered.
    pub keys: usize,
}

/// The scope within which an event's id is unique: publisher, source, id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Who publishes.
    pub publisher: Box<str>,
    /// The event's source.
    pub source: Box<str>,
    /// The event's id.
    pub id: Box<str>,
}

/// What the table knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: publish it.
    New,
    /// The same content is being appended; it shares that append's result.
    Pending(RequestId),
    /// The same content is in the log.
    Logged(Offset),
    /// Other content was published under this key.
    Conflict,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Pending(RequestId),
    Logged(Offset),
}

#[derive(Debug)]
struct Known {
    fingerprint: [u8; 16],
    state: State,
    stamp: u64,
}

/// The table of deduplication.
#[derive(Debug)]
pub struct Dedup {
    settings: DedupSettings,
    known: Map<Key, Known>,
    order: VecDeque<(Instant, u64, Key)>,
    stamps: u64,
}

impl Dedup {
    /// An empty table.
    #[must_use]
    pub fn new(settings: DedupSettings, keyed: Keyed) -> Self {
        Self { settings, known: Map::with_hasher(keyed), order: VecDeque::new(), stamps: 0 }
    }

    /// What is known of `key` with that content.
    pub fn look(&mut self, key: &Key, fingerprint: [u8; 16], now: Instant) -> Seen {
        self.expire(now);
        match self.known.get(key) {
            None => Seen::New,
            Some(known) if known.fingerprint != fingerprint => Seen::Conflict,
            Some(Known { state: State::Pending(request), .. }) => Seen::Pending(*request),
            Some(Known { state: State::Logged(offset), .. }) => Seen::Logged(*offset),
        }
    }

    /// Remembers that `key` is being appended.
    pub fn pending(&mut self, key: Key, fingerprint: [u8; 16], request: RequestId, now: Instant) {
        self.put(key, fingerprint, State::Pending(request), now);
    }

    /// Remembers that `key` is in the log.
    pub fn logged(&mut self, key: Key, fingerprint: [u8; 16], offset: Offset, now: Instant) {
        if let Some(known) = self.known.get_mut(&key) {
            known.state = State::Logged(offset);
            known.fingerprint = fingerprint;
            return;
        }
        self.put(key, fingerprint, State::Logged(offset), now);
    }

    /// Forgets `key`, because its append failed: a retry is published.
    pub fn failed(&mut self, key: &Key) {
        if matches!(self.known.get(key), Some(Known { state: State::Pending(_), .. })) {
            self.known.remove(key);
        }
    }

    /// Keys remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn put(&mut self, key: Key, fingerprint: [u8; 16], state: State, now: Instant) {
        if self.settings.keys <= self.order.len() {
            self.sweep();
        }
        while self.settings.keys <= self.order.len() {
            self.forget_oldest();
        }
        self.stamps += 1;
        self.order.push_back((now, self.stamps, key.clone()));
        self.known.insert(key, Known { fingerprint, state, stamp: self.stamps });
    }

    /// Takes out the places of what failed, once they are an eighth, so that an outage of the log with its many
    /// retries does not push out what is remembered, and a full table is not searched at each put.
    fn sweep(&mut self) {
        let failed = self.order.len() - self.known.len();
        if (self.settings.keys / 8).max(1) <= failed {
            self.order
                .retain(|(_, stamp, key)| self.known.get(key).is_some_and(|known| known.stamp == *stamp));
        }
    }

    fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(at, ..)| self.settings.window <= now.since(*at)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, stamp, key)) = self.order.pop_front()
            && self.known.get(&key).is_some_and(|known| known.stamp == stamp)
        {
            self.known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const SETTINGS: DedupSettings = DedupSettings { window: Duration::from_secs(300), keys: 3 };

    fn table() -> Dedup {
        Dedup::new(SETTINGS, Rng::new([1; 32]).keyed())
    }

    fn key(id: &str) -> Key {
        Key { publisher: "p".into(), source: "/s".into(), id: id.into() }
    }

    fn at(secs: u64) -> Instant {
        Instant::from_micros(secs * 1_000_000)
    }

    #[test]
    fn a_key_goes_from_new_over_pending_to_logged() {
        let mut dedup = table();
        assert_eq!(dedup.look(&key("a"), [0; 16], at(0)), Seen::New);
        dedup.pending(key("a"), [0; 16], RequestId(7), at(0));
        assert_eq!(dedup.look(&key("a"), [0; 16], at(1)), Seen::Pending(RequestId(7)));
        let offset = Offset::new(5).unwrap();
        dedup.logged(key("a"), [0; 16], offset, at(1));
        assert_eq!(dedup.look(&key("a"), [0; 16], at(2)), Seen::Logged(offset));
        assert_eq!(dedup.look(&key("a"), [1; 16], at(2)), Seen::Conflict);
    }

    #[test]
    fn a_failed_append_may_be_retried_but_a_logged_event_stays() {
        let mut dedup = table();
        dedup.pending(key("a"), [0; 16], RequestId(7), at(0));
        dedup.failed(&key("a"));
        assert_eq!(dedup.look(&key("a"), [0; 16], at(1)), Seen::New);
        dedup.logged(key("a"), [0; 16], Offset::ZERO, at(1));
        dedup.failed(&key("a"));
        assert_eq!(dedup.look(&key("a"), [0; 16], at(1)), Seen::Logged(Offset::ZERO));
    }

    #[test]
    fn the_window_and_the_bound_forget_the_oldest() {
        let mut dedup = table();
        for (id, secs) in [("a", 0), ("b", 1), ("c", 2), ("d", 3)] {
            dedup.logged(key(id), [0; 16], Offset::ZERO, at(secs));
        }
        assert_eq!(dedup.len(), 3);
        assert_eq!(dedup.look(&key("a"), [0; 16], at(3)), Seen::New);
        assert_eq!(dedup.look(&key("b"), [0; 16], at(300)), Seen::Logged(Offset::ZERO));
        assert_eq!(dedup.look(&key("b"), [0; 16], at(301)), Seen::New);
    }

    #[test]
    fn an_outage_of_the_log_pushes_nothing_out_that_is_remembered() {
        let mut dedup = table();
        dedup.logged(key("a"), [0; 16], Offset::ZERO, at(0));
        for request in 0..10 {
            dedup.pending(key("b"), [0; 16], RequestId(request), at(1));
            dedup.failed(&key("b"));
        }
        dedup.logged(key("b"), [0; 16], Offset::ZERO, at(2));
        for id in ["a", "b"] {
            assert_eq!(dedup.look(&key(id), [0; 16], at(2)), Seen::Logged(Offset::ZERO), "{id}");
        }
        assert_eq!(dedup.order.len(), 2);
    }

    #[test]
    fn a_retry_after_a_failure_is_not_forgotten_with_the_first_try() {
        let mut dedup = table();
        dedup.pending(key("a"), [0; 16], RequestId(1), at(0));
        dedup.failed(&key("a"));
        dedup.logged(key("a"), [0; 16], Offset::ZERO, at(200));
        assert_eq!(dedup.look(&key("a"), [0; 16], at(301)), Seen::Logged(Offset::ZERO));
    }
}
