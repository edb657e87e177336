//! The kinds of value that a field of an event's data can have: the Rust type, the check of a publisher's
//! JSON and the JSON Schema of each.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::fault::{Faults, Place};
use super::json::Node;
use crate::time::UnixTime;

/// What a field may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// An RFC 3339 string.
    Timestamp,
    /// A number.
    Number,
    /// A string or a number.
    TextOrNumber,
    /// A string or an object.
    TextOrObject,
    /// An object or an array.
    ObjectOrList,
    /// An array of strings.
    TextList,
    /// An array of anything.
    List,
    /// Anything, `null` included.
    Any,
    /// One of these strings.
    OneOf(&'static [&'static str]),
}

impl Kind {
    /// Lists what keeps `node`, which stands at `place`, from being of this kind.
    pub(super) fn check(self, node: &Node<'_>, place: Place<'_>, faults: &mut Faults) {
        match (self, node) {
            (Self::TextList, Node::List(list)) => {
                for (index, node) in list.iter().enumerate() {
                    Self::Text.check(node, Place::Index(&place, index), faults);
                }
            }
            _ if self.admits(node) => {}
            _ => faults.push(place, format_args!("must be {self}")),
        }
    }

    fn admits(self, node: &Node<'_>) -> bool {
        match (self, node) {
            (Self::Any, _)
            | (Self::Text | Self::TextOrNumber | Self::TextOrObject, Node::Text(_))
            | (Self::Number | Self::TextOrNumber, Node::Number(_))
            | (Self::TextOrObject | Self::ObjectOrList, Node::Object(_))
            | (Self::List | Self::ObjectOrList, Node::List(_)) => true,
            (Self::Timestamp, Node::Text(text)) => is_timestamp(text),
            (Self::OneOf(names), Node::Text(text)) => names.contains(&&**text),
            _ => false,
        }
    }

    /// The JSON Schema of the kind; `or_null` where the field is optional.
    #[must_use]
    pub fn schema(self, or_null: bool) -> Value {
        let types: &[&str] = match self {
            Self::Any => return json!({}),
            Self::OneOf(names) => {
                let null = or_null.then_some(Value::Null);
                let names: Vec<Value> = names.iter().map(|name| Value::from(*name)).chain(null).collect();
                return json!({ "enum": names });
            }
            Self::Text | Self::Timestamp => &["string"],
            Self::Number => &["number"],
            Self::TextOrNumber => &["string", "number"],
            Self::TextOrObject => &["string", "object"],
            Self::ObjectOrList => &["object", "array"],
            Self::TextList | Self::List => &["array"],
        };
        let types: Vec<&str> = types.iter().copied().chain(or_null.then_some("null")).collect();
        let mut schema = if let [only] = *types { json!({ "type": only }) } else { json!({ "type": types }) };
        match self {
            Self::Timestamp => schema["format"] = json!("date-time"),
            Self::TextList => schema["items"] = json!({ "type": "string" }),
            _ => {}
        }
        schema
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a string",
            Self::Timestamp => "an RFC 3339 timestamp, as in 2026-01-31T08:09:10Z",
            Self::Number => "a number",
            Self::TextOrNumber => "a string or a number",
            Self::TextOrObject => "a string or an object",
            Self::ObjectOrList => "an object or an array",
            Self::TextList => "an array of strings",
            Self::List => "an array",
            Self::Any => "any value",
            Self::OneOf(names) => return write!(f, "one of {}", names.join(", ")),
        })
    }
}

/// Whether `text` is an RFC 3339 date and time with `T` between them. A leap second is accepted where one
/// can be: in the last minute of a month, UTC.
pub(super) fn is_timestamp(text: &str) -> bool {
    // RFC 3339 §5.6 lets applications choose another separator; browsers and JSON Schema do not.
    matches!(text.as_bytes().get(10), Some(b'T' | b't')) && OffsetDateTime::parse(text, &Rfc3339).is_ok()
}

/// A Rust type that a field of an event's data can have.
pub trait Shape {
    /// Its kind on the wire.
    const KIND: Kind;
}

/// An RFC 3339 date and time, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(String);

/// A text that is not an RFC 3339 timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be {}", Kind::Timestamp)]
pub struct NotATimestamp;

impl Timestamp {
    /// The timestamp as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NotATimestamp;

    fn try_from(text: String) -> Result<Self, NotATimestamp> {
        if is_timestamp(&text) { Ok(Self(text)) } else { Err(NotATimestamp) }
    }
}

impl From<UnixTime> for Timestamp {
    fn from(time: UnixTime) -> Self {
        Self(time.to_rfc3339())
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0
    }
}

/// A string or a number, as error codes are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TextOrNumber {
    /// A string.
    Text(String),
    /// A number.
    Number(Number),
}

/// A string, or an object with the same in parts, as locations and devices are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TextOrObject {
    /// A string.
    Text(String),
    /// An object.
    Object(serde_json::Map<String, Value>),
}

/// A set of changes: an object by field, or a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ObjectOrList {
    /// An object.
    Object(serde_json::Map<String, Value>),
    /// An array.
    List(Vec<Value>),
}

/// An enumeration on the wire: its variants and their names stand in one place.
macro_rules! names {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ #[serde(rename = $text)] $variant,)+
        }

        impl Shape for $name {
            const KIND: Kind = Kind::OneOf(&[$($text),+]);
        }
    };
}

names! {
    /// Where a piece of content stands.
    ContentStatus {
        /// Being written.
        Draft = "draft",
        /// Awaiting approval.
        Review = "review",
        /// To be published at a set time.
        Scheduled = "scheduled",
        /// Public.
        Published = "published",
        /// Kept, but not public.
        Archived = "archived",
    }
}

names! {
    /// How a service is.
    HealthStatus {
        /// It works.
        Healthy = "healthy",
        /// It works in part, or slowly.
        Degraded = "degraded",
        /// It does not work.
        Unhealthy = "unhealthy",
    }
}

macro_rules! shapes {
    ($($type:ty => $kind:ident,)+) => {
        $(impl Shape for $type { const KIND: Kind = Kind::$kind; })+
    };
}

shapes! {
    String => Text,
    Timestamp => Timestamp,
    Number => Number,
    TextOrNumber => TextOrNumber,
    TextOrObject => TextOrObject,
    ObjectOrList => ObjectOrList,
    Vec<String> => TextList,
    Vec<Value> => List,
    Value => Any,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339() {
        for text in [
            "2026-01-31T08:09:10Z",
            "2026-01-31t08:09:10.123456789012z",
            "2024-02-29T23:59:59-08:00",
            "2016-12-31T23:59:60Z",
            "0000-01-01T00:00:00Z",
        ] {
            assert!(is_timestamp(text), "{text}");
        }
        for text in [
            "",
            "2026-01-31",
            "2026-01-31 08:09:10Z",
            "2026-01-31T08:09:10",
            "2026-01-31T08:09Z",
            "2026-02-29T08:09:10Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T08:09:10+24:00",
            "2026-01-31T08:09:10Z ",
            "1790000000",
            "2026-01-31é08:09:10Z",
        ] {
            assert!(!is_timestamp(text), "{text}");
        }
    }
}
