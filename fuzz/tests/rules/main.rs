//! The rules of the protocol that need virtual time or exact control, each as a short story: given, when,
//! then. One file a topic.

mod closing;
mod grants;
mod heartbeats;
mod lanes;
mod leaving;
mod limits;
mod operators;
mod pace;
mod publishing;
mod requests;
mod resume;
mod streams;
mod subscriptions;

use serde_json::{Value, json};
use tidings_sim::{Client, Response, Socket, World, events, request};

/// Where a client of this world stands that has everything up to these offsets.
fn since(world: &World, critical: u64, high: u64, normal: u64, low: u64) -> Value {
    let lanes = json!({"critical": critical, "high": high, "normal": normal, "low": low});
    json!({"epoch": world.epoch().as_str(), "lanes": lanes})
}

/// Resumes one subscription `s` to everything, which began at the log's beginning. Gives the reply.
fn resume(client: &Client, since: &Value) -> Value {
    let all = json!([{"id": "s", "from": 0, "events": ["*"]}]);
    client.ask(json!({"type": "resume", "since": since, "subscriptions": all}))
}

/// What arrived since the last call, each message by its type.
fn types(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter_map(|message| message["type"].as_str()).collect()
}

/// What arrived since the last call, the greeting aside.
fn heard(client: &Client) -> Vec<Value> {
    client.read().into_iter().filter(|message| message["type"] != "welcome").collect()
}

/// Claims with which one may do everything.
fn full(user: &str) -> Value {
    json!({"sub": user, "tidings": {"subscribe": ["*"], "publish": ["*"], "maxPriority": "critical"}})
}

/// Sends a publish over HTTP as `user`; the answer is read with [`answer`].
fn post(world: &World, user: &str, body: &Value) -> Socket {
    let authorization = format!("Bearer {}", world.token(&full(user)));
    let fields = [("Authorization", &*authorization), ("Content-Type", "application/json")];
    let socket = world.open();
    socket.send(&request("POST", "/v1/events", &fields, body.to_string().as_bytes()));
    socket
}

/// The response that has arrived, if one has.
fn answer(socket: &Socket) -> Option<Response> {
    Response::read(&mut socket.receive().as_slice())
}

/// Publishes one event for each number.
fn publish(world: &World, numbers: impl IntoIterator<Item = u64>, event: impl Fn(u64) -> Value) {
    for n in numbers {
        world.publish(&event(n));
    }
}

/// A story with a bit of everything; gives every byte that was sent.
fn story(trickled: bool) -> Vec<u8> {
    let world = World::with(|config| config.limits.lane_queue = 4);
    let client = world.connect("ann");
    client.subscribe("s", &["*"]);
    client.socket().stall();
    publish(&world, 1..=20, events::normal);
    publish(&world, 21..=30, |n| events::health("api", n));
    client.socket().flow();
    world.advance(95_000);
    let request = request("GET", "/healthz", &[], b"");
    let socket = world.open();
    if trickled {
        socket.trickle(&request);
    } else {
        socket.send(&request);
    }
    world.input(tidings_core::Input::Drain);
    world.advance(20_000);
    world.transcript()
}

#[test]
fn the_same_story_gives_the_same_bytes_however_its_bytes_arrive() {
    let told = story(false);
    assert_eq!(told, story(false));
    assert_eq!(told, story(true));
}
