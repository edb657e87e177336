//! PROTOCOL walked section by section over real sockets, against any server.
//!
//! A check is one sentence of PROTOCOL seen from outside: it speaks to a server over loopback with
//! clients that the project did not write, waits for conditions and never for time, and is
//! independent of every other check, so that all of them run at once against one server. Checks
//! that need other settings start a server of their own where a binary is given, and are listed
//! as skipped where only an address is.
//!
//! ```no_run
//! # async fn example() -> Result<(), tidings_conformance::SetupError> {
//! use tidings_conformance::{Plan, Subject};
//!
//! let subject = Subject::Binary("target/debug/tidings".into());
//! let report = tidings_conformance::conform(&Plan { subject, section: None, only: None, at_once: 8 }).await?;
//! assert!(report.is_good());
//! # Ok(()) }
//! ```

mod abuse;
mod checks;
mod client;
mod events;
mod external;
mod http;
mod lab;
mod outcome;
mod raw;
mod runner;
mod tokens;

pub use lab::{SetupError, Subject};
pub use runner::{AbusePlan, Plan, Report, abuse, attacks, checks, conform};
