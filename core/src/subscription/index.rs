//! The matching index: from an event to every definition that matches it, each once.
//!
//! Its rule is that an event costs what it matches. A definition stands under one equality of its filter (or of
//! its permit), so an event that looks up its own values meets few others. Where that equality is the whole
//! filter, being found is the proof. No order of a hash table is ever seen: the same history of joins and leaves
//! gives the same order of visits.

use std::fmt;
use std::hash::{BuildHasher, Hash};

use super::bucket::{Buckets, Posting, Routes};
use super::definition::{Definition, DefinitionId, Permission, Positions, Scope, filter_memory};
use super::fingerprint::{Fingerprint, Fingerprinter};
use super::interner::Interner;
use super::members::{Few, Member, Removed};
use super::permit::Permit;
use super::plan::{Anchor, Content, Plan};
use crate::event::{Fields, Filter, Patterns};
use crate::map::Keyed;

/// Where a member stands. Its connection keeps it, to leave by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    definition: DefinitionId,
    position: u32,
}

impl Place {
    /// The definition that the member has.
    #[must_use]
    pub const fn definition(self) -> DefinitionId {
        self.definition
    }
}

/// A member that another one's leaving has moved: the place its connection keeps is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The connection's slot in the hub.
    pub slot: u32,
    /// Which of the connection's subscriptions.
    pub tag: u32,
    /// Where it stands since.
    pub place: Place,
}

/// All subscriptions of a hub, by what they match.
///
/// - Mutators: [`join`](Self::join), [`leave`](Self::leave).
/// - Live events: [`matching`](Self::matching). Events of history against one subscription:
///   [`definition_matches`](Self::definition_matches).
/// - Getters: [`definition`](Self::definition), [`member`](Self::member), [`len`](Self::len),
///   [`definitions`](Self::definitions), [`work`](Self::work), [`memory`](Self::memory).
///
/// A [`Place`] is good until it has left; a [`DefinitionId`] until its last member has.
pub struct Index<P> {
    keyed: Keyed,
    prints: Fingerprinter,
    scopes: Interner<Scope>,
    permissions: Interner<Permission<P>>,
    definitions: Interner<Definition>,
    /// By definition; apart from them, since no event reads it.
    positions: Vec<Positions>,
    buckets: Buckets,
    routes: Routes,
    members: usize,
    filters_memory: usize,
    round: u64,
    work: u64,
}

/// The event that is being matched.
#[derive(Clone, Copy)]
struct Event<'a> {
    type_name: &'a str,
    fields: &'a Fields,
}

impl<P: Permit> Index<P> {
    /// An index without members. `keyed` decides nothing that can be seen.
    #[must_use]
    pub fn new(keyed: Keyed) -> Self {
        Self {
            keyed,
            prints: Fingerprinter::new(keyed),
            scopes: Interner::new(),
            permissions: Interner::new(),
            definitions: Interner::new(),
            positions: Vec::new(),
            buckets: Buckets::default(),
            routes: Routes::default(),
            members: 0,
            filters_memory: 0,
            round: 0,
            work: 0,
        }
    }

    /// Adds a member to the definition of that content, which is made where it is the first.
    pub fn join(&mut self, patterns: &Patterns, filter: &Filter, permit: &P, member: Member) -> Place {
        let scope = self.intern_scope(patterns);
        let permission = self.intern_permission(permit);
        let hash = self.content_hash(scope, permission, filter);
        let same = |definition: &Definition| {
            definition.scope == scope && definition.permission == permission && definition.filter == *filter
        };
        self.members += 1;
        if let Some(id) = self.definitions.find(hash, same) {
            let position = self.definitions.get_mut(id).members.push(member);
            let position = u32::try_from(position).expect("fewer than 2^32 members fit into memory");
            return Place { definition: DefinitionId(id), position };
        }
        let id = self.define(hash, scope, permission, filter, member);
        Place { definition: DefinitionId(id), position: 0 }
    }

    /// Removes the member at `place`, and its definition with the last one. Returns the member that stands at
    /// `place` since, if another moved there.
    pub fn leave(&mut self, place: Place) -> Option<Moved> {
        let DefinitionId(id) = place.definition;
        let position = place.position as usize;
        let members = &mut self.definitions.get_mut(id).members;
        assert!(position < members.as_slice().len(), "a place is left once");
        self.members -= 1;
        match members.swap_remove(position) {
            Removed::Moved(Member { slot, tag, .. }) => Some(Moved { slot, tag, place }),
            Removed::End => None,
            Removed::Last => {
                self.undefine(id);
                None
            }
        }
    }

