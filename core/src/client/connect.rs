//! When the client connects, lets go and waits: the rules of PROTOCOL §5 (reconnection) and §7 (close
//! codes), and of tokens.

use std::time::Duration;

use super::Client;
use super::io::{About, ClientError, Token, TokenAnswer};
use super::session::{Phase, jitter};
use super::token::{Refresh, Verdict};
use crate::time::{Instant, Now};

/// The close codes that the client acts on or sends, by their meaning (PROTOCOL §7).
pub(super) mod close {
    pub(in super::super) const NORMAL: u16 = 1000;
    pub(in super::super) const BAD_MESSAGE: u16 = 4400;
    pub(super) const UNAUTHORIZED: u16 = 4401;
    pub(super) const DISCONNECTED: u16 = 4403;
    pub(super) const SILENT: u16 = 4408;
    pub(super) const EXPIRED: u16 = 4419;
    /// A reconnection would only repeat them.
    pub(super) const FAULTS: [u16; 5] = [1002, 1003, 1007, 1009, BAD_MESSAGE];
}

/// An answer to a refresh that is worth nothing is not asked for again before.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

impl Client {
    pub(super) fn start(&mut self, now: Now) {
        match self.phase {
            Phase::Idle | Phase::Closed => self.connect(now),
            Phase::Unauthorized => {
                self.credentials.forget();
                self.connect(now);
            }
            _ => {}
        }
    }

    pub(super) fn stop(&mut self, now: Instant) {
        self.leave(now, Some(close::NORMAL));
        self.shut();
    }

    /// Enters `closed`, where nothing waits any more.
    fn shut(&mut self) {
        self.credentials.cancel();
        self.backoff.reset();
        for publish in self.publishes.take_all() {
            self.error(About::Publish(publish), ClientError::Stopped);
        }
        self.enter(Phase::Closed);
    }

    pub(super) fn online(&mut self, now: Now) {
        self.online = true;
        match self.phase {
            Phase::Offline | Phase::Waiting { .. } => {
                self.backoff.reset();
                self.connect(now);
            }
            // The network may be another one, and the connection dead without a word.
            _ => self.probe(now.instant),
        }
    }

    pub(super) fn offline(&mut self, now: Instant) {
        self.online = false;
        match self.phase {
            Phase::Idle | Phase::Closed | Phase::Unauthorized | Phase::Offline => {}
            _ => {
                self.leave(now, Some(close::NORMAL));
                self.credentials.cancel();
                self.enter(Phase::Offline);
            }
        }
    }

    /// Asks for a sign of life.
    pub(super) fn probe(&mut self, now: Instant) {
        let by = now + self.config.probe_timeout;
        if let Some(session) = self.phase.session()
            && session.probe_by.is_none()
        {
            (session.probe_by, session.ping_due) = (Some(by), true);
        }
    }

    pub(super) fn connected(&mut self) {
        if let Phase::Opening { token, by } = &self.phase {
            self.enter(Phase::Greeting { token: token.clone(), by: *by });
        }
    }

    pub(super) const fn hear(&mut self, now: Instant) {
        if let Some(session) = self.phase.session() {
            session.hear(now);
        }
    }

    /// Lets go of the connection, if there is one, with `code` unless it is closed already. The caller
    /// enters what follows.
    pub(super) fn leave(&mut self, now: Instant, code: Option<u16>) -> Option<Token> {
        let token = self.phase.connection().cloned();
        if token.is_some() {
            self.close = code;
        }
        if let Some(session) = self.phase.session()
            && session.since + self.config.backoff_reset <= now
        {
            self.backoff.reset();
        }
        self.subscriptions.disconnected();
        self.publishes.disconnected();
        token
    }

    /// Connects, with a token asked for first where the one at hand is none or has expired.
    fn connect(&mut self, now: Now) {
        if !self.online {
            self.enter(Phase::Offline);
        } else if self.credentials.fresh(now).is_some() {
            self.enter(Phase::Wanting);
        } else {
            self.credentials.ask();
            self.enter(Phase::Token);
        }
    }

    /// Connects after the next delay.
    fn retry(&mut self, now: Instant) {
        let until = now + self.backoff.next(&mut self.rng);
        self.enter(Phase::Waiting { until });
    }

    /// Lets go of the connection and connects after the next delay.
    pub(super) fn reconnect(&mut self, now: Instant, code: u16) {
        self.leave(now, Some(code));
        self.retry(now);
    }

