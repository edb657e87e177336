//! The four lanes of every connection: what waits, what is caught up from history, what goes next.
//!
//! One mechanism serves a live consumer, a slow one and a resuming one. A lane is live while its cursor
//! is at the end: matching events are queued as they come. Past the queue's bound, after a resume, and
//! when its definitions change, the lane has a cursor in history and is refilled by scanning from
//! there as the socket drains. A connection with nothing to do holds no state here at all.

mod plan;
mod queue;

use std::num::NonZeroU32;

use hashbrown::HashSet;

use crate::event::Priority;
use crate::map::Keyed;
use crate::protocol::{Offset, PerLane};
use crate::wire::Frame;
use plan::PlanCache;
use queue::{NodePool, Queue};

pub use plan::Counts;
pub(crate) use plan::Staged;

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

/// Which lanes may have something to do. The others are as [`Lane::LIVE`], and need not be fetched from memory.
#[derive(Clone, Copy, Debug)]
struct Busy(u8);

impl Busy {
    const NONE: Self = Self(0);

    const fn add(&mut self, lane: Priority) {
        self.0 |= 1 << lane as u8;
    }

    const fn has(self, lane: Priority) -> bool {
        self.0 & (1 << lane as u8) != 0
    }

    /// The lanes, most urgent first.
    fn iter(self) -> impl Iterator<Item = Priority> {
        Priority::ALL.into_iter().filter(move |lane| self.has(*lane))
    }
}

#[derive(Clone, Debug)]
struct State {
    busy: Busy,
    lanes: [Lane; 4],
    in_flight: Option<InFlight>,
    /// Virtual finishing times of `high`, `normal`, `low`: the smallest goes next.
    clock: [u64; 3],
}

impl State {
    const FRESH: Self = Self { busy: Busy::NONE, lanes: [Lane::LIVE; 4], in_flight: None, clock: [0; 3] };

    fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.busy.iter().all(|lane| self.lanes[lane as usize].is_idle())
    }

    /// Whether nothing of the other lanes may be chosen: history may still hold a critical event to send.
    const fn critical_only(&self) -> bool {
        self.busy.has(Priority::Critical) && self.lanes[Priority::Critical as usize].cursor.is_some()
    }

    /// Makes the state as good as new, once it is idle.
    fn clear(&mut self) {
        for lane in self.busy.iter() {
            self.lanes[lane as usize] = Lane::LIVE;
        }
        (self.busy, self.clock) = (Busy::NONE, [0; 3]);
    }
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
    states: Vec<State>,
    free: Vec<u32>,
    nodes: NodePool,
    plans: PlanCache,
    conflated: u64,
    overflows: u64,
    waiting: u64,
    behind: u64,
    work: u64,
}

