//! A reader of Server-Sent Events (WHATWG HTML §9.2) over chunked HTTP.

use std::cell::{RefCell, RefMut};

use serde_json::Value;

use crate::events;
use crate::http::{Response, request};
use crate::socket::Socket;

/// One block of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The position behind it.
    pub id: String,
    /// `event`, where it has one.
    pub event: Option<String>,
    /// `data` as JSON; null where it has none.
    pub data: Value,
}

/// The blocks of a stream out of bytes as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    input: Vec<u8>,
    status: Option<u16>,
    text: Vec<u8>,
    ended: bool,
}

impl Blocks {
    /// Bytes have arrived; [`next`](Self::next) reads them.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        if self.status.is_none() {
            let Some((head, rest)) = Response::read_head(&self.input) else { return };
            self.status = Some(head.status);
            self.input = rest.to_vec();
        }
        while let Some((len, text)) = chunk(&self.input) {
            self.ended |= text.is_empty();
            self.input.drain(..len);
            self.text.extend(text);
        }
    }

    /// The status of the response, once its head has arrived.
    pub(crate) const fn status(&self) -> Option<u16> {
        self.status
    }

    /// Whether the server has ended the stream.
    pub(crate) const fn is_ended(&self) -> bool {
        self.ended
    }

    /// The next block; none until all of it has arrived.
    pub(crate) fn next(&mut self) -> Option<Block> {
        let end = self.text.windows(2).position(|window| window == b"\n\n")?;
        let text: Vec<u8> = self.text.drain(..end + 2).collect();
        Some(parse(&String::from_utf8_lossy(&text)))
    }
}

/// A client of `GET /v1/stream`.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    blocks: RefCell<Blocks>,
    last_id: RefCell<Option<String>>,
}

impl Stream {
    pub(crate) fn new(socket: Socket, token: &str, query: &str, last_event_id: Option<&str>) -> Self {
        let authorization = format!("Bearer {token}");
        let mut headers = vec![("Authorization", &*authorization)];
        headers.extend(last_event_id.map(|id| ("Last-Event-ID", id)));
        socket.send(&request("GET", &format!("/v1/stream?{query}"), &headers, b""));
        Self { socket, blocks: RefCell::default(), last_id: RefCell::default() }
    }

    /// The connection under it.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The status of the response, once its head has arrived.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.fed().status()
    }

    /// The blocks that arrived since the last call.
    #[must_use]
    pub fn read(&self) -> Vec<Block> {
        let mut blocks = self.fed();
        let read: Vec<Block> = std::iter::from_fn(|| blocks.next()).collect();
        if let Some(last) = read.last() {
            *self.last_id.borrow_mut() = Some(last.id.clone());
        }
        read
    }

    /// The numbers of the events that arrived since the last call.
    #[must_use]
    pub fn events(&self) -> Vec<u64> {
        self.read().iter().filter_map(|block| events::number(&block.data["event"])).collect()
    }

    /// The id of the last block that was read.
    #[must_use]
    pub fn last_id(&self) -> Option<String> {
        self.last_id.borrow().clone()
    }

    /// Whether the server has ended the stream.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.fed().is_ended()
    }

    /// The blocks, with what has arrived.
    fn fed(&self) -> RefMut<'_, Blocks> {
        let mut blocks = self.blocks.borrow_mut();
        blocks.receive(&self.socket.receive());
        blocks
    }
}

/// A whole chunk at the front of `input`: its bytes in all, and what it carries.
fn chunk(input: &[u8]) -> Option<(usize, Vec<u8>)> {
    let line = input.windows(2).position(|window| window == b"\r\n")?;
    let len = usize::from_str_radix(std::str::from_utf8(&input[..line]).ok()?, 16).ok()?;
    let text = input.get(line + 2..line + 2 + len)?;
    input.get(line + 2 + len..line + 4 + len)?;
    Some((line + 4 + len, text.to_vec()))
}

fn parse(text: &str) -> Block {
    let mut block = Block { id: String::new(), event: None, data: Value::Null };
    let mut data = Vec::new();
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("id", value)) => block.id = value.to_owned(),
            Some(("event", value)) => block.event = Some(value.to_owned()),
            Some(("data", value)) => data.push(value),
            _ => {}
        }
    }
    block.data = serde_json::from_str(&data.join("\n")).unwrap_or(Value::Null);
    block
}
