//! What a run says, as one line of JSON.

use std::collections::BTreeMap;
use std::fs;
use std::process;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::dialect::PeerName;
use crate::load::Load;
use crate::process::{Server, Usage};
use crate::quiet::Machine;
use crate::scenario::Run;

/// One measured run.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) peer: &'static str,
    pub(crate) round: u32,
    #[serde(flatten)]
    pub(crate) run: &'a Run,
    #[serde(flatten)]
    span: Span,
    /// Deliveries within the time measured, and a second; of a scenario that publishes over HTTP, events.
    delivered: u64,
    delivered_per_s: f64,
    /// Processor time for each delivery; none where nothing was delivered.
    cpu_us_per_delivery: Option<f64>,
    /// From the moment a message was due to each of its deliveries; queueing where a window is kept full.
    latency_us: Latency,
    /// Over the whole run: deliveries that never came, came twice, or came out of their lane's order.
    lost: u64,
    repeated: u64,
    out_of_order: u64,
    /// What each of the last nine tenths of the connections added before anything was published.
    resident_bytes_per_connection: u64,
    /// What this scenario alone measures.
    #[serde(flatten)]
    pub(crate) figures: BTreeMap<&'static str, f64>,
}

impl<'a> Report<'a> {
    #[expect(clippy::cast_precision_loss, reason = "figures to be read, not counted with")]
    pub(crate) fn new(
        (peer, round): (PeerName, u32),
        run: &'a Run,
        span: Span,
        delivered: u64,
        latency: &Histogram<u64>,
    ) -> Self {
        Self {
            peer: peer.as_str(),
            round,
            run,
            delivered,
            delivered_per_s: delivered as f64 / span.measured_s,
            cpu_us_per_delivery: (0 < delivered).then(|| span.cpu_us / delivered as f64),
            latency_us: Latency::of(latency),
            span,
            lost: 0,
            repeated: 0,
            out_of_order: 0,
            resident_bytes_per_connection: 0,
            figures: BTreeMap::new(),
        }
    }

    /// Adds whether everything came.
    pub(crate) fn complete(mut self, load: &Load<'_>) -> Self {
        self.lost = load.lost();
        (self.repeated, self.out_of_order) = (load.tally.repeated, load.tally.out_of_order);
        self
    }

    /// Adds what connections cost before anything was published.
    pub(crate) fn resident_each(mut self, bytes: u64) -> Self {
        self.resident_bytes_per_connection = bytes;
        self
    }

    /// Adds a figure that only this scenario has.
    pub(crate) fn figure(mut self, name: &'static str, figure: impl Into<Option<f64>>) -> Self {
        self.figures.extend(figure.into().map(|figure| (name, figure)));
        self
    }
}

/// A moment of a run.
#[derive(Debug)]
pub(crate) struct Moment {
    at: Instant,
    usage: Usage,
    own: Duration,
    machine: Machine,
}

impl Moment {
    pub(crate) fn now(server: &Server) -> Self {
        Self { at: Instant::now(), usage: server.usage(), own: own_cpu(), machine: Machine::now() }
    }
}

/// What happened between two moments.
#[derive(Debug, Serialize)]
pub(crate) struct Span {
    /// The time measured.
    pub(crate) measured_s: f64,
    /// Processor time of the server, of which a part was spent in the kernel.
    pub(crate) cpu_us: f64,
    kernel_share: f64,
    /// Share of one processor that the server took.
    cpu_share: f64,
    pub(crate) resident_bytes: u64,
    /// How often the server slept of itself, and was made to.
    waits: u64,
    preempted: u64,
    /// Share of one processor that the load generator took; near one, it was the bottleneck.
    load_cpu_share: f64,
    /// Shares of all processors that neither of the two had: other processes, and other machines on the host.
    others_share: f64,
    steal_share: f64,
}

impl Span {
    #[expect(clippy::cast_precision_loss, reason = "figures to be read, not counted with")]
    pub(crate) fn since(before: &Moment, server: &Server) -> Self {
        let after = Moment::now(server);
        let measured_s = (after.at - before.at).as_secs_f64();
        let cpu = after.usage.cpu.saturating_sub(before.usage.cpu);
        let own = after.own.saturating_sub(before.own);
        let (busy, steal_share) = after.machine.since(&before.machine);
        let processors = crate::process::processors() as f64;
        let ours = (cpu + own).as_secs_f64() / (measured_s * processors);
        Self {
            measured_s,
            cpu_us: micros(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX)),
            kernel_share: kernel_share(&before.usage, &after.usage),
            cpu_share: cpu.as_secs_f64() / measured_s,
            resident_bytes: after.usage.resident,
            waits: after.usage.waits - before.usage.waits,
            preempted: after.usage.preempted - before.usage.preempted,
            load_cpu_share: own.as_secs_f64() / measured_s,
            // Ticks are coarse: less than nothing is nothing.
            others_share: (busy - ours).max(0.0),
            steal_share,
        }
    }
}

/// Percentiles in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Latency {
    fn of(nanos: &Histogram<u64>) -> Self {
        let at = |quantile| micros(nanos.value_at_quantile(quantile));
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: micros(nanos.max()) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read, not counted with")]
pub(crate) fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

/// The share of the kernel in the processor time between two moments.
#[expect(clippy::cast_precision_loss, reason = "a figure to be read, not counted with")]
fn kernel_share(before: &Usage, after: &Usage) -> f64 {
    let system = after.system_ticks - before.system_ticks;
    let all = system + after.user_ticks - before.user_ticks;
    if all == 0 { 0.0 } else { system as f64 / all as f64 }
}

/// Processor time of this process, to see whether it was the bottleneck.
fn own_cpu() -> Duration {
    let text = fs::read_to_string(format!("/proc/{}/schedstat", process::id())).unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanos)
}
