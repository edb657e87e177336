//! Identifiers and positions: newtypes, so that an offset cannot be taken for a count.

use std::fmt;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Priority;

/// A connection's name between shell and hub: a slot of the shell's table and the slot's generation.
/// After the slot is reused, the older name is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    slot: u32,
    generation: u32,
}

impl ConnId {
    /// The name of the `generation`-th tenant of `slot`.
    #[must_use]
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// The index in the shell's table of connections.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }

    /// How many tenants the slot had before this one.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

/// Names an append or an embedded publish until its result is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// An event's place in the whole log: at most 2^53−1, so that it is exact in JavaScript.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct Offset(u64);

impl TryFrom<u64> for Offset {
    type Error = &'static str;

    fn try_from(value: u64) -> Result<Self, Self::Error> {
        Self::new(value).ok_or("an offset is at most 2^53-1")
    }
}

impl Offset {
    /// Before the first event.
    pub const ZERO: Self = Self(0);
    /// The last offset that a log can give.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The offset `value`, or none above [`Offset::MAX`].
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// The offset as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The offset before this one; zero stays.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The offset after this one; the last one stays.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 < Self::MAX.0 { Self(self.0 + 1) } else { self }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one life of the log: new whenever offsets could repeat. 1–64 characters of `A-Z a-z 0-9 _ -`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// The epoch named `name`, or none where the name is not of the allowed form.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        ((1..=64).contains(&name.len()) && name.bytes().all(legal)).then(|| Self(name.into()))
    }

    /// The epoch's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One value for each of the four lanes, by priority. In JSON an object with the lanes' names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PerLane<T> {
    /// Of lane `critical`.
    pub critical: T,
    /// Of lane `high`.
    pub high: T,
    /// Of lane `normal`.
    pub normal: T,
    /// Of lane `low`.
    pub low: T,
}

impl<T> PerLane<T> {
    /// The value that `make` gives for each lane.
    pub fn from_fn(mut make: impl FnMut(Priority) -> T) -> Self {
        Self {
            critical: make(Priority::Critical),
            high: make(Priority::High),
            normal: make(Priority::Normal),
            low: make(Priority::Low),
        }
    }

    /// Every lane with its value, `critical` first.
    pub fn iter(&self) -> impl Iterator<Item = (Priority, &T)> {
        Priority::ALL.into_iter().map(|priority| (priority, &self[priority]))
    }
}

impl<T> Index<Priority> for PerLane<T> {
    type Output = T;

    fn index(&self, priority: Priority) -> &T {
        match priority {
            Priority::Critical => &self.critical,
            Priority::High => &self.high,
            Priority::Normal => &self.normal,
            Priority::Low => &self.low,
        }
    }
}

impl<T> IndexMut<Priority> for PerLane<T> {
    fn index_mut(&mut self, priority: Priority) -> &mut T {
        match priority {
            Priority::Critical => &mut self.critical,
            Priority::High => &mut self.high,
            Priority::Normal => &mut self.normal,
            Priority::Low => &mut self.low,
        }
    }
}

/// What a client has: the log's epoch, and per lane the offset up to which nothing is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The life of the log that the offsets belong to.
    pub epoch: Epoch,
    /// Per lane: everything that matched up to here has arrived.
    pub lanes: PerLane<Offset>,
}
