//! The client as a machine: connecting, backoff, tokens, resume, subscriptions, publishing.
//!
//! It speaks the protocol's messages (PROTOCOL §3–5) over connections that its shell opens, and keeps
//! their promise to the application: every subscription sees each matching event above its beginning
//! once, in the order of its lane, or is told of a gap. Of connections there is one at a time, and none
//! is opened without a network.

mod config;
mod connect;
mod io;
mod messages;
mod outbox;
mod publishes;
mod receive;
mod session;
mod subscriptions;
#[cfg(test)]
mod tests;
mod token;

pub use config::ClientConfig;
pub use io::{
    About, ClientError, ClientInput, ClientOutput, ClientState, GapReason, PublishError, PublishId,
    RecentEvent, Subscribe, SubscribeError, SubscriptionId, Text, Token, TokenAnswer,
};

use crate::protocol::Position;
use crate::rng::Rng;
use crate::time::{Instant, Now};
use messages::Request;
use outbox::Outbox;
use publishes::Publishes;
use session::{Backoff, Phase, Replay};
use subscriptions::Subscriptions;
use token::Credentials;

/// One client: a connection at a time, and what outlives connections.
///
/// - Getters: [`Client::state`], [`Client::position`].
/// - From outside: [`Client::handle`].
/// - Mutators: [`Client::subscribe`], [`Client::unsubscribe`], [`Client::publish`]; legal in every state.
/// - To outside: [`Client::poll_output`], [`Client::poll_timeout`]; to be polled after each of the others.
///
/// ```
/// use tidings_core::client::{Client, ClientConfig, ClientInput, ClientOutput, Token, TokenAnswer};
/// use tidings_core::time::Now;
///
/// let now = Now::default();
/// let mut client = Client::new(ClientConfig::default(), [7; 32], now);
/// client.handle(now, ClientInput::Start);
/// assert!(matches!(client.poll_output(), Some(ClientOutput::State(_))));
/// assert!(matches!(client.poll_output(), Some(ClientOutput::GetToken)));
///
/// client.handle(now, ClientInput::Token(TokenAnswer::Token(Token::new("eyJ…"))));
/// assert!(matches!(client.poll_output(), Some(ClientOutput::Open { .. })));
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    config: ClientConfig,
    rng: Rng,
    /// The clocks at the last input.
    last: Now,
    phase: Phase,
    online: bool,
    backoff: Backoff,
    credentials: Credentials,
    subscriptions: Subscriptions,
    publishes: Publishes,
    position: Option<Position>,
    next_request: u64,
    /// The code to close the last connection with, until it has been polled.
    close: Option<u16>,
    outbox: Outbox,
}

impl Client {
    /// A client that is `idle`. Its delays and ids follow from `seed`, which no two clients share.
    #[must_use]
    pub fn new(config: ClientConfig, seed: [u8; 32], now: Now) -> Self {
        Self {
            rng: Rng::new(seed),
            last: now,
            phase: Phase::Idle,
            online: true,
            backoff: Backoff::new(config.backoff_base, config.backoff_cap),
            credentials: Credentials::default(),
            subscriptions: Subscriptions::default(),
            publishes: Publishes::default(),
            position: None,
            next_request: 0,
            close: None,
            outbox: Outbox::new(),
            config,
        }
    }

    /// Where the client stands.
    #[must_use]
    pub const fn state(&self) -> ClientState {
        self.phase.state()
    }

    /// Up to where everything has arrived; none without a subscription that has begun.
    #[must_use]
    pub const fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Takes in what happened outside.
    pub fn handle(&mut self, now: Now, input: ClientInput<'_>) {
        self.last = now;
        let connected = self.phase.connection().is_some();
        match input {
            ClientInput::Start => self.start(now),
            ClientInput::Stop => self.stop(now.instant),
            ClientInput::Connected if connected => self.connected(),
            ClientInput::ConnectFailed if connected => self.closed(now.instant, None, ""),
            ClientInput::Received if connected => self.hear(now.instant),
            ClientInput::Message(text) if connected => self.message(now, text),
            ClientInput::Closed { code, reason } if connected => self.closed(now.instant, code, reason),
            ClientInput::Connected
            | ClientInput::ConnectFailed
            | ClientInput::Received
            | ClientInput::Message(_)
            | ClientInput::Closed { .. } => {}
            ClientInput::Token(answer) => self.token(now, &answer),
            ClientInput::Online => self.online(now),
            ClientInput::Offline => self.offline(now.instant),
            ClientInput::Visible => self.probe(now.instant),
            ClientInput::Timeout => self.timeout(now),
        }
    }

