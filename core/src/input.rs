//! Everything that goes into a hub. A test, a fuzz case and a recorded run are lists of these with
//! their times.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::KeySet;
use crate::history::Record;
use crate::protocol::{ConnId, Epoch, Offset, RequestId};
use crate::stats::Stats;

/// Who is at the other end, as the shell's socket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The peer's address.
    pub address: IpAddr,
    /// Which listener took the connection.
    pub listener: Listener,
}

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Everything.
    All,
    /// Everything but what is for operators, which has a listener of its own.
    Public,
    /// Only what is for operators.
    Operators,
}

/// Something that happened outside. What peers and publishers send is not in the debug form: it may hold tokens.
pub enum Input<'a> {
    /// A connection was accepted. The shell names it, with a slot that is free.
    Accepted {
        /// The connection's name from here on.
        conn: ConnId,
        /// Who it is.
        peer: Peer,
    },
    /// Bytes arrived.
    Received {
        /// On which connection.
        conn: ConnId,
        /// All of them are taken.
        bytes: &'a [u8],
    },
    /// The peer sends nothing more, but may still read.
    Ended {
        /// On which connection.
        conn: ConnId,
    },
    /// The socket is gone.
    Closed {
        /// Whose.
        conn: ConnId,
    },
    /// The log is open: everything up to `begin` is past.
    LogOpened {
        /// The log's epoch.
        epoch: Epoch,
        /// The newest offset before what follows.
        begin: Offset,
    },
    /// Everything that the log still holds has been appended: the hub may serve.
    LogLoaded,
    /// An event is in the log. Offsets ascend strictly; this alone decides what is delivered.
    Appended {
        /// Its place.
        offset: Offset,
        /// The event.
        record: Arc<Record>,
    },
    /// What became of an [`Output::Append`](crate::Output::Append).
    AppendResult {
        /// Which one.
        request: RequestId,
        /// Its offset, or that the log did not take it.
        result: Result<Offset, LogUnavailable>,
    },
    /// Publish an event from inside the process, with every right.
    Publish {
        /// Names the answer, [`Output::Published`](crate::Output::Published).
        request: RequestId,
        /// The publisher's name in deduplication.
        publisher: &'a str,
        /// The event as JSON.
        event: &'a str,
    },
    /// Tokens are verified with these keys from here on; live connections are looked at anew.
    KeysReplaced(KeySet),
    /// The instance leaves: no new connections, and those there are told to reconnect elsewhere.
    Drain,
    /// The instance ends at once.
    Stop,
    /// Time has passed: some deadline may be due, some work may be left.
    Timeout,
    /// How long the shell's last turn took, for the metrics.
    TurnTook(Duration),
    /// The hub takes the place of one that was given up after a panic, and goes on counting where that one
    /// stopped.
    Succeeds(Box<Stats>),
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { conn, peer } => write!(f, "Accepted({conn:?}, {peer:?})"),
            Self::Received { conn, bytes } => write!(f, "Received({conn:?}, {} bytes)", bytes.len()),
            Self::Ended { conn } => write!(f, "Ended({conn:?})"),
            Self::Closed { conn } => write!(f, "Closed({conn:?})"),
            Self::LogOpened { epoch, begin } => write!(f, "LogOpened({epoch:?}, {begin:?})"),
            Self::LogLoaded => f.write_str("LogLoaded"),
            Self::Appended { offset, record } => {
                write!(f, "Appended({offset:?}, {} bytes)", record.event.json().len())
            }
            Self::AppendResult { request, result } => write!(f, "AppendResult({request:?}, {result:?})"),
            Self::Publish { request, publisher, event } => {
                write!(f, "Publish({request:?}, {publisher:?}, {} bytes)", event.len())
            }
            Self::KeysReplaced(_) => f.write_str("KeysReplaced"),
            Self::Drain => f.write_str("Drain"),
            Self::Stop => f.write_str("Stop"),
            Self::Timeout => f.write_str("Timeout"),
            Self::TurnTook(took) => write!(f, "TurnTook({took:?})"),
            Self::Succeeds(_) => f.write_str("Succeeds"),
        }
    }
}

/// The log did not take an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogUnavailable;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_received_is_shown_by_its_length() {
        let conn = ConnId::new(3, 1);
        let input = Input::Received { conn, bytes: b"Authorization: Bearer hush" };
        let shown = format!("{input:?}");
        assert!(shown.contains("26 bytes") && !shown.contains("hush") && !shown.contains("104"), "{shown}");
        let publish = Input::Publish { request: RequestId(1), publisher: "cms", event: "{\"hush\":1}" };
        assert!(!format!("{publish:?}").contains("hush"));
    }
}
