//! The four lanes of every connection: what waits, what is caught up from history, what goes next.
//!
//! One mechanism serves a live consumer, a slow one and a resuming one. A lane is live while its cursor
//! is at the end: matching events are queued as they come. Past the queue's bound, after a resume, and
//! when its definitions change, the lane has a cursor in history and is refilled by scanning from
//! there as the socket drains. A connection with nothing to do holds no state here at all.

mod plan;
mod queue;
mod states;
mod tally;

use std::num::NonZeroU32;

use hashbrown::HashSet;

use crate::event::Priority;
use crate::map::Keyed;
use crate::protocol::{Offset, PerLane};
use crate::wire::Frame;
use plan::PlanCache;
use queue::{NodePool, Queue};
use states::{State, States};
use tally::Tally;

pub use plan::Counts;
pub(crate) use plan::Staged;
pub use tally::Waiting;

/// What lanes must know of history: per lane, entries by consecutive sequence number.
pub trait Source {
    /// The oldest sequence number still held.
    fn first(&self, lane: Priority) -> u64;
    /// The sequence number that the next event will get.
    fn end(&self, lane: Priority) -> u64;
    /// The newest offset that the lane no longer holds.
    fn evicted(&self, lane: Priority) -> Offset;
    /// The newest offset of the whole log.
    fn log_end(&self) -> Offset;
    /// The sequence number of the oldest held entry above `offset`.
    fn seq_above(&self, lane: Priority, offset: Offset) -> u64;
    /// The offset of a held entry.
    fn offset(&self, lane: Priority, seq: u64) -> Offset;
    /// The encoded frame of a held entry.
    fn frame(&self, lane: Priority, seq: u64) -> &Frame;
    /// The key by which a held entry may be conflated.
    fn conflation(&self, lane: Priority, seq: u64) -> Option<&str>;
}

/// How lanes behave.
#[derive(Clone, Copy, Debug)]
pub struct LaneSettings {
    /// Handles queued a lane and connection.
    pub queue: u32,
    /// Work of one poll while catching up: what its [`Looked::cost`] adds up to before it stops.
    pub scan: u32,
    /// Shares of `high`, `normal` and `low` in what `critical` leaves.
    pub weights: [u32; 3],
}

/// Names the lanes of one connection, where it has anything to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LanesId(Option<NonZeroU32>);

impl LanesId {
    /// The name of the state at `index`.
    fn at(index: usize) -> Self {
        let number = u32::try_from(index + 1).expect("connections are bounded far below 2^32");
        Self(NonZeroU32::new(number))
    }

    /// Whether nothing waits and every lane is at the log's end.
    #[must_use]
    pub const fn is_idle(self) -> bool {
        self.0.is_none()
    }
}

/// Events that history no longer holds and that may have matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// In which lane.
    pub lane: Priority,
    /// What the connection has.
    pub after: Offset,
    /// From where on nothing is missing.
    pub until: Offset,
}

/// What a look at an entry of history gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Whether the entry is to be delivered to the connection.
    pub matches: bool,
    /// Definitions that it was held against; an entry costs one at least.
    pub cost: u32,
}

/// What a round of catching up left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Every lane has as much queued as it can use.
    Ready,
    /// Some lane has more of history to scan; what may be sent is sent meanwhile.
    More,
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    queue: Queue,
    /// Everything that matched up to here was committed, conflated or passed over.
    passed: Offset,
    /// The next sequence number to look at; none where the lane is live.
    cursor: Option<u64>,
    /// The newest of a full queue in which conflation found too little: not searched again as it is.
    searched: Option<u64>,
}

impl Lane {
    const LIVE: Self = Self { queue: Queue::EMPTY, passed: Offset::ZERO, cursor: None, searched: None };

    const fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.cursor.is_none()
    }
}

/// A frame of which the kernel has taken some bytes: final, whatever else changes.
#[derive(Clone, Debug)]
struct InFlight {
    frame: Frame,
    sent: usize,
}

