//! NATS over WebSocket: its text protocol in frames, one subject for everyone.

use std::path::PathBuf;

use tidings_core::wire::client::text_into;

use super::{Dialect, Event, MASK, Role};
use crate::process::{Launch, Place};
use crate::scenario::Run;

pub(super) struct Nats;

impl Dialect for Nats {
    fn launch(&self, place: &Place, port: u16) -> Launch {
        let path = place.scratch("nats.conf");
        let text = format!(
            "host: 127.0.0.1\nport: -1\nmax_connections: 100000\nlog_file: /dev/null\n\
             websocket {{ host: 127.0.0.1, port: {port}, no_tls: true }}\n"
        );
        Launch {
            program: PathBuf::from("nats-server"),
            arguments: vec!["--config".to_owned(), path.display().to_string()],
            file: Some((path, text)),
            ..Launch::default()
        }
    }

    fn target(&self, _: Role) -> String {
        "/".to_owned()
    }

    fn hello(&self, _: &Run, role: Role) -> Vec<u8> {
        let subscribe = if role == Role::Publisher { "" } else { "SUB all 1\r\n" };
        let mut out = Vec::new();
        let text = format!("CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\n{subscribe}PING\r\n");
        text_into(&mut out, MASK, &text);
        out
    }

    fn is_ready(&self, _: Role, message: &[u8]) -> bool {
        memchr::memmem::find(message, b"PONG\r\n").is_some()
    }

    fn publish(&self, out: &mut Vec<u8>, event: &Event) {
        let payload = event.bare();
        text_into(out, MASK, &format!("PUB all {}\r\n{payload}\r\n", payload.len()));
    }

    fn answer(&self, out: &mut Vec<u8>, _: Role, message: &[u8]) {
        if message.ends_with(b"PING\r\n") {
            text_into(out, MASK, "PONG\r\n");
        }
    }
}
