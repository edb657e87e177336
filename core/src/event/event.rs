//! An event that has passed every check: what the log keeps and the lanes deliver.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::attributes::{Attributes, Extension};
use super::catalog::TypeId;
use super::conflation::push_text;
use super::fields::Fields;
use super::json::Object;
use super::parse::Defaults;
use super::priority::Priority;

/// An event, checked and complete. Its JSON is the form in which every client gets it; what filters, grants,
/// lanes and the log need from it has been taken out, so that it is never parsed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    type_id: TypeId,
    priority: Priority,
    id: Box<str>,
    source: Box<str>,
    subject: Option<Box<str>>,
    json: Box<str>,
    fields: Fields,
    conflation: Option<Box<str>>,
    fingerprint: [u8; 16],
}

/// What an event is made of.
pub(super) struct Parts<'p> {
    pub(super) type_id: TypeId,
    pub(super) type_name: &'p str,
    pub(super) priority: Priority,
    pub(super) attributes: &'p Attributes<'p>,
    pub(super) data: &'p Object<'p>,
    pub(super) raw_data: &'p str,
    pub(super) conflation: Option<Box<str>>,
    pub(super) defaults: &'p Defaults<'p>,
}

impl Event {
    pub(super) fn new(parts: &Parts<'_>) -> Self {
        let Parts { attributes, defaults, .. } = parts;
        let source = attributes.source.unwrap_or(defaults.source);
        Self {
            type_id: parts.type_id,
            priority: parts.priority,
            id: attributes.id.unwrap_or(defaults.id).into(),
            source: source.into(),
            subject: attributes.subject.map(Into::into),
            json: delivered(parts),
            fields: Fields::of(parts.data, attributes.subject, Some(source)),
            conflation: parts.conflation.clone(),
            fingerprint: fingerprint(parts),
        }
    }

    /// The type, of the catalog that parsed the event.
    #[must_use]
    pub fn type_id(&self) -> TypeId {
        self.type_id
    }

    /// The lane in which it travels.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Names the event within its source.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it comes from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The entity that it is about.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The CloudEvents object as it is delivered: every attribute filled in, `data` byte for byte as it was
    /// sent, line breaks between its tokens included.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// What filters read.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Where the type may be conflated: events with an equal key may replace each other.
    #[must_use]
    pub fn conflation(&self) -> Option<&str> {
        self.conflation.as_deref()
    }

    /// A digest of what the publisher gave, without the `id`: two publishes of one id are the same event
    /// exactly if it is equal. What the server filled in is not part of it.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 16] {
        self.fingerprint
    }

    /// The event with the fingerprint that was kept beside its JSON: the JSON alone no longer tells what
    /// the publisher gave.
    #[must_use]
    pub fn with_fingerprint(self, fingerprint: [u8; 16]) -> Self {
        Self { fingerprint, ..self }
    }

    /// Bytes of memory held, for the bounds of history.
    #[must_use]
    pub fn memory(&self) -> usize {
        let optional = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        size_of::<Self>()
            + self.id.len()
            + self.source.len()
            + optional(&self.subject)
            + self.json.len()
            + self.fields.memory()
            + optional(&self.conflation)
    }
}

/// The JSON of the event as every client gets it.
fn delivered(parts: &Parts<'_>) -> Box<str> {
    let Parts { attributes, defaults, .. } = parts;
    let mut json = String::with_capacity(parts.raw_data.len() + 256);
    let mut push = |name: &str, value: &str| {
        json.push_str(if json.is_empty() { "{\"" } else { ",\"" });
        json.push_str(name);
        json.push_str("\":");
        push_text(&mut json, value);
    };
    push("specversion", "1.0");
    push("id", attributes.id.unwrap_or(defaults.id));
    push("source", attributes.source.unwrap_or(defaults.source));
    push("type", parts.type_name);
    match attributes.time {
        Some(time) => push("time", time),
        None => push("time", &defaults.time.to_rfc3339()),
    }
    if let Some(subject) = attributes.subject {
        push("subject", subject);
    }
    if attributes.has_content_type {
        push("datacontenttype", "application/json");
    }
    push("priority", parts.priority.as_str());
    for (name, value) in &attributes.extensions {
        // The name of an extension has nothing to escape.
        write!(json, ",\"{name}\":").expect("a String takes all");
        push_extension(&mut json, *value);
    }
    json.push_str(",\"data\":");
    json.push_str(parts.raw_data);
    json.push('}');
    json.into()
}

fn push_extension(out: &mut String, value: Extension<'_>) {
    match value {
        Extension::Bool(bool) => write!(out, "{bool}").expect("a String takes all"),
        Extension::Integer(number) => write!(out, "{number}").expect("a String takes all"),
        Extension::Text(text) => push_text(out, text),
    }
}

/// The digest of what the publisher gave. Every part is preceded by its length, so no two lists of parts
/// have the same bytes.
fn fingerprint(parts: &Parts<'_>) -> [u8; 16] {
    let Parts { attributes, .. } = parts;
    let mut digest = Sha256::new();
    let mut push = |part: Option<&str>| {
        // No text is this long.
        let len = part.map_or(u64::MAX, |part| part.len() as u64);
        digest.update(len.to_le_bytes());
        digest.update(part.unwrap_or_default());
    };
    push(Some(parts.type_name));
    push(attributes.source);
    push(attributes.subject);
    push(attributes.priority.map(Priority::as_str));
    push(attributes.time);
    push(Some(parts.raw_data));
    for (name, value) in &attributes.extensions {
        let mut json = String::new();
        push_extension(&mut json, *value);
        push(Some(name));
        push(Some(&json));
    }
    let digest: [u8; 32] = digest.finalize().into();
    *digest.first_chunk().expect("sixteen is less than thirty-two")
}
