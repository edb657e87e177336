//! Whether anyone else had the machine: what `/proc/stat` counts, less what the server and this process took.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// A look at the machine before a run.
const LOOK: Duration = Duration::from_millis(300);
/// Shares of all processors under which it is quiet: taken by others, and by other machines on its host.
const OTHERS_MAX: f64 = 0.05;
const STEAL_MAX: f64 = 0.02;

/// Ticks of all processors up to a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Machine {
    busy: u64,
    steal: u64,
    all: u64,
}

impl Machine {
    pub(crate) fn now() -> Self {
        Self::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// `cpu user nice system idle iowait irq softirq steal …`, in ticks (proc(5)).
    fn parse(stat: &str) -> Self {
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|tick| tick.parse().ok()).collect();
        let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
        let busy = at(0) + at(1) + at(2) + at(5) + at(6);
        Self { busy, steal: at(7), all: busy + at(3) + at(4) + at(7) }
    }

    /// Shares of all processors since an earlier moment: what ran here, and what other machines took.
    #[expect(clippy::cast_precision_loss, reason = "a figure to be read, not counted with")]
    pub(crate) fn since(&self, before: &Self) -> (f64, f64) {
        let all = (self.all - before.all).max(1) as f64;
        ((self.busy - before.busy) as f64 / all, (self.steal - before.steal) as f64 / all)
    }
}

/// Waits until nobody else has the machine, and takes what it waited from what is left of the patience: a machine
/// that is never quiet is measured all the same, and each run says so.
pub(crate) fn wait(patience: &mut Duration) {
    while !patience.is_zero() {
        let (began, before) = (Instant::now(), Machine::now());
        thread::sleep(LOOK);
        let (others, steal) = Machine::now().since(&before);
        if others < OTHERS_MAX && steal < STEAL_MAX {
            return;
        }
        *patience = patience.saturating_sub(began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_is_told_apart_from_what_was_taken() {
        let before = Machine::parse("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1 1");
        let after = Machine::parse("cpu  120 5 110 850 0 5 0 10 0 0");
        assert_eq!(after.since(&before), (0.4, 0.1));
    }
}