/// The lanes of all connections.
///
/// Mutators: [`push`](Self::push), [`resume`](Self::resume), [`rewind`](Self::rewind),
/// [`release`](Self::release). Egress: [`settle`](Self::settle), then `stage`, then
/// `commit`.
#[derive(Debug)]
pub struct Lanes {
    settings: LaneSettings,
    keyed: Keyed,
    states: States,
    nodes: NodePool,
    plans: PlanCache,
    conflated: u64,
    overflows: u64,
    tally: Tally,
    work: u64,
}

impl Lanes {
    /// No connection's lanes yet.
    #[must_use]
    pub fn new(settings: LaneSettings, keyed: Keyed) -> Self {
        Self {
            settings,
            keyed,
            states: States::default(),
            nodes: NodePool::new(),
            plans: PlanCache::new(settings.weights),
            conflated: 0,
            overflows: 0,
            tally: Tally::default(),
            work: 0,
        }
    }

    /// Events left out because a newer one of the same key waited behind them.
    #[must_use]
    pub const fn conflated(&self) -> u64 {
        self.conflated
    }

    /// How often a lane's queue was full and the lane fell back on history.
    #[must_use]
    pub const fn overflows(&self) -> u64 {
        self.overflows
    }

    /// What waits at the moment, by lane.
    #[must_use]
    pub fn waiting(&self, source: &impl Source) -> PerLane<Waiting> {
        PerLane::from_fn(|lane| self.tally.waiting(lane, source.end(lane)))
    }

    /// Connections of which some lane catches up from history at the moment, as they are slow or resume.
    #[must_use]
    pub fn slow(&self) -> u64 {
        self.tally.slow()
    }

    /// The cost of all looks at history so far.
    #[must_use]
    pub const fn work(&self) -> u64 {
        self.work
    }

    /// What waits for one connection, by lane.
    #[must_use]
    pub fn backlog(&self, id: LanesId, source: &impl Source) -> PerLane<Waiting> {
        let state = self.states.get(id);
        let of = |lane| state.map(|state| Waiting::of(&state.lanes[lane as usize], source.end(lane)));
        PerLane::from_fn(|lane| of(lane).unwrap_or_default())
    }

    /// Bytes of memory held for one connection; what it holds together with others counts whole.
    #[must_use]
    pub fn memory(&self, id: LanesId) -> usize {
        let nodes = |state: &State| state.queues().map(|queue| queue.nodes(&self.nodes)).sum::<usize>();
        self.states.get(id).map_or(0, |state| size_of::<State>() + nodes(state) * queue::NODE_BYTES)
    }

    /// Whether one of the connection's lanes catches up from history.
    #[must_use]
    pub fn is_behind(&self, id: LanesId) -> bool {
        self.states.get(id).is_some_and(State::is_behind)
    }

    /// Per lane, the offset up to which everything that matched has been sent.
    #[must_use]
    pub fn position(&self, id: LanesId, source: &impl Source) -> PerLane<Offset> {
        let state = self.states.get(id);
        PerLane::from_fn(|priority| match state.map(|state| &state.lanes[priority as usize]) {
            Some(lane) if !lane.is_idle() => lane.passed,
            _ => source.log_end(),
        })
    }

    /// Queues a live event that matches the connection. Repeats of the newest are ignored.
    pub fn push(&mut self, id: &mut LanesId, lane: Priority, seq: u64, source: &impl Source) {
        if self.states.follow(id, lane, seq, &mut self.nodes) {
            return self.tally.queued(lane, 1);
        }
        let held = self.states.get(*id).map(|state| &state.lanes[lane as usize]);
        if held.is_some_and(|lane| lane.cursor.is_some() || lane.queue.last(&self.nodes) == Some(seq)) {
            return;
        }
        let from = *id;
        let state = self.states.own(id, &mut self.nodes);
        let slow = state.is_behind();
        state.busy.add(lane);
        let entry = &mut state.lanes[lane as usize];
        if entry.queue.is_empty() {
            // An empty live lane has passed everything before this event.
            entry.passed = source.offset(lane, seq).prev();
        }
        if entry.queue.len() < self.settings.queue {
            entry.queue.push(&mut self.nodes, seq);
            self.tally.queued(lane, 1);
            return self.states.led(from, lane, seq, *id);
        }
        if let Some(freed) = conflate(entry, &mut self.nodes, self.keyed, lane, source) {
            entry.queue.push(&mut self.nodes, seq);
            self.tally.queued(lane, 1);
            return self.left_out(lane, freed);
        }
        entry.cursor = Some(seq);
        self.overflows += 1;
        self.tally.moved(lane, None, Some(seq));
        self.tally.slowed(slow, true);
    }

