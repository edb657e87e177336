//! WebSocket frames as bytes (RFC 6455 §5.2). A server's text frame is encoded once and shared by every
//! connection that sends it; frames for one connection are appended to its buffer.

use std::fmt;
use std::sync::Arc;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// What a Close frame's reason may take of its 125 bytes.
pub const CLOSE_REASON_BYTES_MAX: usize = 123;

/// One unmasked text frame of a server, header and payload, shared without a copy.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Arc<[u8]>);

impl Frame {
    /// The frame that carries `payload`.
    #[must_use]
    pub fn text(payload: &str) -> Self {
        let mut bytes = Vec::new();
        text_into(&mut bytes, payload);
        Self(bytes.into())
    }

    /// The whole frame.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What the frame carries.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let header = match self.0.get(1) {
            Some(126) => 4,
            Some(127) => 10,
            _ => 2,
        };
        self.0.get(header..).unwrap_or_default()
    }

    /// Bytes of the whole frame: at least two.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Frame").field(&String::from_utf8_lossy(self.payload())).finish()
    }
}

/// Appends a server's text frame.
pub fn text_into(out: &mut Vec<u8>, payload: &str) {
    append(out, OpCode::Data(Data::Text), true, None, payload.as_bytes());
}

/// Appends a server's binary frame. The protocol has none; a conformance suite's echo has.
pub fn binary_into(out: &mut Vec<u8>, payload: &[u8]) {
    append(out, OpCode::Data(Data::Binary), true, None, payload);
}

/// Appends a server's Ping. Of `payload` the first 125 bytes are sent.
pub fn ping_into(out: &mut Vec<u8>, payload: &[u8]) {
    append_control(out, Control::Ping, None, payload);
}

/// Appends a server's Pong, which repeats the payload of the Ping that it answers.
pub fn pong_into(out: &mut Vec<u8>, payload: &[u8]) {
    append_control(out, Control::Pong, None, payload);
}

/// Appends a server's Close. `reason` is cut to [`CLOSE_REASON_BYTES_MAX`] between characters.
pub fn close_into(out: &mut Vec<u8>, code: u16, reason: &str) {
    append_close(out, None, code, reason);
}

pub(super) fn append_close(out: &mut Vec<u8>, mask: Option<[u8; 4]>, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)];
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    append_control(out, Control::Close, mask, &payload);
}

pub(super) fn append_control(out: &mut Vec<u8>, control: Control, mask: Option<[u8; 4]>, payload: &[u8]) {
    append(out, OpCode::Control(control), true, mask, &payload[..payload.len().min(125)]);
}

/// Appends any frame; with a mask where we are the client.
pub(super) fn append(
    out: &mut Vec<u8>,
    opcode: OpCode,
    is_final: bool,
    mask: Option<[u8; 4]>,
    payload: &[u8],
) {
    let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
    let length = u64::try_from(payload.len()).expect("a slice's length fits 64 bits");
    out.reserve(header.len(length) + payload.len());
    header.format(length, out).expect("a Vec takes every byte");
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut out[start..], mask);
    }
}

/// Masks or unmasks `payload` in place (RFC 6455 §5.3).
pub(super) fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_shortest_header_and_its_payload() {
        for (len, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = "x".repeat(len);
            let frame = Frame::text(&payload);
            assert_eq!(frame.payload(), payload.as_bytes());
            assert_eq!(frame.bytes(), [header.as_slice(), payload.as_bytes()].concat());
            assert_eq!(frame.len(), header.len() + len);
        }
    }

    #[test]
    fn control_frames_stay_within_125_bytes() {
        let mut out = Vec::new();
        ping_into(&mut out, &[b'p'; 200]);
        assert_eq!(out, [[0x89, 125].as_slice(), &[b'p'; 125]].concat());
        out.clear();
        pong_into(&mut out, b"p");
        assert_eq!(out, [0x8a, 1, b'p']);
        out.clear();
        close_into(&mut out, 4401, &"é".repeat(100));
        assert_eq!(out[..4], [0x88, 124, 0x11, 0x31]);
        assert_eq!(String::from_utf8(out[4..].to_vec()).unwrap(), "é".repeat(61));
    }

    #[test]
    fn masking_twice_is_nothing() {
        for len in 0..20 {
            let text: Vec<u8> = (0..len).collect();
            let mut masked = text.clone();
            apply_mask(&mut masked, [1, 2, 3, 0x80]);
            let expected: Vec<u8> =
                text.iter().zip([1, 2, 3, 0x80].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            assert_eq!(masked, expected);
            apply_mask(&mut masked, [1, 2, 3, 0x80]);
            assert_eq!(masked, text);
        }
    }
}
