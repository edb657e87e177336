//! System calls of a server, counted by `perf stat` while it is under load. Counting costs the server a little,
//! so such a run is one of its own.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Counts for a while, beside the load.
pub(crate) struct Trace {
    perf: Child,
    span: Duration,
}

impl Trace {
    /// Begins to count, for `span`; nothing where `perf` is not to be had.
    pub(crate) fn start(process: u32, span: Duration) -> Option<Self> {
        let perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &process.to_string(), "--"])
            .args(["sleep", &span.as_secs_f64().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        Some(Self { perf, span })
    }

    /// Calls a second.
    pub(crate) fn calls_per_s(self) -> Option<f64> {
        let output = self.perf.wait_with_output().ok()?;
        let count = count(&String::from_utf8_lossy(&output.stderr))?;
        Some(count / self.span.as_secs_f64())
    }
}

/// The count in `123,,raw_syscalls:sys_enter,…`.
fn count(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_perf_has_not_got_is_none() {
        assert_eq!(count("1091,,raw_syscalls:sys_enter,401,100.00,,\n"), Some(1091.0));
        assert_eq!(count("<not counted>,,raw_syscalls:sys_enter,0,0.00,,\n"), None);
    }
}