    /// Begins a lane at `after`: everything above that matches is still owed.
    pub fn resume(&mut self, id: &mut LanesId, lane: Priority, after: Offset, source: &impl Source) {
        let seq = source.seq_above(lane, after);
        let state = self.states.own(id, &mut self.nodes);
        let slow = state.is_behind();
        state.busy.add(lane);
        let entry = &mut state.lanes[lane as usize];
        debug_assert!(entry.is_idle(), "a connection resumes before anything else");
        entry.passed = after;
        if seq < source.end(lane) {
            entry.cursor = Some(seq);
            self.tally.moved(lane, None, Some(seq));
            self.tally.slowed(slow, true);
        }
        self.tidy(id);
    }

    /// Has everything above what was passed matched anew: definitions or grant changed. What was not queued,
    /// or was conflated, may match now.
    pub fn rewind(&mut self, id: &mut LanesId, source: &impl Source) {
        if self.states.get(*id).is_none_or(|state| state.queued() == 0) {
            return;
        }
        let state = self.states.own(id, &mut self.nodes);
        self.tally.slowed(state.is_behind(), true);
        for priority in state.busy.iter() {
            let lane = &mut state.lanes[priority as usize];
            if lane.queue.is_empty() {
                continue;
            }
            self.tally.unqueued(priority, lane.queue.len());
            lane.queue.clear(&mut self.nodes);
            // Behind a cursor before the first entry held, what is lost becomes a gap.
            let lost = lane.passed < source.evicted(priority);
            let cursor = Some(source.seq_above(priority, lane.passed) - u64::from(lost));
            self.tally.moved(priority, lane.cursor, cursor);
            lane.cursor = cursor;
        }
    }

    /// Forgets everything of a connection that is gone.
    pub fn release(&mut self, id: &mut LanesId) {
        let Some(state) = self.states.get(*id) else { return };
        self.tally.released(state);
        self.states.leave(id, &mut self.nodes);
    }

    /// Whether there is nothing to catch up with, and nothing is lost of what waits.
    fn is_settled(&self, id: LanesId, source: &impl Source) -> bool {
        let Some(state) = self.states.get(id) else { return true };
        state.busy.iter().all(|priority| {
            let Lane { queue, cursor, .. } = &state.lanes[priority as usize];
            cursor.is_none() && queue.first().is_none_or(|seq| source.first(priority) <= seq)
        })
    }

    /// Catches up from history within the bound on its work, and reports what history has lost. `look` says whether
    /// an entry is to be delivered to this connection. `critical` may use all of the work; what it leaves is shared
    /// by the other lanes, so that none of them waits for another.
    pub fn settle<S: Source>(
        &mut self,
        id: &mut LanesId,
        source: &S,
        mut look: impl FnMut(Priority, u64) -> Looked,
        gaps: &mut Vec<Gap>,
    ) -> Settled {
        if self.is_settled(*id, source) {
            return Settled::Ready;
        }
        let mut settled = Settled::Ready;
        let mut left = self.settings.scan;
        let state = self.states.own(id, &mut self.nodes);
        let (busy, slow) = (state.busy, state.is_behind());
        for (priority, sharers) in Priority::ALL.into_iter().zip([1, 3, 2, 1]) {
            if !busy.has(priority) {
                continue;
            }
            self.drop_evicted(id, priority, source, gaps);
            left -= self.refill(id, priority, source, left.div_ceil(sharers), &mut look);
            let lane = self.states.get(*id).map(|state| &state.lanes[priority as usize]);
            if lane.is_some_and(|lane| lane.cursor.is_some() && lane.queue.len() * 2 < self.settings.queue) {
                settled = Settled::More;
            }
        }
        self.tally.slowed(slow, self.is_behind(*id));
        self.tidy(id);
        settled
    }

