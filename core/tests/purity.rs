//! The core is pure: everything it knows of the world is fed to it. Clippy sees a call of what is
//! forbidden; this sees what clippy does not: the dependencies, the rules themselves, and names that
//! are only mentioned.

#![expect(clippy::disallowed_types, reason = "cargo is asked for the tree, which takes a process")]

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use sources::{none, root, rust, source};

#[rustfmt::skip]
/// Every crate that may be linked into the core, by why it does no harm to purity.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "computes on what it is given",
        &[
            "aho-corasick", "allocator-api2", "base64", "bit-set", "bit-vec", "block-buffer", "borrow-or-share",
            "bytecount", "bytes", "cfg-if", "const-oid", "crypto-common", "data-encoding", "deranged", "digest",
            "email_address", "equivalent", "fancy-regex", "fluent-uri", "form_urlencoded", "fraction", "http",
            "httparse", "hybrid-array", "itoa", "jsonschema-regex", "jsonschema-value", "memchr", "micromap",
            "num", "num-bigint", "num-cmp", "num-complex", "num-conv", "num-integer", "num-iter",
            "num-rational", "num-traits", "once_cell", "outref", "pem", "percent-encoding", "powerfmt",
            "ppv-lite86", "ref-cast", "regex", "regex-automata", "regex-syntax", "scopeguard", "serde",
            "serde_core", "serde_json", "sha1", "sha2", "signature", "simple_asn1", "siphasher", "smallvec",
            "strum", "subtle", "thiserror", "time-core", "typenum", "unicode-general-category", "untrusted",
            "uuid-simd", "vsimd", "zerocopy", "zeroize", "zmij",
        ],
    ),
    ("asks the processor what it can do, and the answer changes the speed alone", &["cpufeatures"]),
    ("names of the system's library for the crates here; the core calls none of them", &["libc"]),
    (
        "verifies signatures, which takes no randomness; keys are made and signatures written in tests alone",
        &["aws-lc-rs", "aws-lc-sys"],
    ),
    (
        "reads the clock only to check `exp` and `nbf`, which is off: the claims are checked against `now`",
        &["jsonwebtoken"],
    ),
    ("reads and writes RFC 3339; clippy forbids the functions that ask its clock", &["time"]),
    (
        "frames and handshakes over memory; a client's masks and keys would be random, and are our own",
        &["tungstenite"],
    ),
    ("under tungstenite, for the masks and keys that we do not let it make", &["rand", "chacha20"]),
    ("the stream of numbers that belongs to a seed", &["rand_chacha", "rand_core"]),
    (
        "entropy: under rand, which is not asked, and under ahash, which keys the tables in which jsonschema \
         looks things up; faults are sorted, so their order does not show",
        &["getrandom", "ahash"],
    ),
    ("built without anything that retrieves: no file, no network", &["jsonschema", "referencing"]),
    ("locks around jsonschema's caches, which one thread takes", &["parking_lot", "parking_lot_core", "lock_api"]),
    ("maps keyed by our own hasher; its default one is not built by us", &["hashbrown", "foldhash"]),
    ("where a library would log; the shell filters it all", &["log"]),
];

/// `cargo tree` of the core as it is linked, in the form `format`.
fn tree(format: &str, more: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--package",
            "tidings-core",
            "--prefix",
            "none",
            "--no-dedupe",
        ])
        // One system's, so that the list is the same everywhere.
        .args(["--edges", "normal,no-proc-macro", "--target", "x86_64-unknown-linux-gnu"])
        .args(["--format", format])
        .args(more)
        .current_dir(root())
        .output()
        .expect("cargo runs the tests, so it is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn only_harmless_crates_are_linked() {
    let allowed: Vec<&str> = ALLOWED.iter().flat_map(|(_, crates)| crates.iter().copied()).collect();
    let linked = tree("{p}", &[]);
    let linked: BTreeSet<&str> = linked.iter().filter_map(|line| line.split(' ').next()).collect();
    assert!(linked.contains("tidings-core"), "an empty tree proves nothing");
    let mut faults = Vec::new();
    for name in linked.iter().filter(|name| **name != "tidings-core" && !allowed.contains(name)) {
        faults.push(format!("{name} is linked: say in ALLOWED why it does no harm, or do without"));
    }
    for name in allowed.iter().filter(|name| !linked.contains(**name)) {
        faults.push(format!("{name} is allowed but not linked: take it off the list"));
    }
    assert_eq!(BTreeSet::from_iter(&allowed).len(), allowed.len(), "a crate has one reason");
    none("the crates under the core are those of ALLOWED", &faults);
}