    /// Shows `visit` the members of every definition whose patterns, filter and permit let the event pass, each
    /// definition once. What a member gets follows from its own `from`, which is not looked at here.
    pub fn matching(&mut self, type_name: &str, fields: &Fields, mut visit: impl FnMut(&[Member])) {
        self.round += 1;
        let event = Event { type_name, fields };
        let levels = self.prints.levels(type_name);
        for level in levels {
            self.visit_bucket(level, event, &mut visit);
        }
        let levels = levels.map(|level| self.routes.contains(level).then_some(level));
        if levels == [None; 3] {
            return;
        }
        let mut last = None;
        let mut routes = [None; 3];
        for (path, value, _) in fields.iter() {
            if last != Some(path) {
                last = Some(path);
                let path = self.prints.path(path);
                routes = levels.map(|level| {
                    level.map(|level| level ^ path).filter(|&route| self.routes.contains(route))
                });
            }
            if routes == [None; 3] {
                continue;
            }
            let value = self.prints.value(value);
            for route in routes.into_iter().flatten() {
                self.visit_bucket(route ^ value, event, &mut visit);
            }
        }
    }

    fn visit_bucket(&mut self, name: Fingerprint, event: Event<'_>, visit: &mut impl FnMut(&[Member])) {
        for posting in self.buckets.visit(name, self.round) {
            let definition = self.definitions.get_mut(posting.definition);
            if definition.round == self.round {
                continue;
            }
            definition.round = self.round;
            self.work += 1;
            let permission = self.permissions.get_mut(definition.permission);
            let passes = permission.permits(self.round, event.type_name, event.fields)
                && (!definition.checks_filter || definition.filter.matches(event.fields))
                && (!definition.checks_patterns
                    || self.scopes.get(definition.scope).patterns.matches(event.type_name));
            if passes {
                visit(definition.members.as_slice());
            }
        }
    }

    /// Whether one definition lets an event pass: for a connection that goes through history by itself.
    #[must_use]
    pub fn definition_matches(&self, definition: DefinitionId, type_name: &str, fields: &Fields) -> bool {
        let (patterns, filter, permit) = self.definition(definition);
        patterns.matches(type_name) && filter.matches(fields) && permit.permits(type_name, fields)
    }

    /// The content of a definition.
    #[must_use]
    pub fn definition(&self, DefinitionId(id): DefinitionId) -> (&Patterns, &Filter, &P) {
        let definition = self.definitions.get(id);
        let patterns = &self.scopes.get(definition.scope).patterns;
        (patterns, &definition.filter, &self.permissions.get(definition.permission).permit)
    }

    /// The member at a place.
    #[must_use]
    pub fn member(&self, place: Place) -> Member {
        let members = self.definitions.get(place.definition.0).members.as_slice();
        *members.get(place.position as usize).expect("a place is good until it has left")
    }

    /// How many members there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members
    }

    /// Whether there is no member.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// How many different definitions the members have.
    #[must_use]
    pub fn definitions(&self) -> usize {
        self.definitions.len()
    }

    /// How many definitions [`matching`](Self::matching) has looked at so far, whether they matched or not.
    #[must_use]
    pub const fn work(&self) -> u64 {
        self.work
    }

    /// Bytes held, estimated from above; what permits point to is not in it.
    #[must_use]
    pub fn memory(&self) -> usize {
        // A list of members or of a bucket's definitions is a vector that is at most half empty, or shrinks.
        let lists = 2 * (self.members * size_of::<Member>() + self.definitions.len() * size_of::<Posting>());
        self.scopes.memory()
            + self.permissions.memory()
            + self.definitions.memory()
            + self.positions.capacity() * size_of::<Positions>()
            + self.buckets.memory()
            + self.routes.memory()
            + self.filters_memory
            + lists
    }
}

#[cfg(test)]
impl<P: Permit> Index<P> {
    /// Whether joining has left no trace but capacity.
    pub(super) fn holds_nothing(&self) -> bool {
        self.members == 0
            && self.filters_memory == 0
            && self.definitions.len() == 0
            && self.scopes.len() == 0
            && self.permissions.len() == 0
            && self.buckets.is_empty()
            && self.routes.is_empty()
    }
}

