//! Searches of history that may take several turns: `recent`, and pages of history over HTTP.
//!
//! A step looks at a bounded number of entries, and steps are done between turns only, one for each searching
//! connection in its turn: what arrives begins a search and never does one, however much of it there is. What is
//! appended while a search for the newest goes on is looked at before it ends, so that a subscription begins with
//! nothing missing and nothing twice.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Hub;
use super::connection::{Busy, Phase, Step};
use super::grants::Allowed;
use crate::event::{Filter, Patterns, Priority};
use crate::history::{Entry, History, Record};
use crate::protocol::{ConnId, Offset, PerLane, Recent};
use crate::subscription::Permit as _;

/// Steps in one turn, of all searches together.
const STEPS_MAX: usize = 8;

/// What a search is for.
#[derive(Debug)]
pub(super) enum ScanFor {
    /// The newest matching events, for a subscription that begins.
    Recent { id: Box<str>, limit: usize },
    /// The oldest matching events above an offset.
    Page { limit: usize },
}

/// A search and how far it is.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) purpose: ScanFor,
    pub(super) patterns: Patterns,
    pub(super) filter: Filter,
    pub(super) permit: Allowed,
    /// Entries looked at so far.
    pub(super) looked: usize,
    /// Whether the bound on bytes cut the result.
    pub(super) truncated: bool,
    /// Of a page: the offset to go on after.
    pub(super) next: Offset,
    /// Of a page: the log's end when it was asked for, beyond which it does not go, or it might never end.
    until: Offset,
    /// Newest first: the next to look at is before it. Oldest first: the next to look at.
    cursors: PerLane<u64>,
    /// Newest first: the next to look at of what was appended since the search began.
    ends: PerLane<u64>,
    /// Newest first: the beginning of history or of what is asked for is reached, and only what was appended
    /// since is left.
    catching_up: bool,
    found: Vec<(Offset, Arc<Record>)>,
    bytes: usize,
}

impl Scan {
    /// A search that goes from the log's end backwards.
    pub(super) fn newest(
        history: &History,
        patterns: Patterns,
        filter: Filter,
        permit: Allowed,
        purpose: ScanFor,
    ) -> Self {
        let ends = PerLane::from_fn(|lane| history.lane(lane).end());
        Self::new(history, patterns, filter, permit, purpose, ends)
    }

    /// A search that goes forwards from above `after`.
    pub(super) fn above(
        history: &History,
        patterns: Patterns,
        filter: Filter,
        permit: Allowed,
        purpose: ScanFor,
        after: Offset,
    ) -> Self {
        let begins = PerLane::from_fn(|lane| history.lane(lane).seq_above(after));
        Self { next: after, ..Self::new(history, patterns, filter, permit, purpose, begins) }
    }

    fn new(
        history: &History,
        patterns: Patterns,
        filter: Filter,
        permit: Allowed,
        purpose: ScanFor,
        cursors: PerLane<u64>,
    ) -> Self {
        let (looked, truncated, catching_up, bytes) = (0, false, false, 0);
        let (next, until, found) = (history.end(), history.end(), Vec::new());
        Self {
            purpose,
            patterns,
            filter,
            permit,
            looked,
            truncated,
            next,
            until,
            cursors,
            ends: cursors,
            catching_up,
            found,
            bytes,
        }
    }

