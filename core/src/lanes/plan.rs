//! What goes next on a connection: the scheduler, and the shared runs of bytes it fills.
//!
//! A plan is a function of what is queued and of the lanes' clocks, and nothing of it is kept until bytes
//! are committed. Connections that have the same queued get the same plan, so the bytes of a plan
//! are gathered once and every connection of the group is served from them.

use super::queue::{NodePool, Run};
use super::states::State;
use super::{InFlight, Lanes, LanesId, Source};
use crate::event::Priority;
use crate::wire::Frame;

/// Plans kept for connections yet to be served; groups beyond these gather their bytes again.
const PLANS: usize = 8;
/// Queues of more runs than this are too particular to be anyone else's.
const KEY_RUNS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    lane: Priority,
    run: Run,
}

#[derive(Debug, Default)]
struct Plan {
    /// What was queued when the plan was made; empty where the plan is nobody else's.
    key: Vec<Segment>,
    clock: [u64; 3],
    budget: usize,
    /// `critical` was catching up, so that nothing else may go before what it has yet to find.
    critical_only: bool,
    /// What is chosen, in order.
    chosen: Vec<Segment>,
    clock_after: [u64; 3],
    frames: u32,
    /// Connections that took all of it and of which `handed` has not been told yet.
    served: u32,
    /// The only frame of a plan of one, which needs no gathering.
    single: Option<Frame>,
    bytes: Vec<u8>,
}

/// The plans of the current turn, and the scheduler's weights.
#[derive(Debug)]
pub(super) struct PlanCache {
    plans: [Plan; PLANS],
    next: usize,
    /// Some plan was served since `handed` was told.
    untold: bool,
    weights: [u32; 3],
}

impl PlanCache {
    pub(super) fn new(weights: [u32; 3]) -> Self {
        Self { plans: Default::default(), next: 0, untold: false, weights }
    }
}

/// What was handed over by a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames of which the first byte was handed over.
    pub frames: u32,
    /// The bytes of those frames that were handed over.
    pub bytes: usize,
}

/// Names a staged plan until it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Staged {
    plan: Option<u8>,
}

impl Staged {
    /// Nothing but the frame in flight.
    pub(crate) const NOTHING: Self = Self { plan: None };
}

impl Lanes {
    /// Chooses what goes next, up to about `budget` bytes and at least one frame. Changes nothing that a
    /// client could see. While `critical` catches up nothing of the other lanes is chosen. `handed` is as for
    /// [`tell`](Self::tell).
    pub(crate) fn stage(
        &mut self,
        id: LanesId,
        source: &impl Source,
        budget: usize,
        mut handed: impl FnMut(Priority, u64, u32),
    ) -> Staged {
        let Some(state) = self.states.get(id) else { return Staged::NOTHING };
        let may_go = |lane| lane == Priority::Critical || !state.critical_only();
        let is_empty = |lane: Priority| state.lanes[lane as usize].queue.is_empty();
        if state.busy.iter().filter(|lane| may_go(*lane)).all(is_empty) {
            return Staged::NOTHING;
        }
        let cache = &mut self.plans;
        let found = cache.plans.iter().position(|plan| plan.is_for(state, &self.nodes, budget));
        let slot = found.unwrap_or_else(|| {
            let slot = cache.next;
            cache.next = (slot + 1) % PLANS;
            cache.plans[slot].tell(&mut handed);
            cache.plans[slot].make(state, &self.nodes, budget, cache.weights, source);
            slot
        });
        Staged { plan: u8::try_from(slot).ok() }
    }

    /// The bytes to write: the rest of the frame in flight, and those of the plan.
    pub(crate) fn slices(&self, id: LanesId, staged: Staged) -> [&[u8]; 2] {
        let flight = self.states.get(id).and_then(|state| state.in_flight.as_ref());
        let rest = flight.map_or(&[][..], |flight| flight.frame.bytes().get(flight.sent..).unwrap_or(&[]));
        [rest, staged.plan.map_or(&[][..], |slot| self.plans.plans[usize::from(slot)].bytes())]
    }

