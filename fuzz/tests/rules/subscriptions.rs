//! §3: subscriptions begin, are replaced and end; `recent`.

use serde_json::{Value, json};
use tidings_sim::{Client, World, events};

use super::{post, publish};

fn numbers(recent: &Value) -> Vec<u64> {
    let entries = recent.as_array().map_or(&[][..], Vec::as_slice);
    entries.iter().filter_map(|entry| events::number(&entry["event"])).collect()
}

fn recent(client: &Client, count: u64) -> Value {
    client.ask(json!({"type": "subscribe", "id": "s", "events": ["*"], "recent": count}))
}

#[test]
fn what_is_queued_is_matched_by_the_new_definition_only() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["user.*"]);
    client.socket().stall();
    world.publish(&events::normal(1));
    world.publish(&events::high(2));
    // when
    client.send(json!({"type": "subscribe", "id": "s", "events": ["settings.*"]}));
    world.publish(&events::normal(3));
    world.publish(&events::high(4));
    client.socket().flow();
    // then: nothing queued for the old one comes, and what passed while it held is not revisited
    assert_eq!(client.events(), [4]);
}

#[test]
fn a_replaced_subscription_keeps_its_beginning() {
    let world = World::new();
    let client = world.connect("ann");
    world.publish(&events::normal(1));
    assert_eq!(client.subscribe("s", &["user.*"])["offset"], 1);
    world.publish(&events::normal(2));
    assert_eq!(client.subscribe("s", &["*"])["offset"], 1);
    let refused = recent(&client, 5);
    assert_eq!((&refused["code"], &refused["id"]), (&json!("invalid_message"), &json!("s")));
}

#[test]
fn what_conflation_left_out_is_matched_anew_when_the_subscription_is_replaced() {
    // given: of five events of a key only the newest waits
    let world = World::with(|config| config.limits.lane_queue = 4);
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    publish(&world, 1..=5, |n| events::health("api", n));
    // when: the new definition does not match the newest
    client.send(json!({"type": "subscribe", "id": "s", "events": ["*"], "filter": {"n": [1, 2]}}));
    client.socket().flow();
    // then
    assert_eq!(client.events(), [1, 2]);
}

#[test]
fn what_was_left_out_and_is_lost_since_is_a_gap_after_a_replacement() {
    let world = World::with(|config| {
        config.limits.lane_queue = 4;
        config.history.events = 5;
    });
    let client = world.connect("ann");
    client.subscribe("s", &["system.*"]);
    client.socket().stall();
    publish(&world, 1..=5, |n| events::health("api", n));
    publish(&world, 6..=8, events::low);
    client.send(json!({"type": "subscribe", "id": "s", "events": ["*"]}));
    client.socket().flow();
    // then: 1 to 3 are lost; 4 is conflated again
    let gap = json!({"type": "gap", "lane": "low", "after": 0, "until": 3, "reason": "expired"});
    assert_eq!(client.read_type("gap"), [gap]);
    assert_eq!(client.events(), [5, 6, 7, 8]);
}

#[test]
fn nothing_comes_of_a_subscription_that_ended_with_events_queued() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["user.*"]);
    client.subscribe("t", &["settings.*"]);
    client.socket().stall();
    world.publish(&events::normal(1));
    world.publish(&events::high(2));
    client.send(json!({"type": "unsubscribe", "id": "s"}));
    client.socket().flow();
    assert_eq!(client.events(), [2]);
}

#[test]
fn an_event_comes_once_however_many_subscriptions_match() {
    let world = World::with(|config| config.limits.lane_queue = 4);
    let client = world.connect("ann");
    for id in ["s", "t", "u"] {
        client.subscribe(id, &["*"]);
    }
    client.socket().stall();
    publish(&world, 1..=9, events::normal);
    client.socket().flow();
    assert_eq!(client.events(), (1..=9).collect::<Vec<_>>());
}

#[test]
fn a_younger_subscription_does_not_see_what_came_before_it() {
    // given: an older subscription of the connection that lags
    let world = World::with(|config| config.limits.lane_queue = 4);
    let client = world.connect("ann");
    client.send(json!({"type": "subscribe", "id": "s", "events": ["*"], "filter": {"n": [1, 9]}}));
    client.socket().stall();
    publish(&world, 1..=20, events::normal);
    client.send(json!({"type": "subscribe", "id": "t", "events": ["*"]}));
    publish(&world, 21..=22, events::normal);
    client.socket().flow();
    assert_eq!(client.events(), [1, 9, 21, 22]);
}

#[test]
fn recent_gives_the_newest_that_match_oldest_first_and_never_conflated() {
    let world = World::new();
    let client = world.connect("ann");
    publish(&world, 1..=5, |n| events::health("api", n));
    publish(&world, 6..=7, events::critical);
    let reply = recent(&client, 4);
    assert_eq!(numbers(&reply["recent"]), [4, 5, 6, 7]);
    assert_eq!((&reply["offset"], &reply["truncated"]), (&json!(7), &Value::Null));
    // and: live delivery begins right after
    world.publish(&events::low(8));
    assert_eq!(client.events(), [8]);
}

#[test]
fn recent_says_where_its_bytes_cut_it() {
    let world = World::with(|config| config.limits.recent_bytes = 1_200);
    let client = world.connect("ann");
    publish(&world, 1..=9, |n| events::with(events::normal(n), "email", "x".repeat(300)));
    let reply = recent(&client, 5);
    assert_eq!(numbers(&reply["recent"]), [8, 9]);
    assert_eq!(reply["truncated"], true);
}

#[test]
fn recent_moves_no_position() {
    // given: a lane that lags
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("old", &["*"]);
    client.socket().stall();
    publish(&world, 1..=3, events::normal);
    // when
    client.send(json!({"type": "subscribe", "id": "s", "events": ["*"], "recent": 2}));
    client.socket().flow();
    // then: what was owed still comes
    let reply = client.read_type("subscribed").remove(0);
    assert_eq!(numbers(&reply["recent"]), [2, 3]);
    assert_eq!(client.events(), [1, 2, 3]);
}

#[test]
fn a_search_for_recent_over_several_turns_loses_and_repeats_nothing() {
    // given: more history than one step looks at, and nothing in it that matches
    let world = World::new();
    let client = world.connect("ann");
    let batch: Vec<Value> = (1..=1_000).map(events::low).collect();
    for _ in 0..5 {
        post(&world, "publisher", &json!(batch));
    }
    // when: events are appended between the steps of the search
    let published: Vec<Value> = (1..=20).map(events::normal).collect();
    world.together(|| {
        client.send(json!({"type": "subscribe", "id": "s", "events": ["user.*"], "recent": 200}));
        post(&world, "publisher", &json!(published));
    });
    // then
    let reply = client.read_type("subscribed").remove(0);
    let mut all = numbers(&reply["recent"]);
    assert!(!all.is_empty() && all.len() < 20, "the search ended among the appends: {all:?}");
    all.extend(client.events());
    assert_eq!(all, (1..=20).collect::<Vec<_>>());
}
