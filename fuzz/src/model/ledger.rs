//! What was published under which id: how often it was asked for and refused, and with which contents. By it an
//! answer to a publisher is judged.

use std::collections::BTreeMap;

use serde_json::Value;

use super::hub::{Fresh, HubModel};
use super::truth::Truth;
use super::{Invariant, Violation};

/// Publisher, source and id.
pub(super) type Key = (String, String, String);

#[derive(Debug, Default)]
struct Known {
    asked: u32,
    refused: u32,
    logged: bool,
    /// It came over HTTP, where every byte is followed.
    over_http: bool,
    contents: Vec<Value>,
}

/// Every publish of a run, at whichever hub.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    known: BTreeMap<Key, Known>,
    /// The source of events that name none.
    pub(super) source: String,
    /// Bytes of some peer could not be followed: what users publish may be more than is known here.
    pub(super) blind: bool,
}

/// What a publisher is told of one event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) publisher: &'a str,
    /// The event as it was sent.
    pub(super) event: &'a Value,
    pub(super) id: &'a Value,
    pub(super) offset: u64,
    pub(super) duplicate: &'a Value,
}

impl Ledger {
    /// The key of an event as it was sent; none where the server gives the id.
    fn key(&self, publisher: &str, event: &Value) -> Option<Key> {
        Some((publisher.to_owned(), self.source_of(event).to_owned(), event["id"].as_str()?.to_owned()))
    }

    fn source_of<'a>(&'a self, event: &'a Value) -> &'a str {
        event["source"].as_str().unwrap_or(&self.source)
    }

    /// A hub was asked to publish an event.
    pub(super) fn ask(&mut self, publisher: &str, event: &Value, over_http: bool) {
        let Some(key) = self.key(publisher, event) else { return };
        let known = self.known.entry(key).or_default();
        known.asked += 1;
        known.over_http |= over_http;
        if !known.contents.contains(event) {
            known.contents.push(event.clone());
        }
    }

    /// The log has taken an event.
    pub(super) fn log(&mut self, key: &Key) -> Result<(), Violation> {
        let known = self.known.entry(key.clone()).or_default();
        known.logged = true;
        known.check(key, self.blind)
    }

    /// A request with this event was refused: if all with its id were, it must not be in the log.
    pub(super) fn refuse(&mut self, publisher: &str, event: &Value) -> Result<(), Violation> {
        let Some(key) = self.key(publisher, event) else { return Ok(()) };
        let known = self.known.entry(key.clone()).or_default();
        known.refused += 1;
        known.check(&key, self.blind)
    }

    /// Whether an event's id may stand for several contents.
    pub(super) fn conflicts(&self, publisher: &str, event: &Value) -> bool {
        let known = self.key(publisher, event).and_then(|key| self.known.get(&key));
        known.is_some_and(|known| 1 < known.contents.len() || !known.is_followed(self.blind))
    }

    /// Whether what a publisher is told of an event is true.
    pub(super) fn check(&self, truth: &Truth, hub: &mut HubModel, told: Told<'_>) -> Result<(), Violation> {
        let Told { publisher, event, id, offset, duplicate } = told;
        let wrong = |text: &str| {
            let text =
                format!("{event} of {publisher} is told {id} at {offset}, duplicate {duplicate}: {text}");
            Err(Violation::new(Invariant::Durable, text))
        };
        // The hub itself may hear of it later.
        let Some(logged) = truth.life(hub.life).get(offset) else {
            return wrong("nothing is in the log there");
        };
        let is_it = logged.value["id"] == *id
            && (event["id"].is_null() || event["id"] == *id)
            && logged.value["source"] == *self.source_of(event)
            && *logged.record.publisher == *publisher
            && logged.value["type"] == event["type"]
            && logged.value["data"] == event["data"];
        if !is_it {
            return wrong("another event is in the log there");
        }
        let key =
            (publisher.to_owned(), self.source_of(event).to_owned(), id.as_str().unwrap_or("").to_owned());
        if *duplicate == true {
            let known = self.known.get(&key);
            let again = known.is_some_and(|known| 1 < known.asked || !known.is_followed(self.blind));
            return if again { Ok(()) } else { wrong("it was published once") };
        }
        // Each time that a hub asks the log for an event one request has it as new.
        let new = *duplicate == false && hub.fresh.get_mut(&key).is_some_and(Fresh::tell);
        if new { Ok(()) } else { wrong("the hub had asked the log for it before") }
    }
}

impl Known {
    /// Whether nobody can have published under this key unseen.
    const fn is_followed(&self, blind: bool) -> bool {
        self.over_http || !blind
    }

    fn check(&self, key: &Key, blind: bool) -> Result<(), Violation> {
        let known = self.logged && 0 < self.asked && self.is_followed(blind);
        if !known || self.refused < self.asked {
            return Ok(());
        }
        let text = format!("{key:?} was refused, and yet is in the log");
        Err(Violation::new(Invariant::Durable, text))
    }
}
