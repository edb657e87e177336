//! How a peer is started and spoken to. Everything else is common: WebSocket framing, the mark by which a
//! delivered event is known, counting.

mod limits;
mod nats;
mod nchan;
mod plain;
mod socket_io;
mod sockudo;
mod tidings;

use clap::ValueEnum;
use serde::Deserialize;

use crate::limit::Gather;
use crate::process::{Launch, Place};
use crate::scenario::{Algorithm, Lane, Run};

/// Stands before an event's number, which is ten digits, in whatever a peer delivers: without a quote, since
/// some deliver an event as a text within a text.
pub(crate) const MARK: &[u8] = b"#n=";
/// Digits of an event's number.
pub(crate) const DIGITS: usize = 10;
/// Masking costs a server the same with any mask.
const MASK: [u8; 4] = [0x5a, 0x17, 0xc3, 0x6e];

/// A server that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PeerName {
    /// This project's server.
    Tidings,
    /// One write a message and connection.
    LimitA,
    /// Everything that waits in one write.
    LimitB,
    /// Up to sixteen messages a write.
    LimitB16,
    /// A broadcast on uWebSockets for Node.
    Uws,
    /// A broadcast on npm `ws`.
    Ws,
    /// A broadcast on Socket.IO.
    SocketIo,
    /// NATS over WebSocket.
    Nats,
    /// nginx with nchan.
    Nchan,
    /// A server of the Pusher protocol.
    Sockudo,
}

impl PeerName {
    pub(crate) fn dialect(self, run: &Run) -> Box<dyn Dialect> {
        match self {
            Self::Tidings => Box::new(tidings::Tidings::new(run.storm.unwrap_or(Algorithm::Hs256))),
            Self::LimitA => Box::new(limits::Limit(Gather::One)),
            Self::LimitB => Box::new(limits::Limit(Gather::All)),
            Self::LimitB16 => Box::new(limits::Limit(Gather::Sixteen)),
            Self::Uws => Box::new(plain::Plain("uws.js")),
            Self::Ws => Box::new(plain::Plain("ws.js")),
            Self::SocketIo => Box::new(socket_io::SocketIo),
            Self::Nats => Box::new(nats::Nats),
            Self::Nchan => Box::new(nchan::Nchan),
            Self::Sockudo => Box::new(sockudo::Sockudo),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tidings => "tidings",
            Self::LimitA => "limit-a",
            Self::LimitB => "limit-b",
            Self::LimitB16 => "limit-b16",
            Self::Uws => "uws",
            Self::Ws => "ws",
            Self::SocketIo => "socket-io",
            Self::Nats => "nats",
            Self::Nchan => "nchan",
            Self::Sockudo => "sockudo",
        }
    }
}

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// The one that publishes.
    Publisher,
    /// A subscriber, by number.
    Subscriber(usize),
}

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Ascending over a run.
    pub(crate) number: usize,
    /// Which subscribers get it, where they choose.
    pub(crate) group: usize,
    /// Its priority, where there are any.
    pub(crate) lane: Lane,
    /// How long its JSON is.
    pub(crate) bytes: usize,
}

