//! Replies: each answers the oldest request that has none, stands where the request took effect, and is true.

use serde_json::Value;
use tidings_core::PerLane;

use super::ledger::Told;
use super::matching::Definition;
use super::session::{Context, Lane, Request, Session, Subscription, number, offsets};
use super::tokens::Pass;
use super::truth::Event;
use super::{Invariant, Violation};

impl Session {
    /// A message other than those above: a reply to the oldest request.
    pub(super) fn reply(&mut self, cx: &mut Context<'_>, message: &Value) -> Result<(), Violation> {
        let kind = message["type"].as_str().unwrap_or("");
        let id = &message["id"];
        match message["code"].as_str() {
            Some("rate_limited") => self.rate_faults += 1,
            Some("invalid_json" | "invalid_message" | "unknown_type") => self.faults += 1,
            _ => {}
        }
        if kind == "error"
            && message["code"] == "forbidden"
            && let Some(place) = self.ending.iter().position(|ending| *id == **ending)
        {
            self.ending.remove(place);
            return Ok(());
        }
        if !self.ending.is_empty() {
            let text = format!("subscriptions {:?} ended untold", self.ending);
            return Err(Violation::new(Invariant::Legal, text));
        }
        if self.opaque {
            return self.reply_to_noise(cx, message);
        }
        let Some(request) = self.requests.pop_front() else {
            return Err(Violation::new(Invariant::Legal, format!("a reply to nothing: {message}")));
        };
        let answers = match kind {
            "subscribed" => request.kind() == "subscribe",
            "resumed" => request.kind() == "resume",
            "unsubscribed" => request.kind() == "unsubscribe",
            "authenticated" => request.kind() == "auth",
            "published" => request.kind() == "publish",
            "pong" => request.kind() == "ping",
            "error" => true,
            _ => false,
        };
        if !answers || *id != request.message["id"] {
            let text = format!("{message} answers {}", request.message);
            return Err(Violation::new(Invariant::Legal, text));
        }
        self.served += u64::from(message["code"] != "rate_limited");
        self.check_rate(cx)?;
        match kind {
            "subscribed" => self.subscribed(cx, &request, message),
            "resumed" => self.resumed(cx, &request, message),
            "unsubscribed" => {
                self.subscriptions.remove(id.as_str().unwrap_or(""));
                self.narrow(cx);
                Ok(())
            }
            "authenticated" => self.authenticated(cx, request, message),
            "published" => self.published(cx, &request.message["event"], message),
            "error" => self.refused(cx, &request, message),
            _ => Ok(()),
        }
    }

    /// A request that is good is not refused.
    fn refused(&self, cx: &mut Context<'_>, request: &Request, message: &Value) -> Result<(), Violation> {
        let asked = &request.message;
        let good = match (request.kind(), message["code"].as_str()) {
            (_, Some("internal")) => true,
            ("subscribe", Some("forbidden")) => {
                let definition = Definition::read(&asked["events"], &asked["filter"]);
                self.grants().is_some_and(|grants| grants.cover(&definition))
            }
            ("unsubscribe", Some("not_subscribed")) => {
                asked["id"].as_str().is_some_and(|id| self.subscriptions.contains_key(id))
            }
            ("publish", Some(code)) => {
                let (user, event) = (self.user.as_deref().unwrap_or(""), &asked["event"]);
                if code != "unavailable" {
                    cx.ledger.refuse(user, event)?;
                }
                match code {
                    "forbidden" => self.grants().is_some_and(|grants| grants.allow(event)),
                    "conflict" => !cx.ledger.conflicts(user, event),
                    _ => false,
                }
            }
            _ => false,
        };
        if !good {
            return Ok(());
        }
        Err(Violation::new(Invariant::Complete, format!("{asked} was refused: {message}")))
    }

