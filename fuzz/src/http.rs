//! Requests and responses over HTTP/1.1, as a plain client writes and reads them.

use serde_json::Value;

/// A request as bytes, with `Host`, and with `Content-Length` where there is a body.
#[must_use]
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: sim\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    [text.as_bytes(), body].concat()
}

/// A request whose body comes in chunks of at most `len` bytes (RFC 9112 §7.1).
pub(crate) fn chunked_request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    len: usize,
) -> Vec<u8> {
    let headers = [headers, &[("Transfer-Encoding", "chunked")]].concat();
    let mut bytes = request(method, target, &headers, b"");
    for chunk in body.chunks(len) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Response {
    /// Takes a response from the front of `input`; none where it is not whole.
    #[must_use]
    pub fn read(input: &mut &[u8]) -> Option<Self> {
        let (mut response, rest) = Self::read_head(input)?;
        let len = response.header("content-length").map_or(Some(0), |len| len.parse().ok())?;
        let (body, rest) = rest.split_at_checked(len)?;
        response.body = body.to_vec();
        *input = rest;
        Some(response)
    }

    /// Reads a head, and gives what stands behind it.
    pub(crate) fn read_head(input: &[u8]) -> Option<(Self, &[u8])> {
        let end = input.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&input[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.map(field).collect::<Option<_>>()?;
        Some((Self { status, headers, body: Vec::new() }, &input[end + 4..]))
    }

    /// All whole responses at the front of `bytes`.
    #[must_use]
    pub fn read_all(mut bytes: &[u8]) -> Vec<Self> {
        std::iter::from_fn(|| Self::read(&mut bytes)).collect()
    }

    /// The first field of that name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Responses out of bytes as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Responses(Vec<u8>);

impl Responses {
    /// Bytes have arrived; [`next`](Self::next) reads them.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next response; none until all of it has arrived.
    pub(crate) fn next(&mut self) -> Option<Response> {
        let mut left = self.0.as_slice();
        let response = Response::read(&mut left)?;
        let used = self.0.len() - left.len();
        self.0.drain(..used);
        Some(response)
    }
}
