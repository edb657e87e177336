//! What the index needs to know of a grant; the hub implements it for the grants of `auth`.

use std::hash::Hash;

use crate::event::{Fields, Filter};

/// Decides which events a subscriber may see, whatever it subscribed to.
///
/// Equal permits permit the same events: the index keeps one of them, and asks it once an event for all
/// definitions that also have the same patterns.
pub trait Permit: Eq + Hash + Clone {
    /// Whether an event of this type with these fields may be seen.
    fn permits(&self, type_name: &str, fields: &Fields) -> bool;

    /// Equalities that every permitted event fulfils, where there are some: a grant of one part has its forced
    /// filter's. They make a subscription selective whose own filter is not. The answer never changes.
    fn required(&self) -> Option<&Filter>;
}
