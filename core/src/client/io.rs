//! What goes into a client and what comes out of it.

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;
use thiserror::Error;

use crate::event::{FilterError, Patterns, Priority};
use crate::protocol::Offset;

/// A token, which no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    /// The token of that text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The token's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A text message for the server. It may hold a token, so its debug form is its length.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(pub String);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// What the application answers to [`ClientOutput::GetToken`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenAnswer {
    /// A token. Also accepted unasked, as after a login.
    Token(Token),
    /// There is none: the user is not logged in.
    Unauthorized,
    /// It could not be obtained at the moment.
    Failed,
}

/// What the shell tells the client.
///
/// What concerns the connection (`Connected`, `ConnectFailed`, `Received`, `Message`, `Closed`) is ignored
/// from the moment that the client lets go of a connection until the next [`ClientOutput::Open`] has been
/// polled; so what an old connection still says is not taken for the new one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientInput<'a> {
    /// Connect, and stay connected. In `unauthorized`, ask for a token again.
    Start,
    /// Disconnect for good. Subscriptions and position stay, so a later start resumes.
    Stop,
    /// The WebSocket is open.
    Connected,
    /// The WebSocket did not open.
    ConnectFailed,
    /// Bytes have arrived that are not a message, as a Ping.
    Received,
    /// A text message has arrived.
    Message(&'a str),
    /// The connection has ended.
    Closed {
        /// The peer's close code, where it sent one.
        code: Option<u16>,
        /// The peer's reason.
        reason: &'a str,
    },
    /// The answer to [`ClientOutput::GetToken`], exactly one for each; or an unasked token.
    Token(TokenAnswer),
    /// The machine has a network.
    Online,
    /// The machine has no network.
    Offline,
    /// The page has become visible, or the machine has woken: the connection may be dead unnoticed.
    Visible,
    /// The instant of [`super::Client::poll_timeout`] has come.
    Timeout,
}

/// Where a client stands. The names are the same in every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientState {
    /// Not started.
    Idle,
    /// Getting a token, opening the connection, or waiting for `welcome`.
    Connecting,
    /// Welcomed.
    Open,
    /// Waiting to connect again.
    Waiting,
    /// Without a network; it connects as soon as there is one.
    Offline,
    /// Without a token that the server accepts; it connects as soon as there is another.
    Unauthorized,
    /// Stopped, by the application or by a fault that a reconnection would repeat.
    Closed,
}

impl ClientState {
    /// The state's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Offline => "offline",
            Self::Unauthorized => "unauthorized",
            Self::Closed => "closed",
        }
    }
}

/// Names a subscription of the application for the life of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub(super) u64);

/// Names a publish for the life of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishId(pub(super) u64);

/// What to subscribe to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscribe {
    /// Which types.
    pub events: Patterns,
    /// A JSON object of dotted path to scalar or array of scalars; none lets all pass.
    pub filter: Option<serde_json::Value>,
    /// How many of the newest events to begin with, at most [`Subscribe::RECENT_MAX`].
    pub recent: u16,
}

impl Subscribe {
    /// The most that `recent` may ask for.
    pub const RECENT_MAX: u16 = 200;
}

/// Why a subscription cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubscribeError {
    /// No pattern is given.
    #[error("a subscription names at least one event type or pattern")]
    NoEvents,
    /// More patterns than a subscription may have.
    #[error("a subscription names at most {max} event types or patterns")]
    TooManyPatterns {
        /// The bound of the configuration.
        max: usize,
    },
    /// The filter is none.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// More recent events than a reply may have.
    #[error("recent is at most {max}", max = Subscribe::RECENT_MAX)]
    Recent,
    /// A bound of the configuration is reached.
    #[error(
        "too many subscriptions: unsubscribe, share equal ones, or raise the client's and server's bounds"
    )]
    TooMany,
}

/// Why an event cannot be taken for publishing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// It is not a JSON object.
    #[error("an event is a JSON object")]
    NotAnObject,
    /// It is larger than one event may be.
    #[error("an event has at most {max} bytes, the message around it included")]
    TooLarge {
        /// The bound of the configuration.
        max: usize,
    },
    /// A bound of the configuration is reached.
    #[error("too many events wait for their answer: wait for some, or raise the client's bounds")]
    TooMany,
}

