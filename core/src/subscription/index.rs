//! The matching index: from an event to every definition that matches it, each once.
//!
//! Its rule is that an event costs what it matches. A definition stands under one equality of its filter (or of
//! its permit), so an event that looks up its own values meets few others. Where that equality is the whole
//! filter, being found is the proof. No order of a hash table is ever seen: the same history of joins and leaves
//! gives the same order of visits.

use std::fmt;

use super::bucket::{Buckets, Found, Posting, Routes};
use super::catalog::{Catalog, Event, Key};
use super::definition::{Definition, DefinitionId, Positions};
use super::fingerprint::{Fingerprint, Fingerprinter};
use super::members::{Member, Members, Removed};
use super::permit::Permit;
use super::plan::Plan;
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
/// - Getters: [`definition`](Self::definition), [`members`](Self::members), [`definitions`](Self::definitions),
///   [`work`](Self::work).
///
/// A [`Place`] is good until it has left; a [`DefinitionId`] until its last member has.
pub struct Index<P> {
    prints: Fingerprinter,
    catalog: Catalog<P>,
    /// By definition; apart from them, since no event reads it.
    positions: Vec<Positions>,
    buckets: Buckets,
    routes: Routes,
    members: usize,
    round: u64,
    /// Scratch of a match: bucket names, at most [`BATCH`].
    names: Vec<Fingerprint>,
    /// Scratch of a match: definitions found, at most [`BATCH`].
    found: Vec<u32>,
}

/// Buckets or definitions that a match reads in one go. In a large index each is far away in memory; read side
/// by side, with nothing else between, the processor waits for all of them at once.
const BATCH: usize = 32;

impl<P: Permit> Index<P> {
    /// An index without members. `keyed` decides nothing that can be seen.
    #[must_use]
    pub fn new(keyed: Keyed) -> Self {
        Self {
            prints: Fingerprinter::new(keyed),
            catalog: Catalog::new(keyed),
            positions: Vec::new(),
            buckets: Buckets::default(),
            routes: Routes::default(),
            members: 0,
            round: 0,
            names: Vec::with_capacity(BATCH),
            found: Vec::with_capacity(BATCH),
        }
    }

    /// Adds a member to the definition of that content, which is made where it is the first.
    pub fn join(&mut self, patterns: &Patterns, filter: &Filter, permit: &P, member: Member) -> Place {
        self.members += 1;
        let key = self.catalog.key(patterns, filter, permit, &self.prints);
        if let Some(id) = self.catalog.find(key) {
            let position = self.catalog.definition_mut(id).members.push(member);
            let position = u32::try_from(position).expect("fewer than 2^32 members fit into memory");
            return Place { definition: DefinitionId(id), position };
        }
        Place { definition: DefinitionId(self.define(key, member)), position: 0 }
    }

    /// Removes the member at `place`, and its definition with the last one. Returns the member that stands at
    /// `place` since, if another moved there.
    pub fn leave(&mut self, place: Place) -> Option<Moved> {
        let DefinitionId(id) = place.definition;
        let position = place.position as usize;
        let members = &mut self.catalog.definition_mut(id).members;
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
        let event = Event { round: self.round, type_name, fields };
        let levels = self.prints.levels(type_name);
        self.names.clear();
        self.names.extend(levels);
        let levels = levels.map(|level| self.routes.contains(level).then_some(level));
        if levels != [None; 3] {
            self.probe_values(levels, event, &mut visit);
        }
        self.visit_buckets(event, &mut visit);
    }

    /// Names the buckets of the event's values, at the levels that have definitions with an equality.
    fn probe_values(
        &mut self,
        levels: [Option<Fingerprint>; 3],
        event: Event<'_>,
        visit: &mut impl FnMut(&[Member]),
    ) {
        let mut last = None;
        let mut routes = [None; 3];
        for (path, value, _) in event.fields.iter() {
            if last != Some(path) {
                last = Some(path);
                let path = self.prints.path(path);
                let in_use = |&route: &Fingerprint| self.routes.contains(route);
                routes = levels.map(|level| level.map(|level| level ^ path).filter(in_use));
            }
            if routes == [None; 3] {
                continue;
            }
            if BATCH < self.names.len() + routes.len() {
                self.visit_buckets(event, visit);
            }
            let value = self.prints.value(value);
            self.names.extend(routes.into_iter().flatten().map(|route| route ^ value));
        }
    }

