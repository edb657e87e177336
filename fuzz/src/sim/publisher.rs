//! A back end that publishes over HTTP: one connection kept alive, requests one behind the other, and a retry
//! with the same ids wherever it cannot know what became of them.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tidings_core::Instant;

use super::draw::{Draw, Stream};
use super::network::Word;
use super::scenario::{Action, Fault, Step};
use super::scene::Scene;
use super::tokens::{Grant, Wish};
use super::tuning::API_KEYS;
use super::wishes;
use crate::http::{Response, Responses, chunked_request, request};
use crate::model::LinkId;

/// Attempts before a request is given up.
const ATTEMPTS_MAX: u32 = 8;
/// The longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(45);
/// Requests of which a repeat may be made.
const REMEMBERED: usize = 8;

/// A publisher.
#[derive(Debug)]
pub(crate) struct Publisher {
    actor: u16,
    number: u16,
    draw: Draw<'static>,
    who: Credentials,
    /// Requests that wait, or wait for their answer: the first `sent` of them.
    queue: VecDeque<Request>,
    sent: usize,
    past: VecDeque<Request>,
    connection: Option<(LinkId, Responses)>,
    answer_by: Option<Instant>,
    again_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credentials {
    Key(usize),
    Token,
}

/// How events stand in a request.
#[derive(Clone, Copy, Debug)]
enum Form {
    Plain,
    Structured,
    Batch,
    Binary,
}

#[derive(Clone, Debug)]
struct Request {
    events: Vec<Value>,
    form: Form,
    attempts: u32,
}

impl Publisher {
    pub(crate) fn new(scene: &Scene<'_>, actor: u16, number: u16) -> Self {
        let mut draw = Draw::new(scene.seed, Stream::Actor, u64::from(actor));
        let who = match draw.below(12) {
            0..7 => Credentials::Key(0),
            7 => Credentials::Key(1),
            _ => Credentials::Token,
        };
        Self {
            actor,
            number,
            draw,
            who,
            queue: VecDeque::new(),
            sent: 0,
            past: VecDeque::new(),
            connection: None,
            answer_by: None,
            again_at: None,
        }
    }

    pub(crate) fn link(&self) -> Option<LinkId> {
        self.connection.as_ref().map(|(link, _)| *link)
    }

    fn name(&self) -> String {
        match self.who {
            Credentials::Key(key) => format!("key:{}", API_KEYS[key].0),
            Credentials::Token => format!("p{}", self.number),
        }
    }

    pub(crate) fn act(&mut self, scene: &mut Scene<'_>, step: &Step) {
        let mut draw = Draw::new(scene.seed, Stream::Step, u64::from(step.key));
        let n = u64::from(step.key) << 10;
        let request = match step.action {
            Action::Repeat(_) if !self.past.is_empty() => {
                scene.count(Fault::Repeat);
                draw_past(&mut draw, &self.past)
            }
            Action::Conflict(_) if !self.past.is_empty() => {
                scene.count(Fault::Conflict);
                let mut past = draw_past(&mut draw, &self.past);
                let index = draw.index(past.events.len());
                past.events[index]["data"]["n"] = n.into();
                past
            }
            Action::BadBatch(_) => {
                scene.count(Fault::BadBatch);
                let mut fresh = fresh(scene, &mut draw, n, 3);
                let index = draw.index(fresh.events.len());
                spoil(&mut draw, &mut fresh.events[index]);
                Request { form: Form::Plain, ..fresh }
            }
            _ => {
                let config = &scene.settings.config;
                let most = *draw.pick(&[1, 1, 1, 5, 20]);
                // Mostly so many that they can be taken at once.
                let taken = config.http.batch.min(config.dedup.entries / 2) as u64;
                let most = if draw.chance(50) { most } else { most.min(taken) };
                fresh(scene, &mut draw, n, most)
            }
        };
        scene.counts.publishes += request.events.len() as u64;
        self.queue.push_back(request);
        self.go_on(scene);
    }

