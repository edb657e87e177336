//! A peer that speaks the protocol by hand, message by message: what no client machine would say, legal or not.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_core::wire::Message;
use tidings_core::wire::client::HandshakeRequest;

use super::draw::{Draw, Stream};
use super::network::Word;
use super::scenario::{Action, Fault, Step};
use super::scene::Scene;
use super::tokens::{Grant, Wish};
use super::trace::cut;
use super::wishes;
use crate::model::{Invariant, LinkId};
use crate::websocket::{self, Heard, WebSocket};

/// A peer that speaks by hand.
#[derive(Debug)]
pub(crate) struct Raw {
    actor: u16,
    user: String,
    draw: Draw<'static>,
    connection: Option<Connection>,
    /// What the next connections may claim to have.
    positions: Vec<Value>,
    /// The first of its tokens, which may have been revoked since.
    first_token: Option<String>,
    answers_ping: bool,
}

#[derive(Debug)]
struct Connection {
    link: LinkId,
    websocket: WebSocket,
    /// What is said once the connection is open.
    first: Vec<Vec<u8>>,
}

impl Raw {
    pub(crate) fn new(scene: &Scene<'_>, actor: u16, number: u16) -> Self {
        let draw = Draw::new(scene.seed, Stream::Actor, u64::from(actor));
        Self {
            actor,
            user: format!("u{}", number % scene.settings.users),
            draw,
            connection: None,
            positions: Vec::new(),
            first_token: None,
            answers_ping: true,
        }
    }

    pub(crate) fn link(&self) -> Option<LinkId> {
        self.connection.as_ref().map(|connection| connection.link)
    }

    pub(crate) fn act(&mut self, scene: &mut Scene<'_>, step: &Step) {
        let mut draw = Draw::new(scene.seed, Stream::Step, u64::from(step.key));
        if self.connection.is_none() || draw.chance(100) {
            self.connect(scene, &mut draw);
        }
        let mut frames = Vec::new();
        match step.action {
            Action::Misbehave(_) => {
                scene.count(Fault::Corruption);
                frames.push(self.misbehave(&mut draw));
            }
            Action::Flood(_) => {
                scene.count(Fault::Limits);
                self.flood(scene, &mut draw, &mut frames);
            }
            _ if draw.chance(100) => {
                // First on its connection, as a resume must be.
                self.connect(scene, &mut draw);
                let message = self.text(&Self::dear_resume(scene).to_string());
                frames.push(message);
            }
            _ => {
                for _ in 0..draw.range(1, 4) {
                    let message = self.message(scene, &mut draw, step.key).to_string();
                    scene.trace(format_args!("{} says {}", self.actor, cut(&message)));
                    let message = self.text(&message);
                    frames.push(message);
                }
            }
        }
        let Some(connection) = &mut self.connection else { return };
        if connection.websocket.is_open() {
            frames.iter().for_each(|frame| scene.send(connection.link, frame));
        } else {
            connection.first.append(&mut frames);
        }
    }

    fn connect(&mut self, scene: &mut Scene<'_>, draw: &mut Draw<'_>) {
        if let Some(old) = self.connection.take() {
            scene.hang_up(old.link);
        }
        self.answers_ping = draw.chance(850);
        let token = self.token(scene, draw);
        let host = scene.place(&mut self.draw);
        let link = scene.open(self.actor, host, 9, true);
        let target = if draw.chance(950) { format!("/ws?token={token}") } else { "/ws".to_owned() };
        let key = [7; 16];
        let request = HandshakeRequest { host: "sim", target: &target, key, protocols: &[], headers: &[] };
        let (websocket, bytes) = WebSocket::open(&request);
        scene.send(link, &bytes);
        self.connection = Some(Connection { link, websocket, first: Vec::new() });
        if draw.chance(100) {
            scene.stall(link, None);
            scene.count(Fault::Stall);
        }
    }

    fn token(&mut self, scene: &mut Scene<'_>, draw: &mut Draw<'_>) -> String {
        if let Some(first) = self.first_token.as_ref().filter(|_| draw.chance(300)) {
            return first.clone();
        }
        let wish = Wish {
            user: &self.user,
            grant: Grant::draw(draw),
            key: if draw.chance(950) { scene.signing_key() } else { 1 },
            issued_at: scene.true_now().unix.as_secs(),
            lasts: if draw.chance(200) { 5 } else { 3_600 },
        };
        let token = scene.tokens.sign(&mut scene.model, &wish);
        self.first_token.get_or_insert_with(|| token.clone());
        token
    }

    fn text(&mut self, text: &str) -> Vec<u8> {
        websocket::text(self.draw.mask(), text)
    }

