//! A request head as a value that can only be right: every rule by which two readers could differ about
//! where a request ends or whom it addresses (RFC 9112 §3, §6, §11.2) is checked while it is built.

use super::headers::{Headers, Span};
use super::target::{Target, is_authority};
use super::{HttpError, HttpLimits, ReplyTo};

/// A request's method (RFC 9110 §9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Any other token, `TRACE` included; [`RequestHead::method_name`] has its text.
    Other,
}

/// The version of a request, which decides what its reply may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunks, no upgrade, closes unless asked.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How the end of a request's body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body: no length was given, or it is zero.
    Empty,
    /// A body of that many bytes, at least one.
    Length(u64),
    /// Chunks with their own lengths.
    Chunked,
}

/// One request without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    headers: Headers,
    method: Method,
    method_name: Span,
    path: Option<Span>,
    query: Option<Span>,
    host: Option<Span>,
    version: Version,
    framing: Framing,
    keep_alive: bool,
    expect_continue: bool,
}

impl RequestHead {
    /// Reads a whole head, its empty line included.
    pub(super) fn parse(limits: &HttpLimits, bytes: Vec<u8>) -> Result<Self, HttpError> {
        let text: Box<str> = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
            .into();
        let mut fields = vec![httparse::EMPTY_HEADER; limits.fields_max];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(text.as_bytes()) {
            Ok(httparse::Status::Complete(len)) if len == text.len() => {}
            Ok(_) => return Err(HttpError::RequestLine),
            Err(error) => return Err(fault(limits, error, &text)),
        }
        let version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
        let name = request.method.ok_or(HttpError::RequestLine)?;
        let method = method(name)?;
        let target = Target::parse(method, request.path.ok_or(HttpError::RequestLine)?)?;
        let span = |part: &str| Span::of(&text, part.as_bytes());
        // An absolute target without a path stands for `/`, which is no part of the text.
        let path = if target.path == "/" { None } else { Some(span(target.path)?) };
        let (method_name, query) = (span(name)?, target.query.map(span).transpose()?);
        let authority = target.authority.map(span).transpose()?;

        // Parsed fields borrow from `text`; the spans outlive its move.
        let spans = Headers::spans(&text, request.headers)?;
        let headers = Headers::new(text, spans);
        let host = host(&headers, version, authority)?;
        Ok(Self {
            method,
            method_name,
            path,
            query,
            host,
            version,
            framing: framing(&headers, version)?,
            keep_alive: keep_alive(&headers, version),
            expect_continue: expect_continue(&headers, version)?,
            headers,
        })
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The method as it was sent.
    #[must_use]
    pub fn method_name(&self) -> &str {
        self.method_name.get(self.headers.text())
    }

    /// The path, still percent-encoded: begins with `/`, or is `*` for `OPTIONS *`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.map_or("/", |path| path.get(self.headers.text()))
    }

    /// What follows the first `?` of the target, still percent-encoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.map(|query| query.get(self.headers.text()))
    }

    /// The authority that the request addresses, as `host` or `host:port`; only HTTP/1.0 may lack it.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.map(|host| host.get(self.headers.text()))
    }

    /// The version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The fields.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// How the body's end is found.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the client wants the connection to stay open after the response.
    #[must_use]
    pub const fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    #[must_use]
    pub const fn expect_continue(&self) -> bool {
        self.expect_continue
    }

    /// What of this request shapes its response.
    #[must_use]
    pub fn reply_to(&self) -> ReplyTo {
        ReplyTo { version: self.version, head_only: self.method == Method::Head, keep_alive: self.keep_alive }
    }
}

fn fault(limits: &HttpLimits, error: httparse::Error, text: &str) -> HttpError {
    match error {
        httparse::Error::TooManyHeaders => HttpError::TooManyFields(limits.fields_max),
        httparse::Error::HeaderName | httparse::Error::HeaderValue => HttpError::Field,
        httparse::Error::Version if names_a_version(text) => HttpError::Version,
        _ => HttpError::RequestLine,
    }
}

/// Whether the first line ends in `HTTP/digit.digit`: another version rather than something malformed.
fn names_a_version(text: &str) -> bool {
    let line = text.split("\r\n").next().unwrap_or_default();
    let version = line.rsplit(' ').next().and_then(|last| last.strip_prefix("HTTP/"));
    version.is_some_and(|version| matches!(version.as_bytes(), [b'0'..=b'9', b'.', b'0'..=b'9']))
}

fn method(name: &str) -> Result<Method, HttpError> {
    Ok(match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        // Its target has a form of its own, and what follows it is not HTTP.
        "CONNECT" => return Err(HttpError::NotImplemented),
        _ => Method::Other,
    })
}

