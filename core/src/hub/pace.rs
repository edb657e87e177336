//! The pace of a connection: how many bytes of events a second its client takes at most.
//!
//! What a kernel, a proxy or a browser has taken, nothing overtakes. A client behind such buffers that asks for less
//! than its line could carry has what waits for it wait here, where priorities still decide. Only events keep to the
//! pace; replies, control frames and the rest of a frame begun go at once.

use std::time::Duration;

use super::answers::Query;
use super::deadlines::TICK_US;
use crate::time::Instant;
use crate::wire::http::Response;

/// Bytes a second that may be asked for.
const ALLOWED: std::ops::RangeInclusive<u32> = 256..=1 << 30;

/// A connection's pace, and until when it has used it up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bytes_per_s: u32,
    free: Instant,
}

impl Pace {
    /// The pace that a request asks for, or none.
    pub(super) fn read(query: &Query, now: Instant) -> Result<Option<Self>, Response> {
        let Some(text) = query.get("pace") else { return Ok(None) };
        match text.parse() {
            Ok(bytes_per_s) if ALLOWED.contains(&bytes_per_s) => Ok(Some(Self { bytes_per_s, free: now })),
            _ => {
                let (least, most) = (ALLOWED.start(), ALLOWED.end());
                let detail = format!("`pace` must be a number of bytes a second from {least} to {most}");
                Err(Response::problem(400, "invalid_message", &detail, &[]))
            }
        }
    }

    pub(super) const fn bytes_per_s(&self) -> u32 {
        self.bytes_per_s
    }

    /// When events may go again.
    pub(super) const fn free(&self) -> Instant {
        self.free
    }

    /// Bytes of events that may go now: what the pace gives until the next tick, and so one frame at least; none
    /// while it is used up.
    pub(super) fn room(&self, now: Instant) -> Option<usize> {
        let bytes = u64::from(self.bytes_per_s) * TICK_US / 1_000_000;
        (self.free <= now).then(|| usize::try_from(bytes).unwrap_or(usize::MAX).max(1))
    }

    /// Takes note that so many bytes went. A tick that the hub was late by is made up for; no more is saved up.
    pub(super) fn used(&mut self, now: Instant, bytes: usize) {
        let micros = (bytes as u64).saturating_mul(1_000_000) / u64::from(self.bytes_per_s);
        let late = Instant::from_micros(now.as_micros().saturating_sub(TICK_US));
        self.free = self.free.max(late) + Duration::from_micros(micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_whatever_the_size_of_what_goes() {
        // given: a pace that gives 50 bytes a tick
        let at = |millis: u64| Instant::from_micros(millis * 1_000);
        let mut pace = Pace { bytes_per_s: 1_000, free: at(0) };
        assert_eq!(pace.room(at(0)), Some(50));
        // when more than that goes, then nothing may go before the time that it takes has passed
        pace.used(at(0), 300);
        assert_eq!((pace.room(at(299)), pace.room(at(300))), (None, Some(50)));
        // and: what was not used for want of a tick is made up for
        pace.used(at(320), 100);
        assert_eq!((pace.room(at(399)), pace.room(at(400))), (None, Some(50)));
        // and: no more than that is saved up
        pace.used(at(10_000), 100);
        assert_eq!((pace.room(at(10_049)), pace.room(at(10_050))), (None, Some(50)));
    }
}
