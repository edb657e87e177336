//! Filters: equality on scalars of an event, by dotted path. `core/tests/fixtures/routing.json` holds the
//! vectors that every implementation of them keeps.

use thiserror::Error;

use super::fault::Fault;
use super::fields::{Fields, PATH_BYTES_MAX, Scalar};
use super::json::parse_strict;

/// A conjunction of equalities: at every path the event has one of the allowed values.
///
/// Sorted by path, values without repeats, so equal filters compare equal. The empty filter lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter(Box<[Key]>);

/// A path and the values allowed there.
type Key = (Box<str>, Box<[Scalar]>);

/// Why a text is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// It is not JSON, or a key stands twice in it.
    #[error("{0}")]
    Json(Fault),
    /// It is not a JSON object.
    #[error("a filter is an object of path to scalar, or to an array of scalars")]
    NotAnObject,
    /// A key is not a dotted path into data, nor `@subject` or `@source`.
    #[error("{0:?} is not a dotted path into data, `@subject` or `@source`")]
    Path(Box<str>),
    /// A value is an object, an empty array or an array of other things than scalars.
    #[error("the value at {0:?} is not a scalar or a non-empty array of scalars")]
    Value(Box<str>),
    /// More keys than allowed.
    #[error("a filter has at most {0} keys")]
    TooManyKeys(usize),
    /// More alternatives in one key's array than allowed.
    #[error("the array at {0:?} has more than {max} values", max = Filter::MAX_ALTERNATIVES)]
    TooManyValues(Box<str>),
}

impl Filter {
    /// Values that one key's array may have. Bounds what one filter costs the index.
    pub const MAX_ALTERNATIVES: usize = 256;

    /// Reads a filter from its text.
    ///
    /// # Errors
    /// [`FilterError`] with the first key that is at fault.
    pub fn parse(text: &str, max_keys: usize) -> Result<Self, FilterError> {
        Self::from_json(&parse_strict(text).map_err(FilterError::Json)?, max_keys)
    }

    /// Reads a filter from JSON that has been parsed.
    ///
    /// # Errors
    /// [`FilterError`] with the first key that is at fault.
    pub fn from_json(value: &serde_json::Value, max_keys: usize) -> Result<Self, FilterError> {
        let object = value.as_object().ok_or(FilterError::NotAnObject)?;
        if object.len() > max_keys {
            return Err(FilterError::TooManyKeys(max_keys));
        }
        let mut keys = Vec::with_capacity(object.len());
        for (path, value) in object {
            keys.push((check_path(path)?, alternatives(path, value)?));
        }
        keys.sort_by(|a: &Key, b| a.0.cmp(&b.0));
        Ok(Self(keys.into()))
    }

    /// Whether a subscription's filter lets the event pass: an array in the data passes with one element.
    #[must_use]
    pub fn matches(&self, fields: &Fields) -> bool {
        self.0.iter().all(|(path, allowed)| fields.at(path).any(|(value, _)| allowed.contains(value)))
    }

    /// Whether a forced filter lets the event pass: the value must be the scalar itself, not in an array.
    #[must_use]
    pub fn matches_forced(&self, fields: &Fields) -> bool {
        self.0.iter().all(|(path, allowed)| {
            fields.at(path).any(|(value, in_array)| !in_array && allowed.contains(value))
        })
    }

    /// Every path with its allowed values, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Scalar])> {
        self.0.iter().map(|(path, allowed)| (&**path, &**allowed))
    }

    /// Whether it lets everything pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn check_path(path: &str) -> Result<Box<str>, FilterError> {
    let legal = match path.strip_prefix('@') {
        Some(attribute) => attribute == "subject" || attribute == "source",
        None => is_data_path(path),
    };
    if legal { Ok(path.into()) } else { Err(FilterError::Path(path.chars().take(64).collect())) }
}

/// Whether `path` is a dotted path into `data`.
pub(crate) fn is_data_path(path: &str) -> bool {
    path.len() <= PATH_BYTES_MAX && !path.starts_with('@') && path.split('.').all(|key| !key.is_empty())
}

