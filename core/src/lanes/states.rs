//! What waits for each connection, kept once for all connections of which it is the same.
//!
//! An event that many wait for would else be written down for each of them, and fetched from memory twice more
//! until it is sent. So a state remembers where its next event led: who stood there and is told of the same event
//! follows. A state that several hold is copied before one of them changes it.

use super::queue::{NodePool, Queue};
use super::{InFlight, Lane, LanesId};
use crate::event::Priority;

/// Which lanes may have something to do. The others are as [`Lane::LIVE`], and need not be fetched from memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Busy(u8);

impl Busy {
    const NONE: Self = Self(0);

    pub(super) const fn add(&mut self, lane: Priority) {
        self.0 |= 1 << lane as u8;
    }

    pub(super) const fn has(self, lane: Priority) -> bool {
        self.0 & (1 << lane as u8) != 0
    }

    /// The lanes, most urgent first.
    pub(super) fn iter(self) -> impl Iterator<Item = Priority> {
        Priority::ALL.into_iter().filter(move |lane| self.has(*lane))
    }
}

#[derive(Clone, Debug)]
pub(super) struct State {
    /// How many connections it is the state of.
    holders: u32,
    pub(super) busy: Busy,
    pub(super) lanes: [Lane; 4],
    pub(super) in_flight: Option<InFlight>,
    /// Virtual finishing times of `high`, `normal`, `low`: the smallest goes next.
    pub(super) clock: [u64; 3],
    /// No other state, and not this one before it was last changed, has the same.
    version: u64,
    /// Where the newest event led.
    step: Option<Step>,
}

/// The state that an event led to.
#[derive(Clone, Copy, Debug)]
struct Step {
    lane: Priority,
    seq: u64,
    to: usize,
    /// It is still what the event led to while it has this version.
    version: u64,
}

impl State {
    const FRESH: Self = Self {
        holders: 0,
        busy: Busy::NONE,
        lanes: [Lane::LIVE; 4],
        in_flight: None,
        clock: [0; 3],
        version: 0,
        step: None,
    };

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.busy.iter().all(|lane| self.lanes[lane as usize].is_idle())
    }

    /// Whether nothing of the other lanes may be chosen: history may still hold a critical event to send.
    pub(super) const fn critical_only(&self) -> bool {
        self.busy.has(Priority::Critical) && self.lanes[Priority::Critical as usize].cursor.is_some()
    }

    /// How many events are queued.
    pub(super) fn queued(&self) -> u32 {
        self.queues().map(|queue| queue.len()).sum()
    }

    /// Whether some lane is catching up.
    pub(super) fn is_behind(&self) -> bool {
        self.busy.iter().any(|lane| self.lanes[lane as usize].cursor.is_some())
    }

    /// The queues that may hold something.
    pub(super) fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.busy.iter().map(|lane| &self.lanes[lane as usize].queue)
    }

    /// Whether several may hold it: a long queue costs more to copy than it saves.
    fn is_common(&self) -> bool {
        self.queues().all(Queue::is_short)
    }
}

/// All states; what is freed is used again.
#[derive(Debug, Default)]
pub(super) struct States {
    slots: Vec<State>,
    free: Vec<usize>,
    /// Where the newest event led those for whom nothing waited.
    step: Option<Step>,
    versions: u64,
}

impl States {
    pub(super) fn get(&self, id: LanesId) -> Option<&State> {
        index(id).map(|index| &self.slots[index])
    }

    /// The state for a change, which is nobody else's from here on. Whoever has none gets one.
    pub(super) fn own(&mut self, id: &mut LanesId, nodes: &mut NodePool) -> &mut State {
        let held = index(*id);
        let index = match held {
            Some(index) if self.slots[index].holders == 1 => index,
            _ => self.fresh(),
        };
        *id = LanesId::at(index);
        if let Some(held) = held
            && held != index
        {
            self.slots[held].holders -= 1;
            let mut copy = self.slots[held].clone();
            copy.lanes.iter_mut().for_each(|lane| lane.queue = lane.queue.copy(nodes));
            self.slots[index] = copy;
        }
        self.versions += 1;
        let state = &mut self.slots[index];
        (state.holders, state.version, state.step) = (1, self.versions, None);
        state
    }

    fn fresh(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(State::FRESH);
            self.slots.len() - 1
        })
    }

    /// Lets a connection go where those went who stood where it stands and were told of the same event. Says
    /// whether any did.
    pub(super) fn follow(
        &mut self,
        id: &mut LanesId,
        lane: Priority,
        seq: u64,
        nodes: &mut NodePool,
    ) -> bool {
        let step = self.get(*id).map_or(self.step, |state| state.step);
        let leads =
            |step: &Step| (step.lane, step.seq) == (lane, seq) && self.slots[step.to].version == step.version;
        let Some(Step { to, .. }) = step.filter(leads) else { return false };
        self.slots[to].holders += 1;
        self.leave(id, nodes);
        *id = LanesId::at(to);
        true
    }

    /// Remembers that an event led from one state to another, for those who may follow. Only to a state that is new
    /// or a copy: so nothing that catches up or is partly sent, which is one connection's own, is ever held by several.
    pub(super) fn led(&mut self, from: LanesId, lane: Priority, seq: u64, to: LanesId) {
        let Some(to) = index(to).filter(|to| from != LanesId::at(*to) && self.slots[*to].is_common()) else {
            return;
        };
        let step = Some(Step { lane, seq, to, version: self.slots[to].version });
        match index(from) {
            Some(from) => self.slots[from].step = step,
            None => self.step = step,
        }
    }

    /// Takes a connection's state away. The last of its holders leaves nothing behind.
    pub(super) fn leave(&mut self, id: &mut LanesId, nodes: &mut NodePool) {
        let Some(index) = index(std::mem::take(id)) else { return };
        let state = &mut self.slots[index];
        state.holders -= 1;
        if 0 < state.holders {
            return;
        }
        for lane in state.busy.iter() {
            state.lanes[lane as usize].queue.clear(nodes);
            state.lanes[lane as usize] = Lane::LIVE;
        }
        (state.busy, state.in_flight, state.clock) = (Busy::NONE, None, [0; 3]);
        (state.version, state.step) = (0, None);
        self.free.push(index);
    }

    /// All that are held.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &State> {
        self.slots.iter().filter(|state| 0 < state.holders)
    }
}

fn index(id: LanesId) -> Option<usize> {
    id.0.map(|slot| slot.get() as usize - 1)
}
