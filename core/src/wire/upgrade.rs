//! The server's side of the opening handshake (RFC 6455 §4.2). Fields that stand in several lines are
//! folded before they are judged, so that a split `Connection` passes and two keys do not.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use thiserror::Error;
use tungstenite::handshake::derive_accept_key;

use super::http::{Framing, Method, RequestHead, Response, Version};

/// Subprotocols that a client may offer.
const PROTOCOLS_MAX: usize = 16;

/// RFC 6455 asks for 16 bytes behind the key, not for one spelling of them: unused bits may be set.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// A request that asks for a WebSocket and may have one. A subprotocol may carry a token, so the debug form
/// counts them only.
#[derive(Clone, PartialEq, Eq)]
pub struct Upgrade<'head> {
    key: &'head str,
    protocols: Vec<&'head str>,
}

impl fmt::Debug for Upgrade<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upgrade({} subprotocols)", self.protocols.len())
    }
}

/// A request that asks for a WebSocket and must not have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UpgradeError {
    /// The request is not a GET in HTTP/1.1 without a body.
    #[error("a WebSocket is opened by GET in HTTP/1.1 without a body")]
    Request,
    /// `Connection` does not list `Upgrade`.
    #[error("the Connection field must list Upgrade")]
    Connection,
    /// `Sec-WebSocket-Key` is missing, repeated, or not 16 bytes in base64.
    #[error("the request needs exactly one Sec-WebSocket-Key of 16 bytes in base64")]
    Key,
    /// `Sec-WebSocket-Version` is not 13.
    #[error("only WebSocket version 13 is spoken here")]
    Version,
    /// `Sec-WebSocket-Protocol` lists something that is not a token, or too much.
    #[error("Sec-WebSocket-Protocol must list at most {PROTOCOLS_MAX} tokens")]
    Protocols,
}

impl UpgradeError {
    /// A stable name for metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Request => "upgrade_request",
            Self::Connection => "upgrade_connection",
            Self::Key => "upgrade_key",
            Self::Version => "upgrade_version",
            Self::Protocols => "upgrade_protocols",
        }
    }

    /// The problem document that answers it, to be encoded for [`ReplyTo::CLOSE`](super::http::ReplyTo::CLOSE):
    /// 426 for another version, else 400.
    #[must_use]
    pub fn response(self) -> Response {
        let status = if self == Self::Version { 426 } else { 400 };
        let response = Response::problem(status, "invalid_message", &self.to_string(), &[]);
        match self {
            Self::Version => response.header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13"),
            _ => response,
        }
    }
}

impl<'head> Upgrade<'head> {
    /// What the request asks for; none where it does not ask for a WebSocket at all.
    ///
    /// # Errors
    /// [`UpgradeError`] where it asks for one and breaks a rule of RFC 6455 §4.2.1.
    pub fn parse(head: &'head RequestHead) -> Result<Option<Self>, UpgradeError> {
        let headers = head.headers();
        if !headers.lists("upgrade", "websocket") {
            return Ok(None);
        }
        let plain_get = head.method() == Method::Get && head.framing() == Framing::Empty;
        if !plain_get || head.version() != Version::Http11 {
            return Err(UpgradeError::Request);
        }
        if !headers.lists("connection", "upgrade") {
            return Err(UpgradeError::Connection);
        }
        if headers.unique("sec-websocket-version") != Ok(Some("13")) {
            return Err(UpgradeError::Version);
        }
        let Ok(Some(key)) = headers.unique("sec-websocket-key") else { return Err(UpgradeError::Key) };
        if key.len() != 24 || KEY_BASE64.decode(key).map_or(true, |bytes| bytes.len() != 16) {
            return Err(UpgradeError::Key);
        }
        let protocols: Vec<&str> = headers.list("sec-websocket-protocol").take(PROTOCOLS_MAX + 1).collect();
        if PROTOCOLS_MAX < protocols.len() || !protocols.iter().all(|name| super::http::is_token(name)) {
            return Err(UpgradeError::Protocols);
        }
        Ok(Some(Self { key, protocols }))
    }

