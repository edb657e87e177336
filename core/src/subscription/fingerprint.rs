//! Keyed 128-bit fingerprints, which name the buckets of the index.
//!
//! A bucket's name is the XOR of three of them: its level (which types), its path and its value. The three
//! are hashed apart under one secret key, so each part of an event is hashed once however many levels are
//! probed. The index compares 96 bits, so two
//! buckets are mistaken by a chance of 2^-96; what would follow is a superfluous delivery, since a permit is
//! always asked in full.

use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::BitXor;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::event::{Pattern, Scalar};
use crate::map::Keyed;

/// The fingerprint of one level, path or value, or an XOR of such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64, u64);

impl Fingerprint {
    /// Changes nothing in an XOR: the path and value of what has none.
    pub(super) const NONE: Self = Self(0, 0);

    #[cfg(test)]
    pub(super) const fn new(bits: u64, check: u64) -> Self {
        Self(bits, check)
    }

    /// Bits for a hash table that finds by fingerprint.
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// What those bits do not tell.
    pub(super) const fn check(self) -> u64 {
        self.1
    }
}

impl BitXor for Fingerprint {
    type Output = Self;

    fn bitxor(self, rhs: Self) -> Self {
        Self(self.0 ^ rhs.0, self.1 ^ rhs.1)
    }
}

/// Takes fingerprints under one secret key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fingerprinter {
    hasher: SipHasher13,
    any: Fingerprint,
}

/// Sets apart what could otherwise have equal bytes.
#[derive(Clone, Copy)]
enum Domain {
    Any,
    Category,
    Exact,
    Path,
    Value,
}

impl Fingerprinter {
    /// Under the key of `keyed`.
    pub(super) fn new(keyed: Keyed) -> Self {
        let hasher = SipHasher13::new_with_keys(keyed.hash_one(0_u64), keyed.hash_one(1_u64));
        let any = of(hasher, Domain::Any, |_| ());
        Self { hasher, any }
    }

    /// The level that holds definitions for every type.
    pub(super) const fn any(&self) -> &Fingerprint {
        &self.any
    }

    /// The level of a pattern.
    pub(super) fn level(&self, pattern: &Pattern) -> Fingerprint {
        match pattern {
            Pattern::Any => self.any,
            Pattern::Category(category) => self.category(category),
            Pattern::Exact(exact) => self.exact(exact),
        }
    }

    /// The three levels that an event of `type_name` is looked up in.
    pub(super) fn levels(&self, type_name: &str) -> [Fingerprint; 3] {
        // A type always has a category; a name without a dot has a level that no pattern can name.
        let category = type_name.split_once('.').map_or("", |(category, _)| category);
        [self.any, self.category(category), self.exact(type_name)]
    }

    fn category(&self, category: &str) -> Fingerprint {
        of(self.hasher, Domain::Category, |hasher| hasher.write(category.as_bytes()))
    }

    fn exact(&self, type_name: &str) -> Fingerprint {
        of(self.hasher, Domain::Exact, |hasher| hasher.write(type_name.as_bytes()))
    }

    /// The fingerprint of a dotted path.
    pub(super) fn path(&self, path: &str) -> Fingerprint {
        of(self.hasher, Domain::Path, |hasher| hasher.write(path.as_bytes()))
    }

    /// The fingerprint of a scalar; equal scalars have equal ones.
    pub(super) fn value(&self, value: &Scalar) -> Fingerprint {
        of(self.hasher, Domain::Value, |hasher| value.hash(hasher))
    }
}

fn of(mut hasher: SipHasher13, domain: Domain, write: impl FnOnce(&mut SipHasher13)) -> Fingerprint {
    hasher.write_u8(domain as u8);
    write(&mut hasher);
    let hash = hasher.finish128();
    Fingerprint(hash.h1, hash.h2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprinter() -> Fingerprinter {
        Fingerprinter::new(Keyed::new([1, 2]))
    }

    #[test]
    fn a_type_is_looked_up_where_its_patterns_are() {
        let prints = fingerprinter();
        let levels = ["*", "content.*", "content.updated"].map(|text| Pattern::parse(text).unwrap());
        assert_eq!(prints.levels("content.updated"), levels.map(|pattern| prints.level(&pattern)));
    }

    #[test]
    fn the_same_text_in_another_role_has_another_fingerprint() {
        let prints = fingerprinter();
        let text = Scalar::String("a".into());
        let all = [prints.category("a"), prints.exact("a"), prints.path("a"), prints.value(&text)];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one));
        }
    }

    #[test]
    fn a_name_keeps_every_bit_of_its_parts() {
        let prints = fingerprinter();
        let (level, path) = (prints.category("a"), prints.path("a"));
        assert_eq!(level ^ path ^ path, level);
        assert_eq!(level ^ Fingerprint::NONE, level);
    }
}
