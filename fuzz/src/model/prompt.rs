//! Which lane goes next: `critical` before all others, and those by their weights (PROTOCOL §5).
//!
//! What a lane that waits is given and what another is given, each in proportion to its weight, differ by a frame of
//! each at most: a lane begins to wait when it has overdrawn by no more than a frame, and only the one that is
//! furthest behind goes next, by a frame again. What the clocks round away is less than what the longest frame is
//! taken too long for.
//!
//! A lane that is longer than its queue is filled from history at each poll, and may be empty from its last frame in
//! one to the next. Each poll looks at so many entries for it: it waits once they reach to what it has to send.
//! It counts as longer until the hub has nothing to say and looks no further: a poll that gives nothing may have used
//! up its work before it came to the end of history, and looks at nothing at all while a pace holds it.

use tidings_core::PerLane;
use tidings_core::event::Priority;

use super::session::{Context, Session};
use super::{Invariant, Violation};

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
        if self.stream {
            return Ok(());
        }
        if lane == Priority::Critical {
            // While it catches up its polls may look at nothing for the others.
            if self.lanes.critical.deep {
                SHARED.into_iter().for_each(|other| self.lanes[other].run_dry(begun));
            }
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
        self.lanes[lane].run_dry(begun);
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
        let first = self.lanes[other].owed.first_key_value().filter(|(_, since)| **since < begun);
        let Some(first) =
            first.map(|(first, _)| *first).filter(|first| self.is_queued(cx, begun, other, *first))
        else {
            self.lanes[other].lag = PerLane::default();
            return Ok(());
        };
        let (own, its) = (cx.hub.weight(lane), cx.hub.weight(other));
        self.lanes[other].lag[lane] += len * its;
        let (waited, most) = (self.lanes[other].lag[lane], cx.truth.longest * (own + its));
        if waited <= most {
            return Ok(());
        }
        let text = format!(
            "lane {other}, of which {first} is next, waited while {lane} had {waited} more than its share, {most} at \
             most under {:?}",
            cx.hub.config.lanes
        );
        Err(Violation::new(Invariant::Prompt, text))
    }

    /// Whether what `lane` has to send next has been found by the poll at step `begun`.
    fn is_queued(&mut self, cx: &Context<'_>, begun: u64, lane: Priority, next: u64) -> bool {
        if !self.lanes[lane].deep {
            return true;
        }
        let step = usize::try_from(cx.hub.config.limits.catch_up_step).unwrap_or(usize::MAX);
        let looks = (step / SHARED.len()).div_ceil(self.subscriptions.len().max(1));
        let (poll, looked) = &mut self.lanes[lane].looked;
        if *poll < begun {
            (*poll, *looked) = (begun, *looked + looks);
        }
        let looked = *looked;
        let above = cx.truth.life(cx.hub.life).between(self.lanes[lane].position, next);
        let above = above.iter().filter(|event| event.lane == lane).count();
        // The last poll of `critical` catching up may have left nothing of its work.
        above + if self.lanes.critical.deep { looks } else { 0 } <= looked
    }
}
