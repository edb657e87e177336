//! An application on the client machine of the core: what a browser's page is, with its user, its token and
//! its network.

use std::time::Duration;

use tidings_core::client::{
    About, Client, ClientConfig, ClientInput, ClientOutput, ClientState, SubscriptionId, Token, TokenAnswer,
};
use tidings_core::wire::Message;
use tidings_core::wire::client::HandshakeRequest;
use tidings_core::{Config, Instant};

use super::draw::{Draw, Stream, seed_of};
use super::network::Word;
use super::scenario::{Action, Fault, Step};
use super::scene::Scene;
use super::tokens::{Grant, Wish};
use super::trace::cut;
use super::wishes;
use crate::model::{AppId, Invariant, LinkId};
use crate::websocket::{self, Heard, WebSocket};

/// An application.
#[derive(Debug)]
pub(crate) struct App {
    actor: u16,
    id: AppId,
    user: String,
    client: Client,
    draw: Draw<'static>,
    grant: Grant,
    subscriptions: Vec<SubscriptionId>,
    connection: Option<(LinkId, WebSocket)>,
    /// When the question for a token is answered.
    token_at: Option<Instant>,
    /// When the network comes back.
    online_at: Option<Instant>,
    /// When somebody logs in again.
    login_at: Option<Instant>,
    corrupt_next: bool,
    /// Publishes that have not come to an end.
    unanswered: usize,
}

impl App {
    pub(crate) fn new(scene: &Scene<'_>, actor: u16, number: u16) -> Self {
        let config = client_config(&scene.settings.config);
        let seed = seed_of(scene.seed, Stream::Machine, u64::from(actor));
        let mut draw = Draw::new(scene.seed, Stream::Actor, u64::from(actor));
        Self {
            actor,
            id: AppId(u32::from(number)),
            user: format!("u{}", number % scene.settings.users),
            client: Client::new(config, seed, scene.true_now()),
            grant: Grant::draw(&mut draw),
            draw,
            subscriptions: Vec::new(),
            connection: None,
            token_at: None,
            online_at: None,
            login_at: None,
            corrupt_next: false,
            unanswered: 0,
        }
    }

    pub(crate) fn link(&self) -> Option<LinkId> {
        self.connection.as_ref().map(|(link, _)| *link)
    }

    pub(crate) fn act(&mut self, scene: &mut Scene<'_>, step: &Step) {
        let mut draw = Draw::new(scene.seed, Stream::Step, u64::from(step.key));
        let now = scene.true_now();
        match step.action {
            Action::Start(_) => self.client.handle(now, ClientInput::Start),
            Action::Stop(_) => self.client.handle(now, ClientInput::Stop),
            Action::Subscribe(_) => self.subscribe(scene, &mut draw),
            Action::Unsubscribe(_) => self.unsubscribe(scene, &mut draw),
            Action::PublishFrom(_) => {
                let n = u64::from(step.key) << 10;
                let event = wishes::event(&mut draw, n, scene.settings);
                scene.counts.publishes += 1;
                if let Ok(publish) = self.client.publish(event) {
                    self.unanswered += 1;
                    scene.trace(format_args!("{:?} publishes {n} as {publish:?}", self.id));
                }
            }
            Action::Offline(_, millis) => {
                scene.count(Fault::Offline);
                self.online_at = Some(scene.now + Duration::from_millis(u64::from(millis)));
                self.client.handle(now, ClientInput::Offline);
            }
            Action::Visible(_) => self.client.handle(now, ClientInput::Visible),
            Action::Regrant(_) => {
                scene.count(Fault::GrantChange);
                self.grant = Grant::draw(&mut draw);
                self.give_token(scene);
            }
            Action::Corrupt(_) => self.corrupt_next = true,
            _ => {}
        }
        self.pump(scene);
    }

