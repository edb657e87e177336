//! §7: limits and what going over them costs.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use tidings_sim::{Client, World, events, request};

use super::publish;

fn codes(client: &Client) -> Vec<String> {
    client.read_type("error").iter().filter_map(|error| Some(error["code"].as_str()?.to_owned())).collect()
}

#[test]
fn a_burst_is_served_and_ten_messages_over_the_rate_close_with_4429() {
    let world = World::new();
    let client = world.connect("ann");
    (0..200).for_each(|_| client.send(json!({"type": "ping"})));
    assert_eq!(client.read_type("pong").len(), 200);
    (0..9).for_each(|n| client.send(json!({"type": "ping", "id": format!("p{n}")})));
    let errors = client.read_type("error");
    assert_eq!(errors.len(), 9);
    assert_eq!((&errors[8]["code"], &errors[8]["id"]), (&json!("rate_limited"), &json!("p8")));
    assert_eq!(client.closed(), None);
    client.send(json!({"type": "ping"}));
    assert_eq!(client.closed(), Some(4429));
}

#[test]
fn a_rate_that_is_kept_to_again_is_forgiven() {
    let world = World::new();
    let client = world.connect("ann");
    (0..209).for_each(|_| client.send(json!({"type": "ping"})));
    assert_eq!(codes(&client).len(), 9);
    // when: ten seconds later the nine errors no longer count, and the bucket is full
    world.advance(10_000);
    (0..209).for_each(|_| client.send(json!({"type": "ping"})));
    assert_eq!((codes(&client).len(), client.closed()), (9, None));
}

#[test]
fn the_tenth_fault_within_a_minute_closes_with_4400() {
    let world = World::new();
    let client = world.connect("ann");
    for text in ["{", "{}", r#"{"type":"no"}"#] {
        (0..3).for_each(|_| client.send_text(text));
    }
    // Errors that are no fault of the form do not count.
    (0..20).for_each(|_| client.send(json!({"type": "unsubscribe", "id": "none"})));
    assert_eq!((codes(&client).len(), client.closed()), (29, None));
    // when: the ninth leaves the minute, nine more are let pass
    world.advance(60_000);
    (0..9).for_each(|_| client.send_text("{"));
    assert_eq!(client.closed(), None);
    client.send_text("{");
    assert_eq!(client.closed(), Some(4400));
}

#[test]
fn the_longest_silent_connection_of_a_user_makes_room() {
    let world = World::with(|config| config.limits.connections_per_user = 2);
    let (first, second) = (world.connect("ann"), world.connect("ann"));
    let other = world.connect("bob");
    world.advance(1_000);
    first.send(json!({"type": "ping"}));
    // when
    let third = world.connect("ann");
    // then
    let closed = [&first, &second, &third, &other].map(Client::closed);
    assert_eq!(closed, [None, Some(4429), None, None]);
}

#[test]
fn a_reader_that_takes_nothing_is_read_from_no_further_than_its_replies_have_room() {
    let world = World::with(|config| {
        config.limits.unsent_bytes = 10_000;
        config.limits.messages_burst = 1_000_000;
    });
    let client = world.connect("ann");
    client.socket().stall();
    (0..2_000).for_each(|_| client.send(json!({"type": "ping", "id": "x".repeat(60)})));
    client.socket().flow();
    assert!(client.socket().outbox_max() < 11_000, "{}", client.socket().outbox_max());
    assert_eq!(client.read_type("pong").len(), 2_000);
}

#[test]
fn over_the_limit_of_the_server_a_connection_is_told_503() {
    let world = World::with(|config| config.limits.connections = 2);
    let _two = [world.connect("ann"), world.connect("bob")];
    let response = world.http(&request("GET", "/healthz", &[], b""));
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
}

#[test]
fn subscriptions_are_bounded_by_number_and_bytes() {
    let world = World::with(|config| config.limits.subscriptions_bytes = 600);
    let client = world.connect("ann");
    let filter: Value = json!({"email": "x".repeat(400)});
    let long = json!({"type": "subscribe", "id": "s", "events": ["*"], "filter": filter});
    assert_eq!(client.ask(long.clone())["type"], "subscribed");
    // A replacement takes the place of what it replaces.
    assert_eq!(client.ask(long)["type"], "subscribed");
    let other = json!({"type": "subscribe", "id": "t", "events": ["*"], "filter": filter});
    assert_eq!(client.ask(other)["code"], "too_many_subscriptions");
}

#[test]
fn what_went_over_the_wire_is_counted() {
    let world = World::with(|config| config.history.events = 2);
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    publish(&world, 1..=4, events::normal);
    client.socket().flow();
    let stats = world.stats();
    let count = |key: &str| stats[key].as_u64();
    assert_eq!((count("totalConnections"), count("activeSubscriptions")), (Some(1), Some(1)));
    assert_eq!((count("eventsPublished"), count("eventsDelivered")), (Some(4), Some(2)));
    assert_eq!((count("gaps"), count("queued"), count("catchingUp")), (Some(1), Some(0), Some(0)));
    client.close(1000);
    let stats = world.stats();
    assert_eq!((&stats["totalConnections"], &stats["activeSubscriptions"]), (&json!(0), &json!(0)));
}

#[test]
fn an_address_has_so_many_connections_that_have_not_said_who_they_are() {
    let world = World::with(|config| config.limits.unauthenticated_per_address = 2);
    // Those that have do not count.
    let _known = [world.connect("ann"), world.connect("bob"), world.connect("cleo")];
    let _silent = [world.open(), world.open()];
    assert_eq!(world.http(&request("GET", "/healthz", &[], b"")).status, 503);
    // and: another address is another matter
    let elsewhere = world.open_from(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));
    elsewhere.send(&request("GET", "/healthz", &[], b""));
    assert_eq!(super::answer(&elsewhere).unwrap().status, 200);
    // and: who says nothing makes room after the time for a handshake
    world.advance(10_100);
    assert_eq!(world.http(&request("GET", "/healthz", &[], b"")).status, 200);
}

#[test]
fn a_head_that_does_not_end_is_given_up_after_ten_seconds() {
    let world = World::new();
    let socket = world.open();
    socket.send(b"GET /healthz HTTP/1.1\r\nHost: sim\r\n");
    for _ in 0..9 {
        world.advance(1_000);
        socket.send(b"A: b\r\n");
    }
    assert!(!socket.is_finished());
    world.advance(1_100);
    assert_eq!(super::answer(&socket).unwrap().status, 408);
    assert!(socket.is_finished());
}
