//! Requests over HTTP: who may ask what, and in which order that is found out. A body is read only after
//! its request is authorised.

use std::net::IpAddr;
use std::sync::Arc;

use super::Hub;
use super::connection::{AddressKey, Busy, Exchange, Phase, Step};
use super::publish::Publisher;
use super::routes::{self, Route};
use crate::auth::{Grant, Identity, TokenError};
use crate::output::Output;
use crate::protocol::ConnId;
use crate::wire::http::{
    Framing, HttpError, HttpLimits, Method, Progress, ReplyTo, RequestHead, RequestReader, Response,
};
use crate::wire::{Upgrade, UpgradeError};

/// An authorised request whose body is being read.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) to: ReplyTo,
    pub(super) publisher: Publisher,
    pub(super) head: RequestHead,
}

/// Who asks.
#[derive(Debug)]
pub(super) enum Asking {
    /// A user, by token.
    User(Arc<Identity>),
    /// A back end, by API key.
    Key(Box<str>, Arc<Grant>),
}

impl Asking {
    pub(super) fn grant(&self) -> &Arc<Grant> {
        match self {
            Self::User(identity) => identity.grant(),
            Self::Key(_, grant) => grant,
        }
    }

    /// The name under which events are deduplicated. A key cannot take the name of a user.
    pub(super) fn publisher(&self) -> Publisher {
        let (name, grant) = match self {
            Self::User(identity) => (identity.user().as_ref().into(), identity.grant()),
            Self::Key(name, grant) => (format!("key:{name}").into(), grant),
        };
        Publisher { name, grant: Some(Arc::clone(grant)) }
    }
}

impl Hub {
    /// Takes bytes of a connection that speaks HTTP.
    pub(super) fn receive_request(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(exchange) = self.exchange_mut(conn) else { return };
        let mut held = std::mem::take(&mut exchange.inbox);
        held.extend_from_slice(bytes);
        let mut input = &*held;
        let limits = self.http_limits();
        loop {
            let now = self.now.instant;
            if self.is_blocked(conn) {
                break;
            }
            let Some(exchange) = self.exchange_mut(conn) else { break };
            if exchange.is_working() {
                break;
            }
            let idle = exchange.reader.phase() == crate::wire::http::Phase::Idle;
            if idle && !input.is_empty() {
                exchange.since = now;
            }
            let mut reader = std::mem::replace(&mut exchange.reader, RequestReader::new(limits));
            let read = super::guard(&mut self.stats, || reader.receive(&mut input));
            if let Some(exchange) = self.exchange_mut(conn) {
                exchange.reader = reader;
            }
            match read {
                None => return self.panicked(conn),
                Some(Err(error)) => return self.refuse_request(conn, error),
                Some(Ok(Progress::NeedMore)) => break,
                Some(Ok(Progress::Head(head))) => self.on_head(conn, head),
                Some(Ok(Progress::Body(body))) => self.on_body(conn, &body),
            }
        }
        self.keep_rest(conn, input);
    }

    pub(super) fn http_limits(&self) -> HttpLimits {
        let http = &self.config.http;
        HttpLimits {
            head_bytes_max: http.head_bytes,
            fields_max: http.head_fields,
            body_bytes_max: http.body_bytes,
        }
    }

