//! WebSocket by hand: frames that no library would send, and the server's frames as they are.

use serde_json::Value;

use crate::http::{Connection, Response};
use crate::lab::Server;
use crate::outcome::{Outcome, ensure, fail, same};

/// The key and its answer of RFC 6455 §1.3.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame in the making: final, masked, and with its true length, until told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    first: u8,
    masked: bool,
    declared: Option<u64>,
    payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { first: 0x80 | opcode, masked: true, declared: None, payload: payload.into() }
    }

    pub(crate) fn text(message: &Value) -> Self {
        Self::new(TEXT, message.to_string())
    }

    /// More fragments follow.
    pub(crate) fn unfinished(mut self) -> Self {
        self.first &= 0x7f;
        self
    }

    /// Sets reserved bits (0x40, 0x20, 0x10).
    pub(crate) fn reserved(mut self, bits: u8) -> Self {
        self.first |= bits;
        self
    }

    pub(crate) fn unmasked(mut self) -> Self {
        self.masked = false;
        self
    }

    /// Claims a length in 64 bits, whatever the payload has.
    pub(crate) fn declaring(mut self, length: u64) -> Self {
        self.declared = Some(length);
        self
    }

    /// The frame's bytes. The mask is fixed: nothing between the two ends has to be fooled.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.first];
        let mask_bit = if self.masked { 0x80 } else { 0 };
        match (self.declared, self.payload.len()) {
            (None, length @ 0..126) => bytes.push(mask_bit | u8::try_from(length).unwrap_or_default()),
            (None, length @ 126..65_536) => {
                bytes.push(mask_bit | 126);
                bytes.extend(u16::try_from(length).unwrap_or_default().to_be_bytes());
            }
            (declared, length) => {
                bytes.push(mask_bit | 127);
                bytes.extend(declared.unwrap_or(length as u64).to_be_bytes());
            }
        }
        if self.masked {
            let mask = [0x37, 0xfa, 0x21, 0x3d];
            bytes.extend(mask);
            bytes.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }
}

/// A frame as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) finished: bool,
    pub(crate) reserved: u8,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Received {
    pub(crate) fn json(&self) -> Outcome<Value> {
        Ok(serde_json::from_slice(&self.payload)?)
    }

    /// A Close frame's code.
    pub(crate) fn code(&self) -> Option<u16> {
        self.payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code))
    }
}

/// The head of an upgrade request, without its last empty line.
pub(crate) fn upgrade_head(server: &Server, target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n",
        server.address
    )
}

/// An upgraded connection, driven frame by frame. It answers nothing by itself.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) connection: Connection,
}

impl Socket {
    /// Upgrades with this token, and reads `welcome`.
    pub(crate) async fn open(server: &Server, token: &str) -> Outcome<Self> {
        let mut connection = Connection::open(server).await?;
        let head = upgrade_head(server, &format!("/?token={token}"));
        connection.send(format!("{head}\r\n").as_bytes()).await?;
        let response = connection.head().await?;
        accepted(&response)?;
        let mut socket = Self { connection };
        let first = socket.message().await?;
        same!(first["type"], "welcome", "first message {first}");
        Ok(socket)
    }

    /// Upgrades with everything allowed but administration.
    pub(crate) async fn full(server: &Server) -> Outcome<Self> {
        Self::open(server, &server.full_token()?).await
    }

    pub(crate) async fn send(&mut self, frame: &Frame) -> Outcome {
        self.connection.send(&frame.encode()).await
    }

    /// The next frame, which must be as RFC 6455 wants a server's frames.
    pub(crate) async fn receive(&mut self) -> Outcome<Received> {
        let head = self.connection.exactly(2).await?;
        let [first, second] = head[..] else { fail!("two bytes were read") };
        ensure!(second & 0x80 == 0, "the server masked a frame");
        let mut length = usize::from(second & 0x7f);
        if length >= 126 {
            let bytes = self.connection.exactly(if length == 126 { 2 } else { 8 }).await?;
            length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        }
        ensure!(length <= 16 << 20, "a frame of {length} bytes");
        let payload = self.connection.exactly(length).await?;
        Ok(Received { finished: first & 0x80 != 0, reserved: first & 0x70, opcode: first & 0x0f, payload })
    }

    /// The next text message; control frames and heartbeats are passed over.
    pub(crate) async fn message(&mut self) -> Outcome<Value> {
        loop {
            let frame = self.receive().await?;
            match frame.opcode {
                TEXT => {
                    ensure!(frame.finished, "the server fragmented a message");
                    let message = frame.json()?;
                    if message["type"] != "heartbeat" {
                        return Ok(message);
                    }
                }
                CLOSE => fail!("closed with {:?} instead of a message", frame.code()),
                _ => {}
            }
        }
    }

    /// Reads up to the Close frame, whose code this gives, answers it, and waits for the end.
    pub(crate) async fn close_code(&mut self) -> Outcome<Option<u16>> {
        loop {
            let frame = self.receive().await?;
            if frame.opcode == CLOSE {
                self.connection.send_what_goes(&Frame::new(CLOSE, frame.payload.clone()).encode()).await;
                self.connection.closed().await?;
                return Ok(frame.code());
            }
        }
    }

    /// The server must close with this code, and then end the connection.
    pub(crate) async fn closed_with(&mut self, code: u16) -> Outcome {
        let found = self.close_code().await?;
        same!(found, Some(code), "close code");
        Ok(())
    }
}

/// The answer to an upgrade must be a correct 101.
pub(crate) fn accepted(response: &Response) -> Outcome {
    same!(response.status, 101, "status of the upgrade");
    same!(response.header("sec-websocket-accept"), Some(ACCEPT), "Sec-WebSocket-Accept");
    let upgrade = response.header("upgrade").unwrap_or_default();
    ensure!(upgrade.eq_ignore_ascii_case("websocket"), "Upgrade is {upgrade:?}");
    let connection = response.header("connection").unwrap_or_default();
    ensure!(connection.to_ascii_lowercase().contains("upgrade"), "Connection is {connection:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_written_as_the_rfc_shows_them() {
        // RFC 6455 §5.7, with its mask.
        assert_eq!(
            Frame::new(TEXT, "Hello").encode(),
            [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        );
        assert_eq!(Frame::new(TEXT, "Hello").unmasked().encode(), [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert_eq!(Frame::new(BINARY, vec![0; 256]).encode()[..4], [0x82, 0xfe, 0x01, 0x00]);
        let declared = Frame::new(TEXT, "").declaring(1 << 40).encode();
        assert_eq!(declared[..10], [0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn bits_of_the_first_byte_are_set_one_by_one() {
        assert_eq!(Frame::new(CONTINUATION, "").unfinished().reserved(0x40).encode()[0], 0x40);
        assert_eq!(Frame::new(PING, "").encode()[0], 0x89);
    }
}
