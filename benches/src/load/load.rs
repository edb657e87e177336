//! Load on a fleet: what is due is published, and what comes is counted.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::LoadError;
use crate::dialect::{Dialect, Event};
use crate::fleet::{Delivered, Fleet};
use crate::pace::Pace;
use crate::scenario::{Lane, Run};

/// How long the last deliveries may take.
const DRAIN: Duration = Duration::from_secs(10);

/// An event on its way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    lane: Lane,
    /// How many have yet to get it.
    left: u32,
}

/// What has come.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) delivered: u64,
    pub(crate) repeated: u64,
    pub(crate) out_of_order: u64,
    /// In nanoseconds, without the connections that stall.
    pub(crate) latency: Histogram<u64>,
    /// Per connection and lane, one above the newest number.
    above: Vec<[usize; 4]>,
}

impl Tally {
    /// Whether a connection has every event of its lane below a number.
    pub(crate) fn has(&self, connection: usize, lane: Lane, number: usize) -> bool {
        number < self.above[connection][lane as usize]
    }
}

/// Publishes and counts.
pub(crate) struct Load<'a> {
    run: &'a Run,
    dialect: &'a dyn Dialect,
    pace: Pace,
    receivers: Vec<u32>,
    sent: Vec<Sent>,
    pub(crate) tally: Tally,
    out: Vec<u8>,
}

impl<'a> Load<'a> {
    pub(crate) fn new(run: &'a Run, dialect: &'a dyn Dialect) -> Self {
        // Three digits, and no range: a histogram that grows with what it is given.
        let latency = Histogram::new(3).expect("three digits are allowed");
        let above = vec![[0; 4]; run.connections];
        Self {
            run,
            dialect,
            pace: Pace::new(run, Instant::now()),
            receivers: run.receivers(),
            sent: Vec::new(),
            tally: Tally { delivered: 0, repeated: 0, out_of_order: 0, latency, above },
            out: Vec::new(),
        }
    }

    /// Forgets what the warm-up measured; completeness is of the whole run.
    pub(crate) fn reset(&mut self) {
        self.tally.delivered = 0;
        self.tally.latency.reset();
    }

    /// Goes on from now: with so many in flight, or so many a second.
    pub(crate) fn pace(&mut self, window: Option<usize>, rate: Option<f64>) {
        self.pace.go(window, rate, Instant::now());
    }

    /// Keeps up the load for a time.
    pub(crate) fn go_on(&mut self, fleet: &mut Fleet<'_>, span: Duration) -> Result<(), LoadError> {
        let until = Instant::now() + span;
        loop {
            let now = Instant::now();
            if until <= now {
                return Ok(());
            }
            self.publish(fleet, now);
            let wait = self.pace.wait(now, until - now);
            self.receive(fleet, wait)?;
        }
    }

    /// Everything that is due goes out in one write, where the server lets it.
    fn publish(&mut self, fleet: &mut Fleet<'_>, now: Instant) {
        self.out.clear();
        while let Some(number) = self.pace.next(now) {
            self.append(&self.run.event(number));
            if !self.dialect.keeps_publishers() {
                fleet.publish(&self.out);
                self.out.clear();
            }
        }
        if !self.out.is_empty() {
            fleet.publish(&self.out);
        }
    }

    fn append(&mut self, event: &Event) {
        self.dialect.publish(&mut self.out, event);
        self.sent.push(Sent { lane: event.lane, left: self.receivers[event.group] });
    }

    /// Publishes one event out of turn, and gives its number.
    pub(crate) fn urge(&mut self, fleet: &mut Fleet<'_>, lane: Lane) -> usize {
        let number = self.pace.send(Instant::now());
        self.out.clear();
        self.append(&Event { lane, ..self.run.event(number) });
        fleet.publish(&self.out);
        number
    }

    /// Takes what comes within `wait`.
    pub(crate) fn receive(&mut self, fleet: &mut Fleet<'_>, wait: Duration) -> Result<(), LoadError> {
        let Self { run, pace, sent, tally, .. } = self;
        let mut now = None;
        fleet.turn(Some(wait), |Delivered { connection, number }| {
            let now = *now.get_or_insert_with(Instant::now);
            let Some(Sent { lane, left }) = sent.get_mut(number) else { return };
            let above = &mut tally.above[connection][*lane as usize];
            if number + 1 == *above || *left == 0 {
                tally.repeated += 1;
                return;
            }
            // What comes late is there all the same: else its place in the window would never be free.
            tally.out_of_order += u64::from(number < *above);
            *above = (number + 1).max(*above);
            *left -= 1;
            tally.delivered += 1;
            if *left == 0 {
                pace.done();
            }
            if let Some(latency) = pace.latency_ns(number, now)
                && !run.stalls(connection)
            {
                let _ = tally.latency.record(latency);
            }
        })
    }

    /// Waits until everything published has come.
    pub(crate) fn drain(&mut self, fleet: &mut Fleet<'_>) -> Result<(), LoadError> {
        let until = Instant::now() + DRAIN;
        while 0 < self.pace.open() && Instant::now() < until {
            self.receive(fleet, Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Deliveries that never came.
    pub(crate) fn lost(&self) -> u64 {
        self.sent.iter().map(|sent| u64::from(sent.left)).sum()
    }

    /// How many events were published.
    pub(crate) fn sent(&self) -> usize {
        self.sent.len()
    }
}