    fn subscribe(&mut self, scene: &mut Scene<'_>, draw: &mut Draw<'_>) {
        let (wanted, events, filter) = wishes::subscription(draw, scene.settings);
        if let Ok(subscription) = self.client.subscribe(&wanted) {
            scene.trace(format_args!("{:?} subscribes {subscription:?} {events} {filter}", self.id));
            scene.model.subscribing(self.id, subscription, &events, &filter);
            self.subscriptions.push(subscription);
        }
    }

    fn unsubscribe(&mut self, scene: &mut Scene<'_>, draw: &mut Draw<'_>) {
        if self.subscriptions.is_empty() {
            return;
        }
        let subscription = self.subscriptions.swap_remove(draw.index(self.subscriptions.len()));
        scene.trace(format_args!("{:?} unsubscribes {subscription:?}", self.id));
        scene.model.unsubscribing(self.id, subscription);
        self.client.unsubscribe(subscription);
    }

    /// Time has passed.
    pub(crate) fn woken(&mut self, scene: &mut Scene<'_>) {
        let now = scene.true_now();
        if self.online_at.take_if(|at| *at <= scene.now).is_some() {
            self.client.handle(now, ClientInput::Online);
        }
        if self.token_at.take_if(|at| *at <= scene.now).is_some() {
            self.answer_token(scene);
        }
        if self.login_at.take_if(|at| *at <= scene.now).is_some() {
            self.log_in(scene);
        }
        if self.client.poll_timeout().is_some_and(|at| at <= scene.now) {
            self.client.handle(now, ClientInput::Timeout);
        }
        self.pump(scene);
    }

    /// The faults have stopped: whatever the application lacks, it gets.
    pub(crate) fn calm(&mut self, scene: &mut Scene<'_>) {
        let now = scene.true_now();
        (self.online_at, self.corrupt_next) = (None, false);
        self.client.handle(now, ClientInput::Online);
        if self.token_at.take().is_some() {
            self.answer_token(scene);
        }
        if self.client.state() == ClientState::Open {
            self.give_token(scene);
        } else {
            self.client.handle(now, ClientInput::Start);
        }
        self.pump(scene);
    }

    /// Why the application does not have everything, where it does not.
    pub(crate) fn lacks(&self) -> Option<String> {
        let state = self.client.state();
        let open = state == ClientState::Open && self.token_at.is_none();
        let waits = self.unanswered;
        (!open || 0 < waits).then(|| format!("{:?} is {} with {waits} publishes", self.id, state.as_str()))
    }

    // Tokens

    /// Somebody logs in again, or loads the page again where the client machine has stopped for good.
    fn log_in(&mut self, scene: &mut Scene<'_>) {
        let now = scene.true_now();
        match self.client.state() {
            ClientState::Unauthorized => self.give_token(scene),
            ClientState::Closed if scene.calm => self.client.handle(now, ClientInput::Start),
            _ => return,
        }
        // The token may be the very one that was refused.
        self.login_at = Some(scene.now + Duration::from_secs(2));
    }

    fn give_token(&mut self, scene: &mut Scene<'_>) {
        let token = self.token(scene);
        let now = scene.true_now();
        self.client.handle(now, ClientInput::Token(TokenAnswer::Token(token)));
    }

    fn token(&mut self, scene: &mut Scene<'_>) -> Token {
        if scene.strikes(&mut self.draw, Fault::GrantChange) {
            self.grant = Grant::draw(&mut self.draw);
        }
        let short = scene.strikes(&mut self.draw, Fault::TokenShort);
        let lasts = if short { self.draw.range(1, 60) } else { 36_000 };
        let key = scene.signing_key();
        let wish = Wish {
            user: &self.user,
            grant: self.grant,
            key,
            issued_at: scene.true_now().unix.as_secs(),
            lasts: i64::try_from(lasts).unwrap_or(60),
        };
        scene.trace(format_args!("{:?} gets a token {wish:?}", self.id));
        Token::new(&scene.tokens.sign(&mut scene.model, &wish))
    }

