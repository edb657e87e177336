//! What the hub counts. Counters only ever grow; gauges are read from the machines when asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::protocol::{CloseCode, ErrorCode, PerLane};

/// Counts of durations in buckets whose bounds double or more.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: [u64; Self::BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// The upper bounds of the buckets, in microseconds; the last bucket has none.
    pub const BOUNDS_US: [u64; 17] = [
        50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000, 5_000_000, 10_000_000,
    ];

    /// Nothing counted yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [0; Self::BOUNDS_US.len() + 1], sum_us: 0 }
    }

    /// Counts a duration that came up `times` times.
    pub fn record(&mut self, duration: Duration, times: u64) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.counts[Self::BOUNDS_US.partition_point(|bound| *bound < micros)] += times;
        self.sum_us = self.sum_us.saturating_add(micros.saturating_mul(times));
    }

    /// Every bucket as (upper bound in microseconds, count up to it); the last bound is none.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let bounds = Self::BOUNDS_US.into_iter().map(Some).chain([None]);
        bounds.zip(self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
    }

    /// The sum of all durations, in microseconds.
    #[must_use]
    pub const fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// What operators can watch: how one metric is exposed ([`metrics`](crate::hub::metrics) has them all).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with the base unit and, for a counter, `_total` at the end.
    pub name: &'static str,
    /// How its values behave.
    pub kind: MetricKind,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// The names of its labels; a histogram has `le` on its buckets besides.
    pub labels: &'static [&'static str],
}

/// How the values of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts durations in buckets.
    Histogram,
}

impl MetricKind {
    /// The kind as Prometheus names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The counters of one hub.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub accepted: u64,
    /// Handshakes and requests refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Close frames sent, by code.
    pub closed: BTreeMap<CloseCode, u64>,
    /// Errors answered to clients, by code.
    pub errors: BTreeMap<&'static str, u64>,
    /// HTTP responses, by status.
    pub responses: BTreeMap<u16, u64>,
    /// Events appended, by type and lane.
    pub published: Vec<PerLane<u64>>,
    /// Publishes that had been published before.
    pub duplicates: u64,
    /// Events handed to the kernel, by type and lane.
    pub delivered: Vec<PerLane<u64>>,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes handed to the kernel.
    pub bytes_sent: u64,
    /// Gaps told because history no longer held events.
    pub gaps_expired: u64,
    /// Gaps told because the log began anew.
    pub gaps_epoch: u64,
    /// Resumes, of WebSocket connections and of streams.
    pub resumes: u64,
    /// Resumes that history covered in every lane.
    pub resumes_recovered: u64,
    /// Heartbeats sent.
    pub heartbeats: u64,
    /// Panics met while parsing for one connection.
    pub panics: u64,
    /// Hubs of the process that were given up after a panic in their dispatch.
    pub hubs_given_up: u64,
    /// From a publish being accepted to the turn in which the kernel took the event.
    pub latency: Histogram,
    /// How long the shell's turns took.
    pub turns: Histogram,
}

impl Stats {
    /// Counters for that many event types.
    #[must_use]
    pub fn new(types: usize) -> Self {
        Self {
            published: vec![PerLane::default(); types],
            delivered: vec![PerLane::default(); types],
            ..Self::default()
        }
    }

    /// Counts a refused handshake or request.
    pub fn refuse(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    /// Counts a Close frame.
    pub fn close(&mut self, code: CloseCode) {
        *self.closed.entry(code).or_default() += 1;
    }

    /// Counts an error answered to a client.
    pub fn error(&mut self, code: ErrorCode) {
        *self.errors.entry(code.as_str()).or_default() += 1;
    }

    /// Counts an HTTP response.
    pub fn response(&mut self, status: u16) {
        *self.responses.entry(status).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_their_bounds_included() {
        let mut histogram = Histogram::new();
        [50, 51, 20_000_000].map(Duration::from_micros).iter().for_each(|took| histogram.record(*took, 1));
        let buckets: Vec<_> = histogram.cumulative().collect();
        assert_eq!(buckets[0], (Some(50), 1));
        assert_eq!(buckets[1], (Some(100), 2));
        assert_eq!(buckets[17], (None, 3));
        assert_eq!((histogram.count(), histogram.sum_us()), (3, 20_000_101));
    }
}
