//! Requests out of the bytes of one connection, one after another.
//!
//! The reader takes from the front of the caller's slice exactly what belongs to the current request;
//! pipelined requests, or the first WebSocket frames behind an upgrade, stay there. A body is read only
//! after the caller has accepted it, so that nothing is collected for a request that is not authorised.

use std::fmt;

use super::body::Body;
use super::{Framing, HeadScanner, HttpError, HttpLimits, RequestHead};

/// The interim response of RFC 9110 §15.2.1.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What the bytes so far amount to. The debug form has a body's length only.
#[derive(Clone, PartialEq, Eq)]
pub enum Progress {
    /// Everything that can be taken has been: more bytes are needed, or the decision about a body.
    NeedMore,
    /// A request. Where its framing is not [`Framing::Empty`] the reader takes nothing more before
    /// [`RequestReader::accept_body`] or [`RequestReader::refuse`].
    Head(RequestHead),
    /// The whole body that was accepted. The next request may follow.
    Body(Vec<u8>),
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedMore => f.write_str("NeedMore"),
            Self::Head(head) => f.debug_tuple("Head").field(head).finish(),
            Self::Body(body) => write!(f, "Body({} bytes)", body.len()),
        }
    }
}

/// What the reader waits for; deadlines depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// For a request to begin. Nothing is held.
    Idle,
    /// For the rest of a head.
    Head,
    /// For the caller to accept or refuse a body.
    Undecided,
    /// For the rest of a body.
    Body,
    /// For the end of the connection: what arrives is dropped unseen.
    Refused,
}

/// Reads the requests of one connection.
///
/// ```
/// use tidings_core::wire::http::{HttpLimits, Progress, RequestReader};
///
/// let mut reader = RequestReader::new(HttpLimits::default());
/// let mut bytes = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET".as_slice();
/// let Ok(Progress::Head(head)) = reader.receive(&mut bytes) else { unreachable!() };
/// assert_eq!(head.path(), "/v1/events");
/// reader.accept_body(1024)?;
/// assert_eq!(reader.receive(&mut bytes)?, Progress::Body(b"{}".to_vec()));
/// assert_eq!(bytes, b"GET");
/// # Ok::<(), tidings_core::wire::http::HttpError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RequestReader {
    limits: HttpLimits,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Head(HeadScanner),
    Undecided { framing: Framing, expect_continue: bool },
    Body(Box<Body>),
    Refused,
}

impl RequestReader {
    /// A reader at the beginning of a connection.
    #[must_use]
    pub fn new(limits: HttpLimits) -> Self {
        Self { limits, state: State::Head(HeadScanner::default()) }
    }

