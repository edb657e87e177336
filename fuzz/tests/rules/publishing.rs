//! §6: publishing, idempotency, and a log that does not answer as one would like.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_sim::{LogMode, World, events};

use super::{answer, full, post};

fn named(id: &str, n: u64) -> Value {
    events::attribute(events::normal(n), "id", id)
}

#[test]
fn a_repeat_of_a_pending_event_shares_its_result() {
    let world = World::new();
    world.set_log(LogMode::Takes(Duration::from_secs(1)));
    let (first, second) = (post(&world, "ann", &named("a", 1)), post(&world, "ann", &named("a", 1)));
    assert_eq!((answer(&first), answer(&second)), (None, None));
    // when
    world.advance(1_000);
    // then
    let results = [first, second].map(|socket| answer(&socket).unwrap().json()["results"][0].clone());
    assert_eq!(results[0], json!({"id": "a", "offset": 1, "duplicate": false}));
    assert_eq!(results[1], json!({"id": "a", "offset": 1, "duplicate": true}));
    assert_eq!(world.end().get(), 1);
}

#[test]
fn a_repeat_of_a_pending_event_shares_its_failure_and_a_retry_is_published() {
    let world = World::new();
    world.set_log(LogMode::Refuses(Duration::from_secs(1)));
    let (first, second) = (post(&world, "ann", &named("a", 1)), post(&world, "ann", &named("a", 1)));
    world.advance(1_000);
    for socket in [first, second] {
        let response = answer(&socket).unwrap();
        assert_eq!((response.status, &response.json()["code"]), (503, &json!("unavailable")));
    }
    // when
    world.set_log(LogMode::Takes(Duration::ZERO));
    let retried = answer(&post(&world, "ann", &named("a", 1))).unwrap().json();
    assert_eq!(retried["results"], json!([{"id": "a", "offset": 1, "duplicate": false}]));
}

#[test]
fn a_log_that_fails_in_a_batch_leaves_results_and_a_retry_publishes_nothing_twice() {
    let world = World::new();
    let client = world.connect("bob");
    client.subscribe("s", &["*"]);
    let batch = json!([named("a", 1), named("b", 2), named("c", 3)]);
    world.set_log(LogMode::TakesOnly(1));
    let response = answer(&post(&world, "ann", &batch)).unwrap();
    assert_eq!(response.status, 503);
    assert_eq!(response.json()["results"], json!([{"id": "a", "offset": 1, "duplicate": false}]));
    // when
    world.set_log(LogMode::Takes(Duration::ZERO));
    let results = answer(&post(&world, "ann", &batch)).unwrap().json()["results"].clone();
    // then
    let duplicates = [0, 1, 2].map(|index| results[index]["duplicate"].as_bool());
    assert_eq!(duplicates, [Some(true), Some(false), Some(false)]);
    assert_eq!(client.events(), [1, 2, 3]);
}

#[test]
fn an_id_with_other_content_is_a_conflict_until_the_window_has_passed() {
    let world = World::new();
    assert_eq!(answer(&post(&world, "ann", &named("a", 1))).unwrap().status, 200);
    let conflict = answer(&post(&world, "ann", &named("a", 2))).unwrap();
    assert_eq!((conflict.status, &conflict.json()["code"]), (409, &json!("conflict")));
    // Another publisher's ids, and another source's, are others.
    assert_eq!(answer(&post(&world, "bob", &named("a", 2))).unwrap().status, 200);
    let elsewhere = events::attribute(named("a", 2), "source", "/else");
    assert_eq!(answer(&post(&world, "ann", &elsewhere)).unwrap().status, 200);
    // when
    world.advance(300_000);
    let again = answer(&post(&world, "ann", &named("a", 2))).unwrap().json();
    assert_eq!(again["results"][0]["duplicate"], false);
}

