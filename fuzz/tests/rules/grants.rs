//! §2: a grant is checked when an event is staged, on every path, and tokens end when they say.

use serde_json::{Value, json};
use tidings_sim::{Client, Response, SECRET, World, events, request};

use super::{publish, resume, since};
use tidings_core::Input;
use tidings_core::auth::KeySet;

/// Claims that see only what `filter` lets through.
fn only(filter: &Value) -> Value {
    json!({"sub": "ann", "tidings": {"subscribe": ["*"], "filter": filter}})
}

fn refresh(world: &World, client: &Client, claims: &Value) {
    client.send(json!({"type": "auth", "token": world.token(claims)}));
}

#[test]
fn a_grant_that_is_lost_stops_what_is_queued_and_ends_its_subscriptions() {
    let world = World::new();
    let client = world.connect_as(&json!({"sub": "ann", "tidings": {"subscribe": ["user.*", "settings.*"]}}));
    client.subscribe("u", &["user.*"]);
    client.subscribe("s", &["settings.*"]);
    client.socket().stall();
    world.publish(&events::normal(1));
    world.publish(&events::high(2));
    // when
    refresh(&world, &client, &json!({"sub": "ann", "tidings": {"subscribe": ["user.*"]}}));
    client.socket().flow();
    // then
    let heard = super::heard(&client);
    assert_eq!(super::types(&heard), ["authenticated", "error", "event"]);
    assert_eq!((&heard[1]["id"], &heard[1]["code"]), (&json!("s"), &json!("forbidden")));
    assert_eq!(events::number(&heard[2]["event"]), Some(1));
}

#[test]
fn a_narrower_filter_stops_what_is_queued_and_what_is_caught_up() {
    let world = World::with(|config| config.limits.lane_queue = 4);
    let client = world.connect_as(&only(&json!({})));
    client.subscribe("s", &["*"]);
    client.socket().stall();
    publish(&world, 1..=20, events::normal);
    refresh(&world, &client, &only(&json!({"n": [2, 19]})));
    client.socket().flow();
    assert_eq!(client.events(), [2, 19]);
    // and: what it passed over is not owed when the grant is wide again
    refresh(&world, &client, &only(&json!({})));
    world.publish(&events::normal(21));
    assert_eq!(client.events(), [21]);
}

#[test]
fn a_resume_is_under_the_grant_of_its_own_token() {
    let world = World::new();
    publish(&world, 1..=4, events::normal);
    let client = world.connect_as(&only(&json!({"userId": "u3"})));
    resume(&client, &since(&world, 0, 0, 0, 0));
    assert_eq!(client.events(), [3]);
    let client = world.connect_as(&json!({"sub": "ann", "tidings": {"subscribe": ["user.*"]}}));
    let outcome = &resume(&client, &since(&world, 0, 0, 0, 0))["subscriptions"][0];
    assert_eq!(outcome["error"]["code"], "forbidden");
    assert!(client.events().is_empty());
}

#[test]
fn recent_pages_and_streams_are_within_the_grant() {
    let world = World::new();
    publish(&world, 1..=4, events::normal);
    let claims = only(&json!({"userId": "u3"}));
    // recent
    let client = world.connect_as(&claims);
    let reply = client.ask(json!({"type": "subscribe", "id": "s", "events": ["*"], "recent": 9}));
    assert_eq!(reply["recent"].as_array().map(Vec::len), Some(1));
    assert_eq!(reply["recent"][0]["event"]["data"]["n"], 3);
    // a page of history
    let authorization = format!("Bearer {}", world.token(&claims));
    let page = world.http(&request("GET", "/v1/events", &[("Authorization", &authorization)], b"")).json();
    assert_eq!(page["events"].as_array().map(Vec::len), Some(1));
    assert_eq!((&page["events"][0]["offset"], &page["next"]), (&json!(3), &json!(4)));
    // a stream, from the beginning
    let begin = format!("{}.0.0.0.0", world.epoch().as_str());
    let stream = world.stream(&claims, "events=*", Some(&begin));
    world.publish(&events::normal(5));
    assert_eq!(stream.events(), [3]);
}

#[test]
fn a_bad_token_changes_nothing() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    refresh(&world, &client, &json!({"sub": "bob"}));
    client.send(json!({"type": "auth", "id": "a", "token": "none"}));
    let errors = client.read_type("error");
    assert_eq!(errors.len(), 2);
    assert!(errors.iter().all(|error| error["code"] == "invalid_token"));
    world.publish(&events::normal(1));
    assert_eq!(client.events(), [1]);
}

