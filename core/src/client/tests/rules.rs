//! One rule a test, against a script of messages.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::*;
use crate::event::{Pattern, Patterns, Priority};
use crate::protocol::{Epoch, Offset, PerLane};
use crate::time::UnixTime;

/// A client with a clock, and what it said that is not yet looked at.
struct Script {
    client: Client,
    millis: u64,
}

fn wanted(patterns: &[&str]) -> Subscribe {
    let patterns = patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
    Subscribe { events: Patterns::new(patterns), ..Subscribe::default() }
}

fn offset(number: u64) -> Offset {
    Offset::new(number).unwrap()
}

fn lanes(number: u64) -> Value {
    json!({"critical": number, "high": number, "normal": number, "low": number})
}

fn event(number: u64) -> Value {
    json!({"type": "event", "offset": number, "lane": "normal",
        "event": {"type": "content.updated", "data": {"n": number, "tags": ["a", "b"]}}})
}

fn welcome() -> Value {
    json!({"type": "welcome", "protocol": 1, "connection": "c_1", "user": "u", "epoch": "e1", "offset": 10,
        "heartbeat": {"interval": 30000, "timeout": 60000}})
}

fn expiring(at_secs: u64) -> Value {
    let mut welcome = welcome();
    welcome["expiresAt"] = at_secs.into();
    welcome
}

fn token(text: &str) -> ClientInput<'static> {
    ClientInput::Token(TokenAnswer::Token(Token::new(text)))
}

impl Script {
    fn with(config: ClientConfig) -> Self {
        Self { client: Client::new(config, [5; 32], Now::default()), millis: 0 }
    }

    fn new() -> Self {
        Self::with(ClientConfig::default())
    }

    /// A client that is open with a subscription to `content.*` that began at 10.
    fn subscribed() -> (Self, SubscriptionId) {
        let mut script = Self::new();
        let id = script.client.subscribe(&wanted(&["content.*"])).unwrap();
        script.open();
        script.outputs();
        script.message(&json!({"type": "subscribed", "id": "s0", "offset": 10}));
        script.outputs();
        (script, id)
    }

    fn now(&self) -> Now {
        let unix = UnixTime::from_millis(i64::try_from(self.millis).unwrap());
        Now { instant: Instant::from_micros(self.millis * 1000), unix }
    }

    fn handle(&mut self, input: ClientInput<'_>) {
        self.client.handle(self.now(), input);
    }

    fn message(&mut self, message: &Value) {
        self.handle(ClientInput::Message(&message.to_string()));
    }

    fn closed(&mut self, code: u16) {
        self.handle(ClientInput::Closed { code: Some(code), reason: "" });
    }

    /// Passes time, with the client's timeouts on the way.
    fn pass(&mut self, millis: u64) {
        let until = self.millis + millis;
        while let Some(due) = self.client.poll_timeout().map(|due| due.as_micros().div_ceil(1000)) {
            if until < due {
                break;
            }
            self.millis = self.millis.max(due);
            self.handle(ClientInput::Timeout);
        }
        self.millis = until;
    }

    fn outputs(&mut self) -> Vec<ClientOutput> {
        std::iter::from_fn(|| self.client.poll_output()).collect()
    }

    /// Everything that the client has to say, in short.
    fn said(&mut self) -> Vec<String> {
        self.outputs().iter().map(short).collect()
    }

    /// The messages that it sends.
    fn sent(&mut self) -> Vec<Value> {
        let text = |output| match output {
            ClientOutput::Send(Text(text)) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        };
        self.outputs().into_iter().filter_map(text).collect()
    }

    fn start(&mut self) {
        self.handle(ClientInput::Start);
        self.outputs();
        self.handle(token("t1"));
        self.outputs();
    }

    fn open(&mut self) {
        self.start();
        self.greet();
    }

    /// Completes a connection that the client has asked for.
    fn greet(&mut self) {
        self.outputs();
        assert_eq!(self.client.state(), ClientState::Connecting);
        self.handle(ClientInput::Connected);
        self.message(&welcome());
        assert_eq!(self.client.state(), ClientState::Open);
    }

    /// Breaks the connection and completes the next.
    fn reopen(&mut self) {
        self.closed(1011);
        self.pass(30_000);
        self.greet();
    }
}

