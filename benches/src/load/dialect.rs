//! How a peer is started and spoken to. Everything else is common: WebSocket framing, the mark by which a
//! delivered event is known, counting.

mod limits;
mod tidings;

use clap::ValueEnum;

use crate::limit::Gather;
use crate::process::{Launch, Place};
use crate::scenario::Run;

/// Stands before an event's number, which is ten digits, in whatever a peer delivers.
pub(crate) const MARK: &[u8] = b"\"n\":\"";
/// Digits of an event's number.
pub(crate) const DIGITS: usize = 10;
/// Masking costs a server the same with any mask.
const MASK: [u8; 4] = [0x5a, 0x17, 0xc3, 0x6e];

/// A server that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeerName {
    /// This project's server.
    Tidings,
    /// One write a message and connection.
    LimitA,
    /// Everything that waits in one write.
    LimitB,
    /// Up to sixteen messages a write.
    LimitB16,
}

impl PeerName {
    pub(crate) fn dialect(self) -> Box<dyn Dialect> {
        match self {
            Self::Tidings => Box::new(tidings::Tidings::new()),
            Self::LimitA => Box::new(limits::Limit(Gather::One)),
            Self::LimitB => Box::new(limits::Limit(Gather::All)),
            Self::LimitB16 => Box::new(limits::Limit(Gather::Sixteen)),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tidings => "tidings",
            Self::LimitA => "limit-a",
            Self::LimitB => "limit-b",
            Self::LimitB16 => "limit-b16",
        }
    }
}

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The one that publishes.
    Publisher,
    /// A subscriber, by number.
    Subscriber(usize),
}

/// What a peer needs to be told.
pub(crate) trait Dialect {
    /// The server's command line for a port at loopback.
    fn launch(&self, place: &Place, port: u16) -> Launch;
    /// The target of the upgrade request.
    fn target(&self, role: Role) -> String;
    /// What is sent once the upgrade is answered.
    fn hello(&self, run: &Run, role: Role) -> Vec<u8>;
    /// Whether the connection is ready with this message.
    fn is_ready(&self, role: Role, message: &[u8]) -> bool;
    /// Appends what publishes event `number`.
    fn publish(&self, out: &mut Vec<u8>, run: &Run, number: usize);
}
