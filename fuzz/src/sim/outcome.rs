//! What came of a run.

use std::fmt;
use std::time::Duration;

use super::scenario::PerFault;
use crate::model::Violation;

/// What was counted in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections opened.
    pub connections: u64,
    /// Lives of hubs.
    pub hubs: u64,
    /// Events that publishers sent, repeats included.
    pub publishes: u64,
    /// Events that the log took.
    pub logged: u64,
    /// Events that applications and readers received.
    pub deliveries: u64,
    /// Positions that were taken up again.
    pub resumes: u64,
    /// Gaps that were told.
    pub gaps: u64,
    /// Events that conflation replaced.
    pub conflations: u64,
    /// Bytes that hubs sent.
    pub bytes: u64,
    /// Inputs that hubs took.
    pub inputs: u64,
    /// Faults by kind.
    pub faults: PerFault<u64>,
}

impl Counts {
    /// Adds what another run counted.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.hubs += other.hubs;
        self.publishes += other.publishes;
        self.logged += other.logged;
        self.deliveries += other.deliveries;
        self.resumes += other.resumes;
        self.gaps += other.gaps;
        self.conflations += other.conflations;
        self.bytes += other.bytes;
        self.inputs += other.inputs;
        for (sum, more) in self.faults.0.iter_mut().zip(other.faults.0) {
            *sum += more;
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Names the run: the hash of its trace.
    pub hash: u64,
    /// Lines of its trace.
    pub lines: u64,
    /// How long it lasted in virtual time.
    pub virtual_time: Duration,
    /// What was counted.
    pub counts: Counts,
    /// The invariant that was broken first.
    pub violation: Option<Violation>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "connections   {:>10}   hubs        {:>10}", self.connections, self.hubs)?;
        writeln!(f, "publishes     {:>10}   logged      {:>10}", self.publishes, self.logged)?;
        writeln!(f, "deliveries    {:>10}   resumes     {:>10}", self.deliveries, self.resumes)?;
        writeln!(f, "gaps          {:>10}   conflations {:>10}", self.gaps, self.conflations)?;
        writeln!(f, "inputs        {:>10}   bytes       {:>10}", self.inputs, self.bytes)?;
        let faults: Vec<String> = self
            .faults
            .iter()
            .filter(|(_, count)| 0 < *count)
            .map(|(fault, count)| format!("{fault:?} {count}"))
            .collect();
        for line in faults.chunks(5) {
            writeln!(f, "  {}", line.join(", "))?;
        }
        Ok(())
    }
}
