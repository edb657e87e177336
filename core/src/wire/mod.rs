//! Bytes to messages and back: HTTP/1.1 (RFC 9112) and WebSocket (RFC 6455), for both roles.
//!
//! Nothing here knows what the application does with a message. Readers are fed from the front of a
//! slice and leave in it what they did not need; encoders append to a buffer of the caller. What two
//! readers could understand differently is refused, and what a peer declares is compared with its
//! limit before anything is allocated for it.

pub mod client;
mod frame;
pub mod http;
mod upgrade;
mod websocket;

pub use frame::{CLOSE_REASON_BYTES_MAX, Frame, binary_into, close_into, ping_into, pong_into, text_into};
pub use tungstenite::{Bytes, Utf8Bytes};
pub use upgrade::{Upgrade, UpgradeError};
pub use websocket::{Close, Message, Reader, Role, Violation, WebSocketLimits};
