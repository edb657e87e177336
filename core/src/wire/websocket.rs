//! WebSocket messages out of the bytes of one connection (RFC 6455 §5), for either role.
//!
//! The reader follows frame boundaries itself, so that whatever a header declares is compared with the
//! limits before anything is allocated, and so that an idle connection holds nothing. A frame that lies
//! whole in the caller's slice is read there. Data that arrives in pieces goes to the library's context,
//! which joins it and checks its UTF-8 as it arrives, and which lives as long as the message is
//! incomplete. Memory grows with what has arrived, not with what was declared.

use std::fmt;
use std::io::{Cursor, Error as IoError, ErrorKind, Read, Result as IoResult, Write};

use thiserror::Error;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::{WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Utf8Bytes};

use super::frame::{append, apply_mask};
use crate::time::Instant;

/// The longest frame header: two bytes, an 8-byte length, a mask.
const HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a control frame (RFC 6455 §5.5).
const CONTROL_BYTES_MAX: u64 = 125;
/// What a context allocates at once; a whole piece passes through it in reads of this size.
const CONTEXT_BUFFER_BYTES: usize = 1024;

/// What a message may cost before it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// Bytes of a message's payload, all fragments together.
    pub message_bytes_max: usize,
    /// Frames of one message.
    pub fragments_max: u32,
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        Self { message_bytes_max: 128 * 1024, fragments_max: 128 }
    }
}

/// Whose frames a [`Reader`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We are the server: every frame must be masked.
    Server,
    /// We are the client: no frame may be masked.
    Client,
}

/// One message of the peer. It may hold a token, so the debug form has its length only.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// A whole text message.
    Text(Utf8Bytes),
    /// A whole binary message; where none is wanted the answer is Close 1003.
    Binary(Bytes),
    /// A Ping, to be answered with a Pong of the same payload.
    Ping(Bytes),
    /// A Pong.
    Pong(Bytes),
    /// The peer's last message: nothing behind it is to be read. Without a code where it gave none.
    Close(Option<Close>),
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
            Self::Ping(payload) => write!(f, "Ping({} bytes)", payload.len()),
            Self::Pong(payload) => write!(f, "Pong({} bytes)", payload.len()),
            Self::Close(close) => write!(f, "Close({:?})", close.as_ref().map(|close| close.code)),
        }
    }
}

/// Why the peer closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// A code that may stand on the wire (RFC 6455 §7.4).
    pub code: u16,
    /// At most 123 bytes.
    pub reason: Utf8Bytes,
}

/// What the peer must not do. Each has a close code, and each ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// A client's frame without a mask (RFC 6455 §5.1).
    #[error("a client must mask its frames")]
    Unmasked,
    /// A server's frame with a mask (RFC 6455 §5.1).
    #[error("a server must not mask its frames")]
    Masked,
    /// A reserved bit without an extension (RFC 6455 §5.2).
    #[error("a reserved bit is set")]
    ReservedBit,
    /// An opcode that is not assigned (RFC 6455 §5.2).
    #[error("the opcode is reserved")]
    Opcode,
    /// A length in more bytes than it takes (RFC 6455 §5.2).
    #[error("a length is not in its shortest form")]
    LengthForm,
    /// A control frame in fragments, or over 125 bytes (RFC 6455 §5.5).
    #[error("a control frame is fragmented or longer than 125 bytes")]
    ControlFrame,
    /// A continuation of nothing, or a new message within another (RFC 6455 §5.4).
    #[error("fragments are out of order")]
    Continuation,
    /// A Close of one byte, or with a code that must not be sent (RFC 6455 §7.4).
    #[error("the Close payload is invalid")]
    ClosePayload,
    /// Text or a reason that is not UTF-8 (RFC 6455 §8.1).
    #[error("text is not UTF-8")]
    Utf8,
    /// A message over the limit, declared or joined.
    #[error("a message is over the limit")]
    TooLong,
    /// A message in more fragments than the limit.
    #[error("a message has too many fragments")]
    TooManyFragments,
}

