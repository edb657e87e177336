//! Hash maps keyed from the hub's seed: a peer cannot choose colliding keys, and two runs of one
//! seed agree. Their order must never be seen, so nothing iterates them where it could be.

use siphasher::sip::SipHasher13;
use std::hash::BuildHasher;

/// Builds the keyed hasher of every map in the core.
#[derive(Clone, Copy, Debug)]
pub struct Keyed(u64, u64);

impl Keyed {
    /// A hasher keyed with 128 bits, which the hub draws from its seed.
    #[must_use]
    pub const fn new(key: [u64; 2]) -> Self {
        Self(key[0], key[1])
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// A hash map with a keyed hasher: `Map::with_hasher(keyed)`.
pub type Map<K, V> = hashbrown::HashMap<K, V, Keyed>;

/// A hash set with a keyed hasher: `Set::with_hasher(keyed)`.
pub type Set<K> = hashbrown::HashSet<K, Keyed>;
