//! Everything that is stored once for equal subscriptions: patterns, permits and the definitions made of them.

use std::hash::BuildHasher;
use std::hint::black_box;

use super::bucket::Checks;
use super::definition::{Definition, Scope, Terms};
use super::fingerprint::Fingerprinter;
use super::interner::Interner;
use super::permit::Permit;
use super::plan::Content;
use crate::event::{Fields, Filter, Patterns};
use crate::map::Keyed;

/// Interned definitions, with the patterns and permits they share.
pub(super) struct Catalog<P> {
    keyed: Keyed,
    scopes: Interner<Scope>,
    terms: Interner<Terms<P>>,
    definitions: Interner<Definition>,
    work: u64,
}

/// The event that is being matched.
#[derive(Clone, Copy)]
pub(super) struct Event<'a> {
    /// The number of this match: what it has looked at is marked with it.
    pub(super) round: u64,
    pub(super) type_name: &'a str,
    pub(super) fields: &'a Fields,
}

/// What tells definitions apart.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    terms: u32,
    filter: &'a Filter,
}

impl<P: Permit> Catalog<P> {
    pub(super) fn new(keyed: Keyed) -> Self {
        Self { keyed, scopes: Interner::new(), terms: Interner::new(), definitions: Interner::new(), work: 0 }
    }

    /// How many definitions there are.
    pub(super) fn len(&self) -> usize {
        self.definitions.len()
    }

    /// How many definitions [`retain_passing`](Self::retain_passing) has looked at.
    pub(super) const fn work(&self) -> u64 {
        self.work
    }

    pub(super) fn definition(&self, id: u32) -> &Definition {
        self.definitions.get(id)
    }

    pub(super) fn definition_mut(&mut self, id: u32) -> &mut Definition {
        self.definitions.get_mut(id)
    }

    /// The patterns and the permit of a definition.
    pub(super) fn parts(&self, definition: &Definition) -> (&Patterns, &P) {
        let terms = self.terms.get(definition.terms);
        (&self.scopes.get(terms.scope).patterns, &terms.permit)
    }

    /// Keeps of `candidates` those that let the event pass and that this match has not met before.
    pub(super) fn retain_passing(&mut self, candidates: &mut Vec<u32>, event: Event<'_>) {
        let Self { scopes, terms, definitions, work, .. } = self;
        *work += candidates.len() as u64;
        candidates.retain(|&id| {
            let definition = definitions.get_mut(id);
            let is_new = definition.round != event.round;
            definition.round = event.round;
            is_new && terms.get_mut(definition.terms).permits(event.round, event.type_name, event.fields)
        });
        // One filter after the other, each memory access would wait for the one before.
        for &id in candidates.iter() {
            let definition = definitions.get(id);
            if definition.checks_filter {
                read_ahead(&definition.filter);
            }
        }
        candidates.retain(|&id| {
            let definition = definitions.get(id);
            let is_of_type = || {
                let scope = terms.get(definition.terms).scope;
                scopes.get(scope).patterns.matches(event.type_name)
            };
            (!definition.checks_filter || definition.filter.matches(event.fields))
                && (!definition.checks_patterns || is_of_type())
        });
    }

    /// Interns patterns and permit. A key that no definition has is to be given to [`insert`](Self::insert).
    pub(super) fn key<'a>(
        &mut self,
        patterns: &Patterns,
        filter: &'a Filter,
        permit: &P,
        prints: &Fingerprinter,
    ) -> Key<'a> {
        let hash = self.keyed.hash_one(patterns);
        let found = self.scopes.find(hash, |scope| scope.patterns == *patterns);
        let scope = found.unwrap_or_else(|| self.scopes.insert(hash, Scope::new(patterns, prints)));
        let hash = self.keyed.hash_one((scope, permit));
        let found = self.terms.find(hash, |terms| terms.scope == scope && terms.permit == *permit);
        let terms = found.unwrap_or_else(|| {
            self.scopes.get_mut(scope).users += 1;
            self.terms.insert(hash, Terms::new(scope, permit.clone()))
        });
        Key { terms, filter }
    }

    /// The definition of that key.
    pub(super) fn find(&self, key: Key<'_>) -> Option<u32> {
        self.definitions.find(self.hash(key), |definition| {
            definition.terms == key.terms && definition.filter == *key.filter
        })
    }

    /// What the places of a definition of that key follow from.
    pub(super) fn content<'a>(&'a self, key: Key<'a>) -> Content<'a> {
        let terms = self.terms.get(key.terms);
        let levels = &self.scopes.get(terms.scope).levels;
        Content { levels, filter: key.filter, required: terms.permit.required() }
    }

    /// Stores the first definition of that key.
    pub(super) fn insert(&mut self, key: Key<'_>, make: impl FnOnce(u32, Filter) -> Definition) -> u32 {
        self.terms.get_mut(key.terms).users += 1;
        let hash = self.hash(key);
        self.definitions.insert(hash, make(key.terms, key.filter.clone()))
    }

    /// Frees a definition, and its patterns and permit where no other one has them.
    pub(super) fn remove(&mut self, id: u32) {
        let hash = self.hash(self.definitions.get(id).key());
        let Definition { terms, .. } = self.definitions.remove(hash, id);
        let used = self.terms.get_mut(terms);
        used.users -= 1;
        if used.users == 0 {
            let hash = self.keyed.hash_one((used.scope, &used.permit));
            let Terms { scope, .. } = self.terms.remove(hash, terms);
            self.release_scope(scope);
        }
    }

    fn release_scope(&mut self, scope: u32) {
        let used = self.scopes.get_mut(scope);
        used.users -= 1;
        if used.users == 0 {
            let hash = self.keyed.hash_one(&used.patterns);
            self.scopes.remove(hash, scope);
        }
    }

    fn hash(&self, key: Key<'_>) -> u64 {
        self.keyed.hash_one((key.terms, key.filter))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.scopes.len() == 0 && self.terms.len() == 0 && self.definitions.len() == 0
    }
}

/// Reads a little of each key, so that the processor fetches the filters of several definitions side by side.
fn read_ahead(filter: &Filter) {
    for (path, allowed) in filter.iter() {
        black_box((path.as_bytes().first().copied(), allowed.first().map(std::mem::discriminant)));
    }
}

impl<P: Permit> Checks for Catalog<P> {
    fn check(&self, definition: u32) -> u64 {
        self.definition(definition).check
    }
}

impl Definition {
    /// What it is interned by.
    pub(super) fn key(&self) -> Key<'_> {
        Key { terms: self.terms, filter: &self.filter }
    }
}
