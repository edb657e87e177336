//! When the next message is published: as soon as the window has room, or when its time has come.
//!
//! At a rate a message's latency counts from the moment at which it was due, not from when it was sent, so
//! that a server which stalls the publisher does not hide its delay (coordinated omission).

use std::time::{Duration, Instant};

use crate::scenario::Run;

/// Decides when messages are sent, and keeps when they were due.
#[derive(Debug)]
pub(crate) struct Pace {
    began: Instant,
    every: Option<Duration>,
    window: usize,
    /// From when on messages are due at the rate, and which of them was the first.
    since: (Instant, usize),
    /// When each message was due, in nanoseconds since the beginning.
    due: Vec<u64>,
    open: usize,
}

impl Pace {
    pub(crate) fn new(run: &Run, began: Instant) -> Self {
        let mut pace = Self { began, every: None, window: 0, since: (began, 0), due: Vec::new(), open: 0 };
        pace.go(run.window, run.rate, began);
        pace
    }

    /// Goes on from now: with so many in flight, or so many a second, or none.
    pub(crate) fn go(&mut self, window: Option<usize>, rate: Option<f64>, now: Instant) {
        self.every = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        self.window = window.unwrap_or(if rate.is_some() { usize::MAX } else { 0 });
        self.since = (now, self.due.len());
    }

    /// How many messages not everyone has yet.
    pub(crate) const fn open(&self) -> usize {
        self.open
    }

    /// Takes note that everyone has one of the messages.
    pub(crate) fn done(&mut self) {
        self.open -= 1;
    }

    /// The next message, if it is to be sent now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<usize> {
        if self.window <= self.open {
            return None;
        }
        let at = self.every.map_or(now, |every| self.at(every));
        (at <= now).then(|| self.send(at))
    }

    /// A message that is due at a moment, in turn or out of it.
    pub(crate) fn send(&mut self, at: Instant) -> usize {
        self.due.push(nanos(at.duration_since(self.began)));
        self.open += 1;
        self.due.len() - 1
    }

    /// How long nothing is due, at most `left`; no time at all where deliveries make room.
    pub(crate) fn wait(&self, now: Instant, left: Duration) -> Duration {
        match self.every {
            Some(every) => self.at(every).saturating_duration_since(now).min(left),
            None if self.window == 0 => left,
            // Flat out it does not sleep: waking this process up would be charged to whoever writes to it.
            None => Duration::ZERO,
        }
    }

    /// When the next message is due.
    fn at(&self, every: Duration) -> Instant {
        let (since, first) = self.since;
        let number = u32::try_from(self.due.len() - first).unwrap_or(u32::MAX);
        since + every.mul_f64(f64::from(number))
    }

    /// How long after it was due message `number` has come.
    pub(crate) fn latency_ns(&self, number: usize, now: Instant) -> Option<u64> {
        Some(nanos(now.duration_since(self.began)).saturating_sub(*self.due.get(number)?))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_from_the_moment_at_which_it_began() {
        let run: Run = toml::from_str("name = 's'\nconnections = 1\nwindow = 2").unwrap();
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut pace = Pace::new(&run, began);
        assert_eq!([pace.next(at(0)), pace.next(at(0)), pace.next(at(0))], [Some(0), Some(1), None]);
        pace.done();
        pace.done();
        pace.go(None, Some(10.0), at(5_000));
        assert_eq!(
            [pace.next(at(5_000)), pace.next(at(5_099)), pace.next(at(5_150))],
            [Some(2), None, Some(3)]
        );
        assert_eq!(pace.latency_ns(3, at(5_150)), Some(50_000_000), "it was due at 5,100 ms");
    }
}
