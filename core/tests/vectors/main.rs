//! The protocol's vectors: one file that the tests of every client read, written from the types and the client of
//! this crate. What stands in `fixtures/protocol.json` is what this crate says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is a test; helpers are not marked as such")]
#![expect(clippy::disallowed_methods, reason = "the vectors are a file")]

mod events;
mod messages;
mod outcomes;
mod script;
mod scripts;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidings_core::protocol::{ClientMessage, MessageLimits};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/protocol.json");

const ABOUT: &str = "What clients and emitters must make of the protocol, written by the core's own tests. `scripts` \
    feed a client inputs and say what it makes of each; `#1`, `#2`, … stand for the ids that it chooses, in the order \
    in which it first uses them, `to` for subscriptions by the order in which they were asked for. `violations` are \
    texts after which a client closes with 4400 and connects again. Of each error code `errors` says whether the \
    request is sent again, of each close code `closes` where it leads a client that is open, and what that does next by \
    itself. `delays` are the longest waits in ms after failures in a row. `events` are what publishers send, with \
    their faults.";

#[test]
fn the_file_is_what_the_crate_says() {
    let document = json!({
        "about": ABOUT,
        "scripts": scripts::all().into_iter().map(script::Script::write).collect::<Value>(),
        "violations": violations(),
        "errors": outcomes::errors(),
        "closes": outcomes::closes(),
        "delays": outcomes::delays(),
        "events": events::all(),
    });
    let fresh = layout(&document);
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(FILE, &fresh).unwrap();
    }
    let current = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        current == fresh,
        "{FILE} is stale; run UPDATE_VECTORS=1 cargo test -p tidings-core --test vectors"
    );
}

#[test]
fn the_scripts_show_every_message_of_the_protocol() {
    let limits = MessageLimits { patterns: 64, filter_keys: 16, recent: 200, subscriptions: 128 };
    let mut kinds = BTreeSet::new();
    for script in scripts::all() {
        for message in script.sent() {
            // What a client says, the server must be able to read.
            ClientMessage::parse(&message.to_string(), &limits).unwrap();
            kinds.insert(message["type"].as_str().unwrap().to_owned());
        }
        let script = script.write();
        let inputs = script["steps"].as_array().unwrap().iter().map(|step| &step["input"]["message"]);
        kinds.extend(inputs.filter_map(|message| message["type"].as_str().map(str::to_owned)));
    }
    let all = [
        "auth",
        "authenticated",
        "error",
        "event",
        "gap",
        "heartbeat",
        "later",
        "ping",
        "pong",
        "publish",
        "published",
        "reconnect",
        "resume",
        "resumed",
        "subscribe",
        "subscribed",
        "unsubscribe",
        "unsubscribed",
        "welcome",
    ];
    assert_eq!(kinds, all.map(str::to_owned).into());
}

/// Texts that no server of this protocol sends to a client that is open and has a subscription.
fn violations() -> Vec<&'static str> {
    let texts = vec![
        "",
        "{",
        "[]",
        "7",
        "{}",
        r#"{"type":7}"#,
        r#"{"type":"event"}"#,
        r#"{"type":"event","offset":-1,"lane":"normal","event":{"type":"content.created","data":{}}}"#,
        r#"{"type":"event","offset":1.5,"lane":"normal","event":{"type":"content.created","data":{}}}"#,
        r#"{"type":"event","offset":9007199254740992,"lane":"normal","event":{"type":"content.created","data":{}}}"#,
        r#"{"type":"event","offset":11,"lane":"bulk","event":{"type":"content.created","data":{}}}"#,
        r#"{"type":"event","offset":11,"lane":"normal","event":[]}"#,
        r#"{"type":"event","offset":11,"lane":"normal","event":{"data":{}}}"#,
        r#"{"type":"heartbeat","lanes":{"critical":11,"high":11,"normal":11}}"#,
        r#"{"type":"gap","lane":"low","reason":"expired"}"#,
        r#"{"type":"subscribed"}"#,
        r##"{"type":"resumed","recovered":true,"position":{"epoch":"e1","lanes":{"critical":1,"high":1,"normal":1,"low":1}},"subscriptions":[]}"##,
        r#"{"type":"welcome","protocol":1,"epoch":"e1","heartbeat":{"interval":30000,"timeout":60000}}"#,
        r#"{"type":"reconnect","after":"soon"}"#,
    ];
    for text in &texts {
        let mut script = script::Script::subscribed("");
        let then = script.put(json!({"text": text})).clone();
        assert_eq!((&then["closes"], &then["state"]), (&json!([4400]), &json!("waiting")), "{text}");
    }
    texts
}

/// The document as JSON, with a line for each of its vectors.
fn layout(document: &Value) -> String {
    let members = document.as_object().unwrap().iter().map(|(name, value)| {
        let name = Value::from(name.as_str());
        let lines: Vec<String> = match value.as_array() {
            Some(vectors) if vectors.iter().all(Value::is_object) => vectors.iter().map(line).collect(),
            _ => return format!("  {name}: {value}"),
        };
        format!("  {name}: [\n{}\n  ]", lines.join(",\n"))
    });
    format!("{{\n{}\n}}\n", members.collect::<Vec<_>>().join(",\n"))
}

/// A vector, on one line unless it has steps.
fn line(vector: &Value) -> String {
    let Some(steps) = vector.get("steps").and_then(Value::as_array) else { return format!("    {vector}") };
    let steps: Vec<String> = steps.iter().map(|step| format!("      {step}")).collect();
    format!("    {{\"about\":{},\"steps\":[\n{}\n    ]}}", vector["about"], steps.join(",\n"))
}
