//! What a message of the server does (PROTOCOL §2–5). Whatever is against the protocol is an error, upon
//! which the client reconnects.

use std::time::Duration;

use serde::Deserialize;

use super::Client;
use super::connect::close;
use super::io::{About, ClientError, ClientOutput, GapReason, SubscriptionId, Token};
use super::messages::{self, BadMessage, Head};
use super::session::{Backoff, Pace, Phase, Replay, Session};
use super::token::Refresh;
use crate::protocol::{Epoch, PerLane, Position};
use crate::time::{Instant, Now, UnixTime};

/// What a server may say of itself is taken within these bounds.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
const LEAVE_MAX: Duration = Duration::from_secs(600);

impl Client {
    pub(super) fn message(&mut self, now: Now, text: &str) {
        if self.outbox.is_full(&self.config) {
            self.error(About::Client, ClientError::Overflow);
            return self.reconnect(now.instant, close::NORMAL);
        }
        self.hear(now.instant);
        if let Err(bad) = self.read(now, text) {
            let words: String = bad.0.chars().take(256).collect();
            self.error(About::Client, ClientError::BadMessage(words.into()));
            self.reconnect(now.instant, close::BAD_MESSAGE);
        }
    }

    fn read(&mut self, now: Now, text: &str) -> Result<(), BadMessage> {
        let head: Head<'_> = parse(text)?;
        match &self.phase {
            Phase::Greeting { token, .. } if head.kind == "welcome" => {
                let token = token.clone();
                return self.welcome(now, &parse(text)?, token);
            }
            Phase::Open(_) => {}
            _ => return Err("the first message is welcome".into()),
        }
        match &*head.kind {
            "event" => self.event(&parse(text)?),
            "heartbeat" => self.heartbeat(&parse(text)?),
            "gap" => self.gap(&parse(text)?),
            "subscribed" => self.subscribed(&parse(text)?),
            "resumed" => self.resumed(&parse(text)?),
            "unsubscribed" => {
                self.subscriptions.unsubscribed(&parse::<messages::Unsubscribed<'_>>(text)?.id);
                Ok(())
            }
            "authenticated" => self.authenticated(now, &parse(text)?),
            "published" => self.published(parse(text)?),
            "reconnect" => self.asked_to_leave(now.instant, &parse(text)?),
            "error" => self.refused(now, &parse(text)?),
            "welcome" => Err("welcome comes once".into()),
            // `pong` has done its part by arriving; kinds of a later version are ignored.
            _ => Ok(()),
        }
    }

    fn welcome(&mut self, now: Now, message: &messages::Welcome, token: Token) -> Result<(), BadMessage> {
        if message.protocol != 1 {
            return Err("this client speaks protocol 1".into());
        }
        let epoch = Epoch::new(&message.epoch).ok_or("an epoch is 1-64 characters of A-Z a-z 0-9 _ -")?;
        let expires = message.expires_at.map(UnixTime::from_secs);
        self.credentials.accepted(&token, expires);
        let timeout = Duration::from_millis(message.heartbeat.timeout).clamp(TIMEOUT_MIN, TIMEOUT_MAX);
        let session = Session {
            token,
            epoch,
            since: now.instant,
            heard: now.instant,
            timeout,
            replay: Replay::Due,
            replay_by: now.instant + self.config.resume_timeout,
            auth: None,
            expires,
            refresh: expires.map(|expires| Refresh::before(expires, now, self.config.refresh_lead)),
            refreshing: false,
            refresh_backoff: Backoff::new(self.config.backoff_base, self.config.backoff_cap),
            probe_by: None,
            ping_due: false,
            leave_at: None,
            flush_at: None,
            pace: Pace::new(&self.config),
            held_until: None,
        };
        self.enter(Phase::Open(Box::new(session)));
        Ok(())
    }

    /// Whether events may come and a heartbeat speaks of what this client wants.
    fn follows(&mut self) -> bool {
        self.phase.session().is_some_and(|session| session.replay == Replay::Done)
    }

    fn event(&mut self, message: &messages::Event<'_>) -> Result<(), BadMessage> {
        if !self.follows() {
            return Err("an event came before resumed".into());
        }
        let (offset, lane) = (message.offset, message.lane);
        // Without a position nothing is subscribed; what comes was for a subscription that has ended.
        let Some(position) = &mut self.position else { return Ok(()) };
        if offset <= position.lanes[lane] {
            return Ok(());
        }
        let subscriptions = self.subscriptions.matching(offset, message.event.get())?;
        position.lanes[lane] = offset;
        if !subscriptions.is_empty() {
            let event = message.event.to_owned();
            self.outbox.push(ClientOutput::Event { offset, lane, event, subscriptions });
        }
        Ok(())
    }

    /// Before `resumed` a heartbeat speaks of a connection without subscriptions, to which nothing is owed:
    /// taking its offsets would skip what the resume is about to ask for.
    fn heartbeat(&mut self, message: &messages::Heartbeat) -> Result<(), BadMessage> {
        if self.follows()
            && let Some(position) = &mut self.position
        {
            position.lanes = PerLane::from_fn(|lane| position.lanes[lane].max(message.lanes[lane]));
        }
        Ok(())
    }

    /// A gap that the position covers has been told by [`Client::resumed`].
    fn gap(&mut self, message: &messages::Gap<'_>) -> Result<(), BadMessage> {
        let (lane, until, after) = (message.lane, message.until, message.after);
        let follows = self.follows();
        let Some(position) = &mut self.position else { return Ok(()) };
        if follows {
            if until <= position.lanes[lane] {
                return Ok(());
            }
            position.lanes[lane] = until;
        }
        self.outbox.push(ClientOutput::Gap { lane, after, until, reason: message.reason() });
        Ok(())
    }

    fn subscribed(&mut self, message: &messages::Subscribed<'_>) -> Result<(), BadMessage> {
        let first = !self.subscriptions.has_live();
        let begun = self.subscriptions.subscribed(message);
        let Some(session) = self.phase.session() else { return Ok(()) };
        if first && !begun.is_empty() {
            // What ended before is owed to nobody, so the beginning of the only one is the position.
            let offset = message.offset;
            let lanes = PerLane::from_fn(|lane| match &self.position {
                Some(position) => position.lanes[lane].max(offset),
                None => offset,
            });
            self.position = Some(Position { epoch: session.epoch.clone(), lanes });
        }
        let truncated = message.truncated;
        for one in begun {
            let subscription = one.subscription;
            self.outbox.push(ClientOutput::Subscribed { subscription, offset: one.offset });
            if let Some(events) = one.recent {
                self.outbox.push(ClientOutput::Recent { subscription, events, truncated });
            }
        }
        Ok(())
    }

    /// Adopts the server's position. What that skips is told here as gaps, because the connection may break
    /// before the server's own come, and the next resume would no longer ask for them.
    fn resumed(&mut self, message: &messages::Resumed<'_>) -> Result<(), BadMessage> {
        let (Some(session), Some(old)) = (self.phase.session(), &self.position) else {
            return Err("resumed came unasked".into());
        };
        if session.replay != Replay::Asked {
            return Err("resumed came unasked".into());
        }
        let adopted = message.position.read()?;
        // A server whose log ends below the position has begun anew even where its epoch is the same.
        let back = adopted.lanes.iter().any(|(lane, offset)| *offset < old.lanes[lane]);
        let anew = old.epoch != adopted.epoch || back;
        let refused = self.subscriptions.resumed(&message.subscriptions, anew)?;
        session.replay = Replay::Done;
        for (lane, until) in adopted.lanes.iter() {
            let (until, after) = (*until, old.lanes[lane]);
            if anew {
                let reason = GapReason::Epoch;
                self.outbox.push(ClientOutput::Gap { lane, after: None, until, reason });
            } else if !message.recovered && after < until {
                let reason = GapReason::Expired;
                self.outbox.push(ClientOutput::Gap { lane, after: Some(after), until, reason });
            }
        }
        self.position = Some(adopted);
        for refused in refused {
            let error = ClientError::Server { code: refused.code, message: refused.message };
            self.end(refused.subscriptions, &error);
        }
        Ok(())
    }

    fn authenticated(&mut self, now: Now, message: &messages::Authenticated) -> Result<(), BadMessage> {
        let Some(session) = self.phase.session() else { return Ok(()) };
        if let Some((_, token)) = session.auth.take() {
            let expires = message.expires_at.map(UnixTime::from_secs);
            self.credentials.accepted(&token, expires);
            session.refresh = expires.map(|at| Refresh::before(at, now, self.config.refresh_lead));
            session.refresh_backoff.reset();
            (session.token, session.expires) = (token, expires);
        }
        Ok(())
    }

    fn published(&mut self, message: messages::Published<'_>) -> Result<(), BadMessage> {
        if let Some(publish) = self.publishes.answered(&message.id) {
            let (event_id, offset) = (message.event_id, message.offset);
            let duplicate = message.duplicate;
            self.outbox.push(ClientOutput::Published { publish, event_id, offset, duplicate });
        }
        Ok(())
    }

    fn asked_to_leave(&mut self, now: Instant, message: &messages::Reconnect) -> Result<(), BadMessage> {
        let at = now + Duration::from_millis(message.after).min(LEAVE_MAX);
        if let Some(session) = self.phase.session() {
            session.leave_at = Some(session.leave_at.map_or(at, |earlier| earlier.min(at)));
        }
        Ok(())
    }

    fn refused(&mut self, now: Now, message: &messages::ErrorMessage<'_>) -> Result<(), BadMessage> {
        let id = message.id.as_deref().unwrap_or_default();
        let error = ClientError::Server { code: (*message.code).into(), message: (*message.message).into() };
        let passing = matches!(&*message.code, "rate_limited" | "unavailable" | "internal");
        if passing && (self.subscriptions.defer(id) || self.publishes.defer(id)) {
            self.flush_later(now.instant);
            return Ok(());
        }
        match id.as_bytes().first() {
            // One that nobody holds any more ends in silence.
            Some(b's') => {
                let ended = self.subscriptions.refused(id);
                self.end(ended, &error);
            }
            Some(b'p') => {
                if let Some(publish) = self.publishes.answered(id) {
                    self.error(About::Publish(publish), error);
                }
            }
            Some(b'a') => self.auth_refused(now, id, error),
            Some(b'r') => {
                self.error(About::Client, error);
                self.reconnect(now.instant, close::NORMAL);
            }
            _ => self.error(About::Client, error),
        }
        Ok(())
    }

    fn auth_refused(&mut self, now: Now, id: &str, error: ClientError) {
        let Some(session) = self.phase.session() else { return };
        if let Some((_, offered)) = session.auth.take_if(|(asked, _)| asked == id) {
            self.credentials.refused(&offered, &session.token, session.expires);
            self.refresh_later(now);
            self.error(About::Token, error);
        }
    }

    fn end(&mut self, subscriptions: Vec<SubscriptionId>, error: &ClientError) {
        for subscription in subscriptions {
            self.error(About::Subscription(subscription), error.clone());
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, BadMessage> {
    Ok(serde_json::from_str(text)?)
}
