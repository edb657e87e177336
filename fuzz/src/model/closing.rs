//! Why a connection may be closed: each code that a hub says has a cause, and the model must know of it.

use std::time::Duration;

use tidings_core::{Instant, UnixTime};

use super::session::{Context, Session};
use super::tokens::Pass;
use super::{Invariant, Violation};

/// Somebody whom an operator sends away.
#[derive(Debug)]
pub(super) struct Expelled {
    user: Option<String>,
    connection: Option<String>,
    /// When that was asked for, and where tokens are refused with it, what the hub's clock said then.
    asked: Instant,
    revokes: Option<UnixTime>,
    /// When that was done; none where it may yet be.
    pub(super) until: Option<Instant>,
    /// When the hub said so.
    pub(super) said: Option<Instant>,
}

impl Expelled {
    pub(super) const fn new(
        user: Option<String>,
        connection: Option<String>,
        asked: Instant,
        revokes: Option<UnixTime>,
    ) -> Self {
        Self { user, connection, asked, revokes, until: None, said: None }
    }

    fn names(&self, session: &Session) -> bool {
        let user = self.user.is_some() && self.user == session.user;
        user || self.connection.is_some() && self.connection == session.name
    }

    fn means(&self, session: &Session) -> bool {
        self.names(session) && self.until.is_none_or(|until| session.since <= until)
    }

    /// Since when a session must be over.
    pub(super) fn ended(&self, session: &Session) -> Option<Instant> {
        self.said.filter(|_| self.names(session) && session.since < self.asked)
    }

    /// Whether a token must be refused.
    pub(super) fn voids(&self, pass: &Pass) -> bool {
        let Some(since) = self.revokes.filter(|_| self.said.is_some()) else { return false };
        self.user.as_ref() == Some(&pass.user)
            && pass.issued_s.is_none_or(|issued| UnixTime::from_secs(issued) < since)
    }
}

/// What is known of the peer of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerSeen {
    /// It breaks rules.
    pub(super) rogue: bool,
    /// Its bytes cannot be followed.
    pub(super) corrupted: bool,
    /// For how long it has been silent.
    pub(super) silent: Duration,
    /// For how long it has taken nothing of a backlog.
    pub(super) untaken: Duration,
}

/// Whether a session was closed with the right code, at the right time.
pub(super) fn check_close(
    session: &Session,
    cx: &Context<'_>,
    code: u16,
    peer: PeerSeen,
) -> Result<(), Violation> {
    let wrong = |invariant, text: String| Err(Violation::new(invariant, format!("Close {code}: {text}")));
    let (hub, limits) = (&*cx.hub, &cx.hub.config.limits);
    let timeout = Duration::from_millis(hub.config.heartbeat.timeout_ms);
    let crowded = session.user.as_ref().is_some_and(|user| hub.was_crowded(user, session.since));
    let has_cause = match code {
        // The answer to the peer's own.
        1000 => peer.corrupted,
        1001 => hub.stopping,
        1002 | 1003 | 1007 | 1009 => peer.rogue,
        1012 => hub.draining.is_some(),
        4400 => limits.faults_per_minute <= session.faults,
        4403 => hub.expelled.iter().any(|expelled| expelled.means(session)),
        4429 => limits.rate_faults_per_10s <= session.rate_faults || crowded || hub.blind,
        4401 | 4408 | 4419 => true,
        _ => false,
    };
    if !has_cause {
        return wrong(Invariant::Legal, "without a cause".to_owned());
    }
    match code {
        // Which of its tokens is in force cannot be told.
        4401 | 4419 if session.opaque => Ok(()),
        4401 if session.pass.as_ref().is_some_and(|pass| hub.takes(pass, cx.at)) => {
            wrong(Invariant::Legal, "for a good token".to_owned())
        }
        4408 if peer.silent < timeout => {
            wrong(Invariant::Alive, format!("for a peer silent for only {:?}", peer.silent))
        }
        4408 if peer.untaken < timeout => {
            wrong(Invariant::Alive, format!("for a peer that took of its backlog {:?} ago", peer.untaken))
        }
        1012 if hub.draining.is_some_and(|since| cx.at.now.instant.since(since) < session.stays) => {
            wrong(Invariant::Punctual, format!("before {:?} of draining", session.stays))
        }
        4419 => {
            let deadline = session.pass.as_ref().and_then(|pass| pass.deadline_ms);
            // The clock may have gone back since it was decided.
            let latest = hub.latest_wall_clock(session.since).max(cx.at.now.unix.as_millis());
            if deadline.is_some_and(|deadline| deadline <= latest) {
                return Ok(());
            }
            wrong(Invariant::Punctual, format!("before {deadline:?}"))
        }
        _ => Ok(()),
    }
}
