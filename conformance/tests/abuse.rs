//! The abuse suite in short against the mio server; `make abuse` runs it at length.
//!
//! The binary is `TIDINGS_BIN`, or `tidings` beside this test's own binaries; `make test` builds it.

use std::path::PathBuf;
use std::time::Duration;

use tidings_conformance::{AbusePlan, Subject, abuse};

#[tokio::test(flavor = "multi_thread")]
async fn good_clients_miss_nothing_while_the_mio_server_is_attacked() {
    let duration = Duration::from_millis(1_500);
    let report =
        abuse(&AbusePlan { subject: Subject::Binary(binary()), only: None, duration }).await.unwrap();
    assert!(report.is_good(), "{report}:\n{}", report.failed.join("\n"));
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
