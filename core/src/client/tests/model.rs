//! A client against a small server with a log, under virtual time: connections break anywhere, history
//! is evicted, the log begins anew, the network comes and goes. Whatever happens, every subscription
//! sees each event above its beginning once and in the order of its lane, save what a gap tells.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use crate::event::{Fields, Filter, Pattern, Patterns, Priority};
use crate::protocol::{Offset, PerLane};
use crate::rng::Rng;
use crate::time::UnixTime;

/// One event of any life of the log.
struct Entry {
    life: u64,
    offset: u64,
    lane: Priority,
    kind: &'static str,
    tenant: u64,
}

/// A subscription's definition, the same for the server and for the oracle.
#[derive(Clone, Debug)]
struct Definition {
    patterns: Patterns,
    filter: Filter,
}

impl Definition {
    fn read(events: &Value, filter: &Value) -> Self {
        let texts = events.as_array().unwrap().iter();
        let patterns = texts.map(|text| Pattern::parse(text.as_str().unwrap()).unwrap()).collect();
        let filter = if filter.is_null() { &json!({}) } else { filter };
        let filter = Filter::from_json(filter, 16).unwrap();
        Self { patterns: Patterns::new(patterns), filter }
    }

    fn matches(&self, entry: &Entry) -> bool {
        let fields = Fields::from_event(&json!({"data": {"tenant": entry.tenant}}).to_string()).unwrap();
        self.patterns.matches(entry.kind) && self.filter.matches(&fields)
    }
}

/// What the server keeps of one connection.
#[derive(Default)]
struct Connection {
    subscriptions: Vec<(String, u64, Definition)>,
    cursor: PerLane<u64>,
    to_server: VecDeque<String>,
    to_client: VecDeque<String>,
}

#[derive(Default)]
struct Server {
    life: u64,
    end: u64,
    log: Vec<Entry>,
    evicted: PerLane<u64>,
    published: BTreeMap<String, u64>,
    /// Fails the next request that a server may fail with this code.
    fail: Option<&'static str>,
    connection: Connection,
}

impl Server {
    fn append(&mut self, kind: &'static str, lane: Priority, tenant: u64) -> u64 {
        self.end += 1;
        self.log.push(Entry { life: self.life, offset: self.end, lane, kind, tenant });
        self.end
    }

    /// Begins a connection, which is greeted.
    fn accept(&mut self) {
        self.connection = Connection::default();
        self.say(&json!({"type": "welcome", "protocol": 1, "connection": "c_1", "user": "u",
            "epoch": self.epoch(), "offset": self.end, "heartbeat": {"interval": 30000, "timeout": 60000}}));
    }

    fn epoch(&self) -> String {
        format!("e{}", self.life)
    }

    fn say(&mut self, message: &Value) {
        self.connection.to_client.push_back(message.to_string());
    }

    fn error(&mut self, id: &Value, code: &str) {
        self.say(&json!({"type": "error", "id": id, "code": code, "message": "injected"}));
    }

    /// Answers the next request.
    fn serve(&mut self) {
        let Some(text) = self.connection.to_server.pop_front() else { return };
        let message: Value = serde_json::from_str(&text).unwrap();
        let id = &message["id"];
        let kind = message["type"].as_str().unwrap();
        if matches!(kind, "subscribe" | "resume" | "publish")
            && let Some(code) = self.fail.take()
        {
            return self.error(id, code);
        }
        match kind {
            "subscribe" => self.subscribe(&message),
            "resume" => self.resume(&message),
            "unsubscribe" => {
                let id = id.as_str().unwrap();
                self.connection.subscriptions.retain(|(known, ..)| known != id);
                self.say(&json!({"type": "unsubscribed", "id": id}));
            }
            "publish" => self.publish(&message),
            "auth" => self.say(&json!({"type": "authenticated", "id": id})),
            "ping" => self.say(&json!({"type": "pong"})),
            other => panic!("an unknown request {other}"),
        }
    }

