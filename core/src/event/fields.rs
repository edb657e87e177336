//! The scalars of an event, flat and sorted by dotted path: what filters and the matching index read,
//! so that no event's JSON is parsed a second time.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::fault::{Faults, Place};
use super::json::{self, Node, Object};

/// Bytes that a dotted path may have, in a filter as in an event: what is longer, no filter can name.
pub(super) const PATH_BYTES_MAX: usize = 256;

/// A JSON scalar, compared by value: `1` equals `1.0`, and nothing is coerced between types.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number, in canonical form.
    Number(Number),
    /// A string.
    String(Box<str>),
}

/// A number in canonical form: integral values are integers, so equal values have equal forms.
///
/// Integers of 64 bits are exact. Everything else has the value that it has as an IEEE 754 double, as in
/// most readers of JSON.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// An integral value.
    Int(i128),
    /// A value that is not integral, or is beyond 2^100; never NaN.
    Float(f64),
}

impl Number {
    /// The canonical form of a JSON number.
    #[must_use]
    pub fn new(number: &serde_json::Number) -> Self {
        if let Some(int) = number.as_i128() {
            return Self::Int(int);
        }
        let float = number.as_f64().unwrap_or(0.0);
        // 2^100 is exact in f64 and well inside i128, so the conversion below loses nothing.
        if float.fract() == 0.0 && float.abs() <= 2f64.powi(100) {
            #[expect(clippy::cast_possible_truncation, reason = "integral and in range, checked above")]
            return Self::Int(float as i128);
        }
        Self::Float(float)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Int(int) => int.hash(state),
            Self::Float(float) => float.to_bits().hash(state),
        }
    }
}

/// One scalar and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    /// Shared by the elements of one array.
    path: Arc<str>,
    in_array: bool,
    value: Scalar,
}

/// The scalars of one event: of `data` by dotted path, and `@subject`, `@source`.
///
/// What no path can name is left out: a key that is empty or has a dot in it, a key of `data` that begins
/// with `@` and so could pass for an attribute, a path longer than 256 bytes. So is what stands inside an
/// array, except that the scalars of an array stand under the array's own path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Box<[Field]>);

impl Fields {
    /// The scalars of an event's JSON, as a client reads it which routes by filters; none where it is no
    /// object, or a key stands twice in it.
    #[must_use]
    pub fn from_event(json: &str) -> Option<Self> {
        let mut faults = Faults::default();
        let Some(Node::Object(event)) = json::read(json, Place::Root, &mut faults) else { return None };
        let text = |name| if let Some(Node::Text(text)) = event.get(name) { Some(&**text) } else { None };
        let none = Object::default();
        let data = if let Some(Node::Object(data)) = event.get("data") { data } else { &none };
        faults.is_empty().then(|| Self::of(data, text("subject"), text("source")))
    }

    /// The scalars of an event that has been read.
    pub(super) fn of(data: &Object<'_>, subject: Option<&str>, source: Option<&str>) -> Self {
        let mut fields = FieldsBuilder::default();
        flatten(data, &mut String::new(), &mut fields);
        for (path, attribute) in [("@source", source), ("@subject", subject)] {
            if let Some(text) = attribute {
                fields.push(path, Scalar::String(text.into()), false);
            }
        }
        fields.build()
    }

    /// Every scalar as (path, value, whether it is an element of an array), sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Scalar, bool)> {
        self.0.iter().map(|field| (&*field.path, &field.value, field.in_array))
    }

    /// The scalars at `path`: one, or an array's elements with `true`.
    pub fn at<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a Scalar, bool)> {
        let from = self.0.partition_point(|field| *field.path < *path);
        self.0[from..]
            .iter()
            .take_while(move |field| *field.path == *path)
            .map(|field| (&field.value, field.in_array))
    }

    /// Bytes of memory held, for the bounds of history.
    #[must_use]
    pub fn memory(&self) -> usize {
        // The counters beside the text of an `Arc<str>` are two words.
        let path = |path: &Arc<str>| path.len() + 2 * size_of::<usize>();
        let paths: usize =
            self.0.chunk_by(|a, b| Arc::ptr_eq(&a.path, &b.path)).map(|same| path(&same[0].path)).sum();
        let texts: usize = self.0.iter().map(|field| field.value.text_len()).sum();
        paths + texts + self.0.len() * size_of::<Field>()
    }
}

fn flatten(object: &Object<'_>, path: &mut String, fields: &mut FieldsBuilder) {
    let parent = path.len();
    let dot = if parent == 0 { "" } else { "." };
    for (key, node) in object.iter() {
        // A key of data must not pass for an attribute: forced filters trust `@subject` and `@source`.
        let is_forged = parent == 0 && key.starts_with('@');
        let len = parent + dot.len() + key.len();
        if key.is_empty() || key.contains('.') || is_forged || PATH_BYTES_MAX < len {
            continue;
        }
        path.push_str(dot);
        path.push_str(key);
        match node {
            Node::Object(object) => flatten(object, path, fields),
            Node::List(list) => {
                for scalar in list.iter().filter_map(Node::scalar) {
                    fields.push(path, scalar, true);
                }
            }
            _ => fields.push(path, node.scalar().expect("neither object nor list"), false),
        }
        path.truncate(parent);
    }
}