    /// The events found, oldest first.
    pub(super) fn found(&self) -> Vec<Recent<'_>> {
        let raw = |json| serde_json::from_str::<&RawValue>(json).expect("a delivered event is JSON");
        self.found
            .iter()
            .map(|(offset, record)| Recent { offset: *offset, event: raw(record.event.json()) })
            .collect()
    }

    /// Goes on for one step. Says whether the search is over.
    fn step(&mut self, hub: &Hub, bytes_max: usize) -> bool {
        match self.purpose {
            ScanFor::Recent { limit, .. } if self.catching_up => self.catch_up(hub, limit, bytes_max),
            ScanFor::Recent { limit, .. } => {
                self.catching_up = self.backwards(hub, limit, bytes_max);
                if self.catching_up {
                    self.found.reverse();
                }
                self.catching_up && self.is_caught_up(hub)
            }
            ScanFor::Page { limit } => self.forwards(hub, limit, bytes_max),
        }
    }

    fn backwards(&mut self, hub: &Hub, limit: usize, bytes_max: usize) -> bool {
        for _ in 0..hub.config.limits.search_step {
            if self.found.len() == limit {
                return true;
            }
            let newest = Priority::ALL
                .into_iter()
                .filter_map(|lane| {
                    Some((hub.history.lane(lane).get(self.cursors[lane].checked_sub(1)?)?, lane))
                })
                .max_by_key(|(entry, _)| entry.offset);
            let Some((entry, lane)) = newest else { return true };
            self.cursors[lane] -= 1;
            self.looked += 1;
            if !self.matches(hub, entry) {
                continue;
            }
            if bytes_max < self.bytes + entry.record.event.json().len() {
                self.truncated = true;
                return true;
            }
            self.take(entry);
        }
        false
    }

    /// Looks at what was appended while the search went on, and keeps to the bounds from the old end.
    fn catch_up(&mut self, hub: &Hub, limit: usize, bytes_max: usize) -> bool {
        for _ in 0..hub.config.limits.search_step {
            let Some((entry, lane, seq)) = oldest(&hub.history, &self.ends) else { break };
            self.ends[lane] = seq + 1;
            self.looked += 1;
            if self.matches(hub, entry) {
                self.take(entry);
            }
        }
        let beyond = self.found.len().saturating_sub(limit);
        let dropped: usize = self.found.drain(..beyond).map(|(_, record)| record.event.json().len()).sum();
        self.bytes -= dropped;
        let mut from = 0;
        while bytes_max < self.bytes && from < self.found.len() {
            self.bytes -= self.found[from].1.event.json().len();
            self.truncated = true;
            from += 1;
        }
        self.found.drain(..from);
        self.is_caught_up(hub)
    }

    fn is_caught_up(&self, hub: &Hub) -> bool {
        oldest(&hub.history, &self.ends).is_none()
    }

    fn forwards(&mut self, hub: &Hub, limit: usize, bytes_max: usize) -> bool {
        for _ in 0..hub.config.limits.search_step {
            if self.found.len() == limit {
                return true;
            }
            let oldest = oldest(&hub.history, &self.cursors).filter(|(entry, ..)| entry.offset <= self.until);
            let Some((entry, lane, seq)) = oldest else {
                self.next = self.until.max(self.next);
                return true;
            };
            if self.matches(hub, entry) {
                if bytes_max < self.bytes + entry.record.event.json().len() && !self.found.is_empty() {
                    return true;
                }
                self.take(entry);
            }
            self.cursors[lane] = seq + 1;
            self.next = entry.offset;
            self.looked += 1;
        }
        false
    }

    fn matches(&self, hub: &Hub, entry: &Entry) -> bool {
        let event = &entry.record.event;
        let name = hub.catalog.name(event.type_id());
        self.patterns.matches(name)
            && self.filter.matches(event.fields())
            && self.permit.permits(name, event.fields())
    }

    fn take(&mut self, entry: &Entry) {
        self.bytes += entry.record.event.json().len();
        self.found.push((entry.offset, Arc::clone(&entry.record)));
    }
}

/// The entry with the least offset at the cursors; evicted ones are passed over.
fn oldest<'a>(history: &'a History, cursors: &PerLane<u64>) -> Option<(&'a Entry, Priority, u64)> {
    Priority::ALL
        .into_iter()
        .filter_map(|lane| {
            let window = history.lane(lane);
            let seq = cursors[lane].max(window.first());
            Some((window.get(seq)?, lane, seq))
        })
        .min_by_key(|(entry, ..)| entry.offset)
}

impl Hub {
    /// Makes a connection search; what it sends meanwhile waits.
    pub(super) fn begin_scan(&mut self, conn: ConnId, scan: Scan) {
        let now = self.now.instant;
        let Some(connection) = self.connections.get_mut(conn) else { return };
        if let Phase::Live(session) = &mut connection.phase {
            session.busy = Some(Box::new((now, Busy::Scan(scan))));
            self.work.push_back(conn);
        }
    }

    /// Does the next steps of the searches, in the order in which they wait.
    pub(super) fn go_on_searching(&mut self) {
        for _ in 0..STEPS_MAX {
            let Some(conn) = self.work.pop_front() else { return };
            self.go_on_scanning(conn);
        }
    }

    /// Does one step of a connection's search, and answers where it was the last.
    fn go_on_scanning(&mut self, conn: ConnId) {
        let Some(mut scan) = self.take_scan(conn) else { return };
        if !scan.step(self, self.config.limits.recent_bytes) {
            // Who only catches up goes first: waiting for all others, it would find more than a step each time.
            if scan.catching_up {
                self.work.push_front(conn);
            } else {
                self.work.push_back(conn);
            }
            return self.put_scan(conn, scan);
        }
        match scan.purpose {
            ScanFor::Recent { .. } => {
                self.recent_found(conn, &scan);
                self.unblock(conn);
            }
            ScanFor::Page { .. } => self.page_found(conn, &scan),
        }
    }

    fn take_scan(&mut self, conn: ConnId) -> Option<Scan> {
        let connection = self.connections.get_mut(conn)?;
        match &mut connection.phase {
            Phase::Live(session) => match session.busy.take().map(|busy| *busy) {
                Some((_, Busy::Scan(scan))) => Some(scan),
                other => {
                    session.busy = other.map(Box::new);
                    None
                }
            },
            Phase::Http(exchange) => match &mut exchange.step {
                Step::Busy(_, busy) => match std::mem::replace(&mut **busy, Busy::Nothing) {
                    Busy::Scan(scan) => Some(scan),
                    other => {
                        **busy = other;
                        None
                    }
                },
                _ => None,
            },
            Phase::Closing(_) => None,
        }
    }

    fn put_scan(&mut self, conn: ConnId, scan: Scan) {
        let now = self.now.instant;
        let Some(connection) = self.connections.get_mut(conn) else { return };
        match &mut connection.phase {
            Phase::Live(session) => session.busy = Some(Box::new((now, Busy::Scan(scan)))),
            Phase::Http(exchange) => {
                if let Step::Busy(_, busy) = &mut exchange.step {
                    **busy = Busy::Scan(scan);
                }
            }
            Phase::Closing(_) => {}
        }
    }
}
