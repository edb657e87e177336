//! The Tidings protocol as a state machine: bytes and time in, bytes and deadlines out.
//!
//! Nothing here opens a socket, reads a clock, starts a thread or draws randomness; a shell feeds
//! all of it in. The same seed and the same inputs give the same outputs, byte for byte.

pub mod auth;
pub mod client;
pub mod config;
pub mod event;
pub mod map;
pub mod pool;
pub mod protocol;
pub mod rng;
pub mod subscription;
pub mod time;
pub mod wire;

pub use protocol::{ConnId, Epoch, Offset, PerLane, Position};
