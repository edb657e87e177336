//! The pace that a client has asked for: its events go no faster than that, and as soon as it allows.

use std::time::Duration;

use tidings_core::Instant;

use super::hub::TICK;
use super::{Invariant, Moment, Violation};

/// A pace, and when events may go by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bytes_per_s: u64,
    /// One tick later than an event may go, by those that went whole: a hub that is a tick late makes up for it.
    from: Instant,
    /// When an event that waits goes at the latest, whatever the bytes were that went.
    by: Instant,
}

impl Pace {
    pub(super) fn new(bytes_per_s: u64, now: Instant) -> Self {
        Self { bytes_per_s, from: now + TICK, by: now }
    }

    fn takes(&self, bytes: usize) -> Duration {
        Duration::from_micros(bytes as u64 * 1_000_000 / self.bytes_per_s)
    }

    /// Bytes of whatever kind went.
    pub(super) fn went(&mut self, now: Instant, bytes: usize) {
        self.by = self.by.max(now) + self.takes(bytes);
    }

    /// An event of `len` bytes went that was begun at step `begun` of the run. One that took its time leaves the next
    /// as much earlier.
    pub(super) fn event(&mut self, at: Moment, begun: u64, len: usize) -> Result<(), Violation> {
        let now = at.now.instant;
        // A tick's worth goes at once.
        if now + TICK * 2 < self.from {
            let text = format!(
                "an event went that {} bytes a second allow a tick before {:?}",
                self.bytes_per_s, self.from
            );
            return Err(Violation::new(Invariant::Punctual, text));
        }
        if begun == at.step {
            self.from = self.from.max(now) + self.takes(len);
        }
        Ok(())
    }

    /// Whether an event may certainly go.
    pub(super) fn allows(&self, now: Instant) -> bool {
        self.by <= now
    }

    /// Whether what waits may be waiting for it, whose hub is as late as `late`.
    pub(super) fn holds(&self, now: Instant, late: Duration) -> bool {
        now <= self.by + late + TICK
    }
}
