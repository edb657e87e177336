//! The index's one hash table: which definitions stand under a level, path and value.
//!
//! An entry takes eight bytes, so that the table of a large index stays near the processor. It leads to the
//! definition itself where that stands alone and nowhere else, as most do, and else to a list. A definition knows
//! its position in each of its lists, so that leaving scans nothing.

use hashbrown::HashTable;

use super::fingerprint::Fingerprint;
use super::interner::Entry;
use super::members::give_back;

/// A definition in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Posting {
    /// The definition's number.
    pub(super) definition: u32,
    /// Which of its places this is.
    pub(super) place: u32,
}

/// What an event finds in a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    /// Nothing that this round has not found before.
    Nothing,
    /// One definition.
    Alone(u32),
    /// Definitions, those in two parts.
    List(&'a [Posting], &'a [Posting]),
}

/// Buckets by name.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    table: HashTable<Entry>,
    lists: Vec<List>,
    free: Vec<u32>,
}

/// Where an entry leads: the highest bit of its number tells.
#[derive(Clone, Copy, Debug)]
enum Target {
    Alone(u32),
    List(u32),
}

const LIST: u32 = 1 << 31;

impl Target {
    fn of(entry: Entry) -> Self {
        if entry.id & LIST == 0 { Self::Alone(entry.id) } else { Self::List(entry.id & !LIST) }
    }

    fn id(self) -> u32 {
        let (Self::Alone(number) | Self::List(number)) = self;
        assert!(number < LIST, "fewer than 2^31 definitions fit into memory");
        if let Self::List(list) = self { list | LIST } else { number }
    }
}

/// Looks up what is left of a fingerprint for the definitions that stand alone, which keep it themselves.
pub(super) trait Checks {
    /// The [`check`](Fingerprint::check) of the only place of that definition.
    fn check(&self, definition: u32) -> u64;
}

impl Buckets {
    /// How many definitions stand in a bucket.
    pub(super) fn len_of(&self, name: Fingerprint, checks: &impl Checks) -> u32 {
        match self.find(name, checks) {
            None => 0,
            Some(Target::Alone(_)) => 1,
            Some(Target::List(list)) => self.list(list).len,
        }
    }

    /// Puts a definition into a bucket and returns its position there. It is `alone` if this is its only place.
    pub(super) fn insert(
        &mut self,
        name: Fingerprint,
        posting: Posting,
        alone: bool,
        checks: &impl Checks,
    ) -> u32 {
        match self.find(name, checks) {
            Some(Target::List(list)) => self.list_mut(list).push(posting),
            Some(Target::Alone(first)) => {
                let list = self.new_list(name, Posting { definition: first, place: 0 });
                let entry = self.table.find_mut(Entry::new(name.bits(), 0).bits(), |entry| {
                    entry.id == Target::Alone(first).id()
                });
                entry.expect("the first one has just been found").id = Target::List(list).id();
                self.list_mut(list).push(posting)
            }
            None => {
                let target = if alone {
                    Target::Alone(posting.definition)
                } else {
                    Target::List(self.new_list(name, posting))
                };
                let entry = Entry::new(name.bits(), target.id());
                self.table.insert_unique(entry.bits(), entry, |entry| entry.bits());
                0
            }
        }
    }

    /// Takes out the definition at `position`. Returns the one that stands there since, if another does.
    pub(super) fn remove(
        &mut self,
        name: Fingerprint,
        position: u32,
        checks: &impl Checks,
    ) -> Option<Posting> {
        let target = self.find(name, checks).expect("a definition stands in the buckets of its places");
        if let Target::List(list) = target {
            let moved = self.list_mut(list).swap_remove(position);
            if self.list(list).len != 0 {
                return moved;
            }
            self.free.push(list);
        }
        let entry = self.table.find_entry(Entry::new(name.bits(), 0).bits(), |entry| entry.id == target.id());
        entry.expect("the target has just been found").remove();
        None
    }

    /// What stands in a bucket. A list is found once a round: an event's array may repeat a value.
    pub(super) fn visit(&mut self, name: Fingerprint, round: u64, checks: &impl Checks) -> Found<'_> {
        match self.find(name, checks) {
            None => Found::Nothing,
            Some(Target::Alone(definition)) => Found::Alone(definition),
            Some(Target::List(list)) => {
                let list = self.list_mut(list);
                if list.round == round {
                    return Found::Nothing;
                }
                list.round = round;
                let (near, far) = list.parts();
                Found::List(near, far)
            }
        }
    }

    fn find(&self, name: Fingerprint, checks: &impl Checks) -> Option<Target> {
        let wanted = Entry::new(name.bits(), 0);
        let same = |entry: &Entry| {
            entry.hash == wanted.hash
                && name.check()
                    == match Target::of(*entry) {
                        Target::Alone(definition) => checks.check(definition),
                        Target::List(list) => self.list(list).check,
                    }
        };
        self.table.find(wanted.bits(), same).map(|entry| Target::of(*entry))
    }

    fn new_list(&mut self, name: Fingerprint, first: Posting) -> u32 {
        let list = List { check: name.check(), round: 0, len: 1, near: [first; NEAR], far: None };
        if let Some(reused) = self.free.pop() {
            *self.list_mut(reused) = list;
            return reused;
        }
        self.lists.push(list);
        u32::try_from(self.lists.len() - 1).expect("fewer than 2^31 lists fit into memory")
    }

    fn list(&self, list: u32) -> &List {
        self.lists.get(list as usize).expect("an entry leads to a list")
    }

    fn list_mut(&mut self, list: u32) -> &mut List {
        self.lists.get_mut(list as usize).expect("an entry leads to a list")
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.free.len() == self.lists.len()
    }
}