    fn subscribe(&mut self, message: &Value) {
        let id = message["id"].as_str().unwrap().to_owned();
        let definition = Definition::read(&message["events"], &message["filter"]);
        let wanted = usize::try_from(message["recent"].as_u64().unwrap_or(0)).unwrap();
        let recent = self.log.iter().filter(|entry| {
            entry.life == self.life && self.evicted[entry.lane] < entry.offset && definition.matches(entry)
        });
        let mut recent: Vec<_> = recent.rev().take(wanted).map(message_of).collect();
        recent.reverse();
        let connection = &mut self.connection;
        assert!(connection.subscriptions.iter().all(|(known, ..)| *known != id), "ids are unique");
        if connection.subscriptions.is_empty() {
            connection.cursor = PerLane::from_fn(|_| self.end);
        }
        connection.subscriptions.push((id.clone(), self.end, definition));
        self.say(&json!({"type": "subscribed", "id": id, "offset": self.end, "recent": recent}));
    }

    fn resume(&mut self, message: &Value) {
        assert!(self.connection.subscriptions.is_empty(), "a resume comes first");
        let since = |lane: Priority| message["since"]["lanes"][lane.as_str()].as_u64().unwrap();
        let same = message["since"]["epoch"] == self.epoch()
            && Priority::ALL.into_iter().all(|lane| since(lane) <= self.end);
        let cursor = PerLane::from_fn(|lane| if same { since(lane) } else { self.end });
        let covered = cursor.iter().all(|(lane, at)| self.evicted[lane] <= *at);
        let mut answers = Vec::new();
        for one in message["subscriptions"].as_array().unwrap() {
            let from = if same { one["from"].as_u64().unwrap() } else { self.end };
            answers.push(json!({"id": one["id"], "offset": from}));
            let id = one["id"].as_str().unwrap().to_owned();
            let definition = Definition::read(&one["events"], &one["filter"]);
            self.connection.subscriptions.push((id, from, definition));
        }
        self.connection.cursor = cursor;
        self.say(&json!({"type": "resumed", "id": message["id"], "recovered": same && covered,
            "position": {"epoch": self.epoch(), "lanes": cursor}, "subscriptions": answers}));
        if !same {
            for lane in Priority::ALL {
                self.say(&json!({"type": "gap", "lane": lane, "until": self.end, "reason": "epoch"}));
            }
        }
    }

    fn publish(&mut self, message: &Value) {
        let event_id = message["event"]["id"].as_str().unwrap().to_owned();
        let known = self.published.get(&event_id).copied();
        let offset = known.unwrap_or_else(|| self.append("user.login", Priority::Normal, 1));
        self.published.insert(event_id.clone(), offset);
        self.say(&json!({"type": "published", "id": message["id"], "eventId": event_id, "offset": offset,
            "duplicate": known.is_some()}));
    }

    /// The next event that this connection is owed in a lane.
    fn owed(&self, lane: Priority) -> Option<&Entry> {
        let connection = &self.connection;
        self.log.iter().find(|entry| {
            entry.life == self.life
                && entry.lane == lane
                && connection.cursor[lane] < entry.offset
                && connection
                    .subscriptions
                    .iter()
                    .any(|(_, from, definition)| *from < entry.offset && definition.matches(entry))
        })
    }

    /// Sends what a lane has next.
    fn deliver(&mut self, lane: Priority) {
        if self.connection.subscriptions.is_empty() {
            return;
        }
        let (cursor, evicted) = (self.connection.cursor[lane], self.evicted[lane]);
        if cursor < evicted {
            self.connection.cursor[lane] = evicted;
            let gap =
                json!({"type": "gap", "lane": lane, "after": cursor, "until": evicted, "reason": "expired"});
            return self.say(&gap);
        }
        match self.owed(lane) {
            Some(entry) => {
                let mut message = message_of(entry);
                message["type"] = "event".into();
                message["lane"] = lane.as_str().into();
                self.connection.cursor[lane] = entry.offset;
                self.say(&message);
            }
            None => self.connection.cursor[lane] = self.end,
        }
    }

    fn heartbeat(&mut self) {
        let lanes = PerLane::from_fn(|lane| {
            let cursor = self.connection.cursor[lane];
            let evicted = cursor < self.evicted[lane] && !self.connection.subscriptions.is_empty();
            if evicted { cursor } else { self.owed(lane).map_or(self.end, |entry| entry.offset - 1) }
        });
        self.connection.cursor = lanes;
        self.say(&json!({"type": "heartbeat", "lanes": lanes}));
    }

