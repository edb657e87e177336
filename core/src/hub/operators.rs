//! What only operators may ask: the numbers of the instance, who is connected, and that somebody is disconnected.
//!
//! The numbers are kept where things happen, and no question looks at all connections: numbers take time by the
//! number of event types, and a list ends after so many connections that it has looked at, found or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Hub;
use super::answers::{JSON, Query};
use super::connection::{Connection, Phase, Session};
use super::shared::State;
use crate::event::{Filter, Number, Scalar};
use crate::lanes::Waiting;
use crate::protocol::{CloseCode, ConnId, PerLane};
use crate::stats::Histogram;
use crate::time::{Instant, UnixTime};
use crate::wire::http::Response;

/// Connections in one answer of `GET /v1/connections`.
const LISTED_MAX: usize = 1_000;
/// Connections looked at for one answer.
const LOOKED_MAX: usize = 10_000;

impl Hub {
    /// The numbers that `/metrics` has, for a person's page.
    pub(super) fn stats_json(&self) -> Value {
        let waiting = self.lanes.waiting(&self.history);
        let sum = |of: fn(&Waiting) -> u64| waiting.iter().map(|(_, lane)| of(lane)).sum::<u64>();
        let mut numbers = Map::new();
        let stats = &self.stats;
        for part in [
            json!({
                "version": env!("CARGO_PKG_VERSION"),
                "uptimeMs": self.now.instant.as_micros() / 1_000,
                "draining": self.leaving.is_some(),
                "totalConnections": self.sessions,
                "activeSubscriptions": self.subscribed,
                "definitions": self.index.definitions(),
                "users": self.users.len(),
                "sockets": self.connections.len(),
                "connections": by_name(State::ALL, |state| (state.as_str(), self.connections.in_state(state))),
            }),
            json!({
                "epoch": self.history.epoch(),
                "offset": self.history.end(),
                "historyEvents": self.history.events(),
                "historyBytes": self.history.bytes(),
                "eventsPublished": total(&stats.published),
                "eventsDelivered": total(&stats.delivered),
                "published": self.by_type(&stats.published),
                "delivered": self.by_type(&stats.delivered),
                "duplicates": stats.duplicates,
            }),
            json!({
                "queued": sum(|lane| lane.queued),
                "catchingUp": sum(|lane| lane.behind),
                "catchUp": sum(|lane| lane.catch_up),
                "lanes": PerLane::from_fn(|lane| lag(&waiting[lane])),
                "slowConsumers": self.lanes.slow(),
                "overflows": self.lanes.overflows(),
                "conflated": self.lanes.conflated(),
                "gaps": stats.gaps_expired + stats.gaps_epoch,
                "gapsByReason": {"expired": stats.gaps_expired, "epoch": stats.gaps_epoch},
            }),
            json!({
                "closes": stats.closed.iter().map(|(code, count)| (code.as_u16(), count)).collect::<BTreeMap<_, _>>(),
                "errors": stats.errors,
                "refusals": stats.refused,
                "latency": buckets(&stats.latency),
            }),
        ] {
            let Value::Object(part) = part else { continue };
            numbers.extend(part);
        }
        Value::Object(numbers)
    }

    /// The counts of events: the types and lanes that there were any of.
    fn by_type(&self, counts: &[PerLane<u64>]) -> Value {
        let mut types = Map::new();
        for ((_, name, _), lanes) in self.catalog.iter().zip(counts) {
            let seen = lanes.iter().filter(|(_, count)| 0 < **count);
            let lanes: Map<String, Value> =
                seen.map(|(lane, count)| (lane.as_str().to_owned(), json!(count))).collect();
            if !lanes.is_empty() {
                types.insert(name.to_owned(), Value::Object(lanes));
            }
        }
        Value::Object(types)
    }

