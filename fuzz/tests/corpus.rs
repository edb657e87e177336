//! Replays everything that fuzzing has found worth keeping, on stable Rust and without a fuzzer. To replay a
//! finding, put its file into the corpus of its target.

use std::ffi::OsString;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tidings_sim::targets;

fn replay(name: &str) {
    let (_, target) =
        targets::ALL.into_iter().find(|(known, _)| *known == name).expect("a target is in the list");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).expect("every target has a corpus");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a corpus can be listed").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let bytes = fs::read(&file).expect("a corpus can be read");
        let held = catch_unwind(AssertUnwindSafe(|| target(&bytes)));
        assert!(held.is_ok(), "{} breaks a rule, as said above", file.display());
    }
}

#[test]
fn connection() {
    replay("connection");
}

#[test]
fn http() {
    replay("http");
}

#[test]
fn token() {
    replay("token");
}

#[test]
fn filter() {
    replay("filter");
}

#[test]
fn inputs() {
    replay("inputs");
}

#[test]
fn client() {
    replay("client");
}

#[test]
fn every_corpus_is_that_of_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mut known = targets::ALL.map(|(name, _)| OsString::from(name)).to_vec();
    known.sort();
    assert_eq!(names, known);
}