/// An event that was there before its subscription.
#[derive(Clone, Debug)]
pub struct RecentEvent {
    /// Its place in the log.
    pub offset: Offset,
    /// The event, byte for byte as the server sent it.
    pub event: Box<RawValue>,
}

/// Why events may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// They have left the server's history.
    Expired,
    /// The log has begun anew.
    Epoch,
    /// A reason that this client does not know.
    Other,
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The connection or the client as a whole.
    Client,
    /// A subscription, which has ended by it.
    Subscription(SubscriptionId),
    /// An event, which will not be published.
    Publish(PublishId),
    /// The token.
    Token,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The server answered with an error.
    #[error("{code}: {message}")]
    Server {
        /// The protocol's code.
        code: Box<str>,
        /// The server's words.
        message: Box<str>,
    },
    /// The server sent what the protocol does not allow. The client reconnects.
    #[error("a message of the server is against the protocol: {0}")]
    BadMessage(Box<str>),
    /// The server closed the connection for a fault of this client, which a reconnection would repeat.
    #[error("the server closed with {code} ({reason}): a fault of this client, so it stops")]
    Fault {
        /// The close code.
        code: u16,
        /// The server's words.
        reason: Box<str>,
    },
    /// The server does not accept the token. The client waits for another.
    #[error("the server closed with {code} ({reason}): the client waits for another token")]
    Rejected {
        /// The close code.
        code: u16,
        /// The server's words.
        reason: Box<str>,
    },
    /// The application could not give a token at the moment. The client asks again.
    #[error("no token could be obtained, or only the one that has expired")]
    NoToken,
    /// Outputs were not polled as fast as messages came. The client reconnects and resumes.
    #[error("the application does not keep up: poll outputs faster or raise outputs_max")]
    Overflow,
    /// The client was stopped before the answer came.
    #[error("the client was stopped")]
    Stopped,
}

/// What the client asks of the shell or tells the application.
#[derive(Clone, Debug)]
pub enum ClientOutput {
    /// Give a token, by exactly one [`ClientInput::Token`].
    GetToken,
    /// Open a connection with this token.
    Open {
        /// What to authenticate with.
        token: Token,
    },
    /// Send a text message.
    Send(Text),
    /// Close the connection and forget it.
    Close {
        /// The code to close with.
        code: u16,
    },
    /// The client's state has changed.
    State(ClientState),
    /// A subscription has begun: it sees what is above `offset`.
    Subscribed {
        /// Which one.
        subscription: SubscriptionId,
        /// The end of the log at that moment.
        offset: Offset,
    },
    /// What a subscription asked to begin with, oldest first; comes right after its `Subscribed`.
    Recent {
        /// Which one.
        subscription: SubscriptionId,
        /// The newest matching events up to the subscription's offset.
        events: Vec<Arc<RecentEvent>>,
        /// Whether there were more that did not fit.
        truncated: bool,
    },
    /// An event.
    Event {
        /// Its place in the log.
        offset: Offset,
        /// The lane it came in.
        lane: Priority,
        /// The event, byte for byte as the server sent it.
        event: Box<RawValue>,
        /// The subscriptions that it matches, at least one.
        subscriptions: Vec<SubscriptionId>,
    },
    /// Events may be missing: the application should fetch anew what it shows.
    Gap {
        /// The lane.
        lane: Priority,
        /// What is missing lies above; none where the log has begun anew.
        after: Option<Offset>,
        /// What is missing lies here or below.
        until: Offset,
        /// Why.
        reason: GapReason,
    },
    /// An event is in the log.
    Published {
        /// Which publish.
        publish: PublishId,
        /// The event's id.
        event_id: Box<str>,
        /// Its place in the log.
        offset: Offset,
        /// Whether it was there before.
        duplicate: bool,
    },
    /// Something went wrong.
    Error {
        /// What it is about.
        about: About,
        /// What it is.
        error: ClientError,
    },
}
