//! What must have happened by now on a connection: heartbeats, the end of what is void, and of who is silent.

use std::time::Duration;

use tidings_core::Instant;

use super::hub::{HubModel, TICK};
use super::link::{Link, Phase};
use super::session::{Context, Session};
use super::tokens::Pass;
use super::truth::Truth;
use super::{Invariant, Moment, Violation};

/// How long a hub lets a connection linger whose last word is said.
const LINGER: Duration = Duration::from_secs(2);

impl Link {
    /// What a session is owed its hub has to say, or nobody would ask for it.
    pub(super) fn check_reported(
        &self,
        now: Instant,
        truth: &Truth,
        hub: &HubModel,
    ) -> Result<(), Violation> {
        let open = |session: &&Session| session.closed.is_none() && !session.opaque;
        let Some(session) = self.session().filter(open).filter(|_| !self.wants) else { return Ok(()) };
        if session.pace.is_some_and(|pace| pace.holds(now, hub.tolerance())) {
            return Ok(());
        }
        let Some((lane, offset)) = session.is_owed(truth, hub) else { return Ok(()) };
        let text = format!("{offset} of lane {lane} is owed, and its hub has nothing to say");
        Err(Violation::new(Invariant::Complete, text))
    }

    /// Whether a deadline of this connection has passed without its being met.
    pub(super) fn check_deadlines(&mut self, at: Moment, hub: &HubModel) -> Result<(), Violation> {
        let now = at.now.instant;
        let (late, slack) = (hub.tolerance(), TICK);
        let blocked = self.blocked;
        let limits = &hub.config.limits;
        let handshake = Duration::from_millis(
            limits.handshake_ms.max(hub.config.http.head_ms).max(hub.config.http.idle_ms),
        );
        let session = match &mut self.phase {
            Phase::Silent if !self.corrupted && self.accepted + handshake + late + slack + LINGER < now => {
                return Err(Violation::new(
                    Invariant::Punctual,
                    "a connection that never asked is still there".to_owned(),
                ));
            }
            Phase::Silent | Phase::Plain(_) | Phase::Blind | Phase::Over => return Ok(()),
            Phase::Asked(session, _) | Phase::Live(session) => session,
        };
        if session.closed.is_some() {
            return Ok(());
        }
        // A token that was handed in to go on with is in force before the client, which may not read, is told so.
        let asked = session.requests.iter().filter(|request| request.kind() == "auth");
        let mut next = asked.filter_map(|request| request.pass.as_ref());
        let is_good = |pass: &Pass| {
            let expired = pass.deadline_ms.is_some_and(|at_ms| at_ms <= at.now.unix.as_millis());
            hub.keys.contains(&pass.key) && !expired
        };
        if session.pass.as_ref().is_none_or(is_good) || next.any(is_good) {
            (self.overdue, self.mute) = (None, None);
        } else {
            let since = *self.overdue.get_or_insert(now);
            if since + Duration::from_secs(1) + late + slack < now {
                self.mute.get_or_insert(at.step);
            }
            let linger = if blocked || !self.idle { LINGER } else { Duration::ZERO };
            if since + Duration::from_secs(1) + late + slack + linger < now {
                let text = format!("a session whose token is void since {since:?} is still there");
                return Err(Violation::new(Invariant::Punctual, text));
            }
        }
        let linger = if blocked || !self.idle { LINGER } else { Duration::ZERO };
        let ended = hub.expelled.iter().filter_map(|expelled| expelled.ended(session)).min();
        if let Some(ended) = ended.filter(|ended| *ended + late + slack + linger < now) {
            let text = format!("a session that an operator ended at {ended:?} is still there");
            return Err(Violation::new(Invariant::Permitted, text));
        }
        let taken = if self.idle { self.took } else { self.wrote };
        let alive = if session.stream { self.wrote } else { self.heard.max(taken) };
        let timeout = Duration::from_millis(hub.config.heartbeat.timeout_ms);
        // The reader of a stream never sends: only its backlog tells.
        let heard = !self.idle || !session.stream && !self.paused;
        if heard && alive + timeout + late + slack + LINGER < now {
            let text = format!("a peer silent since {alive:?} is still there");
            return Err(Violation::new(Invariant::Alive, text));
        }
        if blocked || !self.idle {
            session.beat = None;
        } else if let Some(last) = session.beat {
            let interval = Duration::from_millis(hub.config.heartbeat.interval_ms);
            if last + interval + late + slack < now {
                let text = format!("no heartbeat came since {last:?}");
                return Err(Violation::new(Invariant::Punctual, text));
            }
        }
        Ok(())
    }
}

/// Whether a heartbeat came an interval after the last one.
pub(super) fn beat(session: &mut Session, cx: &Context<'_>, held: bool) -> Result<(), Violation> {
    let now = cx.at.now.instant;
    let last = std::mem::replace(&mut session.beat, (!held).then_some(now));
    let Some(last) = last.filter(|_| !held) else { return Ok(()) };
    let due = last + Duration::from_millis(cx.hub.config.heartbeat.interval_ms);
    let (late, slack) = (cx.hub.tolerance(), TICK);
    if now + late + slack < due || due + late + slack < now {
        let text = format!("a heartbeat came after that at {last:?}, due at {due:?}");
        return Err(Violation::new(Invariant::Punctual, text));
    }
    Ok(())
}
