//! The loop on a thread of this process, where what no peer can cause can be caused: a fault in the hub, and
//! keys that change from one moment to the next.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tidings_core::wire::client::{self, Handshake, HandshakeRequest};
use tidings_core::wire::{Message, Reader, Role, WebSocketLimits};

use super::event_loop::{Calls, EventLoop, Teller, Word};
use super::keys::{KeysError, Published};
use super::signals::Asked;
use super::{bind, listeners};
use crate::settings::{Settings, Sources, load};

const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ED25519: &str = include_str!("../../../core/tests/fixtures/keys/ed25519.pem");
const P256: &str = include_str!("../../../core/tests/fixtures/keys/p256.pem");

/// A loop on a thread, ended when it is dropped.
struct Running {
    address: SocketAddr,
    teller: Teller,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(settings_of(settings)).unwrap()
    }

    fn start_with(settings: Settings) -> Result<Self, KeysError> {
        let listeners: Vec<listeners::Listener> = bind(&settings).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let mut published = Published::of(&settings)?;
        let keys = published.as_mut().map(Published::first).transpose()?;
        let mut event_loop = EventLoop::new(settings, keys, listeners).unwrap();
        let teller = event_loop.teller();
        if let Some(published) = published {
            published.refresh(teller.clone()).unwrap();
        }
        let thread = thread::spawn(move || event_loop.run().unwrap());
        Ok(Self { address, teller, thread: Some(thread) })
    }

    fn sabotage(&self) {
        assert!(self.teller.tell(Word::Sabotage));
    }

    fn calls(&self) -> Calls {
        let (answer, calls) = channel();
        assert!(self.teller.tell(Word::Count(answer)));
        calls.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits until the loop has ended by itself.
    fn wait(&mut self) {
        self.thread.take().unwrap().join().unwrap();
    }

    fn request(&self, line: &str, fields: &str, body: &str) -> String {
        let mut stream = connect(self.address);
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The value of a metric without labels.
    fn metric(&self, name: &str) -> u64 {
        let text = self.request("GET /metrics", "", "");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.teller.tell(Word::Asked(Asked::End));
            self.teller.tell(Word::Asked(Asked::End));
            let _ = thread.join();
        }
    }
}

fn settings_of(settings: &[(&str, &str)]) -> Settings {
    let mut sources = Sources::default();
    for (name, value) in [("listen", "127.0.0.1:0")].iter().chain(settings) {
        sources.flag("--set", name, Some(value));
    }
    load(&sources).unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A WebSocket client.
struct Client {
    stream: TcpStream,
    reader: Reader,
    unread: Vec<u8>,
}

impl Client {
    /// A client with this token, and its first message or close code.
    fn connect(address: SocketAddr, token: &str) -> (Self, Result<Value, u16>) {
        let mut stream = connect(address);
        let (host, target) = (address.to_string(), format!("/ws?token={token}"));
        let request =
            HandshakeRequest { host: &host, target: &target, key: [7; 16], protocols: &[], headers: &[] };
        let mut bytes = Vec::new();
        let mut handshake = Handshake::start(&request, &mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut unread = Vec::new();
        let mut client = loop {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap();
            let mut input = &bytes[..read];
            if handshake.receive(&mut input).unwrap().is_some() {
                unread.extend_from_slice(input);
                break Self { stream, reader: Reader::new(Role::Client), unread };
            }
        };
        let first = client.hear();
        (client, first)
    }

    /// The next message that is no heartbeat, or the code with which the connection is closed.
    fn hear(&mut self) -> Result<Value, u16> {
        loop {
            let mut input = self.unread.as_slice();
            let message =
                self.reader.next(&WebSocketLimits::default(), tidings_core::Instant::ZERO, &mut input);
            self.unread = input.to_vec();
            match message.unwrap() {
                Some(Message::Text(text)) if text.contains("heartbeat\",") => {}
                Some(Message::Text(text)) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Message::Close(close)) => return Err(close.unwrap().code),
                Some(_) => {}
                None => {
                    let mut bytes = [0; 4096];
                    let read = self.stream.read(&mut bytes).unwrap();
                    assert_ne!(read, 0, "an end without a Close frame");
                    self.unread.extend_from_slice(&bytes[..read]);
                }
            }
        }
    }

    fn say(&mut self, message: &Value) {
        let mut bytes = Vec::new();
        client::text_into(&mut bytes, [1, 2, 3, 4], &message.to_string());
        self.stream.write_all(&bytes).unwrap();
    }
}

fn claims(user: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({"sub": user, "exp": now + 3600})
}

fn token(user: &str) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims(user), &key).unwrap()
}