/// RFC 9112 §3.2: exactly one `Host` in HTTP/1.1, and no other than the target's own authority.
fn host(headers: &Headers, version: Version, authority: Option<Span>) -> Result<Option<Span>, HttpError> {
    let Some(host) = headers.unique("host").map_err(|_| HttpError::Host)? else {
        let absent_allowed = version == Version::Http10 && authority.is_none();
        return if absent_allowed { Ok(None) } else { Err(HttpError::Host) };
    };
    if !is_authority(host) {
        return Err(HttpError::Host);
    }
    if authority.is_some_and(|authority| !authority.get(headers.text()).eq_ignore_ascii_case(host)) {
        return Err(HttpError::Host);
    }
    Span::of(headers.text(), host.as_bytes()).map(Some)
}

/// RFC 9112 §6.3, with every case refused that it leaves to the recipient.
fn framing(headers: &Headers, version: Version) -> Result<Framing, HttpError> {
    let length = headers.unique("content-length").map_err(|_| HttpError::ContentLength)?;
    if let Some(coding) = headers.get("transfer-encoding") {
        if length.is_some() || version == Version::Http10 {
            return Err(HttpError::TransferEncoding);
        }
        if headers.get_all("transfer-encoding").count() == 1 && coding.eq_ignore_ascii_case("chunked") {
            return Ok(Framing::Chunked);
        }
        let mut codings: Vec<&str> = headers.list("transfer-encoding").collect();
        let chunked_last = codings.pop().is_some_and(|last| last.eq_ignore_ascii_case("chunked"));
        let chunked_before = codings.iter().any(|coding| coding.eq_ignore_ascii_case("chunked"));
        // The length is certain then, only the coding inside the chunks is unknown.
        let certain = chunked_last && !chunked_before && !codings.is_empty();
        return Err(if certain { HttpError::NotImplemented } else { HttpError::TransferEncoding });
    }
    let Some(length) = length else { return Ok(Framing::Empty) };
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HttpError::ContentLength);
    }
    match length.parse() {
        Ok(0) => Ok(Framing::Empty),
        Ok(length) => Ok(Framing::Length(length)),
        Err(_) => Err(HttpError::ContentLength),
    }
}

fn keep_alive(headers: &Headers, version: Version) -> bool {
    let close = headers.lists("connection", "close");
    !close && (version == Version::Http11 || headers.lists("connection", "keep-alive"))
}