#[test]
fn a_batch_with_a_fault_or_a_conflict_is_refused_whole() {
    let world = World::new();
    let faulty = json!([named("a", 1), {"type": "user.login", "data": {}}, {"type": "no.such", "data": {}}]);
    let response = answer(&post(&world, "ann", &faulty)).unwrap();
    assert_eq!(response.status, 400);
    let errors = response.json()["errors"].clone();
    let mut indices: Vec<_> =
        errors.as_array().unwrap().iter().map(|error| error["index"].as_u64()).collect();
    indices.dedup();
    assert_eq!(indices, [Some(1), Some(2)]);
    let conflicting = json!([named("a", 1), named("b", 1), named("a", 2)]);
    assert_eq!(answer(&post(&world, "ann", &conflicting)).unwrap().status, 409);
    assert_eq!(world.end().get(), 0);
    // and: the same id twice with the same content is one event
    let results = answer(&post(&world, "ann", &json!([named("a", 1), named("a", 1)]))).unwrap().json();
    assert_eq!(results["results"][1], json!({"id": "a", "offset": 1, "duplicate": true}));
}

#[test]
fn a_log_that_never_answers_is_unavailable_after_the_response_time() {
    let world = World::new();
    let client = world.connect_as(&full("ann"));
    world.set_log(LogMode::Silent);
    let socket = post(&world, "bob", &named("a", 1));
    client.send(json!({"type": "publish", "id": "p", "event": named("b", 2)}));
    client.send(json!({"type": "ping", "id": "behind"}));
    world.advance(29_999);
    assert!(answer(&socket).is_none());
    assert!(client.read_type("pong").is_empty(), "replies come in the order of the requests");
    // when
    world.advance(100);
    // then
    assert_eq!(answer(&socket).unwrap().status, 503);
    let heard = client.read();
    let heard: Vec<_> = heard.iter().filter(|message| message["type"] != "heartbeat").collect();
    assert_eq!((&heard[1]["id"], &heard[1]["code"]), (&json!("p"), &json!("unavailable")));
    assert_eq!(heard[2], &json!({"type": "pong", "id": "behind"}));
}

#[test]
fn retries_at_a_silent_log_are_bounded() {
    // given: room for four events that wait for the log
    let world = World::with(|config| config.dedup.entries = 4);
    world.set_log(LogMode::Silent);
    let waiting: Vec<_> = (0..6).map(|_| post(&world, "ann", &named("a", 1))).collect();
    // then: two of six that share one append are told at once
    let told: Vec<_> = waiting.iter().filter_map(answer).map(|response| response.status).collect();
    assert_eq!(told, [503, 503]);
}

#[test]
fn an_event_is_published_over_websocket_within_the_grant() {
    let world = World::new();
    let client = world.connect_as(&full("ann"));
    let publish = |id: &str| json!({"type": "publish", "id": id, "event": named("e", 1)});
    let first = client.ask(publish("p1"));
    let published = json!({"type": "published", "id": "p1", "eventId": "e", "offset": 1, "duplicate": false});
    assert_eq!(first, published);
    assert_eq!(client.ask(publish("p2"))["duplicate"], true);
    let faulty = json!({"type": "publish", "id": "p3", "event": {"type": "user.login", "data": {}}});
    let refused = client.ask(faulty);
    assert_eq!((&refused["id"], &refused["code"]), (&json!("p3"), &json!("invalid_event")));
    let reader = world.connect("bob");
    assert_eq!(reader.ask(publish("p4"))["code"], "forbidden");
    assert_eq!(world.end().get(), 1);
}

#[test]
fn nothing_is_delivered_before_it_is_in_the_log() {
    let world = World::new();
    let client = world.connect("bob");
    client.subscribe("s", &["*"]);
    world.set_log(LogMode::Takes(Duration::from_secs(1)));
    let _socket = post(&world, "ann", &named("a", 1));
    world.advance(999);
    assert!(client.events().is_empty());
    world.advance(1);
    assert_eq!(client.events(), [1]);
}

#[test]
fn a_publisher_that_is_gone_has_published_all_the_same() {
    let world = World::new();
    world.set_log(LogMode::Takes(Duration::from_secs(1)));
    let socket = post(&world, "ann", &named("a", 1));
    socket.reset();
    world.advance(1_000);
    let results = answer(&post(&world, "ann", &named("a", 1))).unwrap().json();
    assert_eq!(results["results"][0], json!({"id": "a", "offset": 1, "duplicate": true}));
}
