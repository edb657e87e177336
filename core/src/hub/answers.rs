//! What each route answers.

use std::net::IpAddr;
use std::sync::Arc;

use form_urlencoded::parse as parse_query;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::connection::{Busy, Step};
use super::grants::Allowed;
use super::publish::{Answer, Asker, Batch, Begun, PublishId};
use super::request::{Accepted, Asking, unauthorized};
use super::routes::Route;
use super::scan::{Scan, ScanFor};
use super::{Hub, metrics};
use crate::auth::Grant;
use crate::event::{Filter, Pattern, Patterns};
use crate::input::Listener;
use crate::protocol::{ConnId, Epoch, ErrorCode, Failure, Offset, Recent};
use crate::wire::http::{ReplyTo, RequestHead, Response};

pub(super) const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const PAGE: &str = include_str!("page.html");

/// A page of history. Written out as it stands, so that an event's data keep their bytes.
#[derive(Serialize)]
struct Page<'a> {
    epoch: Option<&'a Epoch>,
    events: Vec<Recent<'a>>,
    next: Offset,
}

/// The parameters of a query, decoded. The first of a name counts.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn new(head: &RequestHead) -> Self {
        let query = head.query().unwrap_or("").as_bytes();
        Self(parse_query(query).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The values of a name, each possibly a list with commas.
    fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let values = self.0.iter().filter(move |(key, _)| key == name);
        values.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|item| !item.is_empty())
    }
}

