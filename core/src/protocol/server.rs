//! What the server says: messages to JSON text.

use serde::Serialize;
use serde_json::value::RawValue;

use super::codes::ErrorCode;
use super::ids::{Epoch, Offset, PerLane, Position};
use crate::event::Priority;

/// One message of the server, `event` excepted: that one is built once per event by [`event_payload`].
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ServerMessage<'a> {
    /// The first message of every connection.
    Welcome {
        /// The protocol's version: 1.
        protocol: u32,
        /// The connection's public name, `c_…`.
        connection: &'a str,
        /// The user: the token's `sub`.
        user: &'a str,
        /// The log's epoch.
        epoch: &'a Epoch,
        /// The log's end.
        offset: Offset,
        /// When the server pings, and when it gives up.
        heartbeat: HeartbeatTimes,
        /// The token's `exp` in Unix seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_at: Option<i64>,
    },
    /// A subscription began, or was replaced.
    Subscribed {
        /// The client's name for it.
        id: &'a str,
        /// Only events above it are delivered.
        offset: Offset,
        /// The newest matching events, where asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        recent: Option<Vec<Recent<'a>>>,
        /// Whether a bound on bytes cut `recent`.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        truncated: bool,
    },
    /// The answer to `resume`.
    Resumed {
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// Whether history still covered every lane.
        recovered: bool,
        /// The position that the client adopts.
        position: &'a Position,
        /// Each subscription with where it began, or with its error.
        subscriptions: Vec<Outcome<'a>>,
    },
    /// A subscription ended.
    Unsubscribed {
        /// The client's name for it.
        id: &'a str,
    },
    /// The token was swapped.
    Authenticated {
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// The new token's `exp` in Unix seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_at: Option<i64>,
    },
    /// An event is in the log.
    Published {
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// The event's id.
        event_id: &'a str,
        /// The event's offset.
        offset: Offset,
        /// Whether it had been published before.
        duplicate: bool,
    },
    /// The answer to `ping`.
    Pong {
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    },
    /// Matching events may be missing in `(after, until]`.
    Gap {
        /// In which lane.
        lane: Priority,
        /// What the client has; absent where the epoch changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<Offset>,
        /// From where on nothing is missing.
        until: Offset,
        /// Why.
        reason: GapReason,
    },
    /// Everything that matched up to these offsets has been sent.
    Heartbeat {
        /// Per lane.
        lanes: PerLane<Offset>,
    },
    /// The instance drains.
    Reconnect {
        /// How long to wait before reconnecting, in ms.
        after: u64,
    },
    /// A request was refused.
    Error {
        /// The request's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// What kind of fault.
        code: ErrorCode,
        /// What is wrong.
        message: &'a str,
        /// What exactly, where there is more to say.
        #[serde(skip_serializing_if = "Option::is_none")]
        details: Option<serde_json::Value>,
    },
}

impl ServerMessage<'_> {
    /// The message as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("messages have string keys and plain values only")
    }
}

/// The heartbeat's times in ms.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HeartbeatTimes {
    /// Between two heartbeats of the server.
    pub interval: u64,
    /// Silence after which either side gives up.
    pub timeout: u64,
}

/// One event of `recent` or of a history page.
#[derive(Debug, Serialize)]
pub struct Recent<'a> {
    /// The event's offset.
    pub offset: Offset,
    /// The event.
    pub event: &'a RawValue,
}

/// What became of one subscription of a `resume`.
#[derive(Debug, Serialize)]
pub struct Outcome<'a> {
    /// The client's name for it.
    pub id: &'a str,
    /// Where it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
    /// Why it is not taken up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// An error inside another message.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// What kind of fault.
    pub code: ErrorCode,
    /// What is wrong.
    pub message: String,
    /// What exactly, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

/// Why events may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// History no longer holds them.
    Expired,
    /// The log began anew.
    Epoch,
}

/// What became of one published event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublishResult {
    /// The event's id.
    pub id: Box<str>,
    /// Its offset.
    pub offset: Offset,
    /// Whether it had been published before.
    pub duplicate: bool,
}

/// The `event` message: built once per event and shared by all who receive it.
#[must_use]
pub fn event_payload(offset: Offset, lane: Priority, event_json: &str) -> String {
    format!(r#"{{"type":"event","offset":{offset},"lane":"{lane}","event":{event_json}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_form_of_the_protocol() {
        let gap = ServerMessage::Gap {
            lane: Priority::Low,
            after: Offset::new(100),
            until: Offset::new(110).unwrap(),
            reason: GapReason::Expired,
        };
        assert_eq!(
            gap.to_json(),
            r#"{"type":"gap","lane":"low","after":100,"until":110,"reason":"expired"}"#
        );
        assert_eq!(ServerMessage::Pong { id: None }.to_json(), r#"{"type":"pong"}"#);
        let published = ServerMessage::Published {
            id: Some("p1"),
            event_id: "e",
            offset: Offset::ZERO,
            duplicate: false,
        };
        assert_eq!(
            published.to_json(),
            r#"{"type":"published","id":"p1","eventId":"e","offset":0,"duplicate":false}"#
        );
        assert_eq!(
            event_payload(Offset::ZERO, Priority::Normal, "{}"),
            r#"{"type":"event","offset":0,"lane":"normal","event":{}}"#
        );
    }
}
