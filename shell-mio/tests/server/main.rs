//! The loop of the server, tested through the binary and real sockets: crowds, slow and broken peers, a system
//! that runs out of something, signals, and what the log must never show.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is a test; helpers are not marked as such")]

mod bad_input;
mod crowd;
mod footprint;
mod harness;
mod keys;
mod log;
mod peers;
mod signals;
mod system;
mod websocket;
