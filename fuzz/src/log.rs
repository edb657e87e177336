//! The log of a world: a sequencer whose answers may be late, or may not come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::history::Record;
use tidings_core::{Instant, Offset, RequestId, Sequencer};

/// What the log does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogMode {
    /// Takes it after this long.
    Takes(Duration),
    /// Refuses it after this long.
    Refuses(Duration),
    /// Takes this many at once and refuses what comes after.
    TakesOnly(usize),
    /// Never answers.
    Silent,
}

/// An append that is under way.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) request: RequestId,
    pub(crate) record: Arc<Record>,
    pub(crate) taken: bool,
    due: Instant,
}

/// Gives offsets, in the order of the appends.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) sequencer: Sequencer,
    pub(crate) mode: LogMode,
    pending: VecDeque<Append>,
}

impl Log {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            sequencer: Sequencer::new(seed),
            mode: LogMode::Takes(Duration::ZERO),
            pending: VecDeque::new(),
        }
    }

    pub(crate) fn append(&mut self, request: RequestId, record: Arc<Record>, now: Instant) {
        let (delay, taken) = match &mut self.mode {
            LogMode::Takes(delay) => (*delay, true),
            LogMode::Refuses(delay) => (*delay, false),
            LogMode::TakesOnly(0) => (Duration::ZERO, false),
            LogMode::TakesOnly(left) => {
                *left -= 1;
                (Duration::ZERO, true)
            }
            LogMode::Silent => return,
        };
        // A log answers in order: one that is slow holds up those behind it.
        let after = self.pending.back().map_or(Instant::ZERO, |last| last.due);
        self.pending.push_back(Append { request, record, taken, due: after.max(now + delay) });
    }

    /// When the next append is answered.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.pending.front().map(|append| append.due)
    }

    /// The next append that is answered by `now`, with its offset where the log took it.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Append, Option<Offset>)> {
        let append = self.pending.pop_front_if(|append| append.due <= now)?;
        let offset = append.taken.then(|| self.sequencer.next()).flatten();
        Some((append, offset))
    }
}
