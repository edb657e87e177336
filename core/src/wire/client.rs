//! The client's side: the opening handshake (RFC 6455 §4.1) and masked frames (§5.3). Keys and masks
//! come from the caller, because the library would draw them from randomness of its own.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::frame::{append, append_close, append_control};
use super::http::{HeadScanner, Headers, HttpError, HttpLimits, is_token};

/// The client's half of an opening handshake: the request it sends, and what it makes of the answer.
#[derive(Clone)]
pub struct Handshake {
    accept: String,
    protocols: Vec<Box<str>>,
    scanner: HeadScanner,
}

/// What a client asks for. Target, subprotocols and fields may carry a token, so the debug form has none.
#[derive(Clone, Copy)]
pub struct HandshakeRequest<'a> {
    /// `host` or `host:port`.
    pub host: &'a str,
    /// Path and query, already percent-encoded: `/ws?token=…`.
    pub target: &'a str,
    /// 16 random bytes.
    pub key: [u8; 16],
    /// Subprotocols, best first.
    pub protocols: &'a [&'a str],
    /// More fields, as `Authorization` or `Origin`.
    pub headers: &'a [(&'a str, &'a str)],
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handshake({:?})", self.scanner)
    }
}

impl fmt::Debug for HandshakeRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeRequest").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The server's agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The subprotocol that the server chose, one of those offered.
    pub protocol: Option<Box<str>>,
}

/// Why a handshake came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// A host, target, field or subprotocol of the request cannot stand in a request.
    #[error("the request's {0} cannot be sent")]
    Request(&'static str),
    /// The server answered with another status than 101.
    #[error("the server answered with status {status}")]
    Refused {
        /// The status.
        status: u16,
        /// `Retry-After` in seconds, where the server gave it so.
        retry_after_s: Option<u32>,
    },
    /// The answer is not HTTP/1.1.
    #[error("the server's answer is malformed")]
    Malformed,
    /// The answer is 101 without the field, or with another value than RFC 6455 §4.1 asks for.
    #[error("the server's {0} field does not agree with the request")]
    Field(&'static str),
}

impl From<HttpError> for HandshakeError {
    fn from(_: HttpError) -> Self {
        Self::Malformed
    }
}

impl Handshake {
    /// Appends the request to `out` and gives what reads its answer.
    ///
    /// # Errors
    /// [`HandshakeError::Request`] where a part of `request` would break out of its line.
    pub fn start(request: &HandshakeRequest<'_>, out: &mut Vec<u8>) -> Result<Self, HandshakeError> {
        let one_line = |text: &str| !text.bytes().any(|byte| byte.is_ascii_control());
        let one_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if request.host.is_empty() || !one_word(request.host) {
            return Err(HandshakeError::Request("host"));
        }
        if !request.target.starts_with('/') || !one_word(request.target) {
            return Err(HandshakeError::Request("target"));
        }
        if !request.protocols.iter().all(|protocol| is_token(protocol)) {
            return Err(HandshakeError::Request("subprotocol"));
        }
        if !request.headers.iter().all(|(name, value)| is_token(name) && one_line(value)) {
            return Err(HandshakeError::Request("header field"));
        }
        let key = STANDARD.encode(request.key);
        let mut text = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
            request.target, request.host
        );
        if !request.protocols.is_empty() {
            text += &format!("Sec-WebSocket-Protocol: {}\r\n", request.protocols.join(", "));
        }
        for (name, value) in request.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        out.extend_from_slice(text.as_bytes());
        Ok(Self {
            accept: derive_accept_key(key.as_bytes()),
            protocols: request.protocols.iter().map(|protocol| Box::from(*protocol)).collect(),
            scanner: HeadScanner::default(),
        })
    }

    /// Takes the answer from the front of `input`; once it is whole and agrees, what is left in `input`
    /// belongs to a [`Reader`](super::Reader) in the role of the client.
    ///
    /// # Errors
    /// [`HandshakeError`], after which the connection is to be closed.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Accepted>, HandshakeError> {
        let limits = HttpLimits::default();
        let Some(bytes) = self.scanner.push(&limits, input)? else { return Ok(None) };
        let text: Box<str> = String::from_utf8_lossy(&bytes).into();
        let mut fields = vec![httparse::EMPTY_HEADER; limits.fields_max];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(text.as_bytes()) {
            Ok(httparse::Status::Complete(len)) if len == text.len() => {}
            _ => return Err(HandshakeError::Malformed),
        }
        let (version, status) = (response.version, response.code.ok_or(HandshakeError::Malformed)?);
        let spans = Headers::spans(&text, response.headers)?;
        let headers = Headers::new(text, spans);
        if status != 101 {
            let retry_after_s = headers.get("retry-after").and_then(|value| value.parse().ok());
            return Err(HandshakeError::Refused { status, retry_after_s });
        }
        if version != Some(1) {
            return Err(HandshakeError::Malformed);
        }
        self.agree(&headers).map(Some)
    }

    fn agree(&self, headers: &Headers) -> Result<Accepted, HandshakeError> {
        if !headers.lists("upgrade", "websocket") {
            return Err(HandshakeError::Field("Upgrade"));
        }
        if !headers.lists("connection", "upgrade") {
            return Err(HandshakeError::Field("Connection"));
        }
        if headers.unique("sec-websocket-accept") != Ok(Some(&*self.accept)) {
            return Err(HandshakeError::Field("Sec-WebSocket-Accept"));
        }
        if headers.get("sec-websocket-extensions").is_some() {
            return Err(HandshakeError::Field("Sec-WebSocket-Extensions"));
        }
        let chosen = headers.unique("sec-websocket-protocol");
        let chosen = chosen.map_err(|_| HandshakeError::Field("Sec-WebSocket-Protocol"))?;
        if chosen.is_some_and(|chosen| !self.protocols.iter().any(|offered| **offered == *chosen)) {
            return Err(HandshakeError::Field("Sec-WebSocket-Protocol"));
        }
        Ok(Accepted { protocol: chosen.map(Box::from) })
    }
}

