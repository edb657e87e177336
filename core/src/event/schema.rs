//! The JSON Schema of all events, one document of draft 2020-12: what [`Catalog::parse`] accepts, it accepts.
//! Only "a key stands at most once" and the bound on nesting are beyond JSON Schema.

use serde_json::{Map, Value, json};

use super::attributes;
use super::catalog::{Catalog, DataShape, Known};
use super::types::TypeSpec;

/// The `$id` of the document.
pub(super) const DOCUMENT_ID: &str = "urn:tidings:event";

impl Catalog {
    /// The JSON Schema document of an event as publishers send it: the attributes, and one definition under
    /// `$defs` for the data of each type, named after the type.
    #[must_use]
    pub fn schema(&self) -> Value {
        let mut defs = Map::new();
        let mut types = Vec::with_capacity(self.len());
        for (_, known) in self.known() {
            let name = &*known.name;
            defs.insert(name.to_owned(), data_schema(known));
            types.push(json!({
                "title": name,
                "properties": {
                    "type": { "const": name },
                    "data": { "$ref": format!("#/$defs/{name}") },
                },
                "x-priority": known.priority.as_str(),
            }));
        }
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": DOCUMENT_ID,
            "title": "Tidings event",
            "description": "An event as publishers send it: a CloudEvents 1.0 object, its data by its type.",
            "type": "object",
            "required": ["type", "data"],
            "properties": properties(),
            "oneOf": types,
            "$defs": defs,
        })
    }
}

fn properties() -> Value {
    let mut properties = attributes::schema();
    properties["type"] = json!({ "type": "string", "description": "What happened, `category.name`." });
    properties["data"] = json!({ "type": "object", "description": "What there is to know about it." });
    properties
}

fn data_schema(known: &Known) -> Value {
    let custom = match &known.shape {
        DataShape::BuiltIn(spec) => return built_in_schema(spec),
        DataShape::Custom(custom) => custom,
    };
    let mut schema = custom.schema.clone();
    if let (Some(object), Some(id)) = (schema.as_object_mut(), schema_id(known)) {
        // A resource of its own, so that a `#` in it still means itself.
        object.insert("$id".to_owned(), id.into());
    }
    schema
}

/// The `$id` of the schema of an application's type: its own or one made from the type's name.
pub(super) fn schema_id(known: &Known) -> Option<String> {
    let DataShape::Custom(custom) = &known.shape else { return None };
    let own = custom.schema.as_object()?.get("$id").and_then(Value::as_str);
    let own = own.map(|id| id.trim_end_matches('#')).filter(|id| !id.is_empty());
    Some(own.map_or_else(|| format!("urn:tidings:type:{}", known.name), str::to_owned))
}

fn built_in_schema(spec: &TypeSpec) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in spec.fields {
        let mut schema = field.kind.schema(!field.required);
        schema["description"] = field.doc.into();
        properties.insert(field.name.to_owned(), schema);
        if field.required {
            required.push(field.name);
        }
    }
    json!({
        "title": spec.title,
        "description": spec.doc,
        "type": "object",
        "required": required,
        "properties": properties,
    })
}
