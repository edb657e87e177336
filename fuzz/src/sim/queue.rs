//! What is due when, in virtual time; of what is due at the same moment, what was asked for first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tidings_core::Instant;

use crate::model::LinkId;

/// Something that happens at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A step of the scenario.
    Step(u32),
    /// The faults stop.
    Calm,
    /// An opening connection reaches its host.
    Knock(LinkId),
    /// Bytes, or the end of them, reach the host.
    Up(LinkId),
    /// Bytes, or the end of them, reach the peer.
    Down(LinkId),
    /// The host learns that the connection is broken.
    Broken(LinkId),
    /// A host's shell begins a turn.
    Turn(u16),
    /// A host's shell calls its timers.
    Timer(u16),
    /// A host comes back, or its clock does.
    Host(u16),
    /// The log decides an append.
    Log(u32),
    /// A hub is told what became of its append.
    Answer(u32),
    /// What a host's hub has yet to hear of the log reaches it.
    Feed(u16),
    /// An actor has something to do.
    Actor(u16),
}

/// The queue of a run.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<(Instant, u64, Due)>>,
    pushed: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Instant, due: Due) {
        self.pushed += 1;
        self.heap.push(Reverse((at, self.pushed, due)));
    }

    /// The next thing, where it is due by `until`.
    pub(crate) fn pop(&mut self, until: Instant) -> Option<(Instant, Due)> {
        if until < self.heap.peek()?.0.0 {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, due))| (at, due))
    }
}