    /// The frames of a plan in order, as (lane, sequence number).
    pub(crate) fn chosen(&self, staged: Staged) -> impl Iterator<Item = (Priority, u64)> + '_ {
        let segments = staged.plan.map_or(&[][..], |slot| &self.plans.plans[usize::from(slot)].chosen);
        segments
            .iter()
            .flat_map(|segment| (segment.run.start..segment.run.end()).map(|seq| (segment.lane, seq)))
    }

    /// Tells which frames were handed over, and how often since it was last told: those that a group of
    /// connections took whole are counted as one, not for each of them.
    pub(crate) fn tell(&mut self, mut handed: impl FnMut(Priority, u64, u32)) {
        if std::mem::take(&mut self.plans.untold) {
            self.plans.plans.iter_mut().for_each(|plan| plan.tell(&mut handed));
        }
    }

    /// Takes note that the kernel took `written` bytes of [`slices`](Self::slices), in order. `handed` is
    /// told at once of frames of a plan that was taken in part; of the others, [`tell`](Self::tell) does.
    pub(crate) fn commit(
        &mut self,
        id: &mut LanesId,
        source: &impl Source,
        staged: Staged,
        mut written: usize,
        mut handed: impl FnMut(Priority, u64, u32),
    ) -> Counts {
        let Some(state) = self.states.get(*id) else { return Counts::default() };
        let mut counts = Counts { frames: 0, bytes: written };
        let mut plan = staged.plan.map(|slot| &mut self.plans.plans[usize::from(slot)]);
        if let Some(plan) = &mut plan
            && plan.is_all_of(state)
            && written == plan.bytes().len()
        {
            // Nothing is left to do, so nothing is left to keep.
            plan.served += 1;
            self.plans.untold = true;
            counts.frames = plan.frames;
            plan.chosen.iter().for_each(|segment| self.tally.unqueued(segment.lane, segment.run.len));
            self.states.leave(id, &mut self.nodes);
            return counts;
        }
        if written == 0 {
            return counts;
        }
        let state = self.states.own(id, &mut self.nodes);
        if let Some(flight) = &mut state.in_flight {
            let step = written.min(flight.frame.bytes().len() - flight.sent);
            flight.sent += step;
            written -= step;
            if flight.sent < flight.frame.bytes().len() {
                return counts;
            }
            state.in_flight = None;
        }
        if let Some(plan) = plan
            && 0 < written
        {
            self.plans.untold = true;
            let queued = Priority::ALL.map(|lane| state.lanes[lane as usize].queue.len());
            counts.frames =
                plan.commit(state, &mut self.nodes, self.plans.weights, source, written, &mut handed);
            for (lane, before) in Priority::ALL.into_iter().zip(queued) {
                self.tally.unqueued(lane, before - state.lanes[lane as usize].queue.len());
            }
        }
        self.tidy(id);
        counts
    }
}

impl Plan {
    fn is_for(&self, state: &State, nodes: &NodePool, budget: usize) -> bool {
        if self.key.is_empty()
            || self.clock != state.clock
            || self.budget != budget
            || self.critical_only != state.critical_only()
        {
            return false;
        }
        let mut key = self.key.iter();
        for lane in state.busy.iter() {
            for run in state.lanes[lane as usize].queue.runs(nodes) {
                if key.next() != Some(&Segment { lane, run }) {
                    return false;
                }
            }
        }
        key.next().is_none()
    }

    /// Whether nothing waits but what it takes.
    fn is_all_of(&self, state: &State) -> bool {
        state.in_flight.is_none() && !state.is_behind() && self.frames == state.queued()
    }

    fn make(
        &mut self,
        state: &State,
        nodes: &NodePool,
        budget: usize,
        weights: [u32; 3],
        source: &impl Source,
    ) {
        self.key.clear();
        for lane in Priority::ALL {
            let runs = state.lanes[lane as usize].queue.runs(nodes);
            self.key.extend(runs.take(KEY_RUNS_MAX + 1).map(|run| Segment { lane, run }));
        }
        if KEY_RUNS_MAX < self.key.len() {
            self.key.clear();
        }
        (self.clock, self.budget, self.critical_only) = (state.clock, budget, state.critical_only());
        self.choose(state, nodes, budget, weights, source);
        self.gather(source);
    }

    fn choose(
        &mut self,
        state: &State,
        nodes: &NodePool,
        budget: usize,
        weights: [u32; 3],
        source: &impl Source,
    ) {
        self.chosen.clear();
        (self.frames, self.served) = (0, 0);
        let mut clock = state.clock;
        let mut ahead = Priority::ALL.map(|lane| {
            let runs = state.lanes[lane as usize].queue.runs(nodes);
            runs.flat_map(|run| run.start..run.end()).peekable()
        });
        let mut bytes = 0;
        loop {
            let may_go = |lane: usize| lane == Priority::Critical as usize || !self.critical_only;
            let waiting = [0, 1, 2, 3].map(|lane: usize| may_go(lane) && ahead[lane].peek().is_some());
            let Some(lane) = next_lane(waiting, clock) else { break };
            let Some(&seq) = ahead[lane as usize].peek() else { break };
            let len = source.frame(lane, seq).bytes().len();
            if 0 < bytes && budget < bytes + len {
                break;
            }
            bytes += len;
            ahead[lane as usize].next();
            self.choose_one(lane, seq);
            let waiting = [0, 1, 2, 3].map(|lane: usize| ahead[lane].peek().is_some());
            advance(&mut clock, weights, lane, len, waiting);
        }
        self.clock_after = clock;
    }

