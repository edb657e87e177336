//! Requests over HTTP that begin no session: what was asked on a connection, and whether each answer is right.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tidings_core::PerLane;

use super::closing::Expelled;
use super::decode;
use super::hub::HubModel;
use super::ledger::Told;
use super::link::Hearing;
use super::matching::{Definition, Grants};
use super::session::{Context, number};
use super::tokens::{Pass, Tokens};
use super::truth::Event;
use super::{Invariant, Moment, Violation};

/// Whom a token or an API key stands for.
#[derive(Debug)]
struct Asker {
    /// The name under which it publishes.
    name: String,
    grants: Grants,
    /// Its token, where it has no key.
    pass: Option<Pass>,
}

#[derive(Debug)]
enum What {
    Publish(Vec<Value>),
    Page {
        definition: Definition,
        after: u64,
        limit: usize,
    },
    /// Something for administrators, and its place in the hub's list where it sends somebody away.
    Admin(Option<usize>),
    Other,
}

#[derive(Debug)]
struct Asked {
    who: Option<Asker>,
    what: What,
    /// The page that asks, where one does, may do so.
    admitted: bool,
    /// The log's end when it came.
    end: u64,
}

/// Requests of a connection that have not been answered.
#[derive(Debug, Default)]
pub(super) struct Exchange(VecDeque<Asked>);

impl Exchange {
    /// A whole request has come.
    pub(super) fn ask(&mut self, cx: &mut Hearing<'_>, head: &str, body: &[u8]) {
        let Hearing { at, hub, tokens, ledger } = cx;
        let who = asker(hub, tokens, head);
        let admitted = is_admitted(hub, head);
        let mut words = head.split(' ');
        let method = words.next().unwrap_or("");
        let path = words.next().and_then(|target| target.split('?').next()).unwrap_or("");
        let what = match (method, path) {
            ("POST", "/v1/events") => {
                let events = events_of(head, body);
                if let Some(who) = &who {
                    events.iter().for_each(|event| ledger.ask(&who.name, event, true));
                }
                What::Publish(events)
            }
            ("GET", "/v1/events") => page(hub, head),
            ("DELETE", "/v1/connections") => {
                let admin = admitted && who.as_ref().is_some_and(|who| who.grants.is_admin());
                What::Admin(admin.then(|| {
                    let named = |name| decode::parameter(head, name).map(decode::decoded);
                    // What waits behind another request may be done by another clock.
                    let revokes = self.0.is_empty() && named("revoke").as_deref() == Some("true");
                    let revokes = revokes.then_some(at.now.unix);
                    let (now, user, connection) = (at.now.instant, named("user"), named("connection"));
                    hub.expelled.push(Expelled::new(user, connection, now, revokes));
                    hub.expelled.len() - 1
                }))
            }
            ("GET", "/v1/connections" | "/v1/stats") => What::Admin(None),
            _ => What::Other,
        };
        self.0.push_back(Asked { who, what, admitted, end: hub.end });
    }

    /// The connection is over: what was asked is done by now, or never is.
    pub(super) fn end(&self, at: Moment, hub: &mut HubModel) {
        self.0.iter().for_each(|asked| asked.done(at, hub));
    }

