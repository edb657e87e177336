//! `tidings tail` through the binary, against a server of a few lines on the core's wire layer.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tidings_core::time::Instant;
use tidings_core::wire::http::{HttpLimits, Progress, RequestReader};
use tidings_core::wire::{Frame, Message, Reader, Role, Upgrade, WebSocketLimits, close_into};

/// The server's end of one connection.
struct Peer {
    stream: TcpStream,
    reader: Reader,
    unread: Vec<u8>,
    authorization: String,
}

impl Peer {
    /// Accepts and upgrades.
    fn accept(listener: &TcpListener) -> Self {
        let mut stream = listener.accept().unwrap().0;
        let mut reader = RequestReader::new(HttpLimits::default());
        let mut bytes = [0; 4096];
        loop {
            let read = stream.read(&mut bytes).unwrap();
            assert_ne!(read, 0, "the client closed before it had asked");
            let mut input = &bytes[..read];
            let Ok(Progress::Head(head)) = reader.receive(&mut input) else { continue };
            let authorization = head.headers().get("authorization").unwrap().to_owned();
            let mut answer = Vec::new();
            Upgrade::parse(&head).unwrap().unwrap().accept(Some("tidings.v1"), &mut answer);
            stream.write_all(&answer).unwrap();
            return Self { stream, reader: Reader::new(Role::Server), unread: input.to_vec(), authorization };
        }
    }

    fn welcome(&mut self) {
        self.send(&json!({
            "type": "welcome", "protocol": 1, "connection": "c_1", "user": "u", "epoch": "e1", "offset": 10,
            "heartbeat": {"interval": 30000, "timeout": 60000},
        }));
    }

    fn send(&mut self, message: &Value) {
        self.stream.write_all(Frame::text(&message.to_string()).bytes()).unwrap();
    }

    fn event(&mut self, offset: u64) {
        let event = json!({"id": offset.to_string(), "type": "user.login", "data": {"userId": "u"}});
        self.send(&json!({"type": "event", "offset": offset, "lane": "normal", "event": event}));
    }

    /// The next message of type `kind`.
    fn receive(&mut self, kind: &str) -> Value {
        loop {
            let mut input = self.unread.as_slice();
            let message = self.reader.next(&WebSocketLimits::default(), Instant::ZERO, &mut input).unwrap();
            self.unread = input.to_vec();
            match message {
                Some(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["type"] == kind {
                        return message;
                    }
                }
                Some(_) => {}
                None => {
                    let mut bytes = [0; 4096];
                    let read = self.stream.read(&mut bytes).unwrap();
                    assert_ne!(read, 0, "the client closed before it sent {kind}");
                    self.unread.extend_from_slice(&bytes[..read]);
                }
            }
        }
    }

    fn close(mut self, code: u16) {
        let mut frame = Vec::new();
        close_into(&mut frame, code, "");
        self.stream.write_all(&frame).unwrap();
    }
}

fn tail(listener: &TcpListener, words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tidings"))
        .arg("tail")
        .args(words)
        .env("TIDINGS_URL", format!("http://{}", listener.local_addr().unwrap()))
        .env("TIDINGS_TOKEN", "the-token")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn subscribed(peer: &mut Peer) -> Value {
    let asked = peer.receive("subscribe");
    peer.send(&json!({"type": "subscribed", "id": asked["id"], "offset": 10}));
    asked
}

#[test]
fn it_follows_resumes_after_a_break_and_ends_after_the_count() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let child = tail(&listener, &["user.*", "--filter", r#"{"userId":"u"}"#, "--count", "3"]);

    let mut peer = Peer::accept(&listener);
    assert_eq!(peer.authorization, "Bearer the-token");
    peer.welcome();
    let asked = subscribed(&mut peer);
    assert_eq!((&asked["events"], &asked["filter"]), (&json!(["user.*"]), &json!({"userId": "u"})));
    peer.event(11);
    peer.event(12);
    peer.close(1012);

    let mut peer = Peer::accept(&listener);
    peer.welcome();
    let resume = peer.receive("resume");
    assert_eq!(resume["since"]["lanes"]["normal"], 12);
    let id = &resume["subscriptions"][0]["id"];
    let lanes = json!({"critical": 10, "high": 10, "normal": 12, "low": 10});
    peer.send(&json!({
        "type": "resumed", "id": resume["id"], "recovered": true, "position": {"epoch": "e1", "lanes": lanes},
        "subscriptions": [{"id": id, "offset": 10}],
    }));
    peer.event(13);

    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let offsets: Vec<u64> = BufReader::new(output.stdout.as_slice())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()["offset"].as_u64().unwrap())
        .collect();
    assert_eq!(offsets, [11, 12, 13]);
}

#[test]
fn it_shows_recent_events_and_gaps() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let child = tail(&listener, &["--recent", "5", "--count", "2"]);
    let mut peer = Peer::accept(&listener);
    peer.welcome();
    let asked = peer.receive("subscribe");
    assert_eq!((&asked["events"], &asked["recent"]), (&json!(["*"]), &json!(5)));
    let recent = json!([{"offset": 9, "event": {"type": "system.error", "data": {}}}]);
    peer.send(&json!({"type": "subscribed", "id": asked["id"], "offset": 10, "recent": recent}));
    peer.send(&json!({"type": "gap", "lane": "low", "after": 10, "until": 15, "reason": "expired"}));
    peer.event(16);
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["offset"], &lines[0]["lane"]), (&json!(9), &json!("critical")));
    assert_eq!(
        lines[1],
        json!({"type": "gap", "lane": "low", "after": 10, "until": 15, "reason": "expired"})
    );
    assert_eq!(lines[2]["offset"], 16);
}

#[test]
fn a_refused_token_ends_it_with_3() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let child = tail(&listener, &[]);
    Peer::accept(&listener).close(4401);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("4401"));
}

#[test]
fn a_forbidden_subscription_ends_it_with_3() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let child = tail(&listener, &["user.*"]);
    let mut peer = Peer::accept(&listener);
    peer.welcome();
    let asked = peer.receive("subscribe");
    peer.send(&json!({"type": "error", "id": asked["id"], "code": "forbidden", "message": "not yours"}));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("forbidden: not yours"));
}

#[test]
fn without_a_token_it_says_what_to_set() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    let output = command.arg("tail").env_remove("TIDINGS_TOKEN").env_remove("TIDINGS_URL").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("TIDINGS_TOKEN"));
}
