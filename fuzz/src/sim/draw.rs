//! Choices: one stream of them decides everything, and where it comes from is nobody's business.
//!
//! A stream is either a function of a seed, or a tape of bytes, so that a fuzzer's bytes become a scenario by
//! the same generator. Every actor and every connection has a stream of its own, named by what it is and its
//! number: what one does takes nothing from the others, and a scenario without one of its steps is otherwise
//! the same.

use std::time::Duration;

use tidings_core::rng::Rng;

/// What a stream of choices belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The making of the scenario.
    Scenario = 1,
    /// One step of it.
    Step = 2,
    /// A connection's network.
    Link = 3,
    /// An application, reader, publisher or peer that speaks by hand.
    Actor = 4,
    /// The shell around a hub.
    Host = 5,
    /// The log.
    Log = 6,
    /// The seed of a machine.
    Machine = 7,
    /// How fast a reader wants its events.
    Pace = 8,
}

/// A stream of choices.
#[derive(Clone, Debug)]
pub struct Draw<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Seed(Box<Rng>),
    Tape(&'a [u8]),
}

/// The 32 bytes that name a stream of a run.
#[must_use]
pub(crate) fn seed_of(seed: u64, stream: Stream, number: u64) -> [u8; 32] {
    let mut bytes = *b"........ tidings ........-------";
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = stream as u8;
    bytes[16..24].copy_from_slice(&number.to_le_bytes());
    bytes
}

impl Draw<'static> {
    /// The stream of that name in the run of `seed`.
    #[must_use]
    pub fn new(seed: u64, stream: Stream, number: u64) -> Self {
        Self(Source::Seed(Box::new(Rng::new(seed_of(seed, stream, number)))))
    }
}

impl<'a> Draw<'a> {
    /// The choices that these bytes make; zero where they are used up.
    #[must_use]
    pub const fn tape(bytes: &'a [u8]) -> Self {
        Self(Source::Tape(bytes))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(rng) => rng.next_u64(),
            Source::Tape(bytes) => take(bytes, 8),
        }
    }

    /// A number below `bound`; zero where that is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        match &mut self.0 {
            Source::Seed(rng) => rng.below(bound),
            Source::Tape(bytes) => {
                let len = match bound {
                    0..=1 => 0,
                    2..=0x100 => 1,
                    0x101..=0x1_0000 => 2,
                    _ => 8,
                };
                take(bytes, len).checked_rem(bound).unwrap_or(0)
            }
        }
    }

    /// An index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below((high - low).saturating_add(1))
    }

    /// True in `per_mille` of a thousand cases.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        // A tape that is used up decides against it, so that short tapes are small scenarios.
        0 < per_mille && 1000 <= self.below(1000) + u64::from(per_mille)
    }

    /// One of `all`, which is not empty.
    pub fn pick<'b, T>(&mut self, all: &'b [T]) -> &'b T {
        &all[self.index(all.len())]
    }

    /// A number from `low` to `high` whose order of magnitude is drawn first, so that small ones are as
    /// likely as large ones.
    pub fn scaled(&mut self, low: u64, high: u64) -> u64 {
        let (from, to) = (u64::BITS - low.leading_zeros(), u64::BITS - high.leading_zeros());
        let bits = self.range(u64::from(from), u64::from(to));
        let most = if 64 <= bits { u64::MAX } else { (1 << bits) - 1 };
        let least = if bits == 0 { 0 } else { 1 << (bits - 1) };
        self.range(least.max(low), most.min(high).max(least.max(low)))
    }

    /// A duration from `low` to `high` microseconds, by order of magnitude.
    pub fn micros(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.scaled(low, high))
    }

    /// Four bytes, as a mask takes them.
    pub fn mask(&mut self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.number().to_le_bytes();
        [a, b, c, d]
    }
}

fn take(bytes: &mut &[u8], len: usize) -> u64 {
    let (first, rest) = bytes.split_at(len.min(bytes.len()));
    *bytes = rest;
    first.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_different_names_differ_and_one_name_gives_one_stream() {
        let first = |seed, stream, number| Draw::new(seed, stream, number).number();
        assert_eq!(first(1, Stream::Link, 1), first(1, Stream::Link, 1));
        assert_ne!(first(1, Stream::Link, 1), first(2, Stream::Link, 1));
        assert_ne!(first(1, Stream::Link, 1), first(1, Stream::Actor, 1));
        assert_ne!(first(1, Stream::Link, 1), first(1, Stream::Link, 2));
    }

    #[test]
    fn a_tape_gives_zeros_once_it_is_used_up() {
        let mut draw = Draw::tape(&[7, 1, 2]);
        assert_eq!((draw.below(100), draw.below(1000), draw.below(9), draw.number()), (7, 513, 0, 0));
        assert!(!draw.chance(999));
    }

    #[test]
    fn drawn_numbers_keep_their_bounds() {
        let mut draw = Draw::new(3, Stream::Step, 0);
        for _ in 0..1000 {
            assert!((5..=9).contains(&draw.range(5, 9)));
            assert!((3..=1000).contains(&draw.scaled(3, 1000)));
            assert!((0..=1).contains(&draw.scaled(0, 1)));
        }
    }
}
