//! The protocol's messages as the client reads and writes them (PROTOCOL §2–4).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::io::GapReason;
use crate::event::Priority;
use crate::protocol::{Epoch, Offset, PerLane, Position};

/// A message of the server that is against the protocol.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct BadMessage(pub(super) Box<str>);

impl From<serde_json::Error> for BadMessage {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string().into())
    }
}

impl From<&str> for BadMessage {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// The part by which messages are told apart.
#[derive(Debug, Deserialize)]
pub(super) struct Head<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Welcome {
    pub(super) protocol: u32,
    pub(super) heartbeat: HeartbeatTimes,
    pub(super) epoch: Box<str>,
    pub(super) expires_at: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct HeartbeatTimes {
    /// Milliseconds.
    pub(super) timeout: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Subscribed<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    pub(super) offset: Offset,
    #[serde(borrow, default)]
    pub(super) recent: Vec<OffsetEvent<'a>>,
    #[serde(default)]
    pub(super) truncated: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct OffsetEvent<'a> {
    pub(super) offset: Offset,
    #[serde(borrow)]
    pub(super) event: &'a RawValue,
}

#[derive(Debug, Deserialize)]
pub(super) struct Resumed<'a> {
    pub(super) recovered: bool,
    pub(super) position: WirePosition,
    #[serde(borrow)]
    pub(super) subscriptions: Vec<ResumedSubscription<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WirePosition {
    epoch: Box<str>,
    lanes: PerLane<Offset>,
}

impl WirePosition {
    pub(super) fn read(&self) -> Result<Position, BadMessage> {
        let epoch = Epoch::new(&self.epoch).ok_or("an epoch is 1-64 characters of A-Z a-z 0-9 _ -")?;
        Ok(Position { epoch, lanes: self.lanes })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ResumedSubscription<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    pub(super) offset: Option<Offset>,
    #[serde(borrow)]
    pub(super) error: Option<Fault<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Fault<'a> {
    #[serde(borrow)]
    pub(super) code: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) message: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Unsubscribed<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Authenticated {
    pub(super) expires_at: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Published<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    pub(super) event_id: Box<str>,
    pub(super) offset: Offset,
    #[serde(default)]
    pub(super) duplicate: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    pub(super) offset: Offset,
    pub(super) lane: Priority,
    #[serde(borrow)]
    pub(super) event: &'a RawValue,
}

#[derive(Debug, Deserialize)]
pub(super) struct Gap<'a> {
    pub(super) lane: Priority,
    pub(super) after: Option<Offset>,
    pub(super) until: Offset,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

impl Gap<'_> {
    pub(super) fn reason(&self) -> GapReason {
        match &*self.reason {
            "expired" => GapReason::Expired,
            "epoch" => GapReason::Epoch,
            _ => GapReason::Other,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Heartbeat {
    pub(super) lanes: PerLane<Offset>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Reconnect {
    /// Milliseconds.
    pub(super) after: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorMessage<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) code: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) message: Cow<'a, str>,
}

/// What the client sends.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Request<'a> {
    Subscribe {
        id: &'a str,
        events: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        filter: Option<&'a serde_json::Value>,
        #[serde(skip_serializing_if = "is_zero")]
        recent: u16,
    },
    Resume {
        id: &'a str,
        since: &'a Position,
        subscriptions: Vec<ResumeEntry<'a>>,
    },
    Unsubscribe {
        id: &'a str,
    },
    Auth {
        id: &'a str,
        token: &'a str,
    },
    Ping,
    Publish {
        id: &'a str,
        event: &'a serde_json::Value,
    },
}

/// One subscription of a resume.
#[derive(Debug, Serialize)]
pub(super) struct ResumeEntry<'a> {
    pub(super) id: &'a str,
    pub(super) from: Offset,
    pub(super) events: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<&'a serde_json::Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl Request<'_> {
    pub(super) fn encode(&self) -> String {
        serde_json::to_string(self).expect("requests have string keys only and no failing serializer")
    }
}