    /// Bytes of memory held for a request that is not complete.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.state {
            State::Head(scanner) => scanner.memory(),
            State::Body(body) => body.memory(),
            State::Undecided { .. } | State::Refused => 0,
        }
    }

    /// What the reader waits for.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Head(scanner) if scanner.is_midway() => Phase::Head,
            State::Head(_) | State::Undecided { framing: Framing::Empty, .. } => Phase::Idle,
            State::Undecided { .. } => Phase::Undecided,
            State::Body(_) => Phase::Body,
            State::Refused => Phase::Refused,
        }
    }

    /// Takes bytes from the front of `input` until a head or a body is complete or nothing can be taken.
    ///
    /// # Errors
    /// [`HttpError`] where the request must not be read. The reader is [`Phase::Refused`] from then on:
    /// the caller answers with [`HttpError::response`] and closes, lingering.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Progress, HttpError> {
        let result = self.advance(input);
        if result.is_err() {
            self.state = State::Refused;
        }
        result
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Progress, HttpError> {
        if let State::Undecided { framing: Framing::Empty, .. } = self.state {
            self.state = State::Head(HeadScanner::default());
        }
        match &mut self.state {
            State::Head(scanner) => {
                let Some(bytes) = scanner.push(&self.limits, input)? else { return Ok(Progress::NeedMore) };
                let head = RequestHead::parse(&self.limits, bytes)?;
                self.state =
                    State::Undecided { framing: head.framing(), expect_continue: head.expect_continue() };
                Ok(Progress::Head(head))
            }
            State::Undecided { .. } => Ok(Progress::NeedMore),
            State::Body(body) => {
                if !body.push(input)? {
                    return Ok(Progress::NeedMore);
                }
                let content = body.take_content();
                self.state = State::Head(HeadScanner::default());
                Ok(Progress::Body(content))
            }
            State::Refused => {
                *input = &[];
                Ok(Progress::NeedMore)
            }
        }
    }

    /// Lets the body of the last head be read, up to `bytes_max` or the limit, whichever is less; a
    /// request without a body then yields an empty one. Gives the bytes to send first: `100 Continue`
    /// where the client waits for it.
    ///
    /// # Errors
    /// [`HttpError::BodyTooLarge`] where the body declares more. The reader is [`Phase::Refused`] then.
    ///
    /// # Panics
    /// Where no head has been given since the last body: a fault of the caller.
    pub fn accept_body(&mut self, bytes_max: usize) -> Result<Option<&'static [u8]>, HttpError> {
        let State::Undecided { framing, expect_continue } = self.state else {
            unreachable!("a body is accepted right after its head")
        };
        match Body::new(framing, bytes_max.min(self.limits.body_bytes_max)) {
            Ok(body) => {
                self.state = State::Body(Box::new(body));
                Ok((expect_continue && framing != Framing::Empty).then_some(CONTINUE))
            }
            Err(error) => {
                self.state = State::Refused;
                Err(error)
            }
        }
    }

    /// Reads nothing more from this connection: what still arrives is dropped, and the connection closes
    /// once the response is out.
    pub fn refuse(&mut self) {
        self.state = State::Refused;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reader() -> RequestReader {
        RequestReader::new(HttpLimits::default())
    }

    /// Everything that comes out of `parts`, with every body accepted.
    fn read_all(parts: &[&[u8]]) -> (Vec<Progress>, Option<HttpError>) {
        let (mut reader, mut seen, mut pending) = (reader(), Vec::new(), Vec::new());
        for part in parts {
            pending.extend_from_slice(part);
            let mut input = pending.as_slice();
            loop {
                match reader.receive(&mut input) {
                    Ok(Progress::NeedMore) => break,
                    Ok(Progress::Head(head)) => {
                        let with_body = head.framing() != Framing::Empty;
                        seen.push(Progress::Head(head));
                        if with_body && let Err(error) = reader.accept_body(100) {
                            return (seen, Some(error));
                        }
                    }
                    Ok(body) => seen.push(body),
                    Err(error) => return (seen, Some(error)),
                }
            }
            assert!(input.is_empty(), "with bodies accepted nothing stays");
            pending.clear();
        }
        (seen, None)
    }

    #[test]
    fn a_body_is_read_only_after_it_is_accepted() {
        let mut reader = reader();
        let mut input = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET".as_slice();
        assert!(matches!(reader.receive(&mut input), Ok(Progress::Head(_))));
        assert_eq!((reader.receive(&mut input), input), (Ok(Progress::NeedMore), b"abcGET".as_slice()));
        assert_eq!(reader.phase(), Phase::Undecided);
        assert_eq!(reader.accept_body(3), Ok(None));
        assert_eq!(reader.receive(&mut input), Ok(Progress::Body(b"abc".to_vec())));
        assert_eq!(input, b"GET");
        assert_eq!(reader.phase(), Phase::Idle);
    }

    #[test]
    fn a_refused_body_is_dropped_unseen() {
        let mut reader = reader();
        let mut input = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HT".as_slice();
        assert!(matches!(reader.receive(&mut input), Ok(Progress::Head(_))));
        reader.refuse();
        assert_eq!((reader.receive(&mut input), input), (Ok(Progress::NeedMore), b"".as_slice()));
        assert_eq!(reader.phase(), Phase::Refused);
    }

    #[test]
    fn a_declared_body_over_the_limit_is_refused_when_it_would_be_accepted() {
        let mut reader = reader();
        let mut input = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388609\r\n\r\n".as_slice();
        assert!(matches!(reader.receive(&mut input), Ok(Progress::Head(_))));
        assert_eq!(reader.accept_body(usize::MAX), Err(HttpError::BodyTooLarge(8 * 1024 * 1024)));
        assert_eq!(reader.phase(), Phase::Refused);
    }

    #[test]
    fn continue_is_sent_only_when_a_body_is_accepted() {
        let text = |length: &str| {
            format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: {length}\r\n\r\n")
        };
        for (length, expected) in [("3", Some(CONTINUE)), ("0", None)] {
            let mut reader = reader();
            let text = text(length);
            assert!(matches!(reader.receive(&mut text.as_bytes()), Ok(Progress::Head(_))));
            assert_eq!(reader.accept_body(3), Ok(expected));
        }
    }

    #[test]
    fn a_request_without_a_body_yields_an_empty_one_where_asked() {
        let mut reader = reader();
        let mut input = b"POST / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice();
        assert!(matches!(reader.receive(&mut input), Ok(Progress::Head(_))));
        assert_eq!(reader.accept_body(0), Ok(None));
        assert_eq!(reader.receive(&mut input), Ok(Progress::Body(Vec::new())));
        assert!(matches!(reader.receive(&mut input), Ok(Progress::Head(_))));
        assert_eq!(reader.receive(&mut input), Ok(Progress::NeedMore));
        assert_eq!(reader.phase(), Phase::Idle);
    }

    #[test]
    fn after_a_fault_nothing_more_is_read() {
        let mut reader = reader();
        let mut input = b"GET / HTTP/1.1\nHost: a\r\n\r\n".as_slice();
        assert_eq!(reader.receive(&mut input), Err(HttpError::LineEnding));
        assert_eq!((reader.receive(&mut input), input), (Ok(Progress::NeedMore), b"".as_slice()));
    }

    #[test]
    fn pipelined_requests_come_out_in_order() {
        let text: &[u8] = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
            POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\r\n\
            GET /3 HTTP/1.1\r\nHost: a\r\n\r\n";
        let (seen, error) = read_all(&[text]);
        assert_eq!(error, None);
        let names: Vec<_> = seen
            .iter()
            .map(|progress| match progress {
                Progress::Head(head) => head.path().to_owned(),
                Progress::Body(body) => String::from_utf8(body.clone()).unwrap(),
                Progress::NeedMore => unreachable!(),
            })
            .collect();
        assert_eq!(names, ["/1", "/2", "x", "/3"]);
    }

    #[test]
    fn an_idle_reader_is_small() {
        assert!(size_of::<RequestReader>() <= 96, "{}", size_of::<RequestReader>());
    }

    /// Requests with the seams at which readers go wrong, valid and not.
    fn traffic() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "GET /a?b=c HTTP/1.1\r\n",
            "POST / HTTP/1.1\r\n",
            "Host: a\r\n",
            "Content-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\n",
            "X: y\r\n",
            "\r\n",
            "abc",
            "3\r\nabc\r\n",
            "1;x=y\r\na\r\n",
            "0\r\n",
            "T: u\r\n",
            "\n",
            "\r",
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_split_the_same_comes_out(
            bytes in traffic(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let whole = read_all(&[&bytes]);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&read_all(&single), &whole);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut from = 0;
            let parts: Vec<&[u8]> =
                cuts.iter().map(|&to| &bytes[std::mem::replace(&mut from, to)..to]).collect();
            prop_assert_eq!(&read_all(&parts), &whole);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            read_all(&[&bytes]);
            let request = [b"GET /".as_slice(), &bytes, b" HTTP/1.1\r\nHost: a\r\n", &bytes, b"\r\n\r\n"];
            read_all(&request);
        }
    }
}