/// RFC 9110 §10.1.1: an expectation in HTTP/1.0 is ignored.
fn expect_continue(headers: &Headers, version: Version) -> Result<bool, HttpError> {
    let mut expectations = headers.get_all("expect").peekable();
    if expectations.peek().is_none() || version == Version::Http10 {
        return Ok(false);
    }
    if expectations.all(|expectation| expectation.eq_ignore_ascii_case("100-continue")) {
        Ok(true)
    } else {
        Err(HttpError::Expectation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RequestHead, HttpError> {
        RequestHead::parse(&HttpLimits::default(), text.as_bytes().to_vec())
    }

    fn get(fields: &str) -> Result<RequestHead, HttpError> {
        parse(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }

    #[test]
    fn a_head_gives_its_parts() {
        let head = parse("POST /v1/events?x=%20 HTTP/1.1\r\nHost: h:80\r\nA:  b c \r\na: d\r\n\r\n").unwrap();
        assert_eq!((head.method(), head.method_name()), (Method::Post, "POST"));
        assert_eq!((head.path(), head.query()), ("/v1/events", Some("x=%20")));
        assert_eq!((head.host(), head.version()), (Some("h:80"), Version::Http11));
        assert_eq!(head.headers().get("A"), Some("b c"));
        assert_eq!(head.headers().get_all("a").collect::<Vec<_>>(), ["b c", "d"]);
        assert!(head.headers().unique("a").is_err());
        assert_eq!(head.headers().unique("absent"), Ok(None));
        assert!(head.keep_alive());
    }

    #[test]
    fn list_fields_are_folded_over_their_lines() {
        let head = get("Connection: keep-alive , , x\r\nconnection:UPGRADE\r\n").unwrap();
        assert_eq!(head.headers().list("connection").collect::<Vec<_>>(), ["keep-alive", "x", "UPGRADE"]);
        assert!(head.headers().lists("Connection", "upgrade"));
    }

    #[test]
    fn a_request_without_a_length_has_no_body() {
        assert_eq!(parse("POST / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().framing(), Framing::Empty);
        assert_eq!(get("Content-Length: 0\r\n").unwrap().framing(), Framing::Empty);
    }

    #[test]
    fn any_method_may_have_a_framed_body() {
        for method in ["GET", "HEAD", "DELETE", "PUT", "TRACE"] {
            let head =
                parse(&format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n")).unwrap();
            assert_eq!(head.framing(), Framing::Length(7));
        }
        assert_eq!(get("Transfer-Encoding: CHUNKED\r\n").unwrap().framing(), Framing::Chunked);
    }

    #[test]
    fn a_length_that_two_readers_could_read_differently_is_refused() {
        for value in ["5, 5", "+5", "-5", "", "5 5", "0x5", "5,", "18446744073709551616", "٥"] {
            assert_eq!(
                get(&format!("Content-Length: {value}\r\n")),
                Err(HttpError::ContentLength),
                "{value}"
            );
        }
        let twice = get("Content-Length: 5\r\ncontent-length: 5\r\n");
        assert_eq!(twice, Err(HttpError::ContentLength));
    }

    #[test]
    fn a_coding_other_than_chunked_is_refused() {
        for fields in [
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked;a=b\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: , chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\n",
        ] {
            assert_eq!(get(fields), Err(HttpError::TransferEncoding), "{fields}");
        }
        assert_eq!(get("Transfer-Encoding: gzip, chunked\r\n"), Err(HttpError::NotImplemented));
        let old = parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(old, Err(HttpError::TransferEncoding));
    }

    #[test]
    fn the_host_is_one_valid_and_the_targets_own() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a, b@c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.0\r\n\r\n",
        ] {
            assert_eq!(parse(text), Err(HttpError::Host), "{text}");
        }
        let absolute = parse("GET http://A:1?q HTTP/1.1\r\nHost: a:1\r\n\r\n").unwrap();
        assert_eq!((absolute.path(), absolute.query(), absolute.host()), ("/", Some("q"), Some("a:1")));
        assert_eq!(parse("GET / HTTP/1.0\r\n\r\n").unwrap().host(), None);
        assert_eq!(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().path(), "*");
    }

    #[test]
    fn malformed_fields_are_refused() {
        for fields in [
            "A : b\r\n",
            " A: b\r\n",
            "A: b\r\n c\r\n",
            "A: b\r\n\tc\r\n",
            ": b\r\n",
            "A\r\n",
            "A\u{e9}: b\r\n",
        ] {
            assert_eq!(get(fields), Err(HttpError::Field), "{fields:?}");
        }
        assert_eq!(get(&"A: b\r\n".repeat(63)).map(|head| head.headers().iter().count()), Ok(64));
        assert_eq!(get(&"A: b\r\n".repeat(64)), Err(HttpError::TooManyFields(64)));
    }

    #[test]
    fn malformed_request_lines_are_refused() {
        for line in [
            "GET",
            "GET /",
            "GET / HTTP/1.1 ",
            "GET  / HTTP/1.1",
            "GET / http/1.1",
            "GET / HTTP/1",
            " GET / HTTP/1.1",
            "G(T / HTTP/1.1",
        ] {
            assert_eq!(parse(&format!("{line}\r\nHost: a\r\n\r\n")), Err(HttpError::RequestLine), "{line}");
        }
        assert_eq!(parse("GET a HTTP/1.1\r\nHost: a\r\n\r\n"), Err(HttpError::Target));
        assert_eq!(parse("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"), Err(HttpError::NotImplemented));
    }

    #[test]
    fn another_version_is_named_as_such() {
        for line in ["PRI * HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9"] {
            assert_eq!(parse(&format!("{line}\r\n\r\n")), Err(HttpError::Version), "{line}");
        }
    }

    #[test]
    fn the_connection_stays_open_by_version_and_wish() {
        assert!(!get("Connection: Close\r\n").unwrap().keep_alive());
        assert!(!get("Connection: keep-alive, close\r\n").unwrap().keep_alive());
        assert!(!parse("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive());
        assert!(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").unwrap().keep_alive());
    }

    #[test]
    fn only_100_continue_may_be_expected() {
        assert!(get("Expect: 100-continue\r\n").unwrap().expect_continue());
        assert_eq!(get("Expect: 200-ok\r\n"), Err(HttpError::Expectation));
        assert!(!parse("GET / HTTP/1.0\r\nExpect: x\r\n\r\n").unwrap().expect_continue());
    }

    #[test]
    fn a_value_that_is_not_utf_8_is_kept_as_replacement_characters() {
        let head = RequestHead::parse(
            &HttpLimits::default(),
            b"GET / HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\nY: z\r\n\r\n".to_vec(),
        )
        .unwrap();
        assert_eq!(head.headers().get("x"), Some("caf\u{fffd}"));
        assert_eq!(head.headers().get("y"), Some("z"));
    }
}
