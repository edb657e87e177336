//! The strict reader of JSON, for events, claims, key sets and filters: one pass over the text gives a tree
//! that borrows from it. A key that stands twice in one object, compared after unescaping, is a fault
//! wherever it is: two readers must not see two values.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::fault::{Fault, Faults, Place};
use super::fields::{self, Scalar};

/// Levels that an event may nest, itself the first. Readers commonly stop at 128, and a message around the
/// event must leave them able to read it.
pub(super) const DEPTH_MAX: usize = 100;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Object<'a>),
}

/// A JSON object, its members sorted by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Object<'a> {
    /// The object with `members`; a key that stands twice in it is a fault at `place`.
    pub(super) fn new(
        mut members: Vec<(Cow<'a, str>, Node<'a>)>,
        place: Place<'_>,
        faults: &mut Faults,
    ) -> Self {
        members.sort_by(|a, b| a.0.cmp(&b.0));
        for same in members.chunk_by(|a, b| a.0 == b.0).filter(|same| 1 < same.len()) {
            let message = format!("stands {} times in one object", same.len());
            faults.push(Place::Key(&place, &same[0].0), message);
        }
        Self(members)
    }

    /// The value of the member `key`.
    pub(super) fn get(&self, key: &str) -> Option<&Node<'a>> {
        let index = self.0.binary_search_by(|member| (*member.0).cmp(key)).ok()?;
        Some(&self.0[index].1)
    }

    /// Takes the member `key` out.
    pub(super) fn take(&mut self, key: &str) -> Option<Node<'a>> {
        let index = self.0.binary_search_by(|member| (*member.0).cmp(key)).ok()?;
        Some(self.0.remove(index).1)
    }

    /// The members, sorted by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node<'a>)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }
}

impl Node<'_> {
    /// The scalar, or none for an object or a list.
    pub(super) fn scalar(&self) -> Option<Scalar> {
        match self {
            Self::Null => Some(Scalar::Null),
            Self::Bool(bool) => Some(Scalar::Bool(*bool)),
            Self::Number(number) => Some(Scalar::Number(fields::Number::new(number))),
            Self::Text(text) => Some(Scalar::String((&**text).into())),
            Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The value as the library's type, for schemas that an application brings.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => Value::Bool(*bool),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.to_string()),
            Self::List(list) => list.iter().map(Self::to_value).collect(),
            Self::Object(object) => {
                object.iter().map(|(key, value)| (key.to_owned(), value.to_value())).collect()
            }
        }
    }
}

/// Reads the one JSON value in `text`, which stands at `place`. Keys that stand twice and levels that are too
/// deep become faults, the rest is read on; none where the text is not JSON, which is one fault at `place`.
pub(super) fn read<'a>(text: &'a str, place: Place<'_>, faults: &mut Faults) -> Option<Node<'a>> {
    let depth = if matches!(place, Place::Root) { 1 } else { 2 };
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Reader { place, depth, faults: &mut *faults }.deserialize(&mut reader);
    match read.and_then(|node| reader.end().map(|()| node)) {
        Ok(node) => Some(node),
        Err(error) => {
            faults.push(place, format_args!("is not JSON: {error}"));
            None
        }
    }
}

/// Reads the one JSON value in `text` as the library's type.
///
/// # Errors
/// The first fault, where it is not JSON, a key stands twice in an object, or levels are too deep.
pub(crate) fn parse_strict(text: &str) -> Result<Value, Fault> {
    let mut faults = Faults::default();
    let node = read(text, Place::Root, &mut faults);
    match faults.into_vec().into_iter().next() {
        Some(first) => Err(first),
        None => Ok(node.expect("what is not JSON is a fault").to_value()),
    }
}

/// Reads one value at a place, and those within it at theirs.
struct Reader<'p, 'f> {
    place: Place<'p>,
    depth: usize,
    faults: &'f mut Faults,
}

