//! §5: a client takes up where an earlier connection ended.

use serde_json::{Value, json};
use tidings_sim::{World, events};

use super::{publish, resume, since};

fn small_history(events: usize) -> World {
    World::with(|config| {
        config.history.events = events;
        config.limits.lane_queue = 4;
    })
}

#[test]
fn a_resume_replays_each_lane_from_its_own_position_and_goes_on_live() {
    let world = World::with(|config| config.limits.lane_queue = 4);
    publish(&world, 1..=10, events::normal);
    publish(&world, 11..=20, events::low);
    let client = world.connect("ann");
    // when: it has all of `normal` up to 4 and all of `low` up to 18
    let reply = resume(&client, &since(&world, 20, 20, 4, 18));
    world.publish(&events::high(21));
    // then
    assert_eq!(reply["recovered"], true);
    assert_eq!(reply["position"], since(&world, 20, 20, 4, 18));
    let mut got = client.events();
    got.sort_unstable();
    assert_eq!(got, [5, 6, 7, 8, 9, 10, 19, 20, 21]);
}

#[test]
fn a_resume_that_breaks_in_the_middle_is_taken_up_from_what_arrived() {
    let world = World::with(|config| config.limits.lane_queue = 4);
    publish(&world, 1..=100, events::normal);
    let mut got = Vec::new();
    let mut last = 0;
    // when: connection after connection breaks after a few events, while more is published
    for round in 0..10 {
        let client = world.connect("ann");
        client.socket().stall();
        resume(&client, &since(&world, last, last, last, last));
        client.socket().take(2_000);
        world.publish(&events::normal(101 + round));
        client.socket().reset();
        let arrived = client.events();
        last = arrived.last().copied().unwrap_or(last);
        got.extend(arrived);
    }
    let client = world.connect("ann");
    resume(&client, &since(&world, last, last, last, last));
    got.extend(client.events());
    // then
    assert_eq!(got, (1..=110).collect::<Vec<_>>());
}

#[test]
fn what_is_appended_during_a_long_replay_follows_it_once() {
    let world = World::with(|config| config.limits.lane_queue = 4);
    publish(&world, 1..=50, events::normal);
    let client = world.connect("ann");
    client.socket().stall();
    resume(&client, &since(&world, 0, 0, 0, 0));
    for n in 51..=80 {
        client.socket().take(300);
        world.publish(&events::normal(n));
    }
    client.socket().flow();
    assert_eq!(client.events(), (1..=80).collect::<Vec<_>>());
}

#[test]
fn only_a_lane_that_history_does_not_cover_has_a_gap() {
    // given: `normal` has lost 1 to 5, `high` nothing
    let world = small_history(5);
    publish(&world, 1..=10, events::normal);
    publish(&world, 11..=12, events::high);
    // when
    let client = world.connect("ann");
    let reply = resume(&client, &since(&world, 0, 0, 2, 0));
    // then
    assert_eq!(reply["recovered"], false);
    let gap = json!({"type": "gap", "lane": "normal", "after": 2, "until": 5, "reason": "expired"});
    assert_eq!(client.read_type("gap"), [gap]);
    let mut got = client.events();
    got.sort_unstable();
    assert_eq!(got, (6..=12).collect::<Vec<_>>());
    // and: a position at the newest that was lost is covered
    let client = world.connect("bob");
    assert_eq!(resume(&client, &since(&world, 0, 0, 5, 0))["recovered"], true);
}

#[test]
fn history_that_is_lost_during_a_replay_is_a_second_gap() {
    let world = small_history(10);
    publish(&world, 1..=10, events::normal);
    let client = world.connect("ann");
    client.socket().stall();
    resume(&client, &since(&world, 0, 0, 0, 0));
    publish(&world, 11..=15, events::normal);
    client.socket().flow();
    let gap = json!({"type": "gap", "lane": "normal", "after": 0, "until": 5, "reason": "expired"});
    assert_eq!(client.read_type("gap"), [gap]);
    assert_eq!(client.events(), (6..=15).collect::<Vec<_>>());
}

#[test]
fn a_position_of_another_epoch_or_above_the_end_has_four_gaps_and_begins_at_the_end() {
    let world = World::new();
    publish(&world, 1..=3, events::normal);
    let mut other = since(&world, 1, 1, 1, 1);
    other["epoch"] = "another".into();
    for since in [other, since(&world, 1, 1, 1, 4)] {
        let client = world.connect("ann");
        let reply = resume(&client, &since);
        assert_eq!(reply["recovered"], false);
        assert_eq!(reply["position"], super::since(&world, 3, 3, 3, 3));
        assert_eq!(reply["subscriptions"], json!([{"id": "s", "offset": 3}]));
        let gaps = client.read_type("gap");
        let lanes: Vec<&Value> = gaps.iter().map(|gap| &gap["lane"]).collect();
        assert_eq!(lanes, ["critical", "high", "normal", "low"]);
        assert!(gaps.iter().all(|gap| gap["reason"] == "epoch" && gap["until"] == 3));
        assert!(gaps.iter().all(|gap| gap.get("after").is_none()));
        assert!(client.events().is_empty());
    }
}

#[test]
fn a_subscription_sees_nothing_from_before_its_own_beginning() {
    let world = World::new();
    publish(&world, 1..=6, events::normal);
    let client = world.connect("ann");
    let subscriptions = json!([
        {"id": "old", "from": 0, "events": ["*"], "filter": {"n": [1, 2]}},
        {"id": "young", "from": 4, "events": ["*"]},
    ]);
    let since = since(&world, 0, 0, 0, 0);
    client.ask(json!({"type": "resume", "since": since, "subscriptions": subscriptions}));
    assert_eq!(client.events(), [1, 2, 5, 6]);
}

#[test]
fn a_heartbeat_in_a_replay_says_only_what_was_sent() {
    let world = World::with(|config| config.limits.lane_queue = 4);
    publish(&world, 1..=30, events::normal);
    let client = world.connect("ann");
    resume(&client, &since(&world, 0, 0, 20, 0));
    let client = world.connect("bob");
    client.socket().stall();
    resume(&client, &since(&world, 0, 0, 20, 0));
    world.advance(30_000);
    client.socket().flow();
    let heard = client.read();
    assert_eq!(super::types(&heard)[..3], ["resumed", "heartbeat", "event"]);
    let lanes = &heard[1]["lanes"];
    assert_eq!(lanes["normal"], 20);
}

#[test]
fn resume_comes_before_the_first_subscribe_and_once() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    assert_eq!(resume(&client, &since(&world, 0, 0, 0, 0))["code"], "invalid_message");
    let client = world.connect("bob");
    assert_eq!(resume(&client, &since(&world, 0, 0, 0, 0))["type"], "resumed");
    assert_eq!(resume(&client, &since(&world, 0, 0, 0, 0))["code"], "invalid_message");
}

#[test]
fn conflation_of_a_replay_needs_no_gap() {
    let world = World::with(|config| config.limits.lane_queue = 4);
    publish(&world, 1..=40, |n| events::health("api", n));
    let client = world.connect("ann");
    client.socket().stall();
    resume(&client, &since(&world, 0, 0, 0, 0));
    client.socket().flow();
    assert_eq!(client.events().last(), Some(&40));
    assert!(client.read_type("gap").is_empty());
}