    fn choose_one(&mut self, lane: Priority, seq: u64) {
        self.frames += 1;
        if let Some(last) = self.chosen.last_mut()
            && last.lane == lane
            && last.run.end() == seq
        {
            last.run.len += 1;
            return;
        }
        self.chosen.push(Segment { lane, run: Run { start: seq, len: 1 } });
    }

    fn gather(&mut self, source: &impl Source) {
        self.bytes.clear();
        self.single = None;
        if let [Segment { lane, run: Run { start, len: 1 } }] = self.chosen[..] {
            self.single = Some(source.frame(lane, start).clone());
            return;
        }
        for segment in &self.chosen {
            for seq in segment.run.start..segment.run.end() {
                self.bytes.extend_from_slice(source.frame(segment.lane, seq).bytes());
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        self.single.as_ref().map_or(&self.bytes, Frame::bytes)
    }

    fn tell(&mut self, handed: &mut impl FnMut(Priority, u64, u32)) {
        let times = std::mem::take(&mut self.served);
        for Segment { lane, run } in self.chosen.iter().filter(|_| 0 < times) {
            (run.start..run.end()).for_each(|seq| handed(*lane, seq, times));
        }
    }

    /// Pops what `written` bytes cover; a frame covered in part becomes the one in flight.
    fn commit(
        &mut self,
        state: &mut State,
        nodes: &mut NodePool,
        weights: [u32; 3],
        source: &impl Source,
        mut written: usize,
        handed: &mut impl FnMut(Priority, u64, u32),
    ) -> u32 {
        if written == self.bytes().len() {
            for segment in &self.chosen {
                let lane = &mut state.lanes[segment.lane as usize];
                lane.queue.pop(nodes, segment.run.len);
                lane.passed = source.offset(segment.lane, segment.run.end() - 1);
            }
            self.served += 1;
            state.clock = self.clock_after;
            return self.frames;
        }
        let mut popped = 0;
        for segment in &self.chosen {
            for seq in segment.run.start..segment.run.end() {
                if written == 0 {
                    return popped;
                }
                let frame = source.frame(segment.lane, seq);
                let lane = &mut state.lanes[segment.lane as usize];
                lane.queue.pop(nodes, 1);
                lane.passed = source.offset(segment.lane, seq);
                handed(segment.lane, seq, 1);
                popped += 1;
                let len = frame.bytes().len();
                let waiting = [0, 1, 2, 3].map(|lane: usize| !state.lanes[lane].queue.is_empty());
                advance(&mut state.clock, weights, segment.lane, len, waiting);
                if written < len {
                    state.in_flight = Some(InFlight { frame: frame.clone(), sent: written });
                    return popped;
                }
                written -= len;
            }
        }
        popped
    }
}

/// The lane that goes next: `critical`, else the one whose clock is least, the more urgent at a tie.
fn next_lane(waiting: [bool; 4], clock: [u64; 3]) -> Option<Priority> {
    if waiting[0] {
        return Some(Priority::Critical);
    }
    let shared = [Priority::High, Priority::Normal, Priority::Low];
    shared.into_iter().filter(|lane| waiting[*lane as usize]).min_by_key(|lane| clock[*lane as usize - 1])
}

/// Charges a frame to its lane and lets all clocks run down to the least that still waits, so that a lane
/// that pauses is owed nothing and owes what it overdrew.
fn advance(clock: &mut [u64; 3], weights: [u32; 3], lane: Priority, len: usize, waiting: [bool; 4]) {
    if lane != Priority::Critical {
        let index = lane as usize - 1;
        clock[index] += ((len as u64) << 10) / u64::from(weights[index].max(1));
    }
    let least = (0..3).filter(|index| waiting[index + 1]).map(|index| clock[index]).min();
    match least {
        Some(least) => clock.iter_mut().for_each(|clock| *clock = clock.saturating_sub(least)),
        None => *clock = [0; 3],
    }
}