const KEYS: &[(&str, &str)] =
    &[("auth.jwt_secret", SECRET), ("auth.api_keys", "[\"the-key-of-the-back-end\"]")];

#[test]
fn the_events_of_one_turn_reach_each_connection_in_one_write() {
    // Given subscribers that are caught up.
    const SUBSCRIBERS: u64 = 20;
    const EVENTS: u64 = 50;
    let running = Running::start(KEYS);
    let mut subscribers: Vec<Client> = (0..SUBSCRIBERS)
        .map(|number| {
            let (mut client, _) = Client::connect(running.address, &token(&format!("u{number}")));
            client.say(&json!({"type": "subscribe", "id": "s", "events": ["content.*"]}));
            assert_eq!(client.hear().unwrap()["type"], "subscribed");
            client
        })
        .collect();
    let before = running.calls();
    // When many events arrive at once.
    let data = json!({"contentId": "c", "title": "t", "type": "blog", "deletedAt": "2026-01-31T08:00:00Z"});
    let batch = vec![json!({"type": "content.deleted", "data": data}); usize::try_from(EVENTS).unwrap()];
    let key = "Authorization: Bearer the-key-of-the-back-end\r\nContent-Type: application/json\r\n";
    let answer = running.request("POST /v1/events", key, &Value::from(batch).to_string());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for subscriber in &mut subscribers {
        (0..EVENTS).for_each(|_| assert_eq!(subscriber.hear().unwrap()["type"], "event"));
    }
    // Then each has cost one write, and nothing of theirs was read: the rest is the publisher's.
    let after = running.calls();
    assert_eq!(after.writes - before.writes, SUBSCRIBERS + 1);
    assert!(after.reads - before.reads <= 4, "{} reads", after.reads - before.reads);
}

#[test]
fn a_panic_in_the_hub_closes_its_connections_with_1011_and_a_new_hub_serves() {
    let running = Running::start(KEYS);
    let (mut live, first) = Client::connect(running.address, &token("u1"));
    let epoch = first.unwrap()["epoch"].clone();
    live.say(&json!({"type": "subscribe", "id": "s", "events": ["*"]}));
    assert_eq!(live.hear().unwrap()["type"], "subscribed");
    let (mut other, _) = Client::connect(running.address, &token("u2"));
    // One that has said nothing yet, and one in the middle of its request.
    let mut silent = connect(running.address);
    let mut midway = connect(running.address);
    midway.write_all(b"GET /healthz HT").unwrap();
    assert_eq!(running.metric("tidings_hubs_given_up_total"), 0);

    running.sabotage();

    assert_eq!(live.hear(), Err(1011));
    assert_eq!(other.hear(), Err(1011));
    for stream in [&mut silent, &mut midway] {
        assert!(matches!(stream.read(&mut [0; 64]), Ok(0)));
    }
    let (mut next, first) = Client::connect(running.address, &token("u1"));
    assert_ne!(first.unwrap()["epoch"], epoch);
    next.say(&json!({"type": "subscribe", "id": "s", "events": ["*"]}));
    assert_eq!(next.hear().unwrap()["type"], "subscribed");
    let event = r#"{"type":"user.login","data":{"userId":"u1","timestamp":"2026-01-31T08:00:00Z"}}"#;
    let answer =
        running.request("POST /v1/events", "Authorization: Bearer the-key-of-the-back-end\r\n", event);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(next.hear().unwrap()["event"]["data"]["userId"], "u1");

    assert_eq!(running.metric("tidings_hubs_given_up_total"), 1);
    running.sabotage();
    assert_eq!(next.hear(), Err(1011));
    assert_eq!(running.metric("tidings_hubs_given_up_total"), 2);
}

#[test]
fn a_panic_while_the_server_leaves_ends_it() {
    let mut running = Running::start(KEYS);
    let (mut live, _) = Client::connect(running.address, &token("u1"));
    running.teller.tell(Word::Asked(Asked::Leave));
    assert_eq!(live.hear().unwrap()["type"], "reconnect");
    running.sabotage();
    assert_eq!(live.hear(), Err(1011));
    running.wait();
}

/// Where keys are published: each request is answered by what the test says next.
struct Login {
    url: String,
    answers: Sender<String>,
    asked: Receiver<()>,
}

