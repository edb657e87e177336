//! Socket.IO over WebSocket alone: Engine.IO 4 around it asks every 25 s whether the client is alive.

use tidings_core::wire::client::text_into;

use super::{Dialect, Event, MASK, Role, plain};
use crate::process::{Launch, Place};
use crate::scenario::Run;

/// Engine.IO's packets `ping` and `pong`.
const PING: &[u8] = b"2";
const PONG: &str = "3";
/// Engine.IO's `message` around Socket.IO's `CONNECT` and `EVENT`.
const CONNECT: &str = "40";
const EVENT: &str = "42";

pub(super) struct SocketIo;

impl Dialect for SocketIo {
    fn launch(&self, place: &Place, port: u16) -> Launch {
        plain::node(place, "socket-io.js", port)
    }

    fn target(&self, _: Role) -> String {
        "/socket.io/?EIO=4&transport=websocket".to_owned()
    }

    fn hello(&self, _: &Run, _: Role) -> Vec<u8> {
        let mut out = Vec::new();
        text_into(&mut out, MASK, CONNECT);
        out
    }

    fn is_ready(&self, role: Role, message: &[u8]) -> bool {
        match role {
            Role::Publisher => message.starts_with(CONNECT.as_bytes()),
            Role::Subscriber(_) => message == br#"42["subscribed"]"#,
        }
    }

    fn publish(&self, out: &mut Vec<u8>, event: &Event) {
        text_into(out, MASK, &format!(r#"{EVENT}["publish",{}]"#, event.bare()));
    }

    /// An event that comes before the answer to `CONNECT` costs the connection.
    fn answer(&self, out: &mut Vec<u8>, role: Role, message: &[u8]) {
        if message == PING {
            text_into(out, MASK, PONG);
        } else if role != Role::Publisher && message.starts_with(CONNECT.as_bytes()) {
            text_into(out, MASK, &format!(r#"{EVENT}["subscribe"]"#));
        }
    }
}