    fn drop_evicted(
        &mut self,
        id: &mut LanesId,
        priority: Priority,
        source: &impl Source,
        gaps: &mut Vec<Gap>,
    ) {
        let lane = &mut self.states.own(id, &mut self.nodes).lanes[priority as usize];
        let Some(owed) = lane.queue.first().or(lane.cursor) else { return };
        let first = source.first(priority);
        if first <= owed {
            return;
        }
        let until = source.evicted(priority);
        gaps.push(Gap { lane: priority, after: lane.passed, until });
        lane.passed = until;
        while lane.queue.first().is_some_and(|seq| seq < first) {
            lane.queue.pop(&mut self.nodes, 1);
            self.tally.unqueued(priority, 1);
        }
        let cursor = lane.cursor.map(|cursor| first.max(cursor));
        self.tally.moved(priority, lane.cursor, cursor);
        lane.cursor = cursor;
    }

    /// Looks at history for one lane until the `share` of the work is used up, and gives how much of it was.
    fn refill(
        &mut self,
        id: &mut LanesId,
        priority: Priority,
        source: &impl Source,
        share: u32,
        look: &mut impl FnMut(Priority, u64) -> Looked,
    ) -> u32 {
        let end = source.end(priority);
        let mut used = 0;
        let mut freed = 0;
        let lane = &mut self.states.own(id, &mut self.nodes).lanes[priority as usize];
        let from = lane.cursor;
        while let Some(seq) = lane.cursor {
            if seq == end {
                lane.cursor = None;
                break;
            }
            if share <= used {
                break;
            }
            if self.settings.queue <= lane.queue.len() {
                let Some(more) = conflate(lane, &mut self.nodes, self.keyed, priority, source) else { break };
                freed += more;
            }
            let looked = look(priority, seq);
            used += looked.cost.max(1);
            lane.cursor = Some(seq + 1);
            if looked.matches {
                lane.queue.push(&mut self.nodes, seq);
                self.tally.queued(priority, 1);
            } else if lane.queue.is_empty() {
                lane.passed = source.offset(priority, seq);
            }
        }
        self.tally.moved(priority, from, lane.cursor);
        self.left_out(priority, freed);
        self.work += u64::from(used);
        used.min(share)
    }

    fn left_out(&mut self, lane: Priority, events: u32) {
        self.conflated += u64::from(events);
        self.tally.unqueued(lane, events);
    }

    /// Gives the state back where nothing is left to do.
    fn tidy(&mut self, id: &mut LanesId) {
        if self.states.get(*id).is_some_and(State::is_idle) {
            self.states.leave(id, &mut self.nodes);
        }
    }
}

/// Keeps only the newest of each conflation key in a full queue, and gives how many that freed. Gives none where it
/// is not worth it, so that a queue without repeats is not searched at each push.
fn conflate(
    Lane { queue, searched, .. }: &mut Lane,
    nodes: &mut NodePool,
    keyed: Keyed,
    priority: Priority,
    source: &impl Source,
) -> Option<u32> {
    let (before, newest) = (queue.len(), queue.last(nodes));
    if *searched == newest {
        return None;
    }
    *searched = newest;
    let seqs: Vec<u64> = queue
        .runs(nodes)
        .flat_map(|run| run.start..run.start + u64::from(run.len))
        .skip_while(|seq| *seq < source.first(priority))
        .collect();
    if seqs.len() < before as usize {
        return None;
    }
    let mut seen: HashSet<&str, Keyed> = HashSet::with_hasher(keyed);
    let mut kept: Vec<u64> = seqs
        .iter()
        .rev()
        .copied()
        .filter(|seq| source.conflation(priority, *seq).is_none_or(|key| seen.insert(key)))
        .collect();
    let freed = before - u32::try_from(kept.len()).expect("a part of the queue");
    if freed == 0 || freed < before / 4 {
        return None;
    }
    kept.reverse();
    queue.clear(nodes);
    kept.iter().for_each(|seq| queue.push(nodes, *seq));
    Some(freed)
}

#[cfg(test)]
mod tests;
