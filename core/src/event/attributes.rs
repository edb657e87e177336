//! The attributes of an event: CloudEvents 1.0 with the rules of PROTOCOL §1. What is read here and the JSON
//! Schema of it stand side by side, since they say the same.

use std::fmt;

use serde_json::{Number, Value, json};

use super::catalog::{Catalog, TypeId};
use super::fault::{Faults, Place, cut};
use super::json::{Node, Object};
use super::kind::{Kind, is_timestamp};
use super::priority::Priority;

/// Characters of an `id`.
pub(super) const ID_CHARS_MAX: usize = 128;
/// Characters of a `source`, and of a `subject`.
pub(super) const URI_CHARS_MAX: usize = 256;

/// ASCII that RFC 3986 never allows in a URI reference, beside spaces and control characters.
const URI_EXCLUDED: &str = "\"<>\\^`{|}";
/// The same, the spaces and the control characters of Unicode as an ECMA-262 pattern.
const URI_PATTERN: &str = r#"^(?:[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"<>\\^`{|}%]|%[0-9A-Fa-f]{2})*$"#;
/// `application/json` in any case, with or without parameters.
const MEDIA_TYPE_PATTERN: &str =
    r"^[ \t]*[Aa][Pp][Pp][Ll][Ii][Cc][Aa][Tt][Ii][Oo][Nn]/[Jj][Ss][Oo][Nn][ \t]*(?:;[\s\S]*)?$";
/// Names that are not extensions.
const KNOWN: [&str; 9] =
    ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "priority", "data"];

/// The attributes that a publisher gave; an attribute that is `null` is not given (CloudEvents JSON §2.2).
#[derive(Debug)]
pub(super) struct Attributes<'d> {
    pub(super) id: Option<&'d str>,
    pub(super) source: Option<&'d str>,
    /// None only where there is a fault.
    pub(super) event_type: Option<TypeId>,
    pub(super) time: Option<&'d str>,
    pub(super) subject: Option<&'d str>,
    /// Whether the content type was said; it is always JSON.
    pub(super) has_content_type: bool,
    pub(super) priority: Option<Priority>,
    /// Extension attributes, sorted by name.
    pub(super) extensions: Vec<(&'d str, Extension<'d>)>,
}

/// The value of an extension attribute.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extension<'d> {
    Bool(bool),
    Integer(&'d Number),
    Text(&'d str),
}

impl<'d> Attributes<'d> {
    /// Reads the attributes among `members`, the members of the event itself, and lists their faults.
    pub(super) fn read(members: &'d Object<'d>, catalog: &Catalog, faults: &mut Faults) -> Self {
        let mut reader = Reader { members, faults };
        reader.check("specversion", |version| version == "1.0", "must be \"1.0\"");
        reader.refuse_binary();
        let media_type = reader.check("datacontenttype", is_json, "must be application/json");
        Self {
            id: reader.text("id", ID_CHARS_MAX),
            source: reader.source(),
            event_type: reader.event_type(catalog),
            time: reader.check("time", is_timestamp, format_args!("must be {}", Kind::Timestamp)),
            subject: reader.text("subject", URI_CHARS_MAX),
            has_content_type: media_type.is_some(),
            priority: reader.priority(),
            extensions: members
                .iter()
                .filter_map(|(name, value)| Some((name, extension(name, value)?)))
                .collect(),
        }
    }
}

struct Reader<'d, 'f> {
    members: &'d Object<'d>,
    faults: &'f mut Faults,
}

impl<'d> Reader<'d, '_> {
    /// The attribute, or none where it is not given or not a string.
    fn given(&mut self, name: &str) -> Option<&'d str> {
        match self.members.get(name)? {
            Node::Text(text) => Some(text),
            Node::Null => None,
            _ => {
                self.fault(name, "must be a string");
                None
            }
        }
    }

    fn fault(&mut self, name: &str, message: impl fmt::Display) {
        self.faults.push(Place::Key(&Place::Root, name), message);
    }

    /// The attribute where it is `legal`; a fault with `message` where it is not.
    fn check(
        &mut self,
        name: &str,
        legal: impl Fn(&str) -> bool,
        message: impl fmt::Display,
    ) -> Option<&'d str> {
        let text = self.given(name)?;
        if legal(text) {
            return Some(text);
        }
        self.fault(name, message);
        None
    }

    fn text(&mut self, name: &str, max: usize) -> Option<&'d str> {
        let legal = |text: &str| !text.is_empty() && text.chars().nth(max).is_none();
        self.check(name, legal, format_args!("must have 1 to {max} characters"))
    }

    fn source(&mut self) -> Option<&'d str> {
        let source = self.text("source", URI_CHARS_MAX)?;
        if is_uri_reference(source) {
            return Some(source);
        }
        self.fault("source", "must be a URI reference: no spaces, control characters or quotes");
        None
    }

    fn event_type(&mut self, catalog: &Catalog) -> Option<TypeId> {
        match self.members.get("type") {
            None | Some(Node::Null) => {
                self.fault("type", "is required");
                None
            }
            Some(_) => {
                let name = self.given("type")?;
                let id = catalog.id(name);
                if id.is_none() {
                    self.fault("type", format_args!("{:?} is not a known event type", cut(name, 64)));
                }
                id
            }
        }
    }

    fn priority(&mut self) -> Option<Priority> {
        let legal = |name: &str| Priority::from_name(name).is_some();
        self.check("priority", legal, "must be one of critical, high, normal, low")
            .and_then(Priority::from_name)
    }

    fn refuse_binary(&mut self) {
        if !matches!(self.members.get("data_base64"), None | Some(Node::Null)) {
            self.fault("data_base64", "is not accepted: an event's data is a JSON object in `data`");
        }
    }
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split_once(';').map_or(media_type, |(essence, _)| essence);
    essence.trim_matches([' ', '\t']).eq_ignore_ascii_case("application/json")
}