    /// Hands what was not used to whatever the connection has become.
    fn keep_rest(&mut self, conn: ConnId, input: &[u8]) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        match &mut connection.phase {
            Phase::Http(exchange) if !input.is_empty() => {
                exchange.inbox = input.to_vec();
                if !connection.paused {
                    connection.paused = true;
                    self.outputs.push_back(Output::Pause(conn));
                }
            }
            Phase::Live(session) if !input.is_empty() && !session.is_stream() => {
                self.receive_frames(conn, input);
            }
            Phase::Closing(_) => self.receive_closing(conn, input),
            Phase::Http(_) | Phase::Live(_) => {}
        }
        self.arm(conn);
    }

    fn on_head(&mut self, conn: ConnId, head: RequestHead) {
        self.count_address(conn, &head);
        let origin = match self.check_origin(&head) {
            Ok(origin) => origin,
            Err(()) => {
                self.stats.refuse("origin");
                let response = Response::problem(403, "forbidden", "this origin is not allowed", &[]);
                return self.answer_closing(conn, response);
            }
        };
        let Some(exchange) = self.exchange_mut(conn) else { return };
        exchange.origin = origin;
        if exchange.overload {
            return self.overloaded(conn, "connections");
        }
        let to = head.reply_to();
        match super::guard(&mut self.stats, || Upgrade::parse(&head).map(|upgrade| upgrade.is_some())) {
            None => self.panicked(conn),
            Some(Err(error)) => self.refuse_upgrade(conn, error),
            Some(Ok(true)) => self.upgrade(conn, &head),
            Some(Ok(false)) => self.route(conn, head, to),
        }
    }

    fn refuse_upgrade(&mut self, conn: ConnId, error: UpgradeError) {
        self.stats.refuse(error.reason());
        self.answer_closing(conn, error.response());
    }

    fn refuse_request(&mut self, conn: ConnId, error: HttpError) {
        self.stats.refuse(error.reason());
        self.answer_closing(conn, error.response());
    }

    /// Refuses because there are too many already; says when to try again.
    pub(super) fn overloaded(&mut self, conn: ConnId, reason: &'static str) {
        self.stats.refuse(reason);
        let response = Response::problem(503, "unavailable", "the server takes no more connections now", &[])
            .header("Retry-After", "5");
        self.answer_closing(conn, response);
    }

    /// The origin to allow in the response, where the request has one.
    fn check_origin(&self, head: &RequestHead) -> Result<Option<Box<str>>, ()> {
        match head.headers().unique("origin") {
            Err(_) => Err(()),
            Ok(None) => Ok(None),
            Ok(Some(origin)) if self.origins.allows(origin, head.host(), None) => Ok(Some(origin.into())),
            Ok(Some(_)) => Err(()),
        }
    }

    fn route(&mut self, conn: ConnId, head: RequestHead, to: ReplyTo) {
        let listener = match self.connections.get(conn) {
            Some(connection) => connection.peer.listener,
            None => return,
        };
        let asks_method = head.headers().get("access-control-request-method").is_some();
        if head.method() == Method::Options && asks_method && head.headers().get("origin").is_some() {
            return self.preflight(conn, &head, to);
        }
        match routes::find(head.path(), head.method(), listener, self.page_enabled) {
            Ok(Route::Publish) => self.accept_publish(conn, head, to),
            Ok(route) => {
                let to = self.refuse_body(conn, &head, to);
                self.answer_route(conn, &head, to, route);
            }
            Err(routes::NotFound::Path) => {
                let to = self.refuse_body(conn, &head, to);
                self.answer(conn, to, Response::problem(404, "not_found", "there is nothing here", &[]));
            }
            Err(routes::NotFound::Method(allow)) => {
                let to = self.refuse_body(conn, &head, to);
                let response = Response::problem(405, "method_not_allowed", "not with this method", &[]);
                self.answer(conn, to, response.header("Allow", allow));
            }
        }
    }

    /// A body that nobody wants is not read: the connection closes behind the response.
    fn refuse_body(&mut self, conn: ConnId, head: &RequestHead, mut to: ReplyTo) -> ReplyTo {
        if head.framing() != Framing::Empty {
            to = to.closing();
            if let Some(exchange) = self.exchange_mut(conn) {
                exchange.reader.refuse();
            }
        }
        to
    }

    fn preflight(&mut self, conn: ConnId, head: &RequestHead, to: ReplyTo) {
        let asked = head.headers().get("access-control-request-headers").unwrap_or("").to_owned();
        let response = Response::new(204)
            .header("Access-Control-Allow-Methods", "GET, POST, DELETE")
            .header("Access-Control-Allow-Headers", asked)
            .header("Access-Control-Max-Age", "600");
        self.answer(conn, to, response);
    }

    fn accept_publish(&mut self, conn: ConnId, head: RequestHead, to: ReplyTo) {
        let asking = match self.authorise_publish(&head) {
            Ok(asking) => asking,
            Err(response) => {
                let to = self.refuse_body(conn, &head, to);
                return self.answer(conn, to, response);
            }
        };
        self.authenticated(conn);
        let max = self.config.http.body_bytes;
        let now = self.now.instant;
        let Some(exchange) = self.exchange_mut(conn) else { return };
        match exchange.reader.accept_body(max) {
            Err(error) => self.refuse_request(conn, error),
            Ok(interim) => {
                exchange.since = now;
                let publisher = asking.publisher();
                exchange.step = Step::Body(Box::new(Accepted { to, publisher, head }));
                if let (Some(interim), Some(connection)) = (interim, self.connections.get_mut(conn)) {
                    connection.outbox.append(|out| out.extend_from_slice(interim));
                    self.wake(conn);
                }
            }
        }
    }

    fn authorise_publish(&mut self, head: &RequestHead) -> Result<Asking, Response> {
        let presented = self.bearer(head)?;
        self.identify(presented)
    }

    /// The token of a request that may have it in `Authorization` only.
    pub(super) fn bearer<'a>(&mut self, head: &'a RequestHead) -> Result<&'a str, Response> {
        bearer(head).and_then(|found| found.ok_or(TokenError::Missing)).map_err(|error| {
            self.stats.refuse(error.reason());
            unauthorized(error)
        })
    }

    /// Whom a token or an API key stands for.
    pub(super) fn identify(&mut self, presented: &str) -> Result<Asking, Response> {
        if let Some(key) = self.auth.api_key(presented) {
            return Ok(Asking::Key(key.name().as_ref().into(), Arc::clone(key.grant())));
        }
        match self.verify(presented) {
            Ok(identity) => Ok(Asking::User(identity)),
            Err(error) => {
                self.stats.refuse(error.reason());
                Err(unauthorized(error))
            }
        }
    }

    /// Verifies a token; a panic on the way is a refusal.
    pub(super) fn verify(&mut self, token: &str) -> Result<Arc<Identity>, TokenError> {
        let now = self.now.unix;
        super::guard(&mut self.stats, || self.auth.verify(token, now)).unwrap_or(Err(TokenError::Malformed))
    }

    fn on_body(&mut self, conn: ConnId, body: &[u8]) {
        let now = self.now.instant;
        let Some(exchange) = self.exchange_mut(conn) else { return };
        exchange.since = now;
        if let Step::Body(accepted) = std::mem::replace(&mut exchange.step, Step::Respond) {
            self.publish_body(conn, *accepted, body);
        }
    }

    /// Makes an exchange wait for work that goes over several turns.
    pub(super) fn make_busy(&mut self, conn: ConnId, to: ReplyTo, busy: Busy) {
        let now = self.now.instant;
        if let Some(exchange) = self.exchange_mut(conn) {
            exchange.since = now;
            exchange.step = Step::Busy(to, Box::new(busy));
        }
        self.arm(conn);
    }

    /// Sends a response, and goes on with the next request once it is taken. An instance that leaves takes no
    /// next one.
    pub(super) fn answer(&mut self, conn: ConnId, to: ReplyTo, response: Response) {
        self.stats.response(response.status());
        let response = self.with_cors(conn, response);
        let now = self.now;
        let to = if self.leaving.is_some() { to.closing() } else { to };
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.outbox.append(|out| response.encode(to, now.unix, out));
        if !to.keep_alive {
            return self.begin_closing(conn, None);
        }
        if let Phase::Http(exchange) = &mut connection.phase {
            exchange.step = Step::Request;
            exchange.origin = None;
            exchange.since = now.instant;
        }
        self.wake(conn);
    }

    /// Sends a response after which the connection closes.
    pub(super) fn answer_closing(&mut self, conn: ConnId, response: Response) {
        self.stats.response(response.status());
        let response = self.with_cors(conn, response);
        let now = self.now.unix;
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.outbox.append(|out| response.encode(ReplyTo::CLOSE, now, out));
        self.begin_closing(conn, None);
    }

    /// Lets the page that asked read the response, where its origin is allowed.
    pub(super) fn with_cors(&mut self, conn: ConnId, response: Response) -> Response {
        let Some(origin) = self.exchange_mut(conn).and_then(|exchange| exchange.origin.clone()) else {
            return response;
        };
        let response =
            response.header("Access-Control-Allow-Origin", String::from(origin)).header("Vary", "Origin");
        match self.auth.cookie() {
            Some(_) => response.header("Access-Control-Allow-Credentials", "true"),
            None => response,
        }
    }

    /// Goes on with the requests that waited behind one that is answered.
    pub(super) fn next_request(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let paused = std::mem::take(&mut connection.paused);
        if paused {
            self.outputs.push_back(Output::Resume(conn));
        }
        self.receive_request(conn, &[]);
    }

    pub(super) fn exchange_mut(&mut self, conn: ConnId) -> Option<&mut Exchange> {
        match &mut self.connections.get_mut(conn)?.phase {
            Phase::Http(exchange) => Some(exchange),
            _ => None,
        }
    }

    // Addresses

    /// Counts a connection under the address that its head names, where the peer is a proxy we trust.
    fn count_address(&mut self, conn: ConnId, head: &RequestHead) {
        let Some(connection) = self.connections.get(conn) else { return };
        let peer = connection.peer.address.to_canonical();
        if !self.is_proxy(peer) {
            return;
        }
        let client = self.forwarded_for(head, peer);
        let Some(exchange) = self.exchange_mut(conn) else { return };
        if exchange.counted.take().is_some() {
            self.uncount(AddressKey::new(peer));
            let over = !self.count(AddressKey::new(client));
            if let Some(exchange) = self.exchange_mut(conn) {
                exchange.counted = Some(AddressKey::new(client));
                exchange.overload |= over;
            }
        }
    }

    /// The rightmost hop that is not a proxy we trust.
    fn forwarded_for(&self, head: &RequestHead, peer: IpAddr) -> IpAddr {
        let hops: Vec<&str> = head.headers().list("x-forwarded-for").collect();
        let mut client = peer;
        for hop in hops.iter().rev() {
            let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !self.is_proxy(client) {
                break;
            }
        }
        client
    }

    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        self.config.trusted_proxies.iter().any(|range| range.contains(address))
    }

    /// Counts one more connection that has not authenticated. Says whether it is within the limit.
    pub(super) fn count(&mut self, address: AddressKey) -> bool {
        let count = self.unauthenticated.entry(address).or_insert(0);
        *count += 1;
        *count <= self.config.limits.unauthenticated_per_address
    }

    pub(super) fn uncount(&mut self, address: AddressKey) {
        if let Some(count) = self.unauthenticated.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.unauthenticated.remove(&address);
            }
        }
    }

    /// The connection has shown who it is, and no longer counts against its address.
    pub(super) fn authenticated(&mut self, conn: ConnId) {
        if let Some(address) = self.exchange_mut(conn).and_then(|exchange| exchange.counted.take()) {
            self.uncount(address);
        }
    }
}

/// The token of `Authorization: Bearer`, where it stands there.
///
/// # Errors
/// [`TokenError::Repeated`] where the field stands twice: two readers could take another token each.
pub(super) fn bearer(head: &RequestHead) -> Result<Option<&str>, TokenError> {
    let field = head.headers().unique("authorization").map_err(|_| TokenError::Repeated)?;
    let token = field.and_then(|field| {
        let (scheme, token) = field.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
    });
    Ok(token)
}

/// RFC 6750 §3: the response to a token that is missing or bad.
pub(super) fn unauthorized(error: TokenError) -> Response {
    let challenge = match error {
        TokenError::Missing => "Bearer",
        _ => "Bearer error=\"invalid_token\"",
    };
    Response::problem(401, "invalid_token", &error.to_string(), &[]).header("WWW-Authenticate", challenge)
}
