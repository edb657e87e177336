//! Libraries whose server is a script of a few lines (`benches/peers`): what the publisher sends is handed on
//! as it is, and a subscriber's message is answered.

use std::path::PathBuf;

use tidings_core::wire::client::text_into;

use super::{Dialect, Event, MASK, Role};
use crate::process::{Launch, Place};
use crate::scenario::Run;

/// The script.
pub(super) struct Plain(pub(super) &'static str);

/// The command line of a script under Node.
pub(super) fn node(place: &Place, script: &str, port: u16) -> Launch {
    let script = place.peers.join(script).display().to_string();
    Launch {
        program: PathBuf::from("node"),
        arguments: vec![script, "127.0.0.1".to_owned(), port.to_string()],
        ..Launch::default()
    }
}

impl Dialect for Plain {
    fn launch(&self, place: &Place, port: u16) -> Launch {
        node(place, self.0, port)
    }

    fn target(&self, role: Role) -> String {
        if role == Role::Publisher { "/publish".to_owned() } else { "/".to_owned() }
    }

    fn hello(&self, _: &Run, role: Role) -> Vec<u8> {
        let mut out = Vec::new();
        if role != Role::Publisher {
            text_into(&mut out, MASK, "subscribe");
        }
        out
    }

    fn is_ready(&self, role: Role, message: &[u8]) -> bool {
        role == Role::Publisher || message == b"subscribed"
    }

    fn publish(&self, out: &mut Vec<u8>, event: &Event) {
        text_into(out, MASK, &event.bare());
    }
}
