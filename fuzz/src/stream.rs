//! A reader of Server-Sent Events (WHATWG HTML §9.2) over chunked HTTP.

use std::cell::RefCell;

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

/// A client of `GET /v1/stream`.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    input: Vec<u8>,
    head: Option<Response>,
    text: Vec<u8>,
    last_id: Option<String>,
    ended: bool,
}

impl Stream {
    pub(crate) fn new(socket: Socket, token: &str, query: &str, last_event_id: Option<&str>) -> Self {
        let authorization = format!("Bearer {token}");
        let mut headers = vec![("Authorization", &*authorization)];
        headers.extend(last_event_id.map(|id| ("Last-Event-ID", id)));
        socket.send(&request("GET", &format!("/v1/stream?{query}"), &headers, b""));
        Self { socket, state: RefCell::default() }
    }

    /// The connection under it.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The status of the response, once its head has arrived.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.feed();
        self.state.borrow().head.as_ref().map(|head| head.status)
    }

    /// The blocks that arrived since the last call.
    #[must_use]
    pub fn read(&self) -> Vec<Block> {
        self.feed();
        let mut state = self.state.borrow_mut();
        let mut blocks = Vec::new();
        while let Some(end) = state.text.windows(2).position(|window| window == b"\n\n") {
            let text: Vec<u8> = state.text.drain(..end + 2).collect();
            let block = parse(&String::from_utf8_lossy(&text));
            state.last_id = Some(block.id.clone());
            blocks.push(block);
        }
        blocks
    }

    /// The numbers of the events that arrived since the last call.
    #[must_use]
    pub fn events(&self) -> Vec<u64> {
        self.read().iter().filter_map(|block| events::number(&block.data["event"])).collect()
    }

    /// The id of the last block that was read.
    #[must_use]
    pub fn last_id(&self) -> Option<String> {
        self.state.borrow().last_id.clone()
    }

    /// Whether the server has ended the stream.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.feed();
        self.state.borrow().ended
    }

    fn feed(&self) {
        let mut state = self.state.borrow_mut();
        state.input.extend(self.socket.receive());
        if state.head.is_none() {
            let Some((head, rest)) = Response::read_head(&state.input) else { return };
            let rest = rest.to_vec();
            (state.head, state.input) = (Some(head), rest);
        }
        while let Some((len, text)) = chunk(&state.input) {
            state.ended |= text.is_empty();
            state.input.drain(..len);
            state.text.extend(text);
        }
    }
}

/// A whole chunk at the front of `input`: its bytes in all, and what it carries.
pub(crate) fn chunk(input: &[u8]) -> Option<(usize, Vec<u8>)> {
    let line = input.windows(2).position(|window| window == b"\r\n")?;
    let len = usize::from_str_radix(std::str::from_utf8(&input[..line]).ok()?, 16).ok()?;
    let text = input.get(line + 2..line + 2 + len)?;
    input.get(line + 2 + len..line + 4 + len)?;
    Some((line + 4 + len, text.to_vec()))
}

pub(crate) fn parse(text: &str) -> Block {
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
