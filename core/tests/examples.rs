//! The examples stay short, and do what they say: a reader copies from them.

#![expect(clippy::disallowed_types, reason = "an example is run as its reader runs it")]

use std::process::Command;

const EMBED: &str = include_str!("../examples/embed.rs");
const VIRTUAL_TIME: &str = include_str!("../examples/virtual_time.rs");

#[test]
fn the_examples_of_embedding_stay_short() {
    assert!(EMBED.lines().count() < 100, "embed.rs has {} lines", EMBED.lines().count());
    assert!(VIRTUAL_TIME.lines().count() < 60, "virtual_time.rs has {} lines", VIRTUAL_TIME.lines().count());
}

#[test]
fn virtual_time_shows_an_event_and_a_heartbeat() {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let run = ["run", "--quiet", "--package", "tidings-core", "--example", "virtual_time"];
    let output = Command::new(cargo).args(run).output().unwrap();

    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for expected in
        ["101 Switching", "\"welcome\"", "\"subscribed\"", "\"event\"", "Back at six", "\"heartbeat\""]
    {
        assert!(text.contains(expected), "{expected} is missing in {text}{said}");
    }
}
