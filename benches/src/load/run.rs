//! One run: a server, its connections, load, and the report.

use std::fs;
use std::process;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::LoadError;
use crate::dialect::{Dialect, PeerName};
use crate::fleet::{Delivered, Fleet};
use crate::pace::Pace;
use crate::process::{Place, Server, Usage};
use crate::report::{Latency, Report, kernel_share, micros};
use crate::scenario::Run;

/// How long the last deliveries may take.
const DRAIN: Duration = Duration::from_secs(10);
/// Connections whose memory is not counted as theirs: what the server allocates once comes with them.
const FIRST: usize = 10;

/// Measures one run of one peer.
pub(crate) fn measure<'a>(
    run: &'a Run,
    peer: PeerName,
    round: u32,
    place: &Place,
) -> Result<Report<'a>, LoadError> {
    let dialect = peer.dialect();
    let server = Server::start(place, |port| dialect.launch(place, port))?;
    let mut fleet = Fleet::new(run, &*dialect, server.address)?;
    let first = run.connections / FIRST;
    fleet.open(first)?;
    let before = server.usage().resident;
    fleet.open(run.connections)?;
    let added = server.usage().resident.saturating_sub(before);
    let mut load = Load::new(run);
    load.go_on(&mut fleet, &*dialect, Duration::from_secs_f64(run.warm_up))?;
    load.reset();
    let (began, usage, own) = (Instant::now(), server.usage(), own_cpu());
    load.go_on(&mut fleet, &*dialect, Duration::from_secs_f64(run.seconds))?;
    let (took, after, own) = (began.elapsed(), server.usage(), own_cpu().saturating_sub(own));
    let delivered = load.tally.delivered;
    load.drain(&mut fleet)?;
    if 0 < fleet.closed() {
        return Err(LoadError::Peer(format!("{} closed {} connections", peer.as_str(), fleet.closed())));
    }
    Ok(report(&Measured { run, peer, round, took, usage, after, own, delivered, added, first, load: &load }))
}

/// What was measured.
struct Measured<'a, 'b> {
    run: &'a Run,
    peer: PeerName,
    round: u32,
    took: Duration,
    usage: Usage,
    after: Usage,
    own: Duration,
    delivered: u64,
    added: u64,
    first: usize,
    load: &'b Load<'a>,
}

#[expect(clippy::cast_precision_loss, reason = "figures to be read, not counted with")]
fn report<'a>(measured: &Measured<'a, '_>) -> Report<'a> {
    let &Measured { run, took, usage, after, delivered, load, .. } = measured;
    let cpu = after.cpu.saturating_sub(usage.cpu);
    let cpu_us = micros(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX));
    Report {
        peer: measured.peer.as_str(),
        round: measured.round,
        run,
        measured_s: took.as_secs_f64(),
        delivered,
        delivered_per_s: delivered as f64 / took.as_secs_f64(),
        cpu_us,
        kernel_share: kernel_share(&usage, &after),
        cpu_us_per_delivery: (0 < delivered).then(|| cpu_us / delivered as f64),
        cpu_share: cpu.as_secs_f64() / took.as_secs_f64(),
        latency_us: Latency::of(&load.tally.latency),
        lost: load.lost(),
        repeated: load.tally.repeated,
        out_of_order: load.tally.out_of_order,
        resident_bytes: after.resident,
        resident_bytes_per_connection: measured.added / (run.connections - measured.first).max(1) as u64,
        waits: after.waits - usage.waits,
        preempted: after.preempted - usage.preempted,
        load_cpu_share: measured.own.as_secs_f64() / took.as_secs_f64(),
    }
}

/// What has come.
struct Tally {
    delivered: u64,
    repeated: u64,
    out_of_order: u64,
    latency: Histogram<u64>,
    /// Per connection and lane, one above the newest number.
    above: Vec<[usize; 4]>,
}

/// Publishes and counts.
struct Load<'a> {
    run: &'a Run,
    pace: Pace,
    receivers: Vec<u32>,
    /// Per message, how many have yet to get it.
    missing: Vec<u32>,
    tally: Tally,
    out: Vec<u8>,
}

impl<'a> Load<'a> {
    fn new(run: &'a Run) -> Self {
        // Three digits, and no range: a histogram that grows with what it is given.
        let latency = Histogram::new(3).expect("three digits are allowed");
        Self {
            run,
            pace: Pace::new(run, Instant::now()),
            receivers: run.receivers(),
            missing: Vec::new(),
            tally: Tally {
                delivered: 0,
                repeated: 0,
                out_of_order: 0,
                latency,
                above: vec![[0; 4]; run.connections],
            },
            out: Vec::new(),
        }
    }

    /// Forgets what the warm-up measured; completeness is of the whole run.
    fn reset(&mut self) {
        self.tally.delivered = 0;
        self.tally.latency.reset();
    }

    fn go_on(
        &mut self,
        fleet: &mut Fleet<'_>,
        dialect: &dyn Dialect,
        span: Duration,
    ) -> Result<(), LoadError> {
        let until = Instant::now() + span;
        loop {
            let now = Instant::now();
            if until <= now {
                return Ok(());
            }
            self.publish(fleet, dialect, now);
            let left = until - now;
            // Flat out it does not sleep: waking this process up would be charged to whoever writes to it.
            let wait = self.pace.wait(now).map_or(Duration::ZERO, |wait| wait.min(left));
            let wait = if self.run.window.is_none() && self.run.rate.is_none() { left } else { wait };
            self.receive(fleet, wait)?;
        }
    }

    /// Everything that is due goes out in one write.
    fn publish(&mut self, fleet: &mut Fleet<'_>, dialect: &dyn Dialect, now: Instant) {
        self.out.clear();
        while let Some(number) = self.pace.next(now) {
            dialect.publish(&mut self.out, self.run, number);
            self.missing.push(self.receivers[number % self.run.groups]);
        }
        if !self.out.is_empty() {
            fleet.publish(&self.out);
        }
    }

    fn receive(&mut self, fleet: &mut Fleet<'_>, wait: Duration) -> Result<(), LoadError> {
        let Self { run, pace, missing, tally, .. } = self;
        let mut now = None;
        fleet.turn(Some(wait), |Delivered { connection, number }| {
            let now = *now.get_or_insert_with(Instant::now);
            let above = &mut tally.above[connection][number % run.priorities.len()];
            let Some(left) = missing.get_mut(number) else { return };
            if number < *above || *left == 0 {
                tally.repeated += u64::from(number + 1 == *above || *left == 0);
                tally.out_of_order += u64::from(number + 1 < *above);
                return;
            }
            *above = number + 1;
            *left -= 1;
            tally.delivered += 1;
            if *left == 0 {
                pace.done();
            }
            if let Some(latency) = pace.latency_ns(number, now) {
                let _ = tally.latency.record(latency);
            }
        })
    }

    /// Waits until everything published has come.
    fn drain(&mut self, fleet: &mut Fleet<'_>) -> Result<(), LoadError> {
        let until = Instant::now() + DRAIN;
        while 0 < self.pace.open() && Instant::now() < until {
            self.receive(fleet, Duration::from_millis(50))?;
        }
        Ok(())
    }

    fn lost(&self) -> u64 {
        self.missing.iter().take(self.pace.sent()).map(|left| u64::from(*left)).sum()
    }
}

/// Processor time of this process, to see whether it was the bottleneck.
fn own_cpu() -> Duration {
    let text = fs::read_to_string(format!("/proc/{}/schedstat", process::id())).unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanos)
}
