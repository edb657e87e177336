//! What happened, as lines: hashed as they come, so that two runs can be compared by one number, and printed
//! where somebody reads them.

use std::fmt::{self, Write as _};
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use tidings_core::Instant;

/// Takes the lines of a run.
pub trait Sink {
    /// One thing that happened.
    fn line(&mut self, at: Instant, text: &str);
}

impl<F: FnMut(Instant, &str)> Sink for F {
    fn line(&mut self, at: Instant, text: &str) {
        self(at, text);
    }
}

/// The trace of a run. Its hash is that of all lines in order, by `SipHash` 1-3 with a fixed key: the same on
/// every machine.
pub(crate) struct Trace<'s> {
    hasher: SipHasher13,
    lines: u64,
    text: String,
    sink: Option<&'s mut (dyn Sink + 's)>,
}

impl fmt::Debug for Trace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl<'s> Trace<'s> {
    pub(crate) fn new(sink: Option<&'s mut (dyn Sink + 's)>) -> Self {
        Self { hasher: SipHasher13::new(), lines: 0, text: String::new(), sink }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, at: Instant, line: fmt::Arguments<'_>) {
        self.text.clear();
        let _ = self.text.write_fmt(line);
        self.lines += 1;
        self.hasher.write(&at.as_micros().to_le_bytes());
        self.hasher.write(self.text.as_bytes());
        if let Some(sink) = &mut self.sink {
            sink.line(at, &self.text);
        }
    }

    /// Takes bytes into the hash that no line shows.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    pub(crate) const fn lines(&self) -> u64 {
        self.lines
    }
}

/// A text as a line shows it.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(240)]
}