    pub(crate) fn woken(&mut self, scene: &mut Scene<'_>) {
        if self.answer_by.take_if(|by| *by <= scene.now).is_some() {
            self.lose(scene);
        }
        if self.again_at.take_if(|at| *at <= scene.now).is_some() {
            self.go_on(scene);
        }
        if let Some(at) = [self.answer_by, self.again_at].into_iter().flatten().min() {
            scene.wake(self.actor, at);
        }
    }

    pub(crate) fn lacks(&self) -> Option<String> {
        (!self.queue.is_empty()).then(|| format!("publisher {} has unanswered requests", self.number))
    }

    pub(crate) fn calm(&mut self, scene: &mut Scene<'_>) {
        self.lose(scene);
        self.go_on(scene);
    }

    /// Sends what may be sent: a few requests ahead of their answers.
    fn go_on(&mut self, scene: &mut Scene<'_>) {
        let ahead = if scene.calm { 1 } else { 1 + self.actor as usize % 3 };
        if self.again_at.is_some() {
            return;
        }
        while self.sent < self.queue.len().min(ahead) {
            let link = match self.link() {
                Some(link) => link,
                None => {
                    let host = scene.place(&mut self.draw);
                    let link = scene.open(self.actor, host, 0, false);
                    self.connection = Some((link, Responses::default()));
                    link
                }
            };
            self.queue[self.sent].attempts += 1;
            let bytes = self.encode(scene, self.sent);
            scene.trace(format_args!(
                "{link:?} publishes {} as {}",
                self.queue[self.sent].events.len(),
                self.name()
            ));
            scene.send(link, &bytes);
            self.sent += 1;
            self.answer_by = Some(scene.now + PATIENCE);
            scene.wake_after(self.actor, PATIENCE);
        }
    }

    fn encode(&mut self, scene: &mut Scene<'_>, index: usize) -> Vec<u8> {
        let presented = match self.who {
            Credentials::Key(key) => API_KEYS[key].1.to_owned(),
            Credentials::Token => {
                let name = self.name();
                let wish = Wish {
                    user: &name,
                    grant: if self.number.is_multiple_of(2) { Grant::All } else { Grant::EditorAndOps },
                    key: scene.signing_key(),
                    issued_at: scene.true_now().unix.as_secs(),
                    lasts: 3_600,
                };
                scene.tokens.sign(&mut scene.model, &wish)
            }
        };
        let authorization = format!("Bearer {presented}");
        let request_of = &self.queue[index];
        let mut headers = vec![("Authorization", authorization)];
        let first = &request_of.events[0];
        let body = match request_of.form {
            Form::Plain if request_of.events.len() == 1 => first.to_string(),
            Form::Plain => Value::from(request_of.events.clone()).to_string(),
            Form::Structured => {
                headers.push(("Content-Type", "application/cloudevents+json".to_owned()));
                first.to_string()
            }
            Form::Batch => {
                headers.push(("Content-Type", "application/cloudevents-batch+json".to_owned()));
                Value::from(request_of.events.clone()).to_string()
            }
            Form::Binary => {
                headers.push(("Content-Type", "application/json".to_owned()));
                headers.push(("ce-specversion", "1.0".to_owned()));
                for (name, field) in [
                    ("ce-id", "id"),
                    ("ce-source", "source"),
                    ("ce-type", "type"),
                    ("ce-subject", "subject"),
                    ("ce-priority", "priority"),
                ] {
                    if let Some(value) = first[field].as_str() {
                        headers.push((name, value.to_owned()));
                    }
                }
                first["data"].to_string()
            }
        };
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        if self.draw.chance(150) {
            let len = usize::try_from(self.draw.scaled(1, 2_000)).unwrap_or(1);
            return chunked_request("POST", "/v1/events", &headers, body.as_bytes(), len);
        }
        request("POST", "/v1/events", &headers, body.as_bytes())
    }

    pub(crate) fn received(&mut self, scene: &mut Scene<'_>, link: LinkId, bytes: &[u8]) {
        let Some((_, responses)) = self.connection.as_mut().filter(|(own, _)| *own == link) else { return };
        responses.receive(bytes);
        while let Some((_, responses)) = self.connection.as_mut().filter(|(own, _)| *own == link)
            && let Some(response) = responses.next()
        {
            self.answered(scene, &response);
        }
        self.go_on(scene);
    }

