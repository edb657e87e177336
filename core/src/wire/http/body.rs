//! A request's body, collected while it arrives. Its declared length is compared with the limit before
//! anything is allocated, and chunks count towards it before their bytes are taken.

use std::fmt;

use super::headers::is_token_byte;
use super::{Framing, HttpError};

/// What is allocated on a mere declaration; the rest grows with what arrives.
const RESERVE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all chunk extensions and trailers of one body: they are read past, never kept.
const OVERHEAD_BYTES_MAX: usize = 16 * 1024;

/// A body that is not complete. Its debug form has no content.
#[derive(Clone)]
pub(super) struct Body {
    content: Vec<u8>,
    content_bytes_max: usize,
    stage: Stage,
    overhead_bytes_left: usize,
}

/// Where in the body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// In content with a declared length, of which that much is still due.
    Length(usize),
    /// In the hexadecimal digits of a chunk's size.
    Size { size: usize, digits: u8 },
    /// In a chunk's extensions.
    Extension { size: usize },
    /// Before the line feed of a size line.
    SizeEnd { size: usize },
    /// In a chunk's data, of which that much is still due.
    Data(usize),
    /// Before the carriage return after a chunk's data.
    DataEnd,
    /// Before the line feed after a chunk's data.
    DataLineFeed,
    /// At the beginning of a trailer, or of the empty line that ends the body.
    TrailerStart,
    /// In a trailer's name.
    TrailerName,
    /// In a trailer's value.
    TrailerValue,
    /// Before the line feed of a trailer.
    TrailerEnd,
    /// Before the very last line feed.
    LastLineFeed,
    /// Behind the last byte.
    Complete,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes, {:?})", self.content.len(), self.stage)
    }
}

impl Body {
    /// Bytes of memory held.
    pub(super) const fn memory(&self) -> usize {
        size_of::<Self>() + self.content.capacity()
    }

