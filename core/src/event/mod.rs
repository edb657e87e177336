//! Events: the 25 built-in types and the application's own, their validation, their schema, and the
//! predicates over them (patterns, filters) that subscriptions and grants are made of.

mod fields;
mod filter;
mod pattern;
mod priority;

pub use fields::{Fields, FieldsBuilder, Scalar};
pub use filter::{Filter, FilterError};
pub use pattern::{Pattern, PatternError, Patterns};
pub use priority::Priority;
