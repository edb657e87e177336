//! What a panic in a parser costs: the connection whose bytes were parsed, and nothing else.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::super::*;
use crate::config::Secret;
use crate::input::Listener;
use crate::output::Note;
use crate::time::UnixTime;
use crate::wire::client::{self, Handshake, HandshakeRequest};
use crate::wire::{Message, Reader, Role, WebSocketLimits};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW_S: i64 = 1_790_000_000;

thread_local! {
    /// How many guarded parsers run before one panics.
    static FUSE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Panics where a test has asked for it.
pub(in crate::hub) fn sabotage() {
    match FUSE.get() {
        Some(0) => {
            FUSE.set(None);
            panic!("a test asked for this panic");
        }
        left => FUSE.set(left.map(|left| left - 1)),
    }
}

pub(super) struct Server {
    pub(super) hub: Hub,
    pub(super) now: Now,
    notes: Vec<Note>,
    closed: Vec<ConnId>,
}

impl Server {
    pub(super) fn new() -> Self {
        let now = Now { instant: Instant::ZERO, unix: UnixTime::from_secs(NOW_S) };
        let mut config = Config::default();
        config.auth.jwt_secret = Some(Secret::new(SECRET));
        let mut hub = Hub::new(config, [1; 32], now).unwrap();
        let log = crate::Sequencer::new([2; 32]);
        hub.handle(now, Input::LogOpened { epoch: log.epoch().clone(), begin: log.end() });
        hub.handle(now, Input::LogLoaded);
        Self { hub, now, notes: Vec::new(), closed: Vec::new() }
    }

    pub(super) fn accept(&mut self, slot: u32) -> ConnId {
        let conn = ConnId::new(slot, 1);
        let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), listener: Listener::All };
        self.hub.handle(self.now, Input::Accepted { conn, peer });
        conn
    }

    /// Gives `bytes` to the hub and takes everything that it sends on the connection.
    pub(super) fn exchange(&mut self, conn: ConnId, bytes: &[u8]) -> Vec<u8> {
        self.hub.handle(self.now, Input::Received { conn, bytes });
        let mut sent = Vec::new();
        while let Some(transmit) = self.hub.poll_transmit(conn, 1 << 20) {
            let bytes = transmit.slices().concat();
            transmit.commit(bytes.len());
            sent.extend_from_slice(&bytes);
        }
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Note(note) => self.notes.push(note),
                Output::Close(conn) => self.closed.push(conn),
                _ => {}
            }
        }
        sent
    }

    pub(super) fn websocket(&mut self, slot: u32) -> ConnId {
        let target = format!("/ws?token={}", token(&format!("u{slot}")));
        let request =
            HandshakeRequest { host: "a", target: &target, key: [7; 16], protocols: &[], headers: &[] };
        let mut bytes = Vec::new();
        let mut handshake = Handshake::start(&request, &mut bytes).unwrap();
        let conn = self.accept(slot);
        let answer = self.exchange(conn, &bytes);
        assert!(handshake.receive(&mut answer.as_slice()).unwrap().is_some());
        conn
    }

    /// What a client hears after it has said `text`: messages, and close codes as texts.
    pub(super) fn say(&mut self, conn: ConnId, text: &str) -> Vec<String> {
        let mut bytes = Vec::new();
        client::text_into(&mut bytes, [1, 2, 3, 4], text);
        let answer = self.exchange(conn, &bytes);
        let (mut reader, mut input, mut heard) = (Reader::new(Role::Client), answer.as_slice(), Vec::new());
        while let Some(message) = reader.next(&WebSocketLimits::default(), Instant::ZERO, &mut input).unwrap()
        {
            heard.push(match message {
                Message::Text(text) => text.to_string(),
                Message::Close(close) => close.unwrap().code.to_string(),
                other => panic!("not expected: {other:?}"),
            });
        }
        heard
    }
}

/// A token of `user`, good for a day.
pub(super) fn token(user: &str) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let claims = json!({"sub": user, "exp": NOW_S + 86_400});
    jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap()
}

const PING: &str = r#"{"type":"ping"}"#;
const PONG: &str = r#"{"type":"pong"}"#;

#[test]
fn a_panic_while_a_websocket_message_is_parsed_closes_that_connection_with_1011() {
    // The first guarded parser of a message finds its frames, the second reads its text.
    for fuse in [0, 1] {
        let mut server = Server::new();
        let (unlucky, other) = (server.websocket(0), server.websocket(1));
        assert_eq!(server.say(unlucky, PING), [PONG]);
        server.notes.clear();

        FUSE.set(Some(fuse));
        assert_eq!(server.say(unlucky, PING), ["1011"]);

        assert_eq!(FUSE.get(), None);
        assert_eq!(server.hub.stats().panics, 1);
        assert_eq!(server.notes[0], Note::Panicked);
        assert_eq!(server.say(unlucky, PING), [""; 0], "a closed connection is not answered");
        assert_eq!(server.say(other, PING), [PONG]);
        // The peer's own Close ends it, and its slot is free.
        let mut close = Vec::new();
        client::close_into(&mut close, [1, 2, 3, 4], 1011, "");
        server.exchange(unlucky, &close);
        assert_eq!(server.closed, [unlucky]);
        assert_eq!(server.hub.connections(), 1);
    }
}

#[test]
fn a_panic_while_a_request_is_parsed_is_answered_with_500_and_closes_that_connection() {
    let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    for fuse in [0, 1] {
        let mut server = Server::new();
        let (unlucky, other) = (server.accept(0), server.accept(1));

        FUSE.set(Some(fuse));
        let answer = String::from_utf8(server.exchange(unlucky, request)).unwrap();

        assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("Connection: close"), "{answer}");
        assert_eq!(server.hub.stats().panics, 1);
        assert_eq!(server.exchange(unlucky, request), b"");
        let answer = String::from_utf8(server.exchange(other, request)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
