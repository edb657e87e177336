//! Patterns over event types: an exact type, `category.*`, or `*`.

use std::fmt;

use thiserror::Error;

/// Which event types a subscription or a grant speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// `*`
    Any,
    /// `category.*`, without the `.*`.
    Category(Box<str>),
    /// One type, `category.name`.
    Exact(Box<str>),
}

/// A text that is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an event type, `category.*` or `*`")]
pub struct PatternError(pub Box<str>);

/// Whether `name` is of the form `category.name`: two words of `a-z 0-9 _` that begin with a letter, each at
/// most 64 characters.
#[must_use]
pub fn is_type_name(name: &str) -> bool {
    name.split_once('.').is_some_and(|(category, name)| is_word(category) && is_word(name))
}

fn is_word(word: &str) -> bool {
    word.len() <= 64
        && word.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] with the text where it is of none of the three forms.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(category) = text.strip_suffix(".*") {
            if is_word(category) {
                return Ok(Self::Category(category.into()));
            }
        } else if is_type_name(text) {
            return Ok(Self::Exact(text.into()));
        }
        Err(PatternError(text.chars().take(64).collect()))
    }

    /// Whether an event of `type_name` matches.
    #[must_use]
    pub fn matches(&self, type_name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Category(category) => {
                type_name.strip_prefix(&**category).is_some_and(|rest| rest.starts_with('.'))
            }
            Self::Exact(exact) => **exact == *type_name,
        }
    }

    /// Whether everything that `other` matches, this one matches too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Category(mine), Self::Category(theirs)) => mine == theirs,
            (Self::Category(_) | Self::Exact(_), Self::Exact(theirs)) => self.matches(theirs),
            _ => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Category(category) => write!(f, "{category}.*"),
            Self::Exact(exact) => f.write_str(exact),
        }
    }
}

/// A set of patterns, sorted and without repeats; equal sets compare equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Patterns(Box<[Pattern]>);

impl Patterns {
    /// The set of `patterns`.
    #[must_use]
    pub fn new(mut patterns: Vec<Pattern>) -> Self {
        patterns.sort();
        patterns.dedup();
        Self(patterns.into())
    }

    /// Whether one of them matches `type_name`.
    #[must_use]
    pub fn matches(&self, type_name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(type_name))
    }

    /// Whether one of them covers all of `pattern`.
    #[must_use]
    pub fn covers(&self, pattern: &Pattern) -> bool {
        self.0.iter().any(|mine| mine.covers(pattern))
    }

    /// The patterns in order.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn the_three_forms_parse_and_print_alike() {
        for text in ["*", "content.*", "content.status_changed", "a1.b_2"] {
            assert_eq!(pattern(text).to_string(), text);
        }
        for text in [
            "",
            ".",
            "content",
            "content.",
            ".*",
            "*.*",
            "Content.*",
            "content.*.x",
            "a.b.c",
            "a b.c",
            "1a.b",
            "**",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_category_does_not_match_a_longer_category() {
        assert!(pattern("content.*").matches("content.updated"));
        assert!(!pattern("content.*").matches("contents.updated"));
        assert!(!pattern("content.updated").matches("content.updated_twice"));
    }

    #[test]
    fn covering_is_matching_all_that_the_other_matches() {
        assert!(pattern("*").covers(&pattern("*")));
        assert!(pattern("content.*").covers(&pattern("content.updated")));
        assert!(!pattern("content.*").covers(&pattern("*")));
        assert!(!pattern("content.updated").covers(&pattern("content.*")));
    }
}
