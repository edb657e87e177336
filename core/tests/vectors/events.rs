//! Events as publishers send them, each with everything that the server finds wrong with it (PROTOCOL §1).

use serde_json::{Map, Value, json};
use tidings_core::event::{Catalog, Defaults, FieldSpec, Kind, TYPES, TypeSpec};
use tidings_core::time::UnixTime;

pub(crate) fn all() -> Vec<Value> {
    let mut events = Vec::new();
    for spec in TYPES {
        events.push(json!({"type": spec.name, "data": data(spec, |_| true)}));
        events.push(json!({"type": spec.name, "data": data(spec, |field| field.required)}));
        events.push(json!({"type": spec.name, "data": {}}));
        events.push(json!({"type": spec.name, "data": wrong(spec)}));
    }
    events.extend(attributes());
    events.extend(timestamps());
    events.extend(values());
    events.iter().map(judged).collect()
}

fn judged(event: &Value) -> Value {
    let defaults = Defaults { id: "e", source: "/tidings", time: UnixTime::from_secs(0) };
    let faults = Catalog::builtin().parse(&event.to_string(), &defaults).err().unwrap_or_default();
    json!({"event": event, "faults": faults})
}

fn data(spec: &TypeSpec, wanted: impl Fn(&FieldSpec) -> bool) -> Value {
    let fields = spec.fields.iter().filter(|field| wanted(field));
    fields.map(|field| (field.name.to_owned(), right(field.kind))).collect::<Map<_, _>>().into()
}

/// Every field holds what it must not.
fn wrong(spec: &TypeSpec) -> Value {
    let fields = spec.fields.iter().filter(|field| field.kind != Kind::Any);
    fields.map(|field| (field.name.to_owned(), true.into())).collect::<Map<_, _>>().into()
}

fn right(kind: Kind) -> Value {
    match kind {
        Kind::Text | Kind::TextOrObject => "text".into(),
        Kind::Timestamp => "2026-01-31T08:09:10Z".into(),
        Kind::Number | Kind::TextOrNumber => 1.into(),
        Kind::ObjectOrList => json!({"title": ["old", "new"]}),
        Kind::TextList => json!(["a", "b"]),
        Kind::List => json!([1, "two", null]),
        Kind::Any => Value::Null,
        Kind::OneOf(names) => names[0].into(),
    }
}

fn login(member: &str, value: Value) -> Value {
    let mut event =
        json!({"type": "user.logout", "data": {"userId": "u1", "timestamp": "2026-01-31T08:09:10Z"}});
    event[member] = value;
    event
}

fn attributes() -> Vec<Value> {
    let (long, too_long) = ("é".repeat(128), "é".repeat(129));
    let (uri, too_long_uri) = ("x".repeat(256), "x".repeat(257));
    let mut events =
        vec![json!({"data": {}}), json!({"type": 7, "data": {}}), json!({"type": "user.logout"})];
    events.extend([json!(null), json!([]), json!("text")].map(|data| login("data", data)));
    events.extend([json!(null), json!(""), json!(7), json!(long), json!(too_long)].map(|id| login("id", id)));
    for source in [
        json!(null),
        json!(""),
        json!(7),
        json!(uri),
        json!(too_long_uri),
        json!("urn:a:b"),
        json!("/a b"),
        json!("/é"),
        json!("/%4"),
        json!("/%41"),
        json!("<>"),
        json!("a\u{a0}b"),
    ] {
        events.push(login("source", source));
    }
    events.extend(
        [json!(null), json!(""), json!(7), json!("a b"), json!(too_long_uri)]
            .map(|text| login("subject", text)),
    );
    events.extend([json!(null), json!("low"), json!("urgent"), json!(1)].map(|text| login("priority", text)));
    events
}

fn timestamps() -> Vec<Value> {
    let texts = [
        "2026-01-31T08:09:10Z",
        "2026-01-31t08:09:10.123456789012z",
        "2024-02-29T23:59:59-08:00",
        "2016-12-31T23:59:60Z",
        "2017-01-01T00:59:60+01:00",
        "2016-12-30T23:59:60Z",
        "2016-12-31T22:59:60Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59+23:59",
        "",
        "2026-01-31",
        "2026-01-31 08:09:10Z",
        "2026-01-31T08:09:10",
        "2026-01-31T08:09Z",
        "2026-02-29T08:09:10Z",
        "2026-13-01T08:09:10Z",
        "2026-00-01T08:09:10Z",
        "2026-01-00T08:09:10Z",
        "2026-04-31T08:09:10Z",
        "1900-02-29T08:09:10Z",
        "2000-02-29T08:09:10Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T08:60:00Z",
        "2026-01-31T08:09:61Z",
        "2026-01-31T08:09:10+24:00",
        "2026-01-31T08:09:10+01:60",
        "2026-01-31T08:09:10.Z",
        "2026-01-31T08:09:10Z ",
        "1790000000",
        "+002026-01-31T08:09:10Z",
    ];
    texts.map(|text| login("time", text.into())).into()
}

/// Values at the edges of each kind.
fn values() -> Vec<Value> {
    let mut events = Vec::new();
    for (name, field) in [
        ("content.created", "tags"),
        ("user.profile_updated", "updatedFields"),
        ("analytics.chart_update", "dataPoints"),
        ("analytics.new_activity", "device"),
        ("analytics.new_activity", "details"),
        ("analytics.performance_update", "change"),
        ("content.updated", "changes"),
        ("content.status_changed", "newStatus"),
        ("settings.updated", "newValue"),
    ] {
        let spec = TYPES.iter().find(|spec| spec.name == name).unwrap();
        for value in [
            json!(null),
            json!(true),
            json!(-0.5),
            json!("text"),
            json!([]),
            json!(["a", 1, null, ["b"]]),
            json!({}),
        ] {
            let mut data = data(spec, |field| field.required);
            data[field] = value;
            data["further"] = "kept".into();
            events.push(json!({"type": name, "data": data}));
        }
    }
    events
}
