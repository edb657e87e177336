//! A hub in memory with its log: what a shell does, without sockets and without waiting. Everything that is drawn
//! comes from fixed seeds, so the same calls cost the same every time.

use std::net::{IpAddr, Ipv4Addr};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use tidings_core::config::{ApiKeyConfig, Config, Secret};
use tidings_core::wire::client::text_into;
use tidings_core::{
    ConnId, Hub, Input, Instant, Listener, Now, Offset, Output, Peer, RequestId, Sequencer, UnixTime,
};

/// The key that tokens are signed with.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A publisher's key.
pub const API_KEY: &str = "bench-bench-bench-bench-bench-bench";
/// When everything happens.
pub const NOW: Now = Now { instant: Instant::from_micros(1), unix: UnixTime::from_secs(1_790_000_000) };
/// What the shell writes at once by default.
const BUDGET: usize = 64 * 1024;
const MASK: [u8; 4] = [7, 1, 9, 4];

/// A hub that is ready, and its log.
#[derive(Debug)]
pub struct Server {
    hub: Hub,
    log: Sequencer,
    /// The upgrade of every connection, with a token that is verified once.
    upgrade: String,
    connections: u32,
    requests: u64,
    pending: Vec<ConnId>,
}

impl Default for Server {
    fn default() -> Self {
        let mut config = Config::default();
        config.auth.jwt_secret = Some(Secret::new(SECRET));
        config.auth.api_keys = vec![ApiKeyConfig::new(Secret::new(API_KEY))];
        (config.limits.connections, config.limits.connections_per_user) = (2_000_000, 1_000_000);
        (config.limits.messages_per_s, config.limits.messages_burst) = (1_000_000, 1_000_000);
        let hub = Hub::new(config, [1; 32], NOW).expect("the configuration has no fault");
        let upgrade = format!(
            "GET /ws?token={} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            token("u1")
        );
        let log = Sequencer::new([2; 32]);
        let mut server = Self { hub, log, upgrade, connections: 0, requests: 0, pending: Vec::new() };
        let epoch = server.log.epoch().clone();
        server.hub.handle(NOW, Input::LogOpened { epoch, begin: Offset::ZERO });
        server.hub.handle(NOW, Input::LogLoaded);
        server
    }
}

impl Server {
    /// A server to which so many are connected; each says `message` and has the answer.
    #[must_use]
    pub fn with(connections: u32, message: impl Fn(u32) -> String) -> Self {
        let mut server = Self::default();
        for number in 0..connections {
            let conn = server.connect();
            server.receive(conn, &said(&message(number)));
            server.write();
        }
        server
    }

    /// A connection that has said nothing yet.
    pub fn accept(&mut self) -> ConnId {
        let conn = ConnId::new(self.connections, 0);
        self.connections += 1;
        let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), listener: Listener::All };
        self.hub.handle(NOW, Input::Accepted { conn, peer });
        conn
    }

    /// A connection that speaks WebSocket and is welcome.
    pub fn connect(&mut self) -> ConnId {
        let conn = self.accept();
        self.hub.handle(NOW, Input::Received { conn, bytes: self.upgrade.as_bytes() });
        self.obey();
        self.write();
        conn
    }

    /// Hands in what a peer sent; the log takes what is published.
    pub fn receive(&mut self, conn: ConnId, bytes: &[u8]) {
        self.hub.handle(NOW, Input::Received { conn, bytes });
        self.obey();
    }

    /// Publishes an event; the log takes it, and nothing is written yet.
    pub fn publish(&mut self, event: &str) {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.hub.handle(NOW, Input::Publish { request, publisher: "bench", event });
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Append { request, record } => {
                    let offset = self.log.next().expect("no log has 2^53 events");
                    self.hub.handle(NOW, Input::Appended { offset, record });
                    self.hub.handle(NOW, Input::AppendResult { request, result: Ok(offset) });
                }
                Output::Transmit(conn) => self.pending.push(conn),
                _ => {}
            }
        }
    }

    /// Writes to everyone who has something to be sent, as sockets that take everything, and says how many bytes.
    pub fn write(&mut self) -> usize {
        let mut written = 0;
        for conn in self.pending.drain(..) {
            while let Some(transmit) = self.hub.poll_transmit(conn, BUDGET) {
                let len = transmit.len();
                written += len;
                if !transmit.commit(len) {
                    break;
                }
            }
        }
        written
    }

    /// The message with which a client resumes that had everything up to the beginning of the log.
    #[must_use]
    pub fn resume(&self) -> String {
        let lanes = json!({"critical": 0, "high": 0, "normal": 0, "low": 0});
        let since = json!({"epoch": self.log.epoch().as_str(), "lanes": lanes});
        let subscriptions = json!([{"id": "s", "from": 0, "events": ["content.*"]}]);
        json!({"type": "resume", "since": since, "subscriptions": subscriptions}).to_string()
    }
}

/// A token of a user who may read everything, as HS256 signs it.
#[must_use]
pub fn token(user: &str) -> String {
    let claims = json!({"sub": user, "exp": 4_102_444_800_u64, "tidings": {"subscribe": ["*"]}});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("HS256 signs with any secret")
}

/// The message with which a client subscribes to everything about content.
#[must_use]
pub fn subscribe() -> String {
    json!({"type": "subscribe", "id": "s", "events": ["content.*"]}).to_string()
}

/// A client's message as it comes over WebSocket.
#[must_use]
pub fn said(message: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    text_into(&mut frame, MASK, message);
    frame
}

/// An event about document `c1`, of so many bytes or a few more.
#[must_use]
pub fn event(number: u64, bytes: usize) -> String {
    let with = |title: &str| {
        let data =
            json!({"contentId": "c1", "title": title, "type": "blog", "deletedAt": "2026-01-31T08:00:00Z"});
        json!({"id": format!("e{number:010}"), "type": "content.deleted", "data": data}).to_string()
    };
    let title = bytes.saturating_sub(with("").len()).max(1);
    with(&"x".repeat(title))
}
