//! Which lane goes next: `critical` before all others, and those by their weights (PROTOCOL §5).
//!
//! What a lane that waits is given and what another is given, each in proportion to its weight, differ by a frame of
//! each at most: a lane begins to wait when it has overdrawn by no more than a frame, and only the one that is
//! furthest behind goes next, by a frame again. What the clocks round away is less than what the longest frame is
//! taken too long for. A lane that is longer than its queue is filled again between polls, so that within one the
//! others may have more than their share; it is held to a wider bound.

use tidings_core::event::Priority;

use super::session::{Context, Session};
use super::{Invariant, Violation};

/// The part of a poll's work on history that a lane which catches up has at least while the others send one budget.
const SHARE_OF_A_POLL: usize = 8;
/// Queues so small that every lane is now and then behind.
const SMALL_QUEUE: usize = 64;
/// Bytes that a shell asks for at once, at most.
const BUDGET_MAX: usize = 64 * 1024;
/// The lanes that share what `critical` leaves.
const SHARED: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

impl Session {
    /// An event of `len` bytes was chosen in `lane`, at step `begun` of the run.
    pub(super) fn check_prompt(
        &mut self,
        cx: &Context<'_>,
        begun: u64,
        lane: Priority,
        len: usize,
    ) -> Result<(), Violation> {
        // A block of a stream is chosen when it is encoded, ahead of the socket.
        if lane == Priority::Critical || self.stream {
            return Ok(());
        }
        let urgent = self.lanes.critical.owed.iter().find(|(offset, since)| {
            **since < begun && !self.is_replaced(cx.truth, cx.hub, Priority::Critical, **offset)
        });
        if let Some((urgent, _)) = urgent {
            let text = format!("critical {urgent} waited while an event of lane {lane} was chosen");
            return Err(Violation::new(Invariant::Prompt, text));
        }
        for other in SHARED.into_iter().filter(|other| *other != lane) {
            self.check_turn(cx, begun, (lane, other), len)?;
            let own = &mut self.lanes[lane].lag[other];
            *own = own.saturating_sub(len * cx.hub.weight(other));
        }
        self.lanes[lane].hunger = 0;
        Ok(())
    }

    /// Whether `other` waits no longer than its weight allows.
    fn check_turn(
        &mut self,
        cx: &Context<'_>,
        begun: u64,
        (lane, other): (Priority, Priority),
        len: usize,
    ) -> Result<(), Violation> {
        let waits = self.lanes[other].owed.first_key_value().filter(|(_, since)| **since < begun);
        let Some((first, _)) = waits else {
            (self.lanes[other].hunger, self.lanes[other].lag) = Default::default();
            return Ok(());
        };
        let longest = cx.truth.longest;
        if self.lanes[other].deep || self.lanes[lane].deep {
            // A lane that catches up is refilled between polls: what the others have queued may go in one.
            let unseen = cx.truth.life(cx.hub.life).between(self.lanes[other].position, *first);
            let unseen = unseen.iter().filter(|event| event.lane == other).count();
            let step = usize::try_from(cx.hub.config.limits.catch_up_step).unwrap_or(usize::MAX);
            let looked_for = unseen * self.subscriptions.len() / (step / SHARE_OF_A_POLL) * BUDGET_MAX;
            let queue = cx.hub.config.limits.lane_queue;
            let behind = queue <= SMALL_QUEUE || queue < 2 * self.lanes[other].owed.len();
            let queued = if behind { 2 * queue } else { 0 };
            let patience = (cx.hub.patience(other) + queued) * longest + looked_for;
            self.lanes[other].lag = Default::default();
            self.lanes[other].hunger += len;
            return self.check_wait(cx, other, self.lanes[other].hunger, patience);
        }
        let (own, its) = (cx.hub.weight(lane), cx.hub.weight(other));
        self.lanes[other].lag[lane] += len * its;
        self.check_wait(cx, other, self.lanes[other].lag[lane], longest * (own + its))
    }

    fn check_wait(
        &self,
        cx: &Context<'_>,
        lane: Priority,
        waited: usize,
        patience: usize,
    ) -> Result<(), Violation> {
        if waited <= patience {
            return Ok(());
        }
        let text = format!(
            "lane {lane} waited while others had {waited} more than their share, {patience} at most under {:?}",
            cx.hub.config.lanes
        );
        Err(Violation::new(Invariant::Prompt, text))
    }
}