fn short(output: &ClientOutput) -> String {
    match output {
        ClientOutput::GetToken => "get token".into(),
        ClientOutput::Open { token } => format!("open {}", token.as_str()),
        ClientOutput::Send(Text(text)) => {
            let message: Value = serde_json::from_str(text).unwrap();
            format!("send {}", message["type"].as_str().unwrap())
        }
        ClientOutput::Close { code } => format!("close {code}"),
        ClientOutput::State(state) => state.as_str().into(),
        ClientOutput::Subscribed { subscription, offset } => format!("{} from {offset}", subscription.0),
        ClientOutput::Recent { events, .. } => {
            let offsets: Vec<_> = events.iter().map(|one| one.offset.get()).collect();
            format!("recent {offsets:?}")
        }
        ClientOutput::Event { offset, subscriptions, .. } => {
            let ids: Vec<_> = subscriptions.iter().map(|id| id.0).collect();
            format!("event {offset} for {ids:?}")
        }
        ClientOutput::Gap { lane, after, until, reason } => {
            let after = after.map_or_else(String::new, |after| after.to_string());
            format!("gap {lane} {after}..{until} {reason:?}")
        }
        ClientOutput::Published { publish, offset, duplicate, .. } => {
            format!("published {} at {offset} {duplicate}", publish.0)
        }
        ClientOutput::Error { about, error } => format!("{about:?}: {error}"),
    }
}

fn position(epoch: &str, number: u64) -> Position {
    Position { epoch: Epoch::new(epoch).unwrap(), lanes: PerLane::from_fn(|_| offset(number)) }
}

fn resumed(epoch: &str, number: u64, subscriptions: &Value) -> Value {
    json!({"type": "resumed", "recovered": true, "subscriptions": subscriptions,
        "position": {"epoch": epoch, "lanes": lanes(number)}})
}

#[test]
fn it_connects_with_a_token_and_is_open_when_welcomed() {
    let mut script = Script::new();
    script.handle(ClientInput::Start);
    assert_eq!(script.said(), ["connecting", "get token"]);
    script.handle(token("t1"));
    assert_eq!(script.said(), ["open t1"]);
    script.handle(ClientInput::Connected);
    assert_eq!(script.said(), [""; 0]);
    script.message(&welcome());
    assert_eq!(script.said(), ["open"]);
}

#[test]
fn what_an_old_connection_says_is_not_taken_for_the_new_ones() {
    let (mut script, _) = Script::subscribed();
    script.pass(61_000);
    script.handle(ClientInput::Connected);
    script.message(&event(11));
    script.closed(4401);
    assert_eq!(script.said(), ["close 4408", "connecting", "open t1"]);
}

#[test]
fn silence_for_the_servers_timeout_ends_the_connection_and_any_byte_prevents_it() {
    let (mut script, _) = Script::subscribed();
    script.pass(59_000);
    script.handle(ClientInput::Received);
    script.pass(59_000);
    assert_eq!(script.client.state(), ClientState::Open);
    script.pass(1000);
    assert_eq!(script.client.state(), ClientState::Waiting);
}

#[test]
fn delays_grow_while_connections_fail_and_begin_anew_after_one_that_lasted() {
    let mut script = Script::new();
    script.start();
    let mut longest = 0;
    for _ in 0..12 {
        script.handle(ClientInput::ConnectFailed);
        let due = script.client.poll_timeout().unwrap().as_micros() / 1000;
        longest = longest.max(due - script.millis);
        script.pass(30_000);
        assert_eq!(script.client.state(), ClientState::Connecting);
        script.outputs();
    }
    assert!((5_000..=30_000).contains(&longest), "{longest} ms");

    script.greet();
    script.pass(10_000);
    script.closed(1011);
    script.pass(500);
    assert_eq!(script.client.state(), ClientState::Connecting);
}

#[test]
fn a_token_that_the_server_rejects_is_not_tried_again() {
    let mut script = Script::new();
    script.start();
    script.handle(ClientInput::Connected);
    script.closed(4401);
    assert_eq!(script.client.state(), ClientState::Unauthorized);
    assert_eq!(script.client.poll_timeout(), None);
    script.outputs();

    script.handle(token("t1"));
    script.handle(ClientInput::Online);
    assert_eq!(script.said(), [""; 0]);
    script.handle(token("t2"));
    assert_eq!(script.said(), ["connecting", "open t2"]);
}

