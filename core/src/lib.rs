//! The Tidings protocol as a state machine: bytes and time in, bytes and deadlines out.
//!
//! Nothing here opens a socket, reads a clock, starts a thread or draws randomness; a shell feeds
//! all of it in. The same seed and the same inputs give the same outputs, byte for byte.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod auth;
pub mod client;
pub mod config;
pub mod dedup;
pub mod event;
pub mod history;
pub mod hub;
pub mod input;
pub mod lanes;
pub mod map;
pub mod output;
pub mod pool;
pub mod protocol;
pub mod rng;
pub mod sequencer;
pub mod stats;
pub mod subscription;
pub mod time;
pub mod timers;
pub mod wire;

pub use config::Config;
pub use hub::{Hub, HubError, Transmit};
pub use input::{Input, Listener, LogUnavailable, Peer};
pub use output::{Note, Output};
pub use protocol::{ConnId, Epoch, Offset, PerLane, Position, RequestId};
pub use sequencer::Sequencer;
pub use time::{Instant, Now, UnixTime};
