//! A hub, its clients and the network between them in one process under virtual time.
//!
//! Nothing here sleeps, opens a socket or draws randomness of its own: a [`World`] is a function of its
//! seed and of what is done to it, so two runs of one story give the same bytes. A test reads:
//!
//! ```
//! use tidings_sim::{World, events};
//!
//! let world = World::new();
//! let client = world.connect("ann");
//! client.subscribe("s", &["user.*"]);
//! world.publish(&events::normal(1));
//! assert_eq!(client.events(), [1]);
//! ```
//!
//! - [`World`]: the hub with its log and its clocks.
//! - [`Socket`]: one connection as bytes, and how many of them it takes.
//! - [`Client`]: a WebSocket client on a socket. [`Stream`]: one of Server-Sent Events.
//! - [`Response`]: an answer over HTTP.
//! - [`targets`]: what a fuzzer runs.

mod client;
pub mod events;
mod http;
mod log;
pub mod model;
mod net;
pub mod sim;
mod socket;
mod stream;
pub mod targets;
mod token;
mod websocket;
mod world;

pub use client::Client;
pub use http::{Response, request};
pub use log::LogMode;
pub use socket::Socket;
pub use stream::{Block, Stream};
pub use token::{SECRET, sign};
pub use world::{EPOCH_MS, World};