#[test]
fn a_token_that_was_good_once_is_replaced_when_rejected() {
    let (mut script, _) = Script::subscribed();
    script.closed(4401);
    script.pass(500);
    assert_eq!(script.said(), ["connecting", "get token"]);
    script.handle(token("t1"));
    assert_eq!(script.said(), ["unauthorized"]);
}

#[test]
fn an_operators_disconnect_is_final_until_the_token_changes() {
    let (mut script, _) = Script::subscribed();
    script.closed(4403);
    script.pass(1_000_000);
    assert!(script.said().contains(&"unauthorized".to_owned()));
    script.handle(token("t2"));
    assert_eq!(script.said(), ["connecting", "open t2"]);
}

#[test]
fn an_expired_token_is_replaced_before_the_next_connection() {
    let (mut script, _) = Script::subscribed();
    script.pass(20_000);
    script.closed(4419);
    script.pass(500);
    assert_eq!(script.said(), ["connecting", "get token"]);
    script.handle(token("t1"));
    assert_eq!(script.said()[0], "waiting", "the same one is worth nothing");
    script.pass(30_000);
    assert_eq!(script.said(), ["connecting", "get token"]);
    script.handle(token("t2"));
    assert_eq!(script.said(), ["open t2"]);
}

#[test]
fn a_fault_of_the_client_stops_it() {
    for code in [1002, 1003, 1007, 1009, 4400] {
        let (mut script, _) = Script::subscribed();
        script.closed(code);
        script.pass(1_000_000);
        let said = script.said();
        assert!(said[0].contains("fault of this client") && said[1] == "closed", "{said:?}");
    }
}

#[test]
fn other_closes_reconnect() {
    for code in [1000, 1001, 1006, 1011, 1012, 1013, 4408, 4429] {
        let (mut script, _) = Script::subscribed();
        script.closed(code);
        assert_eq!(script.client.state(), ClientState::Waiting, "{code}");
    }
}

#[test]
fn a_token_is_replaced_in_place_before_it_expires() {
    let mut script = Script::new();
    script.start();
    script.handle(ClientInput::Connected);
    script.message(&expiring(100));
    script.outputs();

    script.pass(79_000 - 60_000);
    script.handle(ClientInput::Received);
    script.pass(59_999);
    assert_eq!(script.said(), [""; 0]);
    script.handle(ClientInput::Received);
    script.pass(2000);
    assert_eq!(script.said(), ["get token"]);
    script.handle(token("t2"));
    let sent = script.sent();
    assert_eq!((&sent[0]["type"], &sent[0]["token"]), (&json!("auth"), &json!("t2")));

    script.message(&json!({"type": "authenticated", "id": sent[0]["id"], "expiresAt": 1000}));
    script.closed(1011);
    script.pass(500);
    assert_eq!(script.said(), ["connecting", "open t2"]);
}

#[test]
fn a_refresh_that_fails_is_repeated_with_growing_pauses() {
    let mut script = Script::new();
    script.start();
    script.handle(ClientInput::Connected);
    script.message(&expiring(40));
    script.pass(32_000);
    assert_eq!(script.said(), ["open", "get token"]);
    script.handle(ClientInput::Token(TokenAnswer::Failed));

    let mut asked = Vec::new();
    for second in 0..120 {
        script.handle(ClientInput::Received);
        script.pass(1000);
        if script.said().contains(&"get token".to_owned()) {
            asked.push(second);
            script.handle(ClientInput::Token(TokenAnswer::Failed));
        }
    }
    assert!((4..30).contains(&asked.len()), "{asked:?}");
    assert_eq!(script.client.state(), ClientState::Open);
}

#[test]
fn a_token_that_the_server_refuses_in_place_is_dropped_for_the_one_in_use() {
    let (mut script, _) = Script::subscribed();
    script.handle(token("bad"));
    let sent = script.sent();
    script.message(&json!({"type": "error", "id": sent[0]["id"], "code": "invalid_token", "message": "m"}));
    assert_eq!(script.said(), ["Token: invalid_token: m"]);
    script.closed(1011);
    script.pass(500);
    assert_eq!(script.said(), ["connecting", "open t1"]);
}

#[test]
fn two_reasons_to_ask_are_one_question() {
    let mut script = Script::new();
    script.handle(ClientInput::Start);
    assert_eq!(script.said(), ["connecting", "get token"]);
    script.handle(ClientInput::Offline);
    script.handle(ClientInput::Online);
    assert_eq!(script.said(), [""; 0]);
    script.handle(token("t1"));
    assert_eq!(script.said(), ["open t1"]);
}

