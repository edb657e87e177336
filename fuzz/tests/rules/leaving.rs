//! §4, §7: an instance drains.

use std::time::Duration;

use serde_json::json;
use tidings_core::Input;
use tidings_sim::{Client, LogMode, World, events, request};

use super::{answer, post};

#[test]
fn a_draining_instance_tells_spreads_closes_and_then_says_so() {
    let world = World::new();
    let clients: Vec<Client> = (0..20).map(|n| world.connect(&format!("u{n}"))).collect();
    clients[0].subscribe("s", &["*"]);
    // when
    world.input(Input::Drain);
    // then: everyone is told a time of its own
    let mut after: Vec<u64> = clients
        .iter()
        .filter_map(|client| client.read_type("reconnect").first()?["after"].as_u64())
        .collect();
    assert_eq!(after.len(), 20);
    assert!(after.iter().all(|after| *after <= 5_000));
    after.sort_unstable();
    after.dedup();
    assert!(10 < after.len(), "{after:?}");
    // and: the connection stays good until it is closed
    world.publish(&events::normal(1));
    assert_eq!(clients[0].events(), [1]);
    assert!(clients.iter().all(|client| client.closed().is_none()));
    // and: each is closed with 1012, not all at one time, and only then nothing is left
    world.advance(7_500);
    let closed = clients.iter().filter(|client| client.closed() == Some(1012)).count();
    assert!((1..20).contains(&closed), "{closed} of 20");
    assert!(!world.is_drained());
    world.advance(7_500);
    assert!(clients.iter().all(|client| client.closed() == Some(1012)));
    assert!(world.is_drained());
}

#[test]
fn a_draining_instance_takes_nobody_new_and_is_not_ready() {
    let world = World::new();
    let client = world.connect("ann");
    world.input(Input::Drain);
    let late = world.connect("bob");
    assert!(late.refused().is_some());
    assert_eq!(world.http(&request("GET", "/readyz", &[], b"")).status, 503);
    assert_eq!(world.http(&request("GET", "/healthz", &[], b"")).status, 200);
    assert_eq!(world.stream(&json!({}), "events=*", None).status(), Some(503));
    assert_eq!(client.closed(), None);
}

#[test]
fn a_request_under_way_is_answered_and_then_its_connection_holds_up_nothing() {
    let world = World::new();
    world.set_log(LogMode::Takes(Duration::from_secs(1)));
    let socket = post(&world, "ann", &events::normal(1));
    world.input(Input::Drain);
    assert!(!world.is_drained());
    // when
    world.advance(1_000);
    // then
    let response = answer(&socket).expect("the publish is answered");
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    socket.end();
    assert!(world.is_drained());
}

#[test]
fn a_request_that_has_begun_is_answered_and_a_connection_without_one_is_closed() {
    let world = World::new();
    let (begun, idle) = (world.open(), world.open());
    begun.send(b"GET /v1/schema HTTP/1.1\r\n");
    world.input(Input::Drain);
    assert!(idle.is_closed());
    // when
    begun.send(b"Host: sim\r\n\r\n");
    // then
    let response = answer(&begun).expect("the request is answered");
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
}

#[test]
fn an_idle_instance_is_drained_at_once() {
    let world = World::new();
    world.input(Input::Drain);
    assert!(world.is_drained());
}

#[test]
fn a_peer_that_takes_nothing_holds_up_draining_no_longer_than_the_deadline() {
    let world = World::new();
    let client = world.connect("ann");
    client.socket().stall();
    world.input(Input::Drain);
    world.advance(17_100);
    assert!(world.is_drained());
}

#[test]
fn a_stopping_instance_says_1001() {
    let world = World::new();
    let client = world.connect("ann");
    let stream = world.stream(&json!({}), "events=*", None);
    world.input(Input::Stop);
    assert_eq!((client.closed(), stream.is_ended()), (Some(1001), true));
}
