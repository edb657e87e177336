//! The client machine: anything that a shell, an application and a server may do to it, in any order.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tidings_core::client::{
    Client, ClientConfig, ClientInput, ClientOutput, ClientState, GapReason, Subscribe, SubscriptionId,
    Token, TokenAnswer,
};
use tidings_core::event::{Pattern, Patterns, Priority};
use tidings_core::{Instant, Now, Offset, Position, UnixTime};

use crate::world::EPOCH_MS;

/// The most that a server takes in one message.
const MESSAGE_MAX: usize = 128 * 1024;
/// More than one input gives, whatever it is.
const OUTPUTS_MAX: usize = 20_000;

/// Panics where the client does, where it comes to no rest, speaks when it must not, passes through a state
/// that is not told, shows an event twice or out of order, or takes its position back within an epoch.
///
/// A line each; its first letter says what happens, and the rest with what. `$id` in a message of the server
/// stands for the id of the newest request.
pub fn client(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let config = ClientConfig {
        subscriptions_max: 4,
        handles_max: 8,
        publishes_max: 4,
        publishes_in_flight: 2,
        messages_per_s: 10,
        messages_burst: 10,
        outputs_max: 16,
        ..ClientConfig::default()
    };
    let now = Now { instant: Instant::ZERO, unix: UnixTime::from_millis(EPOCH_MS) };
    let mut watched = Watched {
        client: Client::new(config, [9; 32], now),
        now,
        is_polled: true,
        is_connected: false,
        state: ClientState::Idle,
        subscriptions: Vec::new(),
        last_id: String::new(),
        position: None,
        shown: BTreeMap::new(),
        is_anew: false,
    };
    for line in text.lines().take(512) {
        watched.take(line);
        if watched.is_polled {
            watched.poll();
        }
    }
    watched.poll();
}

struct Watched {
    client: Client,
    now: Now,
    is_polled: bool,
    /// Whether the shell holds a connection, or opens one.
    is_connected: bool,
    state: ClientState,
    subscriptions: Vec<SubscriptionId>,
    last_id: String,
    position: Option<Position>,
    /// The newest event of each lane since the position began.
    shown: BTreeMap<Priority, Offset>,
    /// Whether the client has said that the log has begun anew since the position was looked at.
    is_anew: bool,
}

impl Watched {
    fn take(&mut self, line: &str) {
        let mut letters = line.chars();
        let Some(letter) = letters.next() else { return };
        let rest = letters.as_str();
        let number = rest.parse::<u64>().unwrap_or(0);
        match letter {
            's' => self.give(ClientInput::Start),
            'x' => self.give(ClientInput::Stop),
            'c' => self.give(ClientInput::Connected),
            'f' => self.end(ClientInput::ConnectFailed),
            'b' => self.give(ClientInput::Received),
            'm' => {
                let text = rest.replace("$id", &self.last_id);
                self.give(ClientInput::Message(&text));
            }
            'd' => self.end(ClientInput::Closed { code: u16::try_from(number).ok(), reason: "said" }),
            't' => self.give(ClientInput::Token(TokenAnswer::Token(Token::new(rest)))),
            'u' => self.give(ClientInput::Token(TokenAnswer::Unauthorized)),
            'g' => self.give(ClientInput::Token(TokenAnswer::Failed)),
            'o' => self.give(ClientInput::Online),
            'n' => self.give(ClientInput::Offline),
            'v' => self.give(ClientInput::Visible),
            'w' => self.wait(number.min(100_000_000)),
            'j' => self.now.unix = UnixTime::from_millis(rest.parse().unwrap_or(0)),
            'q' => self.hold(),
            '+' => self.subscribe(rest),
            '-' => {
                if let Some(subscription) = self.subscriptions.get(usize::try_from(number).unwrap_or(0)) {
                    self.client.unsubscribe(*subscription);
                }
            }
            'p' => drop(self.client.publish(serde_json::from_str(rest).unwrap_or_default())),
            _ => {}
        }
    }

    fn give(&mut self, input: ClientInput<'_>) {
        self.client.handle(self.now, input);
    }

    /// A connection that has ended is not closed by the client again.
    fn end(&mut self, input: ClientInput<'_>) {
        self.give(input);
        self.is_connected = false;
    }

