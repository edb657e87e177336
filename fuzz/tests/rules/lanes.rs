//! §5: order, priority, lag, conflation and gaps.

use serde_json::json;
use tidings_sim::{World, events};

use super::publish;

/// A world whose queues hold four events a lane.
fn short_queues() -> World {
    World::with(|config| config.limits.lane_queue = 4)
}

#[test]
fn a_critical_event_overtakes_everything_but_the_frame_begun() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    // given: the first of three events is begun
    publish(&world, 1..=3, events::low);
    client.socket().take(10);
    // when
    world.publish(&events::critical(9));
    client.socket().flow();
    // then
    assert_eq!(client.events(), [1, 9, 2, 3]);
}

#[test]
fn replies_go_before_events_that_wait() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    world.publish(&events::critical(1));
    client.send(json!({"type": "ping", "id": "a"}));
    client.send(json!({"type": "subscribe", "id": "t", "events": ["user.*"]}));
    client.socket().flow();
    assert_eq!(super::types(&super::heard(&client)), ["pong", "subscribed", "event"]);
}

#[test]
fn a_lane_that_overflows_is_refilled_without_loss_or_repeat() {
    let world = short_queues();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    publish(&world, 1..=50, events::normal);
    // when: it takes a little at a time, while more is published
    for n in 51..=60 {
        client.socket().take(700);
        world.publish(&events::normal(n));
    }
    client.socket().flow();
    // then
    assert_eq!(client.events(), (1..=60).collect::<Vec<_>>());
    assert!(client.read_type("gap").is_empty());
}

#[test]
fn while_critical_catches_up_nothing_else_goes_first() {
    let world = short_queues();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    publish(&world, 1..=20, events::high);
    publish(&world, 21..=40, events::critical);
    client.socket().flow();
    assert_eq!(client.events(), (21..=40).chain(1..=20).collect::<Vec<_>>());
}

#[test]
fn a_stalled_reader_queues_no_more_than_the_bound() {
    let world = short_queues();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    for n in 0..200 {
        for event in [events::critical, events::high, events::normal, events::low] {
            world.publish(&event(n));
        }
    }
    let stats = world.stats();
    assert_eq!((&stats["queued"], &stats["catchingUp"]), (&json!(16), &json!(4)));
}

#[test]
fn a_gap_names_exactly_what_history_has_lost() {
    // given: history of ten events a lane
    let world = World::with(|config| {
        config.limits.lane_queue = 4;
        config.history.events = 10;
    });
    let client = world.connect("ann");
    world.publish(&events::normal(1));
    client.subscribe("s", &["*"]);
    client.socket().stall();
    // when: 30 events for a reader that takes none
    publish(&world, 2..=31, events::normal);
    client.socket().flow();
    // then: offsets and numbers are the same here
    let gap = json!({"type": "gap", "lane": "normal", "after": 1, "until": 21, "reason": "expired"});
    let heard = super::heard(&client);
    assert_eq!(heard[0], gap);
    let rest: Vec<_> = heard[1..].iter().filter_map(|message| events::number(&message["event"])).collect();
    assert_eq!(rest, (22..=31).collect::<Vec<_>>());
}

#[test]
fn age_makes_a_gap_as_number_does() {
    let world = World::with(|config| config.history.age_ms = 10_000);
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    world.publish(&events::high(1));
    world.advance(5_000);
    world.publish(&events::high(2));
    world.advance(5_000);
    client.socket().flow();
    let gap = json!({"type": "gap", "lane": "high", "after": 0, "until": 1, "reason": "expired"});
    assert_eq!(client.read_type("gap"), [gap]);
    assert_eq!(client.events(), [2]);
}

#[test]
fn what_was_queued_is_sent_though_history_has_lost_what_nobody_wanted() {
    let world = World::with(|config| config.history.events = 5);
    let client = world.connect("ann");
    client.send(json!({"type": "subscribe", "id": "s", "events": ["*"], "filter": {"n": 11}}));
    client.socket().stall();
    publish(&world, 1..=12, events::normal);
    client.socket().flow();
    assert_eq!(client.events(), [11]);
    assert!(client.read_type("gap").is_empty());
}

#[test]
fn a_lagging_reader_gets_the_newest_of_each_key_and_no_gap() {
    let world = short_queues();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    for n in 1..=20 {
        world.publish(&events::health(if n % 2 == 0 { "api" } else { "web" }, n));
    }
    client.socket().flow();
    let got = client.events();
    assert!(got.len() < 10, "{got:?}");
    assert!(got.is_sorted() && got.ends_with(&[19, 20]), "{got:?}");
    assert!(client.read_type("gap").is_empty());
}

#[test]
fn a_reader_that_keeps_up_gets_every_event_of_a_key() {
    let world = short_queues();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    publish(&world, 1..=20, |n| events::health("api", n));
    assert_eq!(client.events(), (1..=20).collect::<Vec<_>>());
}

#[test]
fn conflation_counts_only_what_the_connection_would_have_received() {
    let world = short_queues();
    let client = world.connect("ann");
    let filter = json!({"n": [1, 3, 5, 7, 9, 11]});
    client.send(json!({"type": "subscribe", "id": "s", "events": ["*"], "filter": filter}));
    client.socket().stall();
    // given: of one key, every other event is not for this connection
    publish(&world, 1..=12, |n| events::health("api", n));
    client.socket().flow();
    assert_eq!(client.events().last(), Some(&11));
}

#[test]
fn high_normal_and_low_share_what_critical_leaves_by_weight() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    // given: a backlog of alike events in each lane
    for lane in ["low", "normal", "high"] {
        publish(&world, 0..150, |n| events::attribute(events::normal(n), "priority", lane));
    }
    client.socket().flow();
    // then: ten rounds of 8:4:1
    let heard = client.read_type("event");
    let share = |lane: &str| heard[..130].iter().filter(|message| message["lane"] == lane).count();
    let shares = ["high", "normal", "low"].map(share);
    assert!(shares[0].abs_diff(80) <= 2 && shares[1].abs_diff(40) <= 2, "{shares:?}");
    assert!(shares[2].abs_diff(10) <= 2, "{shares:?}");
    assert_eq!(heard.len(), 450);
}

#[test]
fn however_little_a_write_takes_the_same_arrives() {
    let world = short_queues();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    publish(&world, 1..=9, events::normal);
    publish(&world, 10..=12, events::critical);
    client.socket().limit_writes(1);
    client.socket().flow();
    assert_eq!(client.events(), (10..=12).chain(1..=9).collect::<Vec<_>>());
}
