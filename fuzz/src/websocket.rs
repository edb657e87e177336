//! The client's end of a WebSocket over any bytes: the opening handshake, then messages. What is sent, over what,
//! and what is made of the answers is its owner's.

use tidings_core::Instant;
use tidings_core::wire::client::{
    Accepted, Handshake, HandshakeError, HandshakeRequest, close_into, ping_into, pong_into, text_into,
};
use tidings_core::wire::{Message, Reader, Role, Violation, WebSocketLimits};

/// What a client takes: any message, in one frame, as the server sends them.
const LIMITS: WebSocketLimits = WebSocketLimits { message_bytes_max: 1 << 30, fragments_max: 1 };

/// One end of a WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    /// While the server has not agreed.
    handshake: Option<Handshake>,
    reader: Reader,
    input: Vec<u8>,
}

/// What the server says.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It agrees.
    Open(Accepted),
    /// It does not.
    Refused(HandshakeError),
    /// A message.
    Message(Message),
    /// What RFC 6455 does not allow; nothing is heard after it.
    Illegal(Violation),
}

impl WebSocket {
    /// Asks for a connection: gives its end, and the bytes of the request.
    pub(crate) fn open(request: &HandshakeRequest<'_>) -> (Self, Vec<u8>) {
        let mut bytes = Vec::new();
        let handshake = Handshake::start(request, &mut bytes).expect("the request can stand in a head");
        let socket =
            Self { handshake: Some(handshake), reader: Reader::new(Role::Client), input: Vec::new() };
        (socket, bytes)
    }

    /// Whether the server has agreed.
    pub(crate) const fn is_open(&self) -> bool {
        self.handshake.is_none()
    }

    /// Bytes have arrived; [`next`](Self::next) reads them.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// What the server says next; none until all of it has arrived.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Heard> {
        let mut left = self.input.as_slice();
        let heard = match &mut self.handshake {
            Some(handshake) => match handshake.receive(&mut left) {
                Ok(accepted) => accepted.map(Heard::Open),
                Err(error) => Some(Heard::Refused(error)),
            },
            None => match self.reader.next(&LIMITS, now, &mut left) {
                Ok(message) => message.map(Heard::Message),
                Err(violation) => Some(Heard::Illegal(violation)),
            },
        };
        let used = self.input.len() - left.len();
        match &heard {
            Some(Heard::Refused(_) | Heard::Illegal(_)) => self.input.clear(),
            _ => drop(self.input.drain(..used)),
        }
        if let Some(Heard::Open(_)) = &heard {
            self.handshake = None;
        }
        heard
    }
}

/// A text frame.
pub(crate) fn text(mask: [u8; 4], text: &str) -> Vec<u8> {
    framed(|bytes| text_into(bytes, mask, text))
}

/// A Ping.
pub(crate) fn ping(mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    framed(|bytes| ping_into(bytes, mask, payload))
}

/// The answer to a Ping.
pub(crate) fn pong(mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    framed(|bytes| pong_into(bytes, mask, payload))
}

/// A Close frame without a reason.
pub(crate) fn close(mask: [u8; 4], code: u16) -> Vec<u8> {
    framed(|bytes| close_into(bytes, mask, code, ""))
}

fn framed(frame: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes);
    bytes
}
