//! A hub with its log and its clocks, and the means to do things to it.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tidings_core::config::Secret;
use tidings_core::protocol::{Failure, PublishResult};
use tidings_core::{
    Config, Epoch, Hub, Input, Instant, Listener, Note, Now, Offset, Peer, RequestId, UnixTime,
};

use crate::client::Client;
use crate::http::Response;
use crate::log::{Log, LogMode};
use crate::net::Net;
use crate::socket::Socket;
use crate::stream::Stream;
use crate::token::{self, SECRET};

/// The wall clock when a world begins, in Unix milliseconds.
pub const EPOCH_MS: i64 = 1_790_000_000_000;

/// A hub, its log and its network. A clone is the same world.
#[derive(Clone, Debug)]
pub struct World {
    net: Rc<RefCell<Net>>,
    skew_ms: Rc<RefCell<i64>>,
    requests: Rc<RefCell<u64>>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world with the default configuration, ready to serve.
    #[must_use]
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// A world whose configuration `change` has changed, ready to serve.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let world = Self::loading([7; 32], change);
        world.load();
        world
    }

    /// A world whose hub has not loaded its log yet. `seed` is the hub's and the log's.
    #[must_use]
    pub fn loading(seed: [u8; 32], change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.auth.jwt_secret = Some(Secret::new(SECRET));
        change(&mut config);
        let now = Now { instant: Instant::ZERO, unix: UnixTime::from_millis(EPOCH_MS) };
        let hub = Hub::new(config, seed, now).expect("the configuration of a test is valid");
        let log = Log::new(seed);
        let net = Net::new(hub, log, now);
        Self {
            net: Rc::new(RefCell::new(net)),
            skew_ms: Rc::new(RefCell::new(0)),
            requests: Rc::new(RefCell::new(0)),
        }
    }

    /// Opens the log where it is, and lets the hub serve.
    pub fn load(&self) {
        let epoch = self.epoch();
        let begin = self.net.borrow().log.sequencer.end();
        self.input(Input::LogOpened { epoch, begin });
        self.input(Input::LogLoaded);
    }

    // What happens outside

    /// Does several things in one turn: the hub goes on only when all of them are done.
    pub fn together(&self, things: impl FnOnce()) {
        self.net.borrow_mut().held = true;
        things();
        let mut net = self.net.borrow_mut();
        net.held = false;
        net.run();
    }

    /// Gives the hub one input of any kind.
    pub fn input(&self, input: Input<'_>) {
        let mut net = self.net.borrow_mut();
        net.handle(input);
        net.run();
    }

    /// Lets `millis` milliseconds pass, and everything happen that is due in them.
    pub fn advance(&self, millis: u64) {
        let end = self.now().instant + Duration::from_millis(millis);
        loop {
            let due = {
                let net = self.net.borrow();
                [net.hub.poll_timeout(), net.log.next_due()].into_iter().flatten().min()
            };
            let next = due.filter(|at| *at < end).map_or(end, |at| at.max(self.now().instant));
            self.set_instant(next);
            self.net.borrow_mut().run();
            if next == end {
                return;
            }
        }
    }

    /// Sets the wall clock forward, or back where `millis` is negative. The hub is not told.
    pub fn jump_wall_clock(&self, millis: i64) {
        *self.skew_ms.borrow_mut() += millis;
        self.set_instant(self.now().instant);
    }

    fn set_instant(&self, instant: Instant) {
        let millis = i64::try_from(instant.as_micros() / 1000).expect("a world does not last that long");
        let unix = UnixTime::from_millis(EPOCH_MS + millis + *self.skew_ms.borrow());
        self.net.borrow_mut().now = Now { instant, unix };
    }

    /// Both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        self.net.borrow().now
    }

    /// From here on the log does this with what is appended.
    pub fn set_log(&self, mode: LogMode) {
        self.net.borrow_mut().log.mode = mode;
    }

    /// From here on the shell asks for so many bytes at once.
    pub fn set_budget(&self, bytes: usize) {
        self.net.borrow_mut().budget = bytes;
    }

    // Clients

    /// Opens a connection from an address of the local network.
    #[must_use]
    pub fn open(&self) -> Socket {
        self.open_from(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)))
    }

    /// Opens a connection from `address`.
    #[must_use]
    pub fn open_from(&self, address: IpAddr) -> Socket {
        let mut net = self.net.borrow_mut();
        let link = net.open(Peer { address, listener: Listener::All });
        net.run();
        drop(net);
        Socket::new(Rc::clone(&self.net), link)
    }

    /// A token with these claims, and with `sub` and `exp` where they do not say otherwise.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        token::sign(&token::complete(claims, self.now().unix.as_secs()))
    }

    /// A connected WebSocket client of `user`.
    #[must_use]
    pub fn connect(&self, user: &str) -> Client {
        self.connect_as(&json!({"sub": user}))
    }

    /// A connected WebSocket client whose token has these claims.
    #[must_use]
    pub fn connect_as(&self, claims: &Value) -> Client {
        self.connect_to(&format!("/ws?token={}", self.token(claims)), &[], &[])
    }

    /// A WebSocket client that asks for `target` with these subprotocols and header fields.
    #[must_use]
    pub fn connect_to(&self, target: &str, protocols: &[&str], headers: &[(&str, &str)]) -> Client {
        Client::new(self.open(), target, protocols, headers)
    }

    /// A stream of Server-Sent Events of a user with these claims, with `query` behind the token.
    #[must_use]
    pub fn stream(&self, claims: &Value, query: &str, last_event_id: Option<&str>) -> Stream {
        Stream::new(self.open(), &self.token(claims), query, last_event_id)
    }

    /// The answer to one request on a connection of its own.
    #[must_use]
    pub fn http(&self, request: &[u8]) -> Response {
        let socket = self.open();
        socket.send(request);
        Response::read(&mut socket.receive().as_slice()).expect("a request is answered")
    }

    // Publishing

    /// Publishes an event from inside the process. Gives its offset.
    pub fn publish(&self, event: &Value) -> u64 {
        let result = self.try_publish(event).expect("the log answers at once");
        result.expect("the event is published").offset.get()
    }

    /// Publishes an event from inside the process; none where the log has not answered yet.
    pub fn try_publish(&self, event: &Value) -> Option<Result<PublishResult, Failure>> {
        let request = {
            let mut requests = self.requests.borrow_mut();
            *requests += 1;
            RequestId(*requests)
        };
        let event = event.to_string();
        self.input(Input::Publish { request, publisher: "world", event: &event });
        let mut net = self.net.borrow_mut();
        let place = net.published.iter().position(|(published, _)| *published == request)?;
        Some(net.published.remove(place).1)
    }

    // What can be seen

    /// The log's epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.net.borrow().log.sequencer.epoch().clone()
    }

    /// The newest offset of the log.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.net.borrow().log.sequencer.end()
    }

    /// Sockets that the hub holds.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.net.borrow().hub.connections()
    }

    /// Whether the hub has said that nothing is left to drain.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.net.borrow().drained
    }

    /// What the hub has said for the operator's log.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        self.net.borrow().notes.clone()
    }

    /// `GET /v1/stats` as an administrator sees it.
    #[must_use]
    pub fn stats(&self) -> Value {
        self.admin("GET", "/v1/stats").json()
    }

    /// The answer to an administrator's request without a body.
    #[must_use]
    pub fn admin(&self, method: &str, target: &str) -> Response {
        let token = self.token(&json!({"sub": "root", "tidings": {"admin": true}}));
        self.http(&crate::http::request(
            method,
            target,
            &[("Authorization", &format!("Bearer {token}"))],
            b"",
        ))
    }

    /// Every byte that every connection was ever sent, in the order of the connections.
    #[must_use]
    pub fn transcript(&self) -> Vec<u8> {
        self.net.borrow().links.iter().flat_map(|link| link.transcript.clone()).collect()
    }
}