/// A key or a string: borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Reader<'_, '_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_, '_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(bool))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Node<'de>, E> {
        Number::from_f64(number).map(Node::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node<'de>, A::Error> {
        let Self { place, depth, faults } = self;
        let mut list = Vec::new();
        if DEPTH_MAX < depth {
            push_too_deep(place, faults);
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Node::List(list));
        }
        loop {
            let place = Place::Index(&place, list.len());
            let Some(node) =
                seq.next_element_seed(Reader { place, depth: depth + 1, faults: &mut *faults })?
            else {
                return Ok(Node::List(list));
            };
            list.push(node);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let Self { place, depth, faults } = self;
        let mut members = Vec::new();
        if DEPTH_MAX < depth {
            push_too_deep(place, faults);
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Node::Object(Object::default()));
        }
        while let Some(Text(key)) = map.next_key()? {
            let place = Place::Key(&place, &key);
            let node = map.next_value_seed(Reader { place, depth: depth + 1, faults: &mut *faults })?;
            members.push((key, node));
        }
        Ok(Node::Object(Object::new(members, place, faults)))
    }
}

fn push_too_deep(place: Place<'_>, faults: &mut Faults) {
    faults.push(place, format_args!("nests deeper than {DEPTH_MAX} levels"));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn faults_of(text: &str) -> Vec<String> {
        let mut faults = Faults::default();
        let node = read(text, Place::Root, &mut faults);
        assert!(node.is_some() || !faults.is_empty());
        faults.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_key_that_stands_twice_is_a_fault_at_any_depth_and_after_unescaping() {
        assert_eq!(faults_of(r#"{"a":1,"b":2}"#), [""; 0]);
        assert_eq!(
            faults_of(r#"{"a":1,"\u0061":2,"b":[{"c":{"d":1,"d":1,"d":1}}]}"#),
            ["$.b[0].c.d: stands 3 times in one object", "$.a: stands 2 times in one object"]
        );
    }

    #[test]
    fn what_is_not_json_is_one_fault_with_line_and_column() {
        for text in [
            "",
            " ",
            "{",
            "{}{}",
            "[1,]",
            "{\"a\":1e999}",
            r#""\ud800""#,
            r#"{"\udc00":1}"#,
            "\u{feff}{}",
            "01",
            "NaN",
        ] {
            let faults = faults_of(text);
            assert_eq!(faults.len(), 1, "{text}");
            assert!(faults[0].starts_with("$: is not JSON: "), "{faults:?}");
            assert!(faults[0].contains("line 1 column"), "{faults:?}");
        }
    }

    #[test]
    fn a_strict_value_is_that_of_the_library_or_the_first_fault() {
        let text = r#"{"a":{"a":{"a":1}},"A":-0.0,"b":[{"a":1e3},{"a":"\u0061"},null,true]}"#;
        assert_eq!(parse_strict(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        for (text, path) in [(r#"[{"x":{"a":null,"a":null}}]"#, "$[0].x.a"), (r#"{"":1,"":2}"#, "$[\"\"]")] {
            assert_eq!(parse_strict(text).unwrap_err().path, path);
        }
        for text in ["", "{}{}", "1e400", "\"\u{1}\"", &"[".repeat(10_000)] {
            assert!(parse_strict(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_bound_and_never_overflows_the_stack() {
        let nest = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(faults_of(&nest(DEPTH_MAX)), [""; 0]);
        assert!(faults_of(&nest(DEPTH_MAX + 1))[0].contains("nests deeper than 100 levels"));
        for levels in [127, 128, 129, 100_000] {
            assert_eq!(faults_of(&nest(levels)).len(), 1);
            assert_eq!(faults_of(&"{\"a\":".repeat(levels)).len(), if levels < DEPTH_MAX { 1 } else { 2 });
        }
    }

    proptest! {
        #[test]
        fn whatever_the_library_reads_is_read_alike(text in "[\\[\\]{}:,\"a\\\\u0-9eE.+ tfn-]{0,40}") {
            let mut faults = Faults::default();
            let node = read(&text, Place::Root, &mut faults);
            match (serde_json::from_str::<Value>(&text), node) {
                (Ok(value), Some(node)) => prop_assert!(!faults.is_empty() || node.to_value() == value),
                (Err(_), None) => prop_assert!(!faults.is_empty()),
                (value, node) => prop_assert!(false, "{:?} {:?}", value, node),
            }
        }
    }
}
