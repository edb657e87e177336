//! A script for a client: inputs, and after each what the client makes of it. The core's own client says what is
//! right; ids that a client chooses are written as `#1`, `#2`, … in the order in which it first uses them, so that
//! clients with other ids can be held against the same script.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tidings_core::client::{
    About, Client, ClientConfig, ClientError, ClientInput, ClientOutput, GapReason, PublishId, Subscribe,
    SubscriptionId, Text, Token, TokenAnswer,
};
use tidings_core::event::{Pattern, Patterns};
use tidings_core::protocol::ErrorCode;
use tidings_core::time::{Instant, Now, UnixTime};

/// Unix time at which every script begins.
const BEGIN_MS: u64 = 1_790_000_000_000;

pub(crate) struct Script {
    about: &'static str,
    client: Client,
    now: Duration,
    /// Real ids in the order of their first use: the first is `#1`.
    ids: Vec<String>,
    subscriptions: Vec<SubscriptionId>,
    publishes: Vec<PublishId>,
    position: Value,
    steps: Vec<Value>,
}

impl Script {
    /// A script that begins with a client that is `idle`.
    pub(crate) fn new(about: &'static str) -> Self {
        Self::seeded(about, [7; 32])
    }

    /// The same with delays drawn from another seed.
    pub(crate) fn seeded(about: &'static str, seed: [u8; 32]) -> Self {
        Self {
            about,
            client: Client::new(ClientConfig::default(), seed, clock(Duration::ZERO)),
            now: Duration::ZERO,
            ids: Vec::new(),
            subscriptions: Vec::new(),
            publishes: Vec::new(),
            position: Value::Null,
            steps: Vec::new(),
        }
    }

    /// A client that is open, with a token that it asked for.
    pub(crate) fn open(about: &'static str) -> Self {
        let mut script = Self::new(about);
        script.put("start");
        script.put(json!({"token": "t1"}));
        script.greet();
        script
    }

    /// The connection that the client has asked for comes about.
    pub(crate) fn greet(&mut self) {
        self.put("connected");
        self.message(&super::messages::welcome("e1", None));
    }

    /// A client that is open with a subscription to `content.*` that began at 10.
    pub(crate) fn subscribed(about: &'static str) -> Self {
        let mut script = Self::open(about);
        script.put(json!({"subscribe": {"events": ["content.*"]}}));
        script.message(&super::messages::subscribed("#1", 10));
        script
    }

