//! Events for the checks, and names that no other check uses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The lanes, first to last.
pub(crate) const LANES: [&str; 4] = ["critical", "high", "normal", "low"];

/// A point in time for every field that wants one.
pub(crate) const TIME: &str = "2026-01-02T03:04:05Z";

/// A row of PROTOCOL's table of types: name, priority, required data, optional data.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) lane: &'static str,
    required: &'static str,
    optional: &'static str,
}

const fn row(name: &'static str, lane: &'static str, required: &'static str, optional: &'static str) -> Row {
    Row { name, lane, required, optional }
}

/// The 25 types of PROTOCOL §1. `T` stands for [`TIME`].
pub(crate) const TYPES: [Row; 25] = [
    row(
        "analytics.new_activity",
        "low",
        r#"{"activityId":"a1","eventType":"view","message":"seen","timestamp":T}"#,
        r#"{"details":{"k":1},"timeAgo":"1 min","device":"phone","location":"Lisbon"}"#,
    ),
    row(
        "analytics.traffic_update",
        "low",
        r#"{"period":"1h","pageViews":12,"uniqueVisitors":3,"timestamp":T}"#,
        r#"{"bounceRate":0.5,"topPages":[]}"#,
    ),
    row(
        "analytics.performance_update",
        "low",
        r#"{"metric":"lcp","value":1.5,"timestamp":T}"#,
        r#"{"unit":"s","page":"/","change":-0.25}"#,
    ),
    row(
        "analytics.chart_update",
        "low",
        r#"{"chartId":"c1","dataPoints":[],"timestamp":T}"#,
        r#"{"chartType":"line","period":"1h"}"#,
    ),
    row("content.created", "normal", CONTENT_CREATED, CONTENT_OPTIONAL),
    row("content.updated", "normal", CONTENT_UPDATED, CONTENT_OPTIONAL),
    row("content.published", "normal", CONTENT_PUBLISHED, CONTENT_OPTIONAL),
    row("content.unpublished", "normal", CONTENT_UNPUBLISHED, CONTENT_OPTIONAL),
    row(
        "content.deleted",
        "normal",
        r#"{"contentId":"c1","title":"t","type":"blog","deletedAt":T}"#,
        r#"{"authorId":"u1","deletedBy":"u2"}"#,
    ),
    row(
        "content.status_changed",
        "normal",
        r#"{"contentId":"c1","oldStatus":"draft","newStatus":"review","changedAt":T}"#,
        r#"{"title":"t","changedBy":"u2"}"#,
    ),
    row("user.login", "normal", r#"{"userId":"u1","timestamp":T}"#, SESSION_OPTIONAL),
    row("user.logout", "normal", r#"{"userId":"u1","timestamp":T}"#, SESSION_OPTIONAL),
    row(
        "user.registered",
        "normal",
        r#"{"userId":"u1","email":"u1@example.org","registeredAt":T}"#,
        r#"{"name":"U","role":"editor"}"#,
    ),
    row(
        "user.profile_updated",
        "normal",
        r#"{"userId":"u1","updatedFields":["name"],"updatedAt":T}"#,
        r#"{"updatedBy":"u2"}"#,
    ),
    row(
        "user.password_changed",
        "high",
        r#"{"userId":"u1","changedAt":T}"#,
        r#"{"changedBy":"u2","ipAddress":"192.0.2.1"}"#,
    ),
    row(
        "settings.updated",
        "high",
        r#"{"settingKey":"theme","newValue":"dark","updatedBy":"u1","updatedAt":T}"#,
        r#"{"oldValue":"light","category":"look"}"#,
    ),
    row(
        "settings.backup_created",
        "high",
        r#"{"backupId":"b1","createdAt":T}"#,
        r#"{"size":1024,"createdBy":"u1"}"#,
    ),
    row("settings.backup_restored", "high", r#"{"backupId":"b1","restoredAt":T}"#, r#"{"restoredBy":"u1"}"#),
    row(
        "project.created",
        "normal",
        r#"{"projectId":"p1","name":"n","status":"whatever","createdAt":T}"#,
        r#"{"ownerId":"u1","changes":{"name":"n"}}"#,
    ),
    row(
        "project.updated",
        "normal",
        r#"{"projectId":"p1","name":"n","status":"whatever","updatedAt":T}"#,
        r#"{"ownerId":"u1","changes":{"name":"n"}}"#,
    ),
    row(
        "project.deleted",
        "normal",
        r#"{"projectId":"p1","name":"n","deletedAt":T}"#,
        r#"{"deletedBy":"u1"}"#,
    ),
    row(
        "project.status_changed",
        "normal",
        r#"{"projectId":"p1","oldStatus":"idea","newStatus":"done","changedAt":T}"#,
        r#"{"name":"n","changedBy":"u1"}"#,
    ),
    row(
        "system.health_check",
        "low",
        r#"{"service":"api","status":"healthy","timestamp":T}"#,
        r#"{"latencyMs":12,"details":{"k":1}}"#,
    ),
    row(
        "system.error",
        "critical",
        r#"{"service":"api","message":"down","timestamp":T}"#,
        r#"{"code":"E1","stack":"at x","severity":"high"}"#,
    ),
    row(
        "system.maintenance",
        "critical",
        r#"{"message":"soon","startsAt":T}"#,
        r#"{"endsAt":T,"affectedServices":["api"]}"#,
    ),
];

const CONTENT_CREATED: &str =
    r#"{"contentId":"c1","title":"t","type":"blog","status":"draft","authorId":"u1","createdAt":T}"#;
const CONTENT_UPDATED: &str =
    r#"{"contentId":"c1","title":"t","type":"blog","status":"review","authorId":"u1","updatedAt":T}"#;
const CONTENT_PUBLISHED: &str =
    r#"{"contentId":"c1","title":"t","type":"page","status":"published","authorId":"u1","publishedAt":T}"#;
const CONTENT_UNPUBLISHED: &str =
    r#"{"contentId":"c1","title":"t","type":"page","status":"archived","authorId":"u1","unpublishedAt":T}"#;
const CONTENT_OPTIONAL: &str = r#"{"slug":"t","tags":["news"],"changes":{"title":"t"}}"#;
const SESSION_OPTIONAL: &str =
    r#"{"email":"u1@example.org","ipAddress":"192.0.2.1","userAgent":"curl","location":"Lisbon"}"#;

impl Row {
    /// The row of a type.
    pub(crate) fn named(name: &str) -> &'static Self {
        TYPES.iter().find(|row| row.name == name).expect("checks name types of the table")
    }

    /// Data with every required key.
    pub(crate) fn required(&self) -> Value {
        parse(self.required)
    }

    /// The optional keys.
    pub(crate) fn optional(&self) -> Value {
        parse(self.optional)
    }
}

fn parse(text: &str) -> Value {
    let text = text.replace(":T", &format!(":\"{TIME}\""));
    serde_json::from_str(&text).expect("the table holds JSON")
}

/// An event of this type with its required data.
pub(crate) fn sample(name: &str) -> Value {
    json!({"type": name, "data": Row::named(name).required()})
}

/// A `settings.updated` event that a filter on `settingKey` finds; `newValue` is free for the check's use.
pub(crate) fn marked(mark: &str, lane: &str, value: impl Into<Value>) -> Value {
    json!({"type": "settings.updated", "priority": lane,
        "data": {"settingKey": mark, "newValue": value.into(), "updatedBy": "u1", "updatedAt": TIME}})
}

/// A name that nobody else uses: not in this process, and not in another against the same server.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{prefix}-{}-{nanos:x}-{number}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_table_has_25_types_with_data() {
        let names: HashSet<_> = TYPES.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), 25);
        for row in &TYPES {
            assert!(row.required().is_object() && row.optional().is_object(), "{}", row.name);
            assert!(LANES.contains(&row.lane));
        }
    }

    #[test]
    fn unique_names_differ() {
        assert_ne!(unique("a"), unique("a"));
    }
}
