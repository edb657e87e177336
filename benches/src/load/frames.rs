//! What a server sends, read as frames without a copy where they lie whole in what was read.

/// Bytes of a frame begun in an earlier read.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    held: Vec<u8>,
}

/// A frame as far as a load generator cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received<'a> {
    /// Text or binary, or a piece of either.
    Message(&'a [u8]),
    /// To be answered.
    Ping(&'a [u8]),
    /// The server ends the connection; the payload says why.
    Close(&'a [u8]),
}

impl Frames {
    /// Gives every whole frame of `bytes`, what was held before it included.
    pub(crate) fn read(&mut self, mut bytes: &[u8], mut frame: impl FnMut(Received<'_>)) {
        while !self.held.is_empty() {
            // A frame that lies in pieces is put together, and what follows it is read in place.
            let missing = missing(&self.held);
            let step = missing.min(bytes.len());
            self.held.extend_from_slice(&bytes[..step]);
            bytes = &bytes[step..];
            if step < missing {
                return;
            }
            if let Some((received, _)) = split(&self.held) {
                received.into_iter().for_each(&mut frame);
                self.held.clear();
            }
        }
        while let Some((received, rest)) = split(bytes) {
            received.into_iter().for_each(&mut frame);
            bytes = rest;
        }
        self.held.extend_from_slice(bytes);
    }

    /// Where each whole frame of `bytes` ends.
    pub(crate) fn ends(bytes: &[u8]) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut rest = bytes;
        while let Some((_, behind)) = split(rest) {
            rest = behind;
            ends.push(bytes.len() - rest.len());
        }
        ends
    }
}

/// Header and payload lengths, as far as the header is there.
fn lengths(bytes: &[u8]) -> Result<(usize, usize), usize> {
    let header = match bytes.get(1).ok_or_else(|| 2 - bytes.len())? & 0x7f {
        126 => 4,
        127 => 10,
        short => return Ok((2, usize::from(short))),
    };
    let length = bytes.get(2..header).ok_or_else(|| header - bytes.len())?;
    Ok((header, length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))))
}

/// How many bytes must come before anything more is known of the first frame.
fn missing(bytes: &[u8]) -> usize {
    match lengths(bytes) {
        Ok((header, payload)) => (header + payload).saturating_sub(bytes.len()),
        Err(missing) => missing,
    }
}

fn split(bytes: &[u8]) -> Option<(Option<Received<'_>>, &[u8])> {
    let (header, payload) = lengths(bytes).ok()?;
    let body = bytes.get(header..header + payload)?;
    let received = match bytes[0] & 0x0f {
        0..=2 => Some(Received::Message(body)),
        8 => Some(Received::Close(body)),
        9 => Some(Received::Ping(body)),
        _ => None,
    };
    Some((received, &bytes[header + payload..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_core::wire::{ping_into, text_into};

    #[test]
    fn frames_are_the_same_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        text_into(&mut bytes, "a");
        text_into(&mut bytes, &"b".repeat(300));
        ping_into(&mut bytes, b"p");
        text_into(&mut bytes, &"c".repeat(70_000));
        for piece in [1, 2, 3, 7, 303, bytes.len()] {
            let (mut frames, mut got) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(piece) {
                frames.read(piece, |received| match received {
                    Received::Message(body) => got.push((0, body.len())),
                    Received::Ping(body) => got.push((9, body.len())),
                    Received::Close(body) => got.push((8, body.len())),
                });
            }
            assert_eq!(got, [(0, 1), (0, 300), (9, 1), (0, 70_000)]);
        }
    }
}
