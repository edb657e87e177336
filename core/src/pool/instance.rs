//! One instance as the pool sees it: what it reported, what is on its way to it, whether it may be
//! placed on.

use std::num::NonZeroU32;

use super::config::{Health, InstanceId};
use crate::time::Instant;

/// Where an instance stands with the pool, beside what it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Serving,
    Suspected,
    Draining(Drain),
}

/// A drain's progress. `until` is fixed at its beginning, so every drain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    /// Connections that have not been told to go.
    pub(super) owed: u64,
    pub(super) next: Instant,
    pub(super) until: Instant,
}

/// A count that forgets what is older than two turns: for what should happen soon and may never happen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    current: u64,
    previous: u64,
}

impl Pending {
    pub(super) const fn add(&mut self, count: u64) {
        self.current = self.current.saturating_add(count);
    }

    /// Takes away up to `count`, the older first.
    pub(super) fn settle(&mut self, count: u64) {
        let old = count.min(self.previous);
        self.previous -= old;
        self.current = self.current.saturating_sub(count - old);
    }

    pub(super) fn turn(&mut self) {
        self.previous = std::mem::take(&mut self.current);
    }

    pub(super) const fn total(self) -> u64 {
        self.current.saturating_add(self.previous)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) id: InstanceId,
    pub(super) weight: NonZeroU32,
    pub(super) health: Health,
    pub(super) standing: Standing,
    /// When it counts as suspected.
    pub(super) report_by: Instant,
    /// Told to go for balance, and not gone.
    pub(super) told: Pending,
    placed: u64,
    accepted: u64,
    open: u64,
}

impl Instance {
    pub(super) const fn new(id: InstanceId, weight: NonZeroU32, report_by: Instant) -> Self {
        Self {
            id,
            weight,
            health: Health::Loading,
            standing: Standing::Serving,
            report_by,
            told: Pending { current: 0, previous: 0 },
            placed: 0,
            accepted: 0,
            open: 0,
        }
    }

    /// Connections it has, and those on their way to it.
    pub(super) const fn load(&self) -> u64 {
        self.open.saturating_add(self.placed.saturating_sub(self.accepted))
    }

    /// Its load without what has been told to go.
    pub(super) const fn staying(&self) -> u64 {
        self.load().saturating_sub(self.told.total())
    }

    pub(super) fn may_serve(&self, now: Instant) -> bool {
        self.health == Health::Ready && self.standing == Standing::Serving && now < self.report_by
    }

    /// Whether silence would make it suspected: a failed or draining one is not placed on anyway.
    pub(super) fn is_watched(&self) -> bool {
        self.standing == Standing::Serving && self.health != Health::Failed
    }

    pub(super) const fn place(&mut self) {
        self.placed = self.placed.saturating_add(1);
    }

    pub(super) fn unplace(&mut self) {
        if self.accepted < self.placed {
            self.placed -= 1;
        }
    }

    /// Takes over what a report counts.
    pub(super) fn count(&mut self, open: u64, accepted: u64) {
        if accepted < self.accepted {
            // A new hub counts from zero; what the old one had been handed is gone.
            self.placed = self.placed.saturating_sub(self.accepted);
            self.accepted = 0;
            self.open = 0;
            self.told = Pending::default();
        }
        let arrived = accepted - self.accepted;
        let gone = self.open.saturating_add(arrived).saturating_sub(open);
        self.told.settle(gone);
        self.accepted = accepted;
        self.placed = self.placed.max(accepted);
        self.open = open;
    }
}
