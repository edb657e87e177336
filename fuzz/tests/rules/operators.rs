//! §6: what operators see of the instance and of who is connected.

use serde_json::{Value, json};
use tidings_sim::{Client, World, events};

use super::publish;

/// A world whose queues hold four events a lane.
fn short_queues() -> World {
    World::with(|config| config.limits.lane_queue = 4)
}

fn list(world: &World, query: &str) -> Value {
    world.admin("GET", &format!("/v1/connections{query}")).json()
}

/// The value of `key` in each row of a list.
fn column(list: &Value, key: &str) -> Vec<Value> {
    list["connections"].as_array().into_iter().flatten().map(|row| row[key].clone()).collect()
}

/// The names of all connections, from as many lists as it takes, and how many that is.
fn walk(world: &World, query: &str) -> (Vec<Value>, usize) {
    let (mut names, mut lists, mut after) = (Vec::new(), 0, String::new());
    loop {
        let list = list(world, &format!("?{query}{after}"));
        names.extend(column(&list, "connection"));
        lists += 1;
        match list["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return (names, lists),
        }
    }
}

/// A client for which more is waiting than a queue holds.
fn lagging(world: &World, user: &str) -> Client {
    let client = world.connect(user);
    client.subscribe("s", &["*"]);
    client.socket().stall();
    publish(world, 1..=10, events::low);
    client
}

#[test]
fn what_was_published_and_delivered_is_told_by_type_and_lane() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    // given: two events of a type, of which one has a priority of its own
    world.publish(&events::normal(1));
    world.publish(&events::attribute(events::normal(2), "priority", "critical"));
    // then
    let stats = world.stats();
    let by_lane = json!({"critical": 1, "normal": 1});
    let published = stats["published"].as_object().unwrap();
    assert_eq!(published.values().collect::<Vec<_>>(), [&by_lane], "of others there is no word");
    assert_eq!((&stats["published"], &stats["eventsPublished"]), (&stats["delivered"], &json!(2)));
    assert_eq!(stats["connections"], json!({"http": 1, "websocket": 1, "sse": 0, "closing": 0}));
}

#[test]
fn what_waits_is_told_by_lane_of_all_and_of_each() {
    let world = short_queues();
    let slow = lagging(&world, "ann");
    world.connect("bob").subscribe("s", &["*"]);
    world.publish(&events::critical(11));
    // then: ten events of a lane that queues four
    let none = json!({"queued": 0, "catchUp": 0});
    let lanes = json!({
        "critical": {"queued": 1, "catchUp": 0}, "high": none, "normal": none, "low": {"queued": 4, "catchUp": 6},
    });
    let stats = world.stats();
    assert_eq!(stats["lanes"], lanes);
    let total =
        ["queued", "catchUp", "catchingUp", "slowConsumers", "overflows"].map(|key| stats[key].clone());
    assert_eq!(total, [5, 6, 1, 1, 1].map(Value::from));
    // and: it is the slow one's
    let list = list(&world, "?catchingUp=true");
    assert_eq!(column(&list, "user"), ["ann"]);
    assert_eq!(column(&list, "lanes"), [lanes]);
    // and: it is over as soon as the socket has taken it
    slow.socket().flow();
    let stats = world.stats();
    assert_eq!((&stats["slowConsumers"], &stats["catchUp"]), (&json!(0), &json!(0)));
    assert!(column(&self::list(&world, "?catchingUp=true"), "user").is_empty());
}

#[test]
fn closes_and_refusals_are_told_by_code_and_reason() {
    let world = World::new();
    let _client = world.connect("ann");
    assert_eq!(world.connect_to("/ws?token=none", &[], &[]).closed(), Some(4401));
    assert_eq!(world.admin("DELETE", "/v1/connections?user=ann").json(), json!({"disconnected": 1}));
    let stats = world.stats();
    assert_eq!(stats["closes"], json!({"4401": 1, "4403": 1}));
    assert_eq!(stats["refusals"], json!({"malformed": 1}));
}

#[test]
fn a_list_comes_in_pages_that_leave_nobody_out() {
    let world = World::new();
    let clients: Vec<Client> = ["ann", "bob", "ann", "cid", "ann"].map(|user| world.connect(user)).into();
    let all: Vec<Value> = clients.iter().map(|client| client.read()[0]["connection"].clone()).collect();
    assert_eq!(walk(&world, "limit=2"), (all.clone(), 3));
    assert_eq!(walk(&world, ""), (all.clone(), 1));
    // and: of one user, too
    let of_ann = vec![all[0].clone(), all[2].clone(), all[4].clone()];
    assert_eq!(walk(&world, "user=ann&limit=2"), (of_ann.clone(), 2));
    assert_eq!(walk(&world, "user=ann&limit=3"), (of_ann, 1));
    assert_eq!(walk(&world, "user=eve"), (Vec::new(), 1));
    for bad in ["limit=0", "limit=1001", "limit=x", "catchingUp=yes"] {
        assert_eq!(world.admin("GET", &format!("/v1/connections?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn a_list_ends_after_so_many_that_it_has_looked_at_and_goes_on_from_there() {
    let world = World::with(|config| config.limits.unauthenticated_per_address = 100_000);
    // given: the only slow one behind very many others
    let _others: Vec<_> = (0..10_001).map(|_| world.open()).collect();
    let _slow = lagging(&world, "ann");
    let _quick = world.connect("bob");
    // then: the first look finds nobody and says where to go on
    let first = list(&world, "?catchingUp=false");
    assert!(column(&first, "user").is_empty() && first["next"].is_string());
    assert_eq!(walk(&world, "catchingUp=false").1, 2);
}

#[test]
fn one_connection_tells_what_it_is_subscribed_to() {
    let world = World::new();
    let client = world.connect("ann");
    client.subscribe("a", &["user.*", "content.created"]);
    let filter = json!({"n": [1, 2.5], "ok": true, "of": null, "@subject": "x"});
    client.ask(json!({"type": "subscribe", "id": "b", "events": ["*"], "filter": filter}));
    let name = list(&world, "")["connections"][0]["connection"].as_str().unwrap().to_owned();
    let row = &list(&world, &format!("?connection={name}"))["connections"][0];
    let a = json!({"id": "a", "events": ["user.*", "content.created"], "filter": {}, "from": 0});
    let b = json!({"id": "b", "events": ["*"], "filter": filter, "from": 0});
    assert_eq!((&row["user"], &row["interests"]), (&json!("ann"), &json!([a, b])));
    // and: one that is gone is in no list
    client.socket().reset();
    for name in [&*name, "c_none"] {
        assert_eq!(list(&world, &format!("?connection={name}")), json!({"connections": []}));
    }
}
