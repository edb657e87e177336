//! The pace that a client has asked for: its events go no faster than that, and as soon as it allows.

use std::time::Duration;

use tidings_core::Instant;

use super::hub::TICK;
use super::{Invariant, Moment, Violation};

/// A pace, and when events may go by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bytes_per_s: u64,
    /// When an event may go, by those that went whole; a tick's worth goes at once.
    from: Instant,
    /// When an event that waits goes at the latest, whatever the bytes were that went.
    by: Instant,
}

impl Pace {
    pub(super) const fn new(bytes_per_s: u64, now: Instant) -> Self {
        Self { bytes_per_s, from: now, by: now }
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
        if now + TICK < self.from {
            let text =
                format!("an event went that {} bytes a second allow at {:?}", self.bytes_per_s, self.from);
            return Err(Violation::new(Invariant::Punctual, text));
        }
        if begun == at.step {
            let late = Instant::from_micros(now.as_micros().saturating_sub(TICK.as_micros() as u64));
            self.from = self.from.max(late) + self.takes(len);
        }
        Ok(())
    }

    /// Whether what waits may be waiting for it, whose hub is as late as `late`.
    pub(super) fn holds(&self, now: Instant, late: Duration) -> bool {
        now <= self.by + late + TICK
    }
}