impl Violation {
    /// The code of the Close that answers it (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Utf8 => 1007,
            Self::TooLong | Self::TooManyFragments => 1009,
            Self::Unmasked
            | Self::Masked
            | Self::ReservedBit
            | Self::Opcode
            | Self::LengthForm
            | Self::ControlFrame
            | Self::Continuation
            | Self::ClosePayload => 1002,
        }
    }
}

/// Reads the peer's messages, one a call, from the front of the caller's slice. Idle it is two words.
///
/// ```
/// use tidings_core::time::Instant;
/// use tidings_core::wire::{Message, Reader, Role, WebSocketLimits};
///
/// let mut reader = Reader::new(Role::Server);
/// let mut bytes = [0x81, 0x82, 1, 1, 1, 1, b'h' ^ 1, b'i' ^ 1, 0x89].as_slice();
/// let message = reader.next(&WebSocketLimits::default(), Instant::ZERO, &mut bytes)?;
/// assert_eq!(message, Some(Message::Text("hi".into())));
/// assert_eq!(bytes, [0x89]);
/// # Ok::<(), tidings_core::wire::Violation>(())
/// ```
pub struct Reader {
    role: Role,
    partial: Option<Box<Partial>>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = self.partial.is_none();
        f.debug_struct("Reader").field("role", &self.role).field("idle", &idle).finish_non_exhaustive()
    }
}

/// What is held while a frame or a message is incomplete.
#[derive(Default)]
struct Partial {
    /// The first bytes of a frame header.
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    /// The frame whose payload is arriving.
    frame: Option<OpenFrame>,
    /// The payload of an open control frame.
    control: Vec<u8>,
    /// The data message whose frames are arriving.
    message: Option<Assembly>,
}

/// A frame of which the header has arrived and the payload has not.
#[derive(Clone, Copy, Debug)]
struct OpenFrame {
    opcode: OpCode,
    is_final: bool,
    mask: Option<[u8; 4]>,
    left: u64,
}

/// A data message that is not complete.
struct Assembly {
    context: WebSocketContext,
    /// Whether the context has been told the type of the message.
    begun: bool,
    /// Payload bytes that the frames so far declare.
    declared: u64,
    fragments: u32,
    /// When the first of several fragments arrived; none for a message in one frame.
    fragmented_since: Option<Instant>,
}

/// A frame header that breaks no rule by itself.
struct Header {
    frame: OpenFrame,
    bytes: usize,
}