#[test]
fn without_a_network_nothing_is_opened_and_with_it_at_once() {
    let (mut script, _) = Script::subscribed();
    script.handle(ClientInput::Offline);
    script.pass(1_000_000);
    assert_eq!(script.said(), ["close 1000", "offline"]);
    script.handle(ClientInput::Online);
    assert_eq!(script.said(), ["connecting", "open t1"]);
}

#[test]
fn a_visible_page_probes_and_reconnects_without_an_answer() {
    let (mut script, _) = Script::subscribed();
    script.handle(ClientInput::Visible);
    assert_eq!(script.said(), ["send ping"]);
    script.message(&json!({"type": "pong"}));
    script.pass(10_000);
    assert_eq!(script.client.state(), ClientState::Open);

    script.handle(ClientInput::Visible);
    script.pass(5000);
    assert_eq!(script.said()[0], "close 4408");
}

#[test]
fn a_draining_server_is_left_when_it_says_and_the_next_is_resumed_on() {
    let (mut script, _) = Script::subscribed();
    script.pass(20_000);
    script.message(&json!({"type": "reconnect", "after": 1500}));
    script.pass(1499);
    script.message(&event(11));
    assert_eq!(script.said(), ["event 11 for [0]"]);
    script.pass(1);
    assert_eq!(script.said(), ["close 1000", "connecting", "open t1"]);
    script.handle(ClientInput::Connected);
    script.message(&welcome());
    assert_eq!(script.said(), ["open", "send resume"]);
}

#[test]
fn a_server_that_always_drains_meets_the_delays() {
    let mut script = Script::new();
    script.open();
    for _ in 0..6 {
        script.message(&json!({"type": "reconnect", "after": 0}));
        script.handle(ClientInput::Timeout);
        assert_eq!(script.client.state(), ClientState::Waiting);
        script.pass(30_000);
        script.greet();
    }
}

#[test]
fn the_position_is_the_highest_of_all_that_raises_it() {
    let (mut script, _) = Script::subscribed();
    assert_eq!(script.client.position(), Some(&position("e1", 10)));
    script.message(&event(12));
    script.message(&json!({"type": "gap", "lane": "low", "after": 10, "until": 14, "reason": "expired"}));
    script.message(&json!({"type": "heartbeat", "lanes": lanes(13)}));
    let mut wanted = position("e1", 13);
    wanted.lanes[Priority::Low] = offset(14);
    assert_eq!(script.client.position(), Some(&wanted));
    assert_eq!(script.said(), ["event 12 for [0]", "gap low 10..14 Expired"]);
}

#[test]
fn a_reconnection_resumes_every_subscription_from_its_own_beginning() {
    let (mut script, first) = Script::subscribed();
    script.message(&event(12));
    script.client.subscribe(&wanted(&["user.login"])).unwrap();
    script.outputs();
    script.message(&json!({"type": "subscribed", "id": "s1", "offset": 13}));
    script.reopen();

    let sent = script.sent();
    let mut since = json!({"epoch": "e1", "lanes": lanes(10)});
    since["lanes"]["normal"] = 12.into();
    let subscriptions = json!([{"id": "s0", "from": 10, "events": ["content.*"]},
        {"id": "s1", "from": 13, "events": ["user.login"]}]);
    assert_eq!((&sent[0]["since"], &sent[0]["subscriptions"]), (&since, &subscriptions));

    let answers = json!([{"id": "s0", "offset": 10},
        {"id": "s1", "error": {"code": "forbidden", "message": "no"}}]);
    script.message(&resumed("e1", 12, &answers));
    script.message(&event(12));
    script.message(&event(13));
    let said = script.said();
    assert_eq!(said, ["Subscription(SubscriptionId(1)): forbidden: no", "event 13 for [0]"]);
    script.client.unsubscribe(first);
    assert_eq!(script.said(), ["send unsubscribe"]);
}

#[test]
fn a_subscription_made_without_a_connection_is_asked_for_after_the_resume() {
    let (mut script, _) = Script::subscribed();
    script.closed(1011);
    script.client.subscribe(&wanted(&["user.login"])).unwrap();
    script.pass(30_000);
    script.greet();
    let sent = script.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["subscriptions"].as_array().unwrap().len(), 1);
    script.message(&resumed("e1", 10, &json!([{"id": "s0", "offset": 10}])));
    assert_eq!(script.sent()[0], json!({"type": "subscribe", "id": "s1", "events": ["user.login"]}));
}