    /// A page of the connections of users, in an order that holds while they live.
    pub(super) fn list_connections(&self, query: &Query) -> Response {
        let bad = |detail: &str| Response::problem(400, "invalid_message", detail, &[]);
        if let Some(name) = query.get("connection") {
            return Response::with_body(200, JSON, self.detail(name).to_string());
        }
        let limit = match query.get("limit").map(str::parse) {
            None => LISTED_MAX,
            Some(Ok(limit)) if (1..=LISTED_MAX).contains(&limit) => limit,
            Some(_) => return bad(&format!("`limit` must be a number from 1 to {LISTED_MAX}")),
        };
        let only_slow = match query.get("catchingUp") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return bad("`catchingUp` is `true` or `false`"),
        };
        let wanted = |connection: &Connection| !only_slow || self.lanes.is_behind(connection.lanes);
        let from = query.get("after").and_then(|name| self.names.read(name)).map_or(0, |id| id.slot() + 1);
        let page = match query.get("user") {
            None => self.page(from..self.connections.slots(), limit, wanted),
            Some(user) => {
                let own = self.users.get(user).into_iter().flatten();
                let mut own: Vec<usize> = own.map(|id| id.slot()).filter(|slot| from <= *slot).collect();
                own.sort_unstable();
                self.page(own.into_iter(), limit, wanted)
            }
        };
        Response::with_body(200, JSON, page.to_string())
    }

    /// The connections in `slots` that are wanted, `limit` of them at most, and where to go on.
    fn page(
        &self,
        slots: impl Iterator<Item = usize>,
        limit: usize,
        wanted: impl Fn(&Connection) -> bool,
    ) -> Value {
        let (mut rows, mut looked, mut last) = (Vec::new(), 0, None);
        for connection in slots.filter_map(|slot| self.connections.at(slot)) {
            if rows.len() == limit || looked == LOOKED_MAX {
                return json!({"connections": rows, "next": last.map(|id| self.names.write(id))});
            }
            looked += 1;
            last = Some(connection.id);
            if let Some(session) = connection.session().filter(|_| wanted(connection)) {
                rows.push(self.describe(connection, session));
            }
        }
        json!({"connections": rows})
    }

    /// One connection, and what it is subscribed to.
    fn detail(&self, name: &str) -> Value {
        let connection = self.names.read(name).and_then(|id| self.connections.get(id));
        let Some((connection, session)) = connection.and_then(|it| Some((it, it.session()?))) else {
            return json!({"connections": []});
        };
        let mut row = self.describe(connection, session);
        let interests = session.subscriptions.iter().map(|subscription| {
            let (patterns, filter, _) = self.index.definition(subscription.place.definition());
            json!({
                "id": subscription.id,
                "events": patterns.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "filter": filter_json(filter),
                "from": subscription.from,
            })
        });
        row["interests"] = interests.collect();
        json!({"connections": [row]})
    }

    fn describe(&self, connection: &Connection, session: &Session) -> Value {
        let since = |at: Instant| u64::try_from(self.now.instant.since(at).as_millis()).unwrap_or(u64::MAX);
        let waiting = self.lanes.backlog(connection.lanes, &self.history);
        let sum = |of: fn(&Waiting) -> u64| waiting.iter().map(|(_, lane)| of(lane)).sum::<u64>();
        json!({
            "connection": self.names.write(connection.id),
            "user": session.identity.user().as_ref(),
            "address": connection.peer.address,
            "transport": if session.is_stream() { "sse" } else { "websocket" },
            "ageMs": since(session.born),
            "silentMs": since(connection.heard),
            "subscriptions": session.subscriptions.len(),
            "queued": sum(|lane| lane.queued),
            "catchUp": sum(|lane| lane.catch_up),
            "catchingUp": 0 < sum(|lane| lane.behind),
            "lanes": PerLane::from_fn(|lane| lag(&waiting[lane])),
            "pace": connection.pace.as_ref().map(|pace| pace.bytes_per_s()),
            "expiresAt": session.identity.expires_at().map(UnixTime::as_secs),
        })
    }

    pub(super) fn disconnect(&mut self, query: &Query) -> Response {
        let (user, name) = (query.get("user"), query.get("connection"));
        let targets: Vec<ConnId> = match (user, name) {
            (Some(user), None) => self.users.get(user).cloned().unwrap_or_default(),
            (None, Some(name)) => {
                let known = self.names.read(name).filter(|id| self.connections.get(*id).is_some());
                known.into_iter().collect()
            }
            _ => {
                let detail = "name one `user` or one `connection`";
                return Response::problem(400, "invalid_message", detail, &[]);
            }
        };
        let revoke = match query.get("revoke") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                return Response::problem(400, "invalid_message", "`revoke` is `true` or `false`", &[]);
            }
        };
        let owner = targets.first().and_then(|id| self.connections.get(*id)).and_then(Connection::session);
        let owner = user.map(Into::into).or_else(|| owner.map(|session| Arc::clone(session.identity.user())));
        if let Some(user) = owner.filter(|_| revoke) {
            let now = self.now.unix;
            self.auth.revoke(&user, now);
        }
        let live = targets.iter().filter(|id| self.is_live(**id)).count();
        targets.into_iter().for_each(|id| self.close(id, CloseCode::Disconnected));
        Response::with_body(200, JSON, json!({"disconnected": live}).to_string())
    }

    fn is_live(&self, conn: ConnId) -> bool {
        self.connections.get(conn).is_some_and(|connection| matches!(connection.phase, Phase::Live(_)))
    }
}

fn total(counts: &[PerLane<u64>]) -> u64 {
    counts.iter().flat_map(PerLane::iter).map(|(_, count)| count).sum()
}

fn by_name<T>(all: impl IntoIterator<Item = T>, count: impl Fn(T) -> (&'static str, usize)) -> Value {
    all.into_iter().map(count).map(|(name, count)| (name.to_owned(), json!(count))).collect()
}

fn lag(waiting: &Waiting) -> Value {
    json!({"queued": waiting.queued, "catchUp": waiting.catch_up})
}

/// The counts of a histogram, each with the bound up to which it counts, in microseconds; the last has none.
fn buckets(histogram: &Histogram) -> Value {
    let (bounds, counts): (Vec<_>, Vec<_>) = histogram.cumulative().unzip();
    json!({"boundsUs": bounds, "counts": counts, "sumUs": histogram.sum_us()})
}

/// A filter as a subscription has it.
fn filter_json(filter: &Filter) -> Value {
    let value = |allowed: &[Scalar]| match allowed {
        [one] => scalar_json(one),
        several => several.iter().map(scalar_json).collect(),
    };
    filter.iter().map(|(path, allowed)| (path.to_owned(), value(allowed))).collect()
}

fn scalar_json(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(bool) => json!(bool),
        Scalar::Number(Number::Int(int)) => {
            serde_json::Number::from_i128(*int).map_or_else(|| json!(int.to_string()), Value::Number)
        }
        Scalar::Number(Number::Float(float)) => json!(float),
        Scalar::String(text) => json!(text),
    }
}