impl Reader {
    /// A reader at a frame boundary.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self { role, partial: None }
    }

    /// Bytes of memory held for a message that is not complete, by what its frames declare.
    #[must_use]
    pub fn memory(&self) -> usize {
        let Some(partial) = &self.partial else { return 0 };
        let declared = partial.message.as_ref().map_or(0, |message| message.declared);
        size_of::<Partial>() + partial.control.capacity() + usize::try_from(declared).unwrap_or(usize::MAX)
    }

    /// When the first fragment of a message arrived whose last fragment has not; the caller bounds the
    /// time between the two.
    #[must_use]
    pub fn fragmented_since(&self) -> Option<Instant> {
        self.partial.as_ref()?.message.as_ref()?.fragmented_since
    }

    /// Takes bytes from the front of `input` up to the end of one message, and gives it; none where
    /// `input` is used up before. What is left in `input` belongs to the messages behind it.
    ///
    /// # Errors
    /// [`Violation`], after which nothing more of this connection is to be read.
    pub fn next(
        &mut self,
        limits: &WebSocketLimits,
        now: Instant,
        input: &mut &[u8],
    ) -> Result<Option<Message>, Violation> {
        let result = self.advance(limits, now, input);
        if result.is_err() {
            self.partial = None;
        }
        result
    }

    fn advance(
        &mut self,
        limits: &WebSocketLimits,
        now: Instant,
        input: &mut &[u8],
    ) -> Result<Option<Message>, Violation> {
        loop {
            if let Some(partial) = &mut self.partial
                && let Some(frame) = &mut partial.frame
            {
                let (piece, rest) = input.split_at(prefix(frame.left, input.len()));
                *input = rest;
                let message = partial.piece(piece)?;
                if partial.frame.is_some() {
                    return Ok(None);
                }
                self.release();
                if message.is_some() {
                    return Ok(message);
                }
            }
            let Some(header) = self.header(input)? else { return Ok(None) };
            if let Some(message) = self.whole(limits, &header, input)? {
                return Ok(Some(message));
            }
            self.partial.get_or_insert_default().open(limits, now, header.frame)?;
        }
    }

    /// The next frame's header, once it is complete.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Violation> {
        if self.partial.as_ref().is_none_or(|partial| partial.header_len == 0) {
            let bytes = &input[..input.len().min(HEADER_BYTES_MAX)];
            if let Some(header) = parse_header(self.role, bytes)? {
                *input = &input[header.bytes..];
                return Ok(Some(header));
            }
        }
        // A header in pieces is at most 14 bytes long, so parsing it anew for each of them is cheap.
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            let partial = self.partial.get_or_insert_default();
            let (held, free) = partial.header.split_at_mut(partial.header_len);
            *free.first_mut().expect("a header of 14 bytes is complete") = byte;
            partial.header_len = held.len() + 1;
            if let Some(header) = parse_header(self.role, &partial.header[..partial.header_len])? {
                partial.header_len = 0;
                self.release();
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// The message of a frame that needs no assembling: all of it is in `input`, and it is alone.
    fn whole(
        &mut self,
        limits: &WebSocketLimits,
        header: &Header,
        input: &mut &[u8],
    ) -> Result<Option<Message>, Violation> {
        let frame = &header.frame;
        let control = matches!(frame.opcode, OpCode::Control(_));
        let alone = frame.is_final && self.partial.is_none();
        let Some(len) = usize::try_from(frame.left).ok().filter(|len| *len <= input.len()) else {
            return Ok(None);
        };
        if !control && (!alone || frame.opcode == OpCode::Data(Data::Continue)) {
            return Ok(None);
        }
        if limits.message_bytes_max < len && !control {
            return Err(Violation::TooLong);
        }
        let (payload, rest) = input.split_at(len);
        *input = rest;
        let mut payload = payload.to_vec();
        if let Some(mask) = frame.mask {
            apply_mask(&mut payload, mask);
        }
        decode(frame.opcode, payload).map(Some)
    }

    /// Gives the heap back at a boundary between messages.
    fn release(&mut self) {
        if self.partial.as_ref().is_some_and(|partial| partial.message.is_none() && partial.frame.is_none()) {
            self.partial = None;
        }
    }
}

impl Partial {
    /// Begins a frame whose payload follows, and checks what its header says against the message so far.
    fn open(&mut self, limits: &WebSocketLimits, now: Instant, frame: OpenFrame) -> Result<(), Violation> {
        if let OpCode::Data(data) = frame.opcode {
            let declared = self.message.as_ref().map_or(0, |message| message.declared);
            let declared = declared.saturating_add(frame.left);
            match (data, &mut self.message) {
                (Data::Continue, None) | (Data::Text | Data::Binary, Some(_)) => {
                    return Err(Violation::Continuation);
                }
                _ if usize::try_from(declared)
                    .map_or(true, |declared| limits.message_bytes_max < declared) =>
                {
                    return Err(Violation::TooLong);
                }
                (_, Some(message)) if message.fragments == limits.fragments_max => {
                    return Err(Violation::TooManyFragments);
                }
                (_, Some(message)) => {
                    message.fragments += 1;
                    message.declared = declared;
                }
                (_, None) => {
                    let fragmented_since = (!frame.is_final).then_some(now);
                    self.message = Some(Assembly::new(limits, declared, fragmented_since));
                }
            }
        }
        self.frame = Some(frame);
        Ok(())
    }

