//! Events: the 25 built-in types and the application's own, their validation, their schema, and the
//! predicates over them (patterns, filters) that subscriptions and grants are made of.

mod attributes;
mod binary;
mod catalog;
mod conflation;
mod custom;
#[expect(clippy::module_inception, reason = "among all that concerns events, this is the event itself")]
mod event;
mod fault;
mod fields;
mod filter;
mod json;
mod kind;
mod parse;
mod pattern;
mod priority;
mod schema;
mod types;

pub use catalog::{Catalog, CatalogError, TypeId};
pub use conflation::ConflationRule;
pub use custom::CustomType;
pub use event::Event;
pub use fault::Fault;
pub use fields::{Fields, FieldsBuilder, Number, Scalar};
pub(crate) use filter::is_data_path;
pub use filter::{Filter, FilterError};
pub(crate) use json::parse_strict;
pub use kind::{
    ContentStatus, HealthStatus, Kind, NotATimestamp, ObjectOrList, Shape, TextOrNumber, TextOrObject,
    Timestamp,
};
pub use parse::Defaults;
pub use pattern::{Pattern, PatternError, Patterns, is_type_name};
pub use priority::Priority;
pub use types::*;

#[cfg(test)]
mod tests;
