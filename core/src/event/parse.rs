//! From a publisher's JSON to an [`Event`]: read once, checked against all rules, every fault listed.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::attributes::Attributes;
use super::binary;
use super::catalog::{Catalog, DataShape, TypeId};
use super::conflation;
use super::event::{Event, Parts};
use super::fault::{Fault, Faults, Place};
use super::json::{self, Node, Object};
use crate::time::UnixTime;

/// What the server fills in where the publisher gave nothing.
#[derive(Clone, Copy, Debug)]
pub struct Defaults<'a> {
    /// 1–128 characters.
    pub id: &'a str,
    /// A URI reference of 1–256 characters.
    pub source: &'a str,
    /// The time of the event.
    pub time: UnixTime,
}

/// Where `data` stands.
const DATA: Place<'static> = Place::Key(&Place::Root, "data");

/// An event as its publisher gave it, readable as JSON but not yet checked.
struct Given<'a> {
    /// The members of the event itself.
    members: Object<'a>,
    data: Option<Node<'a>>,
    body: Body<'a>,
}

/// The text that `data` came in.
#[derive(Clone, Copy)]
enum Body<'a> {
    /// The whole event.
    Event(&'a str),
    /// `data` alone.
    Data(&'a str),
}

impl Catalog {
    /// Reads and checks an event: a CloudEvents object, or only its `type` and `data`.
    ///
    /// # Errors
    /// All faults of the event, up to a bound; where it is not JSON, that one fault.
    pub fn parse(&self, json: &str, defaults: &Defaults<'_>) -> Result<Event, Vec<Fault>> {
        let mut faults = Faults::default();
        let mut members = match json::read(json, Place::Root, &mut faults) {
            Some(Node::Object(members)) => members,
            Some(_) => {
                faults.push(Place::Root, "must be an object");
                return Err(faults.into_vec());
            }
            None => return Err(faults.into_vec()),
        };
        let data = members.take("data");
        self.check(&Given { members, data, body: Body::Event(json) }, defaults, faults)
    }

    /// Reads and checks an event in CloudEvents binary mode: `attributes` are the `ce-` headers, names without
    /// the prefix and values as sent, and the content type under `datacontenttype`; `data` is the body.
    ///
    /// # Errors
    /// As [`Catalog::parse`], with the paths that the structured event would have.
    pub fn parse_binary(
        &self,
        attributes: &[(&str, &str)],
        data: &str,
        defaults: &Defaults<'_>,
    ) -> Result<Event, Vec<Fault>> {
        let mut faults = Faults::default();
        let mut members = Vec::with_capacity(attributes.len());
        for (name, sent) in attributes {
            let name = name.to_ascii_lowercase();
            // The content type is a header of its own right and is not encoded.
            let value =
                if name == "datacontenttype" { Ok(Cow::Borrowed(*sent)) } else { binary::decode(sent) };
            match value {
                Ok(value) => members.push((Cow::Owned(name), Node::Text(value))),
                Err(message) => faults.push(Place::Key(&Place::Root, &name), message),
            }
        }
        let members = Object::new(members, Place::Root, &mut faults);
        let Some(node) = json::read(data, DATA, &mut faults) else { return Err(faults.into_vec()) };
        self.check(&Given { members, data: Some(node), body: Body::Data(data) }, defaults, faults)
    }

    fn check(
        &self,
        given: &Given<'_>,
        defaults: &Defaults<'_>,
        mut faults: Faults,
    ) -> Result<Event, Vec<Fault>> {
        let attributes = Attributes::read(&given.members, self, &mut faults);
        self.check_data(given, attributes.event_type, &mut faults);
        let (Some(type_id), Some(Node::Object(data)), true) =
            (attributes.event_type, &given.data, faults.is_empty())
        else {
            return Err(faults.into_vec());
        };
        let known = self.get(type_id);
        let source = attributes.source.unwrap_or(defaults.source);
        let keys = known.conflation.as_deref();
        let conflation = keys.map(|paths| conflation::key(&known.name, source, paths, data));
        Ok(Event::new(&Parts {
            type_id,
            type_name: &known.name,
            priority: attributes.priority.unwrap_or(known.priority),
            attributes: &attributes,
            data,
            raw_data: given.raw_data(),
            conflation,
            defaults,
        }))
    }

    fn check_data(&self, given: &Given<'_>, event_type: Option<TypeId>, faults: &mut Faults) {
        let Some(node) = &given.data else { return faults.push(DATA, "is required") };
        let Node::Object(data) = node else { return faults.push(DATA, "must be an object") };
        match event_type.map(|id| &self.get(id).shape) {
            Some(DataShape::BuiltIn(spec)) => spec.check(data, DATA, faults),
            Some(DataShape::Custom(custom)) => custom.check(node, DATA, faults),
            None => {}
        }
    }
}

/// Finds the bytes of `data` in an event that has been read.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

impl<'a> Given<'a> {
    /// The bytes of `data` as they were sent, of an event that has no fault.
    fn raw_data(&self) -> &'a str {
        let read = match self.body {
            Body::Event(json) => serde_json::from_str(json).map(|raw: Raw<'a>| raw.data),
            Body::Data(json) => serde_json::from_str(json),
        };
        read.expect("the strict reader accepted this text").get()
    }
}