#[test]
fn a_subscription_whose_answer_was_lost_is_asked_for_again() {
    let mut script = Script::new();
    script.client.subscribe(&wanted(&["content.*"])).unwrap();
    script.open();
    assert_eq!(script.said(), ["open", "send subscribe"]);
    script.reopen();
    assert!(script.said().contains(&"send subscribe".to_owned()));
}

#[test]
fn a_heartbeat_before_resumed_does_not_skip_what_the_resume_asks_for() {
    let (mut script, _) = Script::subscribed();
    script.reopen();
    script.message(&json!({"type": "heartbeat", "lanes": lanes(50)}));
    assert_eq!(script.sent()[0]["since"]["lanes"], lanes(10));
    script.message(&json!({"type": "heartbeat", "lanes": lanes(50)}));
    assert_eq!(script.client.position(), Some(&position("e1", 10)));
}

#[test]
fn in_a_new_epoch_the_beginnings_are_new_and_every_lane_has_one_gap() {
    let (mut script, _) = Script::subscribed();
    script.reopen();
    script.outputs();
    let mut answer = resumed("e2", 3, &json!([{"id": "s0", "offset": 3}]));
    answer["recovered"] = false.into();
    script.message(&answer);
    script.message(&json!({"type": "gap", "lane": "normal", "until": 3, "reason": "epoch"}));
    script.message(&event(4));
    let gaps = ["gap critical ..3 Epoch", "gap high ..3 Epoch", "gap normal ..3 Epoch", "gap low ..3 Epoch"];
    let said = script.said();
    assert_eq!(said[..4], gaps);
    assert_eq!(said[4..], ["event 4 for [0]"]);
}

#[test]
fn equal_subscriptions_share_one_and_the_last_to_go_ends_it() {
    let mut script = Script::new();
    let filtered = |filter| Subscribe { filter: Some(filter), ..wanted(&["content.*", "user.*"]) };
    let a = script.client.subscribe(&filtered(json!({"n": 1, "tags": ["a", "b"]}))).unwrap();
    let mut same = filtered(json!({"tags": ["a", "b"], "n": 1.0}));
    same.events = wanted(&["user.*", "content.*", "user.*"]).events;
    let b = script.client.subscribe(&same).unwrap();
    script.open();
    assert_eq!(script.said(), ["open", "send subscribe"]);
    script.message(&json!({"type": "subscribed", "id": "s0", "offset": 0}));
    let c = script.client.subscribe(&same).unwrap();
    script.message(&event(1));
    script.message(&event(2));
    assert_eq!(script.said(), ["0 from 0", "1 from 0", "2 from 0", "event 1 for [0, 1, 2]"]);

    script.client.unsubscribe(a);
    script.client.unsubscribe(c);
    assert_eq!(script.said(), [""; 0]);
    script.client.unsubscribe(b);
    assert_eq!(script.sent(), [json!({"type": "unsubscribe", "id": "s0"})]);
}

#[test]
fn what_was_never_sent_is_taken_back_in_silence() {
    let mut script = Script::new();
    script.open();
    script.outputs();
    for _ in 0..1000 {
        let id = script.client.subscribe(&wanted(&["*"])).unwrap();
        script.client.unsubscribe(id);
    }
    assert_eq!(script.said(), [""; 0]);
}

#[test]
fn one_that_wants_recent_events_gets_them_and_then_shares() {
    let (mut script, _) = Script::subscribed();
    let recent = Subscribe { recent: 1, ..wanted(&["content.*"]) };
    script.client.subscribe(&recent).unwrap();
    let sent = script.sent();
    assert_eq!(sent[0], json!({"type": "subscribe", "id": "s1", "events": ["content.*"], "recent": 1}));
    let one = |number| json!({"offset": number, "event": {"type": "content.updated"}});
    script.message(&json!({"type": "subscribed", "id": "s1", "offset": 12, "recent": [one(11), one(12)]}));
    script.message(&event(12));
    script.message(&event(13));
    let wanted = ["1 from 12", "recent [12]", "event 12 for [0]", "event 13 for [0, 1]", "send unsubscribe"];
    assert_eq!(script.said(), wanted);
}

