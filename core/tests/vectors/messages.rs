//! The server's messages in the forms that they can have, written by the types that the server writes them with.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tidings_core::event::Priority;
use tidings_core::protocol::{
    Epoch, ErrorCode, Failure, GapReason, HeartbeatTimes, Offset, Outcome, PerLane, Position, Recent,
    ServerMessage, event_payload,
};

pub(crate) fn offset(number: u64) -> Offset {
    Offset::new(number).unwrap()
}

fn epoch(name: &str) -> Epoch {
    Epoch::new(name).unwrap()
}

/// Offsets of `critical`, `high`, `normal` and `low`.
pub(crate) fn lanes([critical, high, normal, low]: [u64; 4]) -> PerLane<Offset> {
    PerLane { critical: offset(critical), high: offset(high), normal: offset(normal), low: offset(low) }
}

pub(crate) fn welcome(name: &str, expires_at: Option<i64>) -> String {
    let heartbeat = HeartbeatTimes { interval: 30_000, timeout: 60_000 };
    let epoch = &epoch(name);
    let (connection, user) = ("c_1", "u1");
    let offset = offset(10);
    ServerMessage::Welcome { protocol: 1, connection, user, epoch, offset, heartbeat, expires_at }.to_json()
}

pub(crate) fn subscribed(id: &str, from: u64) -> String {
    ServerMessage::Subscribed { id, offset: offset(from), recent: None, truncated: false }.to_json()
}

/// The events of `recent` are numbered by their offsets.
pub(crate) fn subscribed_with(id: &str, from: u64, recent: &[u64], truncated: bool) -> String {
    let events: Vec<Box<RawValue>> = recent
        .iter()
        .map(|number| RawValue::from_string(content(*number, "blog").to_string()).unwrap())
        .collect();
    let recent = recent.iter().zip(&events);
    let recent = recent.map(|(number, event)| Recent { offset: offset(*number), event }).collect();
    ServerMessage::Subscribed { id, offset: offset(from), recent: Some(recent), truncated }.to_json()
}

/// What a `resumed` says of a subscription: where it began, or why it is not taken up.
pub(crate) type Resumed<'a> = (&'a str, Result<u64, ErrorCode>);

pub(crate) fn resumed(recovered: bool, name: &str, at: [u64; 4], of: &[Resumed<'_>]) -> String {
    let position = &Position { epoch: epoch(name), lanes: lanes(at) };
    let subscriptions = of
        .iter()
        .map(|(id, result)| Outcome {
            id,
            offset: result.ok().map(offset),
            error: result.err().map(|code| Failure {
                code,
                message: "the grant does not cover it".to_owned(),
                details: Some(json!(["content.*"])),
            }),
        })
        .collect();
    ServerMessage::Resumed { id: Some("#2"), recovered, position, subscriptions }.to_json()
}

pub(crate) fn heartbeat(at: [u64; 4]) -> String {
    ServerMessage::Heartbeat { lanes: lanes(at) }.to_json()
}

pub(crate) fn gap(lane: Priority, after: Option<u64>, until: u64) -> String {
    let reason = if after.is_some() { GapReason::Expired } else { GapReason::Epoch };
    ServerMessage::Gap { lane, after: after.map(offset), until: offset(until), reason }.to_json()
}

pub(crate) fn error(id: Option<&str>, code: ErrorCode) -> String {
    let details = (code == ErrorCode::InvalidEvent)
        .then(|| json!([{"index": 0, "path": "$.data.title", "message": "is required"}]));
    ServerMessage::Error { id, code, message: "as the server says", details }.to_json()
}

pub(crate) fn published(id: &str, event_id: &str, at: u64, duplicate: bool) -> String {
    ServerMessage::Published { id: Some(id), event_id, offset: offset(at), duplicate }.to_json()
}

pub(crate) fn event(number: u64, lane: Priority, kind: &str) -> String {
    event_payload(offset(number), lane, &content(number, kind).to_string())
}

/// A piece of content as it is delivered, numbered.
pub(crate) fn content(number: u64, kind: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("e{number}"),
        "source": "/tidings",
        "type": "content.deleted",
        "time": "2026-01-31T08:09:10Z",
        "priority": "normal",
        "data": {"contentId": format!("c{number}"), "title": "Title", "type": kind, "deletedAt": "2026-01-31T08:09:10Z"},
    })
}
