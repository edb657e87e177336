//! Subscriptions: who wants which events, and an index that finds them.
//!
//! Subscriptions with equal content (patterns, filter, what the grant permits) share one interned
//! [definition](DefinitionId), so an event is checked once for all of them. The [`Index`] finds the
//! definitions that an event may match by type and by the most selective equality of each; its rule is that
//! an event costs what it matches, not what is subscribed.

mod bucket;
mod catalog;
mod definition;
mod fingerprint;
mod index;
mod interner;
mod members;
mod permit;
mod plan;
#[cfg(test)]
mod tests;

pub use definition::DefinitionId;
pub use index::{Index, Moved, Place};
pub use members::Member;
pub use permit::Permit;