    /// Takes the next piece of the open frame's payload, and gives the message that it completes.
    fn piece(&mut self, piece: &[u8]) -> Result<Option<Message>, Violation> {
        let Some(frame) = &mut self.frame else { return Ok(None) };
        frame.left -= u64::try_from(piece.len()).expect("a slice's length fits 64 bits");
        let complete = frame.left == 0;
        let message = match frame.opcode {
            OpCode::Control(_) => {
                self.control.extend_from_slice(piece);
                if !complete {
                    return Ok(None);
                }
                let mut payload = std::mem::take(&mut self.control);
                if let Some(mask) = frame.mask {
                    apply_mask(&mut payload, mask);
                }
                Some(decode(frame.opcode, payload)?)
            }
            OpCode::Data(data) => {
                if piece.is_empty() && !complete {
                    return Ok(None);
                }
                let message = self.message.as_mut().expect("a data frame is open within its message");
                let last = complete && frame.is_final;
                let whole = message.push(data, last, frame.mask, piece)?;
                frame.mask = frame.mask.map(|mut mask| {
                    mask.rotate_left(piece.len() % 4);
                    mask
                });
                if last {
                    self.message = None;
                }
                whole
            }
        };
        if complete {
            self.frame = None;
        }
        Ok(message)
    }
}

impl Assembly {
    fn new(limits: &WebSocketLimits, declared: u64, fragmented_since: Option<Instant>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(CONTEXT_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_frame_size(Some(limits.message_bytes_max))
            .max_message_size(Some(limits.message_bytes_max));
        // The context never writes and sees unmasked data only: what its role adds is checked here.
        let context = WebSocketContext::new(tungstenite::protocol::Role::Client, Some(config));
        Self { context, begun: false, declared, fragments: 1, fragmented_since }
    }

    /// Hands the library one piece of a frame as a fragment of its own, which RFC 6455 §5.4 allows any
    /// intermediary to do, and gives the message where this was its last piece.
    fn push(
        &mut self,
        data: Data,
        last: bool,
        mask: Option<[u8; 4]>,
        piece: &[u8],
    ) -> Result<Option<Message>, Violation> {
        let opcode = OpCode::Data(if self.begun { Data::Continue } else { data });
        self.begun = true;
        let mut fragment = Vec::new();
        append(&mut fragment, opcode, last, None, piece);
        if let Some(mask) = mask {
            let start = fragment.len() - piece.len();
            apply_mask(&mut fragment[start..], mask);
        }
        match self.context.read(&mut Memory(&fragment)) {
            Ok(tungstenite::Message::Text(text)) => Ok(Some(Message::Text(text))),
            Ok(tungstenite::Message::Binary(bytes)) => Ok(Some(Message::Binary(bytes))),
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(tungstenite::Error::Utf8(_)) => Err(Violation::Utf8),
            Err(tungstenite::Error::Capacity(_)) => Err(Violation::TooLong),
            Ok(_) | Err(_) => Err(Violation::Continuation),
        }
    }
}

/// A stream of bytes in memory that would block at its end and takes no writes.
struct Memory<'a>(&'a [u8]);