    fn is_done(&self) -> bool {
        let connection = &self.connection;
        let told = Priority::ALL
            .into_iter()
            .all(|lane| self.owed(lane).is_none() && self.evicted[lane] <= connection.cursor[lane]);
        let quiet = connection.to_client.is_empty() && connection.to_server.is_empty();
        quiet && (told || connection.subscriptions.is_empty())
    }
}

fn message_of(entry: &Entry) -> Value {
    json!({"offset": entry.offset,
        "event": {"type": entry.kind, "data": {"tenant": entry.tenant, "life": entry.life}}})
}

/// What is known of a subscription of the application, and what it has seen.
struct Watch {
    definition: Definition,
    /// The end of the log when it was made, which life first.
    made: (u64, u64),
    began: Option<(u64, u64)>,
    seen: Vec<(u64, u64)>,
    last: PerLane<(u64, u64)>,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Opening,
    Up,
}

struct World {
    client: Client,
    server: Server,
    rng: Rng,
    millis: u64,
    link: Link,
    online: bool,
    /// The answer that the application owes.
    token_owed: bool,
    tokens: u64,
    watches: BTreeMap<SubscriptionId, Watch>,
    gaps: Vec<(Priority, u64, Option<u64>, u64)>,
    restarts: usize,
    publishes: BTreeMap<PublishId, usize>,
    trace: Vec<String>,
}

