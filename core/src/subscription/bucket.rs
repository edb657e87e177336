//! The index's one hash table: lists of definitions by level, path and value.
//!
//! A definition stands in as many buckets as it has places (patterns times alternatives of one filter key) and
//! knows its position in each, so that leaving scans nothing.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::fingerprint::Fingerprint;
use super::members::{Few, Removed};

/// A definition in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Posting {
    /// The definition's number.
    pub(super) definition: u32,
    /// Which of its places this is.
    pub(super) place: u32,
}

#[derive(Debug)]
struct Bucket {
    name: Fingerprint,
    /// The last round that looked at it: an event whose array repeats a value looks once.
    round: u64,
    postings: Few<Posting>,
}

/// Buckets by name.
#[derive(Debug, Default)]
pub(super) struct Buckets(HashTable<Bucket>);

impl Buckets {
    /// How many definitions stand in a bucket.
    pub(super) fn len_of(&self, name: Fingerprint) -> usize {
        self.0
            .find(name.bits(), |bucket| bucket.name == name)
            .map_or(0, |bucket| bucket.postings.as_slice().len())
    }

    /// Puts a definition into a bucket and returns its position there.
    pub(super) fn insert(&mut self, name: Fingerprint, posting: Posting) -> u32 {
        let entry = self.0.entry(name.bits(), |bucket| bucket.name == name, |bucket| bucket.name.bits());
        let position = match entry {
            Entry::Occupied(mut bucket) => bucket.get_mut().postings.push(posting),
            Entry::Vacant(entry) => {
                entry.insert(Bucket { name, round: 0, postings: Few::One(posting) });
                0
            }
        };
        u32::try_from(position).expect("a definition stands once in a bucket, and they have 32-bit numbers")
    }

    /// Takes out the definition at `position`. Returns the one that stands there since, if another does.
    pub(super) fn remove(&mut self, name: Fingerprint, position: u32) -> Option<Posting> {
        let entry = self.0.find_entry(name.bits(), |bucket| bucket.name == name);
        let mut bucket = entry.expect("a definition stands in the buckets of its places");
        match bucket.get_mut().postings.swap_remove(position as usize) {
            Removed::Moved(posting) => Some(posting),
            Removed::End => None,
            Removed::Last => {
                bucket.remove();
                None
            }
        }
    }

    /// What stands in a bucket, once a round.
    pub(super) fn visit(&mut self, name: Fingerprint, round: u64) -> &[Posting] {
        match self.0.find_mut(name.bits(), |bucket| bucket.name == name) {
            Some(bucket) if bucket.round != round => {
                bucket.round = round;
                bucket.postings.as_slice()
            }
            _ => &[],
        }
    }

    /// Bytes held by the table, without the lists of buckets with more than one definition.
    pub(super) fn memory(&self) -> usize {
        self.0.allocation_size()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How many definitions use a path at a level: what an event need not probe is told by one lookup.
#[derive(Debug, Default)]
pub(super) struct Routes(HashTable<(Fingerprint, u32)>);

impl Routes {
    /// One more definition uses the route.
    pub(super) fn retain(&mut self, route: Fingerprint) {
        let entry = self.0.entry(route.bits(), |(name, _)| *name == route, |(name, _)| name.bits());
        entry.or_insert((route, 0)).into_mut().1 += 1;
    }

    /// One definition less uses the route.
    pub(super) fn release(&mut self, route: Fingerprint) {
        let entry = self.0.find_entry(route.bits(), |(name, _)| *name == route);
        let mut entry = entry.expect("a route is released as often as retained");
        entry.get_mut().1 -= 1;
        if entry.get().1 == 0 {
            entry.remove();
        }
    }

    /// Whether a definition uses the route.
    pub(super) fn contains(&self, route: Fingerprint) -> bool {
        self.0.find(route.bits(), |(name, _)| *name == route).is_some()
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.0.allocation_size()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_takes_at_most_a_line_of_cache() {
        assert!(size_of::<Bucket>() <= 48);
    }
}