    /// Goes through the buckets named in the scratch and empties it.
    fn visit_buckets(&mut self, event: Event<'_>, visit: &mut impl FnMut(&[Member])) {
        let Self { catalog, buckets, names, found, .. } = self;
        for name in names.drain(..) {
            match buckets.visit(name, event.round, catalog) {
                Found::Nothing => {}
                Found::Alone(definition) => found.push(definition),
                Found::List(near, far) => {
                    for part in [near, far].into_iter().flat_map(|part| part.chunks(BATCH)) {
                        if BATCH < found.len() + part.len() {
                            visit_found(catalog, found, event, visit);
                        }
                        found.extend(part.iter().map(|posting| posting.definition));
                    }
                }
            }
            if found.len() == BATCH {
                visit_found(catalog, found, event, visit);
            }
        }
        visit_found(catalog, found, event, visit);
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
        let definition = self.catalog.definition(id);
        let (patterns, permit) = self.catalog.parts(definition);
        (patterns, &definition.filter, permit)
    }

    /// The member at a place.
    #[cfg(test)]
    pub(super) fn member(&self, place: Place) -> Member {
        let members = self.catalog.definition(place.definition.0).members.as_slice();
        *members.get(place.position as usize).expect("a place is good until it has left")
    }

    /// How many members there are.
    #[must_use]
    pub const fn members(&self) -> usize {
        self.members
    }

    /// How many different definitions the members have.
    #[must_use]
    pub fn definitions(&self) -> usize {
        self.catalog.len()
    }

    /// How many definitions [`matching`](Self::matching) has looked at so far, whether they matched or not; one
    /// that an event finds at several of its places counts for each.
    #[must_use]
    pub const fn work(&self) -> u64 {
        self.catalog.work()
    }

    /// Makes a definition and puts it into its buckets.
    fn define(&mut self, key: Key<'_>, member: Member) -> u32 {
        let plan = Plan::choose(&self.prints, &self.buckets, &self.catalog, self.catalog.content(key));
        let Plan { anchor, proves_filter, proves_patterns, .. } = plan;
        let routes: Vec<Fingerprint> = plan.routes().collect();
        let names: Vec<Fingerprint> = plan.names().collect();
        let only = if let [name] = names[..] { Some(name) } else { None };
        let id = self.catalog.insert(key, |terms, filter| Definition {
            filter,
            members: Members::One(member),
            round: 0,
            check: only.map_or(0, Fingerprint::check),
            terms,
            anchor,
            checks_filter: !proves_filter,
            checks_patterns: !proves_patterns,
        });
        routes.into_iter().for_each(|route| self.routes.retain(route));
        let insert = |(name, place)| {
            let posting = Posting { definition: id, place };
            self.buckets.insert(name, posting, only.is_some(), &self.catalog)
        };
        let positions = Positions::new(names.into_iter().zip(0..).map(insert).collect());
        if let Some(reused) = self.positions.get_mut(id as usize) {
            *reused = positions;
        } else {
            self.positions.push(positions);
        }
        id
    }

    /// Takes a definition out of its buckets and frees it.
    fn undefine(&mut self, id: u32) {
        let definition = self.catalog.definition(id);
        let plan = Plan::of(&self.prints, self.catalog.content(definition.key()), definition.anchor);
        plan.routes().for_each(|route| self.routes.release(route));
        for (name, place) in plan.names().zip(0..) {
            let position = *position_of(&mut self.positions, Posting { definition: id, place });
            if let Some(moved) = self.buckets.remove(name, position, &self.catalog) {
                *position_of(&mut self.positions, moved) = position;
            }
        }
        *self.positions.get_mut(id as usize).expect("every definition has positions") = Positions::One(0);
        self.catalog.remove(id);
    }

    /// Asserts that a definition stands in its buckets where its positions say.
    #[cfg(test)]
    pub(super) fn assert_placed(&mut self, DefinitionId(id): DefinitionId) {
        let definition = self.catalog.definition(id);
        let plan = Plan::of(&self.prints, self.catalog.content(definition.key()), definition.anchor);
        self.round += 1;
        for (name, place) in plan.names().zip(0..) {
            let posting = Posting { definition: id, place };
            let position = *position_of(&mut self.positions, posting) as usize;
            match self.buckets.visit(name, self.round, &self.catalog) {
                Found::Nothing => unreachable!("each bucket is visited once"),
                Found::Alone(alone) => assert_eq!((alone, place, position), (id, 0, 0)),
                Found::List(near, far) => assert_eq!(near.iter().chain(far).nth(position), Some(&posting)),
            }
        }
    }

    /// Whether joining has left no trace but capacity.
    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.members == 0 && self.catalog.is_empty() && self.buckets.is_empty() && self.routes.is_empty()
    }
}

/// Visits what lets the event pass of the definitions found, and forgets them.
fn visit_found<P: Permit>(
    catalog: &mut Catalog<P>,
    found: &mut Vec<u32>,
    event: Event<'_>,
    visit: &mut impl FnMut(&[Member]),
) {
    catalog.retain_passing(found, event);
    for definition in found.drain(..) {
        visit(catalog.definition(definition).members.as_slice());
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