impl World {
    fn new(seed: [u8; 32]) -> Self {
        let mut world = Self {
            client: Client::new(ClientConfig::default(), seed, Now::default()),
            server: Server::default(),
            rng: Rng::new(seed.map(|byte| !byte)),
            millis: 0,
            link: Link::Down,
            online: true,
            token_owed: false,
            tokens: 0,
            watches: BTreeMap::new(),
            gaps: Vec::new(),
            restarts: 0,
            publishes: BTreeMap::new(),
            trace: Vec::new(),
        };
        world.handle(ClientInput::Start);
        world
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    fn handle(&mut self, input: ClientInput<'_>) {
        let unix = UnixTime::from_millis(i64::try_from(self.millis).unwrap());
        let now = Now { instant: Instant::from_micros(self.millis * 1000), unix };
        self.client.handle(now, input);
        self.obey();
        let due = self.client.poll_timeout();
        let hour = std::time::Duration::from_secs(3600);
        assert!(due.is_none_or(|due| due <= now.instant + hour), "a timer stands too far away");
        let waits = matches!(self.client.state(), ClientState::Waiting | ClientState::Open);
        assert!(!waits || due.is_some(), "a state that waits has a timer");
    }

    /// Does what the client asks, and checks what it tells.
    fn obey(&mut self) {
        while let Some(output) = self.client.poll_output() {
            self.trace.push(format!("{output:?}"));
            match output {
                ClientOutput::GetToken => {
                    assert!(!self.token_owed, "one question at a time");
                    self.token_owed = true;
                }
                ClientOutput::Open { .. } => {
                    assert_eq!(self.link, Link::Down, "one connection at a time");
                    assert!(self.online, "none without a network");
                    self.link = Link::Opening;
                }
                ClientOutput::Close { .. } => {
                    assert_ne!(self.link, Link::Down, "only what is open is closed");
                    self.link = Link::Down;
                }
                ClientOutput::Send(Text(text)) => {
                    assert_eq!(self.link, Link::Up);
                    self.trace.push(text.clone());
                    self.server.connection.to_server.push_back(text);
                }
                ClientOutput::State(_) => {}
                ClientOutput::Subscribed { subscription, offset } => {
                    let began = (self.life(), offset.get());
                    let watch = self.watches.get_mut(&subscription).unwrap();
                    assert_eq!(watch.began.replace(began), None, "a subscription begins once");
                }
                ClientOutput::Recent { subscription, events, .. } => {
                    let watch = &self.watches[&subscription];
                    let (_, began) = watch.began.unwrap();
                    assert!(events.is_sorted_by_key(|one| one.offset));
                    assert!(events.iter().all(|one| one.offset.get() <= began));
                }
                ClientOutput::Event { offset, lane, subscriptions, event } => {
                    let data: Value = serde_json::from_str(event.get()).unwrap();
                    let life = data["data"]["life"].as_u64().unwrap();
                    self.see(life, offset, lane, &subscriptions);
                }
                ClientOutput::Gap { lane, after, until, reason } => {
                    if reason == GapReason::Expired && self.life() == self.server.life {
                        assert!(until.get() <= self.server.evicted[lane], "a gap over what is there");
                    }
                    self.gaps.push((lane, self.life(), after.map(Offset::get), until.get()));
                }
                ClientOutput::Published { publish, .. } => *self.publishes.get_mut(&publish).unwrap() += 1,
                ClientOutput::Error { about: About::Subscription(id), .. } => {
                    self.watches.get_mut(&id).unwrap().ended = true;
                }
                ClientOutput::Error { about: About::Publish(id), .. } => {
                    *self.publishes.get_mut(&id).unwrap() += 1;
                }
                ClientOutput::Error { error, .. } => {
                    let fault = matches!(error, ClientError::BadMessage(_) | ClientError::Overflow);
                    assert!(!fault, "the server keeps to the protocol: {error}");
                }
            }
        }
    }

    /// The life of the log that the client follows.
    fn life(&self) -> u64 {
        let position = self.client.position().unwrap();
        position.epoch.as_str()[1..].parse().unwrap()
    }

    fn see(&mut self, life: u64, offset: Offset, lane: Priority, subscriptions: &[SubscriptionId]) {
        let at = (life, offset.get());
        let entry = self.server.log.iter().find(|entry| (entry.life, entry.offset) == at).unwrap();
        assert_eq!(entry.lane, lane);
        assert!(!subscriptions.is_empty());
        for id in subscriptions {
            let watch = self.watches.get_mut(id).unwrap();
            assert!(!watch.ended, "{id:?} has ended");
            assert!(watch.definition.matches(entry), "{id:?} did not ask for {at:?}");
            assert!(watch.began.unwrap() < at, "{id:?} began after {at:?}");
            assert!(watch.last[lane] < at, "{id:?} has {at:?} after {:?}", watch.last[lane]);
            watch.last[lane] = at;
            watch.seen.push(at);
        }
    }

    /// Some time passes, in which everything that is under way may move a little.
    fn tick(&mut self, faults: bool) {
        self.millis += self.rng.below(200);
        let mut timeouts = 0;
        while self.client.poll_timeout().is_some_and(|due| due.as_micros() <= self.millis * 1000) {
            self.handle(ClientInput::Timeout);
            timeouts += 1;
            assert!(timeouts < 5, "a timer does not move");
        }
        if self.token_owed && self.chance(60) {
            self.token_owed = false;
            let failed = faults && self.chance(20);
            self.tokens += 1;
            let token = Token::new(&format!("t{}", self.tokens));
            let answer = if failed { TokenAnswer::Failed } else { TokenAnswer::Token(token) };
            self.handle(ClientInput::Token(answer));
        }
        if self.link == Link::Opening && self.chance(60) {
            if faults && self.chance(20) {
                self.link = Link::Down;
                self.handle(ClientInput::ConnectFailed);
            } else {
                self.link = Link::Up;
                self.server.accept();
                self.handle(ClientInput::Connected);
            }
        }
        if self.link == Link::Up {
            self.exchange();
        }
    }

    fn exchange(&mut self) {
        for _ in 0..self.rng.below(4) {
            self.server.serve();
        }
        for _ in 0..self.rng.below(6) {
            let lane = Priority::ALL[usize::try_from(self.rng.below(4)).unwrap()];
            self.server.deliver(lane);
        }
        if self.chance(5) {
            self.server.heartbeat();
        }
        for _ in 0..self.rng.below(8) {
            if self.link == Link::Up
                && let Some(text) = self.server.connection.to_client.pop_front()
            {
                self.handle(ClientInput::Message(&text));
            }
        }
    }

    fn drop_connection(&mut self, code: Option<u16>) {
        if self.link != Link::Down {
            self.link = Link::Down;
            self.handle(ClientInput::Closed { code, reason: "" });
        }
    }

    fn subscribe(&mut self, which: u8, recent: u16) {
        let (events, filter) = match which % 5 {
            0 => (json!(["content.*"]), Value::Null),
            1 => (json!(["*"]), Value::Null),
            2 => (json!(["user.login"]), Value::Null),
            3 => (json!(["content.*"]), json!({"tenant": 1})),
            _ => (json!(["content.updated", "user.*"]), json!({"tenant": [1, 2]})),
        };
        let definition = Definition::read(&events, &filter);
        let filter = Some(filter).filter(|filter| !filter.is_null());
        let wanted = Subscribe { events: definition.patterns.clone(), filter, recent };
        let id = self.client.subscribe(&wanted).unwrap();
        let watch = Watch {
            definition,
            made: (self.server.life, self.server.end),
            began: None,
            seen: Vec::new(),
            last: PerLane::default(),
            ended: false,
        };
        self.watches.insert(id, watch);
        self.obey();
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Append(which, lane, tenant) => {
                let kinds = ["content.updated", "content.created", "user.login", "settings.updated"];
                let lane = Priority::ALL[usize::from(lane % 4)];
                self.server.append(kinds[usize::from(which % 4)], lane, u64::from(tenant % 3));
            }
            Op::Subscribe(which, recent) => self.subscribe(which, if recent { 3 } else { 0 }),
            Op::Unsubscribe(which) => {
                let count = self.watches.len().max(1);
                if let Some((id, watch)) = self.watches.iter_mut().nth(usize::from(which) % count) {
                    watch.ended = true;
                    self.client.unsubscribe(*id);
                    self.obey();
                }
            }
            Op::Publish => {
                let id = self.client.publish(json!({"type": "user.login", "data": {}})).unwrap();
                self.publishes.insert(id, 0);
                self.obey();
            }
            Op::Tick(count) => (0..count).for_each(|_| self.tick(true)),
            Op::Drop(code) => self.drop_connection(code),
            Op::Evict(lane, keep) => {
                let lane = Priority::ALL[usize::from(lane % 4)];
                let kept = self.server.end.saturating_sub(u64::from(keep % 8));
                self.server.evicted[lane] = self.server.evicted[lane].max(kept);
            }
            Op::Restart => {
                self.drop_connection(Some(1012));
                self.server.life += 1;
                (self.server.end, self.server.evicted) = (0, PerLane::default());
                self.restarts += 1;
            }
            Op::Network(online) => {
                self.online = online;
                self.handle(if online { ClientInput::Online } else { ClientInput::Offline });
            }
            Op::Visible => self.handle(ClientInput::Visible),
            Op::Drain(after) if self.link == Link::Up => {
                if !self.server.connection.to_client.is_empty() {
                    return;
                }
                self.server.say(&json!({"type": "reconnect", "after": after}));
            }
            Op::Drain(_) => {}
            Op::Fail(code) => self.server.fail = Some(code),
            Op::Running(run) => self.handle(if run { ClientInput::Start } else { ClientInput::Stop }),
        }
    }