/// Interning.
impl<P: Permit> Index<P> {
    fn intern_scope(&mut self, patterns: &Patterns) -> u32 {
        let hash = self.keyed.hash_one(patterns);
        let found = self.scopes.find(hash, |scope| scope.patterns == *patterns);
        found.unwrap_or_else(|| self.scopes.insert(hash, Scope::new(patterns, &self.prints)))
    }

    fn intern_permission(&mut self, permit: &P) -> u32 {
        let hash = self.keyed.hash_one(permit);
        let found = self.permissions.find(hash, |permission| permission.permit == *permit);
        found.unwrap_or_else(|| self.permissions.insert(hash, Permission::new(permit.clone())))
    }

    fn content_hash(&self, scope: u32, permission: u32, filter: &Filter) -> u64 {
        self.keyed.hash_one((scope, permission, filter))
    }

    /// Makes a definition and puts it into its buckets.
    fn define(&mut self, hash: u64, scope: u32, permission: u32, filter: &Filter, member: Member) -> u32 {
        self.scopes.get_mut(scope).users += 1;
        self.permissions.get_mut(permission).users += 1;
        self.filters_memory += filter_memory(filter);
        let content = Content {
            levels: &self.scopes.get(scope).levels,
            filter,
            required: self.permissions.get(permission).permit.required(),
        };
        let plan = Plan::choose(&self.prints, &self.buckets, content);
        let checks_filter = match plan.anchor {
            Anchor::Filter(_) => 1 < filter.iter().count(),
            Anchor::Required(_) | Anchor::None => !filter.is_empty(),
        };
        let definition = Definition {
            filter: filter.clone(),
            members: Few::One(member),
            round: 0,
            scope,
            permission,
            anchor: plan.anchor,
            checks_filter,
            checks_patterns: !plan.implies_patterns,
        };
        let id = self.definitions.insert(hash, definition);
        plan.routes().for_each(|route| self.routes.retain(route));
        let postings = (0..).map(|place| Posting { definition: id, place });
        let insert = |(name, posting)| self.buckets.insert(name, posting);
        let positions = Positions::new(plan.names().zip(postings).map(insert).collect());
        if let Some(reused) = self.positions.get_mut(id as usize) {
            *reused = positions;
        } else {
            self.positions.push(positions);
        }
        id
    }

    /// Takes a definition out of its buckets and frees it, and its patterns and permit where nobody else has them.
    fn undefine(&mut self, id: u32) {
        let Definition { scope, permission, .. } = *self.definitions.get(id);
        self.unplace(id);
        let hash = self.content_hash(scope, permission, &self.definitions.get(id).filter);
        let Definition { filter, .. } = self.definitions.remove(hash, id);
        self.filters_memory -= filter_memory(&filter);
        let users = &mut self.scopes.get_mut(scope).users;
        *users -= 1;
        if *users == 0 {
            let hash = self.keyed.hash_one(&self.scopes.get(scope).patterns);
            self.scopes.remove(hash, scope);
        }
        let users = &mut self.permissions.get_mut(permission).users;
        *users -= 1;
        if *users == 0 {
            let hash = self.keyed.hash_one(&self.permissions.get(permission).permit);
            self.permissions.remove(hash, permission);
        }
    }

    fn unplace(&mut self, id: u32) {
        let definition = self.definitions.get(id);
        let content = Content {
            levels: &self.scopes.get(definition.scope).levels,
            filter: &definition.filter,
            required: self.permissions.get(definition.permission).permit.required(),
        };
        let plan = Plan::of(&self.prints, content, definition.anchor);
        plan.routes().for_each(|route| self.routes.release(route));
        for (name, place) in plan.names().zip(0..) {
            let position = *position_of(&mut self.positions, Posting { definition: id, place });
            if let Some(moved) = self.buckets.remove(name, position) {
                *position_of(&mut self.positions, moved) = position;
            }
        }
        *self.positions.get_mut(id as usize).expect("every definition has positions") = Positions::One(0);
    }
}

fn position_of(positions: &mut [Positions], posting: Posting) -> &mut u32 {
    let places = positions.get_mut(posting.definition as usize).map(Positions::as_mut_slice);
    places.and_then(|places| places.get_mut(posting.place as usize)).expect("a posting has a position")
}

impl<P> fmt::Debug for Index<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("members", &self.members).finish_non_exhaustive()
    }
}
