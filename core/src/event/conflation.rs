//! Conflation keys: which events of one type may replace each other while a consumer lags (PROTOCOL §5).

use std::fmt::Write;

use super::fields;
use super::json::{Node, Object};

/// Events of this type may be reduced to the newest per source and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflationRule {
    /// The event type, `category.name`.
    pub event_type: String,
    /// Dotted paths into `data` whose values are the key; with none, one event per source is kept.
    pub keys: Vec<String>,
}

/// Paths that one rule may have.
pub(super) const KEYS_MAX: usize = 16;

impl ConflationRule {
    /// The rules that hold where the configuration has none.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        let rule = |event_type: &str, keys: &[&str]| Self {
            event_type: event_type.to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        };
        vec![
            rule("analytics.chart_update", &["chartId"]),
            rule("analytics.traffic_update", &["period"]),
            rule("analytics.performance_update", &["metric", "page"]),
            rule("system.health_check", &["service"]),
        ]
    }
}

/// Events with equal keys may replace each other. The key is exact: a JSON array of the type, the source and
/// for each path either `[]`, where nothing stands there, or an array of the value in canonical form.
pub(super) fn key(type_name: &str, source: &str, paths: &[Box<str>], data: &Object<'_>) -> Box<str> {
    let mut key = String::from("[");
    push_text(&mut key, type_name);
    key.push(',');
    push_text(&mut key, source);
    for path in paths {
        key.push_str(",[");
        if let Some(node) = find(data, path) {
            push_canonical(&mut key, node);
        }
        key.push(']');
    }
    key.push(']');
    key.into()
}

/// What stands at a dotted path.
fn find<'n>(data: &'n Object<'_>, path: &str) -> Option<&'n Node<'n>> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match (data.get(first)?, rest) {
        (node, None) => Some(node),
        (Node::Object(object), Some(rest)) => find(object, rest),
        _ => None,
    }
}

/// Appends `text` as a JSON string.
pub(super) fn push_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("every string has a form in JSON"));
}

/// Appends `node` so that equal values have equal texts: members sorted, numbers by value.
fn push_canonical(out: &mut String, node: &Node<'_>) {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Node::Number(number) => match fields::Number::new(number) {
            fields::Number::Int(int) => write!(out, "{int}").expect("a String takes all"),
            fields::Number::Float(float) => write!(out, "{float:?}").expect("a String takes all"),
        },
        Node::Text(text) => push_text(out, text),
        Node::List(list) => {
            out.push('[');
            for (index, node) in list.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                push_canonical(out, node);
            }
            out.push(']');
        }
        Node::Object(object) => {
            out.push('{');
            for (index, (name, node)) in object.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                push_text(out, name);
                out.push(':');
                push_canonical(out, node);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::{Faults, Place};
    use super::super::json;
    use super::*;

    fn key_of(data: &str) -> Box<str> {
        let mut faults = Faults::default();
        let Some(Node::Object(data)) = json::read(data, Place::Root, &mut faults) else { panic!("{data}") };
        key("a.b", "/s", &["x".into(), "y.z".into()], &data)
    }

    #[test]
    fn equal_values_have_equal_keys_and_others_do_not() {
        assert_eq!(&*key_of(r#"{"x":"1","y":{"z":[true,null]}}"#), r#"["a.b","/s",["1"],[[true,null]]]"#);
        assert_eq!(key_of(r#"{"x":1.0}"#), key_of(r#"{"x":1}"#));
        assert_eq!(key_of(r#"{"x":{"b":1,"a":2}}"#), key_of(r#"{"x":{"a":2,"b":1.0}}"#));
        let different = [
            "{}",
            r#"{"x":null}"#,
            r#"{"x":[]}"#,
            r#"{"x":1}"#,
            r#"{"x":"1"}"#,
            r#"{"y":{"z":1}}"#,
            r#"{"x":0.5}"#,
        ];
        for (index, one) in different.iter().enumerate() {
            for other in &different[index + 1..] {
                assert_ne!(key_of(one), key_of(other), "{one} {other}");
            }
        }
    }
}