    /// The subprotocols that the client offers, best first.
    #[must_use]
    pub fn protocols(&self) -> &[&'head str] {
        &self.protocols
    }

    /// Appends the 101 response, behind which both sides speak WebSocket. `protocol` is one of those
    /// offered, or none.
    pub fn accept(&self, protocol: Option<&str>, out: &mut Vec<u8>) {
        debug_assert!(protocol.is_none_or(|protocol| self.protocols.contains(&protocol)));
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        );
        out.extend_from_slice(derive_accept_key(self.key.as_bytes()).as_bytes());
        if let Some(protocol) = protocol.filter(|protocol| self.protocols.contains(protocol)) {
            out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
            out.extend_from_slice(protocol.as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::http::{HttpError, HttpLimits, Progress, ReplyTo, RequestReader};
    use super::super::{Message, Reader, Role, WebSocketLimits};
    use super::*;
    use crate::time::{Instant, UnixTime};

    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
    const FIELDS: &str = "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

    fn head(text: &str) -> Result<RequestHead, HttpError> {
        let mut reader = RequestReader::new(HttpLimits::default());
        match reader.receive(&mut text.as_bytes())? {
            Progress::Head(head) => Ok(head),
            other => panic!("{other:?}"),
        }
    }

    /// The 101 response to a GET with `fields`, or why there is none.
    fn upgrade(fields: &str) -> Result<String, UpgradeError> {
        let head = head(&format!("GET /ws HTTP/1.1\r\n{fields}\r\n")).unwrap();
        let upgrade = Upgrade::parse(&head)?.expect("an upgrade is asked for");
        let mut out = Vec::new();
        upgrade.accept(upgrade.protocols().first().copied(), &mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let response = upgrade(&format!("{FIELDS}{KEY}{VERSION}Sec-WebSocket-Protocol: chat, superchat\r\n"));
        assert_eq!(
            response.unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        );
    }

    #[test]
    fn a_request_without_upgrade_is_a_plain_one() {
        for fields in ["", "Connection: Upgrade\r\n", "Upgrade: h2c\r\nConnection: Upgrade\r\n"] {
            let head = head(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).unwrap();
            assert_eq!(Upgrade::parse(&head), Ok(None));
        }
    }

    #[test]
    fn fields_in_several_lines_and_any_case_are_folded() {
        let fields = format!(
            "host: a\r\nUPGRADE: h2c\r\nupgrade: WebSocket\r\nConnection: keep-alive\r\nconnection: x, UPGRADE\r\n\
             {KEY}{VERSION}sec-websocket-protocol: a\r\nSec-WebSocket-Protocol: b , c\r\n"
        );
        assert!(upgrade(&fields).unwrap().contains("Sec-WebSocket-Protocol: a\r\n"));
    }

    #[test]
    fn the_key_is_one_and_of_16_bytes() {
        for key in [
            String::new(),
            format!("{KEY}{KEY}"),
            "Sec-WebSocket-Key:\r\n".to_owned(),
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n".to_owned(),
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=\r\n".to_owned(),
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q==\r\n".to_owned(),
            "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n".to_owned(),
        ] {
            assert_eq!(upgrade(&format!("{FIELDS}{key}{VERSION}")), Err(UpgradeError::Key), "{key}");
        }
        let unused_bits = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n";
        assert!(upgrade(&format!("{FIELDS}{unused_bits}{VERSION}")).is_ok());
    }

    #[test]
    fn another_version_is_told_which_one_is_spoken() {
        for version in
            ["", "Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 13\r\nsec-websocket-version: 13\r\n"]
        {
            assert_eq!(upgrade(&format!("{FIELDS}{KEY}{version}")), Err(UpgradeError::Version), "{version}");
        }
        let mut out = Vec::new();
        UpgradeError::Version.response().encode(ReplyTo::CLOSE, UnixTime::default(), &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
        assert!(out.contains("\r\nSec-WebSocket-Version: 13\r\n"));
    }

    #[test]
    fn only_a_get_in_http_1_1_without_a_body_opens_a_websocket() {
        for (line, more) in [
            ("POST / HTTP/1.1", ""),
            ("HEAD / HTTP/1.1", ""),
            ("GET / HTTP/1.0", ""),
            ("GET / HTTP/1.1", "Content-Length: 1\r\n"),
            ("GET / HTTP/1.1", "Transfer-Encoding: chunked\r\n"),
        ] {
            let head = head(&format!("{line}\r\n{FIELDS}{KEY}{VERSION}{more}\r\n")).unwrap();
            assert_eq!(Upgrade::parse(&head), Err(UpgradeError::Request), "{line} {more}");
        }
        let without = format!("Host: a\r\nUpgrade: websocket\r\nConnection: keep-alive\r\n{KEY}{VERSION}");
        assert_eq!(upgrade(&without), Err(UpgradeError::Connection));
    }

    #[test]
    fn malformed_requests_do_not_get_this_far() {
        let host = head(&format!("GET / HTTP/1.1\r\nHost: b\r\n{FIELDS}{KEY}{VERSION}\r\n"));
        assert_eq!(host, Err(HttpError::Host));
        let bare = head(&format!("GET / HTTP/1.1\r\n{FIELDS}Sec-WebSocket-Version: 13\n{KEY}\r\n"));
        assert_eq!(bare, Err(HttpError::LineEnding));
        let folded =
            head(&format!("GET / HTTP/1.1\r\n{FIELDS}Connection: x,\r\n Upgrade\r\n{KEY}{VERSION}\r\n"));
        assert_eq!(folded, Err(HttpError::Field));
    }

    #[test]
    fn offered_subprotocols_are_tokens_and_few() {
        let offer =
            |list: &str| upgrade(&format!("{FIELDS}{KEY}{VERSION}Sec-WebSocket-Protocol: {list}\r\n"));
        assert!(offer(&["p"; 16].join(",")).is_ok());
        assert_eq!(offer(&["p"; 17].join(",")), Err(UpgradeError::Protocols));
        assert_eq!(offer("a b"), Err(UpgradeError::Protocols));
        assert!(offer("tidings.v1, tidings.bearer.eyJh-_.eyJz.c2ln").is_ok());
    }

    #[test]
    fn no_debug_form_shows_a_token() {
        let text = format!(
            "GET /ws?token=hush HTTP/1.1\r\n{FIELDS}{KEY}{VERSION}Authorization: Bearer hush\r\n\
             Cookie: session=hush\r\nSec-WebSocket-Protocol: tidings.v1, tidings.bearer.hush\r\n\r\n"
        );
        let head = head(&text).unwrap();
        let shown = format!("{head:?} {:?}", Upgrade::parse(&head).unwrap());
        assert!(shown.contains("Authorization") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn frames_behind_the_request_stay_for_the_websocket() {
        let mut bytes = format!("GET / HTTP/1.1\r\n{FIELDS}{KEY}{VERSION}\r\n").into_bytes();
        bytes.extend_from_slice(&[0x81, 0x81, 0, 0, 0, 0, b'x']);
        let (mut http, mut input) = (RequestReader::new(HttpLimits::default()), bytes.as_slice());
        assert!(matches!(http.receive(&mut input), Ok(Progress::Head(_))));
        let message = Reader::new(Role::Server).next(&WebSocketLimits::default(), Instant::ZERO, &mut input);
        assert_eq!(message, Ok(Some(Message::Text("x".into()))));
    }

    #[test]
    fn a_request_may_arrive_byte_by_byte() {
        let text = format!("GET / HTTP/1.1\r\n{FIELDS}{KEY}{VERSION}\r\n");
        let mut reader = RequestReader::new(HttpLimits::default());
        let (last, first) = text.as_bytes().split_last().unwrap();
        for byte in first {
            assert_eq!(reader.receive(&mut [*byte].as_slice()), Ok(Progress::NeedMore));
        }
        let Ok(Progress::Head(head)) = reader.receive(&mut [*last].as_slice()) else { panic!() };
        assert!(Upgrade::parse(&head).unwrap().is_some());
    }
}
