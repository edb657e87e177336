//! What is wrong with an event: every fault with the place where it stands, up to a bound, so that a
//! publisher repairs an event in one round.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The JSON path of the value at fault, as in `$.data.tags[3]`; `$` for the event as a whole.
    pub path: String,
    /// What is wrong there, for a person to read.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Faults that one event's list names; one more then says how many were left out.
pub(super) const FAULTS_MAX: usize = 100;
/// Characters of a key that a path repeats.
const KEY_CHARS_MAX: usize = 64;
/// Characters of a message; what the schema of an application says can be as long as the event.
const MESSAGE_CHARS_MAX: usize = 300;

/// A place in an event, as a list that grows on the stack while the event is walked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'p> {
    /// The event itself.
    Root,
    /// The member of that name.
    Key(&'p Self, &'p str),
    /// The element at that index.
    Index(&'p Self, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("$"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Self::Key(parent, key) if is_identifier(key) => write!(f, "{parent}.{key}"),
            Self::Key(parent, key) => {
                write!(f, "{parent}[{}]", serde_json::Value::from(cut(key, KEY_CHARS_MAX)))
            }
        }
    }
}

fn is_identifier(key: &str) -> bool {
    key.len() <= KEY_CHARS_MAX
        && key.as_bytes().first().is_some_and(|first| !first.is_ascii_digit())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `text`, or its first `max` characters and an ellipsis: messages do not repeat megabytes.
pub(super) fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Collects faults up to [`FAULTS_MAX`] and counts the rest.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<Fault>,
    left_out: usize,
}

impl Faults {
    /// Adds what is wrong at `place`.
    pub(super) fn push(&mut self, place: Place<'_>, message: impl fmt::Display) {
        if self.list.len() < FAULTS_MAX {
            let message = cut(&message.to_string(), MESSAGE_CHARS_MAX);
            self.list.push(Fault { path: place.to_string(), message });
        } else {
            self.left_out += 1;
        }
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The list, closed by the number of those left out, if any.
    pub(super) fn into_vec(mut self) -> Vec<Fault> {
        if 0 < self.left_out {
            self.list
                .push(Fault { path: "$".to_owned(), message: format!("and {} more faults", self.left_out) });
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_quotes_what_is_no_identifier() {
        let data = Place::Key(&Place::Root, "data");
        let odd = Place::Key(&data, "a \"b\"");
        assert_eq!(Place::Index(&odd, 3).to_string(), r#"$.data["a \"b\""][3]"#);
        assert_eq!(Place::Key(&data, "").to_string(), r#"$.data[""]"#);
        assert_eq!(Place::Key(&data, "0a").to_string(), r#"$.data["0a"]"#);
    }

    #[test]
    fn a_list_of_faults_is_bounded_and_says_what_it_leaves_out() {
        let mut faults = Faults::default();
        let long = "k".repeat(70_000);
        for _ in 0..FAULTS_MAX + 7 {
            faults.push(Place::Key(&Place::Root, &long), &long);
        }
        let list = faults.into_vec();
        assert_eq!(list.len(), FAULTS_MAX + 1);
        assert!(list.iter().all(|fault| fault.path.len() < 100 && fault.message.len() < 400));
        assert_eq!(list.last().unwrap().message, "and 7 more faults");
    }
}
