//! Values stored once under a small number: equal content is found again by its hash.

use hashbrown::HashTable;

/// Values by number, and numbers by the hash of what they were interned by.
///
/// Numbers are reused, the last freed first, so the same history gives the same numbers.
#[derive(Debug)]
pub(super) struct Interner<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    table: HashTable<Entry>,
}

/// Eight bytes a value. Half of the hash suffices to find it, and saves hashing content when a table grows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) hash: u32,
    pub(super) id: u32,
}

impl Entry {
    /// The entry of what has that hash and number.
    pub(super) fn new(hash: u64, id: u32) -> Self {
        let half = u32::try_from(hash >> 32).expect("32 bits remain");
        Self { hash: half, id }
    }

    /// What the hash table is given: it takes the place from the low bits and a tag from the high ones.
    pub(super) fn bits(self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

impl<T> Interner<T> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), table: HashTable::new() }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The number of the value of that hash for which `same` holds.
    pub(super) fn find(&self, hash: u64, same: impl Fn(&T) -> bool) -> Option<u32> {
        let wanted = Entry::new(hash, 0);
        let equal = |entry: &Entry| entry.hash == wanted.hash && same(self.get(entry.id));
        self.table.find(wanted.bits(), equal).map(|entry| entry.id)
    }

    /// Stores a value that [`find`](Self::find) did not find.
    pub(super) fn insert(&mut self, hash: u64, value: T) -> u32 {
        let id = if let Some(id) = self.free.pop() {
            *self.slots.get_mut(id as usize).expect("a freed number has a slot") = Some(value);
            id
        } else {
            self.slots.push(Some(value));
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 values fit into memory")
        };
        let entry = Entry::new(hash, id);
        self.table.insert_unique(entry.bits(), entry, |entry| entry.bits());
        id
    }

    /// Frees the number, which was interned by that hash, and returns its value.
    pub(super) fn remove(&mut self, hash: u64, id: u32) -> T {
        let entry = self.table.find_entry(Entry::new(hash, id).bits(), |entry| entry.id == id);
        entry.expect("a value leaves by the hash it came with").remove();
        self.free.push(id);
        self.slots.get_mut(id as usize).and_then(Option::take).expect("a number in use has a value")
    }

    pub(super) fn get(&self, id: u32) -> &T {
        self.slots.get(id as usize).and_then(Option::as_ref).expect("a number in use has a value")
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut T {
        self.slots.get_mut(id as usize).and_then(Option::as_mut).expect("a number in use has a value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hashes_are_told_apart_and_numbers_are_reused() {
        let mut interner = Interner::new();
        let (a, b) = (interner.insert(7, "a"), interner.insert(7, "b"));
        assert_eq!(interner.find(7, |&value| value == "b"), Some(b));
        assert_eq!(interner.find(7, |&value| value == "c"), None);
        assert_eq!(interner.remove(7, a), "a");
        assert_eq!(interner.find(7, |&value| value == "a"), None);
        assert_eq!(interner.insert(9, "d"), a);
        assert_eq!((interner.len(), *interner.get(a), *interner.get(b)), (2, "d", "b"));
    }
}
