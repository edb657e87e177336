//! The table of keys: what a setting is called, what it may be, what it defaults to. The shell's flags,
//! environment names, faults and the documentation are all read from it, so none of them can lie.

use std::fmt;

use serde_json::Value;

use super::values::{Kind, Secret, Setting};

/// What a number counts; for a text, its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing: a weight, or no number at all.
    None,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Things.
    Count,
    /// Things a second.
    PerSecond,
}

impl Unit {
    /// The unit as it stands behind a number, empty for plain counts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None | Self::Count => "",
            Self::Bytes => "bytes",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::PerSecond => "a second",
        }
    }
}

/// The lowest and the highest allowed value, both included; for a text, of its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The lowest.
    pub min: u64,
    /// The highest.
    pub max: u64,
    /// What is counted.
    pub unit: Unit,
}

impl Bounds {
    /// No bounds beside those of the type.
    pub const NONE: Self = Self { min: 0, max: u64::MAX, unit: Unit::None };

    /// From `min` to `max`, both included.
    ///
    /// # Panics
    /// Where the range is empty; the tables are constants, so the compiler meets it.
    #[must_use]
    pub const fn new(unit: Unit, min: u64, max: u64) -> Self {
        assert!(min <= max);
        Self { min, max, unit }
    }

    /// Whether `value` lies within.
    #[must_use]
    pub const fn contain(self, value: u64) -> bool {
        self.min <= value && value <= self.max
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)?;
        if self.unit.as_str().is_empty() { Ok(()) } else { write!(f, " {}", self.unit.as_str()) }
    }
}

/// One setting of the table.
#[derive(Clone, Copy)]
pub struct Key {
    /// The dotted name, as in `limits.message_bytes`.
    pub name: &'static str,
    /// Of which form its value is.
    pub kind: Kind,
    /// The allowed range of a number, or of a text's length.
    pub bounds: Bounds,
    /// What it is for.
    pub doc: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
    default: fn() -> Value,
    check: fn(&Key, &Value, &mut Vec<ConfigFault>),
}

impl Key {
    /// The key `name` whose values are of type `T`. Used by the macro [`settings!`](crate::settings).
    #[must_use]
    pub const fn new<T: Setting>(
        name: &'static str,
        bounds: Bounds,
        doc: &'static str,
        default: fn() -> Value,
    ) -> Self {
        Self { name, kind: T::KIND, bounds, doc, secret: T::SECRET, default, check: check::<T> }
    }

    /// The default as JSON; `null` where there is none.
    #[must_use]
    pub fn default(&self) -> Value {
        (self.default)()
    }

    /// Adds to `faults` everything for which `value` cannot stand at this key.
    pub fn check(&self, value: &Value, faults: &mut Vec<ConfigFault>) {
        (self.check)(self, value, faults);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn check<T: Setting>(key: &Key, value: &Value, faults: &mut Vec<ConfigFault>) {
    if let Some(read) = T::read(value, key.bounds, key.name, faults) {
        read.check(key.bounds, key.name, faults);
    }
}

/// Joins tables of keys at compile time. Used by the macro [`settings!`](crate::settings).
///
/// # Panics
/// Where `N` is not the sum of the lengths; the tables are constants, so the compiler meets it.
#[must_use]
pub const fn concat<const N: usize>(parts: &[&[Key]]) -> [Key; N] {
    assert!(N == count(parts));
    let mut joined = [first(parts); N];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut index = 0;
        while index < parts[part].len() {
            joined[at] = parts[part][index];
            at += 1;
            index += 1;
        }
        part += 1;
    }
    joined
}

/// How many keys there are in all of `parts`.
#[must_use]
pub const fn count(parts: &[&[Key]]) -> usize {
    let (mut part, mut sum) = (0, 0);
    while part < parts.len() {
        sum += parts[part].len();
        part += 1;
    }
    sum
}

const fn first(parts: &[&[Key]]) -> Key {
    let mut part = 0;
    while parts[part].is_empty() {
        part += 1;
    }
    parts[part][0]
}

/// One value that cannot stand: which key, what it was, what it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key, down to the element: `events.types[2]`.
    pub key: String,
    /// The value, cut short; `(hidden)` for secrets, and for a private key or an address with a password
    /// wherever it stands.
    pub value: String,
    /// What is allowed there.
    pub allowed: String,
}