#[test]
fn what_the_server_cannot_serve_at_the_moment_is_asked_again_and_a_refusal_is_not() {
    let mut script = Script::new();
    script.client.subscribe(&wanted(&["content.*"])).unwrap();
    script.client.publish(json!({"type": "content.updated", "data": {}})).unwrap();
    script.open();
    script.outputs();
    let error = |id: &str, code: &str| json!({"type": "error", "id": id, "code": code, "message": "m"});
    script.message(&error("s0", "unavailable"));
    script.message(&error("p0", "rate_limited"));
    script.pass(999);
    assert_eq!(script.said(), [""; 0]);
    script.pass(1001);
    assert_eq!(script.said(), ["send subscribe", "send publish"]);
    script.message(&error("s0", "forbidden"));
    script.message(&error("p0", "invalid_event"));
    script.pass(10_000);
    let said = script.said();
    assert_eq!(said[0], "Subscription(SubscriptionId(0)): forbidden: m");
    assert_eq!(said[1], "Publish(PublishId(0)): invalid_event: m");
    assert_eq!(said.len(), 2);
}

#[test]
fn a_server_that_cannot_keep_up_gets_one_publish_at_a_time() {
    let mut script = Script::with(ClientConfig { publishes_in_flight: 2, ..ClientConfig::default() });
    script.open();
    script.outputs();
    for _ in 0..3 {
        script.client.publish(json!({"type": "a.b"})).unwrap();
    }
    assert_eq!(script.said(), ["send publish", "send publish"]);

    script.message(&json!({"type": "error", "id": "p0", "code": "rate_limited", "message": "m"}));
    assert_eq!(script.said(), [""; 0]);
    script.pass(2000);
    assert_eq!(script.said(), [""; 0], "another is under way");

    let published =
        |id: &str| json!({"type": "published", "id": id, "eventId": "x", "offset": 7, "duplicate": false});
    script.message(&published("p1"));
    assert_eq!(script.said(), ["published 1 at 7 false", "send publish"]);
    script.message(&published("p0"));
    assert_eq!(script.said(), ["published 0 at 7 false", "send publish"]);
}

#[test]
fn a_publish_is_repeated_with_the_same_event_id_until_it_is_answered() {
    for event in [json!({"type": "content.updated", "data": {}}), json!({"type": "a.b", "id": null})] {
        let mut script = Script::new();
        script.client.publish(event).unwrap();
        script.open();
        let first = script.sent();
        assert!(first[0]["event"]["id"].is_string());
        script.reopen();
        assert_eq!(script.sent(), first);
        script.message(
            &json!({"type": "published", "id": "p0", "eventId": "x", "offset": 7, "duplicate": true}),
        );
        assert_eq!(script.said(), ["published 0 at 7 true"]);
        script.reopen();
        assert_eq!(script.sent(), [] as [Value; 0]);
    }
}

#[test]
fn publishes_in_flight_are_bounded_and_keep_their_order() {
    let mut script = Script::with(ClientConfig { publishes_in_flight: 2, ..ClientConfig::default() });
    for _ in 0..3 {
        script.client.publish(json!({"type": "a.b"})).unwrap();
    }
    script.open();
    let ids = |sent: Vec<Value>| sent.iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(script.sent()), ["p0", "p1"]);
    script.message(&json!({"type": "published", "id": "p0", "eventId": "x", "offset": 7}));
    assert_eq!(ids(script.sent()), ["p2"]);
}

#[test]
fn what_the_application_wants_at_once_is_sent_no_faster_than_the_server_takes_it() {
    let mut script = Script::new();
    script.open();
    for _ in 0..256 {
        script.client.publish(json!({"type": "a.b"})).unwrap();
    }
    let mut sent = Vec::new();
    for _ in 0..200 {
        for message in script.sent() {
            sent.push(script.millis);
            let answer = json!({"type": "published", "id": message["id"], "eventId": "x", "offset": 7});
            script.message(&answer);
        }
        if script.client.poll_timeout().is_some_and(|due| due.as_micros() <= script.millis * 1000 + 10_000) {
            script.pass(10);
        }
    }
    assert_eq!(sent.len(), 256);
    assert_eq!(sent.iter().filter(|at| **at == sent[0]).count(), 100, "a hundred at once");
    let (last, first) = (sent[255], sent[0]);
    assert!((1500..=1600).contains(&(last - first)), "and then a hundred a second: {} ms", last - first);
    script.pass(10);
    assert!(script.client.poll_timeout().is_some_and(|due| due.as_micros() > script.millis * 1000 + 1000));
}