/// Postings that a list holds in place: as many as make it one line of cache.
const NEAR: usize = 4;

/// The definitions of a bucket, in the order they came but for the holes that the last one fills.
#[derive(Debug)]
struct List {
    /// What the entry does not tell of the bucket's name.
    check: u64,
    /// The last round that found it.
    round: u64,
    /// Postings in both parts, never zero but while it is free.
    len: u32,
    near: [Posting; NEAR],
    #[expect(clippy::box_collection, reason = "a list of few, as most are, pays one word for it")]
    far: Option<Box<Vec<Posting>>>,
}

impl List {
    fn parts(&self) -> (&[Posting], &[Posting]) {
        let near = self.near.get(..self.len as usize).unwrap_or(&self.near);
        (near, self.far.as_ref().map_or(&[], |far| far))
    }

    fn push(&mut self, posting: Posting) -> u32 {
        let position = self.len;
        self.len = position.checked_add(1).expect("fewer than 2^32 definitions fit into memory");
        match self.near.get_mut(position as usize) {
            Some(near) => *near = posting,
            None => self.far.get_or_insert_default().push(posting),
        }
        position
    }

    fn swap_remove(&mut self, position: u32) -> Option<Posting> {
        self.len -= 1;
        let last = match &mut self.far {
            Some(far) => far.pop(),
            None => self.near.get(self.len as usize).copied(),
        };
        if self.len as usize <= NEAR {
            self.far = None;
        } else if let Some(far) = &mut self.far {
            give_back(far);
        }
        if position == self.len {
            return None;
        }
        let position = position as usize;
        let hole = match self.near.get_mut(position) {
            Some(near) => Some(near),
            None => self.far.as_mut().and_then(|far| far.get_mut(position - NEAR)),
        };
        let last = last.expect("a list in use is not empty");
        *hole.expect("a definition knows its position") = last;
        Some(last)
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

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posting(definition: u32) -> Posting {
        Posting { definition, place: 0 }
    }

    #[test]
    fn an_entry_takes_a_word_and_a_list_a_line_of_cache() {
        assert_eq!(size_of::<Entry>(), 8);
        assert_eq!(size_of::<List>(), 64);
    }

    #[test]
    fn a_list_keeps_its_order_but_for_holes_across_both_parts() {
        let mut list = List { check: 0, round: 0, len: 1, near: [posting(0); NEAR], far: None };
        for definition in 1..40 {
            assert_eq!(list.push(posting(definition)), definition);
        }
        // A model that is one vector.
        let mut model: Vec<u32> = (0..40).collect();
        for position in [0, 38, 3, 20, 4, 34, 5, 0, 1, 2, 3, 4, 9, 0].into_iter().chain([0; 25]) {
            let moved = list.swap_remove(position);
            model.swap_remove(position as usize);
            assert_eq!(moved, model.get(position as usize).map(|&definition| posting(definition)));
            let (near, far) = list.parts();
            assert!(near.iter().chain(far).map(|posting| posting.definition).eq(model.iter().copied()));
        }
        assert_eq!((list.len, list.far), (1, None));
    }

    #[test]
    fn a_list_that_many_have_left_has_given_memory_back() {
        let mut list = List { check: 0, round: 0, len: 1, near: [posting(0); NEAR], far: None };
        (1..1000).for_each(|definition| assert_eq!(list.push(posting(definition)), definition));
        for last in (20..1000).rev() {
            list.swap_remove(last);
        }
        let far = list.far.unwrap();
        assert!(far.capacity() <= 4 * far.len(), "room for {} of {}", far.capacity(), far.len());
    }

    /// Definitions that stand alone, by number: what is left of the names of their buckets.
    struct Alone(Vec<u64>);

    impl Checks for Alone {
        fn check(&self, definition: u32) -> u64 {
            self.0[definition as usize]
        }
    }

    #[test]
    fn buckets_whose_names_have_a_half_in_common_are_told_apart() {
        // Given names of which each two have a half in common, or none,
        let names = [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(bits, check)| Fingerprint::new(bits << 32, check));
        for alone in [true, false] {
            let checks = Alone(names.map(Fingerprint::check).into());
            let mut buckets = Buckets::default();
            // when a definition comes into each of their buckets, in turn,
            for (definition, name) in (0..).zip(names) {
                assert_eq!(buckets.len_of(name, &checks), 0);
                assert_eq!(buckets.insert(name, posting(definition), alone, &checks), 0);
            }
            // then each stands in its own.
            for (round, (definition, name)) in (1..).zip((0..).zip(names)) {
                let found = match buckets.visit(name, round, &checks) {
                    Found::Nothing => vec![],
                    Found::Alone(definition) => vec![posting(definition)],
                    Found::List(near, far) => [near, far].concat(),
                };
                assert_eq!(found, [posting(definition)]);
            }
        }
    }

    #[test]
    fn a_route_is_in_use_until_each_that_uses_it_has_released_it() {
        let (mut routes, route, other) = (Routes::default(), Fingerprint::new(1, 1), Fingerprint::new(1, 2));
        assert!(!routes.contains(route));
        routes.retain(route);
        routes.retain(route);
        routes.release(route);
        assert_eq!([route, other].map(|route| routes.contains(route)), [true, false]);
        routes.release(route);
        assert!(!routes.contains(route));
        assert!(routes.is_empty());
    }
}
