//! What is stored once for all equal subscriptions, laid out so that a visit touches one line of cache.

use super::fingerprint::{Fingerprint, Fingerprinter};
use super::members::Members;
use super::permit::Permit;
use super::plan::Anchor;
use crate::event::{Fields, Filter, Pattern, Patterns};

/// Names an interned definition for as long as it has a member; afterwards the name may be given anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionId(pub(super) u32);

/// Patterns, filter and permit of equal subscriptions, and who has them.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) filter: Filter,
    pub(super) members: Members,
    /// The last round that looked at it: an event that finds it at several places looks once.
    pub(super) round: u64,
    /// What tells the name of its bucket from others, where it has one place.
    pub(super) check: u64,
    /// The number of its patterns and permit.
    pub(super) terms: u32,
    /// The equality it is found by.
    pub(super) anchor: Anchor,
    /// Whether being found leaves the filter to be checked.
    pub(super) checks_filter: bool,
    /// Whether being found leaves the patterns to be checked.
    pub(super) checks_patterns: bool,
}

/// A definition's position in the bucket of each of its places. Only joining and leaving read it.
#[derive(Debug)]
pub(super) enum Positions {
    One(u32),
    Many(Box<[u32]>),
}

impl Positions {
    pub(super) fn new(positions: Vec<u32>) -> Self {
        if let [one] = positions[..] { Self::One(one) } else { Self::Many(positions.into()) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u32] {
        match self {
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(many) => many,
        }
    }
}

/// Interned patterns.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) patterns: Patterns,
    /// The levels of the patterns that no other one covers: a type is in at most one of them.
    pub(super) levels: Box<[Fingerprint]>,
    /// Terms that have it.
    pub(super) users: u32,
}

impl Scope {
    pub(super) fn new(patterns: &Patterns, prints: &Fingerprinter) -> Self {
        let covered = |one: &Pattern| patterns.iter().any(|other| other != one && other.covers(one));
        let levels = patterns.iter().filter(|one| !covered(one)).map(|one| prints.level(one)).collect();
        Self { patterns: patterns.clone(), levels, users: 0 }
    }
}

/// Interned patterns and permit, and the permit's answer for the event that is being matched.
#[derive(Debug)]
pub(super) struct Terms<P> {
    /// The number of the patterns.
    pub(super) scope: u32,
    pub(super) permit: P,
    /// Definitions that have it.
    pub(super) users: u32,
    round: u64,
    answer: bool,
}

impl<P: Permit> Terms<P> {
    pub(super) fn new(scope: u32, permit: P) -> Self {
        Self { scope, permit, users: 0, round: 0, answer: false }
    }

    /// Asks the permit, once a round.
    pub(super) fn permits(&mut self, round: u64, type_name: &str, fields: &Fields) -> bool {
        if self.round != round {
            self.round = round;
            self.answer = self.permit.permits(type_name, fields);
        }
        self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_takes_one_line_of_cache() {
        assert_eq!(size_of::<Option<Definition>>(), 64);
        assert_eq!(size_of::<Positions>(), 16);
    }
}