impl Read for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        match self.0.read(buffer) {
            Ok(0) => Err(IoError::from(ErrorKind::WouldBlock)),
            other => other,
        }
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, _: &[u8]) -> IoResult<usize> {
        Err(IoError::from(ErrorKind::WouldBlock))
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

/// How much of `available` bytes belongs to a payload of which `left` is due.
fn prefix(left: u64, available: usize) -> usize {
    usize::try_from(left).map_or(available, |left| left.min(available))
}

/// The header at the front of `bytes`, once it is complete, with every rule that it can break alone.
fn parse_header(role: Role, bytes: &[u8]) -> Result<Option<Header>, Violation> {
    let mut cursor = Cursor::new(bytes);
    let (header, length) = match FrameHeader::parse(&mut cursor) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return Ok(None),
        Err(_) => return Err(Violation::Opcode),
    };
    match (role, header.mask) {
        (Role::Server, None) => return Err(Violation::Unmasked),
        (Role::Client, Some(_)) => return Err(Violation::Masked),
        (Role::Server, Some(_)) | (Role::Client, None) => {}
    }
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(Violation::ReservedBit);
    }
    if matches!(header.opcode, OpCode::Control(_)) && (!header.is_final || CONTROL_BYTES_MAX < length) {
        return Err(Violation::ControlFrame);
    }
    let len = header.len(length);
    if cursor.position() != u64::try_from(len).expect("a header has at most 14 bytes") {
        return Err(Violation::LengthForm);
    }
    let frame =
        OpenFrame { opcode: header.opcode, is_final: header.is_final, mask: header.mask, left: length };
    Ok(Some(Header { frame, bytes: len }))
}

