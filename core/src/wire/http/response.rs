//! Responses as bytes: status line, fields, and a body whose end the client can find. A field's value
//! cannot end its line.

use std::borrow::Cow;
use std::io::Write as _;

use serde_json::{Map, Value};

use super::Version;
use crate::time::UnixTime;

/// What of a request shapes its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The client's version: HTTP/1.0 knows no chunks.
    pub version: Version,
    /// Whether the body stays unsent (`HEAD`).
    pub head_only: bool,
    /// Whether the connection stays open behind the response.
    pub keep_alive: bool,
}

impl ReplyTo {
    /// The reply to a request that could not be read: the connection closes behind it.
    pub const CLOSE: Self = Self { version: Version::Http11, head_only: false, keep_alive: false };

    /// The same reply, with the connection closing behind it.
    #[must_use]
    pub const fn closing(self) -> Self {
        Self { keep_alive: false, ..self }
    }
}

/// How the parts of a streamed body are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFraming {
    /// In chunks (RFC 9112 §7.1).
    Chunked,
    /// Plain; the end of the connection ends the body. For HTTP/1.0.
    UntilClose,
    /// The client asked for the head only: no part is sent.
    HeadOnly,
}

impl StreamFraming {
    /// Appends one part. An empty part is no part: as a chunk it would end the body.
    pub fn part(self, out: &mut Vec<u8>, payload: &[u8]) {
        match self {
            _ if payload.is_empty() => {}
            Self::HeadOnly => {}
            Self::UntilClose => out.extend_from_slice(payload),
            Self::Chunked => {
                append(out, format_args!("{:x}\r\n", payload.len()));
                out.extend_from_slice(payload);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Appends the end of the body.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self == Self::Chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

/// A response before it is bytes.
///
/// `Content-Length`, `Transfer-Encoding`, `Connection` and `Date` are the encoder's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Vec<u8>,
}

impl Response {
    /// A response without a body. `status` is 200 to 599; `101` is [`Upgrade::accept`]'s.
    ///
    /// [`Upgrade::accept`]: crate::wire::Upgrade::accept
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A response with a body of that media type.
    #[must_use]
    pub fn with_body(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let mut response = Self::new(status).header("Content-Type", content_type);
        response.body = body.into();
        response
    }

    /// An RFC 9457 problem: `type`, `title`, `status`, `detail`, `code`, and the members of `extra`.
    #[must_use]
    pub fn problem(status: u16, code: &str, detail: &str, extra: &[(&str, Value)]) -> Self {
        let mut members = Map::new();
        members.insert("type".into(), "about:blank".into());
        members.insert("title".into(), reason(status).into());
        members.insert("status".into(), status.into());
        members.insert("detail".into(), detail.into());
        members.insert("code".into(), code.into());
        members.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Self::with_body(status, "application/problem+json", Value::Object(members).to_string())
    }

    /// The same response with one more field. Control characters in `value` become spaces.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        debug_assert!(super::headers::is_token(name));
        debug_assert!(!matches!(name, "Content-Length" | "Transfer-Encoding" | "Connection" | "Date"));
        let value = value.into();
        let clean = if value.contains(|letter: char| letter.is_control()) {
            Cow::Owned(value.replace(|letter: char| letter.is_control(), " "))
        } else {
            value
        };
        self.headers.push((name, clean));
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Appends the whole response.
    pub fn encode(&self, to: ReplyTo, now: UnixTime, out: &mut Vec<u8>) {
        let bodiless = matches!(self.status, 204 | 304);
        self.start(to, to.keep_alive, now, out);
        if !bodiless {
            append(out, format_args!("Content-Length: {}\r\n", self.body.len()));
        }
        out.extend_from_slice(b"\r\n");
        if !bodiless && !to.head_only {
            out.extend_from_slice(&self.body);
        }
    }

    /// Appends the head of a response whose body follows in parts, framed as the result says. For
    /// HTTP/1.0 the connection closes behind the body, whatever the client asked for.
    pub fn encode_stream(&self, to: ReplyTo, now: UnixTime, out: &mut Vec<u8>) -> StreamFraming {
        debug_assert!(self.body.is_empty());
        let chunked = to.version == Version::Http11;
        self.start(to, to.keep_alive && (chunked || to.head_only), now, out);
        if chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        out.extend_from_slice(b"\r\n");
        match (to.head_only, chunked) {
            (true, _) => StreamFraming::HeadOnly,
            (false, true) => StreamFraming::Chunked,
            (false, false) => StreamFraming::UntilClose,
        }
    }

    fn start(&self, to: ReplyTo, keep_alive: bool, now: UnixTime, out: &mut Vec<u8>) {
        append(out, format_args!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)));
        append(out, format_args!("Date: {}\r\n", imf_fixdate(now)));
        for (name, value) in &self.headers {
            append(out, format_args!("{name}: {value}\r\n"));
        }
        let stays = match (keep_alive, to.version) {
            (false, _) => Some("close"),
            (true, Version::Http10) => Some("keep-alive"),
            (true, Version::Http11) => None,
        };
        // RFC 9110 §7.8: whoever sends `Upgrade` names it in `Connection`.
        let upgrade = self.headers.iter().any(|(name, _)| *name == "Upgrade").then_some("Upgrade");
        match (stays, upgrade) {
            (Some(stays), Some(upgrade)) => append(out, format_args!("Connection: {stays}, {upgrade}\r\n")),
            (Some(only), None) | (None, Some(only)) => append(out, format_args!("Connection: {only}\r\n")),
            (None, None) => {}
        }
    }
}

fn append(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a Vec takes every byte");
}

/// The reason phrase of RFC 9110 §15.
#[must_use]
pub const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

/// The time as RFC 9110 §5.6.7 writes it, as in `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn imf_fixdate(at: UnixTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let at = time::OffsetDateTime::from_unix_timestamp(at.as_secs())
        .ok()
        .filter(|at| (0..=9999).contains(&at.year()))
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let day = DAYS.get(usize::from(at.weekday().number_days_from_monday())).unwrap_or(&"Mon");
    let month = MONTHS.get(usize::from(u8::from(at.month())) - 1).unwrap_or(&"Jan");
    format!(
        "{day}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
        at.day(),
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(784_111_777);
    const KEEP: ReplyTo = ReplyTo { version: Version::Http11, head_only: false, keep_alive: true };

    fn text(response: &Response, to: ReplyTo) -> String {
        let mut out = Vec::new();
        response.encode(to, NOW, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_imf_fixdates() {
        assert_eq!(imf_fixdate(NOW), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(imf_fixdate(UnixTime::from_secs(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(imf_fixdate(UnixTime::from_millis(i64::MAX)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(imf_fixdate(UnixTime::from_millis(i64::MIN)), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn a_response_has_date_length_and_body() {
        let response = Response::with_body(200, "text/plain", "hi").header("Allow", "GET");
        assert_eq!(
            text(&response, KEEP),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n\
             Allow: GET\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert!(text(&Response::new(404), KEEP).ends_with("Content-Length: 0\r\n\r\n"));
    }

    #[test]
    fn the_connection_field_says_what_the_client_would_not_assume() {
        assert!(text(&Response::new(200), KEEP.closing()).contains("\r\nConnection: close\r\n"));
        assert!(!text(&Response::new(200), KEEP).contains("Connection"));
        let old = ReplyTo { version: Version::Http10, ..KEEP };
        assert!(text(&Response::new(200), old).contains("\r\nConnection: keep-alive\r\n"));
    }

    #[test]
    fn an_offer_to_upgrade_is_named_in_the_one_connection_field() {
        let response = Response::new(426).header("Upgrade", "websocket");
        let connection = |to: ReplyTo| {
            let text = text(&response, to);
            let lines: Vec<&str> =
                text.lines().filter_map(|line| line.strip_prefix("Connection: ")).collect();
            lines.join(" | ")
        };
        assert_eq!(connection(KEEP), "Upgrade");
        assert_eq!(connection(KEEP.closing()), "close, Upgrade");
        assert_eq!(connection(ReplyTo { version: Version::Http10, ..KEEP }), "keep-alive, Upgrade");
    }

    #[test]
    fn head_keeps_the_length_and_drops_the_body() {
        let head = text(&Response::with_body(200, "text/plain", "hi"), ReplyTo { head_only: true, ..KEEP });
        assert!(head.ends_with("Content-Length: 2\r\n\r\n"));
    }

    #[test]
    fn no_content_has_no_length() {
        for status in [204, 304] {
            assert!(!text(&Response::new(status), KEEP).contains("Content-Length"));
        }
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let response = Response::new(200).header("X", "a\r\nSet-Cookie: b\0".to_owned());
        assert!(text(&response, KEEP).contains("\r\nX: a  Set-Cookie: b \r\n"));
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let problem = Response::problem(409, "conflict", "seen \"before\"", &[("id", "e1".into())]);
        let out = text(&problem, KEEP);
        assert!(out.contains("\r\nContent-Type: application/problem+json\r\n"));
        let body: Value = serde_json::from_str(out.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let expected = serde_json::json!({
            "type": "about:blank", "title": "Conflict", "status": 409, "detail": "seen \"before\"",
            "code": "conflict", "id": "e1"
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_stream_is_chunked_in_http_1_1_and_ends_with_the_connection_in_1_0() {
        let response = Response::new(200).header("Content-Type", "text/event-stream");
        let mut out = Vec::new();
        let framing = response.encode_stream(KEEP, NOW, &mut out);
        framing.part(&mut out, b"");
        framing.part(&mut out, b"data: 0123456\n\n");
        framing.finish(&mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.ends_with("Transfer-Encoding: chunked\r\n\r\nf\r\ndata: 0123456\n\n\r\n0\r\n\r\n"));

        let mut out = Vec::new();
        let framing = response.encode_stream(ReplyTo { version: Version::Http10, ..KEEP }, NOW, &mut out);
        framing.part(&mut out, b"x");
        framing.finish(&mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.ends_with("Connection: close\r\n\r\nx"));
        assert!(!out.contains("Transfer-Encoding"));

        let mut out = Vec::new();
        let framing = response.encode_stream(ReplyTo { head_only: true, ..KEEP }, NOW, &mut out);
        let head = out.len();
        framing.part(&mut out, b"x");
        framing.finish(&mut out);
        assert_eq!((framing, out.len()), (StreamFraming::HeadOnly, head));
    }
}
