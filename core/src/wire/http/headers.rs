//! The fields of a head: one text and where each field stands in it.

use std::fmt;

use thiserror::Error;

use super::HttpError;

/// A part of a head's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Where `part`, a slice of `text`, stands in it.
    pub(super) fn of(text: &str, part: &[u8]) -> Result<Self, HttpError> {
        let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
        let end = start.wrapping_add(part.len());
        let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end)) else {
            return Err(HttpError::HeadTooLarge(text.len()));
        };
        Ok(Self { start, end })
    }

    /// The part itself.
    pub(super) fn get(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// The field stands in more lines than the one that it may stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the header field is repeated")]
pub struct Repeated;

/// The fields of one head, in order. Names are compared without regard to case; bytes that are not
/// UTF-8 read as U+FFFD, so that a value is never mistaken for an absent one.
///
/// Values, and the target in the same text, may hold tokens, so the debug form has the names only.
#[derive(Clone, PartialEq, Eq)]
pub struct Headers {
    text: Box<str>,
    fields: Box<[(Span, Span)]>,
}

impl Headers {
    /// The fields at `fields`, names and values, of the head `text`.
    pub(in crate::wire) fn new(text: Box<str>, fields: Box<[(Span, Span)]>) -> Self {
        Self { text, fields }
    }

    /// Where the fields that were parsed from `text` stand in it.
    pub(in crate::wire) fn spans(
        text: &str,
        parsed: &[httparse::Header<'_>],
    ) -> Result<Box<[(Span, Span)]>, HttpError> {
        let span = |field: &httparse::Header<'_>| {
            Ok((Span::of(text, field.name.as_bytes())?, Span::of(text, field.value)?))
        };
        parsed.iter().map(span).collect()
    }

    /// The whole head as text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The first value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// Every value of `name`, one a line.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of a field that may stand once.
    ///
    /// # Errors
    /// [`Repeated`] where it stands in several lines.
    pub fn unique(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.get_all(name);
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    /// The elements of a comma-separated field, all its lines taken together (RFC 9110 §5.3), without
    /// empty ones.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.get_all(name)
            .flat_map(|value| value.split(','))
            .map(|element| element.trim_matches([' ', '\t']))
            .filter(|element| !element.is_empty())
    }

    /// Whether a comma-separated field has the element `token`, compared without regard to case.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|element| element.eq_ignore_ascii_case(token))
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.get(&self.text), value.get(&self.text)))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Whether `text` is a token of RFC 9110 §5.6.2.
pub(in crate::wire) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Whether `byte` may stand in a token.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
