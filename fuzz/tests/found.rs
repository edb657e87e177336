//! What the simulator has found, each as the shortest story that shows it.

use std::time::Duration;

use serde_json::json;
use tidings_core::wire::client::text_into;
use tidings_core::{ConnId, Input};
use tidings_sim::{LogMode, World, events, request};

/// Seed 6: a heartbeat waits for a moment, and for that moment its connection had a backlog, so that the look
/// at its silence was put off to the next heartbeat.
#[test]
fn a_peer_that_is_silent_while_heartbeats_are_taken_is_closed_in_time() {
    let world = World::with(|config| {
        (config.heartbeat.interval_ms, config.heartbeat.timeout_ms) = (5_000, 11_000);
    });
    let client = world.connect("ann");
    client.fall_silent();

    world.advance(11_100);

    assert_eq!(client.closed(), Some(4408));
}

/// Found by reading after seed 6: the deadline of a response that is taken gave way to none that comes sooner.
#[test]
fn an_idle_connection_is_closed_in_time_where_responses_have_longer() {
    let world = World::with(|config| {
        (config.http.idle_ms, config.http.response_ms) = (2_000, 30_000);
    });
    let socket = world.open();
    socket.send(&request("GET", "/healthz", &[], b""));
    assert!(socket.receive().starts_with(b"HTTP/1.1 200"));

    world.advance(2_100);

    assert!(socket.is_closed());
}

/// Seed 257: the hub had stopped reading from a client whose publish was under way, and closed it for the silence.
#[test]
fn a_client_that_the_hub_does_not_read_from_is_not_silent() {
    let world = World::with(|config| {
        (config.heartbeat.interval_ms, config.heartbeat.timeout_ms) = (1_000, 2_500);
    });
    let client = world.connect_as(&json!({"sub": "ann", "tidings": {"subscribe": ["*"], "publish": ["*"]}}));
    world.set_log(LogMode::Takes(Duration::from_secs(10)));
    client.send(json!({"type": "publish", "id": "p", "event": events::normal(1)}));

    world.advance(11_000);

    assert_eq!(client.read_type("published").len(), 1);
    assert_eq!(client.closed(), None);
}

/// Seed 1012695: answers over the bound waited for the end of the turn in which a heartbeat was due, and the hub took
/// their peer for one that takes nothing.
#[test]
fn a_client_that_asks_for_much_has_its_heartbeat_all_the_same() {
    let world = World::with(|config| {
        config.limits.unsent_bytes = 1_024;
        (config.heartbeat.interval_ms, config.heartbeat.timeout_ms) = (1_000, 2_500);
    });
    let client = world.connect("ann");
    while client.read_type("heartbeat").is_empty() {
        world.advance(1);
    }
    world.advance(999);

    world.together(|| {
        world.advance(1);
        let mut pings = Vec::new();
        (0..150).for_each(|_| text_into(&mut pings, [0; 4], r#"{"type":"ping"}"#));
        world.input(Input::Received { conn: ConnId::new(0, 0), bytes: &pings });
    });

    assert_eq!(client.read_type("heartbeat").len(), 1);
}
