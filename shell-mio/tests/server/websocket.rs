//! A WebSocket client on the wire layer's client side: as little as the tests need, on a blocking socket.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use tidings_core::Instant;
use tidings_core::wire::client::{self, Handshake, HandshakeRequest};
use tidings_core::wire::{Message, Reader, Role, WebSocketLimits};

use crate::harness::{PATIENCE, Server, token};

const MASK: [u8; 4] = [1, 2, 3, 4];

/// What a client hears.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Json(Value),
    /// A Ping or a heartbeat, which may come at any moment.
    SignOfLife,
    Close(u16),
    /// The end of the connection, without a Close frame or after it.
    End,
}

/// A client that is connected, or about to be.
pub(crate) struct WebSocket {
    stream: TcpStream,
    handshake: Option<Handshake>,
    reader: Reader,
    heard: VecDeque<Heard>,
}

impl WebSocket {
    /// Connects, says hello and waits for the welcome.
    pub(crate) fn connect(server: &Server, user: &str) -> Self {
        let mut client = Self::begin(server, user);
        let welcome = client.json();
        assert_eq!((&welcome["type"], &welcome["user"]), (&"welcome".into(), &user.into()), "{welcome}");
        client
    }

    /// Connects and sends the request without waiting for an answer.
    pub(crate) fn begin(server: &Server, user: &str) -> Self {
        Self::with(server, &format!("/ws?token={}", token(user)), &[])
    }

    /// Connects with this target and these header fields.
    pub(crate) fn with(server: &Server, target: &str, headers: &[(&str, &str)]) -> Self {
        let host = server.address().to_string();
        let request = HandshakeRequest { host: &host, target, key: [7; 16], protocols: &[], headers };
        let mut bytes = Vec::new();
        let handshake = Handshake::start(&request, &mut bytes).unwrap();
        let mut stream = server.connect();
        stream.write_all(&bytes).unwrap();
        Self { stream, handshake: Some(handshake), reader: Reader::new(Role::Client), heard: VecDeque::new() }
    }

    pub(crate) fn say(&mut self, message: &Value) {
        let mut bytes = Vec::new();
        client::text_into(&mut bytes, MASK, &message.to_string());
        self.stream.write_all(&bytes).unwrap();
    }

    pub(crate) fn subscribe(&mut self) {
        self.say(&serde_json::json!({"type": "subscribe", "id": "s", "events": ["*"]}));
        let reply = self.json();
        assert_eq!(reply["type"], "subscribed", "{reply}");
    }

    /// The next thing that comes, signs of life apart.
    pub(crate) fn hear(&mut self) -> Heard {
        loop {
            while let Some(heard) = self.heard.pop_front() {
                if heard != Heard::SignOfLife {
                    return heard;
                }
            }
            assert!(self.read(), "nothing comes");
        }
    }

    /// The next message, which must be one.
    pub(crate) fn json(&mut self) -> Value {
        match self.hear() {
            Heard::Json(json) => json,
            other => panic!("not a message: {other:?}"),
        }
    }

    /// The next event's `contentId`.
    pub(crate) fn event(&mut self) -> String {
        let message = self.json();
        assert_eq!(message["type"], "event", "{message}");
        message["event"]["data"]["contentId"].as_str().unwrap().to_owned()
    }

    /// The code of the Close frame with which the connection ends.
    pub(crate) fn close_code(&mut self) -> u16 {
        loop {
            match self.hear() {
                Heard::Close(code) => return code,
                Heard::End => panic!("an end without a Close frame"),
                Heard::Json(_) | Heard::SignOfLife => {}
            }
        }
    }

    pub(crate) fn say_close(&mut self, code: u16) {
        let mut bytes = Vec::new();
        client::close_into(&mut bytes, MASK, code, "");
        self.stream.write_all(&bytes).unwrap();
    }

    pub(crate) const fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Whether something more comes within `time`.
    pub(crate) fn hears_within(&mut self, time: Duration) -> bool {
        if self.heard.is_empty() {
            self.stream.set_read_timeout(Some(time)).unwrap();
            self.read();
            self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        !self.heard.is_empty()
    }

    /// Reads once. Says whether anything came before the socket's timeout.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        let read = match self.stream.read(&mut bytes) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("{error}"),
        };
        if read == 0 {
            self.heard.push_back(Heard::End);
            return true;
        }
        let mut input = &bytes[..read];
        if let Some(handshake) = &mut self.handshake {
            if handshake.receive(&mut input).unwrap().is_none() {
                return true;
            }
            self.handshake = None;
        }
        while let Some(message) =
            self.reader.next(&WebSocketLimits::default(), Instant::ZERO, &mut input).unwrap()
        {
            self.heard.push_back(match message {
                Message::Text(text) if text.contains(r#""type":"heartbeat""#) => Heard::SignOfLife,
                Message::Text(text) => Heard::Json(serde_json::from_str(&text).unwrap()),
                Message::Close(close) => Heard::Close(close.map_or(1005, |close| close.code)),
                Message::Ping(_) => Heard::SignOfLife,
                Message::Pong(_) | Message::Binary(_) => continue,
            });
        }
        true
    }
}