    /// Lets time pass, and everything happen that is due in it.
    fn wait(&mut self, millis: u64) {
        let end = self.now.instant + Duration::from_millis(millis);
        for _ in 0..64 {
            let due = self.client.poll_timeout().filter(|due| *due < end).unwrap_or(end);
            let passed = due.max(self.now.instant).since(self.now.instant);
            let unix =
                self.now.unix.as_millis().saturating_add(i64::try_from(passed.as_millis()).unwrap_or(0));
            self.now = Now { instant: self.now.instant + passed, unix: UnixTime::from_millis(unix) };
            self.give(ClientInput::Timeout);
            if self.is_polled {
                self.poll();
                let next = self.client.poll_timeout();
                assert!(next.is_none_or(|next| self.now.instant < next), "what is due is done");
            }
            if self.now.instant == end {
                return;
            }
        }
    }

    /// Polls no longer, or again. What has waited may be from before the position, so its order says nothing.
    fn hold(&mut self) {
        if !self.is_polled {
            self.poll();
            self.shown.clear();
        }
        self.is_polled = !self.is_polled;
    }

    fn subscribe(&mut self, json: &str) {
        let wanted: Value = serde_json::from_str(json).unwrap_or_default();
        let texts = wanted["events"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let wanted = Subscribe {
            events: Patterns::new(texts.filter_map(|text| Pattern::parse(text).ok()).collect()),
            filter: wanted.get("filter").cloned(),
            recent: u16::try_from(wanted["recent"].as_u64().unwrap_or(0)).unwrap_or(u16::MAX),
        };
        if let Ok(subscription) = self.client.subscribe(&wanted) {
            self.subscriptions.push(subscription);
        }
    }

    fn poll(&mut self) {
        for _ in 0..OUTPUTS_MAX {
            let output = self.client.poll_output();
            self.look();
            let Some(output) = output else {
                assert_eq!(self.state, self.client.state(), "every state is told");
                return;
            };
            self.obey(output);
        }
        unreachable!("the client never comes to rest");
    }

    fn obey(&mut self, output: ClientOutput) {
        match output {
            ClientOutput::Open { .. } => {
                assert!(!self.is_connected, "of connections there is one at a time");
                self.is_connected = true;
            }
            ClientOutput::Close { .. } => self.is_connected = false,
            ClientOutput::Send(text) => self.sent(&text.0),
            ClientOutput::State(state) => {
                assert_ne!(state, self.state, "a state that is told is another one");
                self.state = state;
            }
            ClientOutput::Event { offset, lane, event, subscriptions } => {
                assert!(!subscriptions.is_empty(), "an event is somebody's");
                assert!(subscriptions.iter().all(|one| self.subscriptions.contains(one)));
                assert!(serde_json::from_str::<Value>(event.get()).is_ok_and(|event| event.is_object()));
                if self.is_polled {
                    let last = self.shown.insert(lane, offset);
                    assert!(last.is_none_or(|last| last < offset), "an event is shown once, in its order");
                }
            }
            ClientOutput::Gap { reason, .. } => self.is_anew |= reason == GapReason::Epoch,
            ClientOutput::Subscribed { .. }
            | ClientOutput::Recent { .. }
            | ClientOutput::Published { .. }
            | ClientOutput::Error { .. }
            | ClientOutput::GetToken => {}
        }
    }

    fn sent(&mut self, text: &str) {
        assert!(self.is_connected && self.client.state() == ClientState::Open, "only who is welcomed speaks");
        assert!(text.len() <= MESSAGE_MAX, "a message is one that a server takes");
        let message: Value = serde_json::from_str(text).expect("a message is JSON");
        let known = ["subscribe", "resume", "unsubscribe", "auth", "ping", "publish"];
        assert!(message["type"].as_str().is_some_and(|kind| known.contains(&kind)));
        if let Some(id) = message["id"].as_str() {
            id.clone_into(&mut self.last_id);
        }
    }

    /// Looks at the position, which only grows unless the client begins anew.
    fn look(&mut self) {
        let position = self.client.position().cloned();
        if let (Some(old), Some(new)) = (&self.position, &position)
            && old.epoch == new.epoch
            && !self.is_anew
        {
            let goes_back = old.lanes.iter().any(|(lane, offset)| new.lanes[lane] < *offset);
            // The client may have been told so and not yet have said it.
            assert!(!goes_back || self.is_owed_news(), "{}", json!([old, new]));
        }
        let same =
            self.position.as_ref().zip(position.as_ref()).is_some_and(|(old, new)| old.epoch == new.epoch);
        if !same || self.is_anew {
            self.shown.clear();
        }
        self.is_anew = false;
        self.position = position;
    }

    /// Whether a gap that says that the log has begun anew waits to be polled.
    fn is_owed_news(&self) -> bool {
        let mut ahead = self.client.clone();
        let mut outputs = std::iter::from_fn(move || ahead.poll_output()).take(OUTPUTS_MAX);
        outputs.any(|output| matches!(output, ClientOutput::Gap { reason: GapReason::Epoch, .. }))
    }
}
