//! Event types that the application adds: a name, a priority and a JSON Schema of the data. A schema is
//! self-contained; nothing is ever fetched for it.

use jsonschema::{Draft, PatternOptions, ReferencingError, ValidationError, ValidationOptions, Validator};
use serde_json::Value;

use super::catalog::CatalogError;
use super::fault::{Faults, Place, cut};
use super::json::Node;
use super::priority::Priority;

/// An event type of the application.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomType {
    /// `category.name`, not one of the built-in types.
    pub name: String,
    /// The priority of an event that does not choose its own.
    pub priority: Priority,
    /// JSON Schema of the data: draft 2020-12, unless its `$schema` names draft 6 or a later one. Formats are
    /// checked; patterns are those that run in linear time (no look-around, no back-references).
    pub schema: Value,
}

/// A type's schema, ready to check data.
#[derive(Debug)]
pub(super) struct CustomShape {
    pub(super) schema: Value,
    validator: Validator,
}

impl CustomShape {
    /// Compiles the schema of the type `name`.
    pub(super) fn new(name: &str, schema: Value) -> Result<Self, CatalogError> {
        let validator = options().build(&schema).map_err(|error| refused(name, &error))?;
        if validator.draft() == Draft::Draft4 {
            let reason =
                "draft 4 cannot stand in the document of all schemas; use draft 6 or later".to_owned();
            return Err(CatalogError::Schema { name: name.to_owned(), reason });
        }
        Ok(Self { schema, validator })
    }

    /// Lists everything that the schema finds wrong with `data`, which stands at `place`.
    pub(super) fn check(&self, data: &Node<'_>, place: Place<'_>, faults: &mut Faults) {
        let value = data.to_value();
        let found = self.validator.iter_errors(&value);
        let mut found: Vec<(String, String)> = found
            .map(|error| (error.instance_path().to_string(), cut(&error.masked().to_string(), 300)))
            .collect();
        // The library's order is not a promise.
        found.sort();
        found.dedup();
        for (pointer, message) in found {
            push_at(data, place, &pointer, &message, faults);
        }
    }
}

/// Pure options: no file, no network, no pattern that can run away.
pub(super) fn options() -> ValidationOptions<'static> {
    jsonschema::options()
        .offline()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex())
}

fn refused(name: &str, error: &ValidationError<'_>) -> CatalogError {
    use jsonschema::error::ValidationErrorKind::Referencing;
    match error.kind() {
        Referencing(ReferencingError::Unretrievable { uri, .. }) => {
            CatalogError::RemoteReference { name: name.to_owned(), uri: uri.clone() }
        }
        _ => CatalogError::Schema { name: name.to_owned(), reason: cut(&error.to_string(), 300) },
    }
}

/// Adds a fault at the JSON Pointer `pointer` within `node`.
fn push_at(node: &Node<'_>, place: Place<'_>, pointer: &str, message: &str, faults: &mut Faults) {
    let Some(rest) = pointer.strip_prefix('/') else {
        return faults.push(place, message);
    };
    let (segment, rest) = rest.find('/').map_or((rest, ""), |end| rest.split_at(end));
    let key = segment.replace("~1", "/").replace("~0", "~");
    match node {
        Node::Object(object) => {
            let inner = object.get(&key).unwrap_or(&Node::Null);
            push_at(inner, Place::Key(&place, &key), rest, message, faults);
        }
        Node::List(list) => {
            let index = key.parse().unwrap_or(usize::MAX);
            let inner = list.get(index).unwrap_or(&Node::Null);
            push_at(inner, Place::Index(&place, index), rest, message, faults);
        }
        _ => faults.push(place, message),
    }
}
