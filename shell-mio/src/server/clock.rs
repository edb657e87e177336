//! The two clocks that the core is fed with.

use std::time::{Duration, Instant as SystemInstant, SystemTime, UNIX_EPOCH};

use tidings_core::{Instant, Now, UnixTime};

/// Reads the system's clocks; the monotonic one counts from its making.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(SystemInstant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(SystemInstant::now())
    }

    pub(super) fn now(self) -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = match since {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        Now { instant: self.instant(), unix: UnixTime::from_millis(millis) }
    }

    pub(super) fn instant(self) -> Instant {
        Instant::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// How long from now until `at`.
    pub(super) fn until(self, at: Instant) -> Duration {
        at.since(self.instant())
    }
}
