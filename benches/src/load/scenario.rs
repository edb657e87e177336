//! What is measured: a file of common settings and of the runs that differ in a few of them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::LoadError;
use crate::dialect::{Event, PeerName};

/// One run: how many connections, what they want, and how fast it is published.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// Names the run in results.
    pub(crate) name: String,
    /// Servers that can do it; all of them where none is named.
    #[serde(default, skip_serializing)]
    pub(crate) peers: Vec<PeerName>,
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
    /// Share of a peer's own capacity to publish at: of what its processor is good for one message at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) load_share: Option<f64>,
    /// Whether system calls are counted, which costs the server a little.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) calls: bool,
    /// All connect at once, and come back to resume: with tokens of this algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) storm: Option<Algorithm>,
    /// So many of the connections stop to read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) stalled: usize,
    /// For so long, in seconds.
    #[serde(default, skip_serializing_if = "is_zero_seconds")]
    pub(crate) stall_s: f64,
    /// Events are published over HTTP, and nobody subscribes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<Http>,
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

/// Of a token's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Algorithm {
    /// With a secret.
    Hs256,
    /// With a pair of keys.
    Es256,
}

/// How events are published over HTTP.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// Connections.
    #[serde(default = "eight")]
    pub(crate) publishers: usize,
    /// Requests on their way on each.
    #[serde(default = "one")]
    pub(crate) in_flight: usize,
    /// Events in a request.
    #[serde(default = "one")]
    pub(crate) batch: usize,
    /// Whether a connection serves more than one request.
    #[serde(default = "always")]
    pub(crate) keep_alive: bool,
}

const fn eight() -> usize {
    8
}

const fn always() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(value: &usize) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero_seconds(value: &f64) -> bool {
    *value == 0.0
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
    /// The event of a number.
    pub(crate) fn event(&self, number: usize) -> Event {
        Event {
            number,
            group: number % self.groups,
            lane: self.priorities[number % self.priorities.len()],
            bytes: self.event_bytes,
        }
    }

    #[cfg(test)]
    /// Whether a connection gets the events of a group.
    pub(crate) fn wants(&self, connection: usize, group: usize) -> bool {
        (group + self.groups - connection % self.groups) % self.groups < self.filters
    }

    /// The same in a moment, to see that it works.
    pub(crate) fn short(self) -> Self {
        Self {
            seconds: self.seconds.min(1.0),
            warm_up: self.warm_up.min(0.3),
            stall_s: self.stall_s.min(2.0),
            ..self
        }
    }

    /// Whether a connection is one of those that stop to read: they are spread evenly.
    pub(crate) fn stalls(&self, connection: usize) -> bool {
        0 < self.stalled && connection.is_multiple_of((self.connections / self.stalled).max(1))
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