    /// A message that is legal by itself.
    fn message(&mut self, scene: &mut Scene<'_>, draw: &mut Draw<'_>, key: u32) -> Value {
        let id = format!("s{}", draw.below(3));
        let filters = scene.settings.filters;
        match draw.below(10) {
            0..3 => {
                let mut message = json!({"type": "subscribe", "id": id, "events": wishes::patterns(draw)});
                let filter = wishes::filter(draw, filters);
                if !filter.is_null() {
                    message["filter"] = filter;
                }
                if draw.chance(300) {
                    message["recent"] = draw.scaled(1, 200).into();
                }
                message
            }
            3 => json!({"type": "unsubscribe", "id": id}),
            4 | 5 => self.resume(scene, draw),
            6 => json!({"type": "auth", "id": "a", "token": self.token(scene, draw)}),
            7 => {
                let n = u64::from(key) << 10 | draw.below(4);
                let mut event = wishes::event(draw, n, scene.settings);
                if draw.chance(500) {
                    event["id"] = format!("e{}", draw.below(4)).into();
                }
                scene.counts.publishes += 1;
                json!({"type": "publish", "id": "p", "event": event})
            }
            8 => json!({"type": "ping", "id": "x"}),
            _ => json!({"type": "no_such", "id": "y"}),
        }
    }

    /// A resume from the beginning, of so many subscriptions that each look at an event is dear, and which match so
    /// rarely that a poll may find none.
    fn dear_resume(scene: &Scene<'_>) -> Value {
        let one = |number: usize| json!({"id": format!("s{number}"), "from": 0, "events": ["project.status_changed"]});
        let count = scene.settings.config.limits.subscriptions.min(100);
        let subscriptions: Vec<Value> = (0..count).map(one).collect();
        let lanes = json!({"critical": 0, "high": 0, "normal": 0, "low": 0});
        json!({"type": "resume", "id": "r", "subscriptions": subscriptions,
            "since": {"epoch": scene.store.epoch().as_str(), "lanes": lanes}})
    }

    /// A resume from a position that is true, stale, forged or of another log.
    fn resume(&self, scene: &Scene<'_>, draw: &mut Draw<'_>) -> Value {
        let known = if self.positions.is_empty() { None } else { Some(draw.pick(&self.positions).clone()) };
        let mut since = known.unwrap_or_else(|| {
            json!({"epoch": scene.store.epoch().as_str(),
                "lanes": {"critical": 0, "high": 0, "normal": 0, "low": 0}})
        });
        match draw.below(5) {
            0 => since["epoch"] = "another".into(),
            1 => since["lanes"][*draw.pick(&["critical", "low"])] = (1_u64 << 50).into(),
            2 => since["lanes"]["normal"] = draw.below(40).into(),
            _ => {}
        }
        let subscriptions: Vec<Value> = (0..draw.range(0, 3))
            .map(|number| {
                let mut one = json!({"id": format!("s{number}"), "from": draw.below(30),
                    "events": wishes::patterns(draw)});
                let filter = wishes::filter(draw, scene.settings.filters);
                if !filter.is_null() {
                    one["filter"] = filter;
                }
                one
            })
            .collect();
        json!({"type": "resume", "id": "r", "since": since, "subscriptions": subscriptions})
    }