    pub(super) fn closed(&mut self, now: Instant, code: Option<u16>, reason: &str) {
        let Some(token) = self.leave(now, None) else { return };
        let words = || reason.chars().take(128).collect::<String>().into();
        match code {
            Some(code) if close::FAULTS.contains(&code) => {
                self.error(About::Client, ClientError::Fault { code, reason: words() });
                self.shut();
            }
            Some(code @ (close::UNAUTHORIZED | close::DISCONNECTED)) => {
                let another = self.credentials.current().is_some_and(|current| *current != token);
                let ask = self.credentials.rejected(token);
                if another || (ask && code == close::UNAUTHORIZED) {
                    self.retry(now);
                } else {
                    self.error(About::Token, ClientError::Rejected { code, reason: words() });
                    self.enter(Phase::Unauthorized);
                }
            }
            Some(close::EXPIRED) => {
                self.credentials.expired(token);
                self.retry(now);
            }
            _ => self.retry(now),
        }
    }

    pub(super) fn token(&mut self, now: Now, answer: &TokenAnswer) {
        (self.credentials.asking, self.credentials.to_ask) = (false, false);
        let verdict = match answer {
            TokenAnswer::Token(token) => self.credentials.take(token),
            TokenAnswer::Unauthorized => return self.no_token(),
            TokenAnswer::Failed => return self.token_failed(now),
        };
        match (&mut self.phase, verdict) {
            (Phase::Token | Phase::Unauthorized, Verdict::Usable) if self.online => {
                self.enter(Phase::Wanting);
            }
            (Phase::Unauthorized, Verdict::Usable) => self.enter(Phase::Offline),
            (Phase::Token, Verdict::Rejected) => self.enter(Phase::Unauthorized),
            (Phase::Token, Verdict::Expired) => self.token_failed(now),
            (Phase::Open(session), _) if session.refreshing => {
                session.refreshing = false;
                let newer = self.credentials.current().is_some_and(|current| *current != session.token);
                if !newer {
                    self.token_failed(now);
                }
            }
            _ => {}
        }
    }

    /// There is no token. An open connection stays until its own expires.
    fn no_token(&mut self) {
        match &mut self.phase {
            Phase::Token | Phase::Wanting => {
                self.credentials.forget();
                self.enter(Phase::Unauthorized);
            }
            Phase::Open(session) => session.refreshing = false,
            _ => self.credentials.forget(),
        }
    }

    fn token_failed(&mut self, now: Now) {
        match &mut self.phase {
            Phase::Token => self.retry(now.instant),
            Phase::Open(_) => self.refresh_later(now),
            _ => return,
        }
        self.error(About::Token, ClientError::NoToken);
    }

    /// Asks for the next token after a pause that grows.
    pub(super) fn refresh_later(&mut self, now: Now) {
        if let Some(session) = self.phase.session() {
            let pause = REFRESH_PAUSE + session.refresh_backoff.next(&mut self.rng);
            session.refreshing = false;
            session.refresh = Some(Refresh::after(now, pause));
        }
    }

    /// Sends deferred requests again after a pause.
    pub(super) fn flush_later(&mut self, now: Instant) {
        let pause = self.config.retry_delay + jitter(&mut self.rng, self.config.retry_delay);
        if let Some(session) = self.phase.session() {
            session.flush_at.get_or_insert(now + pause);
        }
    }

    pub(super) fn timeout(&mut self, now: Now) {
        match &self.phase {
            Phase::Waiting { until } if *until <= now.instant => self.connect(now),
            Phase::Opening { by, .. } | Phase::Greeting { by, .. } if *by <= now.instant => {
                self.reconnect(now.instant, close::NORMAL);
            }
            Phase::Open(_) => self.session_timeout(now),
            _ => {}
        }
    }

    fn session_timeout(&mut self, now: Now) {
        let Some(session) = self.phase.session() else { return };
        let at = now.instant;
        if session.is_dead(at) {
            return self.reconnect(at, close::SILENT);
        }
        if session.leave_at.is_some_and(|leave_at| leave_at <= at) {
            // The server has chosen the moment; only one that asks again and again meets the delays.
            let settled = session.since + self.config.backoff_reset <= at;
            self.leave(at, Some(close::NORMAL));
            return if settled { self.connect(now) } else { self.retry(at) };
        }
        if session.refresh.is_some_and(|refresh| refresh.deadline(now) <= at) {
            (session.refresh, session.refreshing) = (None, true);
            self.credentials.ask();
        }
        session.held_until.take_if(|held_until| *held_until <= at);
        if session.flush_at.take_if(|flush_at| *flush_at <= at).is_some() {
            self.subscriptions.flush();
            self.publishes.flush();
        }
    }
}
