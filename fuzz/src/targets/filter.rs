//! Filters, patterns and the index over them: what is parsed is what was written, and an event finds exactly
//! the subscriptions that the plainest comparison finds.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tidings_core::event::{Fields, Filter, Number, Pattern, Patterns, Scalar};
use tidings_core::map::Keyed;
use tidings_core::protocol::Offset;
use tidings_core::subscription::{Index, Member, Permit, Place};

use crate::model::matching::{Definition, Grants};

const FILTER_KEYS: usize = 16;

/// A grant of one part, or of none that permits everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Forced(Option<Filter>);

impl Permit for Forced {
    fn permits(&self, _: &str, fields: &Fields) -> bool {
        self.0.as_ref().is_none_or(|filter| filter.matches_forced(fields))
    }

    fn required(&self) -> Option<&Filter> {
        self.0.as_ref()
    }
}

/// One subscription, three times over: in the index, by the core's own rules, and by the model's.
struct Joined {
    place: Place,
    patterns: Patterns,
    filter: Filter,
    forced: Forced,
    plain: Definition,
    plain_forced: Grants,
}

/// Panics where a parser does, where what was parsed does not print and parse as itself, and where the index,
/// the core's comparison and the model's disagree.
///
/// A line each: `+` with patterns, a filter and a forced filter, parted by tabs, subscribes; `-` with a slot
/// ends a subscription; `?` with an event looks it up; anything else is read as a pattern.
pub fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut table = Table { index: Index::new(Keyed::new([5, 6])), joined: BTreeMap::new() };
    for (slot, line) in (0..).zip(text.lines().take(64)) {
        match line.as_bytes() {
            [b'+', ..] => table.join(slot, &line[1..]),
            [b'-', ..] => table.leave(&line[1..]),
            [b'?', ..] => table.look_up(&line[1..]),
            _ => drop(read_pattern(line)),
        }
    }
}

struct Table {
    index: Index<Forced>,
    joined: BTreeMap<u32, Joined>,
}

impl Table {
    fn join(&mut self, slot: u32, line: &str) {
        let mut parts = line.split('\t');
        let words: Vec<&str> = parts.next().unwrap_or_default().split(' ').collect();
        let patterns: Option<Vec<Pattern>> = words.iter().map(|word| read_pattern(word)).collect();
        let Some((filter, wanted)) = read_filter(parts.next().unwrap_or("{}")) else { return };
        let forced = parts.next().and_then(read_filter);
        let Some(patterns) = patterns.map(Patterns::new).filter(|patterns| !patterns.is_empty()) else {
            return;
        };
        let plain_forced = match &forced {
            Some((_, forced)) => serde_json::json!({"tidings": {"subscribe": ["*"], "filter": forced}}),
            None => serde_json::json!({"tidings": {"subscribe": ["*"]}}),
        };
        let forced = Forced(forced.map(|(forced, _)| forced));
        let member = Member { slot, tag: 0, from: Offset::ZERO };
        let place = self.index.join(&patterns, &filter, &forced, member);
        let plain = Definition::read(&words.into(), &wanted);
        let plain_forced = Grants::of(&plain_forced, &tidings_core::config::AuthConfig::default());
        self.joined.insert(slot, Joined { place, patterns, filter, forced, plain, plain_forced });
        assert_eq!(self.index.members(), self.joined.len());
    }

    fn leave(&mut self, slot: &str) {
        let Some(left) = slot.parse().ok().and_then(|slot| self.joined.remove(&slot)) else { return };
        if let Some(moved) = self.index.leave(left.place) {
            self.joined.get_mut(&moved.slot).expect("who moves is there").place = moved.place;
        }
        assert_eq!(self.index.members(), self.joined.len());
    }

    fn look_up(&mut self, json: &str) {
        let Some(fields) = Fields::from_event(json) else { return };
        let Ok(event) = serde_json::from_str::<Value>(json) else { return };
        let Some(name) = event["type"].as_str().filter(|name| tidings_core::event::is_type_name(name)) else {
            return;
        };
        // An attribute that is not a text makes an event invalid, so it never comes to be compared.
        let is_text = |name: &str| event.get(name).is_none_or(Value::is_string);
        if !is_text("subject") || !is_text("source") {
            return;
        }
        let mut found = Vec::new();
        self.index.matching(name, &fields, |members| found.extend(members.iter().map(|member| member.slot)));
        found.sort_unstable();
        let by = |matches: &dyn Fn(&Joined) -> bool| -> Vec<u32> {
            self.joined.iter().filter(|(_, one)| matches(one)).map(|(slot, _)| *slot).collect()
        };
        let brute = by(&|one| {
            one.patterns.matches(name) && one.filter.matches(&fields) && one.forced.permits(name, &fields)
        });
        let alone = by(&|one| self.index.definition_matches(one.place.definition(), name, &fields));
        let plain = by(&|one| one.plain.matches(&event) && one.plain_forced.permit(&event));
        assert_eq!(found, brute, "left: by the index, right: one by one");
        assert_eq!(alone, brute, "left: by definition, right: one by one");
        assert_eq!(brute, plain, "left: by the core, right: by the model");
    }
}

/// A pattern that prints as it was written.
fn read_pattern(text: &str) -> Option<Pattern> {
    let pattern = Pattern::parse(text).ok()?;
    assert_eq!(pattern.to_string(), text);
    assert!(pattern.covers(&pattern) && Pattern::Any.covers(&pattern));
    if let Pattern::Exact(name) = &pattern {
        let category = name.split_once('.').map(|(category, _)| Pattern::parse(&format!("{category}.*")));
        assert!(category.is_some_and(|category| category.is_ok_and(|category| category.covers(&pattern))));
        assert!(pattern.matches(name));
    }
    Some(pattern)
}

/// A filter that is the same once it is written and read again, and the JSON that it was read from.
fn read_filter(text: &str) -> Option<(Filter, Value)> {
    let filter = Filter::parse(text, FILTER_KEYS).ok()?;
    let written: Map<String, Value> = filter
        .iter()
        .map(|(path, allowed)| (path.to_owned(), allowed.iter().map(to_json).collect::<Vec<_>>().into()))
        .collect();
    let again = Filter::from_json(&written.into(), FILTER_KEYS);
    assert_eq!(again.as_ref(), Ok(&filter));
    let json = serde_json::from_str(text).expect("a filter is JSON");
    Some((filter, json))
}

fn to_json(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(bool) => (*bool).into(),
        Scalar::Number(Number::Int(int)) => {
            let exact =
                i64::try_from(*int).map(Value::from).or_else(|_| u64::try_from(*int).map(Value::from));
            // Beyond 64 bits only what a double holds exactly is an integer here.
            #[expect(clippy::cast_precision_loss, reason = "exact, by the line above")]
            exact.unwrap_or_else(|_| (*int as f64).into())
        }
        Scalar::Number(Number::Float(float)) => (*float).into(),
        Scalar::String(text) => (&**text).into(),
    }
}
