//! Publishing: events checked, deduplicated and handed to the log; each request answered when the last
//! of its events is known to be in it, or not.

use std::sync::Arc;

use serde_json::json;

use super::Hub;
use crate::auth::{Grant, PublishDenied};
use crate::dedup::{Key, Seen};
use crate::event::{Defaults, Event, Fault};
use crate::history::Record;
use crate::input::LogUnavailable;
use crate::output::Output;
use crate::protocol::{ConnId, ErrorCode, Failure, Offset, PublishResult, RequestId};

/// Names a publish request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PublishId(u64);

/// Who gets the answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker {
    /// A connection that waits for it.
    Connection(ConnId),
    /// The embedding program.
    Embedder(RequestId),
}

/// A publish request whose events are being appended.
#[derive(Debug)]
pub(super) struct Publishing {
    asker: Asker,
    items: Vec<Item>,
    waiting: usize,
}

#[derive(Debug)]
struct Item {
    id: Box<str>,
    duplicate: bool,
    result: Option<Result<Offset, LogUnavailable>>,
}

/// An append that the log has not answered yet.
#[derive(Debug)]
pub(super) struct Append {
    key: Key,
    waiters: Vec<(PublishId, u32)>,
}

/// The events of a request as sent.
pub(super) enum Batch<'a> {
    /// Structured: each a JSON object.
    Structured(Vec<&'a str>),
    /// One event in binary mode: attributes, and the data.
    Binary(Vec<(&'a str, &'a str)>, &'a str),
}

/// Who publishes, and what that one may.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    pub(super) name: Box<str>,
    pub(super) grant: Option<Arc<Grant>>,
}

/// What became of a request at once.
pub(super) enum Begun {
    /// Everything is known.
    Done(Answer),
    /// The log has yet to answer.
    Waiting(PublishId),
}

/// What became of a request.
pub(super) enum Answer {
    /// All events are in the log.
    Published(Vec<PublishResult>),
    /// Nothing was published.
    Refused(Failure),
    /// The log took only these.
    Unavailable(Vec<PublishResult>),
}

impl Answer {
    /// The answer to a request of one event.
    pub(super) fn single(self) -> Result<PublishResult, Failure> {
        match self {
            Self::Published(mut results) if results.len() == 1 => Ok(results.remove(0)),
            Self::Refused(failure) => Err(failure),
            Self::Published(_) | Self::Unavailable(_) => Err(unavailable()),
        }
    }
}

pub(super) fn unavailable() -> Failure {
    let message = "the log does not take events at the moment; retry with the same ids".to_owned();
    Failure { code: ErrorCode::Unavailable, message, details: None }
}

impl Hub {
    /// Checks a whole request, and only then hands its events to the log.
    pub(super) fn begin_publish(&mut self, asker: Asker, publisher: &Publisher, batch: &Batch<'_>) -> Begun {
        if self.history.epoch().is_none() || !self.loaded {
            return Begun::Done(Answer::Unavailable(Vec::new()));
        }
        let checked = self.read_batch(batch).and_then(|events| {
            permit(self, publisher, &events)?;
            self.look_up(publisher, events)
        });
        let events = match checked {
            Ok(events) => events,
            Err(failure) => return Begun::Done(Answer::Refused(failure)),
        };
        if self.config.dedup.entries < self.waiting + events.len() {
            return Begun::Done(Answer::Unavailable(Vec::new()));
        }
        self.next_publish += 1;
        let id = PublishId(self.next_publish);
        let mut publishing = Publishing { asker, items: Vec::with_capacity(events.len()), waiting: 0 };
        for (event, key) in events {
            self.append_one(id, &mut publishing, publisher, event, key);
        }
        if publishing.waiting == 0 {
            return Begun::Done(publishing.answer());
        }
        self.waiting += publishing.waiting;
        self.publishes.insert(id, publishing);
        Begun::Waiting(id)
    }

