//! Bytes of one direction of a connection to heads, frames and blocks, in the plainest way.

/// What stood in a stream of bytes, and at which step of the run its first byte came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit<T> {
    pub(super) begun: u64,
    pub(super) what: T,
}

/// A whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) opcode: u8,
    pub(super) fin: bool,
    pub(super) masked: bool,
    pub(super) payload: Vec<u8>,
    /// Bytes of it with its head.
    pub(super) len: usize,
}

/// Bytes that are not yet understood.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    taken: usize,
    /// When the first of them came.
    begun: u64,
}

impl Input {
    pub(super) fn push(&mut self, bytes: &[u8], step: u64) {
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            (self.taken, self.begun) = (0, step);
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Whether something began at `step` that is not yet understood.
    pub(super) fn begins(&self, step: u64) -> bool {
        self.begun == step && !self.rest().is_empty()
    }

    fn take(&mut self, len: usize, step: u64) -> (Vec<u8>, u64) {
        let taken = self.bytes[self.taken..self.taken + len].to_vec();
        self.taken += len;
        if 1 << 16 < self.taken {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        (taken, std::mem::replace(&mut self.begun, step))
    }

    /// A head of HTTP, with the empty line behind it.
    pub(super) fn head(&mut self, step: u64) -> Option<Unit<String>> {
        let end = head_end(self.rest())?;
        let (bytes, begun) = self.take(end, step);
        Some(Unit { begun, what: String::from_utf8_lossy(&bytes).into_owned() })
    }

    /// The head that comes next, without taking it.
    pub(super) fn next_head(&self) -> Option<String> {
        let end = head_end(self.rest())?;
        Some(String::from_utf8_lossy(&self.rest()[..end]).into_owned())
    }

    /// A request or a response, head and body, whose body has a length or comes in chunks.
    pub(super) fn whole(&mut self, step: u64) -> Option<(String, Vec<u8>)> {
        let head = self.next_head()?;
        let mut end = head_end(self.rest())?;
        let mut body = Vec::new();
        if field(&head, "transfer-encoding").is_some() {
            loop {
                let (len, text) = chunk_of(self.rest().get(end..)?)?;
                end += len;
                body.extend(text);
                if text.is_empty() {
                    break;
                }
            }
        } else {
            let len = field(&head, "content-length").map_or(Some(0), |len| len.parse().ok())?;
            body.extend(self.rest().get(end..end + len)?);
            end += len;
        }
        let _ = self.take(end, step);
        Some((head, body))
    }

    /// A chunk of a body; an empty one is the last.
    pub(super) fn chunk(&mut self, step: u64) -> Option<Unit<Vec<u8>>> {
        let (len, text) = chunk_of(self.rest())?;
        let what = text.to_vec();
        let (_, begun) = self.take(len, step);
        Some(Unit { begun, what })
    }

    /// A frame of RFC 6455 §5.2.
    pub(super) fn frame(&mut self, step: u64) -> Option<Unit<Frame>> {
        let rest = self.rest();
        let (first, second) = (*rest.first()?, *rest.get(1)?);
        let (len, mut head) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(rest.get(2..10)?.try_into().ok()?), 10),
            len => (u64::from(len), 2),
        };
        let masked = second & 0x80 != 0;
        let mask: [u8; 4] = if masked {
            head += 4;
            rest.get(head - 4..head)?.try_into().ok()?
        } else {
            [0; 4]
        };
        let len = usize::try_from(len).ok()?;
        if rest.len() - head < len {
            return None;
        }
        let (bytes, begun) = self.take(head + len, step);
        let payload = bytes[head..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        let (opcode, fin, len) = (first & 0x0f, first & 0xf0 == 0x80, bytes.len());
        let frame = Frame { opcode, fin, masked, payload, len };
        Some(Unit { begun, what: frame })
    }
}

/// Where the head at the front of `bytes` ends, with the empty line behind it.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4)
}

/// The chunk at the front of `bytes`: its bytes in all, and what it carries.
fn chunk_of(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let line = bytes.windows(2).position(|window| window == b"\r\n")?;
    let len = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?, 16).ok()?;
    let rest = &bytes[line + 2..];
    let text = rest.get(..len)?;
    rest.get(len..len + 2)?;
    Some((line + len + 4, text))
}

/// The value of a field of a head.
pub(super) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The token of a request's head, from the first place that has one (PROTOCOL §2).
pub(super) fn token(head: &str) -> Option<&str> {
    let bearer = field(head, "authorization").and_then(|value| value.strip_prefix("Bearer "));
    let protocol = || {
        let offered = field(head, "sec-websocket-protocol")?;
        offered.split(',').find_map(|one| one.trim().strip_prefix("tidings.bearer."))
    };
    bearer.or_else(protocol).or_else(|| parameter(head, "token"))
}

/// A query parameter of a request's head, as it stands there.
pub(super) fn parameter<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let target = head.split(' ').nth(1)?;
    let (_, query) = target.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value)
}

/// A percent-encoded value as text.
pub(super) fn decoded(value: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let hex =
            |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match byte {
            b'%' => match (hex(bytes.next()), hex(bytes.next())) {
                (Some(high), Some(low)) => out.push(high * 16 + low),
                _ => out.push(b'%'),
            },
            b'+' => out.push(b' '),
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_begins_with_its_first_byte_whenever_it_ends() {
        let mut input = Input::default();
        input.push(&[0x81, 3, b'a'], 1);
        assert_eq!(input.frame(1), None);
        input.push(&[b'b', b'c', 0x89], 2);
        let text = Frame { opcode: 1, fin: true, masked: false, payload: b"abc".to_vec(), len: 5 };
        assert_eq!(input.frame(2), Some(Unit { begun: 1, what: text }));
        input.push(&[0x80, 1, 1, 1, 1], 3);
        let ping = Frame { opcode: 9, fin: true, masked: true, payload: Vec::new(), len: 6 };
        assert_eq!(input.frame(3), Some(Unit { begun: 2, what: ping }));
    }

    #[test]
    fn heads_chunks_and_parameters_are_read() {
        let mut input = Input::default();
        input.push(b"GET /ws?a=1&token=t%2B%7D HTTP/1.1\r\nHost: x\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 1);
        let head = input.head(1).unwrap().what;
        assert_eq!(token(&head), Some("t%2B%7D"));
        assert_eq!(decoded(token(&head).unwrap()), "t+}");
        assert_eq!(field(&head, "HOST"), Some("x"));
        assert_eq!(input.chunk(1).unwrap().what, b"abc");
        assert_eq!(input.chunk(1).unwrap().what, b"");
        input.push(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", 2);
        assert_eq!(input.whole(2), None);
        input.push(b"cGET", 2);
        assert_eq!(input.whole(2).unwrap().1, b"abc");
        assert_eq!(input.rest(), b"GET");
    }

    #[test]
    fn a_body_in_chunks_is_whole_with_its_last_one() {
        let mut input = Input::default();
        input.push(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n", 1);
        assert_eq!(input.whole(1), None);
        input.push(b"\r\nGET", 1);
        assert_eq!(input.whole(1).unwrap().1, b"abcd");
        assert_eq!(input.rest(), b"GET");
    }
}