#[test]
fn bounds_are_errors_of_the_caller() {
    let config =
        ClientConfig { subscriptions_max: 1, handles_max: 2, publishes_max: 1, ..Default::default() };
    let mut client = Client::new(config, [5; 32], Now::default());
    client.subscribe(&wanted(&["a.b"])).unwrap();
    assert_eq!(client.subscribe(&wanted(&["a.c"])), Err(SubscribeError::TooMany));
    client.subscribe(&wanted(&["a.b"])).unwrap();
    assert_eq!(client.subscribe(&wanted(&["a.b"])), Err(SubscribeError::TooMany));
    assert_eq!(client.subscribe(&wanted(&[])), Err(SubscribeError::NoEvents));
    let greedy = Subscribe { recent: 201, ..wanted(&["a.b"]) };
    assert_eq!(client.subscribe(&greedy), Err(SubscribeError::Recent));
    client.publish(json!({})).unwrap();
    assert_eq!(client.publish(json!({})), Err(PublishError::TooMany));
    assert_eq!(client.publish(json!([])), Err(PublishError::NotAnObject));
}

#[test]
fn what_the_server_would_close_on_is_an_error_of_the_caller() {
    let mut client = Client::new(ClientConfig::default(), [5; 32], Now::default());
    let event = |bytes: usize| json!({"id": "e", "type": "a.b", "data": {"text": "x".repeat(bytes)}});
    client.publish(event(65_000)).unwrap();
    assert_eq!(client.publish(event(65_536)), Err(PublishError::TooLarge { max: 65_536 }));
    let names = |count: usize| (0..count).map(|name| format!("a.n{name}")).collect::<Vec<_>>();
    let patterns = |count| wanted(&names(count).iter().map(String::as_str).collect::<Vec<_>>());
    client.subscribe(&patterns(64)).unwrap();
    assert_eq!(client.subscribe(&patterns(65)), Err(SubscribeError::TooManyPatterns { max: 64 }));
}

#[test]
fn a_flapping_application_cannot_pile_up_requests() {
    let mut script = Script::with(ClientConfig { messages_burst: 10_000, ..ClientConfig::default() });
    script.open();
    let mut refused = 0;
    for _ in 0..1000 {
        match script.client.subscribe(&wanted(&["a.b"])) {
            Ok(id) => {
                script.outputs();
                script.client.unsubscribe(id);
                script.outputs();
            }
            Err(error) => {
                assert_eq!(error, SubscribeError::TooMany);
                refused += 1;
            }
        }
    }
    assert!(700 < refused, "{refused}");
}

#[test]
fn an_application_that_does_not_poll_costs_a_reconnection_and_no_event() {
    let (mut script, _) = Script::subscribed();
    script.client.config.outputs_max = 3;
    for number in 11..20 {
        script.message(&event(number));
    }
    let said = script.said();
    assert_eq!(said[..4], ["close 1000", "event 11 for [0]", "event 12 for [0]", "event 13 for [0]"]);
    assert!(said[4].contains("does not keep up"), "{said:?}");
    assert_eq!(script.client.position().unwrap().lanes[Priority::Normal], offset(13));
}

#[test]
fn what_is_against_the_protocol_is_an_error_and_a_reconnection() {
    let bad = [
        "",
        "{",
        "[]",
        "null",
        "\"event\"",
        "{}",
        r#"{"type":1}"#,
        r#"{"type":"event"}"#,
        r#"{"type":"event","offset":-1,"lane":"normal","event":{}}"#,
        r#"{"type":"event","offset":9007199254740992,"lane":"normal","event":{"type":"a.b"}}"#,
        r#"{"type":"event","offset":50,"lane":"slow","event":{"type":"a.b"}}"#,
        r#"{"type":"event","offset":50,"lane":"low","event":[]}"#,
        r#"{"type":"event","offset":50,"lane":"low","event":{"type":null}}"#,
        r#"{"type":"heartbeat","lanes":{"critical":1}}"#,
        r#"{"type":"welcome"}"#,
        r#"{"type":"gap","lane":"low"}"#,
        r#"{"type":"subscribed"}"#,
        r#"{"type":"resumed"}"#,
        r#"{"type":"resumed","recovered":true,"position":{"epoch":"e1","lanes":{"critical":1,"high":1,"normal":1,"low":1}},"subscriptions":[]}"#,
        r#"{"type":"authenticated","expiresAt":"soon"}"#,
        r#"{"type":"published","id":"p0"}"#,
        r#"{"type":"reconnect","after":-5}"#,
        r#"{"type":"error","id":7}"#,
    ];
    for text in bad {
        let (mut script, _) = Script::subscribed();
        script.handle(ClientInput::Message(text));
        let said = script.said();
        assert_eq!(said[0], "close 4400", "{text}");
        assert!(said[1].contains("against the protocol"), "{text}: {said:?}");
        assert_eq!(script.client.state(), ClientState::Waiting, "{text}");
        assert_eq!(script.client.position(), Some(&position("e1", 10)), "{text}");
    }
}