#[test]
fn libraries_are_built_without_their_sockets_and_files() {
    let forbidden = [
        ("jsonschema", "resolve-http"),
        ("jsonschema", "resolve-file"),
        ("jsonschema", "resolve-async"),
        ("tungstenite", "native-tls"),
        ("tungstenite", "__rustls-tls"),
    ];
    let lines = tree("{p}|{f}", &[]);
    let built: BTreeMap<&str, &str> = lines
        .iter()
        .filter_map(|line| line.split_once('|'))
        .map(|(package, features)| (package.split(' ').next().unwrap_or_default(), features))
        .collect();
    for (name, feature) in forbidden {
        let features = built.get(name).unwrap_or_else(|| panic!("{name} is not linked"));
        assert!(!features.split(',').any(|built| built == feature), "{name} is built with {feature}");
    }
}

#[rustfmt::skip]
#[test]
fn clippy_forbids_what_would_make_the_core_impure() {
    let rules = source("core/clippy.toml").text;
    let (types, methods) = rules.split_once("disallowed-methods").expect("both tables");
    let forbidden_types = [
        "std::time::Instant", "std::time::SystemTime", "std::collections::HashMap", "std::collections::HashSet",
        "std::hash::RandomState", "std::net::TcpStream", "std::net::TcpListener", "std::net::UdpSocket",
        "std::os::unix::net::UnixStream", "std::os::unix::net::UnixListener",
        "std::os::unix::net::UnixDatagram", "std::fs::File", "std::fs::OpenOptions", "std::fs::DirBuilder",
        "std::process::Command", "std::thread::JoinHandle", "std::thread::Builder", "std::sync::Mutex",
        "std::sync::RwLock", "std::sync::Condvar", "std::sync::Barrier", "std::sync::mpsc::Sender",
        "std::sync::mpsc::SyncSender",
    ];
    let forbidden_methods = [
        "std::thread::spawn", "std::thread::scope", "std::thread::sleep", "std::thread::park",
        "std::thread::yield_now", "std::thread::current", "std::env::var", "std::env::var_os", "std::env::vars",
        "std::env::vars_os", "std::env::args", "std::env::args_os", "std::env::current_dir",
        "std::env::temp_dir", "std::fs::read", "std::fs::read_to_string", "std::fs::read_dir", "std::fs::write",
        "std::fs::metadata", "std::fs::create_dir_all", "std::fs::remove_file", "std::fs::rename",
        "std::fs::copy", "std::io::stdin", "std::io::stdout", "std::io::stderr", "std::process::exit",
        "std::process::abort", "std::process::id", "std::net::ToSocketAddrs::to_socket_addrs",
        "time::OffsetDateTime::now_utc", "time::UtcDateTime::now", "jsonwebtoken::get_current_timestamp",
    ];
    let missing = |table: &str, paths: &[&str]| -> Vec<String> {
        let entry = |path: &&&str| !table.contains(&format!("{{ path = \"{path}\", reason = \""));
        paths.iter().filter(entry).map(|path| format!("{path} has no line")).collect()
    };
    none("types that core/clippy.toml forbids", &missing(types, &forbidden_types));
    none("methods that core/clippy.toml forbids", &missing(methods, &forbidden_methods));
}

#[test]
fn the_compiler_forbids_unsafe_code_and_undocumented_items() {
    let lib = source("core/src/lib.rs").text;
    for attribute in ["#![forbid(unsafe_code)]", "#![deny(missing_docs)]"] {
        assert!(lib.lines().any(|line| line == attribute), "core/src/lib.rs says {attribute}");
    }
    assert!(!root().join("core/build.rs").exists(), "what a build script finds out is an input, too");
}

#[rustfmt::skip]
/// Names that need no call to do harm, and ways around the names that clippy knows.
#[test]
fn the_core_names_nothing_of_the_outside() {
    let forbidden = [
        "std::net::Tcp", "std::net::Udp", "std::net::ToSocketAddrs", "std::os", "std::fs", "std::thread",
        "std::env", "std::process", "SystemTime", "std::time::Instant", "std::collections::HashMap",
        "std::collections::HashSet", "std::collections::hash_map", "RandomState", "std::sync::Mutex",
        "std::sync::RwLock", "std::sync::mpsc", "thread_local!", "static mut", "println!", "print!(", "dbg!",
        "option_env!", "getrandom", "ThreadRng", "async fn",
    ];
    let mut faults = Vec::new();
    for source in rust("core/src/") {
        for (number, line) in source.code() {
            for name in forbidden.iter().filter(|name| line.contains(**name)) {
                faults.push(format!("{}:{number}: {name}", source.path));
            }
            // Grouped imports hide the path.
            let grouped = line.trim_start().starts_with("use std::collections::{");
            if grouped && (line.contains("HashMap") || line.contains("HashSet")) {
                faults.push(format!("{}:{number}: a hash table of std", source.path));
            }
            if line.trim_start().starts_with("use std::{") {
                faults.push(format!("{}:{number}: std imported as a whole hides what comes in", source.path));
            }
        }
    }
    none("the core mentions no clock, socket, file, thread, environment, or table of std", &faults);
}
