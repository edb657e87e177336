//! The four priorities. Each is also the lane in which its events travel.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How urgent an event is, most urgent first in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Overtakes everything that is not yet handed to the kernel.
    Critical,
    /// By default shares the socket 8:4:1 with the two below.
    High,
    /// What most events are.
    Normal,
    /// Analytics and the like.
    Low,
}

impl Priority {
    /// All four, most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The priority of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == name)
    }

    /// Whether a grant whose `maxPriority` is `cap` allows this priority.
    #[must_use]
    pub fn within(self, cap: Self) -> bool {
        cap <= self
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
