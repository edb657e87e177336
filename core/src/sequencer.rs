//! The embedded log: gives every event the next offset, in memory, once a process.
//!
//! All hubs of a process take the same ascending `Appended` from one sequencer. A shell that writes
//! ahead to a disk does so between [`Sequencer::next`] and handing on what it gave.

use crate::protocol::{Epoch, Offset};
use crate::rng::Rng;

/// Gives offsets.
#[derive(Debug)]
pub struct Sequencer {
    epoch: Epoch,
    end: Offset,
}

impl Sequencer {
    /// A new log with an epoch drawn from `seed`.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let name = Rng::new(seed).token(16);
        let epoch = Epoch::new(&name).expect("the alphabet of tokens is one of epochs");
        Self { epoch, end: Offset::ZERO }
    }

    /// The log's epoch.
    #[must_use]
    pub const fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// The newest offset given.
    #[must_use]
    pub const fn end(&self) -> Offset {
        self.end
    }

    /// The next offset, or none where the log has given its last.
    #[expect(clippy::should_implement_trait, reason = "an offset is taken for a record, never iterated over")]
    pub fn next(&mut self) -> Option<Offset> {
        if self.end == Offset::MAX {
            return None;
        }
        self.end = self.end.next();
        Some(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_ascend_from_one_and_epochs_differ_by_seed() {
        let mut log = Sequencer::new([1; 32]);
        let given: Vec<u64> = (0..3).filter_map(|_| log.next()).map(Offset::get).collect();
        assert_eq!(given, [1, 2, 3]);
        assert_eq!(log.end().get(), 3);
        assert_ne!(log.epoch(), Sequencer::new([2; 32]).epoch());
    }

    #[test]
    fn the_last_offset_is_given_once() {
        let mut log = Sequencer { epoch: Epoch::new("e").unwrap(), end: Offset::MAX.prev() };
        assert_eq!(log.next(), Some(Offset::MAX));
        assert_eq!(log.next(), None);
    }
}
