//! Deadlines of all connections, in coarse ticks: one entry a connection, re-armed lazily.
//!
//! Traffic only writes a timestamp; when an entry comes due its connection says what is really due and
//! when to look again. A deadline never fires early and at most one tick late. The same table serves the
//! monotonic clock (heartbeats, timeouts) and the wall clock (token expiry).

use std::collections::BTreeMap;

use crate::protocol::ConnId;

/// Entries by tick.
#[derive(Debug)]
pub struct Timers {
    tick: u64,
    due: BTreeMap<u64, Vec<ConnId>>,
    len: usize,
}

impl Timers {
    /// An empty table with ticks of `tick` units of its clock.
    #[must_use]
    pub const fn new(tick: u64) -> Self {
        Self { tick, due: BTreeMap::new(), len: 0 }
    }

    /// Adds an entry that comes due at `at`, or up to a tick later. Returns its tick, by which the
    /// owner knows the entry from one that a later deadline has replaced.
    pub fn arm(&mut self, conn: ConnId, at: u64) -> u64 {
        let tick = at.div_ceil(self.tick);
        self.due.entry(tick).or_default().push(conn);
        self.len += 1;
        tick
    }

    /// The tick that a deadline at `at` would be armed for.
    #[must_use]
    pub const fn tick_of(&self, at: u64) -> u64 {
        at.div_ceil(self.tick)
    }

    /// When the next entry comes due.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.due.first_key_value().map(|(tick, _)| tick.saturating_mul(self.tick))
    }

    /// Takes one entry that is due at `now`, with its tick.
    pub fn pop(&mut self, now: u64) -> Option<(u64, ConnId)> {
        let mut first = self.due.first_entry()?;
        let tick = *first.key();
        if now < tick.saturating_mul(self.tick) {
            return None;
        }
        let conn = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        self.len -= 1;
        conn.map(|conn| (tick, conn))
    }

    /// Entries armed.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no entry is armed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_fires_early_nor_more_than_a_tick_late(
            deadlines in prop::collection::vec(0u64..5000, 1..50), tick in 1u64..200
        ) {
            let mut timers = Timers::new(tick);
            for (slot, at) in (0u32..).zip(&deadlines) {
                timers.arm(ConnId::new(slot, 0), *at);
            }
            let mut fired = 0;
            while let Some(now) = timers.next() {
                prop_assert!(now == 0 || timers.pop(now - 1).is_none());
                while let Some((_, conn)) = timers.pop(now) {
                    let at = deadlines[conn.slot()];
                    prop_assert!(at <= now && now < at + tick);
                    fired += 1;
                }
            }
            prop_assert_eq!(fired, deadlines.len());
            prop_assert!(timers.is_empty());
        }
    }
}
