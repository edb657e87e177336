//! What waits in all lanes together. It is kept up to date with every change, so that asking costs nothing however
//! many connections there are.

use super::Lane;
use super::states::State;
use crate::event::Priority;
use crate::protocol::PerLane;

/// What waits in a lane, of one connection or of all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Events queued.
    pub queued: u64,
    /// Entries of history that are yet to be looked at, whether they will match or not.
    pub catch_up: u64,
    /// Connections that look at history.
    pub behind: u64,
}

impl Waiting {
    /// What waits in a lane of one connection; `end` is where its history ends.
    pub(super) fn of(lane: &Lane, end: u64) -> Self {
        Self {
            queued: lane.queue.len().into(),
            catch_up: lane.cursor.map_or(0, |cursor| end - cursor),
            behind: lane.cursor.is_some().into(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct InLane {
    queued: u64,
    behind: u64,
    /// The sum of all cursors modulo 2^64. What is wanted of it is its distance from a sum that is larger by less
    /// than that.
    cursors: u64,
}

/// What waits, by lane.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    lanes: PerLane<InLane>,
    slow: u64,
}

impl Tally {
    pub(super) fn queued(&mut self, lane: Priority, events: u32) {
        self.lanes[lane].queued += u64::from(events);
    }

    pub(super) fn unqueued(&mut self, lane: Priority, events: u32) {
        self.lanes[lane].queued -= u64::from(events);
    }

    /// A lane's cursor is elsewhere: none is the end of history.
    pub(super) fn moved(&mut self, lane: Priority, from: Option<u64>, to: Option<u64>) {
        let sums = &mut self.lanes[lane];
        sums.behind = sums.behind + u64::from(to.is_some()) - u64::from(from.is_some());
        sums.cursors = sums.cursors.wrapping_add(to.unwrap_or(0)).wrapping_sub(from.unwrap_or(0));
    }

    /// A connection catches up, or does so no more.
    pub(super) fn slowed(&mut self, before: bool, after: bool) {
        self.slow = self.slow + u64::from(after) - u64::from(before);
    }

    /// A connection is gone, and what waited for it.
    pub(super) fn released(&mut self, state: &State) {
        for lane in state.busy.iter() {
            let Lane { queue, cursor, .. } = &state.lanes[lane as usize];
            self.unqueued(lane, queue.len());
            self.moved(lane, *cursor, None);
        }
        self.slowed(state.is_behind(), false);
    }

    pub(super) fn slow(&self) -> u64 {
        self.slow
    }

    /// What waits in a lane of all connections; `end` is where its history ends.
    pub(super) fn waiting(&self, lane: Priority, end: u64) -> Waiting {
        let InLane { queued, behind, cursors } = self.lanes[lane];
        Waiting { queued, catch_up: end.wrapping_mul(behind).wrapping_sub(cursors), behind }
    }
}
