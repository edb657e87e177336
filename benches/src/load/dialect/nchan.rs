//! nginx with nchan, publishing and subscribing over WebSocket.

use std::path::PathBuf;

use tidings_core::wire::client::{ping_into, text_into};

use super::{Dialect, Event, MASK, Role};
use crate::process::{Launch, Place};
use crate::scenario::Run;

/// Where Debian puts it.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

pub(super) struct Nchan;

impl Dialect for Nchan {
    /// One process, so that its cost is all there is; a buffer as deep as a subscriber may be behind.
    fn launch(&self, place: &Place, port: u16) -> Launch {
        let path = place.scratch("nginx.conf");
        let folder = path.parent().unwrap_or(&path).display().to_string();
        let text = format!(
            r#"load_module {MODULE};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
worker_rlimit_nofile 100000;
events {{ worker_connections 65536; }}
http {{
    access_log off;
    nchan_shared_memory_size 512M;
    server {{
        listen 127.0.0.1:{port};
        location = /publish {{
            nchan_publisher websocket;
            nchan_channel_id all;
            nchan_message_buffer_length 10000;
        }}
        location = /subscribe {{
            nchan_subscriber websocket;
            nchan_websocket_ping_interval 30;
            nchan_channel_id all;
            nchan_subscriber_first_message newest;
        }}
    }}
}}
"#
        );
        Launch {
            program: PathBuf::from("nginx"),
            arguments: ["-p", &folder, "-e", "stderr", "-c", &path.display().to_string()]
                .map(str::to_owned)
                .into(),
            file: Some((path, text)),
            ..Launch::default()
        }
    }

    fn target(&self, role: Role) -> String {
        if role == Role::Publisher { "/publish".to_owned() } else { "/subscribe".to_owned() }
    }

    /// A ping, which is answered: one message there and one back, as with all others.
    fn hello(&self, _: &Run, role: Role) -> Vec<u8> {
        let mut out = Vec::new();
        if role != Role::Publisher {
            ping_into(&mut out, MASK, b"");
        }
        out
    }

    /// It has subscribed whom it upgrades.
    fn is_ready(&self, _: Role, _: &[u8]) -> bool {
        true
    }

    fn publish(&self, out: &mut Vec<u8>, event: &Event) {
        text_into(out, MASK, &event.bare());
    }
}