/// Appends a client's text frame.
pub fn text_into(out: &mut Vec<u8>, mask: [u8; 4], payload: &str) {
    append(out, OpCode::Data(Data::Text), true, Some(mask), payload.as_bytes());
}

/// Appends a client's Ping. Of `payload` the first 125 bytes are sent.
pub fn ping_into(out: &mut Vec<u8>, mask: [u8; 4], payload: &[u8]) {
    append_control(out, Control::Ping, Some(mask), payload);
}

/// Appends a client's Pong, which repeats the payload of the Ping that it answers.
pub fn pong_into(out: &mut Vec<u8>, mask: [u8; 4], payload: &[u8]) {
    append_control(out, Control::Pong, Some(mask), payload);
}

/// Appends a client's Close. `reason` is cut to 123 bytes between characters.
pub fn close_into(out: &mut Vec<u8>, mask: [u8; 4], code: u16, reason: &str) {
    append_close(out, Some(mask), code, reason);
}

#[cfg(test)]
mod tests {
    use super::super::http::{Progress, RequestReader};
    use super::super::{Frame, Message, Reader, Role, Upgrade, WebSocketLimits};
    use super::*;
    use crate::time::Instant;

    const REQUEST: HandshakeRequest<'_> = HandshakeRequest {
        host: "example.com:8080",
        target: "/ws?token=x",
        key: *b"the sample nonce",
        protocols: &["tidings.v1", "tidings.bearer.x"],
        headers: &[("Origin", "http://example.com")],
    };

    /// What the client makes of an answer with `fields` in the example's exchange.
    fn answer(fields: &str) -> Result<Option<Accepted>, HandshakeError> {
        let mut handshake = Handshake::start(&REQUEST, &mut Vec::new()).unwrap();
        let text = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
        handshake.receive(&mut text.as_bytes())
    }

    #[test]
    fn our_client_and_our_server_agree() {
        let mut request = Vec::new();
        let mut handshake = Handshake::start(&REQUEST, &mut request).unwrap();
        let mut server = RequestReader::new(HttpLimits::default());
        let Ok(Progress::Head(head)) = server.receive(&mut request.as_slice()) else { panic!() };
        assert_eq!((head.host(), head.query()), (Some("example.com:8080"), Some("token=x")));
        let upgrade = Upgrade::parse(&head).unwrap().unwrap();
        assert_eq!(upgrade.protocols(), REQUEST.protocols);
        let mut response = Vec::new();
        upgrade.accept(Some("tidings.v1"), &mut response);
        response.extend_from_slice(Frame::text("hi").bytes());

        let (last, first) = response.split_at(response.len() - 4);
        for byte in last.split_last().unwrap().1 {
            assert_eq!(handshake.receive(&mut [*byte].as_slice()), Ok(None));
        }
        let bytes = [&last[last.len() - 1..], first].concat();
        let mut input = bytes.as_slice();
        let accepted = Accepted { protocol: Some("tidings.v1".into()) };
        assert_eq!(handshake.receive(&mut input), Ok(Some(accepted)));
        let message = Reader::new(Role::Client).next(&WebSocketLimits::default(), Instant::ZERO, &mut input);
        assert_eq!(message, Ok(Some(Message::Text("hi".into()))));
    }

    #[test]
    fn no_debug_form_shows_a_token() {
        let request = HandshakeRequest {
            target: "/ws?token=hush",
            protocols: &["tidings.bearer.hush"],
            headers: &[("Authorization", "Bearer hush")],
            ..REQUEST
        };
        let shown = format!("{request:?} {:?}", Handshake::start(&request, &mut Vec::new()).unwrap());
        assert!(shown.contains("example.com") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn an_answer_that_does_not_agree_is_refused() {
        let upgrade = "Upgrade: websocket\r\n";
        let connection = "Connection: keep-alive, upgrade\r\n";
        let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        let all = [upgrade, connection, accept].concat();
        assert_eq!(answer(&all), Ok(Some(Accepted { protocol: None })));
        for (fields, name) in [
            ([connection, accept].concat(), "Upgrade"),
            ([upgrade, accept].concat(), "Connection"),
            ([upgrade, connection].concat(), "Sec-WebSocket-Accept"),
            ([&all, accept].concat(), "Sec-WebSocket-Accept"),
            (all.replace("s3p", "S3p"), "Sec-WebSocket-Accept"),
            (format!("{all}Sec-WebSocket-Extensions: permessage-deflate\r\n"), "Sec-WebSocket-Extensions"),
            (format!("{all}Sec-WebSocket-Protocol: other\r\n"), "Sec-WebSocket-Protocol"),
        ] {
            assert_eq!(answer(&fields), Err(HandshakeError::Field(name)));
        }
    }

    #[test]
    fn a_refusal_says_its_status_and_when_to_come_back() {
        let mut handshake = Handshake::start(&REQUEST, &mut Vec::new()).unwrap();
        let mut input = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n\r\n".as_slice();
        let refused = HandshakeError::Refused { status: 503, retry_after_s: Some(7) };
        assert_eq!(handshake.receive(&mut input), Err(refused));
        for text in ["SSH-2.0-x\r\n\r\n", "HTTP/1.0 101 x\r\n\r\n", "HTTP/1.1 101 x\n"] {
            let mut handshake = Handshake::start(&REQUEST, &mut Vec::new()).unwrap();
            assert_eq!(handshake.receive(&mut text.as_bytes()), Err(HandshakeError::Malformed), "{text}");
        }
        let mut handshake = Handshake::start(&REQUEST, &mut Vec::new()).unwrap();
        let endless = [b'a'; 20_000];
        assert_eq!(handshake.receive(&mut endless.as_slice()), Err(HandshakeError::Malformed));
    }

    #[test]
    fn a_request_that_would_break_out_of_its_line_is_not_sent() {
        for (request, part) in [
            (HandshakeRequest { host: "a\r\nb", ..REQUEST }, "host"),
            (HandshakeRequest { target: "/ a", ..REQUEST }, "target"),
            (HandshakeRequest { target: "a", ..REQUEST }, "target"),
            (HandshakeRequest { protocols: &["a, b"], ..REQUEST }, "subprotocol"),
            (HandshakeRequest { headers: &[("A", "b\nc")], ..REQUEST }, "header field"),
        ] {
            let mut out = Vec::new();
            let error = Handshake::start(&request, &mut out).map(|_| ()).unwrap_err();
            assert_eq!((error, out.len()), (HandshakeError::Request(part), 0));
        }
    }

    #[test]
    fn a_servers_reader_reads_what_a_client_writes() {
        let (mask, mut out) = ([1, 2, 3, 4], Vec::new());
        text_into(&mut out, mask, "grüße");
        ping_into(&mut out, mask, b"p");
        pong_into(&mut out, mask, b"");
        close_into(&mut out, mask, 1000, "bye");
        let (mut reader, mut input) = (Reader::new(Role::Server), out.as_slice());
        let mut next =
            || reader.next(&WebSocketLimits::default(), Instant::ZERO, &mut input).unwrap().unwrap();
        assert_eq!(next(), Message::Text("grüße".into()));
        assert_eq!(next(), Message::Ping(b"p".as_slice().into()));
        assert_eq!(next(), Message::Pong(b"".as_slice().into()));
        let Message::Close(Some(close)) = next() else { panic!() };
        assert_eq!((close.code, &*close.reason), (1000, "bye"));
    }
}