impl ConfigFault {
    /// A fault at `key`.
    #[must_use]
    pub fn new(key: &str, value: &impl fmt::Display, allowed: impl Into<String>) -> Self {
        let text = value.to_string();
        // What was pasted at the wrong place must not end up on a screen or in a log.
        let value = if holds_secret(&text) { Secret::HIDDEN.to_owned() } else { shorten(&text) };
        Self { key: key.to_owned(), value, allowed: allowed.into() }
    }

    /// A fault at a key whose value is not to be shown.
    #[must_use]
    pub fn hidden(key: &str, allowed: impl Into<String>) -> Self {
        Self::new(key, &Secret::HIDDEN, allowed)
    }

    /// Adds to `faults` those of `more` at keys that are not at fault already: what is wrong in its form is
    /// not told again by who cannot use it.
    pub fn add_new(faults: &mut Vec<Self>, mut more: Vec<Self>) {
        more.retain(|fault| faults.iter().all(|known| known.key != fault.key));
        faults.append(&mut more);
    }

    /// A key that is not among `names`.
    pub fn unknown<'a>(key: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        let allowed = nearest(key, names)
            .map_or_else(|| "no such key".to_owned(), |name| format!("no such key; did you mean `{name}`?"));
        Self::new(key, &"", allowed)
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(f, "{}: {}", self.key, self.allowed),
            value => write!(f, "{} = {value}: {}", self.key, self.allowed),
        }
    }
}

impl std::error::Error for ConfigFault {}

/// Whether a text has a private key in it, or a name and password before an `@` as addresses have them.
fn holds_secret(text: &str) -> bool {
    text.contains("PRIVATE KEY") || text.rsplit_once('@').is_some_and(|(before, _)| before.contains(':'))
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 80;
    let one_line = |text: &str| text.escape_debug().to_string().replace("\\\"", "\"");
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => one_line(&text[..end]) + "…",
        None => one_line(text),
    }
}

/// The name that was probably meant by `wrong`: the nearest by edits, unless all are far.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = names.into_iter().map(|name| (edits(wrong, name), name)).min()?;
    let last = |name: &str| name.rsplit(['.', '_']).next().map(str::len).unwrap_or_default();
    (best.0 <= (wrong.len() / 3).max(2) || last(best.1) <= best.0 && best.0 <= wrong.len() / 2)
        .then_some(best.1)
}

/// Levenshtein's distance in bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let names = ["limits.message_bytes", "limits.event_bytes", "history.age_ms"];
        assert_eq!(nearest("limits.mesage_bytes", names), Some("limits.message_bytes"));
        assert_eq!(nearest("history.age_s", names), Some("history.age_ms"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn a_fault_shows_no_private_key_wherever_it_stands() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v";
        assert_eq!(ConfigFault::new("a.b", &pem, "a path").to_string(), "a.b = (hidden): a path");
    }

    #[test]
    fn a_fault_shows_no_password_of_an_address() {
        for address in ["https://u:hush@a.example/jwks.json", "u:hush@a.example", "ftp://u:h@ush@a.example"] {
            assert_eq!(ConfigFault::new("a.b", &address, "none").to_string(), "a.b = (hidden): none");
        }
        assert_eq!(ConfigFault::new("a.b", &"a@b:80", "none").to_string(), "a.b = a@b:80: none");
    }

    #[test]
    fn a_fault_shows_one_short_line() {
        let fault = ConfigFault::new("a.b", &"x\n".repeat(500), "1 to 2");
        assert!(!fault.to_string().contains('\n'));
        assert!(fault.to_string().len() < 300);
    }
}