    fn answered(&mut self, scene: &mut Scene<'_>, response: &Response) {
        if self.sent == 0 {
            // A word about the connection itself, as a timeout.
            return self.lose(scene);
        }
        let Some(request) = self.queue.pop_front() else { return };
        self.sent -= 1;
        scene.trace(format_args!("publisher {} is answered {}", self.number, response.status));
        match response.status {
            200 => {
                self.past.push_back(request);
                if REMEMBERED < self.past.len() {
                    self.past.pop_front();
                }
            }
            408 | 500.. if request.attempts < ATTEMPTS_MAX => self.try_again(scene, request),
            _ => {}
        }
        let closes = response.header("connection") == Some("close");
        if closes {
            self.lose(scene);
        }
        if self.sent == 0 {
            self.answer_by = None;
        }
    }

    /// Puts a request back where it came from, for later. One without ids would be another event.
    fn try_again(&mut self, scene: &mut Scene<'_>, request: Request) {
        if request.events.iter().all(|event| event["id"].is_string()) {
            let at = self.sent.min(self.queue.len());
            self.queue.insert(at, request);
        }
        let after = self.draw.micros(10_000, 3_000_000);
        self.again_at = Some(scene.now + after);
        scene.wake_after(self.actor, after);
    }

    pub(crate) fn heard(&mut self, scene: &mut Scene<'_>, link: LinkId, _word: Word) {
        if self.link() == Some(link) {
            self.lose(scene);
        }
    }

    /// The connection is of no use: what was sent is sent again on another.
    fn lose(&mut self, scene: &mut Scene<'_>) {
        if let Some((link, _)) = self.connection.take() {
            scene.hang_up(link);
        }
        self.answer_by = None;
        let sent = std::mem::take(&mut self.sent);
        let lost: Vec<Request> = self.queue.drain(..sent).collect();
        for request in lost.into_iter().rev() {
            if request.attempts < ATTEMPTS_MAX && request.events.iter().all(|event| event["id"].is_string()) {
                self.queue.push_front(request);
            }
        }
        if !self.queue.is_empty() {
            let after = self.draw.micros(10_000, 3_000_000);
            self.again_at = Some(scene.now + after);
            scene.wake_after(self.actor, after);
        }
    }
}

fn draw_past(draw: &mut Draw<'_>, past: &VecDeque<Request>) -> Request {
    Request { attempts: 0, ..past[draw.index(past.len())].clone() }
}

/// New events in a form of their own.
fn fresh(scene: &Scene<'_>, draw: &mut Draw<'_>, n: u64, most: u64) -> Request {
    let count = draw.range(1, most);
    let form = match draw.below(6) {
        0 if count == 1 => Form::Structured,
        1 if count == 1 => Form::Binary,
        2 => Form::Batch,
        _ => Form::Plain,
    };
    let mut events = Vec::new();
    for index in 0..count {
        let mut event = wishes::event(draw, n + index, scene.settings);
        // Ids of several publishers may be the same; they mean different events.
        if draw.chance(850) {
            let shared = draw.chance(50);
            let id = if shared { format!("x{}", draw.below(6)) } else { format!("e{}", n + index) };
            event["id"] = id.into();
        }
        if matches!(form, Form::Structured | Form::Batch) {
            event["specversion"] = "1.0".into();
            event["id"] = format!("e{}", n + index).into();
            if event["source"].is_null() {
                event["source"] = "/a".into();
            }
        }
        events.push(event);
    }
    if matches!(form, Form::Binary) {
        events[0]["id"] = format!("e{n}").into();
        if events[0]["source"].is_null() {
            events[0]["source"] = "/a".into();
        }
    }
    Request { events, form, attempts: 0 }
}

fn spoil(draw: &mut Draw<'_>, event: &mut Value) {
    match draw.below(4) {
        0 => event["type"] = "no.such".into(),
        1 => event["data"] = json!({"n": event["data"]["n"]}),
        2 => event["specversion"] = "0.3".into(),
        _ => event["data"] = "text".into(),
    }
}
