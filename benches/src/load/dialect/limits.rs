//! The bare loops. The publisher sends frames as they are to be delivered, of the size that this
//! project's server delivers, and the loop hands them on.

use std::env;

use tidings_core::wire::{client, text_into};

use super::{Dialect, Event, MASK, Role};
use crate::limit::Gather;
use crate::process::{Launch, Place};
use crate::scenario::Run;

/// What the `event` message adds to the event: `{"type":"event","offset":12345,"lane":"normal","event":}`.
const ENVELOPE: usize = 56;

pub(super) struct Limit(pub(super) Gather);

impl Dialect for Limit {
    fn launch(&self, _: &Place, port: u16) -> Launch {
        let gather = match self.0 {
            Gather::One => "one",
            Gather::Sixteen => "sixteen",
            Gather::All => "all",
        };
        Launch {
            program: env::current_exe().unwrap_or_default(),
            arguments: ["limit", "--port", &port.to_string(), "--gather", gather].map(str::to_owned).into(),
            ..Launch::default()
        }
    }

    fn target(&self, role: Role) -> String {
        if role == Role::Publisher { "/publish".to_owned() } else { "/".to_owned() }
    }

    /// One message there and one back, as any protocol has them: a socket that has answered acknowledges later than
    /// one that only listens, and that is a tenth of what a delivery costs.
    fn hello(&self, _: &Run, role: Role) -> Vec<u8> {
        let mut out = Vec::new();
        if role != Role::Publisher {
            client::text_into(&mut out, MASK, "subscribe");
        }
        out
    }

    fn is_ready(&self, role: Role, message: &[u8]) -> bool {
        role == Role::Publisher || message == b"subscribed"
    }

    fn publish(&self, out: &mut Vec<u8>, event: &Event) {
        text_into(out, &Event { bytes: event.bytes + ENVELOPE, ..*event }.bare());
    }
}
