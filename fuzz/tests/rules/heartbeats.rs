//! §5: heartbeats, and who is closed with 4408.

use serde_json::json;
use tidings_sim::{Client, World, events};

use super::publish;

/// A client that answers no Ping, and that takes nothing of `events` events that wait for it.
fn silent_with_backlog(world: &World, events: u64) -> Client {
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.fall_silent();
    client.socket().stall();
    publish(world, 1..=events, events::normal);
    client
}

#[test]
fn ping_and_heartbeat_come_together_once_an_interval() {
    let world = World::new();
    let client = world.connect("ann");
    for beats in 1..=4 {
        world.advance(30_000);
        assert_eq!(client.pings(), beats);
        assert_eq!(client.read_type("heartbeat").len(), 1);
    }
}

#[test]
fn connections_that_began_together_do_not_beat_together() {
    let world = World::new();
    let clients: Vec<Client> = (0..60).map(|n| world.connect(&format!("u{n}"))).collect();
    let mut beaten = Vec::new();
    for _ in 0..3 {
        world.advance(10_000);
        beaten.push(clients.iter().filter(|client| 0 < client.pings()).count());
    }
    let [first, second, third] = beaten[..] else { panic!("three looks") };
    assert!((8..=32).contains(&first) && (25..=55).contains(&second), "{beaten:?}");
    assert_eq!(third, 60);
}

#[test]
fn a_heartbeat_says_per_lane_what_has_been_sent() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["user.*"]);
    // Nothing that waits matches in the other lanes: they are at the log's end.
    client.socket().stall();
    world.publish(&events::high(1));
    world.publish(&events::normal(2));
    world.publish(&events::critical(3));
    world.advance(30_000);
    client.socket().flow();
    let heard = client.read();
    assert_eq!(heard[1]["lanes"], json!({"critical": 3, "high": 3, "normal": 1, "low": 3}));
    assert_eq!(super::types(&heard)[1..], ["heartbeat", "event"]);
    world.advance(30_000);
    let lanes = &client.read_type("heartbeat")[0]["lanes"];
    assert_eq!(*lanes, json!({"critical": 3, "high": 3, "normal": 3, "low": 3}));
}

#[test]
fn a_silent_client_is_closed_after_the_timeout_to_the_tick() {
    // Wherever in the interval its heartbeats fall.
    let world = World::new();
    let clients: Vec<Client> = (0..40).map(|n| world.connect(&format!("u{n}"))).collect();
    clients.iter().for_each(Client::fall_silent);
    world.advance(59_999);
    assert!(clients.iter().all(|client| client.closed().is_none()));
    world.advance(51);
    let closed: Vec<_> = clients.iter().filter_map(Client::closed).collect();
    assert_eq!(closed, [4408; 40]);
}

#[test]
fn events_that_a_silent_client_has_taken_do_not_keep_it() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.fall_silent();
    for n in 0..6 {
        world.advance(9_999);
        world.publish(&events::normal(n));
    }
    assert_eq!(client.closed(), None);
    world.advance(60);
    assert_eq!(client.closed(), Some(4408));
}

#[test]
fn a_silent_client_is_kept_while_it_takes_its_backlog_and_closed_once_it_stops() {
    let world = World::new();
    let client = silent_with_backlog(&world, 200);
    for _ in 0..10 {
        world.advance(50_000);
        client.socket().take(100);
        assert_eq!(client.closed(), None);
    }
    // when: it takes nothing more
    let sessions = || world.stats()["totalConnections"].clone();
    world.advance(59_999);
    assert_eq!(sessions(), 1);
    world.advance(51);
    assert_eq!(sessions(), 0);
}

#[test]
fn a_silent_client_is_closed_once_the_last_bytes_of_its_backlog_are_as_long_ago() {
    // Wherever in the interval its heartbeats fall.
    let world = World::new();
    let clients: Vec<Client> = (0..20).map(|_| silent_with_backlog(&world, 200)).collect();
    world.advance(50_000);
    clients.iter().for_each(|client| client.socket().take(100));
    world.advance(50_000);
    assert!(clients.iter().all(|client| client.closed().is_none()));
    // when: all of it is taken, long after the last byte came
    clients.iter().for_each(|client| client.socket().flow());
    world.advance(59_999);
    assert!(clients.iter().all(|client| client.closed().is_none()), "taking it was a sign of life");
    world.advance(51);
    // then
    let closed: Vec<_> = clients.iter().filter_map(Client::closed).collect();
    assert_eq!(closed, [4408; 20]);
}

#[test]
fn a_client_that_says_something_as_it_takes_the_rest_of_its_backlog_stays() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    publish(&world, 1..=200, events::normal);
    world.advance(50_000);
    client.socket().take(100);
    world.advance(50_000);
    // when: with the rest it takes a Ping, and answers it
    client.socket().flow();
    world.advance(120_000);
    // then
    assert_eq!((client.closed(), client.events().len()), (None, 200));
}

#[test]
fn a_backlog_of_which_nothing_is_taken_keeps_nobody() {
    let world = World::new();
    let client = silent_with_backlog(&world, 200);
    world.advance(59_999);
    assert_eq!(world.stats()["totalConnections"], 1);
    world.advance(51);
    assert_eq!(world.stats()["totalConnections"], 0);
    // and: the socket goes, though it never took the Close frame
    world.advance(3_000);
    assert!(client.socket().is_closed());
}

#[test]
fn a_client_that_answers_pings_stays() {
    let world = World::new();
    let client = world.connect_as(&json!({"exp": null, "sub": "ann"}));
    world.advance(3_500_000);
    assert_eq!(client.closed(), Some(4401), "`exp` is required");
    let client = world.connect("ann");
    world.advance(3_500_000);
    assert_eq!(client.closed(), None);
}

#[test]
fn a_wall_clock_that_jumps_does_not_move_heartbeats() {
    let world = World::new();
    let client = world.connect("ann");
    world.jump_wall_clock(-86_400_000);
    world.advance(30_000);
    assert_eq!((client.pings(), client.closed()), (1, None));
}