impl Hub {
    pub(super) fn answer_route(&mut self, conn: ConnId, head: &RequestHead, to: ReplyTo, route: Route) {
        let response = match route {
            Route::Health => Response::with_body(200, JSON, r#"{"status":"ok"}"#),
            Route::Ready => self.readiness(),
            Route::Schema => Response::with_body(200, JSON, self.schema()),
            Route::LivePage => live_page(),
            Route::UpgradeOnly => {
                let detail = "this address speaks WebSocket: upgrade, with a token";
                Response::problem(426, "upgrade_required", detail, &[]).header("Upgrade", "websocket")
            }
            Route::Options(allow) => Response::new(204).header("Allow", allow),
            Route::Metrics => self.if_allowed(conn, head, Self::may_read_metrics, |hub| {
                Response::with_body(200, "text/plain; version=0.0.4; charset=utf-8", metrics::render(hub))
            }),
            Route::Stats => self.if_allowed(conn, head, Self::is_admin, |hub| {
                Response::with_body(200, JSON, hub.stats_json().to_string())
            }),
            Route::Connections => {
                self.if_allowed(conn, head, Self::is_admin, |hub| hub.list_connections(&Query::new(head)))
            }
            Route::Disconnect => {
                self.if_allowed(conn, head, Self::is_admin, |hub| hub.disconnect(&Query::new(head)))
            }
            Route::Page => return self.begin_page(conn, head, to),
            Route::Stream => return self.begin_stream(conn, head, to),
            Route::Publish => return,
        };
        self.answer(conn, to, response);
    }

    fn readiness(&self) -> Response {
        if self.loaded && self.leaving.is_none() {
            return Response::with_body(200, JSON, r#"{"status":"ready"}"#);
        }
        let why = if self.leaving.is_some() { "draining" } else { "loading" };
        Response::problem(503, "unavailable", why, &[]).header("Retry-After", "1")
    }

    fn schema(&mut self) -> String {
        self.schema_json.get_or_insert_with(|| self.catalog.schema().to_string()).clone()
    }

    // Who may ask

    fn if_allowed(
        &mut self,
        conn: ConnId,
        head: &RequestHead,
        may: fn(&mut Self, ConnId, &RequestHead) -> Result<(), Response>,
        answer: impl FnOnce(&mut Self) -> Response,
    ) -> Response {
        match may(self, conn, head) {
            Ok(()) => answer(self),
            Err(refusal) => refusal,
        }
    }

    fn is_admin(&mut self, conn: ConnId, head: &RequestHead) -> Result<(), Response> {
        let presented = self.bearer(head)?;
        let asking = self.identify(presented)?;
        self.authenticated(conn);
        if asking.grant().is_admin() {
            return Ok(());
        }
        Err(Response::problem(403, "forbidden", "this is for administrators", &[]))
    }

    /// A scraper on the machine itself needs no token; what came through a proxy is not on the machine.
    fn may_read_metrics(&mut self, conn: ConnId, head: &RequestHead) -> Result<(), Response> {
        let Some(connection) = self.connections.get(conn) else { return Ok(()) };
        let local = connection.peer.address.to_canonical().is_loopback() && is_loopback_host(head.host());
        let forwarded = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"]
            .iter()
            .any(|name| head.headers().get(name).is_some());
        if local && !forwarded {
            return Ok(());
        }
        self.is_admin(conn, head)
    }

    /// Who reads: by `Authorization`, cookie or query parameter.
    pub(super) fn authorise_reader(
        &mut self,
        conn: ConnId,
        head: &RequestHead,
    ) -> Result<Arc<Grant>, Response> {
        self.reader(conn, head).map(|asking| Arc::clone(asking.grant()))
    }

    pub(super) fn reader(&mut self, conn: ConnId, head: &RequestHead) -> Result<Asking, Response> {
        let found = self.find_token(head, &[]);
        let presented = found.map_err(|error| {
            self.stats.refuse(error.reason());
            unauthorized(error)
        })?;
        let asking = self.identify(&presented)?;
        self.authenticated(conn);
        Ok(asking)
    }

    // Publish

    pub(super) fn publish_body(&mut self, conn: ConnId, accepted: Accepted, body: &[u8]) {
        let Accepted { to, publisher, head } = accepted;
        let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8".to_owned());
        let batch = text.and_then(|text| read_batch(&head, text));
        let begun = match &batch {
            Ok(Batch::Structured(events)) if self.config.http.batch < events.len() => {
                let detail = format!("a batch has at most {} events", self.config.http.batch);
                let response = Response::problem(413, "invalid_message", &detail, &[]);
                return self.answer(conn, to, response);
            }
            Ok(batch) => self.begin_publish(Asker::Connection(conn), &publisher, batch),
            Err(detail) => {
                self.stats.error(ErrorCode::InvalidJson);
                let response = Response::problem(400, "invalid_json", detail, &[]);
                return self.answer(conn, to, response);
            }
        };
        match begun {
            Begun::Done(Answer::Refused(failure))
                if failure.code == ErrorCode::InvalidEvent
                    && serde_json::from_slice::<IgnoredAny>(body).is_err() =>
            {
                let failure = Failure { code: ErrorCode::InvalidJson, ..failure };
                let response = self.publish_response(Answer::Refused(failure));
                self.answer(conn, to, response);
            }
            Begun::Done(answer) => {
                let response = self.publish_response(answer);
                self.answer(conn, to, response);
            }
            Begun::Waiting(publish) => self.make_busy(conn, to, Busy::Publish(publish, None)),
        }
    }

    /// Answers a request whose events are decided, and goes on with the next.
    pub(super) fn published_http(&mut self, conn: ConnId, publish: PublishId, answer: Answer) {
        let Some(exchange) = self.exchange_mut(conn) else { return };
        let to = match &exchange.step {
            Step::Busy(to, busy) if matches!(**busy, Busy::Publish(waited, _) if waited == publish) => *to,
            _ => return,
        };
        let response = self.publish_response(answer);
        self.answer(conn, to, response);
        self.next_request(conn);
    }

    fn publish_response(&mut self, answer: Answer) -> Response {
        match answer {
            Answer::Published(results) => {
                Response::with_body(200, JSON, json!({"results": results}).to_string())
            }
            Answer::Refused(failure) => {
                self.stats.error(failure.code);
                refused(failure)
            }
            Answer::Unavailable(results) => {
                self.stats.error(ErrorCode::Unavailable);
                let results = serde_json::to_value(results).expect("results are plain values");
                let detail = super::publish::unavailable().message;
                Response::problem(503, "unavailable", &detail, &[("results", results)])
                    .header("Retry-After", "1")
            }
        }
    }

    // History

    fn begin_page(&mut self, conn: ConnId, head: &RequestHead, to: ReplyTo) {
        let read = self.authorise_reader(conn, head).and_then(|grant| {
            let query = Query::new(head);
            let (patterns, filter) = self.read_interest(&query, &grant)?;
            let (after, limit) = self.read_page(&query)?;
            let permit = Allowed(grant);
            let purpose = ScanFor::Page { limit };
            Ok(Scan::above(&self.history, patterns, filter, permit, purpose, after))
        });
        match read {
            Ok(_) if !self.loaded => {
                let response = self.readiness();
                self.answer(conn, to, response);
            }
            Ok(scan) => {
                self.make_busy(conn, to, Busy::Scan(scan));
                self.work.push_back(conn);
            }
            Err(response) => self.answer(conn, to, response),
        }
    }

    fn read_page(&self, query: &Query) -> Result<(Offset, usize), Response> {
        let bad = |detail: &str| Response::problem(400, "invalid_message", detail, &[]);
        let after = match query.get("after") {
            None => Offset::ZERO,
            Some(text) => {
                let number = text.parse::<u64>().ok().and_then(Offset::new);
                number.ok_or_else(|| bad("`after` must be an offset"))?
            }
        };
        let max = self.config.http.page_max;
        let limit = match query.get("limit") {
            None => self.config.http.page,
            Some(text) => match text.parse::<usize>() {
                Ok(limit) if (1..=max).contains(&limit) => limit,
                _ => return Err(bad(&format!("`limit` must be a number from 1 to {max}"))),
            },
        };
        Ok((after, limit))
    }

    /// The patterns and the filter of a query, within the grant. Without `events` all that the grant covers.
    pub(super) fn read_interest(&self, query: &Query, grant: &Grant) -> Result<(Patterns, Filter), Response> {
        let problem = |code: ErrorCode, detail: &str| {
            let status = if code == ErrorCode::Forbidden { 403 } else { 400 };
            Response::problem(status, code.as_str(), detail, &[])
        };
        let limits = &self.config.limits;
        let mut patterns = Vec::new();
        for text in query.list("events").take(limits.patterns + 1) {
            let pattern = Pattern::parse(text)
                .map_err(|error| problem(ErrorCode::InvalidEventType, &error.to_string()))?;
            if !self.knows(&pattern) {
                let detail = format!("no event type matches {pattern}");
                return Err(problem(ErrorCode::InvalidEventType, &detail));
            }
            if !grant.allows_subscription(&pattern) {
                return Err(problem(ErrorCode::Forbidden, &format!("the grant does not cover {pattern}")));
            }
            patterns.push(pattern);
        }
        if limits.patterns < patterns.len() {
            let detail = format!("`events` has more than {} patterns", limits.patterns);
            return Err(problem(ErrorCode::InvalidMessage, &detail));
        }
        if patterns.is_empty() {
            patterns.extend(grant.parts().iter().flat_map(|part| part.subscribe.iter().cloned()));
        }
        let fault = |detail: String| problem(ErrorCode::InvalidFilter, &detail);
        let filter = match query.get("filter") {
            None => Filter::default(),
            Some(text) => {
                Filter::parse(text, limits.filter_keys).map_err(|error| fault(error.to_string()))?
            }
        };
        Ok((Patterns::new(patterns), filter))
    }

    /// Answers a request for a page of history.
    pub(super) fn page_found(&mut self, conn: ConnId, scan: &Scan) {
        let Some(exchange) = self.exchange_mut(conn) else { return };
        let Step::Busy(to, _) = &exchange.step else { return };
        let to = *to;
        let epoch = self.history.epoch();
        let body = Page { epoch, events: scan.found(), next: scan.next };
        let body = serde_json::to_string(&body).expect("a page has string keys and plain values only");
        self.answer(conn, to, Response::with_body(200, JSON, body));
        self.next_request(conn);
    }
}

fn live_page() -> Response {
    Response::with_body(200, HTML, PAGE)
        .header("Cache-Control", "no-store")
        .header("Referrer-Policy", "no-referrer")
        .header("X-Content-Type-Options", "nosniff")
        .header(
            "Content-Security-Policy",
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        )
}

fn refused(failure: Failure) -> Response {
    let status = match failure.code {
        ErrorCode::Forbidden => 403,
        ErrorCode::Conflict => 409,
        ErrorCode::Unavailable => 503,
        _ => 400,
    };
    let extra: Vec<(&str, Value)> = failure.details.map(|details| ("errors", details)).into_iter().collect();
    Response::problem(status, failure.code.as_str(), &failure.message, &extra)
}

/// The events of a body, by its media type and its `ce-` fields.
fn read_batch<'a>(head: &'a RequestHead, text: &'a str) -> Result<Batch<'a>, String> {
    let media = head.headers().get("content-type").unwrap_or(JSON);
    let media = media.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let is_binary = head.headers().get("ce-type").is_some() || head.headers().get("ce-specversion").is_some();
    match &*media {
        "application/cloudevents-batch+json" => list(text),
        "application/cloudevents+json" => Ok(Batch::Structured(vec![text])),
        _ if is_binary => {
            let mut attributes: Vec<(&str, &str)> = head
                .headers()
                .iter()
                .filter_map(|(name, value)| {
                    let attribute = name.get(3..).filter(|_| name.get(..3).is_some_and(is_ce))?;
                    Some((attribute, value))
                })
                .collect();
            if let Some(media) = head.headers().get("content-type") {
                attributes.push(("datacontenttype", media));
            }
            Ok(Batch::Binary(attributes, text))
        }
        _ if text.trim_start().starts_with('[') => list(text),
        _ => Ok(Batch::Structured(vec![text])),
    }
}

fn is_ce(prefix: &str) -> bool {
    prefix.eq_ignore_ascii_case("ce-")
}

fn list(text: &str) -> Result<Batch<'_>, String> {
    let raw: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(Batch::Structured(raw.into_iter().map(serde_json::value::RawValue::get).collect()))
}

fn is_loopback_host(host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What a listener serves decides which routes there are; a listener for everything serves all.
pub(super) const fn serves_users(listener: Listener) -> bool {
    !matches!(listener, Listener::Operators)
}