fn is_uri_reference(text: &str) -> bool {
    let legal = |char: char| !char.is_whitespace() && !char.is_control() && !URI_EXCLUDED.contains(char);
    let escapes = text.split('%').skip(1);
    let mut two_digits = escapes.map(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count());
    text.chars().all(legal) && two_digits.all(|digits| digits == 2)
}

/// The value of a member that is an extension attribute: a CloudEvents name, and a boolean, an integer or a
/// string.
fn extension<'d>(name: &str, value: &'d Node<'d>) -> Option<Extension<'d>> {
    let is_name = (1..=20).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !is_name || KNOWN.contains(&name) {
        return None;
    }
    match value {
        Node::Bool(bool) => Some(Extension::Bool(*bool)),
        Node::Number(number) if !number.is_f64() => Some(Extension::Integer(number)),
        Node::Text(text) => Some(Extension::Text(text)),
        _ => None,
    }
}

/// The JSON Schema of the attributes, by name, without `type`.
pub(super) fn schema() -> Value {
    let mut priorities: Vec<Value> = Priority::ALL.iter().map(|priority| priority.as_str().into()).collect();
    priorities.push(Value::Null);
    let text = json!(["string", "null"]);
    json!({
        "specversion": { "enum": ["1.0", null], "description": "The version of CloudEvents." },
        "id": {
            "type": text, "minLength": 1, "maxLength": ID_CHARS_MAX,
            "description": "Names the event within its source; the server chooses one where it is absent."
        },
        "source": {
            "type": text, "minLength": 1, "maxLength": URI_CHARS_MAX, "pattern": URI_PATTERN,
            "description": "A URI reference that says where the event comes from."
        },
        "time": { "type": text, "format": "date-time", "description": "When the event happened." },
        "subject": {
            "type": text, "minLength": 1, "maxLength": URI_CHARS_MAX,
            "description": "The entity that the event is about."
        },
        "datacontenttype": { "type": text, "pattern": MEDIA_TYPE_PATTERN, "description": "JSON only." },
        "priority": { "enum": priorities, "description": "Absent: the priority of the event's type." },
        "data_base64": { "type": "null", "description": "Data is JSON, never binary." },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_uri_rule_and_its_pattern_agree_on_every_character() {
        let schema = json!({ "type": "string", "pattern": URI_PATTERN });
        let validator = jsonschema::validator_for(&schema).unwrap();
        for char in (0..=0xffff).filter_map(char::from_u32) {
            let text = char.to_string();
            let legal = is_uri_reference(&text);
            assert_eq!(validator.is_valid(&Value::from(text)), legal, "{char:?}");
        }
    }

    proptest! {
        #[test]
        fn the_uri_rule_and_its_pattern_agree_on_escapes(text in "[%0-9A-Gaé/ ]{0,8}") {
            let schema = json!({ "type": "string", "pattern": URI_PATTERN });
            let validator = jsonschema::validator_for(&schema).unwrap();
            prop_assert_eq!(validator.is_valid(&Value::from(text.as_str())), is_uri_reference(&text));
        }
    }
}
