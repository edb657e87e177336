//! A table that holds at most so many entries, and gives up the one that was longest untouched.
//!
//! It bounds everything here that grows with what peers send: verified tokens, interned grants,
//! revocations.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::Hash;

use crate::map::{Keyed, Map};

#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    capacity: usize,
    entries: Map<K, Entry<V>>,
    /// Every key by the touch that its entry remembers, so the first one is the longest untouched.
    order: BTreeMap<u64, K>,
    touches: u64,
}

#[derive(Debug)]
struct Entry<V> {
    touch: u64,
    value: V,
}

impl<K: Clone + Eq + Hash, V> Bounded<K, V> {
    /// An empty table. With a capacity of zero it keeps nothing.
    pub(super) const fn new(capacity: usize, keyed: Keyed) -> Self {
        Self { capacity, entries: Map::with_hasher(keyed), order: BTreeMap::new(), touches: 0 }
    }

    /// The value at `key`, without touching it.
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The value at `key`, and makes it the last that is given up.
    pub(super) fn touch<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let entry = self.entries.get_mut(key)?;
        if let Some(key) = self.order.remove(&entry.touch) {
            self.order.insert(self.touches, key);
        }
        entry.touch = self.touches;
        self.touches += 1;
        Some(&entry.value)
    }

    /// The table's own copy of `key`, and makes it the last that is given up.
    pub(super) fn touch_key(&mut self, key: &K) -> Option<K> {
        self.touch(key)?;
        self.entries.get_key_value(key).map(|(key, _)| key.clone())
    }

    /// Puts `value` at `key`. Gives back the key whose entry had to go for it.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<K> {
        if self.capacity == 0 {
            return None;
        }
        let entry = Entry { touch: self.touches, value };
        if let Some(replaced) = self.entries.insert(key.clone(), entry) {
            self.order.remove(&replaced.touch);
        }
        self.order.insert(self.touches, key);
        self.touches += 1;
        if self.entries.len() <= self.capacity {
            return None;
        }
        let (_, oldest) = self.order.pop_first()?;
        self.entries.remove(&oldest);
        Some(oldest)
    }

    pub(super) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.touch);
        }
    }

    /// Forgets everything and gives the memory back.
    pub(super) fn clear(&mut self) {
        self.entries = Map::with_hasher(*self.entries.hasher());
        self.order.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.order.len());
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_untouched_entry_goes_first() {
        let mut table = Bounded::new(2, Keyed::new([1, 2]));
        assert_eq!(table.insert("a", 1), None);
        assert_eq!(table.insert("b", 2), None);
        assert_eq!(table.touch("a"), Some(&1));
        assert_eq!(table.insert("c", 3), Some("b"));
        assert_eq!(table.insert("a", 4), None);
        assert_eq!(table.get("a"), Some(&4));
        assert_eq!(table.get("b"), None);
    }

    #[test]
    fn without_capacity_nothing_is_kept() {
        let mut table = Bounded::new(0, Keyed::new([1, 2]));
        assert_eq!(table.insert("a", 1), None);
        assert_eq!(table.len(), 0);
    }

    /// What a table must be: its entries, the longest untouched first.
    struct Model {
        capacity: usize,
        entries: Vec<(u8, u32)>,
    }

    impl Model {
        fn remove(&mut self, key: u8) -> Option<u32> {
            let at = self.entries.iter().position(|(other, _)| *other == key)?;
            Some(self.entries.remove(at).1)
        }

        fn touch(&mut self, key: u8) -> Option<u32> {
            let value = self.remove(key)?;
            self.entries.push((key, value));
            Some(value)
        }

        fn insert(&mut self, key: u8, value: u32) -> Option<u8> {
            self.remove(key);
            self.entries.push((key, value));
            let gone = (self.capacity < self.entries.len()).then(|| self.entries.remove(0).0);
            gone.filter(|_| self.capacity != 0)
        }
    }

    proptest! {
        #[test]
        fn it_is_a_list_of_so_many_that_gives_up_the_longest_untouched(
            capacity in 0_usize..5,
            steps in prop::collection::vec((0_u8..5, 0_u8..8), 0..100),
        ) {
            let mut table = Bounded::new(capacity, Keyed::new([1, 2]));
            let mut model = Model { capacity, entries: Vec::new() };
            for (value, (what, key)) in (0..).zip(steps) {
                match what {
                    0 => {
                        table.remove(&key);
                        model.remove(key);
                    }
                    1 => prop_assert_eq!(table.touch(&key).copied(), model.touch(key)),
                    2 => prop_assert_eq!(table.touch_key(&key), model.touch(key).map(|_| key)),
                    3 if key == 0 => {
                        table.clear();
                        model.entries.clear();
                    }
                    _ => prop_assert_eq!(table.insert(key, value), model.insert(key, value)),
                }
                prop_assert_eq!(table.len(), model.entries.len());
                for (key, value) in &model.entries {
                    prop_assert_eq!(table.get(key), Some(value));
                }
            }
        }
    }
}