    fn asked_for_token(&mut self, scene: &mut Scene<'_>) {
        let mut delay = Duration::from_micros(self.draw.below(200_000));
        if scene.strikes(&mut self.draw, Fault::TokenLate) {
            delay = self.draw.micros(100_000, 40_000_000);
        }
        self.token_at = Some(scene.now + delay);
    }

    fn answer_token(&mut self, scene: &mut Scene<'_>) {
        let answer = if scene.strikes(&mut self.draw, Fault::TokenFailure) {
            if self.draw.chance(700) { TokenAnswer::Failed } else { TokenAnswer::Unauthorized }
        } else {
            TokenAnswer::Token(self.token(scene))
        };
        scene.trace(format_args!("{:?} is answered {answer:?}", self.id));
        let now = scene.true_now();
        self.client.handle(now, ClientInput::Token(answer));
    }

    // The connection

    /// Does what the client machine asks for.
    fn pump(&mut self, scene: &mut Scene<'_>) {
        while let Some(output) = self.client.poll_output() {
            scene.model.told(self.id, &output);
            match output {
                ClientOutput::GetToken => self.asked_for_token(scene),
                ClientOutput::Open { token } => self.open(scene, &token),
                ClientOutput::Send(text) => self.say(scene, &text.0),
                ClientOutput::Close { code } => self.close(scene, code),
                ClientOutput::State(state) => {
                    scene.trace(format_args!("{:?} is {}", self.id, state.as_str()));
                    if matches!(state, ClientState::Unauthorized | ClientState::Closed) {
                        self.login_at = Some(scene.now + self.draw.micros(10_000, 8_000_000));
                    }
                }
                ClientOutput::Event { offset, lane, .. } => {
                    scene.counts.deliveries += 1;
                    scene.trace(format_args!("{:?} receives {offset} {}", self.id, lane.as_str()));
                }
                ClientOutput::Recent { subscription, events, truncated } => {
                    let count = events.len();
                    scene.trace(format_args!("{:?} {subscription:?} finds {count} {truncated}", self.id));
                }
                ClientOutput::Published { .. } | ClientOutput::Error { about: About::Publish(_), .. } => {
                    self.unanswered -= 1;
                    scene.trace(format_args!("{:?} {output:?}", self.id));
                }
                other => scene.trace(format_args!("{:?} {other:?}", self.id)),
            }
        }
        let others = [self.token_at, self.online_at, self.login_at];
        if let Some(at) = others.into_iter().chain([self.client.poll_timeout()]).flatten().min() {
            scene.wake(self.actor, at);
        }
    }