    /// Something that no client may send.
    fn misbehave(&mut self, draw: &mut Draw<'_>) -> Vec<u8> {
        match draw.below(10) {
            0 => self.text("{\"type\":"),
            1 => self.text("[]"),
            2 => self.text(r#"{"type":"subscribe","id":"s1","events":[]}"#),
            3 => self.text(r#"{"type":"subscribe","id":"s1","events":["*"],"filter":{"a":{}}}"#),
            // Binary, unmasked, a reserved opcode, a control frame that is too long, not UTF-8.
            4 => vec![0x82, 0x81, 0, 0, 0, 0, 7],
            5 => vec![0x81, 0x02, b'{', b'}'],
            6 => vec![0x83, 0x80, 1, 2, 3, 4],
            7 => [vec![0x89, 0xfe, 0, 126, 0, 0, 0, 0], vec![0; 126]].concat(),
            8 => vec![0x81, 0x81, 0, 0, 0, 0, 0xff],
            // A declared length beyond everything, and a message in fragments that never ends.
            _ if draw.chance(500) => vec![0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4],
            _ => vec![0x01, 0x81, 0, 0, 0, 0, b'{', 0x00, 0x81, 0, 0, 0, 0, b'"'],
        }
    }

    /// More than is allowed.
    fn flood(&mut self, scene: &mut Scene<'_>, draw: &mut Draw<'_>, frames: &mut Vec<Vec<u8>>) {
        let limits = &scene.settings.config.limits;
        match draw.below(6) {
            0 => {
                let count = limits.messages_burst + limits.rate_faults_per_10s + 5;
                for _ in 0..count.min(300) {
                    let ping = self.text(r#"{"type":"ping"}"#);
                    frames.push(ping);
                }
            }
            1 => {
                for number in 0..(limits.subscriptions + 2).min(200) {
                    let message = json!({"type": "subscribe", "id": format!("f{number}"), "events": ["*"]});
                    let message = self.text(&message.to_string());
                    frames.push(message);
                }
            }
            2 => {
                let long = "x".repeat(limits.message_bytes.min(1 << 17));
                let message = self.text(&json!({"type": "ping", "pad": long}).to_string());
                frames.push(message);
            }
            3 | 4 => {
                // As many and as long answers as can be had, of which it takes none.
                for number in 0..(limits.messages_burst / 2).min(100) {
                    let id = format!("r{number}");
                    let wanted =
                        json!({"type": "subscribe", "id": id, "events": ["*"], "recent": limits.recent});
                    let wanted = self.text(&wanted.to_string());
                    let unwanted = self.text(&json!({"type": "unsubscribe", "id": id}).to_string());
                    frames.extend([wanted, unwanted]);
                }
                if let Some(connection) = self.connection.as_ref().filter(|one| one.websocket.is_open()) {
                    scene.stall(connection.link, None);
                }
            }
            _ => {
                for _ in 0..draw.range(1, 50) {
                    frames.push(websocket::ping(self.draw.mask(), b"ping"));
                }
            }
        }
    }

    pub(crate) fn calm(&mut self, scene: &mut Scene<'_>) {
        if let Some(connection) = self.connection.take() {
            scene.send(connection.link, &websocket::close(self.draw.mask(), 1000));
            scene.hang_up(connection.link);
        }
    }

    pub(crate) fn received(&mut self, scene: &mut Scene<'_>, link: LinkId, bytes: &[u8]) {
        if let Some(connection) = self.connection_of(link) {
            connection.websocket.receive(bytes);
        }
        while let Some(connection) = self.connection_of(link)
            && let Some(heard) = connection.websocket.next(scene.now)
        {
            match heard {
                Heard::Open(_) => {
                    let frames = std::mem::take(&mut connection.first);
                    frames.iter().for_each(|frame| scene.send(link, frame));
                }
                Heard::Refused(error) => {
                    scene.trace(format_args!("{link:?} is refused: {error}"));
                    self.hang_up(scene, link);
                }
                Heard::Message(message) => self.read(scene, link, &message),
                Heard::Illegal(violation) => {
                    scene.violate(Invariant::Legal, format!("{link:?} reads: {violation}"));
                }
            }
        }
    }

    /// The connection at hand, where it is that one.
    fn connection_of(&mut self, link: LinkId) -> Option<&mut Connection> {
        self.connection.as_mut().filter(|connection| connection.link == link)
    }

    fn read(&mut self, scene: &mut Scene<'_>, link: LinkId, message: &Message) {
        match message {
            Message::Text(text) => {
                let Ok(message) = serde_json::from_str::<Value>(text) else {
                    return scene.violate(Invariant::Legal, format!("{link:?} reads no JSON: {text}"));
                };
                scene.trace(format_args!("{link:?} reads {}", cut(text)));
                if message["type"] == "heartbeat" {
                    let epoch = scene.link(link).epoch.as_ref().map_or("", |epoch| epoch.as_str());
                    self.positions.push(json!({"epoch": epoch, "lanes": message["lanes"]}));
                    self.positions.truncate(16);
                }
            }
            Message::Ping(payload) if self.answers_ping => {
                scene.send(link, &websocket::pong(self.draw.mask(), payload));
            }
            Message::Close(_) => {
                // It may not answer, and just stay.
                if self.draw.chance(700) {
                    scene.send(link, &websocket::close(self.draw.mask(), 1000));
                }
                self.hang_up(scene, link);
            }
            _ => {}
        }
    }

    fn hang_up(&mut self, scene: &mut Scene<'_>, link: LinkId) {
        if self.connection.take_if(|connection| connection.link == link).is_some() {
            scene.hang_up(link);
        }
    }

    pub(crate) fn heard(&mut self, scene: &mut Scene<'_>, link: LinkId, word: Word) {
        if word == Word::Ended && self.draw.chance(500) {
            // It may keep its end open for a while.
            return scene.wake_after(self.actor, Duration::from_secs(3));
        }
        self.hang_up(scene, link);
    }

    pub(crate) fn woken(&mut self, scene: &mut Scene<'_>) {
        if let Some(link) = self.link() {
            self.hang_up(scene, link);
        }
    }
}