/// Claims of a token that ends `after_s` from now on.
fn ending(world: &World, after_s: i64) -> Value {
    json!({"sub": "ann", "exp": world.now().unix.as_secs() + after_s})
}

#[test]
fn a_token_ends_when_its_leeway_has_passed_and_at_most_a_second_late() {
    let world = World::new();
    let client = world.connect_as(&ending(&world, 100));
    world.advance(129_999);
    assert_eq!(client.closed(), None);
    world.advance(1_001);
    assert_eq!(client.closed(), Some(4419));
}

#[test]
fn a_refreshed_token_ends_when_the_new_one_does() {
    let world = World::new();
    let (longer, shorter) =
        (world.connect_as(&ending(&world, 100)), world.connect_as(&ending(&world, 9_000)));
    refresh(&world, &longer, &ending(&world, 500));
    refresh(&world, &shorter, &ending(&world, 20));
    world.advance(51_000);
    assert_eq!((longer.closed(), shorter.closed()), (None, Some(4419)));
    world.advance(478_000);
    assert_eq!(longer.closed(), None);
    world.advance(2_000);
    assert_eq!(longer.closed(), Some(4419));
}

#[test]
fn a_wall_clock_that_jumps_ahead_ends_tokens_within_a_second() {
    let world = World::new();
    let client = world.connect_as(&ending(&world, 3_600));
    world.advance(5_000);
    world.jump_wall_clock(4_000_000);
    world.advance(1_000);
    assert_eq!(client.closed(), Some(4419));
}

#[test]
fn a_wall_clock_that_jumps_back_gives_tokens_the_time_back() {
    let world = World::new();
    let client = world.connect_as(&ending(&world, 100));
    world.jump_wall_clock(-600_000);
    world.advance(700_000);
    assert_eq!(client.closed(), None);
    world.advance(31_000);
    assert_eq!(client.closed(), Some(4419));
}

#[test]
fn an_expiry_in_the_middle_of_a_replay_stops_it_behind_the_frame_begun() {
    let world = World::with(|config| config.limits.lane_queue = 4);
    publish(&world, 1..=50, events::normal);
    let client = world.connect_as(&ending(&world, 10));
    client.socket().stall();
    resume(&client, &since(&world, 0, 0, 0, 0));
    client.socket().take(2_000);
    world.advance(40_999);
    client.socket().flow();
    let got = client.events();
    assert!((1..20).contains(&got.len()), "{got:?}");
    assert_eq!(client.closed(), Some(4419));
    assert!(client.socket().is_closed());
}

#[test]
fn an_expiry_ends_a_stream() {
    let world = World::new();
    let stream = world.stream(&ending(&world, 10), "events=*", None);
    world.advance(39_900);
    assert!(!stream.is_ended());
    world.advance(1_100);
    assert!(stream.is_ended());
}

#[test]
fn replaced_keys_close_who_came_with_others_and_nobody_else() {
    let world = World::new();
    let client = world.connect("ann");
    let stream = world.stream(&json!({}), "events=*", None);
    // when: the key is still among them
    let mut keys = KeySet::empty();
    keys.add_secret(SECRET.as_bytes()).unwrap();
    keys.add_secret(b"another secret of the simulation, long enough").unwrap();
    world.input(Input::KeysReplaced(keys));
    assert_eq!((client.closed(), stream.is_ended()), (None, false));
    // when: it is not
    let mut keys = KeySet::empty();
    keys.add_secret(b"another secret of the simulation, long enough").unwrap();
    world.input(Input::KeysReplaced(keys));
    // then
    assert_eq!((client.closed(), stream.is_ended()), (Some(4401), true));
    assert_eq!(world.connect("bob").closed(), Some(4401));
}

#[test]
fn a_disconnected_user_is_told_and_a_revoked_one_does_not_come_back() {
    let world = World::new();
    let claims = json!({"sub": "ann", "iat": world.now().unix.as_secs()});
    let token = world.token(&claims);
    let (ann, bob) = (world.connect_to(&format!("/ws?token={token}"), &[], &[]), world.connect("bob"));
    world.advance(500);
    let response: Response = world.admin("DELETE", "/v1/connections?user=ann&revoke=true");
    assert_eq!(response.json(), json!({"disconnected": 1}));
    assert_eq!((ann.closed(), bob.closed()), (Some(4403), None));
    assert_eq!(world.connect_to(&format!("/ws?token={token}"), &[], &[]).closed(), Some(4401));
    world.advance(1_000);
    let later = json!({"sub": "ann", "iat": world.now().unix.as_secs()});
    assert_eq!(world.connect_as(&later).closed(), None);
}
