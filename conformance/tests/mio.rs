//! The conformance suite against the mio server, with every server it needs started from its binary.
//!
//! The binary is `TIDINGS_BIN`, or `tidings` beside this test's own binaries; `make test` builds it.

use std::path::PathBuf;

use tidings_conformance::{Plan, Subject, conform};

#[tokio::test(flavor = "multi_thread")]
async fn the_mio_server_keeps_the_protocol() {
    let plan = Plan { subject: Subject::Binary(binary()), section: None, only: None, at_once: 12 };
    let report = conform(&plan).await.unwrap();
    assert!(report.is_good(), "{report}:\n{}", report.failed.join("\n"));
    assert!(report.skipped.is_empty(), "skipped:\n{}", report.skipped.join("\n"));
}

fn binary() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_BIN_EXE_tidings-conformance")).with_file_name("tidings");
    let binary = std::env::var_os("TIDINGS_BIN").map_or_else(beside, PathBuf::from);
    assert!(
        binary.is_file(),
        "{} is not there: `cargo build -p tidings-mio`, or set TIDINGS_BIN",
        binary.display()
    );
    binary
}
