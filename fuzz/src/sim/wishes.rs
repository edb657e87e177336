//! What simulated people want: events worth publishing, and subscriptions that they match. Values are few, so
//! that filters match often, and each event carries a number of its own.

use serde_json::{Value, json};
use tidings_core::client::Subscribe;
use tidings_core::event::{Pattern, Patterns};

use super::draw::Draw;
use super::scenario::Settings;

const AT: &str = "2026-01-31T08:09:10Z";
const SOURCES: [&str; 3] = ["/a", "/b", "/tidings"];
const SERVICES: [&str; 2] = ["api", "db"];

/// All kinds of events, as bits.
pub(crate) const KINDS: u16 = (1 << 14) - 1;
/// Those that conflation may replace, and `critical`.
pub(crate) const CONFLATED: u16 = 0b11_1100_0000_0001;
/// Those of `high`, `normal` and `low` of which none replaces another.
pub(crate) const LASTING: u16 = 0b10_1111_1100;

/// An event that is valid, numbered `n`, of one of the kinds that `settings` allow. Without `id`.
pub(crate) fn event(draw: &mut Draw<'_>, n: u64, settings: &Settings) -> Value {
    let one = |draw: &mut Draw<'_>, texts: &[&str]| (*draw.pick(texts)).to_owned();
    let id = format!("c{}", draw.below(3));
    let service = one(draw, &SERVICES);
    let kinds: Vec<u16> = (0..14).filter(|kind| settings.mix & 1 << kind != 0).collect();
    let (name, mut data) = match *draw.pick(&kinds) {
        0 => ("system.error", json!({"service": service, "message": "down", "timestamp": AT})),
        1 => ("system.maintenance", json!({"message": "soon", "startsAt": AT})),
        2 => (
            "settings.updated",
            json!({"settingKey": one(draw, &["theme", "locale"]), "newValue": 1, "updatedBy": "u0", "updatedAt": AT}),
        ),
        3 => ("user.password_changed", json!({"userId": id, "changedAt": AT})),
        4 => (
            "content.updated",
            json!({"contentId": id, "title": "T", "type": one(draw, &["blog", "page"]), "status": "draft",
                "authorId": "u1", "updatedAt": AT}),
        ),
        5 => (
            "content.published",
            json!({"contentId": id, "title": "T", "type": "blog", "status": "published", "authorId": "u1",
                "publishedAt": AT}),
        ),
        6 => ("content.deleted", json!({"contentId": id, "title": "T", "type": "page", "deletedAt": AT})),
        7 => ("user.login", json!({"userId": id, "timestamp": AT})),
        8 => (
            "project.status_changed",
            json!({"projectId": id, "oldStatus": "on", "newStatus": "off", "changedAt": AT}),
        ),
        9 => (
            "analytics.new_activity",
            json!({"activityId": id, "eventType": "page_view", "message": "seen", "timestamp": AT}),
        ),
        10 => ("analytics.chart_update", json!({"chartId": id, "dataPoints": [1, 2], "timestamp": AT})),
        11 => (
            "analytics.performance_update",
            json!({"metric": one(draw, &["lcp", "cls"]), "page": one(draw, &["/", "/x"]), "value": 1.5, "timestamp": AT}),
        ),
        12 => (
            "analytics.traffic_update",
            json!({"period": one(draw, &["today", "week"]), "pageViews": 7, "uniqueVisitors": 3, "timestamp": AT}),
        ),
        _ => ("system.health_check", json!({"service": service, "status": "healthy", "timestamp": AT})),
    };
    data["n"] = n.into();
    extras(draw, &mut data, settings.padding);
    let mut event = json!({"type": name, "data": data});
    if draw.chance(600) {
        event["source"] = one(draw, &SOURCES).into();
    }
    if draw.chance(300) {
        event["subject"] = one(draw, &["s0", "s1"]).into();
    }
    if draw.chance(80) {
        event["priority"] = one(draw, &["critical", "high", "normal", "low"]).into();
    }
    event
}

fn extras(draw: &mut Draw<'_>, data: &mut Value, padding: usize) {
    match draw.below(20) {
        0 => {}
        1 => data["tenantId"] = json!(["t0", "t1"]),
        2..11 => data["tenantId"] = "t0".into(),
        _ => data["tenantId"] = "t1".into(),
    }
    match draw.below(4) {
        0 => data["level"] = 1.into(),
        1 => data["level"] = json!(1.0),
        2 => data["level"] = "1".into(),
        _ => {}
    }
    if draw.chance(300) {
        data["tags"] = json!(["x", *draw.pick(&["y", "z"])]);
    }
    if draw.chance(200) {
        data["where"] = json!({"room": draw.below(2)});
    }
    if 0 < padding && draw.chance(400) {
        data["pad"] = "x".repeat(1 + draw.index(padding)).into();
    }
}

/// Patterns that somebody may ask for.
pub(crate) fn patterns(draw: &mut Draw<'_>) -> Vec<&'static str> {
    const ALL: [&str; 13] = [
        "*",
        "*",
        "content.*",
        "content.updated",
        "system.*",
        "system.error",
        "system.health_check",
        "analytics.*",
        "analytics.chart_update",
        "user.*",
        "settings.updated",
        "project.status_changed",
        "user.login",
    ];
    let count = draw.range(1, 3);
    (0..count).map(|_| *draw.pick(&ALL)).collect()
}

/// A filter; null lets all pass.
pub(crate) fn filter(draw: &mut Draw<'_>, filters: u32) -> Value {
    if !draw.chance(filters) {
        return Value::Null;
    }
    let mut filter = match draw.below(9) {
        0 => json!({"tenantId": "t0"}),
        1 => json!({"tenantId": ["t0", "t1"]}),
        2 => json!({"level": 1}),
        3 => json!({"level": [1, "1", true]}),
        4 => json!({"tags": "y"}),
        5 => json!({"@subject": "s0"}),
        6 => json!({"@source": ["/a", "/tidings"]}),
        7 => json!({"where.room": 0}),
        _ => json!({"service": "api"}),
    };
    if draw.chance(300) {
        filter["tenantId"] = "t1".into();
    }
    filter
}

/// A subscription as a client machine takes it and its server does, with its patterns and filter as JSON.
pub(crate) fn subscription(draw: &mut Draw<'_>, settings: &Settings) -> (Subscribe, Value, Value) {
    let texts = patterns(draw);
    let filter = filter(draw, settings.filters);
    let parsed = texts.iter().map(|text| Pattern::parse(text).expect("the patterns above are patterns"));
    let most = u16::try_from(settings.config.limits.recent).unwrap_or(u16::MAX);
    let recent = if draw.chance(250) { u16::try_from(draw.scaled(1, 200)).unwrap_or(1) } else { 0 };
    let wanted = Subscribe {
        events: Patterns::new(parsed.collect()),
        filter: (!filter.is_null()).then(|| filter.clone()),
        recent: recent.min(most),
    };
    (wanted, texts.into(), filter)
}