    /// Subscribes: at once where the client is open, else as soon as it is. Its beginning is told by
    /// [`ClientOutput::Subscribed`]; one that shares a subscription that has begun before sees what comes
    /// from here on.
    ///
    /// # Errors
    /// [`SubscribeError`] where the request is not a legal one or a bound is reached.
    pub fn subscribe(&mut self, wanted: &Subscribe) -> Result<SubscriptionId, SubscribeError> {
        let known = self.position.iter().flat_map(|position| position.lanes.iter());
        let newest = known.map(|(_, offset)| *offset).max().unwrap_or_default();
        let (subscription, begun) = self.subscriptions.subscribe(&self.config, wanted, newest)?;
        if let Some(offset) = begun {
            self.outbox.push(ClientOutput::Subscribed { subscription, offset });
        }
        Ok(subscription)
    }

    /// Ends a subscription; one that is not there is ignored. Events that wait to be polled may still name
    /// it.
    pub fn unsubscribe(&mut self, subscription: SubscriptionId) {
        self.subscriptions.unsubscribe(subscription);
        self.outbox.forget(subscription);
    }

    /// Publishes an event: at once where the client is open, else as soon as it is. An event without `id`
    /// gets one, so that repeating it after a reconnection publishes it once. It ends by
    /// [`ClientOutput::Published`] or an error about it.
    ///
    /// # Errors
    /// [`PublishError`] where it is no object, is too large, or a bound is reached.
    pub fn publish(&mut self, event: serde_json::Value) -> Result<PublishId, PublishError> {
        self.publishes.publish(&self.config, &mut self.rng, event)
    }

    /// The next thing for the shell or the application; none when they have all.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<ClientOutput> {
        if let Some(code) = self.close.take() {
            return Some(ClientOutput::Close { code });
        }
        if let Some(output) = self.outbox.pop() {
            return Some(output);
        }
        if std::mem::take(&mut self.credentials.to_ask) {
            return Some(ClientOutput::GetToken);
        }
        if matches!(self.phase, Phase::Wanting)
            && let Some(token) = self.credentials.current().cloned()
        {
            let by = self.last.instant + self.config.connect_timeout;
            self.phase = Phase::Opening { token: token.clone(), by };
            return Some(ClientOutput::Open { token });
        }
        let text = self.next_request()?;
        if let Some(session) = self.phase.session() {
            session.pace.count(self.last.instant);
        }
        Some(ClientOutput::Send(Text(text)))
    }

    /// When [`ClientInput::Timeout`] is due at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.phase.deadline(self.last)
    }

    /// What is to be sent, made when it is asked for: so what is undone before was never said, and
    /// nothing piles up.
    fn next_request(&mut self) -> Option<String> {
        let session = self.phase.session()?;
        if session.replay == Replay::Due {
            if let Some(position) = self.position.as_ref().filter(|_| self.subscriptions.has_live()) {
                session.replay = Replay::Asked;
                self.next_request += 1;
                let id = format!("r{}", self.next_request);
                let subscriptions = self.subscriptions.resume();
                return Some(Request::Resume { id: &id, since: position, subscriptions }.encode());
            }
            session.replay = Replay::Done;
            self.position = None;
        }
        if let Some(token) = self.credentials.current().filter(|token| **token != session.token)
            && session.auth.is_none()
        {
            self.next_request += 1;
            let (id, _) = session.auth.insert((format!("a{}", self.next_request), token.clone()));
            return Some(Request::Auth { id, token: token.as_str() }.encode());
        }
        if std::mem::take(&mut session.ping_due) {
            return Some(Request::Ping.encode());
        }
        // What has a deadline of its own has gone; what the application asks for may be too much at once.
        let free_at = session.pace.free_at();
        session.held_until = (self.last.instant < free_at).then_some(free_at);
        if session.held_until.is_some() {
            return None;
        }
        if session.flush_at.is_some() {
            // The server could not keep up: more would be refused too, and ten refusals close the connection.
            return None;
        }
        if let Some(text) = self.subscriptions.next_unsubscribe() {
            return Some(text);
        }
        if session.replay == Replay::Done
            && let Some(text) = self.subscriptions.next_subscribe()
        {
            return Some(text);
        }
        self.publishes.next_message(&self.config)
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.outbox.state(self.phase.state());
    }

    fn error(&mut self, about: About, error: ClientError) {
        self.outbox.push(ClientOutput::Error { about, error });
    }
}
