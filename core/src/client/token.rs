//! The client's token: when to ask for one, which ones not to try again, when to replace one in time.

use std::time::Duration;

use super::io::Token;
use crate::time::{Instant, Now, UnixTime};

/// The token that the next connection uses.
#[derive(Clone, Debug)]
struct Current {
    token: Token,
    /// Whether the server has accepted it.
    proven: bool,
    /// As the server said.
    expires: Option<UnixTime>,
}

/// What a token from the application is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be used.
    Usable,
    /// It has expired, as the server said.
    Expired,
    /// The server has rejected it.
    Rejected,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Credentials {
    current: Option<Current>,
    /// Closed with 4401 or 4403 on it.
    rejected: Option<Token>,
    /// Closed with 4419 on it.
    expired: Option<Token>,
    /// An answer is owed.
    pub(super) asking: bool,
    /// The question waits to be polled.
    pub(super) to_ask: bool,
}

impl Credentials {
    /// Asks for a token, unless an answer is owed already.
    pub(super) fn ask(&mut self) {
        if !self.asking {
            (self.asking, self.to_ask) = (true, true);
        }
    }

    /// Takes the question back where nobody has heard it.
    pub(super) fn cancel(&mut self) {
        if self.to_ask {
            (self.asking, self.to_ask) = (false, false);
        }
    }

    /// The token to connect with, none where one must be asked for first.
    pub(super) fn fresh(&self, now: Now) -> Option<&Token> {
        let current = self.current.as_ref()?;
        current.expires.is_none_or(|expires| now.unix < expires).then_some(&current.token)
    }

    pub(super) fn current(&self) -> Option<&Token> {
        self.current.as_ref().map(|current| &current.token)
    }

    /// Takes a token from the application.
    pub(super) fn take(&mut self, token: &Token) -> Verdict {
        if self.rejected.as_ref() == Some(token) {
            return Verdict::Rejected;
        }
        if self.expired.as_ref() == Some(token) {
            return Verdict::Expired;
        }
        if self.current() != Some(token) {
            self.current = Some(Current { token: token.clone(), proven: false, expires: None });
        }
        Verdict::Usable
    }

    pub(super) fn forget(&mut self) {
        self.current = None;
    }

    /// The server has accepted `token`.
    pub(super) fn accepted(&mut self, token: &Token, expires: Option<UnixTime>) {
        (self.rejected, self.expired) = (None, None);
        if let Some(current) = self.current.as_mut().filter(|current| current.token == *token) {
            (current.proven, current.expires) = (true, expires);
        }
    }

    /// The server refuses `offered` and keeps `used`.
    pub(super) fn refused(&mut self, offered: &Token, used: &Token, expires: Option<UnixTime>) {
        if self.current() == Some(offered) {
            self.current = Some(Current { token: used.clone(), proven: true, expires });
        }
    }

    /// The server has closed on `token`: whether there is a reason to ask for another. There is none
    /// where the application has given this one just for the connection that failed.
    pub(super) fn rejected(&mut self, token: Token) -> bool {
        let current = self.current.take_if(|current| current.token == token);
        self.rejected = Some(token);
        current.is_none_or(|current| current.proven)
    }

    pub(super) fn expired(&mut self, token: Token) {
        self.current.take_if(|current| current.token == token);
        self.expired = Some(token);
    }
}

/// When to ask for the next token while one is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refresh {
    at: UnixTime,
    not_before: Instant,
}

impl Refresh {
    /// A moment before `expires`, by the wall clock. Where that clock holds the token for expired though
    /// the server has just accepted it, the clock is wrong and says nothing: then in half a minute.
    pub(super) fn before(expires: UnixTime, now: Now, lead: Duration) -> Self {
        let left = expires.as_millis().saturating_sub(now.unix.as_millis());
        let Ok(left) = u64::try_from(left) else {
            return Self::after(now, Duration::from_secs(30));
        };
        let lead = i64::try_from(lead.as_millis()).unwrap_or(i64::MAX);
        let lead = lead.min(i64::try_from(left / 5).unwrap_or(i64::MAX));
        let at = UnixTime::from_millis(expires.as_millis().saturating_sub(lead));
        Self { at, not_before: now.instant + Duration::from_secs(1) }
    }

    pub(super) fn after(now: Now, delay: Duration) -> Self {
        Self { at: UnixTime::from_millis(i64::MIN), not_before: now.instant + delay }
    }

    /// When it is due, as the clocks stand to each other at `now`.
    pub(super) fn deadline(self, now: Now) -> Instant {
        let left = self.at.as_millis().saturating_sub(now.unix.as_millis());
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        self.not_before.max(now.instant + left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Now {
        let micros = u64::try_from(secs).unwrap() * 1_000_000;
        Now { instant: Instant::from_micros(micros), unix: UnixTime::from_secs(secs) }
    }

    fn due(refresh: Refresh, now: Now) -> u64 {
        refresh.deadline(now).as_micros() / 1_000_000
    }

    #[test]
    fn the_next_token_is_due_a_minute_before_expiry_or_a_fifth_of_a_short_life() {
        let minute = Duration::from_secs(60);
        for (expires, wanted) in [(3600, 3540), (100, 80), (10, 8)] {
            let refresh = Refresh::before(UnixTime::from_secs(expires), at(0), minute);
            assert_eq!(due(refresh, at(0)), wanted, "expires at {expires}");
        }
    }

    #[test]
    fn a_jump_of_the_wall_clock_moves_the_moment() {
        let refresh = Refresh::before(UnixTime::from_secs(3600), at(0), Duration::from_secs(60));
        let jumped = Now { unix: UnixTime::from_secs(3500), ..at(10) };
        assert_eq!(due(refresh, jumped), 50);
        let back = Now { unix: UnixTime::from_secs(-100), ..at(10) };
        assert_eq!(due(refresh, back), 3650);
    }

    #[test]
    fn a_clock_that_is_wrong_does_not_ask_without_pause() {
        let refresh = Refresh::before(UnixTime::from_secs(5), at(100), Duration::from_secs(60));
        assert_eq!(due(refresh, at(100)), 130);
    }

    #[test]
    fn one_question_stands_at_a_time() {
        let mut credentials = Credentials::default();
        credentials.ask();
        credentials.to_ask = false;
        credentials.ask();
        assert!(!credentials.to_ask);
    }

    #[test]
    fn a_token_that_was_given_for_the_failed_connection_is_no_reason_to_ask() {
        let (a, b) = (Token::new("a"), Token::new("b"));
        let mut credentials = Credentials::default();
        credentials.take(&a);
        assert!(!credentials.rejected(a.clone()));
        assert_eq!(credentials.take(&a), Verdict::Rejected);

        credentials.take(&b);
        credentials.accepted(&b, None);
        assert!(credentials.rejected(b), "it was good once, so there may be a newer one");
    }
}
