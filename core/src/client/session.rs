//! Where a client stands with its connection, and the delays between connections.

use std::time::Duration;

use super::config::ClientConfig;
use super::io::{ClientState, Token};
use super::token::Refresh;
use crate::protocol::Epoch;
use crate::rng::Rng;
use crate::time::{Instant, Now, UnixTime};

/// Where the client stands. Of a connection there is one at most, by construction.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Idle,
    Closed,
    Offline,
    Unauthorized,
    Waiting {
        until: Instant,
    },
    /// Waits for a token.
    Token,
    /// Wants a connection; the shell has not been asked.
    Wanting,
    /// The shell opens a connection with `token`.
    Opening {
        token: Token,
        by: Instant,
    },
    /// The connection is open; `welcome` must come.
    Greeting {
        token: Token,
        by: Instant,
    },
    Open(Box<Session>),
}

impl Phase {
    pub(super) const fn state(&self) -> ClientState {
        match self {
            Self::Idle => ClientState::Idle,
            Self::Closed => ClientState::Closed,
            Self::Offline => ClientState::Offline,
            Self::Unauthorized => ClientState::Unauthorized,
            Self::Waiting { .. } => ClientState::Waiting,
            Self::Token | Self::Wanting | Self::Opening { .. } | Self::Greeting { .. } => {
                ClientState::Connecting
            }
            Self::Open(_) => ClientState::Open,
        }
    }

    /// The token of the connection that the shell holds; none where it holds none.
    pub(super) const fn connection(&self) -> Option<&Token> {
        match self {
            Self::Opening { token, .. } | Self::Greeting { token, .. } => Some(token),
            Self::Open(session) => Some(&session.token),
            _ => None,
        }
    }

    pub(super) const fn session(&mut self) -> Option<&mut Session> {
        if let Self::Open(session) = self { Some(session) } else { None }
    }

    pub(super) fn deadline(&self, now: Now) -> Option<Instant> {
        match self {
            Self::Waiting { until: at } | Self::Opening { by: at, .. } | Self::Greeting { by: at, .. } => {
                Some(*at)
            }
            Self::Open(session) => Some(session.deadline(now)),
            Self::Idle | Self::Closed | Self::Offline | Self::Unauthorized | Self::Token | Self::Wanting => {
                None
            }
        }
    }
}

/// How far the subscriptions of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Replay {
    /// To be resumed, where there is something to resume.
    Due,
    /// `resumed` must come.
    Asked,
    /// Subscriptions may be asked for, and events may come.
    Done,
}

/// What belongs to one welcomed connection.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// What it authenticated with.
    pub(super) token: Token,
    pub(super) epoch: Epoch,
    pub(super) since: Instant,
    pub(super) heard: Instant,
    /// How long nothing may be heard.
    pub(super) timeout: Duration,
    pub(super) replay: Replay,
    pub(super) replay_by: Instant,
    /// A token that was sent in place of the one in use, with the request's id.
    pub(super) auth: Option<(String, Token)>,
    /// When the token in use expires, as the server said.
    pub(super) expires: Option<UnixTime>,
    pub(super) refresh: Option<Refresh>,
    /// Whether a token has been asked for in place of the one in use.
    pub(super) refreshing: bool,
    /// Failed attempts to get the next token.
    pub(super) refresh_backoff: Backoff,
    /// A sign of life must come by then.
    pub(super) probe_by: Option<Instant>,
    pub(super) ping_due: bool,
    /// The server asked to connect anew then.
    pub(super) leave_at: Option<Instant>,
    /// When deferred requests are sent again.
    pub(super) flush_at: Option<Instant>,
    pub(super) pace: Pace,
    /// Until when requests are held back that would be too many at once.
    pub(super) held_until: Option<Instant>,
}

impl Session {
    pub(super) const fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.probe_by = None;
        self.ping_due = false;
    }

    /// Whether the connection must be taken for dead.
    pub(super) fn is_dead(&self, now: Instant) -> bool {
        let silent = self.heard + self.timeout <= now;
        let unanswered = self.probe_by.is_some_and(|by| by <= now);
        let unresumed = self.replay == Replay::Asked && self.replay_by <= now;
        silent || unanswered || unresumed
    }

    fn deadline(&self, now: Now) -> Instant {
        let replay = (self.replay == Replay::Asked).then_some(self.replay_by);
        let refresh = self.refresh.map(|refresh| refresh.deadline(now));
        let others = [self.probe_by, self.leave_at, self.flush_at, self.held_until, replay, refresh];
        others.into_iter().flatten().fold(self.heard + self.timeout, Instant::min)
    }
}

/// Keeps what is sent within what the server takes from one connection (PROTOCOL §7), so that an
/// application in a hurry is slowed down and not closed with 4429.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    each: Duration,
    ahead: Duration,
    /// When all that was sent would have been sent at the long-run rate.
    even_at: Instant,
}

impl Pace {
    pub(super) fn new(config: &ClientConfig) -> Self {
        let each = Duration::from_secs(1) / config.messages_per_s.max(1);
        Self { each, ahead: each * config.messages_burst.saturating_sub(1), even_at: Instant::ZERO }
    }

    /// Counts a message that is sent.
    pub(super) fn count(&mut self, now: Instant) {
        self.even_at = self.even_at.max(now) + self.each;
    }

    /// When the next message may be sent.
    pub(super) fn free_at(&self) -> Instant {
        self.even_at - self.ahead
    }
}

/// Exponential backoff with full jitter (PROTOCOL §5).
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    base: Duration,
    cap: Duration,
    attempts: u32,
}

impl Backoff {
    pub(super) const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, attempts: 0 }
    }

    pub(super) const fn reset(&mut self) {
        self.attempts = 0;
    }

    pub(super) fn next(&mut self, rng: &mut Rng) -> Duration {
        let factor = 1u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        let most = self.base.saturating_mul(factor).min(self.cap);
        self.attempts = self.attempts.saturating_add(1);
        jitter(rng, most)
    }
}

/// A duration up to `most`, all equally likely.
pub(super) fn jitter(rng: &mut Rng, most: Duration) -> Duration {
    let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(rng.below(micros.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_are_spread_over_the_whole_range() {
        let mut rng = Rng::new([3; 32]);
        let mut most = [Duration::ZERO; 40];
        let mut least = [Duration::MAX; 40];
        for _ in 0..200 {
            let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
            for attempt in 0..40 {
                let delay = backoff.next(&mut rng);
                most[attempt] = most[attempt].max(delay);
                least[attempt] = least[attempt].min(delay);
            }
        }
        for (attempt, cap) in [(0, 500), (1, 1000), (3, 4000), (6, 30_000), (39, 30_000)] {
            let cap = Duration::from_millis(cap);
            assert!(most[attempt] <= cap && cap * 9 / 10 < most[attempt], "attempt {attempt}");
            assert!(least[attempt] < cap / 10, "attempt {attempt}");
        }
    }
}
