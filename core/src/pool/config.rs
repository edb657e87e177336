//! The pool's knobs, what goes in, what comes out.

use std::num::NonZeroU32;
use std::time::Duration;

use thiserror::Error;

/// Every bound and interval of a [`super::Pool`].
///
/// Durations below a millisecond count as one, and a stop of the skew above its start as the start.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Instances at most, draining ones and those whose removal has not been polled included.
    pub instances_max: usize,
    /// An instance that has not reported for this long is suspected. Several times the interval of reports.
    pub health_timeout: Duration,
    /// Connections of a draining instance that are told to go per [`PoolConfig::drain_interval`].
    pub drain_batch: NonZeroU32,
    /// Between two batches of a drain; each is spread over it.
    pub drain_interval: Duration,
    /// After the last batch, how long connections may take to go before the instance is removed with them.
    pub drain_grace: Duration,
    /// Connections that all instances together are told to shed per [`PoolConfig::rebalance_interval`].
    pub rebalance_batch: NonZeroU32,
    /// Between two steps of rebalancing; what is shed is spread over half of it. It must leave a shed
    /// connection the time to go, to return elsewhere and to be reported.
    pub rebalance_interval: Duration,
    /// Rebalancing begins where an instance has more than this percentage of its share, or less than the
    /// inverse of it.
    pub skew_start_percent: NonZeroU32,
    /// Rebalancing ends where all are within this percentage, in the same sense. Below the start, so that
    /// it does not begin again at once.
    pub skew_stop_percent: NonZeroU32,
    /// A difference from the share of fewer connections than this never begins rebalancing.
    pub skew_slack: u32,
}

impl Default for PoolConfig {
    fn default() -> Self {
        let count = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            instances_max: 256,
            health_timeout: Duration::from_secs(5),
            drain_batch: count(500),
            drain_interval: Duration::from_secs(1),
            drain_grace: Duration::from_secs(15),
            rebalance_batch: count(200),
            rebalance_interval: Duration::from_secs(10),
            skew_start_percent: count(125),
            skew_stop_percent: count(110),
            skew_slack: 50,
        }
    }
}

impl PoolConfig {
    /// The same with values under which every timer moves and the hysteresis has the right sign.
    pub(super) fn sane(mut self) -> Self {
        for duration in [
            &mut self.health_timeout,
            &mut self.drain_interval,
            &mut self.drain_grace,
            &mut self.rebalance_interval,
        ] {
            *duration = (*duration).max(Duration::from_millis(1));
        }
        let hundred = NonZeroU32::MIN.saturating_add(99);
        self.skew_start_percent = self.skew_start_percent.max(hundred);
        self.skew_stop_percent = self.skew_stop_percent.clamp(hundred, self.skew_start_percent);
        self
    }
}

/// Names an instance for the life of its pool; a name is never given twice, and a stale one is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub(super) u64);

/// What an instance says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It takes connections.
    Ready,
    /// It does not have its history yet.
    Loading,
    /// It wants to end; the pool drains it.
    Draining,
    /// Its hub has ended. It may report ready again with a new one.
    Failed,
}

/// What the shell tells the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolInput {
    /// An instance reports.
    Report {
        /// Who reports.
        instance: InstanceId,
        /// How it is.
        health: Health,
        /// Connections it has open.
        open: u64,
        /// Connections it has been handed since its hub began, so that the pool knows which are still on
        /// their way. A smaller number than before means a new hub.
        accepted: u64,
    },
    /// A placed connection could not be handed to its instance.
    HandoverFailed {
        /// Where it was placed.
        instance: InstanceId,
    },
    /// Empty an instance and remove it.
    Drain {
        /// Which one.
        instance: InstanceId,
    },
    /// Remove an instance at once, with the connections it has.
    Remove {
        /// Which one.
        instance: InstanceId,
    },
    /// The instant of [`super::Pool::poll_timeout`] has come.
    Timeout,
}

/// What the pool asks of the shell or tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolOutput {
    /// Reports have not come in time: nothing is placed there until one does.
    Suspected {
        /// Which one.
        instance: InstanceId,
    },
    /// A suspected instance reports again.
    Trusted {
        /// Which one.
        instance: InstanceId,
    },
    /// The drain of an instance has begun: it takes nothing more.
    Drain {
        /// Which one.
        instance: InstanceId,
    },
    /// Tell some connections of an instance to go (`reconnect`), spread over a time.
    Shed {
        /// Which one.
        instance: InstanceId,
        /// How many more of its connections.
        count: u64,
        /// The time to spread them over.
        within: Duration,
    },
    /// The instance is no longer part of the pool.
    Removed {
        /// Which one.
        instance: InstanceId,
        /// Connections that it still had, for the shell to close.
        left: u64,
    },
}

impl PoolOutput {
    pub(super) const fn instance(&self) -> InstanceId {
        match self {
            Self::Suspected { instance }
            | Self::Trusted { instance }
            | Self::Drain { instance }
            | Self::Shed { instance, .. }
            | Self::Removed { instance, .. } => *instance,
        }
    }
}

/// Why an instance cannot join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PoolError {
    /// The bound of the configuration is reached.
    #[error("the pool has its {0} instances; raise instances_max or remove one")]
    Full(usize),
}
