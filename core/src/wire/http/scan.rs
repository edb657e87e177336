//! Finds the end of a head while its bytes arrive. Every byte is looked at once, however the bytes are
//! split, and what no valid head can contain ends the search at that byte.

use std::fmt;

use super::{HttpError, HttpLimits};

/// Collects one head, request or response, up to and including its empty line.
/// It may hold a token, so its debug form is its length.
#[derive(Clone, Default)]
pub(in crate::wire) struct HeadScanner {
    /// Holds no heap while no byte of a head has arrived.
    bytes: Vec<u8>,
    /// Bytes of the line that is not complete.
    line_len: usize,
    /// Complete lines, the first of which is the request or status line.
    lines: usize,
    /// RFC 9112 §2.2 lets a server ignore one empty line before a request.
    skipped_blank: bool,
}

impl HeadScanner {
    /// Bytes of memory held.
    pub(in crate::wire) const fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether a head has begun and is not complete.
    pub(in crate::wire) const fn is_midway(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Takes from the front of `input` what belongs to the head, and gives the head once it is whole.
    pub(in crate::wire) fn push(
        &mut self,
        limits: &HttpLimits,
        input: &mut &[u8],
    ) -> Result<Option<Vec<u8>>, HttpError> {
        let mut previous = self.bytes.last().copied();
        let mut taken = 0;
        for &byte in *input {
            taken += 1;
            self.line_len += 1;
            if self.bytes.len() + taken > limits.head_bytes_max {
                return Err(HttpError::HeadTooLarge(limits.head_bytes_max));
            }
            match byte {
                b'\n' if previous != Some(b'\r') => return Err(HttpError::LineEnding),
                b'\n' => {
                    let blank = self.line_len == 2;
                    self.line_len = 0;
                    if blank && 0 < self.lines {
                        return Ok(Some(self.finish(input, taken)));
                    }
                    if blank {
                        return self.skip_blank(limits, input, taken);
                    }
                    self.lines += 1;
                    if self.lines > limits.fields_max + 1 {
                        return Err(HttpError::TooManyFields(limits.fields_max));
                    }
                }
                _ if previous == Some(b'\r') => return Err(HttpError::LineEnding),
                b'\r' | b'\t' => {}
                0..0x20 | 0x7f => return Err(HttpError::ControlCharacter),
                _ => {}
            }
            previous = Some(byte);
        }
        self.take(input, taken);
        Ok(None)
    }

    fn skip_blank(
        &mut self,
        limits: &HttpLimits,
        input: &mut &[u8],
        taken: usize,
    ) -> Result<Option<Vec<u8>>, HttpError> {
        if self.skipped_blank {
            return Err(HttpError::RequestLine);
        }
        self.take(input, taken);
        *self = Self { skipped_blank: true, ..Self::default() };
        self.push(limits, input)
    }

    fn finish(&mut self, input: &mut &[u8], taken: usize) -> Vec<u8> {
        self.take(input, taken);
        std::mem::take(self).bytes
    }

    fn take(&mut self, input: &mut &[u8], taken: usize) {
        let (mine, rest) = input.split_at(taken);
        self.bytes.extend_from_slice(mine);
        *input = rest;
    }
}

impl fmt::Debug for HeadScanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeadScanner({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(mut input: &[u8]) -> (Result<Option<Vec<u8>>, HttpError>, usize) {
        let result = HeadScanner::default().push(&HttpLimits::default(), &mut input);
        (result, input.len())
    }

    #[test]
    fn the_head_ends_at_its_empty_line_and_the_rest_stays() {
        let (head, left) = scan(b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest");
        assert_eq!(head.unwrap().unwrap(), b"GET / HTTP/1.1\r\nA: b\r\n\r\n");
        assert_eq!(left, 4);
    }

    #[test]
    fn one_empty_line_before_a_request_is_ignored_and_two_are_not() {
        assert_eq!(scan(b"\r\nGET / HTTP/1.1\r\n\r\n").0.unwrap().unwrap(), b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(scan(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n").0, Err(HttpError::RequestLine));
    }

    #[test]
    fn lines_end_in_cr_lf_only() {
        for bytes in [b"GET / HTTP/1.1\n".as_slice(), b"GET / HTTP/1.1\rA", b"\n", b"G\r\rX"] {
            assert_eq!(scan(bytes).0, Err(HttpError::LineEnding), "{bytes:?}");
        }
        assert_eq!(scan(b"A: \0").0, Err(HttpError::ControlCharacter));
        assert_eq!(scan(&[0x16, 3, 1]).0, Err(HttpError::ControlCharacter), "a TLS greeting");
    }

    #[test]
    fn an_endless_head_is_cut_at_its_limit() {
        let limits = HttpLimits { head_bytes_max: 32, fields_max: 2, body_bytes_max: 0 };
        let mut scanner = HeadScanner::default();
        assert_eq!(scanner.push(&limits, &mut [b'a'; 32].as_slice()), Ok(None));
        assert_eq!(scanner.push(&limits, &mut b"a".as_slice()), Err(HttpError::HeadTooLarge(32)));
        let many = b"G\r\na:1\r\nb:2\r\nc:3\r\n";
        assert_eq!(
            HeadScanner::default().push(&limits, &mut many.as_slice()),
            Err(HttpError::TooManyFields(2))
        );
    }

    #[test]
    fn nothing_is_held_before_and_after_a_head() {
        let mut scanner = HeadScanner::default();
        let limits = HttpLimits::default();
        assert!(scanner.push(&limits, &mut b"\r\n".as_slice()).unwrap().is_none());
        assert!(!scanner.is_midway());
        assert!(scanner.push(&limits, &mut b"G".as_slice()).unwrap().is_none());
        assert!(scanner.is_midway());
        assert!(scanner.push(&limits, &mut b"\r\n\r\n".as_slice()).unwrap().is_some());
        assert!(!scanner.is_midway());
        assert_eq!(scanner.bytes.capacity(), 0);
    }
}