/// The message of a whole, unmasked, unfragmented frame.
fn decode(opcode: OpCode, payload: Vec<u8>) -> Result<Message, Violation> {
    let text = |bytes: Bytes| Utf8Bytes::try_from(bytes).map_err(|_| Violation::Utf8);
    let payload = Bytes::from(payload);
    match opcode {
        OpCode::Data(Data::Text) => text(payload).map(Message::Text),
        OpCode::Data(Data::Binary) => Ok(Message::Binary(payload)),
        OpCode::Control(Control::Ping) => Ok(Message::Ping(payload)),
        OpCode::Control(Control::Pong) => Ok(Message::Pong(payload)),
        OpCode::Control(Control::Close) => match *payload {
            [] => Ok(Message::Close(None)),
            [high, low, ..] => {
                let code = u16::from_be_bytes([high, low]);
                if !CloseCode::from(code).is_allowed() {
                    return Err(Violation::ClosePayload);
                }
                Ok(Message::Close(Some(Close { code, reason: text(payload.slice(2..))? })))
            }
            [_] => Err(Violation::ClosePayload),
        },
        OpCode::Data(Data::Continue | Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
            Err(Violation::Opcode)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::text_into;
    use super::super::{client, ping_into};
    use super::*;

    const MASK: [u8; 4] = [0x11, 0xa2, 0x33, 0x44];

    /// One frame of a client, with the first byte given whole.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        append(&mut bytes, OpCode::Data(Data::Binary), true, Some(MASK), payload);
        bytes[0] = first;
        bytes
    }

    type Read = (Vec<Message>, Option<Violation>);

    fn read_with(limits: &WebSocketLimits, role: Role, parts: &[&[u8]]) -> Read {
        let (mut reader, mut seen) = (Reader::new(role), Vec::new());
        for part in parts {
            let mut input = *part;
            loop {
                match reader.next(limits, Instant::ZERO, &mut input) {
                    Ok(Some(message)) => seen.push(message),
                    Ok(None) => break,
                    Err(violation) => return (seen, Some(violation)),
                }
            }
            assert!(input.is_empty(), "without a message everything is taken");
        }
        (seen, None)
    }

    fn read(bytes: &[u8]) -> Read {
        let whole = read_with(&WebSocketLimits::default(), Role::Server, &[bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read_with(&WebSocketLimits::default(), Role::Server, &single), whole);
        whole
    }

    fn violation(bytes: &[u8]) -> Option<Violation> {
        read(bytes).1
    }

    fn text(text: &str) -> Message {
        Message::Text(text.into())
    }

    #[test]
    fn no_debug_form_shows_what_a_message_says() {
        let text = "{\"token\":\"hush\"}";
        let close = Close { code: 1000, reason: "hush".into() };
        let messages =
            [Message::Text(text.into()), Message::Close(Some(close)), Message::Pong("hush".into())];
        let shown = format!("{messages:?}");
        assert_eq!(shown, "[Text(16 bytes), Close(Some(1000)), Pong(4 bytes)]");
        // A message of which half has arrived.
        let mut reader = Reader::new(Role::Client);
        let bytes = [&[0x81, 16], &text.as_bytes()[..12]].concat();
        assert_eq!(reader.next(&WebSocketLimits::default(), Instant::ZERO, &mut bytes.as_slice()), Ok(None));
        assert_eq!(format!("{reader:?}"), "Reader { role: Client, idle: false, .. }");
    }

    #[test]
    fn whole_frames_are_messages() {
        let bytes = [frame(0x81, b"a"), frame(0x82, &[0xff]), frame(0x89, b"p"), frame(0x8a, b"")].concat();
        let binary = Message::Binary(vec![0xff].into());
        let ping = Message::Ping(b"p".as_slice().into());
        assert_eq!(read(&bytes), (vec![text("a"), binary, ping, Message::Pong(Bytes::new())], None));
    }

    #[test]
    fn fragments_are_joined_around_control_frames() {
        let bytes =
            [frame(0x01, b"gr\xc3"), frame(0x89, b"p"), frame(0x00, b""), frame(0x80, b"\xbc\xc3\x9fe")]
                .concat();
        assert_eq!(read(&bytes).0, [Message::Ping(b"p".as_slice().into()), text("grüße")]);
        let bytes = [frame(0x02, b""), frame(0x00, b""), frame(0x80, b"")].concat();
        assert_eq!(read(&bytes), (vec![Message::Binary(Bytes::new())], None));
    }

    #[test]
    fn the_caller_may_stop_behind_any_message() {
        let bytes = [frame(0x81, b"a"), frame(0x81, b"b")].concat();
        let (mut reader, mut input) = (Reader::new(Role::Server), bytes.as_slice());
        let message = reader.next(&WebSocketLimits::default(), Instant::ZERO, &mut input);
        assert_eq!((message, input), (Ok(Some(text("a"))), frame(0x81, b"b").as_slice()));
    }

    #[test]
    fn frames_that_break_the_framing_are_1002() {
        for (bytes, expected) in [
            (vec![0x81, 0x00], Violation::Unmasked),
            (frame(0xc1, b"a"), Violation::ReservedBit),
            (frame(0x91, b"a"), Violation::ReservedBit),
            (frame(0x83, b"a"), Violation::Opcode),
            (frame(0x8b, b""), Violation::Opcode),
            (frame(0x09, b"p"), Violation::ControlFrame),
            (frame(0x89, &[0; 126]), Violation::ControlFrame),
            (frame(0x80, b"a"), Violation::Continuation),
            (frame(0x00, b"a"), Violation::Continuation),
            ([frame(0x01, b"a"), frame(0x81, b"b")].concat(), Violation::Continuation),
            ([frame(0x01, b"a"), frame(0x01, b"b")].concat(), Violation::Continuation),
            (vec![0x81, 0xfe, 0, 1, 0, 0, 0, 0, b'a'], Violation::LengthForm),
            (vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], Violation::LengthForm),
            (frame(0x88, b"\x03"), Violation::ClosePayload),
        ] {
            assert_eq!(violation(&bytes), Some(expected), "{bytes:x?}");
            assert_eq!(expected.close_code(), 1002);
        }
        let mut masked = Vec::new();
        client::text_into(&mut masked, MASK, "a");
        let seen = read_with(&WebSocketLimits::default(), Role::Client, &[&masked]);
        assert_eq!(seen.1, Some(Violation::Masked));
    }

    #[test]
    fn a_close_has_a_code_that_may_be_sent() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
            let bytes = frame(0x88, &u16::to_be_bytes(code));
            assert_eq!(violation(&bytes), Some(Violation::ClosePayload), "{code}");
        }
        for code in [1000, 1001, 1003, 1007, 1011, 3000, 4999] {
            let close = Close { code, reason: "bye".into() };
            let bytes = frame(0x88, &[&u16::to_be_bytes(code), b"bye".as_slice()].concat());
            assert_eq!(read(&bytes).0, [Message::Close(Some(close))]);
        }
        assert_eq!(read(&frame(0x88, b"")).0, [Message::Close(None)]);
        assert_eq!(violation(&frame(0x88, b"\x03\xe8\xff")), Some(Violation::Utf8));
    }

    #[test]
    fn bad_utf_8_is_1007_as_soon_as_it_is_seen() {
        assert_eq!(violation(&frame(0x81, b"\xff")), Some(Violation::Utf8));
        assert_eq!(violation(&frame(0x81, b"\xed\xa0\x80")), Some(Violation::Utf8), "a surrogate");
        assert_eq!(violation(&[frame(0x01, b"\xc3"), frame(0x80, b"")].concat()), Some(Violation::Utf8));
        assert_eq!(violation(&[frame(0x01, b"\xc3"), frame(0x00, b"\x28")].concat()), Some(Violation::Utf8));
        let bytes = frame(0x81, b"ok\xff never to come");
        let cut = read_with(&WebSocketLimits::default(), Role::Server, &[&bytes[..9]]);
        assert_eq!(cut.1, Some(Violation::Utf8));
    }

    #[test]
    fn a_declared_length_over_the_limit_is_1009_at_its_header() {
        let limits = WebSocketLimits { message_bytes_max: 4, fragments_max: 3 };
        let read = |parts: &[&[u8]]| read_with(&limits, Role::Server, parts);
        assert_eq!(read(&[&frame(0x81, b"four")]).0, [text("four")]);
        assert_eq!(read(&[&frame(0x81, b"fives")[..6]]).1, Some(Violation::TooLong));
        assert_eq!(read(&[&frame(0x81, b"fives")]).1, Some(Violation::TooLong));
        let parts = [frame(0x01, b"abc"), frame(0x80, b"de")];
        assert_eq!(read(&[&parts[0], &parts[1][..6]]).1, Some(Violation::TooLong));
        let huge = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &MASK].concat();
        assert_eq!(read(&[&huge]).1, Some(Violation::TooLong));
        let more = [&[0x80, 0xff][..], &u64::MAX.to_be_bytes(), &MASK].concat();
        assert_eq!(read(&[&frame(0x01, b"a"), &more]).1, Some(Violation::TooLong));
        assert_eq!(Violation::TooLong.close_code(), 1009);
    }

    #[test]
    fn a_message_has_a_bounded_number_of_fragments() {
        let limits = WebSocketLimits { message_bytes_max: 100, fragments_max: 3 };
        let three = [frame(0x01, b"a"), frame(0x00, b"b"), frame(0x80, b"c")].concat();
        assert_eq!(read_with(&limits, Role::Server, &[&three]).0, [text("abc")]);
        let four = [frame(0x01, b"a"), frame(0x00, b""), frame(0x00, b""), frame(0x80, b"")].concat();
        assert_eq!(read_with(&limits, Role::Server, &[&four]).1, Some(Violation::TooManyFragments));
    }

    #[test]
    fn the_first_fragment_starts_the_clock_and_the_last_stops_it() {
        let (limits, mut reader) = (WebSocketLimits::default(), Reader::new(Role::Server));
        let mut next = |at, bytes: &[u8]| {
            let at = Instant::from_micros(at);
            let message = reader.next(&limits, at, &mut &*bytes).unwrap();
            (message, reader.fragmented_since().map(Instant::as_micros))
        };
        assert_eq!(next(1, &frame(0x81, b"slow")[..7]), (None, None), "one frame is no fragment");
        assert_eq!(next(2, &frame(0x81, b"slow")[7..]), (Some(text("slow")), None));
        assert_eq!(next(3, &frame(0x01, b"a")), (None, Some(3)));
        assert_eq!(next(4, &frame(0x00, b"b")), (None, Some(3)));
        assert_eq!(next(5, &frame(0x89, b"")), (Some(Message::Ping(Bytes::new())), Some(3)));
        assert_eq!(next(6, &frame(0x80, b"c")), (Some(text("abc")), None));
    }

    #[test]
    fn an_idle_reader_holds_nothing() {
        assert!(size_of::<Reader>() <= 32);
        let (limits, mut reader) = (WebSocketLimits::default(), Reader::new(Role::Server));
        let bytes = [frame(0x01, b"a"), frame(0x80, b"b"), frame(0x81, b"c"), frame(0x89, b"p")].concat();
        for byte in &bytes {
            reader.next(&limits, Instant::ZERO, &mut [*byte].as_slice()).unwrap();
        }
        assert!(reader.partial.is_none());
    }

    #[test]
    fn memory_grows_with_what_arrives_and_not_with_what_is_declared() {
        let limits = WebSocketLimits { message_bytes_max: 1 << 30, fragments_max: 1 };
        let header = [&[0x82, 0xff][..], &(1u64 << 30).to_be_bytes(), &MASK, &[0; 8]].concat();
        let mut reader = Reader::new(Role::Server);
        assert_eq!(reader.next(&limits, Instant::ZERO, &mut header.as_slice()), Ok(None));
        let message = reader.partial.unwrap().message.unwrap();
        assert_eq!(message.context.get_config().read_buffer_size, CONTEXT_BUFFER_BYTES);
    }

    #[test]
    fn a_clients_reader_reads_what_a_server_writes() {
        let mut bytes = Vec::new();
        text_into(&mut bytes, "a");
        ping_into(&mut bytes, b"p");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let seen = read_with(&WebSocketLimits::default(), Role::Client, &single);
        assert_eq!(seen.0, [text("a"), Message::Ping(b"p".as_slice().into())]);
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let first =
            prop::sample::select(vec![0x81, 0x81, 0x01, 0x00, 0x80, 0x82, 0x02, 0x89, 0x8a, 0x88, 0xc1]);
        let payload = prop_oneof![
            4 => "[a-zé€😀]{0,40}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..10),
            1 => Just(vec![b'x'; 126]),
        ];
        (first, payload).prop_map(|(first, payload)| frame(first, &payload))
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_split_the_same_comes_out(
            frames in prop::collection::vec(any_frame(), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let (bytes, limits) = (frames.concat(), WebSocketLimits::default());
            let whole = read(&bytes);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut from = 0;
            let parts: Vec<&[u8]> =
                cuts.iter().map(|&to| &bytes[std::mem::replace(&mut from, to)..to]).collect();
            prop_assert_eq!(read_with(&limits, Role::Server, &parts), whole);
        }

        #[test]
        fn a_text_survives_any_fragmentation(
            payload in "[a-zé€😀]{0,60}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut bytes, mut from) = (Vec::new(), 0);
            for (index, &to) in cuts.iter().enumerate() {
                let first = if index == 0 { 0x01 } else { 0x00 };
                bytes.extend(frame(first, &payload.as_bytes()[std::mem::replace(&mut from, to)..to]));
            }
            let last = if cuts.is_empty() { 0x81 } else { 0x80 };
            bytes.extend(frame(last, &payload.as_bytes()[from..]));
            prop_assert_eq!(read(&bytes), (vec![text(&payload)], None));
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            server in any::<bool>(),
        ) {
            let role = if server { Role::Server } else { Role::Client };
            let (limits, mut reader) = (WebSocketLimits::default(), Reader::new(role));
            for part in bytes.chunks(7) {
                let mut input = part;
                // Reading on after a violation is the caller's fault, and must not panic either.
                while !input.is_empty() && reader.next(&limits, Instant::ZERO, &mut input).is_ok_and(|it| it.is_some()) {}
            }
        }
    }
}