    /// Everything is well from here on: the client must reach the end of what it is owed.
    fn settle(&mut self) -> bool {
        self.online = true;
        self.server.fail = None;
        self.handle(ClientInput::Online);
        self.handle(ClientInput::Start);
        for _ in 0..2000 {
            self.tick(false);
            let begun = self.watches.values().all(|watch| watch.ended || watch.began.is_some());
            let answered = self.publishes.values().all(|count| 0 < *count);
            let open = self.client.state() == ClientState::Open;
            if open && begun && answered && self.server.is_done() {
                return true;
            }
        }
        false
    }

    fn is_told(&self, entry: &Entry) -> bool {
        let at = (entry.life, entry.offset);
        self.gaps.iter().any(|(lane, life, after, until)| {
            let above = after.is_none_or(|after| (*life, after) < at);
            *lane == entry.lane && above && at <= (*life, *until)
        })
    }

    fn check(&self) {
        for (id, watch) in self.watches.iter().filter(|(_, watch)| !watch.ended) {
            let from = watch.began.unwrap().max(watch.made);
            for entry in &self.server.log {
                let at = (entry.life, entry.offset);
                let due = from < at && watch.definition.matches(entry);
                assert!(!due || watch.seen.contains(&at) || self.is_told(entry), "{id:?} misses {at:?}");
            }
        }
        let epochs = self.gaps.iter().filter(|(_, _, after, _)| after.is_none()).count();
        assert!(epochs <= 4 * self.restarts, "{epochs} gaps for {} restarts", self.restarts);
        assert!(self.publishes.values().all(|count| *count == 1), "one answer each");
    }
}

