//! What a run says, as one line of JSON.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::process::Usage;
use crate::scenario::Run;

/// One measured run.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) peer: &'static str,
    pub(crate) round: u32,
    #[serde(flatten)]
    pub(crate) run: &'a Run,
    /// The time measured.
    pub(crate) measured_s: f64,
    /// Deliveries within it, and a second.
    pub(crate) delivered: u64,
    pub(crate) delivered_per_s: f64,
    /// Processor time of the server, of which a part was spent in the kernel.
    pub(crate) cpu_us: f64,
    pub(crate) kernel_share: f64,
    /// Processor time for each delivery; none where nothing was delivered.
    pub(crate) cpu_us_per_delivery: Option<f64>,
    /// Share of one processor that the server took.
    pub(crate) cpu_share: f64,
    /// From the moment a message was due to each of its deliveries; queueing where a window is kept full.
    pub(crate) latency_us: Latency,
    /// Over the whole run: deliveries that never came, came twice, or came out of their lane's order.
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) out_of_order: u64,
    pub(crate) resident_bytes: u64,
    /// What each of the last nine tenths of the connections added before anything was published.
    pub(crate) resident_bytes_per_connection: u64,
    /// How often the server slept of itself, and was made to.
    pub(crate) waits: u64,
    pub(crate) preempted: u64,
    /// Share of one processor that the load generator took; near one, it was the bottleneck.
    pub(crate) load_cpu_share: f64,
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
    pub(crate) fn of(nanos: &Histogram<u64>) -> Self {
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
pub(crate) fn kernel_share(before: &Usage, after: &Usage) -> f64 {
    let system = after.system_ticks - before.system_ticks;
    let all = system + after.user_ticks - before.user_ticks;
    if all == 0 { 0.0 } else { system as f64 / all as f64 }
}