#[test]
fn what_it_does_not_know_is_ignored() {
    let (mut script, _) = Script::subscribed();
    script.message(&json!({"type": "novelty", "x": 1}));
    script.message(&json!({"type": "unsubscribed", "id": "s9"}));
    script.message(&json!({"type": "subscribed", "id": "s9", "offset": 1}));
    script.message(&json!({"type": "published", "id": "p9", "eventId": "x", "offset": 7}));
    script.message(&json!({"type": "authenticated"}));
    assert_eq!(script.said(), [""; 0]);
    assert_eq!(script.client.state(), ClientState::Open);
}

#[test]
fn stopping_ends_what_waits_and_a_later_start_resumes() {
    let (mut script, _) = Script::subscribed();
    script.client.publish(json!({"type": "a.b"})).unwrap();
    script.handle(ClientInput::Stop);
    let stopped = "Publish(PublishId(0)): the client was stopped";
    assert_eq!(script.said(), ["close 1000", stopped, "closed"]);
    assert_eq!(script.client.poll_timeout(), None);

    script.handle(ClientInput::Start);
    assert_eq!(script.said(), ["connecting", "open t1"]);
    script.greet();
    assert_eq!(script.said(), ["open", "send resume"]);
}

#[test]
fn a_connection_that_hangs_before_welcome_or_resumed_is_given_up() {
    let mut script = Script::new();
    script.start();
    script.pass(15_000);
    assert_eq!(script.said()[0], "close 1000");

    let (mut script, _) = Script::subscribed();
    script.reopen();
    script.outputs();
    for _ in 0..6 {
        script.pass(10_000);
        script.handle(ClientInput::Received);
    }
    assert_eq!(script.said()[0], "close 4408");
}

#[test]
fn no_log_shows_a_token() {
    let mut script = Script::new();
    script.open();
    script.handle(token("secret"));
    let shown = format!("{:?} {:?} {:?}", script.outputs(), token("secret"), script.client);
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_failed_publish_window_is_free_again_after_a_reconnection() {
    let mut script = Script::with(ClientConfig {
        publishes_in_flight: 1,
        retry_delay: Duration::from_secs(5),
        ..ClientConfig::default()
    });
    script.client.publish(json!({"type": "a.b"})).unwrap();
    script.open();
    assert_eq!(script.sent().len(), 1);
    script.message(&json!({"type": "error", "id": "p0", "code": "unavailable", "message": ""}));
    script.reopen();
    assert_eq!(script.sent().len(), 1);
}

#[test]
fn when_the_last_subscription_has_ended_the_next_begins_the_position() {
    let (mut script, id) = Script::subscribed();
    script.client.unsubscribe(id);
    script.client.subscribe(&wanted(&["user.login"])).unwrap();
    script.outputs();
    script.message(&json!({"type": "subscribed", "id": "s1", "offset": 500}));
    assert_eq!(script.client.position(), Some(&position("e1", 500)));
}

#[test]
fn a_position_that_nothing_needs_is_not_taken_into_another_epoch() {
    let (mut script, id) = Script::subscribed();
    script.closed(1012);
    script.client.unsubscribe(id);
    script.client.subscribe(&wanted(&["user.login"])).unwrap();
    script.pass(30_000);
    script.outputs();
    script.handle(ClientInput::Connected);
    let mut anew = welcome();
    anew["epoch"] = "e2".into();
    script.message(&anew);
    assert_eq!(script.said(), ["open", "send subscribe"]);
    script.message(&json!({"type": "subscribed", "id": "s1", "offset": 2}));
    assert_eq!(script.client.position(), Some(&position("e2", 2)));
}
