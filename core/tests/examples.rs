//! The examples stay short, and do what they say: a reader copies from them.

#![expect(clippy::disallowed_types, reason = "an example is run as its reader runs it")]

use std::path::Path;
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
    // Cargo builds the examples of a package before it runs its tests, beside the folder of the tests.
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap().join("examples/virtual_time");
    let output = Command::new(built).output().unwrap();

    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for expected in
        ["101 Switching", "\"welcome\"", "\"subscribed\"", "\"event\"", "Back at six", "\"heartbeat\""]
    {
        assert!(text.contains(expected), "{expected} is missing in {text}{said}");
    }
}
