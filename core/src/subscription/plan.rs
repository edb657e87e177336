//! Where in the index a definition stands: at the levels of its patterns, under the values of one equality.
//!
//! The equality is the most selective one at the time of joining, that is the one whose longest bucket is
//! shortest, since an event pays for the bucket it falls into.

use std::slice;

use super::bucket::{Buckets, Checks};
use super::fingerprint::{Fingerprint, Fingerprinter};
use crate::event::{Filter, Scalar};

/// Places that one definition may take. One with more patterns times alternatives stands at the level of all
/// types and has its patterns checked, so that a small message never costs large memory.
const PLACES_MAX: usize = Filter::MAX_ALTERNATIVES;

/// Keys that are weighed against each other, of the filter and of the permit each. Bounds the cost of joining.
const CANDIDATES_MAX: u8 = 64;

/// The equality that a definition is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// None: it is checked against every event of its levels.
    None,
    /// A key of its own filter, by number.
    Filter(u8),
    /// A key that its permit requires, by number.
    Required(u8),
}

/// What the places of a definition follow from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    /// The levels of its patterns, none of which covers another.
    pub(super) levels: &'a [Fingerprint],
    /// Its own filter.
    pub(super) filter: &'a Filter,
    /// Equalities of its permit.
    pub(super) required: Option<&'a Filter>,
}

impl<'a> Content<'a> {
    fn key(&self, anchor: Anchor) -> Option<(&'a str, &'a [Scalar])> {
        match anchor {
            Anchor::None => None,
            Anchor::Filter(number) => self.filter.iter().nth(usize::from(number)),
            Anchor::Required(number) => self.required?.iter().nth(usize::from(number)),
        }
    }

    fn candidates(&self) -> impl Iterator<Item = Anchor> {
        let own = (0..CANDIDATES_MAX).zip(self.filter.iter()).map(|(number, _)| Anchor::Filter(number));
        let required = self.required.into_iter().flat_map(Filter::iter);
        own.chain((0..CANDIDATES_MAX).zip(required).map(|(number, _)| Anchor::Required(number)))
    }
}

/// The places of one definition.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) anchor: Anchor,
    /// Whether what is found at the places passes the filter.
    pub(super) proves_filter: bool,
    /// Whether what is found at the places is of a type that the patterns match.
    pub(super) proves_patterns: bool,
    levels: &'a [Fingerprint],
    path: Option<Fingerprint>,
    values: Vec<Fingerprint>,
}

impl<'a> Plan<'a> {
    /// The places under the most selective equality, as the buckets are at this moment.
    pub(super) fn choose(
        prints: &'a Fingerprinter,
        buckets: &Buckets,
        checks: &impl Checks,
        content: Content<'a>,
    ) -> Self {
        let plans = content.candidates().map(|anchor| Plan::of(prints, content, anchor));
        let best = plans.min_by_key(|plan| {
            let longest = plan.names().map(|name| buckets.len_of(name, checks)).max();
            (longest, plan.names().count())
        });
        best.unwrap_or_else(|| Plan::of(prints, content, Anchor::None))
    }

    /// The places under a given equality: always the same for the same content.
    pub(super) fn of(prints: &'a Fingerprinter, content: Content<'a>, anchor: Anchor) -> Self {
        let key = content.key(anchor);
        let path = key.map(|(path, _)| prints.path(path));
        let values = match key {
            None => vec![Fingerprint::NONE],
            Some((_, allowed)) => allowed.iter().map(|value| prints.value(value)).collect(),
        };
        let proves_patterns = content.levels.len().saturating_mul(values.len()) <= PLACES_MAX;
        let levels = if proves_patterns { content.levels } else { slice::from_ref(prints.any()) };
        let left_to_check = content.filter.iter().count() - usize::from(matches!(anchor, Anchor::Filter(_)));
        Self { anchor, proves_filter: left_to_check == 0, proves_patterns, levels, path, values }
    }

    /// The bucket of each place, in the order of the places.
    pub(super) fn names(&self) -> impl Iterator<Item = Fingerprint> {
        let path = self.path.unwrap_or(Fingerprint::NONE);
        self.levels.iter().flat_map(move |&level| self.values.iter().map(move |&value| level ^ path ^ value))
    }

    /// What an event must find to probe for values: each level, and the path at each level. Empty for a
    /// definition without an equality.
    pub(super) fn routes(&self) -> impl Iterator<Item = Fingerprint> {
        self.path
            .into_iter()
            .flat_map(|path| self.levels.iter().flat_map(move |&level| [level, level ^ path]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Pattern;
    use crate::map::Keyed;

    #[test]
    fn to_be_found_proves_a_filter_of_one_key_and_no_other() {
        let prints = Fingerprinter::new(Keyed::new([1, 2]));
        let filter = |text: &str| Filter::from_json(&serde_json::from_str(text).unwrap(), 16).unwrap();
        let levels = [prints.level(&Pattern::parse("a.x").unwrap())];
        let required = filter(r#"{"tenant":1}"#);
        let proves = |text: &str, anchor| {
            let content = Content { levels: &levels, filter: &filter(text), required: Some(&required) };
            Plan::of(&prints, content, anchor).proves_filter
        };
        assert!(proves(r#"{"k":[1,2]}"#, Anchor::Filter(0)));
        assert!(proves("{}", Anchor::None));
        assert!(proves("{}", Anchor::Required(0)));
        assert!(!proves(r#"{"k":1,"l":1}"#, Anchor::Filter(0)));
        assert!(!proves(r#"{"k":1}"#, Anchor::Required(0)));
    }
}
