//! How `tail` shows what it hears: a line for people, or a JSON object for programs.

use std::io::{self, IsTerminal};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidings_core::client::GapReason;
use tidings_core::event::{Catalog, Priority};
use tidings_core::protocol::Offset;

use super::super::{Failure, print};
use super::Format;

/// Writes lines to standard output.
#[derive(Debug)]
pub(super) struct Show {
    json: bool,
    colour: bool,
    catalog: Catalog,
}

/// A line of JSON, in the form of the server's own messages.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'a> {
    Event {
        offset: Offset,
        #[serde(skip_serializing_if = "Option::is_none")]
        lane: Option<Priority>,
        event: &'a RawValue,
    },
    Gap {
        lane: Priority,
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<Offset>,
        until: Offset,
        reason: &'a str,
    },
}

/// What a line for people shows of an event.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Shown {
    #[serde(rename = "type")]
    event_type: String,
    time: String,
    subject: Option<String>,
    priority: Option<Priority>,
    data: Option<Box<RawValue>>,
}

impl Show {
    /// Shows in `format`, in colour where a person looks and has not said no.
    pub(super) fn new(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let json = match format {
            Format::Auto => !terminal,
            Format::Text => false,
            Format::Json => true,
        };
        Self { json, colour: terminal && !no_colour, catalog: Catalog::builtin() }
    }

    /// Shows an event.
    pub(super) fn event(&self, offset: Offset, lane: Priority, event: &RawValue) -> Result<(), Failure> {
        self.line(offset, Some(lane), event)
    }

    /// Shows an event from before the beginning; its lane follows from the event.
    pub(super) fn recent(&self, offset: Offset, event: &RawValue) -> Result<(), Failure> {
        let shown: Shown = serde_json::from_str(event.get()).unwrap_or_default();
        let by_type = || self.catalog.id(&shown.event_type).map(|id| self.catalog.priority(id));
        self.line(offset, shown.priority.or_else(by_type), event)
    }

    /// Shows that events may be missing.
    pub(super) fn gap(
        &self,
        lane: Priority,
        after: Option<Offset>,
        until: Offset,
        reason: GapReason,
    ) -> Result<(), Failure> {
        let reason = match reason {
            GapReason::Expired => "expired",
            GapReason::Epoch => "epoch",
            GapReason::Other => "other",
        };
        if self.json {
            let line = Line::Gap { lane, after, until, reason };
            return print(&serde_json::to_string(&line).unwrap_or_default());
        }
        let from = after.map_or_else(String::new, |after| format!("after {after} "));
        let text = format!("--- gap in lane {lane}: events {from}up to {until} may be missing ({reason})");
        print(&self.paint("31", &text))
    }

    fn line(&self, offset: Offset, lane: Option<Priority>, event: &RawValue) -> Result<(), Failure> {
        if self.json {
            let line = Line::Event { offset, lane, event };
            return print(&serde_json::to_string(&line).unwrap_or_default());
        }
        print(&self.text(offset, lane, event))
    }

    fn text(&self, offset: Offset, lane: Option<Priority>, event: &RawValue) -> String {
        let shown: Shown = serde_json::from_str(event.get()).unwrap_or_default();
        let data = shown.data.as_deref().map_or("{}", RawValue::get);
        let subject = shown.subject.map_or_else(String::new, |subject| format!(" {subject}"));
        let lane_name = lane.map_or("?", Priority::as_str);
        let head = format!("{offset:>6} {lane_name:<8} {}{}", shown.event_type, harmless(&subject));
        let colour = match lane {
            Some(Priority::Critical) => "1;31",
            Some(Priority::High) => "33",
            Some(Priority::Normal) | None => "32",
            Some(Priority::Low) => "2",
        };
        format!("{} {} {}", harmless(&shown.time), self.paint(colour, &harmless(&head)), harmless(data))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The text without what a terminal would obey.
fn harmless(text: &str) -> String {
    let escape = |c: char| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    if text.chars().any(char::is_control) { text.chars().map(escape).collect() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_line_for_people_is_coloured_by_priority_and_harmless() {
        let show = Show { json: false, colour: true, catalog: Catalog::builtin() };
        let event = raw(
            "{\"type\":\"user.login\",\"time\":\"T\",\"subject\":\"a\\u001b[2J\",\"data\":{\"x\":\"\u{9b}2J\"}}",
        );
        let line = show.text(Offset::ZERO, Some(Priority::High), &event);
        assert_eq!(line, "T \u{1b}[33m     0 high     user.login a\\u001b[2J\u{1b}[0m {\"x\":\"\\u009b2J\"}");
        let plain = Show { colour: false, ..show };
        assert!(!plain.text(Offset::ZERO, Some(Priority::Critical), &event).contains('\u{1b}'));
    }

    #[test]
    fn a_line_for_programs_keeps_the_event_byte_for_byte() {
        let event = raw("{\"b\": 1.0,\"a\":2}");
        let line = Line::Event { offset: Offset::ZERO, lane: Some(Priority::Low), event: &event };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, "{\"type\":\"event\",\"offset\":0,\"lane\":\"low\",\"event\":{\"b\": 1.0,\"a\":2}}");
    }
}
