//! A WebSocket client that does what every library does by itself, and nothing more: it answers Ping and
//! Close. What to say and what to make of the answers is the test's.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use tidings_core::Instant;
use tidings_core::wire::Message;
use tidings_core::wire::client::{HandshakeError, HandshakeRequest};

use crate::events;
use crate::socket::Socket;
use crate::websocket::{self, Heard, WebSocket};

const MASK: [u8; 4] = [1, 2, 3, 4];

/// A WebSocket client of a world.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    state: Rc<RefCell<State>>,
}

/// What a client has heard and not yet said.
#[derive(Debug)]
pub(crate) struct State {
    websocket: WebSocket,
    refused: Option<HandshakeError>,
    protocol: Option<String>,
    messages: Vec<Value>,
    pings: usize,
    closed: Option<u16>,
    /// Whether it answers Ping.
    answers: bool,
}

impl Client {
    pub(crate) fn new(socket: Socket, target: &str, protocols: &[&str], headers: &[(&str, &str)]) -> Self {
        let request = HandshakeRequest { host: "sim", target, key: *b"0123456789abcdef", protocols, headers };
        let (websocket, bytes) = WebSocket::open(&request);
        let state = State {
            websocket,
            refused: None,
            protocol: None,
            messages: Vec::new(),
            pings: 0,
            closed: None,
            answers: true,
        };
        let state = Rc::new(RefCell::new(state));
        socket.attach(&state);
        socket.send(&bytes);
        Self { socket, state }
    }

    /// The connection under it.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// From here on it answers no Ping: its connection is silent.
    pub fn fall_silent(&self) {
        self.state.borrow_mut().answers = false;
    }

    // What it says

    /// Sends a message.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "`json!` makes a value, and tests read better without `&`"
    )]
    pub fn send(&self, message: Value) {
        self.send_text(&message.to_string());
    }

    /// Sends a text frame.
    pub fn send_text(&self, text: &str) {
        self.socket.send(&websocket::text(MASK, text));
    }

    /// Sends a Close frame.
    pub fn close(&self, code: u16) {
        self.socket.send(&websocket::close(MASK, code));
    }

    /// Subscribes, and gives the reply; what arrived before it stays to be read.
    pub fn subscribe(&self, id: &str, patterns: &[&str]) -> Value {
        self.ask(json!({"type": "subscribe", "id": id, "events": patterns}))
    }

    /// Sends a message and takes the newest reply out of what has arrived; null where there is none.
    pub fn ask(&self, message: Value) -> Value {
        self.send(message);
        let messages = &mut self.state.borrow_mut().messages;
        let is_reply =
            |message: &Value| !matches!(message["type"].as_str(), Some("event" | "heartbeat" | "gap"));
        let place = messages.iter().rposition(is_reply);
        place.map_or(Value::Null, |place| messages.remove(place))
    }

    // What it has heard

    /// The messages that arrived since the last call.
    #[must_use]
    pub fn read(&self) -> Vec<Value> {
        std::mem::take(&mut self.state.borrow_mut().messages)
    }

    /// The messages of one type that arrived since the last call; all others stay to be read.
    #[must_use]
    pub fn read_type(&self, message_type: &str) -> Vec<Value> {
        self.state.borrow_mut().messages.extract_if(.., |message| message["type"] == message_type).collect()
    }

    /// The numbers of the events that arrived since the last call; all other messages stay to be read.
    #[must_use]
    pub fn events(&self) -> Vec<u64> {
        self.read_type("event").iter().filter_map(|message| events::number(&message["event"])).collect()
    }

    /// The code of the server's Close frame, once it has arrived.
    #[must_use]
    pub fn closed(&self) -> Option<u16> {
        self.state.borrow().closed
    }

    /// Why the handshake came to nothing.
    #[must_use]
    pub fn refused(&self) -> Option<HandshakeError> {
        self.state.borrow().refused.clone()
    }

    /// The subprotocol that the server chose.
    #[must_use]
    pub fn protocol(&self) -> Option<String> {
        self.state.borrow().protocol.clone()
    }

    /// How many Pings have arrived.
    #[must_use]
    pub fn pings(&self) -> usize {
        self.state.borrow().pings
    }
}

impl State {
    /// Reads what has arrived. Gives what every client answers.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        if self.refused.is_some() {
            return answer;
        }
        self.websocket.receive(bytes);
        while let Some(heard) = self.websocket.next(Instant::ZERO) {
            match heard {
                Heard::Open(accepted) => self.protocol = accepted.protocol.map(String::from),
                Heard::Refused(error) => self.refused = Some(error),
                Heard::Message(message) => answer.extend(self.read(message)),
                Heard::Illegal(violation) => unreachable!("the server keeps to RFC 6455: {violation}"),
            }
        }
        answer
    }

    fn read(&mut self, message: Message) -> Vec<u8> {
        assert_eq!(self.closed, None, "nothing follows a Close frame");
        match message {
            Message::Text(text) => {
                self.messages.push(serde_json::from_str(&text).expect("every message is JSON"));
            }
            Message::Ping(payload) => {
                self.pings += 1;
                if self.answers {
                    return websocket::pong(MASK, &payload);
                }
            }
            Message::Close(close) => {
                let code = close.map_or(1005, |close| close.code);
                self.closed = Some(code);
                return websocket::close(MASK, code);
            }
            Message::Binary(_) | Message::Pong(_) => {}
        }
        Vec::new()
    }
}