fn alternatives(path: &str, value: &serde_json::Value) -> Result<Box<[Scalar]>, FilterError> {
    let fault = || FilterError::Value(path.into());
    let Some(array) = value.as_array() else {
        return Ok(Box::new([Scalar::from_json(value).ok_or_else(fault)?]));
    };
    if array.is_empty() {
        return Err(fault());
    }
    if Filter::MAX_ALTERNATIVES < array.len() {
        return Err(FilterError::TooManyValues(path.into()));
    }
    let mut allowed: Vec<Scalar> = Vec::with_capacity(array.len());
    for value in array {
        let scalar = Scalar::from_json(value).ok_or_else(fault)?;
        if !allowed.contains(&scalar) {
            allowed.push(scalar);
        }
    }
    Ok(allowed.into())
}

#[cfg(test)]
mod tests {
    use super::super::fields::FieldsBuilder;
    use super::*;

    fn filter(text: &str) -> Result<Filter, FilterError> {
        Filter::parse(text, 16)
    }

    fn event() -> Fields {
        let mut fields = FieldsBuilder::default();
        fields.push("tags", Scalar::String("news".into()), true);
        fields.push("tags", Scalar::String("home".into()), true);
        fields.push("author.id", Scalar::String("u1".into()), false);
        fields.push("@subject", Scalar::String("post/1".into()), false);
        fields.build()
    }

    #[test]
    fn every_key_must_match_and_one_alternative_suffices() {
        assert!(filter("{}").unwrap().matches(&event()));
        assert!(
            filter(r#"{"tags":"home","author.id":["u2","u1"],"@subject":"post/1"}"#)
                .unwrap()
                .matches(&event())
        );
        assert!(!filter(r#"{"tags":"home","author.id":"u2"}"#).unwrap().matches(&event()));
        assert!(!filter(r#"{"missing":null}"#).unwrap().matches(&event()));
    }

    #[test]
    fn a_forced_filter_does_not_look_into_arrays() {
        let tags = filter(r#"{"tags":"home"}"#).unwrap();
        assert!(tags.matches(&event()));
        assert!(!tags.matches_forced(&event()));
        assert!(filter(r#"{"author.id":"u1"}"#).unwrap().matches_forced(&event()));
    }

    #[test]
    fn what_is_no_filter_is_refused_with_its_key() {
        assert_eq!(filter("[]"), Err(FilterError::NotAnObject));
        for (text, path) in [(r#"{"a..b":1}"#, "a..b"), (r#"{"@id":1}"#, "@id"), (r#"{"":1}"#, "")] {
            assert_eq!(filter(text), Err(FilterError::Path(path.into())));
        }
        for text in [r#"{"a":{}}"#, r#"{"a":[]}"#, r#"{"a":[[1]]}"#] {
            assert_eq!(filter(text), Err(FilterError::Value("a".into())));
        }
    }

    #[test]
    fn a_path_that_stands_twice_and_what_is_not_json_are_refused() {
        for (text, path) in [(r#"{"a":1,"\u0061":2}"#, "$.a"), (r#"{"a":1e400}"#, "$"), ("{", "$")] {
            let Err(FilterError::Json(fault)) = filter(text) else { panic!("{text}") };
            assert_eq!(fault.path, path);
        }
    }

    #[test]
    fn numbers_compare_by_value_and_no_type_by_another() {
        let matches = |wanted: &str, value: &str| {
            let mut fields = FieldsBuilder::default();
            let value = serde_json::from_str(value).unwrap();
            fields.push("a", Scalar::from_json(&value).unwrap(), false);
            filter(&format!("{{\"a\":{wanted}}}")).unwrap().matches(&fields.build())
        };
        for (wanted, value) in
            [("1", "1.0"), ("0", "-0.0"), ("-0", "0"), ("1e3", "1000"), ("1e300", "1E+300")]
        {
            assert!(matches(wanted, value) && matches(value, wanted), "{wanted} {value}");
        }
        for (wanted, value) in [
            ("9007199254740993", "9007199254740992"),
            ("1", "\"1\""),
            ("1", "true"),
            ("0", "null"),
            ("0", "false"),
            ("\"\"", "null"),
        ] {
            assert!(!matches(wanted, value) && !matches(value, wanted), "{wanted} {value}");
        }
    }

    #[test]
    fn equal_filters_compare_equal() {
        assert_eq!(filter(r#"{"a":[1,1.0],"b":2}"#), filter(r#"{"b":2,"a":1}"#));
    }
}
