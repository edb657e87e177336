//! What is measured: a file of common settings and of the runs that differ in a few of them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::LoadError;

/// One run: how many connections, what they want, and how fast it is published.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// Names the run in results.
    pub(crate) name: String,
    /// Connections that subscribe.
    pub(crate) connections: usize,
    /// Bytes of an event's JSON.
    #[serde(default = "event_bytes")]
    pub(crate) event_bytes: usize,
    /// Messages in flight; flat out where no rate is given.
    #[serde(default)]
    pub(crate) window: Option<usize>,
    /// Messages a second, whether or not the server keeps up.
    #[serde(default)]
    pub(crate) rate: Option<f64>,
    /// Groups that events belong to in turn; 1: everyone gets everything, without a filter.
    #[serde(default = "one")]
    pub(crate) groups: usize,
    /// Neighbouring groups that a connection subscribes to, each with a filter of its own.
    #[serde(default = "one")]
    pub(crate) filters: usize,
    /// Priorities that events have in turn.
    #[serde(default = "normal")]
    pub(crate) priorities: Vec<Lane>,
    /// Measured, after `warm_up`.
    #[serde(default = "three_seconds")]
    pub(crate) seconds: f64,
    /// Under load and not yet measured.
    #[serde(default = "one_second")]
    pub(crate) warm_up: f64,
}

/// A priority, as events name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lane {
    /// Before everything else.
    Critical,
    /// Urgent.
    High,
    /// Usual.
    Normal,
    /// Whenever there is room.
    Low,
}

impl Lane {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

const fn event_bytes() -> usize {
    300
}

const fn one() -> usize {
    1
}

fn normal() -> Vec<Lane> {
    vec![Lane::Normal]
}

const fn three_seconds() -> f64 {
    3.0
}

const fn one_second() -> f64 {
    1.0
}

impl Run {
    #[cfg(test)]
    /// Whether a connection gets the events of a group.
    pub(crate) fn wants(&self, connection: usize, group: usize) -> bool {
        (group + self.groups - connection % self.groups) % self.groups < self.filters
    }

    /// The groups that a connection subscribes to.
    pub(crate) fn groups_of(&self, connection: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.filters.min(self.groups)).map(move |step| (connection + step) % self.groups)
    }

    /// How many connections get an event of each group.
    pub(crate) fn receivers(&self) -> Vec<u32> {
        let mut receivers = vec![0; self.groups];
        (0..self.connections)
            .flat_map(|connection| self.groups_of(connection))
            .for_each(|group| receivers[group] += 1);
        receivers
    }
}

/// A scenario file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    #[serde(default)]
    common: toml::Table,
    run: Vec<toml::Table>,
    #[serde(skip)]
    runs: Vec<Run>,
}

impl Scenario {
    /// Reads a file; every run is laid over the common settings.
    pub(crate) fn read(path: &Path) -> Result<Self, LoadError> {
        let wrong = |reason: String| LoadError::Scenario { path: path.display().to_string(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let mut scenario: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        for own in std::mem::take(&mut scenario.run) {
            let mut table = scenario.common.clone();
            table.extend(own);
            scenario.runs.push(table.try_into().map_err(|error: toml::de::Error| wrong(error.to_string()))?);
        }
        Ok(scenario)
    }

    pub(crate) fn runs(self) -> Vec<Run> {
        self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_the_receivers_that_want_it() {
        let run: Run = toml::from_str("name = 's'\nconnections = 100\ngroups = 40\nfilters = 3").unwrap();
        let receivers = run.receivers();
        for (group, count) in receivers.iter().enumerate() {
            let wanting = (0..100).filter(|connection| run.wants(*connection, group)).count();
            assert_eq!(wanting, *count as usize);
        }
        assert_eq!(receivers.iter().sum::<u32>(), 300);
    }
}