    fn read_batch(&mut self, batch: &Batch<'_>) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        let mut faults = Vec::new();
        let mut add = |index: usize, read: Result<Event, Vec<Fault>>| match read {
            Ok(event) => events.push(event),
            Err(found) if faults.len() < FAULTS_MAX => {
                faults.extend(found.into_iter().map(
                    |Fault { path, message }| json!({"index": index, "path": path, "message": message}),
                ));
            }
            Err(_) => {}
        };
        match batch {
            Batch::Structured(texts) => {
                for (index, text) in texts.iter().enumerate() {
                    let read = self.read_event(text.len(), |catalog, defaults| catalog.parse(text, defaults));
                    add(index, read);
                }
            }
            Batch::Binary(attributes, data) => {
                let read = self.read_event(data.len(), |catalog, defaults| {
                    catalog.parse_binary(attributes, data, defaults)
                });
                add(0, read);
            }
        }
        if faults.is_empty() {
            return Ok(events);
        }
        let message = match faults.len() {
            1 => "the event is not valid".to_owned(),
            count => format!("{count} faults in what was published"),
        };
        Err(Failure { code: ErrorCode::InvalidEvent, message, details: Some(faults.into()) })
    }

    fn read_event(
        &mut self,
        len: usize,
        read: impl FnOnce(&crate::event::Catalog, &Defaults<'_>) -> Result<Event, Vec<Fault>>,
    ) -> Result<Event, Vec<Fault>> {
        let max = self.config.limits.event_bytes;
        if max < len {
            let message = format!("the event is larger than {max} bytes");
            return Err(vec![Fault { path: "$".to_owned(), message }]);
        }
        let id = self.rng.token(26);
        let defaults = Defaults { id: &id, source: &self.config.events.source, time: self.now.unix };
        super::guard(&mut self.stats, || read(&self.catalog, &defaults)).unwrap_or_else(|| {
            Err(vec![Fault { path: "$".to_owned(), message: "the event cannot be read".to_owned() }])
        })
    }

    /// Refuses the whole request where one of its events has an id that stands for other content.
    fn look_up(&mut self, publisher: &Publisher, events: Vec<Event>) -> Result<Vec<(Event, Key)>, Failure> {
        let mut keyed: Vec<(Event, Key)> = Vec::with_capacity(events.len());
        let mut within = crate::map::Map::with_hasher(self.keyed);
        let mut conflicts = Vec::new();
        for (index, event) in events.into_iter().enumerate() {
            let key = Key {
                publisher: publisher.name.clone(),
                source: event.source().into(),
                id: event.id().into(),
            };
            let print = event.fingerprint();
            let known = self.dedup.look(&key, print, self.now.instant);
            let earlier = *within.entry(key.clone()).or_insert(print);
            if known == Seen::Conflict || earlier != print {
                let message = "this id was published with other content";
                conflicts.push(json!({"index": index, "path": "$.id", "message": message}));
            }
            keyed.push((event, key));
        }
        if conflicts.is_empty() {
            return Ok(keyed);
        }
        let message = "an event with this source and id was published with other content".to_owned();
        Err(Failure { code: ErrorCode::Conflict, message, details: Some(conflicts.into()) })
    }

    fn append_one(
        &mut self,
        id: PublishId,
        publishing: &mut Publishing,
        publisher: &Publisher,
        event: Event,
        key: Key,
    ) {
        let place = u32::try_from(publishing.items.len()).expect("a batch is bounded far below 2^32");
        let mut item = Item { id: event.id().into(), duplicate: true, result: None };
        let print = event.fingerprint();
        match self.dedup.look(&key, print, self.now.instant) {
            Seen::Logged(offset) => item.result = Some(Ok(offset)),
            Seen::Pending(request) => match self.appends.get_mut(&request) {
                Some(append) => {
                    publishing.waiting += 1;
                    append.waiters.push((id, place));
                }
                // Answered, and not delivered by the log yet: a retry finds it there.
                None => item.result = Some(Err(LogUnavailable)),
            },
            Seen::New | Seen::Conflict => {
                item.duplicate = false;
                publishing.waiting += 1;
                self.next_request += 1;
                let request = RequestId(self.next_request);
                self.dedup.pending(key.clone(), print, request, self.now.instant);
                self.appends.insert(request, Append { key, waiters: vec![(id, place)] });
                let record = Record { publisher: publisher.name.clone(), event, accepted: self.now.instant };
                self.outputs.push_back(Output::Append { request, record: Arc::new(record) });
            }
        }
        if item.duplicate {
            self.stats.duplicates += 1;
        }
        publishing.items.push(item);
    }

    /// Remembers what the log holds, so that a repeat of it is known for one.
    pub(super) fn log_seen(&mut self, record: &Record, offset: Offset) {
        let event = &record.event;
        let key =
            Key { publisher: record.publisher.clone(), source: event.source().into(), id: event.id().into() };
        self.dedup.logged(key, event.fingerprint(), offset, self.now.instant);
    }

    /// Answers everyone who waits for an append.
    pub(super) fn append_result(&mut self, request: RequestId, result: Result<Offset, LogUnavailable>) {
        let Some(append) = self.appends.remove(&request) else { return };
        if result.is_err() {
            self.dedup.failed(&append.key);
        }
        self.waiting -= append.waiters.len();
        for (id, place) in append.waiters {
            let Some(publishing) = self.publishes.get_mut(&id) else { continue };
            publishing.items[place as usize].result = Some(result);
            publishing.waiting -= 1;
            if publishing.waiting == 0
                && let Some(done) = self.publishes.remove(&id)
            {
                self.answer_publish(done.asker, id, done.answer());
            }
        }
    }

    /// Gives up waiting: what is known so far is the answer, and a retry finds out the rest.
    pub(super) fn abandon_publish(&mut self, id: PublishId) -> Option<Answer> {
        self.publishes.remove(&id).map(Publishing::answer)
    }

    fn answer_publish(&mut self, asker: Asker, id: PublishId, answer: Answer) {
        match asker {
            Asker::Connection(conn) => self.published(conn, id, answer),
            Asker::Embedder(request) => {
                self.outputs.push_back(Output::Published { request, result: answer.single() });
            }
        }
    }

    /// Publishes for the embedding program.
    pub(super) fn publish_embedded(&mut self, request: RequestId, publisher: &str, event: &str) {
        let publisher = Publisher { name: publisher.into(), grant: None };
        let batch = Batch::Structured(vec![event]);
        if let Begun::Done(answer) = self.begin_publish(Asker::Embedder(request), &publisher, &batch) {
            self.outputs.push_back(Output::Published { request, result: answer.single() });
        }
    }
}

/// Faults named in one answer, over all events of a batch.
const FAULTS_MAX: usize = 1000;

impl Publishing {
    fn answer(self) -> Answer {
        let asked = self.items.len();
        let known: Vec<PublishResult> = self
            .items
            .into_iter()
            .filter_map(|Item { id, duplicate, result }| {
                let offset = result?.ok()?;
                Some(PublishResult { id, offset, duplicate })
            })
            .collect();
        if known.len() == asked { Answer::Published(known) } else { Answer::Unavailable(known) }
    }
}

fn permit(hub: &Hub, publisher: &Publisher, events: &[Event]) -> Result<(), Failure> {
    let Some(grant) = &publisher.grant else { return Ok(()) };
    let mut denied = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let name = hub.catalog.name(event.type_id());
        if let Err(why) = grant.permits_publish(name, event.priority(), event.fields()) {
            let path = match why {
                PublishDenied::Type => "$.type",
                PublishDenied::Priority { .. } => "$.priority",
                PublishDenied::Filter => "$.data",
            };
            denied.push(json!({"index": index, "path": path, "message": why.to_string()}));
        }
    }
    if denied.is_empty() {
        return Ok(());
    }
    let message = "the grant does not allow to publish this".to_owned();
    Err(Failure { code: ErrorCode::Forbidden, message, details: Some(denied.into()) })
}