impl Lanes {
    /// No connection's lanes yet.
    #[must_use]
    pub fn new(settings: LaneSettings, keyed: Keyed) -> Self {
        Self {
            settings,
            keyed,
            states: Vec::new(),
            free: Vec::new(),
            nodes: NodePool::new(),
            plans: PlanCache::new(settings.weights),
            conflated: 0,
            overflows: 0,
            waiting: 0,
            behind: 0,
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

    /// Handles queued at the moment.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Lanes that catch up from history at the moment.
    #[must_use]
    pub const fn behind(&self) -> u64 {
        self.behind
    }

    /// The cost of all looks at history so far.
    #[must_use]
    pub const fn work(&self) -> u64 {
        self.work
    }

    /// Handles queued for one connection.
    #[must_use]
    pub fn backlog(&self, id: LanesId) -> u64 {
        self.get(id).map_or(0, |state| state.lanes.iter().map(|lane| u64::from(lane.queue.len())).sum())
    }

    /// Bytes of memory held for one connection.
    #[must_use]
    pub fn memory(&self, id: LanesId) -> usize {
        let nodes =
            |state: &State| state.lanes.iter().map(|lane| lane.queue.nodes(&self.nodes)).sum::<usize>();
        self.get(id).map_or(0, |state| size_of::<State>() + nodes(state) * queue::NODE_BYTES)
    }

    /// Whether one of the connection's lanes catches up from history.
    #[must_use]
    pub fn is_behind(&self, id: LanesId) -> bool {
        self.get(id).is_some_and(|state| state.lanes.iter().any(|lane| lane.cursor.is_some()))
    }

    /// Per lane, the offset up to which everything that matched has been sent.
    #[must_use]
    pub fn position(&self, id: LanesId, source: &impl Source) -> PerLane<Offset> {
        let state = self.get(id);
        PerLane::from_fn(|priority| match state.map(|state| &state.lanes[priority as usize]) {
            Some(lane) if !lane.is_idle() => lane.passed,
            _ => source.log_end(),
        })
    }

    /// Queues a live event that matches the connection. Repeats of the newest are ignored.
    pub fn push(&mut self, id: &mut LanesId, lane: Priority, seq: u64, source: &impl Source) {
        let index = self.take(id);
        let (state, nodes) = (&mut self.states[index], &mut self.nodes);
        state.busy.add(lane);
        let entry = &mut state.lanes[lane as usize];
        if entry.cursor.is_some() || entry.queue.last(nodes) == Some(seq) {
            return;
        }
        if entry.queue.is_empty() {
            // An empty live lane has passed everything before this event.
            entry.passed = source.offset(lane, seq).prev();
        }
        if entry.queue.len() < self.settings.queue || self.conflate(index, lane, source) {
            self.states[index].lanes[lane as usize].queue.push(&mut self.nodes, seq);
            self.waiting += 1;
            return;
        }
        self.overflows += 1;
        self.behind += 1;
        self.states[index].lanes[lane as usize].cursor = Some(seq);
    }

    /// Begins a lane at `after`: everything above that matches is still owed.
    pub fn resume(&mut self, id: &mut LanesId, lane: Priority, after: Offset, source: &impl Source) {
        let index = self.take(id);
        let seq = source.seq_above(lane, after);
        self.states[index].busy.add(lane);
        let entry = &mut self.states[index].lanes[lane as usize];
        debug_assert!(entry.is_idle(), "a connection resumes before anything else");
        entry.passed = after;
        if seq < source.end(lane) {
            entry.cursor = Some(seq);
            self.behind += 1;
        }
        self.tidy(id);
    }

    /// Has everything above what was passed matched anew: definitions or grant changed. What was not queued,
    /// or was conflated, may match now.
    pub fn rewind(&mut self, id: LanesId, source: &impl Source) {
        let Some(index) = index(id) else { return };
        for priority in Priority::ALL {
            let lane = &mut self.states[index].lanes[priority as usize];
            if lane.queue.is_empty() {
                continue;
            }
            self.waiting -= u64::from(lane.queue.len());
            lane.queue.clear(&mut self.nodes);
            self.behind += u64::from(lane.cursor.is_none());
            // Behind a cursor before the first entry held, what is lost becomes a gap.
            let lost = lane.passed < source.evicted(priority);
            lane.cursor = Some(source.seq_above(priority, lane.passed) - u64::from(lost));
        }
    }

    /// Forgets everything of a connection that is gone.
    pub fn release(&mut self, id: &mut LanesId) {
        let Some(index) = index(*id) else { return };
        for lane in &mut self.states[index].lanes {
            self.waiting -= u64::from(lane.queue.len());
            self.behind -= u64::from(lane.cursor.is_some());
            lane.queue.clear(&mut self.nodes);
            lane.cursor = None;
        }
        self.states[index] = State::FRESH;
        self.tidy(id);
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
        let Some(index) = index(*id) else { return Settled::Ready };
        let mut settled = Settled::Ready;
        let mut left = self.settings.scan;
        for (priority, sharers) in Priority::ALL.into_iter().zip([1, 3, 2, 1]) {
            if !self.states[index].busy.has(priority) {
                continue;
            }
            self.drop_evicted(index, priority, source, gaps);
            left -= self.refill(index, priority, source, left.div_ceil(sharers), &mut look);
            let lane = &self.states[index].lanes[priority as usize];
            if lane.cursor.is_none() || self.settings.queue <= lane.queue.len() * 2 {
                continue;
            }
            settled = Settled::More;
        }
        self.tidy(id);
        settled
    }

    fn drop_evicted(&mut self, index: usize, priority: Priority, source: &impl Source, gaps: &mut Vec<Gap>) {
        let lane = &mut self.states[index].lanes[priority as usize];
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
            self.waiting -= 1;
        }
        if let Some(cursor) = &mut lane.cursor {
            *cursor = first.max(*cursor);
        }
    }

    /// Looks at history for one lane until the `share` of the work is used up, and gives how much of it was.
    fn refill(
        &mut self,
        index: usize,
        priority: Priority,
        source: &impl Source,
        share: u32,
        look: &mut impl FnMut(Priority, u64) -> Looked,
    ) -> u32 {
        let end = source.end(priority);
        let mut used = 0;
        while let Some(seq) = self.states[index].lanes[priority as usize].cursor {
            if seq == end {
                self.behind -= 1;
                self.states[index].lanes[priority as usize].cursor = None;
                break;
            }
            let full = self.settings.queue <= self.states[index].lanes[priority as usize].queue.len();
            if share <= used || full && !self.conflate(index, priority, source) {
                break;
            }
            let looked = look(priority, seq);
            used += looked.cost.max(1);
            let lane = &mut self.states[index].lanes[priority as usize];
            lane.cursor = Some(seq + 1);
            if looked.matches {
                lane.queue.push(&mut self.nodes, seq);
                self.waiting += 1;
            } else if lane.queue.is_empty() {
                lane.passed = source.offset(priority, seq);
            }
        }
        self.work += u64::from(used);
        used.min(share)
    }

    /// Keeps only the newest of each conflation key in a full queue. Says whether that made room enough
    /// to be worth it, so that a queue without repeats is not searched at each push.
    fn conflate(&mut self, index: usize, priority: Priority, source: &impl Source) -> bool {
        let Lane { queue, searched, .. } = &mut self.states[index].lanes[priority as usize];
        let (before, newest) = (queue.len(), queue.last(&self.nodes));
        if *searched == newest {
            return false;
        }
        *searched = newest;
        let seqs: Vec<u64> = queue
            .runs(&self.nodes)
            .flat_map(|run| run.start..run.start + u64::from(run.len))
            .skip_while(|seq| *seq < source.first(priority))
            .collect();
        if seqs.len() < before as usize {
            return false;
        }
        let mut seen: HashSet<&str, Keyed> = HashSet::with_hasher(self.keyed);
        let mut kept: Vec<u64> = seqs
            .iter()
            .rev()
            .copied()
            .filter(|seq| source.conflation(priority, *seq).is_none_or(|key| seen.insert(key)))
            .collect();
        let freed = before - u32::try_from(kept.len()).expect("a part of the queue");
        if freed == 0 || freed < before / 4 {
            return false;
        }
        kept.reverse();
        queue.clear(&mut self.nodes);
        kept.iter().for_each(|seq| queue.push(&mut self.nodes, *seq));
        self.conflated += u64::from(freed);
        self.waiting -= u64::from(freed);
        true
    }

    fn get(&self, id: LanesId) -> Option<&State> {
        index(id).map(|index| &self.states[index])
    }

    fn take(&mut self, id: &mut LanesId) -> usize {
        if let Some(index) = index(*id) {
            return index;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.states.push(State::FRESH);
            u32::try_from(self.states.len()).expect("connections are bounded far below 2^32")
        });
        *id = LanesId(NonZeroU32::new(slot));
        slot as usize - 1
    }

    /// Gives the state back where nothing is left to do.
    fn tidy(&mut self, id: &mut LanesId) {
        let Some(slot) = id.0 else { return };
        let state = &mut self.states[slot.get() as usize - 1];
        if state.is_idle() {
            state.clear();
            self.free.push(slot.get());
            *id = LanesId(None);
        }
    }
}

/// Bytes of memory that the lanes of one connection take at most, with `queue` handles each.
pub(crate) const fn memory_max(queue: usize) -> usize {
    size_of::<State>() + 4 * (queue / queue::RUNS_PER_NODE + 2) * queue::NODE_BYTES
}

fn index(id: LanesId) -> Option<usize> {
    id.0.map(|slot| slot.get() as usize - 1)
}

#[cfg(test)]
mod tests;