    /// A body of which nothing has arrived, refused at once where it declares more than the limit.
    pub(super) fn new(framing: Framing, content_bytes_max: usize) -> Result<Self, HttpError> {
        let stage = match framing {
            Framing::Empty => Stage::Complete,
            Framing::Chunked => Stage::Size { size: 0, digits: 0 },
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= content_bytes_max => Stage::Length(length),
                _ => return Err(HttpError::BodyTooLarge(content_bytes_max)),
            },
        };
        let reserve = if let Stage::Length(length) = stage { length.min(RESERVE_BYTES_MAX) } else { 0 };
        Ok(Self {
            content: Vec::with_capacity(reserve),
            content_bytes_max,
            stage,
            overhead_bytes_left: OVERHEAD_BYTES_MAX,
        })
    }

    /// Takes from the front of `input` what belongs to the body; true once it is complete.
    pub(super) fn push(&mut self, input: &mut &[u8]) -> Result<bool, HttpError> {
        loop {
            match self.stage {
                Stage::Complete => return Ok(true),
                Stage::Length(left) | Stage::Data(left) => {
                    let (part, rest) = input.split_at(left.min(input.len()));
                    self.content.extend_from_slice(part);
                    *input = rest;
                    let left = left - part.len();
                    let chunked = matches!(self.stage, Stage::Data(_));
                    self.stage = match (left, chunked) {
                        (0, true) => Stage::DataEnd,
                        (0, false) => Stage::Complete,
                        (_, true) => Stage::Data(left),
                        (_, false) => Stage::Length(left),
                    };
                    if 0 < left {
                        return Ok(false);
                    }
                }
                _ => {
                    let Some((&byte, rest)) = input.split_first() else { return Ok(false) };
                    *input = rest;
                    self.stage = self.step(byte)?;
                }
            }
        }
    }

    /// Takes the content of a complete body.
    pub(super) fn take_content(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.content)
    }

    /// The stage behind `byte`, in everything that is not content (RFC 9112 §7.1).
    fn step(&mut self, byte: u8) -> Result<Stage, HttpError> {
        Ok(match (self.stage, byte) {
            (Stage::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                self.digit(size, digits, byte)?
            }
            (Stage::Size { size, digits: 1.. }, b';') => Stage::Extension { size },
            (Stage::Size { size, digits: 1.. } | Stage::Extension { size }, b'\r') => Stage::SizeEnd { size },
            (Stage::SizeEnd { size: 0 }, b'\n') => Stage::TrailerStart,
            (Stage::SizeEnd { size }, b'\n') => Stage::Data(size),
            (Stage::DataEnd, b'\r') => Stage::DataLineFeed,
            (Stage::DataLineFeed, b'\n') => Stage::Size { size: 0, digits: 0 },
            (Stage::TrailerStart, b'\r') => Stage::LastLineFeed,
            (Stage::LastLineFeed, b'\n') => Stage::Complete,
            (Stage::TrailerValue, b'\r') => Stage::TrailerEnd,
            (Stage::TrailerEnd, b'\n') => Stage::TrailerStart,
            (Stage::TrailerName, b':') => self.overhead(Stage::TrailerValue)?,
            (Stage::TrailerStart | Stage::TrailerName, _) if is_token_byte(byte) => {
                self.overhead(Stage::TrailerName)?
            }
            (Stage::Extension { .. } | Stage::TrailerValue, b'\t' | 0x20..=0x7e | 0x80..) => {
                self.overhead(self.stage)?
            }
            _ => return Err(HttpError::Chunk),
        })
    }

    fn digit(&self, size: usize, digits: u8, byte: u8) -> Result<Stage, HttpError> {
        let value = char::from(byte).to_digit(16).and_then(|digit| usize::try_from(digit).ok());
        let size = value.and_then(|value| size.checked_mul(16)?.checked_add(value));
        // Leading zeros are legal; without a bound they would be a way to send forever.
        let (Some(size), Some(digits)) = (size, digits.checked_add(1).filter(|digits| *digits <= 16)) else {
            return Err(HttpError::Chunk);
        };
        if self.content_bytes_max - self.content.len() < size {
            return Err(HttpError::BodyTooLarge(self.content_bytes_max));
        }
        Ok(Stage::Size { size, digits })
    }

    fn overhead(&mut self, stage: Stage) -> Result<Stage, HttpError> {
        self.overhead_bytes_left = self.overhead_bytes_left.checked_sub(1).ok_or(HttpError::Chunk)?;
        Ok(stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(framing: Framing, max: usize, mut bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, HttpError> {
        let mut body = Body::new(framing, max)?;
        let complete = body.push(&mut bytes)?;
        Ok(complete.then(|| (body.take_content(), bytes.len())))
    }

    fn chunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, HttpError> {
        read(Framing::Chunked, 100, bytes)
    }

    #[test]
    fn a_declared_length_is_taken_exactly() {
        assert_eq!(read(Framing::Length(3), 3, b"abcd"), Ok(Some((b"abc".to_vec(), 1))));
        assert_eq!(read(Framing::Length(3), 3, b"ab"), Ok(None));
        assert_eq!(read(Framing::Empty, 0, b"next"), Ok(Some((Vec::new(), 4))));
    }

    #[test]
    fn a_declared_length_over_the_limit_is_refused_before_any_byte() {
        assert_eq!(read(Framing::Length(4), 3, b""), Err(HttpError::BodyTooLarge(3)));
        assert_eq!(read(Framing::Length(u64::MAX), 3, b""), Err(HttpError::BodyTooLarge(3)));
        let body = Body::new(Framing::Length(1 << 30), usize::MAX).unwrap();
        assert!(body.content.capacity() <= RESERVE_BYTES_MAX);
    }

    #[test]
    fn chunks_are_joined_and_extensions_and_trailers_dropped() {
        assert_eq!(chunked(b"0\r\n\r\nG"), Ok(Some((Vec::new(), 1))));
        let text = b"3\r\nabc\r\n00A;x=\"y\";z\r\n0123456789\r\n0;e\r\nA: b\r\nC:\r\n\r\nGET";
        assert_eq!(chunked(text), Ok(Some((b"abc0123456789".to_vec(), 3))));
        assert_eq!(chunked(b"3\r\nabc\r\n0\r\n"), Ok(None));
    }

    #[test]
    fn chunks_count_before_their_data() {
        assert_eq!(chunked(b"65"), Err(HttpError::BodyTooLarge(100)));
        assert_eq!(chunked(b"1\r\na\r\n64"), Err(HttpError::BodyTooLarge(100)));
        assert_eq!(chunked(b"FFFFFFFFFFFFFFFF"), Err(HttpError::BodyTooLarge(100)));
        let huge = read(Framing::Chunked, usize::MAX, b"1\r\na\r\n10000000000000000");
        assert_eq!(huge, Err(HttpError::Chunk));
    }

    #[test]
    fn a_malformed_chunk_is_refused() {
        for bytes in [
            b"\r\n".as_slice(),
            b"x",
            b";a\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b"1 \r\n",
            b"1\n",
            b"1\r\nab",
            b"1\r\na\n",
            b"1\r\na\r\r",
            b"1;a\0\r\n",
            b"1;a\n",
            b"1;a\rb",
            b"00000000000000000",
            b"0\r\n\n",
            b"0\r\n\r\r",
            b"0\r\n a: b\r\n",
            b"0\r\n: b\r\n",
            b"0\r\na\r\n",
            b"0\r\na b: c\r\n",
            b"0\r\na: b\n",
            b"0\r\na: \0",
        ] {
            assert_eq!(chunked(bytes), Err(HttpError::Chunk), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn extensions_and_trailers_share_one_bound() {
        let mut bytes = b"1;".to_vec();
        bytes.resize(2 + OVERHEAD_BYTES_MAX, b'x');
        assert_eq!(chunked(&bytes), Ok(None));
        bytes.push(b'x');
        assert_eq!(chunked(&bytes), Err(HttpError::Chunk));
        let mut bytes = b"0\r\na:".to_vec();
        bytes.resize(bytes.len() + OVERHEAD_BYTES_MAX, b'x');
        assert_eq!(chunked(&bytes), Err(HttpError::Chunk));
    }
}
