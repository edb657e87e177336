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
use crate::http::request;
use crate::model::LinkId;
use crate::stream::Blocks;

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
    connection: Option<(LinkId, Blocks)>,
    again_at: Option<Instant>,
    /// Whether a block has come on the connection at hand.
    begun: bool,
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
        self.connection.as_ref().map(|(link, _)| *link)
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
        if let Some((link, _)) = self.connection.take() {
            scene.hang_up(link);
        }
    }

    fn connect(&mut self, scene: &mut Scene<'_>) {
        let Some(mut query) = self.query.clone() else { return };
        if let Some(pace) = scene.pace(self.actor) {
            query += &format!("&{pace}");
        }
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
        self.connection = Some((link, Blocks::default()));
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
        let Some((_, blocks)) = self.connection.as_mut().filter(|(own, _)| *own == link) else { return };
        let patience = Duration::from_millis(scene.settings.config.heartbeat.timeout_ms + 5_000);
        self.again_at = Some(scene.now + patience);
        let asked = blocks.status().is_none();
        blocks.receive(bytes);
        let Some(status) = blocks.status() else { return };
        if asked {
            scene.trace(format_args!("{link:?} is answered {status}"));
        }
        if status != 200 {
            // What was asked for is not allowed; somebody gives the user more.
            if status == 403 {
                self.grant = Grant::All;
            }
            self.drop_connection(scene);
            return self.come_back(scene);
        }
        while let Some(block) = blocks.next() {
            if block.event.is_none() && block.data != Value::Null {
                scene.counts.deliveries += 1;
            }
            scene.trace(format_args!("{link:?} reads block {} {:?}", block.id, block.event));
            self.last_id = Some(block.id);
            self.begun = true;
        }
        if blocks.is_ended() {
            self.drop_connection(scene);
            self.come_back(scene);
        }
    }

    pub(crate) fn heard(&mut self, scene: &mut Scene<'_>, link: LinkId, word: Word) {
        if self.connection.take_if(|(own, _)| *own == link).is_some() {
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