    fn open(&mut self, scene: &mut Scene<'_>, token: &Token) {
        if let Some((old, _)) = self.connection.take() {
            scene.hang_up(old);
        }
        let host = scene.place(&mut self.draw);
        let address = u8::try_from(1 + self.actor % 5).unwrap_or(1);
        let link = scene.open(self.actor, host, address, false);
        scene.model.opened(self.id, link);
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.draw.number().to_le_bytes());
        let (bearer, protocol) =
            (format!("Bearer {}", token.as_str()), format!("tidings.bearer.{}", token.as_str()));
        let (mut target, mut protocols, mut headers) = ("/ws".to_owned(), vec!["tidings.v1"], Vec::new());
        match self.draw.below(3) {
            0 => target = format!("/?token={}", token.as_str()),
            1 => protocols.push(&protocol),
            _ => headers.push(("Authorization", bearer.as_str())),
        }
        if let Some(pace) = scene.pace(self.actor) {
            target += if target.contains('?') { "&" } else { "?" };
            target += &pace;
        }
        let request =
            HandshakeRequest { host: "sim", target: &target, key, protocols: &protocols, headers: &headers };
        let (websocket, bytes) = WebSocket::open(&request);
        scene.send(link, &bytes);
        self.connection = Some((link, websocket));
    }

    fn say(&mut self, scene: &mut Scene<'_>, text: &str) {
        let Some(link) = self.link() else { return };
        scene.trace(format_args!("{:?} says {}", self.id, cut(text)));
        let mut bytes = websocket::text(self.draw.mask(), text);
        if std::mem::take(&mut self.corrupt_next) {
            // A reserved bit, which no server overlooks.
            bytes[0] |= 0x40;
            scene.model.corrupted(link);
            scene.count(Fault::Corruption);
        }
        scene.send(link, &bytes);
    }

    fn close(&mut self, scene: &mut Scene<'_>, code: u16) {
        if let Some((link, _)) = self.connection.take() {
            scene.send(link, &websocket::close(self.draw.mask(), code));
            scene.hang_up(link);
        }
    }

    /// Bytes have arrived.
    pub(crate) fn received(&mut self, scene: &mut Scene<'_>, link: LinkId, bytes: &[u8]) {
        if let Some((_, websocket)) = self.connection.as_mut().filter(|(own, _)| *own == link) {
            websocket.receive(bytes);
        }
        while let Some((_, websocket)) = self.connection.as_mut().filter(|(own, _)| *own == link)
            && let Some(heard) = websocket.next(scene.now)
        {
            self.hear(scene, link, heard);
            self.pump(scene);
        }
    }

    fn hear(&mut self, scene: &mut Scene<'_>, link: LinkId, heard: Heard) {
        let now = scene.true_now();
        match heard {
            Heard::Open(_) => self.client.handle(now, ClientInput::Connected),
            Heard::Refused(error) => {
                scene.trace(format_args!("{:?} is refused: {error}", self.id));
                scene.hang_up(link);
                self.connection = None;
                self.client.handle(now, ClientInput::ConnectFailed);
            }
            Heard::Illegal(violation) => {
                let text = format!("{:?} reads on {link:?}: {violation}", self.id);
                scene.violate(Invariant::Legal, text);
            }
            Heard::Message(Message::Text(text)) => {
                scene.model.heard(self.id, &text);
                self.client.handle(now, ClientInput::Message(&text));
            }
            Heard::Message(Message::Ping(payload)) => {
                scene.send(link, &websocket::pong(self.draw.mask(), &payload));
                self.client.handle(now, ClientInput::Received);
            }
            Heard::Message(Message::Close(close)) => {
                let code = close.as_ref().map(|close| close.code);
                scene.send(link, &websocket::close(self.draw.mask(), code.unwrap_or(1000)));
                scene.hang_up(link);
                self.connection = None;
                scene.trace(format_args!("{:?} is told to close: {code:?}", self.id));
                let reason = close.as_ref().map_or("", |close| &close.reason);
                self.client.handle(now, ClientInput::Closed { code, reason });
            }
            Heard::Message(Message::Binary(_) | Message::Pong(_)) => {
                self.client.handle(now, ClientInput::Received);
            }
        }
    }

    /// The connection is over.
    pub(crate) fn heard(&mut self, scene: &mut Scene<'_>, link: LinkId, word: Word) {
        let Some((_, websocket)) = self.connection.take_if(|(own, _)| *own == link) else { return };
        if word == Word::Ended {
            scene.hang_up(link);
        }
        let now = scene.true_now();
        if websocket.is_open() {
            self.client.handle(now, ClientInput::Closed { code: None, reason: "" });
        } else {
            self.client.handle(now, ClientInput::ConnectFailed);
        }
        self.pump(scene);
    }
}

/// A client that keeps to its server's bounds.
fn client_config(config: &Config) -> ClientConfig {
    ClientConfig {
        subscriptions_max: config.limits.subscriptions,
        subscription_bytes_max: config.limits.subscriptions_bytes,
        publish_bytes_max: 1024 * 1024,
        ..ClientConfig::default()
    }
}