#[derive(Clone, Debug)]
enum Op {
    Append(u8, u8, u8),
    Subscribe(u8, bool),
    Unsubscribe(u8),
    Publish,
    Tick(usize),
    Drop(Option<u16>),
    Evict(u8, u8),
    Restart,
    Network(bool),
    Visible,
    Drain(u16),
    Fail(&'static str),
    Running(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let code = prop::sample::select(vec![None, Some(1011), Some(1012), Some(4408), Some(4419), Some(4401)]);
    let fault = prop::sample::select(vec!["unavailable", "rate_limited", "internal", "forbidden"]);
    prop_oneof![
        18 => any::<(u8, u8, u8)>().prop_map(|(which, lane, tenant)| Op::Append(which, lane, tenant)),
        4 => any::<(u8, bool)>().prop_map(|(which, recent)| Op::Subscribe(which, recent)),
        2 => any::<u8>().prop_map(Op::Unsubscribe),
        2 => Just(Op::Publish),
        12 => (1..30usize).prop_map(Op::Tick),
        3 => code.prop_map(Op::Drop),
        1 => any::<(u8, u8)>().prop_map(|(lane, keep)| Op::Evict(lane, keep)),
        1 => Just(Op::Restart),
        2 => prop::bool::weighted(0.7).prop_map(Op::Network),
        1 => Just(Op::Visible),
        1 => (0..3000u16).prop_map(Op::Drain),
        1 => fault.prop_map(Op::Fail),
        1 => prop::bool::weighted(0.7).prop_map(Op::Running),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_subscription_sees_each_event_once_and_in_order_save_gaps(
        seed: [u8; 32],
        ops in prop::collection::vec(op(), 1..200),
    ) {
        let mut world = World::new(seed);
        for op in &ops {
            world.apply(op);
        }
        prop_assert!(world.settle(), "{} after {:?}", world.client.state().as_str(), world.trace.last());
        world.check();
    }

    #[test]
    fn the_same_seed_and_inputs_give_the_same_outputs(
        seed: [u8; 32],
        ops in prop::collection::vec(op(), 1..40),
    ) {
        let run = || {
            let mut world = World::new(seed);
            ops.iter().for_each(|op| world.apply(op));
            world.trace
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn no_message_makes_it_panic_or_stand_still(
        seed: [u8; 32],
        messages in prop::collection::vec((any::<prop::sample::Index>(), "[ -~]{0,12}"), 1..40),
    ) {
        let mut world = World::new(seed);
        world.subscribe(1, 0);
        (0..20).for_each(|_| world.tick(false));
        let mut client = world.client;
        let legal = [
            r#"{"type":"event","offset":7,"lane":"low","event":{"type":"a.b","data":{}}}"#,
            r#"{"type":"resumed","recovered":false,"position":{"epoch":"x","lanes":{"critical":1,"high":1,"normal":1,"low":1}},"subscriptions":[{"id":"s0","offset":3}]}"#,
            r#"{"type":"subscribed","id":"s0","offset":7,"recent":[{"offset":6,"event":{"type":"a.b"}}]}"#,
            r#"{"type":"error","id":"s0","code":"forbidden","message":"m"}"#,
            r#"{"type":"heartbeat","lanes":{"critical":1,"high":1,"normal":1,"low":1}}"#,
        ];
        for (millis, (index, noise)) in (world.millis..).step_by(1000).zip(&messages) {
            let now = Now { instant: Instant::from_micros(millis * 1000), unix: UnixTime::default() };
            let mut text = index.get(&legal).to_string();
            let at = index.index(text.len());
            text.replace_range(at..at + usize::from(!noise.is_empty()), noise);
            for input in [ClientInput::Timeout, ClientInput::Connected, ClientInput::Message(&text)] {
                client.handle(now, input);
                while let Some(output) = client.poll_output() {
                    if matches!(output, ClientOutput::GetToken) {
                        client.handle(now, ClientInput::Token(TokenAnswer::Token(Token::new(noise))));
                    }
                }
            }
            prop_assert!(client.state() != ClientState::Closed);
        }
    }
}
