//! Every peer that is installed gets a short load, and delivers all of it.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const SCENARIO: &str = r#"
[common]
connections = 20
seconds = 1.0
warm_up = 0.2

[[run]]
name = "one at a time"
window = 1

[[run]]
name = "gathered"
window = 64
"#;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn module(name: &str) -> bool {
    on_path("node") && folder().join("node_modules").join(name).is_dir()
}

/// Loads a peer, and gives what it reports.
fn load(peer: &str) -> Vec<Value> {
    let scenario = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{peer}.toml"));
    fs::write(&scenario, SCENARIO).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tidings-load"))
        .arg("run")
        .arg(&scenario)
        .args(["--rounds", "1", "--peers", peer, "--peers-folder"])
        .arg(folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{peer}: {said}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn delivers_everything(peer: &str, installed: bool) {
    if !installed {
        eprintln!("{peer} is not installed");
        return;
    }
    let reports = load(peer);
    assert_eq!(reports.len(), 2, "{peer}");
    for report in reports {
        assert!(0 < report["delivered"].as_u64().unwrap(), "{report}");
        for fault in ["lost", "repeated", "out_of_order"] {
            assert_eq!(report[fault], 0, "{report}");
        }
    }
}

#[test]
fn the_bare_loops_deliver_everything() {
    ["limit-a", "limit-b", "limit-b16"].into_iter().for_each(|peer| delivers_everything(peer, true));
}

#[test]
fn libraries_deliver_everything() {
    delivers_everything("ws", module("ws"));
    delivers_everything("socket-io", module("socket.io"));
    delivers_everything("uws", module("uwebsockets"));
}

#[test]
fn servers_deliver_everything() {
    delivers_everything("nats", on_path("nats-server"));
    let nchan = Path::new("/usr/lib/nginx/modules/ngx_nchan_module.so").is_file();
    delivers_everything("nchan", on_path("nginx") && nchan);
    delivers_everything("sockudo", on_path("sockudo"));
}