impl Event {
    /// The event for peers that hand on whatever they are given: its mark, and so many bytes in all.
    fn bare(&self) -> String {
        let head = format!(r##"{{"n":"#n={:0DIGITS$}","pad":""##, self.number);
        let pad = self.bytes.saturating_sub(head.len() + 2);
        format!(r#"{head}{}"}}"#, "x".repeat(pad))
    }
}

/// A request with a body, appended.
fn post(out: &mut Vec<u8>, target: &str, fields: &str, keep_alive: bool, body: &str) {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {connection}\r\n\
         Content-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

/// What a peer needs to be told.
pub(crate) trait Dialect {
    /// The server's command line for a port at loopback.
    fn launch(&self, place: &Place, port: u16) -> Launch;
    /// The target of the upgrade request.
    fn target(&self, role: Role) -> String;
    /// What is sent once the upgrade is answered.
    fn hello(&self, run: &Run, role: Role) -> Vec<u8>;
    /// Whether the connection is ready with this message; an empty one stands for the answer to the upgrade.
    fn is_ready(&self, role: Role, message: &[u8]) -> bool;
    /// Appends what publishes an event.
    fn publish(&self, out: &mut Vec<u8>, event: &Event);
    /// Appends the answer to a message that asks for one: whether the client is alive, or what it wants next.
    fn answer(&self, _out: &mut Vec<u8>, _role: Role, _message: &[u8]) {}
    /// Whether `publish` gives HTTP requests rather than frames.
    fn publishes_over_http(&self) -> bool {
        false
    }
    /// Whether the server keeps a connection over which it was asked to publish; else each event has one of its own.
    fn keeps_publishers(&self) -> bool {
        true
    }
    /// Appends an HTTP request that publishes events, where the peer takes such.
    fn request(&self, _out: &mut Vec<u8>, _events: &[Event], _keep_alive: bool) -> bool {
        false
    }
    /// What a subscriber says first that had everything before the publisher's greeting; nothing where a peer
    /// remembers nothing.
    fn resume(&self, _greeting: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Frames;

    const EVENT: Event = Event { number: 42, group: 0, lane: Lane::Normal, bytes: 300 };

    fn run() -> Run {
        toml::from_str("name = 's'\nconnections = 1").unwrap()
    }

    /// What stands in the frames of `bytes`.
    fn messages(bytes: &[u8]) -> Vec<String> {
        let mut parts = Vec::new();
        let mut rest = bytes;
        while let Some(end) = Frames::ends(rest).first().copied() {
            // A client's frame has its mask between header and payload.
            let masked = rest[1] & 0x80 != 0;
            let header = if rest[1] & 0x7f == 126 { 4 } else { 2 };
            let (frame, behind) = rest.split_at(end + if masked { MASK.len() } else { 0 });
            let payload = frame[header..].iter().copied();
            let text: Vec<u8> = if masked {
                payload.skip(MASK.len()).zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
            } else {
                payload.collect()
            };
            parts.push(String::from_utf8(text).unwrap());
            rest = behind;
        }
        parts
    }

    #[test]
    fn an_event_is_one_frame_with_its_mark_and_its_bytes() {
        for peer in PeerName::value_variants() {
            let dialect = peer.dialect(&run());
            if dialect.publishes_over_http() {
                continue;
            }
            let mut out = Vec::new();
            dialect.publish(&mut out, &EVENT);
            let messages = messages(&out);
            assert_eq!(messages.len(), 1, "{peer:?}");
            assert!(messages[0].contains(r##""n":"#n=0000000042""##), "{peer:?}: {}", messages[0]);
            assert!((300..400).contains(&messages[0].len()), "{peer:?}: {}", messages[0].len());
        }
    }

    #[test]
    fn a_publish_to_nats_says_how_long_it_is() {
        let mut out = Vec::new();
        PeerName::Nats.dialect(&run()).publish(&mut out, &EVENT);
        assert_eq!(messages(&out), [format!("PUB all 300\r\n{}\r\n", EVENT.bare())]);
    }

    #[test]
    fn a_peer_that_asks_whether_the_client_is_alive_is_answered() {
        let asked: [(PeerName, &[u8], &str); 3] = [
            (PeerName::SocketIo, b"2", "3"),
            (PeerName::Nats, b"PING\r\n", "PONG\r\n"),
            (
                PeerName::Sockudo,
                br#"{"event":"pusher:ping","data":"{}"}"#,
                r#"{"event":"pusher:pong","data":{}}"#,
            ),
        ];
        for (peer, question, answer) in asked {
            let mut out = Vec::new();
            peer.dialect(&run()).answer(&mut out, Role::Publisher, question);
            assert_eq!(messages(&out), [answer]);
            let mut out = Vec::new();
            peer.dialect(&run()).answer(&mut out, Role::Publisher, EVENT.bare().as_bytes());
            assert!(out.is_empty(), "an event is no question");
        }
    }

    #[test]
    fn a_subscriber_is_ready_when_its_peer_has_said_so() {
        let said = [
            (PeerName::Ws, "subscribed"),
            (PeerName::Uws, "subscribed"),
            (PeerName::SocketIo, r#"42["subscribed"]"#),
            (PeerName::Nats, "PONG\r\n"),
            (
                PeerName::Sockudo,
                r#"{"event":"pusher_internal:subscription_succeeded","channel":"all","data":"{}"}"#,
            ),
            (PeerName::Tidings, r#"{"type":"subscribed","id":"s","offset":1}"#),
        ];
        for (peer, message) in said {
            let dialect = peer.dialect(&run());
            assert!(dialect.is_ready(Role::Subscriber(0), message.as_bytes()), "{peer:?}");
            assert!(!dialect.is_ready(Role::Subscriber(0), b""), "{peer:?}: the upgrade is not enough");
            assert!(!dialect.is_ready(Role::Subscriber(0), EVENT.bare().as_bytes()), "{peer:?}");
        }
    }
}
