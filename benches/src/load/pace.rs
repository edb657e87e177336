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
    /// When each message was due, in nanoseconds since the beginning.
    due: Vec<u64>,
    open: usize,
}

impl Pace {
    pub(crate) fn new(run: &Run, began: Instant) -> Self {
        let every = run.rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        let window = run.window.unwrap_or(if every.is_some() { usize::MAX } else { 0 });
        Self { began, every, window, due: Vec::new(), open: 0 }
    }

    /// How many messages were sent.
    pub(crate) fn sent(&self) -> usize {
        self.due.len()
    }

    /// How many of them not everyone has yet.
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
        let at = match self.every {
            None => now,
            Some(every) => {
                self.began + every.mul_f64(f64::from(u32::try_from(self.due.len()).unwrap_or(u32::MAX)))
            }
        };
        if now < at {
            return None;
        }
        self.due.push(nanos(at.duration_since(self.began)));
        self.open += 1;
        Some(self.due.len() - 1)
    }

    /// How long nothing is due; nothing where only deliveries make room.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let every = self.every?;
        let at = self.began + every.mul_f64(f64::from(u32::try_from(self.due.len()).unwrap_or(u32::MAX)));
        Some(at.saturating_duration_since(now))
    }

    /// How long after it was due message `number` has come.
    pub(crate) fn latency_ns(&self, number: usize, now: Instant) -> Option<u64> {
        Some(nanos(now.duration_since(self.began)).saturating_sub(*self.due.get(number)?))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