    /// A message of the server arrives, in the form in which the server writes it.
    pub(crate) fn message(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).unwrap();
        self.put(json!({"message": message}));
    }

    /// Feeds one input and writes down what comes out.
    pub(crate) fn put(&mut self, input: impl Into<Value>) -> &Value {
        let input = input.into();
        let mut then = Outcome::default();
        match input.as_object().and_then(|object| object.get("pass")) {
            Some(millis) => self.pass(Duration::from_millis(millis.as_u64().unwrap()), &mut then),
            None => self.feed(&input),
        }
        self.collect(&mut then);
        let mut then = then.0;
        then.insert("state".to_owned(), self.client.state().as_str().into());
        let position = self.position();
        if position != self.position {
            then.insert("position".to_owned(), position.clone());
            self.position = position;
        }
        self.steps.push(json!({"input": input, "then": then}));
        &self.steps.last().unwrap()["then"]
    }

    pub(crate) fn write(self) -> Value {
        json!({"about": self.about, "steps": self.steps})
    }

    /// Every message that the client has sent so far, with its own ids.
    pub(crate) fn sent(&self) -> Vec<Value> {
        let sends = self.steps.iter().filter_map(|step| step["then"]["sends"].as_array());
        sends.flatten().map(|message| self.with_ids(message)).collect()
    }

    fn feed(&mut self, input: &Value) {
        let name = input.as_str().or_else(|| input.as_object()?.keys().next().map(String::as_str)).unwrap();
        let argument = input.get(name).cloned().unwrap_or_default();
        let text;
        let taken = match name {
            "start" => ClientInput::Start,
            "stop" => ClientInput::Stop,
            "online" => ClientInput::Online,
            "offline" => ClientInput::Offline,
            "visible" => ClientInput::Visible,
            "connected" => ClientInput::Connected,
            "token" => ClientInput::Token(match argument.as_str() {
                Some(token) => TokenAnswer::Token(Token::new(token)),
                None => TokenAnswer::Unauthorized,
            }),
            "tokenFailed" => ClientInput::Token(TokenAnswer::Failed),
            "closed" => {
                let code = argument["code"].as_u64().map(|code| u16::try_from(code).unwrap());
                ClientInput::Closed { code, reason: "" }
            }
            "message" => {
                text = self.with_ids(&argument).to_string();
                ClientInput::Message(&text)
            }
            "text" => {
                text = argument.as_str().unwrap().to_owned();
                ClientInput::Message(&text)
            }
            _ => return self.ask(name, &argument),
        };
        self.client.handle(clock(self.now), taken);
    }

    /// What the application asks of the client.
    fn ask(&mut self, name: &str, argument: &Value) {
        match name {
            "subscribe" => {
                let patterns = argument["events"].as_array().unwrap().iter();
                let patterns = patterns.map(|text| Pattern::parse(text.as_str().unwrap()).unwrap()).collect();
                let recent = u16::try_from(argument["recent"].as_u64().unwrap_or(0)).unwrap();
                let filter = argument.get("filter").cloned();
                let wanted = Subscribe { events: Patterns::new(patterns), filter, recent };
                self.subscriptions.push(self.client.subscribe(&wanted).unwrap());
            }
            "unsubscribe" => {
                let index = usize::try_from(argument.as_u64().unwrap()).unwrap();
                self.client.unsubscribe(self.subscriptions[index]);
            }
            "publish" => self.publishes.push(self.client.publish(argument.clone()).unwrap()),
            _ => panic!("no input is called {name}"),
        }
    }

    /// Time passes, with the client's deadlines on the way.
    fn pass(&mut self, time: Duration, then: &mut Outcome) {
        let until = self.now + time;
        self.collect(then);
        while let Some(due) = self.client.poll_timeout().map(|due| Duration::from_micros(due.as_micros())) {
            // A clock of whole ms comes to a deadline with the first that is not before it.
            let due = Duration::from_millis(u64::try_from(due.as_micros().div_ceil(1000)).unwrap());
            if until < due {
                break;
            }
            self.now = self.now.max(due);
            self.client.handle(clock(self.now), ClientInput::Timeout);
            self.collect(then);
        }
        self.now = until;
    }

    fn collect(&mut self, then: &mut Outcome) {
        while let Some(output) = self.client.poll_output() {
            self.write_down(output, then);
        }
    }

    fn write_down(&mut self, output: ClientOutput, then: &mut Outcome) {
        match output {
            ClientOutput::GetToken => {
                then.0.insert("asksForToken".to_owned(), true.into());
            }
            ClientOutput::Open { token } => then.push("opensWith", token.as_str().into()),
            ClientOutput::Close { code } => then.push("closes", code.into()),
            // The state that the step ends in stands beside this.
            ClientOutput::State(_) => {}
            ClientOutput::Send(Text(text)) => {
                let message = self.without_ids(serde_json::from_str(&text).unwrap());
                then.push("sends", message);
            }
            ClientOutput::Subscribed { subscription, offset } => then.push(
                "begins",
                json!({"subscription": self.index(subscription), "offset": offset, "recent": [], "truncated": false}),
            ),
            ClientOutput::Recent { subscription, events, truncated } => {
                let begun = then.0["begins"].as_array_mut().unwrap().last_mut().unwrap();
                assert_eq!(begun["subscription"], self.index(subscription));
                begun["recent"] = events.iter().map(|event| json!(event.offset)).collect();
                begun["truncated"] = truncated.into();
            }
            ClientOutput::Event { offset, lane, event, subscriptions } => {
                let event: Value = serde_json::from_str(event.get()).unwrap();
                let to: Vec<usize> = subscriptions.iter().map(|id| self.index(*id)).collect();
                then.push("events", json!({"offset": offset, "lane": lane, "id": event["id"], "to": to}));
            }
            ClientOutput::Gap { lane, after, until, reason } => {
                let reason = match reason {
                    GapReason::Expired => "expired",
                    GapReason::Epoch => "epoch",
                    GapReason::Other => "other",
                };
                let mut gap = json!({"lane": lane, "until": until, "reason": reason});
                if let Some(after) = after {
                    gap["after"] = json!(after);
                }
                then.push("gaps", gap);
            }
            ClientOutput::Published { publish, event_id, offset, duplicate } => then.push(
                "published",
                json!({"publish": self.publish(publish), "eventId": event_id, "offset": offset, "duplicate": duplicate}),
            ),
            ClientOutput::Error { about, error } => self.write_error(about, &error, then),
        }
    }

    /// Errors with a code of the protocol. What a client says of its own faults is its own.
    fn write_error(&self, about: About, error: &ClientError, then: &mut Outcome) {
        let ClientError::Server { code, .. } = error else { return };
        let mut written = json!({"code": code});
        match about {
            About::Subscription(id) => written["subscription"] = self.index(id).into(),
            About::Publish(id) => written["publish"] = self.publish(id).into(),
            About::Client | About::Token => {}
        }
        assert!(ErrorCode::ALL.iter().any(|known| known.as_str() == &**code), "{code}");
        then.push("errors", written);
    }

    fn index(&self, id: SubscriptionId) -> usize {
        self.subscriptions.iter().position(|known| *known == id).unwrap()
    }

    fn publish(&self, id: PublishId) -> usize {
        self.publishes.iter().position(|known| *known == id).unwrap()
    }

    fn position(&self) -> Value {
        self.client.position().map_or(
            Value::Null,
            |position| json!({"epoch": position.epoch.as_str(), "lanes": position.lanes}),
        )
    }

    /// A message with the ids that the client chose in place of `#1` and so on.
    fn with_ids(&self, message: &Value) -> Value {
        map_ids(message.clone(), &mut |id| {
            let index = id.strip_prefix('#').and_then(|number| number.parse::<usize>().ok());
            let known = index.and_then(|number| self.ids.get(number - 1));
            known.map_or_else(|| id.to_owned(), Clone::clone)
        })
    }

    /// A message with `#1` and so on in place of the ids that the client chose.
    fn without_ids(&mut self, message: Value) -> Value {
        map_ids(message, &mut |id| {
            let known = self.ids.iter().position(|known| known == id);
            let index = known.unwrap_or_else(|| {
                self.ids.push(id.to_owned());
                self.ids.len() - 1
            });
            format!("#{}", index + 1)
        })
    }
}

/// The clocks, so long after the beginning.
fn clock(since: Duration) -> Now {
    let micros = u64::try_from(since.as_micros()).unwrap();
    let unix = UnixTime::from_millis(i64::try_from(BEGIN_MS + micros / 1000).unwrap());
    Now { instant: Instant::from_micros(micros), unix }
}

/// Changes the ids of a message: its own, and those of the subscriptions that it lists.
fn map_ids(mut message: Value, map: &mut dyn FnMut(&str) -> String) -> Value {
    if let Some(id) = message.get("id").and_then(Value::as_str).map(&mut *map) {
        message["id"] = id.into();
    }
    if let Some(list) = message.get_mut("subscriptions").and_then(Value::as_array_mut) {
        for entry in list {
            *entry = map_ids(entry.take(), map);
        }
    }
    message
}

/// What came of one input, by kind.
#[derive(Default)]
struct Outcome(Map<String, Value>);

impl Outcome {
    fn push(&mut self, kind: &str, value: Value) {
        let list = self.0.entry(kind).or_insert_with(|| Value::Array(Vec::new()));
        list.as_array_mut().unwrap().push(value);
    }
}