    /// A whole response has gone.
    pub(super) fn answer(&mut self, cx: &mut Context<'_>, head: &str, body: &[u8]) -> Result<(), Violation> {
        let illegal = |text: String| Err(Violation::new(Invariant::Legal, text));
        let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let json = serde_json::from_slice(body).unwrap_or(Value::Null);
        let is_problem = decode::field(head, "content-type") == Some("application/problem+json")
            && json["status"] == status
            && json["code"].is_string();
        if 400 <= status && !is_problem {
            return illegal(format!("no problem+json: {head}{json}"));
        }
        let Some(asked) = self.0.pop_front() else {
            return if status < 400 { illegal(format!("an answer to nothing: {head}")) } else { Ok(()) };
        };
        asked.done(cx.at, cx.hub);
        if !asked.admitted {
            let answered = status < 400;
            return if answered {
                illegal(format!("a forbidden origin was answered: {head}"))
            } else {
                Ok(())
            };
        }
        if let What::Admin(Some(place)) = asked.what
            && status == 200
        {
            cx.hub.expelled[place].said = Some(cx.at.now.instant);
        }
        asked.check_authorised(cx, status)?;
        match &asked.what {
            What::Publish(events) => asked.check_publish(cx, events, status, &json),
            What::Page { definition, after, limit } if status == 200 => {
                asked.check_page(cx, definition, (*after, *limit), &json)
            }
            What::Page { definition, .. } if status == 403 => {
                let covers = asked.who.as_ref().is_some_and(|who| who.grants.cover(definition));
                if covers { illegal(format!("{definition:?} was refused: {json}")) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

impl Asked {
    fn done(&self, at: Moment, hub: &mut HubModel) {
        if let What::Admin(Some(place)) = self.what
            && let Some(expelled) = hub.expelled.get_mut(place)
        {
            expelled.until = Some(at.now.instant);
        }
    }

    fn check_authorised(&self, cx: &Context<'_>, status: u16) -> Result<(), Violation> {
        let good = match &self.who {
            Some(Asker { pass: Some(pass), .. }) => cx.hub.takes(pass, cx.at),
            who => who.is_some(),
        };
        if status == 401 && good {
            return Err(Violation::new(Invariant::Legal, "a good token or key was refused".to_owned()));
        }
        let admin = self.who.as_ref().is_some_and(|who| who.grants.is_admin());
        if status == 403 && admin && matches!(self.what, What::Admin(_)) {
            return Err(Violation::new(Invariant::Legal, "an administrator was refused".to_owned()));
        }
        let may = match &self.what {
            What::Other => true,
            What::Admin(_) => admin,
            What::Publish(_) | What::Page { .. } => self.who.is_some(),
        };
        if status == 200 && !may {
            return Err(Violation::new(Invariant::Permitted, format!("{:?} was answered", self.what)));
        }
        Ok(())
    }

    fn check_publish(
        &self,
        cx: &mut Context<'_>,
        events: &[Value],
        status: u16,
        answer: &Value,
    ) -> Result<(), Violation> {
        let Some(who) = &self.who else { return Ok(()) };
        let results = answer["results"].as_array().map(Vec::as_slice).unwrap_or_default();
        let wrong = |invariant, text: &str| {
            Err(Violation::new(invariant, format!("{text}: {answer} answers {events:?} of {}", who.name)))
        };
        match status {
            200 if events.len() != results.len() => {
                return wrong(Invariant::Legal, "not a result for each event");
            }
            200 | 503 => {}
            403 if events.iter().all(|event| who.grants.allow(event)) => {
                return wrong(Invariant::Legal, "the grant allows it");
            }
            409 if !events.iter().any(|event| cx.ledger.conflicts(&who.name, event)) => {
                return wrong(Invariant::Legal, "there was no other content");
            }
            400..500 => return events.iter().try_for_each(|event| cx.ledger.refuse(&who.name, event)),
            _ => return Ok(()),
        }
        if status == 200
            && let Some(event) = events.iter().find(|event| !who.grants.allow(event))
        {
            return wrong(Invariant::Permitted, &format!("the grant does not allow {event}"));
        }
        for (index, result) in results.iter().enumerate() {
            // Where only some are known, one is found by its id, if no other bears it.
            let of: Vec<&Value> = match status {
                200 => vec![&events[index]],
                _ => events.iter().filter(|event| event["id"] == result["id"]).collect(),
            };
            let [event] = of[..] else { continue };
            let offset = number(result, "offset")?;
            let (id, duplicate) = (&result["id"], &result["duplicate"]);
            cx.publisher_told(Told { publisher: &who.name, event, id, offset, duplicate })?;
        }
        Ok(())
    }

    /// A page: all that match between `after` and `next`, oldest first, as many as fit.
    fn check_page(
        &self,
        cx: &mut Context<'_>,
        definition: &Definition,
        (after, limit): (u64, usize),
        page: &Value,
    ) -> Result<(), Violation> {
        let Some(who) = &self.who else { return Ok(()) };
        let wrong = |invariant, text: String| {
            Err(Violation::new(invariant, format!("a page of {definition:?} above {after}: {text}: {page}")))
        };
        if !who.grants.cover(definition) {
            return wrong(Invariant::Permitted, "the grant does not cover it".to_owned());
        }
        let evicted: PerLane<u64> = PerLane::from_fn(|lane| cx.hub.evicted(lane, cx.at.now.instant).0);
        let life = cx.truth.life(cx.hub.life);
        let next = number(page, "next")?;
        let (mut newest, mut listed) = (after, Vec::new());
        for one in page["events"].as_array().into_iter().flatten() {
            let offset = number(one, "offset")?;
            let Some(event) = life.get(offset).filter(|event| event.value == one["event"]) else {
                return wrong(Invariant::Legal, format!("{offset} differs from what is in the log"));
            };
            if !definition.matches(&event.value) || !who.grants.permit(&event.value) {
                return wrong(Invariant::Permitted, format!("{offset} is in it"));
            }
            if offset <= newest || next < offset {
                return wrong(Invariant::Ordered, format!("{offset} stands between {newest} and {next}"));
            }
            newest = offset;
            listed.push(offset);
        }
        if limit < listed.len() || page["epoch"] != *life.epoch || next < after {
            return wrong(Invariant::Legal, format!("at most {limit} of {}", life.epoch));
        }
        let matches = |event: &&Event| definition.matches(&event.value) && who.grants.permit(&event.value);
        let held = |event: &Event| evicted[event.lane] < event.offset;
        let mut due = life.between(after, next).iter().filter(matches).filter(|event| held(event));
        if let Some(missing) = due.find(|event| !listed.contains(&event.offset)) {
            return wrong(Invariant::Complete, format!("{} is missing", missing.offset));
        }
        // It ends early only where it is full, by number or by bytes. What would have been too much may have been
        // evicted since.
        let size = |event: &Event| event.record.event.json().len();
        let bytes: usize = listed.iter().filter_map(|offset| life.get(*offset)).map(size).sum();
        let most = cx.hub.config.limits.recent_bytes;
        let mut beyond = life.between(next, self.end).iter().filter(matches);
        let fits = |event: &Event| bytes + size(event) <= most;
        let full = listed.len() == limit
            || !listed.is_empty()
                && beyond.find(|event| held(event) || !fits(event)).is_some_and(|event| !fits(event));
        if !full && next < self.end {
            return wrong(Invariant::Complete, format!("it ends before {} and is not full", self.end));
        }
        Ok(())
    }
}

fn asker(hub: &HubModel, tokens: &Tokens, head: &str) -> Option<Asker> {
    let presented = decode::token(head)?;
    let mut keys = hub.config.auth.api_keys.iter();
    if let Some(key) = keys.find(|key| key.key.expose() == presented) {
        let name = format!("key:{}", key.name.as_deref().unwrap_or(""));
        return Some(Asker { name, grants: Grants::of_key(key), pass: None });
    }
    let pass = tokens.pass(presented, &hub.config)?;
    Some(Asker { name: pass.user.clone(), grants: pass.grants.clone(), pass: Some(pass) })
}

/// Whether the origin that a head names may ask; what names none is no browser (PROTOCOL §2).
fn is_admitted(hub: &HubModel, head: &str) -> bool {
    let Some(origin) = decode::field(head, "origin") else { return true };
    let listed = &hub.config.origins;
    if listed.is_empty() {
        return origin.split_once("://").map(|(_, host)| host) == decode::field(head, "host");
    }
    listed.iter().any(|listed| listed.to_string() == origin)
}

fn page(hub: &HubModel, head: &str) -> What {
    let decoded = |name| decode::parameter(head, name).map(decode::decoded);
    let events: Vec<Value> = decoded("events")
        .map_or_else(|| vec!["*".into()], |events| events.split(',').map(Value::from).collect());
    let filter =
        decoded("filter").and_then(|filter| serde_json::from_str(&filter).ok()).unwrap_or(Value::Null);
    What::Page {
        definition: Definition::read(&events.into(), &filter),
        after: decoded("after").and_then(|after| after.parse().ok()).unwrap_or(0),
        limit: decoded("limit").and_then(|limit| limit.parse().ok()).unwrap_or(hub.config.http.page),
    }
}

/// The events of a body, in any of the forms of CloudEvents over HTTP.
fn events_of(head: &str, body: &[u8]) -> Vec<Value> {
    let body = serde_json::from_slice(body).unwrap_or(Value::Null);
    if decode::field(head, "ce-type").is_some() {
        let mut event = json!({"data": body});
        for name in ["id", "source", "type", "subject", "priority", "specversion"] {
            if let Some(value) = decode::field(head, &format!("ce-{name}")) {
                event[name] = value.into();
            }
        }
        return vec![event];
    }
    match body {
        Value::Array(events) => events,
        event => vec![event],
    }
}
