//! §2 and §6: a client that says how much it takes has what waits for it wait here.

use serde_json::json;
use tidings_sim::{Client, Stream, World, events};

use super::publish;

/// A client that takes so many bytes of events a second, and is subscribed to everything.
fn paced(world: &World, pace: u32) -> Client {
    let token = world.token(&json!({"sub": "ann"}));
    let client = world.connect_to(&format!("/ws?token={token}&pace={pace}"), &[], &[]);
    client.subscribe("s", &["*"]);
    client
}

fn paced_stream(world: &World, pace: u32) -> Stream {
    world.stream(&json!({"sub": "ann"}), &format!("events=*&pace={pace}"), None)
}

#[test]
fn what_waits_for_the_pace_is_overtaken_by_what_is_critical() {
    let world = World::new();
    let (client, stream) = (paced(&world, 1_000), paced_stream(&world, 1_000));
    // given: more than the pace lets through in a second, over sockets that take everything
    publish(&world, 1..=100, events::low);
    world.advance(1_000);
    // when
    world.publish(&events::critical(101));
    world.advance(1_000);
    // then: of a few hundred bytes each, a few have come, and the critical one before the others
    for got in [client.events(), stream.events()] {
        let place = got.iter().position(|n| *n == 101).expect("what is critical has come");
        assert!((2..8).contains(&place) && got.len() < 16, "{got:?}");
    }
    // and: everything comes in the end
    world.advance(60_000);
    let mut all = [client.events(), stream.events()].concat();
    all.sort_unstable();
    assert!(all.len() < 200 && all.ends_with(&[100, 100]));
}

#[test]
fn a_pace_is_kept_in_the_long_run_and_loses_nothing() {
    for pace in [256, 4_096, 100_000] {
        let world = World::with(|config| config.limits.lane_queue = 4);
        let client = paced(&world, pace);
        let before = client.socket().transcript().len();
        publish(&world, 1..=200, events::normal);
        // when: a time has passed that is not long enough for all of it
        let bytes = |client: &Client| client.socket().transcript().len() - before;
        world.advance(200);
        let soon = bytes(&client);
        let allowed = usize::try_from(pace).unwrap() / 5 + 2 * 5_000;
        assert!(0 < soon && soon <= allowed, "{soon} bytes at {pace}");
        // then: in the end it has all, in order, at the pace and not later
        let whole = bytes_of_all();
        world.advance(whole * 1_000 / u64::from(pace) * 11 / 10 + 1_000);
        assert_eq!(client.events(), (1..=200).collect::<Vec<_>>(), "at {pace}");
        assert!(client.read_type("gap").is_empty());
    }
}

/// What an unpaced client is sent of the events of the test above.
fn bytes_of_all() -> u64 {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    let before = client.socket().transcript().len();
    publish(&world, 1..=200, events::normal);
    (client.socket().transcript().len() - before) as u64
}

#[test]
fn replies_and_heartbeats_wait_for_no_pace() {
    let world = World::new();
    let client = paced(&world, 256);
    publish(&world, 1..=100, events::low);
    let _ = client.read();
    client.send(json!({"type": "ping", "id": "a"}));
    assert_eq!(super::types(&client.read()), ["pong"]);
    // and: whoever answers lives, however long the backlog
    world.advance(130_000);
    assert_eq!((client.closed(), client.pings() >= 3), (None, true));
}

#[test]
fn who_is_paced_and_up_to_date_gets_an_event_at_once() {
    let world = World::new();
    let (client, stream) = (paced(&world, 256), paced_stream(&world, 256));
    for n in 1..=3 {
        world.advance(10_000);
        world.publish(&events::normal(n));
        assert_eq!((client.events(), stream.events()), (vec![n], vec![n]));
    }
}

#[test]
fn a_list_says_who_is_paced_and_what_waits_for_it() {
    let world = World::with(|config| config.limits.lane_queue = 4);
    let _paced = paced(&world, 256);
    world.connect("bob").subscribe("s", &["*"]);
    publish(&world, 1..=10, events::low);
    let list = world.admin("GET", "/v1/connections").json();
    let rows = list["connections"].as_array().expect("a list");
    assert_eq!(rows.iter().map(|row| row["pace"].clone()).collect::<Vec<_>>(), [json!(256), json!(null)]);
    assert_eq!(rows[0]["lanes"]["low"], json!({"queued": 4, "catchUp": 5}));
}

#[test]
fn what_is_no_pace_is_refused_before_anything_begins() {
    let world = World::new();
    let token = world.token(&json!({"sub": "ann"}));
    for bad in ["0", "255", "-1", "1e3", "fast", "", "2000000000"] {
        let client = world.connect_to(&format!("/ws?token={token}&pace={bad}"), &[], &[]);
        assert!(client.refused().is_some(), "{bad}");
        assert_eq!(
            world.stream(&json!({}), &format!("events=*&pace={bad}"), None).status(),
            Some(400),
            "{bad}"
        );
    }
    assert_eq!(world.stats()["totalConnections"], 0);
}
