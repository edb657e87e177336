//! Valid events, one type a lane, each with a number by which a test knows it again.

use serde_json::{Value, json};

const AT: &str = "2026-01-31T08:09:10Z";

fn event(event_type: &str, mut data: Value, n: u64) -> Value {
    data["n"] = n.into();
    json!({"type": event_type, "data": data})
}

/// `system.error`, of lane `critical`.
#[must_use]
pub fn critical(n: u64) -> Value {
    event("system.error", json!({"service": "api", "message": "down", "timestamp": AT}), n)
}

/// `settings.updated`, of lane `high`.
#[must_use]
pub fn high(n: u64) -> Value {
    let data = json!({"settingKey": "theme", "newValue": "dark", "updatedBy": "ann", "updatedAt": AT});
    event("settings.updated", data, n)
}

/// `user.login`, of lane `normal`.
#[must_use]
pub fn normal(n: u64) -> Value {
    event("user.login", json!({"userId": format!("u{n}"), "timestamp": AT}), n)
}

/// `analytics.new_activity`, of lane `low`.
#[must_use]
pub fn low(n: u64) -> Value {
    let data = json!({"activityId": "a", "eventType": "page_view", "message": "seen", "timestamp": AT});
    event("analytics.new_activity", data, n)
}

/// `system.health_check` of a service, of lane `low`: conflated by its service.
#[must_use]
pub fn health(service: &str, n: u64) -> Value {
    event("system.health_check", json!({"service": service, "status": "healthy", "timestamp": AT}), n)
}

/// The event with another value in its data.
#[must_use]
pub fn with(mut event: Value, key: &str, value: impl Into<Value>) -> Value {
    event["data"][key] = value.into();
    event
}

/// The event with another attribute.
#[must_use]
pub fn attribute(mut event: Value, name: &str, value: impl Into<Value>) -> Value {
    event[name] = value.into();
    event
}

/// The number of an event, as it was published or as it arrived.
#[must_use]
pub fn number(event: &Value) -> Option<u64> {
    event["data"]["n"].as_u64()
}