impl Scalar {
    fn text_len(&self) -> usize {
        if let Self::String(text) = self { text.len() } else { 0 }
    }

    /// An upper bound on its length as JSON.
    #[must_use]
    pub fn json_len(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 5,
            Self::Number(_) => 40,
            Self::String(text) => {
                let escaped =
                    text.bytes().filter(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')).count();
                text.len() + 2 + escaped * 5
            }
        }
    }

    /// The scalar in `value`, or none where it is an object or an array.
    #[must_use]
    pub fn from_json(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::Null => Some(Self::Null),
            serde_json::Value::Bool(bool) => Some(Self::Bool(*bool)),
            serde_json::Value::Number(number) => Some(Self::Number(Number::new(number))),
            serde_json::Value::String(text) => Some(Self::String(text.as_str().into())),
            _ => None,
        }
    }
}

/// Collects scalars in any order.
#[derive(Clone, Debug, Default)]
pub struct FieldsBuilder(Vec<Field>);

impl FieldsBuilder {
    /// Adds a scalar that stands at `path`; `in_array` where it is an element of the array there.
    pub fn push(&mut self, path: &str, value: Scalar, in_array: bool) {
        let path = match self.0.last() {
            Some(last) if *last.path == *path => Arc::clone(&last.path),
            _ => path.into(),
        };
        self.0.push(Field { path, in_array, value });
    }

    /// The scalars, sorted by path.
    #[must_use]
    pub fn build(mut self) -> Fields {
        self.0.sort_by(|a, b| a.path.cmp(&b.path));
        Fields(self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::Filter;
    use super::*;

    fn number(text: &str) -> Number {
        Number::new(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn numbers_compare_by_value() {
        assert_eq!(number("1"), number("1.0"));
        assert_eq!(number("-0.0"), number("0"));
        assert_eq!(number("1e3"), number("1000"));
        assert_ne!(number("9007199254740993"), number("9007199254740992"));
        assert_ne!(number("18446744073709551615"), number("18446744073709551614"));
        assert_ne!(number("0.1"), number("0.2"));
        assert_eq!(number("1e300"), number("10.0E299"));
        assert_eq!(number("18446744073709551616"), number("18446744073709551617"), "as doubles");
    }

    #[test]
    fn a_path_finds_all_its_scalars() {
        let mut builder = FieldsBuilder::default();
        builder.push("b", Scalar::Bool(true), false);
        builder.push("a.c", Scalar::Null, true);
        builder.push("a", Scalar::Null, false);
        builder.push("a.c", Scalar::Bool(false), true);
        let fields = builder.build();
        assert_eq!(fields.at("a.c").count(), 2);
        assert_eq!(fields.at("a").count(), 1);
        assert_eq!(fields.at("z").count(), 0);
    }

    #[test]
    fn the_elements_of_an_array_share_one_path() {
        let path = "p".repeat(PATH_BYTES_MAX);
        let mut builder = FieldsBuilder::default();
        for _ in 0..100 {
            builder.push(&path, Scalar::Null, true);
        }
        let fields = builder.build();
        assert_eq!(fields.memory(), PATH_BYTES_MAX + 16 + 100 * size_of::<Field>());
    }

    #[test]
    fn every_path_that_a_filter_can_name_is_found() {
        let key = |len: usize| "k".repeat(len);
        for (data, path) in [
            (format!("{{\"{}\":1}}", key(256)), key(256)),
            (format!("{{\"a\":{{\"{}\":1}}}}", key(254)), format!("a.{}", key(254))),
        ] {
            let filter = Filter::parse(&format!("{{\"{path}\":1}}"), 1).unwrap();
            let fields = Fields::from_event(&format!("{{\"data\":{data}}}")).unwrap();
            assert!(filter.matches(&fields), "{} bytes", path.len());
        }
    }

    #[test]
    fn an_event_gives_its_scalars_by_path_and_nothing_that_a_path_cannot_name() {
        let event = serde_json::json!({
            "type": "content.updated", "subject": "post/1", "source": "/cms", "id": "e1",
            "data": {
                "a": {"b": 1, "": 2, "x.y": 3, "@k": true},
                "tags": ["news", {"deep": 1}, [5], null],
                "@source": "/forged", "": 4, "n": null,
            },
        });

        let fields = Fields::from_event(&event.to_string()).unwrap();

        let text = |text: &str| Scalar::String(text.into());
        let one = Scalar::Number(Number::Int(1));
        let found: Vec<_> = fields.iter().map(|(path, value, array)| (path, value.clone(), array)).collect();
        let wanted = vec![
            ("@source", text("/cms"), false),
            ("@subject", text("post/1"), false),
            ("a.@k", Scalar::Bool(true), false),
            ("a.b", one, false),
            ("n", Scalar::Null, false),
            ("tags", text("news"), true),
            ("tags", Scalar::Null, true),
        ];
        assert_eq!(found, wanted);
        assert_eq!(Fields::from_event("{}"), Some(Fields::default()));
        for text in ["[1]", "{", r#"{"data":{"a":1,"a":2}}"#] {
            assert_eq!(Fields::from_event(text), None, "{text}");
        }
    }
}
