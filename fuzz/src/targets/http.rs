//! Requests over HTTP, well framed and with good credentials, so that what stands behind them is reached:
//! publishing in all its forms, pages of history, streams, administration.

use serde_json::{Value, json};

use super::shared;
use crate::client::Client;
use crate::http::{Response, request};
use crate::world::World;

/// Panics where the hub does, where a request has no answer or one that is malformed, and where answers
/// contradict each other or what a subscriber receives.
///
/// Requests stand behind each other, ended by a zero byte. Of each the first byte says who sends it; then come
/// a line with method and target, lines with fields up to an empty one, and the body.
pub fn http(bytes: &[u8]) {
    let world = World::with(|config| {
        shared::trust_api_key(config);
        shared::small(config);
        config.limits.lane_queue = 256;
        config.history.events = 1000;
        config.http.body_bytes = 16 * 1024;
    });
    let grant = json!({"subscribe": ["*"]});
    let watcher = world.connect_as(&json!({"sub": "eve", "tidings": grant}));
    let _ = watcher.subscribe("all", &["*"]);
    let mut seen = Seen::default();
    for asked in bytes.split(|byte| *byte == 0).take(16) {
        if let Some(asked) = Asked::read(&world, asked) {
            seen.ask(&world, &asked);
        }
    }
    world.advance(1);
    seen.compare(&watcher);
}

struct Asked {
    is_stream: bool,
    bytes: Vec<u8>,
}

impl Asked {
    fn read(world: &World, bytes: &[u8]) -> Option<Self> {
        let (who, rest) = bytes.split_first()?;
        let (head, body) = match rest.windows(2).position(|pair| pair == b"\n\n") {
            Some(end) => (&rest[..end], &rest[end + 2..]),
            None => (rest, &b""[..]),
        };
        let head = std::str::from_utf8(head).ok()?;
        let mut lines = head.lines();
        let (method, target) = lines.next()?.split_once(' ')?;
        let authorization = shared::credentials(world, *who).map(|text| format!("Bearer {text}"));
        let mut fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
        if let Some(text) = &authorization {
            fields.push(("Authorization", text));
        }
        Some(Self {
            is_stream: target.starts_with("/v1/stream"),
            bytes: request(method, target, &fields, body),
        })
    }
}

/// What answers have said so far.
#[derive(Default)]
struct Seen {
    /// What was published, in order: offset and id.
    published: Vec<(u64, String)>,
    /// Whether an operator may have taken the watcher away.
    disconnected: bool,
}

impl Seen {
    fn ask(&mut self, world: &World, asked: &Asked) {
        let socket = world.open();
        socket.send(&asked.bytes);
        let told = socket.receive();
        if told.is_empty() {
            // A request that is not whole is answered by the end of its time.
            world.advance(60_000);
            assert!(socket.is_closed() || !socket.receive().is_empty(), "a request has an answer or an end");
            return;
        }
        self.disconnected |= asked.bytes.starts_with(b"DELETE");
        let mut left = told.as_slice();
        if asked.is_stream && left.starts_with(b"HTTP/1.1 200") {
            let (response, _) = Response::read_head(left).expect("a stream begins with a head");
            assert_eq!(response.header("content-type"), Some("text/event-stream"));
            socket.reset();
            return;
        }
        while let Some(response) = Response::read(&mut left) {
            self.check(&response);
            if response.status == 200 {
                self.note(&response.json());
            }
        }
        let is_without_body = asked.bytes.starts_with(b"HEAD") || told.starts_with(b"HTTP/1.1 101");
        assert!(left.is_empty() || is_without_body, "{}", String::from_utf8_lossy(left));
    }

    fn check(&self, response: &Response) {
        let status = response.status;
        assert!(status < 500 || matches!(status, 501 | 503 | 505), "status {status}");
        if 400 <= status && !response.body.is_empty() {
            assert_eq!(response.header("content-type"), Some("application/problem+json"));
            assert_eq!(response.json()["status"], status);
        }
        let page = response.json();
        let Some(events) = page["events"].as_array() else { return };
        let offsets: Vec<u64> = events.iter().filter_map(|event| event["offset"].as_u64()).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b), "a page ascends");
        for (offset, event) in offsets.iter().zip(events) {
            let known = self.published.iter().find(|(known, _)| known == offset);
            let (_, id) = known.expect("a page has nothing that was not published");
            assert_eq!(event["event"]["id"], **id);
        }
    }

    /// The results of a publish, where it was one.
    fn note(&mut self, answer: &Value) {
        for result in answer["results"].as_array().into_iter().flatten() {
            let offset = result["offset"].as_u64().expect("a result has an offset");
            let id = result["id"].as_str().expect("a result has an id").to_owned();
            let known = self.published.iter().any(|(known, _)| *known == offset);
            assert_eq!(result["duplicate"], known, "a repeat, and nothing else, has an offset that is known");
            if !known {
                assert!(self.published.last().is_none_or(|(last, _)| *last < offset), "offsets ascend");
                self.published.push((offset, id));
            }
        }
    }

    /// The watcher has received what was published, each once and in the order of its lane.
    fn compare(&self, watcher: &Client) {
        if self.disconnected {
            return;
        }
        let mut received: Vec<(u64, String)> = Vec::new();
        let mut last = std::collections::BTreeMap::new();
        for message in watcher.read_type("event") {
            let offset = message["offset"].as_u64().expect("an event has an offset");
            let lane = message["lane"].as_str().expect("an event has a lane").to_owned();
            assert!(last.insert(lane, offset).is_none_or(|last| last < offset), "a lane keeps its order");
            received.push((offset, message["event"]["id"].as_str().unwrap_or_default().to_owned()));
        }
        received.sort();
        assert_eq!(received, self.published, "left: received, right: published");
    }
}
