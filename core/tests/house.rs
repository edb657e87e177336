//! The rules of the house that no linter knows: what a reviewer would repeat stands here once. They hold for
//! the whole repository.

mod sources;

use sources::{Source, none, root, rust, source, sources, typescript};

/// Lines of a file before its tests; one that grows past it holds two ideas.
const LINES_MAX: usize = 600;

#[test]
fn a_file_opens_with_what_it_is() {
    let opens = |source: &Source| match source.path.rsplit_once('.') {
        Some((_, "rs")) => source.text.starts_with("//! "),
        _ => source.text.trim_start_matches("\"use client\";\n\n").starts_with("/**"),
    };
    let faults: Vec<String> = rust("")
        .iter()
        .chain(&typescript())
        .filter(|source| !opens(source))
        .map(|source| format!("{} opens without a comment", source.path))
        .collect();
    none("a file opens with a paragraph on what it is and which rule it keeps", &faults);
}

#[test]
fn a_file_has_under_600_lines_before_its_tests() {
    let faults: Vec<String> = rust("")
        .iter()
        .map(|source| (source, source.before_tests().lines().count()))
        .chain(typescript().iter().map(|source| (source, source.text.lines().count())))
        .filter(|(_, lines)| LINES_MAX <= *lines)
        .map(|(source, lines)| format!("{} has {lines} lines", source.path))
        .collect();
    none("a file has under 600 lines before its tests", &faults);
}

#[test]
fn nothing_is_left_to_do() {
    // Put together, so that this file does not name them.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK:")];
    let texts = [
        ".rs", ".toml", ".md", ".html", ".mjs", ".js", ".ts", ".tsx", ".css", ".py", ".yml", "/run",
        "Makefile",
    ];
    let mut faults = Vec::new();
    for source in sources(&texts).iter().chain(&scripts()) {
        for (number, line) in (1..).zip(source.text.lines()) {
            if marks.iter().any(|mark| line.contains(mark)) {
                faults.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    none("what is not done is an issue, not a note in a file", &faults);
}

#[test]
fn no_unwrap_outside_tests() {
    let mut faults = Vec::new();
    for source in rust("") {
        for (number, line) in source.code() {
            if line.contains(".unwrap()") || line.contains(".unwrap_err()") {
                faults.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    none("outside of tests, `expect` says the invariant", &faults);
}

#[test]
fn every_member_keeps_the_shared_lints() {
    let rules = source("clippy.toml").text;
    let shared = rules.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut faults = Vec::new();
    for member in members() {
        let manifest = source(&format!("{member}/Cargo.toml")).text;
        if !manifest.contains("[lints]\nworkspace = true") {
            faults.push(format!("{member}/Cargo.toml does not take the workspace's lints"));
        }
        if root().join(&member).join("clippy.toml").exists() {
            let own = source(&format!("{member}/clippy.toml")).text;
            let missing = shared.clone().filter(|rule| !own.lines().any(|line| line == *rule));
            faults.extend(missing.map(|rule| format!("{member}/clippy.toml lacks `{rule}`")));
        }
    }
    none("one set of lints holds for all members", &faults);
}

#[test]
fn every_dependency_has_its_reason() {
    let mut faults = Vec::new();
    let manifests = members().into_iter().map(|member| format!("{member}/Cargo.toml"));
    for path in manifests.chain(["Cargo.toml".to_owned()]) {
        let manifest = source(&path).text;
        let (mut within, mut reason) = (false, false);
        for (number, line) in (1..).zip(manifest.lines()) {
            if line.starts_with('[') {
                within = line.contains("dependencies]");
            }
            // A reason stands above what it is for, which may be several lines.
            reason = line.starts_with('#') || reason && !line.is_empty() && !line.starts_with('[');
            let external = line.contains(" = ") && !line.starts_with("tidings-");
            if within && external && !reason {
                faults.push(format!("{path}:{number}: {line}"));
            }
        }
    }
    // One that the workspace names has its reason there: `serde.workspace = true`.
    faults.retain(|fault| !fault.contains(".workspace = true"));
    none("a dependency has its reason above it", &faults);
}

/// What each part of the core may know. A part that is not here may know all of them: the hub, which carries
/// results between machines that do not know each other.
const KNOWS: &[(&str, &[&str])] = &[
    // The vocabulary, which knows no machine.
    ("time", &[]),
    ("map", &[]),
    ("rng", &["map"]),
    ("event", &["time"]),
    ("protocol", &["config", "event"]),
    ("wire", &["time"]),
    ("stats", &["event", "protocol", "time"]),
    ("config", &["event"]),
    // The machines, which know the vocabulary and not each other.
    ("auth", &["config", "event", "map", "time"]),
    ("client", &["event", "map", "protocol", "rng", "time", "wire"]),
    ("dedup", &["map", "protocol", "rng", "time"]),
    ("history", &["event", "protocol", "time", "wire"]),
    ("lanes", &["event", "map", "protocol", "wire"]),
    ("pool", &["protocol", "rng", "time"]),
    ("sequencer", &["protocol", "rng"]),
    ("subscription", &["event", "map", "protocol"]),
    ("timers", &["protocol", "time"]),
    // What goes in and out names what machines are given.
    ("input", &["auth", "history", "protocol", "stats"]),
    ("output", &["history", "protocol"]),
];

#[test]
fn machines_do_not_know_each_other() {
    let mut faults = Vec::new();
    for source in rust("core/src/") {
        let part = part(&source);
        let Some((_, known)) = KNOWS.iter().find(|(name, _)| *name == part) else { continue };
        for (number, line) in source.code() {
            for named in line.split("crate::").skip(1) {
                let end = named.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(named.len());
                let named = &named[..end];
                if is_part(named) && named != part && !known.contains(&named) {
                    faults.push(format!("{}:{number}: {part} knows {named}", source.path));
                }
            }
        }
    }
    none("dependencies point one way, and machines meet in the hub alone", &faults);
}

/// Which part of the core a file belongs to: `core/src/auth/token.rs` to `auth`.
fn part(source: &Source) -> String {
    let name = source.path.split('/').nth(2).unwrap_or_default();
    name.trim_end_matches(".rs").to_owned()
}

/// Whether `name` is a module of the core, and not something that a macro or a type is called.
fn is_part(name: &str) -> bool {
    let source = root().join("core/src").join(name);
    !name.is_empty() && (source.is_dir() || source.with_extension("rs").is_file())
}

/// The folders of the workspace's members.
fn members() -> Vec<String> {
    let manifest = source("Cargo.toml").text;
    let (_, list) = manifest.split_once("members = [").expect("a workspace has members");
    let (list, _) = list.split_once(']').expect("the list ends");
    let members: Vec<String> = list
        .split(',')
        .map(|name| name.trim().trim_matches('"').to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(members.iter().any(|name| name == "core"), "{members:?}");
    members
}

/// The scripts, which have no endings.
fn scripts() -> Vec<Source> {
    let folder = root().join("scripts").read_dir().expect("the scripts can be listed");
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = folder.map(|entry| name(entry.expect("an entry can be read"))).collect();
    names.sort();
    names.iter().map(|name| source(&format!("scripts/{name}"))).collect()
}