impl Login {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let (answers, next) = channel::<String>();
        let (asks, asked) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = asks.send(());
                let Ok(answer) = next.recv() else { return };
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, answers, asked }
    }

    fn answer(&self, status: &str, body: &str) {
        let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{body}");
        self.answers.send(answer).unwrap();
    }

    fn publish(&self, key: &Signing) {
        self.answer("200 OK", &json!({"keys": [key.public]}).to_string());
    }

    /// Waits until the keys are asked for once more: what was answered before is then in force.
    fn asked(&self) {
        self.asked.recv_timeout(PATIENCE).unwrap();
    }
}

/// A key that signs, and the one that is published for it.
struct Signing {
    kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    public: Value,
}

impl Signing {
    fn new(kid: &'static str, algorithm: Algorithm, key: EncodingKey) -> Self {
        let mut public = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
        public["kid"] = kid.into();
        Self { kid, algorithm, key, public }
    }

    fn token(&self, user: &str) -> String {
        let header = Header { kid: Some(self.kid.to_owned()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, &claims(user), &self.key).unwrap()
    }
}

fn old_and_new() -> (Signing, Signing) {
    let old = EncodingKey::from_ed_pem(ED25519.as_bytes()).unwrap();
    let new = EncodingKey::from_ec_pem(P256.as_bytes()).unwrap();
    (Signing::new("old", Algorithm::EdDSA, old), Signing::new("new", Algorithm::ES256, new))
}

/// Settings in which the next fetch follows the last at once, as fast as the login answers.
fn settings_with(login: &Login, settings: &[(&str, &str)]) -> Settings {
    let all = [settings, &[("auth.jwks_url", login.url.as_str())]].concat();
    let mut settings = settings_of(&all);
    settings.server.auth.jwks_refresh_s = 0;
    settings
}

fn is_welcome(running: &Running, token: &str) -> bool {
    match Client::connect(running.address, token).1 {
        Ok(first) => first["type"] == "welcome",
        Err(code) => {
            assert_eq!(code, 4401);
            false
        }
    }
}

#[test]
fn a_published_key_that_is_replaced_ends_its_tokens_and_those_of_the_new_one_are_good() {
    let (login, (old, new)) = (Login::start(), old_and_new());
    login.publish(&old);
    let running = Running::start_with(settings_with(&login, &[("auth.jwt_secret", SECRET)])).unwrap();
    let (mut live, first) = Client::connect(running.address, &old.token("u1"));
    assert_eq!(first.unwrap()["type"], "welcome");
    let (mut by_secret, _) = Client::connect(running.address, &token("u2"));
    assert!(!is_welcome(&running, &new.token("u3")));

    // A login that fails, or talks nonsense, changes nothing.
    login.asked();
    for nonsense in ["", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#] {
        login.asked();
        login.answer("200 OK", nonsense);
    }
    login.asked();
    login.answer("500 Internal Server Error", &json!({"keys": [new.public]}).to_string());
    login.asked();
    assert!(is_welcome(&running, &old.token("u3")));

    login.publish(&new);
    assert_eq!(live.hear(), Err(4401));
    assert!(is_welcome(&running, &new.token("u1")));
    assert!(!is_welcome(&running, &old.token("u1")));
    assert!(is_welcome(&running, &token("u1")));

    // Keys that were fetched outlive the hub that had them.
    running.sabotage();
    assert_eq!(by_secret.hear(), Err(1011));
    assert!(is_welcome(&running, &new.token("u1")));
}

#[test]
fn without_published_keys_a_server_begins_only_if_it_has_others() {
    let login = Login::start();
    for _ in 0..3 {
        login.answer("404 Not Found", "");
    }
    let refused = Running::start_with(settings_with(&login, &[])).err().unwrap();
    assert_eq!(refused.to_string(), format!("auth.jwks_url {}: the answer has status 404", login.url));

    let (login, (old, _)) = (Login::start(), old_and_new());
    login.answer("404 Not Found", "");
    let running = Running::start_with(settings_with(&login, &[("auth.jwt_secret", SECRET)])).unwrap();
    assert!(is_welcome(&running, &token("u1")));
    assert!(!is_welcome(&running, &old.token("u1")));
    login.publish(&old);
    let begin = Instant::now();
    while !is_welcome(&running, &old.token("u1")) {
        assert!(begin.elapsed() < PATIENCE);
    }
}
