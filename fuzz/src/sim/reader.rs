//! A reader of Server-Sent Events, as a browser's `EventSource` is one: it takes what comes, and comes back
//! with the id of the last block.

use std::time::Duration;

use serde_json::Value;
use tidings_core::Instant;

use super::draw::{Draw, Stream};
use super::network::Word;
use super::scenario::{Fault, Step};
use super::scene::Scene;
use super::tokens::{Grant, Wish};
use super::wishes;
use crate::http::{Response, request};
use crate::model::LinkId;
use crate::stream::{chunk, parse};

/// A reader.
#[derive(Debug)]
pub(crate) struct Reader {
    actor: u16,
    user: String,
    draw: Draw<'static>,
    grant: Grant,
    /// The request's parameters, once it reads.
    query: Option<String>,
    last_id: Option<String>,
    connection: Option<Connection>,
    again_at: Option<Instant>,
    /// Whether a block has come on the connection at hand.
    begun: bool,
}

#[derive(Debug)]
struct Connection {
    link: LinkId,
    input: Vec<u8>,
    status: Option<u16>,
    text: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(scene: &Scene<'_>, actor: u16, number: u16) -> Self {
        let mut draw = Draw::new(scene.seed, Stream::Actor, u64::from(actor));
        Self {
            actor,
            user: format!("u{}", number % scene.settings.users),
            grant: Grant::draw(&mut draw),
            draw,
            query: None,
            last_id: None,
            connection: None,
            again_at: None,
            begun: false,
        }
    }

    pub(crate) fn link(&self) -> Option<LinkId> {
        self.connection.as_ref().map(|connection| connection.link)
    }

    /// Begins anew, with another question.
    pub(crate) fn act(&mut self, scene: &mut Scene<'_>, step: &Step) {
        let mut draw = Draw::new(scene.seed, Stream::Step, u64::from(step.key));
        let events = wishes::patterns(&mut draw).join(",");
        let filter = wishes::filter(&mut draw, scene.settings.filters);
        let mut query = format!("events={events}");
        if !filter.is_null() {
            query += &format!("&filter={}", percent_encoded(&filter.to_string()));
        }
        self.grant = Grant::draw(&mut draw);
        (self.query, self.last_id) = (Some(query), None);
        self.drop_connection(scene);
        self.connect(scene);
    }

    fn drop_connection(&mut self, scene: &mut Scene<'_>) {
        if let Some(connection) = self.connection.take() {
            scene.hang_up(connection.link);
        }
    }

    fn connect(&mut self, scene: &mut Scene<'_>) {
        let Some(query) = self.query.clone() else { return };
        self.again_at = None;
        let short = scene.strikes(&mut self.draw, Fault::TokenShort);
        let lasts = if short { self.draw.range(1, 60) } else { 36_000 };
        let wish = Wish {
            user: &self.user,
            grant: self.grant,
            key: scene.signing_key(),
            issued_at: scene.true_now().unix.as_secs(),
            lasts: i64::try_from(lasts).unwrap_or(60),
        };
        let authorization = format!("Bearer {}", scene.tokens.sign(&mut scene.model, &wish));
        let host = scene.place(&mut self.draw);
        let link = scene.open(self.actor, host, 7, false);
        let mut headers = vec![("Authorization", &*authorization)];
        headers.extend(self.last_id.as_deref().map(|id| ("Last-Event-ID", id)));
        scene.trace(format_args!("{link:?} reads {query} from {:?} as {wish:?}", self.last_id));
        scene.send(link, &request("GET", &format!("/v1/stream?{query}"), &headers, b""));
        self.begun = false;
        self.connection = Some(Connection { link, input: Vec::new(), status: None, text: Vec::new() });
        // Nobody may answer.
        let patience = Duration::from_millis(scene.settings.config.heartbeat.timeout_ms + 5_000);
        self.again_at = Some(scene.now + patience);
        scene.wake_after(self.actor, patience);
    }

    pub(crate) fn woken(&mut self, scene: &mut Scene<'_>) {
        if self.again_at.take_if(|at| *at <= scene.now).is_some() {
            self.drop_connection(scene);
            self.connect(scene);
        } else if let Some(at) = self.again_at {
            scene.wake(self.actor, at);
        }
    }

    pub(crate) fn calm(&mut self, scene: &mut Scene<'_>) {
        self.again_at = Some(scene.now);
        scene.wake_after(self.actor, Duration::ZERO);
    }

    pub(crate) fn lacks(&self) -> Option<String> {
        (self.query.is_some() && !self.begun).then(|| format!("reader {} reads nothing", self.actor))
    }

    pub(crate) fn received(&mut self, scene: &mut Scene<'_>, link: LinkId, bytes: &[u8]) {
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.link == link) else {
            return;
        };
        let patience = Duration::from_millis(scene.settings.config.heartbeat.timeout_ms + 5_000);
        self.again_at = Some(scene.now + patience);
        connection.input.extend_from_slice(bytes);
        if connection.status.is_none() {
            let Some((head, rest)) = Response::read_head(&connection.input) else { return };
            scene.trace(format_args!("{link:?} is answered {}", head.status));
            connection.status = Some(head.status);
            connection.input = rest.to_vec();
        }
        if connection.status != Some(200) {
            // What was asked for is not allowed; somebody gives the user more.
            if connection.status == Some(403) {
                self.grant = Grant::All;
            }
            self.drop_connection(scene);
            return self.come_back(scene);
        }
        let mut ended = false;
        while let Some((len, text)) = chunk(&connection.input) {
            ended |= text.is_empty();
            connection.input.drain(..len);
            connection.text.extend(text);
        }
        while let Some(end) = connection.text.windows(2).position(|window| window == b"\n\n") {
            let text: Vec<u8> = connection.text.drain(..end + 2).collect();
            let block = parse(&String::from_utf8_lossy(&text));
            if block.event.is_none() && block.data != Value::Null {
                scene.counts.deliveries += 1;
            }
            scene.trace(format_args!("{link:?} reads block {} {:?}", block.id, block.event));
            self.last_id = Some(block.id);
            self.begun = true;
        }
        if ended {
            self.drop_connection(scene);
            self.come_back(scene);
        }
    }

    pub(crate) fn heard(&mut self, scene: &mut Scene<'_>, link: LinkId, word: Word) {
        if self.connection.take_if(|connection| connection.link == link).is_some() {
            if word == Word::Ended {
                scene.hang_up(link);
            }
            self.come_back(scene);
        }
    }

    fn come_back(&mut self, scene: &mut Scene<'_>) {
        self.begun = false;
        let after = self.draw.micros(100_000, 4_000_000);
        self.again_at = Some(scene.now + after);
        scene.wake_after(self.actor, after);
    }
}

/// A text as it stands in a query.
pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
        encoded
    })
}
