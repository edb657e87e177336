//! Everything that comes out of a hub but bytes: small commands to the shell.

use std::sync::Arc;

use crate::history::Record;
use crate::protocol::{ConnId, Failure, PublishResult, RequestId};

/// Something that the shell shall do.
#[derive(Debug)]
pub enum Output {
    /// The connection has bytes to send: poll and write until there are none or the socket is full, then
    /// again when it can take more. Said once, until a poll has given nothing.
    Transmit(ConnId),
    /// Stop reading from the connection: what it sent is more than is being worked on.
    Pause(ConnId),
    /// Read again.
    Resume(ConnId),
    /// Everything is written: send FIN, and go on reading.
    Finish(ConnId),
    /// Close the socket. The name is void.
    Close(ConnId),
    /// Append an event to the log; answer with `Appended`, then `AppendResult`.
    Append {
        /// Names the answer.
        request: RequestId,
        /// The event.
        record: Arc<Record>,
    },
    /// What became of an [`Input::Publish`](crate::Input::Publish).
    Published {
        /// Which one.
        request: RequestId,
        /// Where the event is, or why it is not.
        result: Result<PublishResult, Failure>,
    },
    /// Nothing is left to drain: the process may end.
    Drained,
    /// Something worth a line in the log, without secrets and without event data.
    Note(Note),
}

/// Something worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A user's connection began.
    Connected {
        /// The connection's public name.
        connection: Box<str>,
        /// The token's `sub`.
        user: Box<str>,
    },
    /// A handshake failed.
    Refused {
        /// A stable word.
        reason: &'static str,
    },
    /// A user's connection ended with a close code.
    Ended {
        /// The connection's public name.
        connection: Box<str>,
        /// The close code, where one was sent or received.
        code: Option<u16>,
    },
    /// Parsing for one connection panicked; the connection is closed.
    Panicked,
}
