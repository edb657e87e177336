//! Bytes into a connection: HTTP, WebSocket or neither, as they say. However they are split on their way, the
//! hub says the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::shared::{self, Sizes};
use crate::http::request;
use crate::log::LogMode;
use crate::world::World;

/// What the bytes behind the header are.
#[derive(Clone, Copy)]
enum Form {
    /// Everything that the peer sends.
    Raw,
    /// What follows an upgrade.
    Frames,
    /// Text messages after an upgrade, a line each.
    Messages,
}

/// Panics where the hub does, where it does not come to rest, where it holds the connection for ever, and where
/// it says something else because the bytes were split.
///
/// The first byte says what the others are and how large the hub's bounds are; the second how they are split.
/// The mask of a frame may be zero, so that its payload stays text.
pub fn connection(bytes: &[u8]) {
    let [kind, split, rest @ ..] = bytes else { return };
    let form = [Form::Raw, Form::Frames, Form::Messages][usize::from(kind % 3)];
    let is_small = kind % 2 == 0;
    let whole = told(form, is_small, rest, None);
    let split = told(form, is_small, rest, Some(*split));
    for (whole, split) in whole.iter().zip(&split) {
        let (whole, split) = (Told::read(whole), Told::read(split));
        assert!(whole.agrees(&split), "at once: {whole:#?}\nin pieces: {split:#?}");
    }
}

/// What was told to one peer. Replies have their order, and so have events of a lane; which of them comes first
/// is decided when the socket takes bytes, and what it has not taken when the connection ends is not sent.
#[derive(Debug)]
struct Told {
    replies: Vec<String>,
    lanes: BTreeMap<String, Vec<String>>,
}

impl Told {
    fn read(told: &[u8]) -> Self {
        let switched = b"HTTP/1.1 101";
        let upgrade = told.windows(switched.len()).position(|window| window == switched);
        let end = |at: usize| Some(at + 4 + told[at..].windows(4).position(|end| end == b"\r\n\r\n")?);
        let (head, mut left) = told.split_at(upgrade.and_then(end).unwrap_or(told.len()));
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string().replace("\\\"", "\"");
        let mut read = Self { replies: vec![text(head)], lanes: BTreeMap::new() };
        while !left.is_empty() {
            let (frame, rest) = left.split_at(frame_len(left).min(left.len()));
            left = rest;
            let frame = text(frame);
            let event = frame.split_once(r#"{"type":"event","offset":"#).map(|(_, event)| event);
            match event.and_then(|event| event.split('"').nth(3)) {
                Some(lane) => read.lanes.entry(lane.to_owned()).or_default().push(frame),
                None => read.replies.push(frame),
            }
        }
        read
    }

    /// Whether the other was told the same, or in a lane as much of it as was sent before the end.
    fn agrees(&self, other: &Self) -> bool {
        let is_closed = self.replies.last().is_some_and(|last| last.starts_with("\\x88"));
        let is_begun =
            |mine: &[String], theirs: &[String]| mine.starts_with(theirs) || theirs.starts_with(mine);
        let of = |told: &Self, lane| told.lanes.get(lane).cloned().unwrap_or_default();
        let mut lanes = self.lanes.keys().chain(other.lanes.keys());
        self.replies == other.replies
            && lanes.all(|lane| {
                let (mine, theirs) = (of(self, lane), of(other, lane));
                mine == theirs || is_closed && is_begun(&mine, &theirs)
            })
    }
}

/// The length of the first frame of a server.
fn frame_len(bytes: &[u8]) -> usize {
    let of = |bytes: &[u8]| bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
    match bytes {
        [_, 126, long @ ..] if 2 <= long.len() => 4 + of(&long[..2]),
        [_, 127, long @ ..] if 8 <= long.len() => 10 + of(&long[..8]),
        [_, len, ..] => 2 + usize::from(*len),
        _ => 1,
    }
}

/// Everything that the hub says to the peer and to a subscriber that watches.
fn told(form: Form, is_small: bool, bytes: &[u8], split: Option<u8>) -> [Vec<u8>; 2] {
    let world = World::with(|config| {
        shared::trust_api_key(config);
        if is_small {
            shared::small(config);
        }
    });
    let watcher = world.connect("eve");
    let _ = watcher.subscribe("all", &["*"]);
    // Nothing is in the log before all bytes are there: how many come at once must not decide which event is
    // older than which subscription.
    world.set_log(LogMode::Takes(Duration::from_millis(1)));
    let socket = world.open();
    let bytes = [opening(&world, form).as_slice(), &framed(form, bytes)].concat();
    if let Some(byte) = split {
        let (mut sizes, mut left) = (Sizes::new(byte), bytes.as_slice());
        socket.limit_writes(sizes.next());
        while !left.is_empty() {
            let (piece, rest) = left.split_at(sizes.next().min(left.len()));
            socket.send(piece);
            left = rest;
        }
    } else {
        socket.send(&bytes);
    }
    world.advance(1_000);
    socket.end();
    // Longer than every deadline of a connection.
    world.advance(130_000);
    assert!(socket.is_closed() || is_stream(&socket.transcript()), "a peer that is silent is left");
    [socket.transcript(), watcher.socket().transcript()]
}

/// Whether the peer reads a stream, which needs no sign of life from it.
fn is_stream(told: &[u8]) -> bool {
    let kind = b"text/event-stream";
    told.windows(kind.len()).any(|window| window == kind)
}

/// What comes before the bytes.
fn opening(world: &World, form: Form) -> Vec<u8> {
    if matches!(form, Form::Raw) {
        return Vec::new();
    }
    let grant = json!({"subscribe": ["*"], "publish": ["*"], "maxPriority": "critical"});
    let token = world.token(&json!({"sub": "ann", "tidings": grant}));
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    request("GET", &format!("/ws?token={token}"), &fields, b"")
}

fn framed(form: Form, bytes: &[u8]) -> Vec<u8> {
    if !matches!(form, Form::Messages) {
        return bytes.to_vec();
    }
    bytes.split(|byte| *byte == b'\n').flat_map(frame).collect()
}

/// A text frame of a client whose mask is zero.
fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(len @ ..126) => frame.push(0x80 | len.to_be_bytes()[1]),
        Ok(len) => {
            frame.push(0x80 | 126);
            frame.extend(len.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text);
    frame
}