    /// What a peer's noise is answered with: only what it says of the log is looked at.
    fn reply_to_noise(&mut self, cx: &mut Context<'_>, message: &Value) -> Result<(), Violation> {
        match message["type"].as_str() {
            Some("resumed") => {
                let recovered = message["recovered"] == true;
                cx.hub.counts.resumes += 1;
                cx.hub.counts.recovered += u64::from(recovered);
                if !recovered {
                    self.epoch_gaps = 4;
                }
                let given = offsets(&message["position"]["lanes"])?;
                self.lanes = PerLane::from_fn(|lane| Lane { position: given[lane], ..Lane::default() });
                self.reign(cx.hub.end);
                Ok(())
            }
            Some("subscribed") if !std::mem::replace(&mut self.began, true) => {
                self.reign(cx.hub.end);
                Ok(())
            }
            Some("published") => {
                let offset = number(message, "offset")?;
                // Whoever asked the log may hear of it sooner than the hub has it.
                let event = cx.truth.life(cx.hub.life).get(offset);
                if event.is_some_and(|event| event.value["id"] == message["eventId"]) {
                    return Ok(());
                }
                let text = format!("acknowledged, and not in the log: {message}");
                Err(Violation::new(Invariant::Durable, text))
            }
            // Which of the tokens it sent was whole cannot be told.
            Some("authenticated") => {
                self.pass = None;
                self.reign(cx.hub.end);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn published(&self, cx: &mut Context<'_>, event: &Value, message: &Value) -> Result<(), Violation> {
        if !self.grants().is_some_and(|grants| grants.allow(event)) {
            let text = format!("the grant does not allow {event}, and yet {message}");
            return Err(Violation::new(Invariant::Permitted, text));
        }
        let publisher = self.user.as_deref().unwrap_or("");
        let offset = number(message, "offset")?;
        let (id, duplicate) = (&message["eventId"], &message["duplicate"]);
        cx.publisher_told(Told { publisher, event, id, offset, duplicate })
    }

    fn covered(&self, definition: &Definition, told: &Value) -> Result<(), Violation> {
        if self.grants().is_some_and(|grants| grants.cover(definition)) {
            return Ok(());
        }
        Err(Violation::new(
            Invariant::Permitted,
            format!("the grant does not cover {definition:?}, and yet {told}"),
        ))
    }

    /// No more messages are taken than the rate allows since the peer asked for its session.
    fn check_rate(&self, cx: &Context<'_>) -> Result<(), Violation> {
        let limits = &cx.hub.config.limits;
        let secs = cx.at.now.instant.since(self.since).as_secs() + 1;
        let most = u64::from(limits.messages_burst) + u64::from(limits.messages_per_s) * secs;
        if self.served <= most {
            return Ok(());
        }
        Err(Violation::new(
            Invariant::Bounded,
            format!("{} messages were served, {most} at most", self.served),
        ))
    }

    fn subscribed(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request,
        message: &Value,
    ) -> Result<(), Violation> {
        let definition = Definition::read(&request.message["events"], &request.message["filter"]);
        self.covered(&definition, message)?;
        let id = request.message["id"].as_str().unwrap_or("").to_owned();
        let offset = number(message, "offset")?;
        if let Some(earlier) = self.subscriptions.get_mut(&id) {
            if offset != earlier.from {
                let text = format!("a replaced subscription began at {}: {message}", earlier.from);
                return Err(Violation::new(Invariant::Legal, text));
            }
            earlier.definition = definition;
            self.narrow(cx);
            return Ok(());
        }
        if offset < request.end || cx.hub.end < offset {
            let text = format!("a log between {} and {} ends at {offset}", request.end, cx.hub.end);
            return Err(Violation::new(Invariant::Legal, text));
        }
        if request.message["recent"].is_u64() {
            self.check_recent(cx, &definition, &request.message, message)?;
        }
        self.subscriptions.insert(id, Subscription { from: offset, definition });
        if cx.hub.config.limits.subscriptions < self.subscriptions.len() {
            let text = format!("{} subscriptions, the last by {message}", self.subscriptions.len());
            return Err(Violation::new(Invariant::Bounded, text));
        }
        if !std::mem::replace(&mut self.began, true) {
            self.lanes = PerLane::from_fn(|_| Lane { position: offset, ..Lane::default() });
            self.reign(cx.hub.end);
        }
        self.owe(cx, offset);
        Ok(())
    }

    /// `recent`: the newest that match, oldest first, all of them that fit.
    fn check_recent(
        &self,
        cx: &mut Context<'_>,
        definition: &Definition,
        request: &Value,
        message: &Value,
    ) -> Result<(), Violation> {
        let wrong = |text: String| Err(Violation::new(Invariant::Complete, format!("recent: {text}")));
        let offset = number(message, "offset")?;
        let listed: Vec<u64> = message["recent"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one["offset"].as_u64())
            .collect();
        let matches = |event: &Event| {
            definition.matches(&event.value)
                && self.grants().is_some_and(|grants| grants.permit(&event.value))
        };
        let evicted: PerLane<u64> = PerLane::from_fn(|lane| cx.hub.evicted(lane, cx.at.now.instant).0);
        let life = cx.truth.life(cx.hub.life);
        for one in &listed {
            if !life.get(*one).is_some_and(matches) || offset < *one {
                return Err(Violation::new(Invariant::Permitted, format!("recent has {one} up to {offset}")));
            }
        }
        if !listed.is_sorted_by(|a, b| a < b) {
            return wrong(format!("{listed:?} is not ascending"));
        }
        let limit = usize::try_from(request["recent"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
        if limit < listed.len() {
            return wrong(format!("{} of at most {limit}", listed.len()));
        }
        let full = listed.len() == limit || message["truncated"] == true;
        let after = if full { listed.first().copied().unwrap_or(offset) } else { 0 };
        let due = life.between(after, offset).iter().filter(|event| evicted[event.lane] < event.offset);
        match due.filter(|event| matches(event)).find(|event| !listed.contains(&event.offset)) {
            Some(missing) => wrong(format!("{} is missing in {listed:?} of {limit}", missing.offset)),
            None => Ok(()),
        }
    }

    fn resumed(&mut self, cx: &mut Context<'_>, request: &Request, message: &Value) -> Result<(), Violation> {
        let since = &request.message["since"];
        let position = &message["position"];
        let wrong = |text: &str| {
            Err(Violation::new(Invariant::Legal, format!("{text}: {message} answers {}", request.message)))
        };
        let (wanted, given) = (offsets(&since["lanes"])?, offsets(&position["lanes"])?);
        let ours = cx.truth.life(cx.hub.life).epoch.as_str();
        let above = |end: u64| wanted.iter().any(|(_, offset)| end < *offset);
        let recovered = message["recovered"] == true;
        let known = since["epoch"] == *ours && !above(cx.hub.end) && (given == wanted || !above(request.end));
        if position["epoch"] != *ours {
            return wrong("a position of another epoch");
        }
        cx.hub.counts.resumes += 1;
        cx.hub.counts.recovered += u64::from(recovered);
        if known {
            let lost = |evicted: &PerLane<u64>| wanted.iter().any(|(lane, offset)| *offset < evicted[lane]);
            let may = PerLane::from_fn(|lane| cx.hub.evicted(lane, cx.at.now.instant).0);
            if given != wanted {
                return wrong("a position of this log was not taken");
            }
            if recovered && lost(&request.evicted) || !recovered && !lost(&may) {
                return wrong("`recovered` is not so");
            }
        } else {
            let at_the_end = given.iter().all(|(_, offset)| (request.end..=cx.hub.end).contains(offset));
            if recovered || !at_the_end {
                return wrong("a position of another log begins at the end");
            }
            self.epoch_gaps = 4;
        }
        self.resumed_subscriptions(cx, request, message, known)?;
        self.began = true;
        self.lanes = PerLane::from_fn(|lane| Lane { position: given[lane], ..Lane::default() });
        self.reign(cx.hub.end);
        self.owe(cx, 0);
        Ok(())
    }

    fn resumed_subscriptions(
        &mut self,
        cx: &Context<'_>,
        request: &Request,
        message: &Value,
        known: bool,
    ) -> Result<(), Violation> {
        let empty = Vec::new();
        let entries = request.message["subscriptions"].as_array().unwrap_or(&empty);
        let outcomes = message["subscriptions"].as_array().unwrap_or(&empty);
        if entries.len() != outcomes.len() {
            return Err(Violation::new(Invariant::Legal, format!("{message} answers {}", request.message)));
        }
        for (entry, outcome) in entries.iter().zip(outcomes) {
            let definition = Definition::read(&entry["events"], &entry["filter"]);
            let Some(offset) = outcome["offset"].as_u64() else {
                let covers = self.grants().is_some_and(|grants| grants.cover(&definition));
                if outcome["error"]["code"] == "forbidden" && covers {
                    return Err(Violation::new(
                        Invariant::Complete,
                        format!("{entry} was refused: {outcome}"),
                    ));
                }
                continue;
            };
            self.covered(&definition, outcome)?;
            let from = entry["from"].as_u64().unwrap_or(0);
            let at_the_end = (request.end..=cx.hub.end).contains(&offset);
            let right = if known && from <= request.end { offset == from } else { at_the_end };
            if !right {
                return Err(Violation::new(Invariant::Legal, format!("{outcome} answers {entry}")));
            }
            let id = entry["id"].as_str().unwrap_or("").to_owned();
            self.subscriptions.insert(id, Subscription { from: offset, definition });
        }
        Ok(())
    }

    fn authenticated(
        &mut self,
        cx: &Context<'_>,
        request: Request,
        message: &Value,
    ) -> Result<(), Violation> {
        let Some(pass) = request.pass else {
            let text = "a token that was never issued was taken".to_owned();
            return Err(Violation::new(Invariant::Permitted, text));
        };
        if self.pass.as_ref().is_some_and(|own| own.user != pass.user) {
            let text = format!("the token of {} was taken on another's connection", pass.user);
            return Err(Violation::new(Invariant::Permitted, text));
        }
        check_expiry(&pass, message)?;
        let gone: Vec<String> = self
            .subscriptions
            .iter()
            .filter(|(_, subscription)| !pass.grants.cover(&subscription.definition))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &gone {
            self.subscriptions.remove(id);
        }
        self.ending = gone;
        self.pass = Some(pass);
        if self.began {
            self.reign(cx.hub.end);
        }
        self.narrow(cx);
        Ok(())
    }
}

/// `expiresAt` is the token's own, and absent where it never expires.
pub(super) fn check_expiry(pass: &Pass, message: &Value) -> Result<(), Violation> {
    if message["expiresAt"].as_i64() == pass.expires_s {
        return Ok(());
    }
    let text = format!("a token expires at {:?}: {message}", pass.expires_s);
    Err(Violation::new(Invariant::Legal, text))
}
