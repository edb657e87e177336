//! Rules of events that hold across the files of this module.

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::types::reread;
use super::*;
use crate::time::UnixTime;

const DEFAULTS: Defaults<'static> =
    Defaults { id: "e_default", source: "/tidings", time: UnixTime::from_millis(1_790_000_000_123) };

/// PROTOCOL §1, transcribed: type, priority, required data, optional data.
const PROTOCOL: [(&str, &str, &str, &str); 25] = [
    (
        "analytics.new_activity",
        "low",
        "activityId eventType message timestamp",
        "details timeAgo device location",
    ),
    ("analytics.traffic_update", "low", "period pageViews uniqueVisitors timestamp", "bounceRate topPages"),
    ("analytics.performance_update", "low", "metric value timestamp", "unit page change"),
    ("analytics.chart_update", "low", "chartId dataPoints timestamp", "chartType period"),
    ("content.created", "normal", "contentId title type status authorId createdAt", "slug tags changes"),
    ("content.updated", "normal", "contentId title type status authorId updatedAt", "slug tags changes"),
    ("content.published", "normal", "contentId title type status authorId publishedAt", "slug tags changes"),
    (
        "content.unpublished",
        "normal",
        "contentId title type status authorId unpublishedAt",
        "slug tags changes",
    ),
    ("content.deleted", "normal", "contentId title type deletedAt", "authorId deletedBy"),
    ("content.status_changed", "normal", "contentId oldStatus newStatus changedAt", "title changedBy"),
    ("user.login", "normal", "userId timestamp", "email ipAddress userAgent location"),
    ("user.logout", "normal", "userId timestamp", "email ipAddress userAgent location"),
    ("user.registered", "normal", "userId email registeredAt", "name role"),
    ("user.profile_updated", "normal", "userId updatedFields updatedAt", "updatedBy"),
    ("user.password_changed", "high", "userId changedAt", "changedBy ipAddress"),
    ("settings.updated", "high", "settingKey newValue updatedBy updatedAt", "oldValue category"),
    ("settings.backup_created", "high", "backupId createdAt", "size createdBy"),
    ("settings.backup_restored", "high", "backupId restoredAt", "restoredBy"),
    ("project.created", "normal", "projectId name status createdAt", "ownerId changes"),
    ("project.updated", "normal", "projectId name status updatedAt", "ownerId changes"),
    ("project.deleted", "normal", "projectId name deletedAt", "deletedBy"),
    ("project.status_changed", "normal", "projectId oldStatus newStatus changedAt", "name changedBy"),
    ("system.health_check", "low", "service status timestamp", "latencyMs details"),
    ("system.error", "critical", "service message timestamp", "code stack severity"),
    ("system.maintenance", "critical", "message startsAt", "endsAt affectedServices"),
];

fn sample_value(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!("text"),
        Kind::Timestamp => json!("2026-01-31T08:09:10Z"),
        Kind::Number => json!(1.5),
        Kind::TextOrNumber => json!("E42"),
        Kind::TextOrObject => json!({ "city": "Oslo" }),
        Kind::ObjectOrList => json!([{ "field": "title" }]),
        Kind::TextList => json!(["a", "b"]),
        Kind::List => json!([{ "x": 1, "y": 2 }]),
        Kind::Any => json!({ "any": null }),
        Kind::OneOf(names) => json!(names[0]),
    }
}

/// An event of that type with all its fields, or only the required ones.
fn sample(spec: &TypeSpec, full: bool) -> Value {
    let fields = spec.fields.iter().filter(|field| full || field.required);
    let data: serde_json::Map<_, _> =
        fields.map(|field| (field.name.to_owned(), sample_value(field.kind))).collect();
    json!({ "type": spec.name, "data": data })
}

fn parse(json: &str) -> Result<Event, Vec<Fault>> {
    Catalog::builtin().parse(json, &DEFAULTS)
}

fn faults(json: &str) -> Vec<String> {
    parse(json).expect_err(json).iter().map(ToString::to_string).collect()
}

/// A valid event whose top-level members are followed by `members`.
fn login(members: &str) -> String {
    format!(r#"{{"type":"user.login","data":{{"userId":"u1","timestamp":"2026-01-31T08:09:10Z"}}{members}}}"#)
}

fn custom(name: &str, schema: Value) -> CustomType {
    CustomType { name: name.to_owned(), priority: Priority::High, schema }
}

#[test]
fn the_table_is_that_of_the_protocol() {
    let catalog = Catalog::builtin();
    assert_eq!(catalog.len(), PROTOCOL.len());
    for ((id, name, priority), (expected, expected_priority, required, optional)) in
        catalog.iter().zip(PROTOCOL)
    {
        assert_eq!((name, priority.as_str()), (expected, expected_priority));
        assert_eq!(catalog.id(name), Some(id));
        let spec = TYPES[id.index()];
        let names = |required| {
            let fields = spec.fields.iter().filter(move |field| field.required == required);
            fields.map(|field| field.name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!((names(true), names(false)), (required.to_owned(), optional.to_owned()), "{name}");
    }
    assert_eq!(catalog.id("user.unknown"), None);
}

#[test]
fn a_sample_of_each_type_passes_parser_schema_and_struct() {
    let validator = custom::options().build(&Catalog::builtin().schema()).unwrap();
    for spec in TYPES {
        for full in [false, true] {
            let sample = sample(spec, full);
            let event = parse(&sample.to_string()).unwrap();
            assert_eq!(event.priority(), spec.priority);
            assert!(validator.is_valid(&sample), "{sample}");
            assert_eq!(reread(spec.name, &sample["data"].to_string()).unwrap(), sample["data"]);
            for field in spec.fields {
                let mut broken = sample.clone();
                broken["data"].as_object_mut().unwrap().remove(field.name);
                assert_eq!(parse(&broken.to_string()).is_err(), field.required, "{broken}");
                broken["data"][field.name] = Value::Null;
                let refused = field.required && field.kind != Kind::Any;
                assert_eq!(parse(&broken.to_string()).is_err(), refused, "{broken}");
            }
        }
    }
}

#[test]
fn what_is_missing_is_filled_in_and_data_keeps_its_bytes() {
    let data = "{ \"userId\" : \"\\u0075\\/1\",\n\t\"timestamp\":\"2026-01-31T08:09:10Z\", \"n\": 1.50e+0 }";
    let json = format!("{{\"d\\u0061ta\":  {data} ,\"type\":\"user.login\",\"unknown_key\":{{}}}}");
    let event = parse(&json).unwrap();
    let expected = format!(
        r#"{{"specversion":"1.0","id":"e_default","source":"/tidings","type":"user.login","time":"2026-09-21T14:13:20.123Z","priority":"normal","data":{data}}}"#
    );
    assert_eq!(event.json(), expected);
    assert_eq!((event.id(), event.source(), event.subject()), ("e_default", "/tidings", None));
}

#[test]
fn what_is_given_is_kept() {
    let event = parse(&login(
        r#","specversion":"1.0","id":"é\n1","source":"https://a.example/b?c#d%20","subject":"user/1","time":"2026-01-31T08:09:10+02:00","datacontenttype":"Application/JSON; charset=utf-8","priority":"critical","traceparent":"00-ab","sampled":true,"sequence":-7,"ratio":0.5,"none":null,"nested":{},"Upper":"x","a_b":1,"toolongtobeanextension":1"#,
    ))
    .unwrap();
    assert_eq!(
        event.json(),
        r#"{"specversion":"1.0","id":"é\n1","source":"https://a.example/b?c#d%20","type":"user.login","time":"2026-01-31T08:09:10+02:00","subject":"user/1","datacontenttype":"application/json","priority":"critical","sampled":true,"sequence":-7,"traceparent":"00-ab","data":{"userId":"u1","timestamp":"2026-01-31T08:09:10Z"}}"#
    );
    assert_eq!(event.priority(), Priority::Critical);
    assert_eq!(event.subject(), Some("user/1"));
}

#[test]
fn all_faults_are_listed_with_their_paths() {
    assert_eq!(
        faults(
            r#"{"id":"","specversion":"0.3","source":"a b","time":"yesterday","subject":7,"datacontenttype":"text/plain",
            "priority":"urgent","data_base64":"AA==","type":"content.created","x":{"y":1,"y":2},
            "data":{"contentId":1,"title":"t","type":"blog","status":"gone","createdAt":"today","tags":["a",1,null],"changes":"c"}}"#
        ),
        [
            "$.x.y: stands 2 times in one object",
            "$.specversion: must be \"1.0\"",
            "$.data_base64: is not accepted: an event's data is a JSON object in `data`",
            "$.datacontenttype: must be application/json",
            "$.id: must have 1 to 128 characters",
            "$.source: must be a URI reference: no spaces, control characters or quotes",
            "$.time: must be an RFC 3339 timestamp, as in 2026-01-31T08:09:10Z",
            "$.subject: must be a string",
            "$.priority: must be one of critical, high, normal, low",
            "$.data.contentId: must be a string",
            "$.data.status: must be one of draft, review, scheduled, published, archived",
            "$.data.authorId: is required",
            "$.data.createdAt: must be an RFC 3339 timestamp, as in 2026-01-31T08:09:10Z",
            "$.data.tags[1]: must be a string",
            "$.data.tags[2]: must be a string",
            "$.data.changes: must be an object or an array",
        ]
    );
    assert_eq!(faults("[]"), ["$: must be an object"]);
    assert_eq!(faults("{}"), ["$.type: is required", "$.data: is required"]);
    assert_eq!(
        faults(r#"{"type":"a.b","data":[]}"#),
        ["$.type: \"a.b\" is not a known event type", "$.data: must be an object"]
    );
    assert_eq!(
        faults(r#"{"type":1,"data":null}"#),
        ["$.type: must be a string", "$.data: must be an object"]
    );
    assert!(faults("{\n\"type\":}")[0].ends_with("at line 2 column 8"));
}

#[test]
fn lengths_are_counted_in_characters() {
    for (name, max) in [("id", 128), ("source", 256), ("subject", 256)] {
        let with = |len: usize| login(&format!(",\"{name}\":\"{}\"", "é".repeat(len)));
        assert!(parse(&with(max)).is_ok());
        assert_eq!(faults(&with(max + 1)), [format!("$.{name}: must have 1 to {max} characters")]);
        assert_eq!(faults(&with(0)), [format!("$.{name}: must have 1 to {max} characters")]);
    }
}

#[test]
fn fields_are_the_scalars_by_path_and_data_cannot_forge_attributes() {
    let event = parse(&login("").replace(
        r#""userId":"u1""#,
        r#""userId":"u1","@subject":"forged","@source":"forged","a":{"b":[1,"x",[2],{"c":3}],"d":null,"":1,"e.f":2,"@g":true}"#,
    ))
    .unwrap();
    assert_eq!(Fields::from_event(event.json()).as_ref(), Some(event.fields()), "a client reads the same");
    let text = |text: &str| Scalar::String(text.into());
    let int = |int| Scalar::Number(Number::Int(int));
    let fields: Vec<_> =
        event.fields().iter().map(|(path, value, list)| (path, value.clone(), list)).collect();
    assert_eq!(
        fields,
        [
            ("@source", text("/tidings"), false),
            ("a.@g", Scalar::Bool(true), false),
            ("a.b", int(1), true),
            ("a.b", text("x"), true),
            ("a.d", Scalar::Null, false),
            ("timestamp", text("2026-01-31T08:09:10Z"), false),
            ("userId", text("u1"), false),
        ]
    );
}

#[test]
fn the_vectors_of_routing_hold_for_server_and_client() {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Vectors<'a> {
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
        #[serde(borrow)]
        cases: Vec<Case<'a>>,
        not_patterns: Vec<String>,
        #[serde(borrow)]
        not_filters: Vec<&'a RawValue>,
    }
    #[derive(serde::Deserialize)]
    struct Case<'a> {
        events: Vec<String>,
        #[serde(borrow)]
        filter: &'a RawValue,
        matches: Vec<usize>,
        forced: Vec<usize>,
    }
    let vectors: Vectors<'_> =
        serde_json::from_str(include_str!("../../tests/fixtures/routing.json")).unwrap();
    let events: Vec<Event> = vectors.events.iter().map(|event| parse(event.get()).unwrap()).collect();
    for Case { events: patterns, filter, matches, forced } in vectors.cases {
        let patterns = Patterns::new(patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect());
        let text = filter.get();
        let filter = Filter::parse(text, 16).unwrap();
        let pass = |filter_passes: &dyn Fn(&Event) -> bool| -> Vec<usize> {
            let seen = |event: &Event| patterns.matches(Catalog::builtin().name(event.type_id()));
            (0..events.len())
                .filter(|index| seen(&events[*index]) && filter_passes(&events[*index]))
                .collect()
        };
        assert_eq!(pass(&|event| filter.matches(event.fields())), matches, "{text}");
        assert_eq!(pass(&|event| filter.matches_forced(event.fields())), forced, "{text}, forced");
        let routed = |event: &Event| filter.matches(&Fields::from_event(event.json()).unwrap());
        assert_eq!(pass(&routed), matches, "{text}, by a client");
    }
    for text in vectors.not_patterns {
        assert!(Pattern::parse(&text).is_err(), "{text}");
    }
    for text in vectors.not_filters {
        assert!(Filter::parse(text.get(), 16).is_err(), "{text}");
    }
}

#[test]
fn memory_is_bounded_by_the_size_of_the_event() {
    let long = "k".repeat(250);
    let members: Vec<String> = (0..5000).map(|n| format!("\"{n:04}\":1")).collect();
    let data = format!("\"{long}\":{{{}}},\"userId\":\"u1\"", members.join(","));
    let event = parse(&login("").replace(r#""userId":"u1""#, &data)).unwrap();
    assert!(event.fields().memory() < 5000 * 400);
    assert!(event.json().len() + event.fields().memory() < event.memory());

    let too_long = "k".repeat(257);
    let event = parse(&login("").replace("\"userId\"", &format!("\"{too_long}\":1,\"userId\""))).unwrap();
    assert_eq!(event.fields().iter().count(), 3);
}

#[test]
fn a_fingerprint_covers_what_the_publisher_gave_and_nothing_else() {
    let base = parse(&login("")).unwrap();
    let later = Defaults { id: "e_2", source: "/other", time: UnixTime::from_secs(1) };
    for json in [
        login(""),
        login(r#","id":"given""#),
        login(r#","specversion":"1.0","priority":null,"ignored_key":1"#),
    ] {
        let event = Catalog::builtin().parse(&json, &later).unwrap();
        assert_eq!(event.fingerprint(), base.fingerprint(), "{json}");
    }
    for json in [
        login(r#","source":"/tidings""#),
        login(r#","subject":"/tidings""#),
        login(r#","time":"2026-09-21T14:13:20.123Z""#),
        login(r#","priority":"normal""#),
        login(r#","trace":"1""#),
        login(r#","trace":1"#),
        login("").replace("user.login", "user.logout"),
        login("").replace("\"u1\"", "\"u2\""),
    ] {
        assert_ne!(parse(&json).unwrap().fingerprint(), base.fingerprint(), "{json}");
    }
    assert_eq!(
        parse(base.json()).unwrap().with_fingerprint(base.fingerprint()).fingerprint(),
        base.fingerprint()
    );
}

#[test]
fn conflation_follows_the_rules() {
    let health = r#"{"type":"system.health_check","data":{"service":"db","status":"healthy","timestamp":"2026-01-31T08:09:10Z"}}"#;
    assert_eq!(parse(health).unwrap().conflation(), Some(r#"["system.health_check","/tidings",["db"]]"#));
    assert_eq!(parse(&login("")).unwrap().conflation(), None);

    let rule = |event_type: &str, key: &str| ConflationRule {
        event_type: event_type.to_owned(),
        keys: vec![key.to_owned()],
    };
    let catalog = Catalog::new(Vec::new(), Some(vec![rule("user.login", "userId")])).unwrap();
    assert_eq!(catalog.parse(health, &DEFAULTS).unwrap().conflation(), None);
    let event = catalog.parse(&login(r#","source":"s""#), &DEFAULTS).unwrap();
    assert_eq!(event.conflation(), Some(r#"["user.login","s",["u1"]]"#));

    let refused = |rules| Catalog::new(Vec::new(), Some(rules)).unwrap_err();
    assert_eq!(refused(vec![rule("a.b", "c")]), CatalogError::RuleType("a.b".into()));
    for key in ["", "a..b", "@source"] {
        assert_eq!(refused(vec![rule("user.login", key)]), CatalogError::RuleKeys("user.login".into()));
    }
    let twice = vec![rule("user.login", "a"), rule("user.login", "b")];
    assert_eq!(refused(twice), CatalogError::RuleTwice("user.login".into()));
}

#[test]
fn a_type_of_the_application_is_checked_by_its_schema() {
    let schema = json!({
        "type": "object",
        "required": ["total"],
        "properties": { "total": { "type": "number" }, "lines": { "items": { "$ref": "#/$defs/line" } } },
        "$defs": { "line": { "type": "object", "properties": { "a/b~c": { "format": "date-time" } } } },
    });
    let catalog = Catalog::new(vec![custom("order.placed", schema)], None).unwrap();
    let id = catalog.id("order.placed").unwrap();
    assert_eq!((id.index(), catalog.priority(id)), (25, Priority::High));

    let event = catalog.parse(r#"{"type":"order.placed","data":{"total":1,"more":[]}}"#, &DEFAULTS).unwrap();
    assert_eq!((event.type_id(), event.priority()), (id, Priority::High));
    let faults = catalog
        .parse(r#"{"type":"order.placed","data":{"lines":[{},1,{"a/b~c":"now"}]}}"#, &DEFAULTS)
        .unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| &*fault.path).collect();
    assert_eq!(paths, ["$.data", "$.data.lines[1]", r#"$.data.lines[2]["a/b~c"]"#]);

    let validator = custom::options().build(&catalog.schema()).unwrap();
    assert!(validator.is_valid(&json!({ "type": "order.placed", "data": { "total": 1, "lines": [{}] } })));
    assert!(!validator.is_valid(&json!({ "type": "order.placed", "data": { "total": 1, "lines": [1] } })));
}

#[test]
fn a_catalog_refuses_what_it_cannot_stand_for() {
    let refused = |types: Vec<CustomType>| Catalog::new(types, None).unwrap_err();
    for name in ["order", "Order.placed", "a.b.c", ""] {
        assert_eq!(refused(vec![custom(name, json!({}))]), CatalogError::Name(name.to_owned()));
    }
    assert_eq!(refused(vec![custom("user.login", json!({}))]), CatalogError::Duplicate("user.login".into()));
    assert_eq!(
        refused(vec![custom("a.b", json!({})), custom("a.b", json!({}))]),
        CatalogError::Duplicate("a.b".into())
    );
    for uri in ["https://example.com/s.json", "http://127.0.0.1:1/s", "file:///etc/passwd"] {
        let expected = CatalogError::RemoteReference { name: "a.b".into(), uri: uri.into() };
        assert_eq!(refused(vec![custom("a.b", json!({ "$ref": uri }))]), expected);
    }
    for schema in [
        json!({ "type": "objekt" }),
        json!(7),
        json!({ "pattern": "(" }),
        json!({ "pattern": "(?=a)" }),
        json!({ "$ref": "#/nowhere" }),
        json!({ "$schema": "http://json-schema.org/draft-04/schema#" }),
        json!({ "$schema": "https://example.com/own" }),
    ] {
        assert!(matches!(refused(vec![custom("a.b", schema)]), CatalogError::Schema { .. }));
    }
    let same = json!({ "$id": "urn:same" });
    let other = json!({ "$id": "urn:same", "type": "object" });
    let both = Catalog::new(vec![custom("a.b", same), custom("a.c", other)], None);
    assert_eq!(both.unwrap_err(), CatalogError::SchemaId("urn:same".into()));
    let many = (0..=Catalog::CUSTOM_MAX).map(|n| custom(&format!("a.n{n}"), json!(true))).collect();
    assert_eq!(refused(many), CatalogError::TooMany);
}

#[test]
fn schemas_of_other_drafts_and_with_ids_mean_the_same_alone_and_in_the_document() {
    let line = json!({ "type": "object", "required": ["n"] });
    let older = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": { "line": { "$ref": "#/definitions/line" } },
        "definitions": { "line": line },
    });
    let named = json!({
        "$id": "https://example.com/schemas/order",
        "properties": { "line": { "$ref": "line" } },
        "$defs": { "line": { "$id": "line", "type": "object", "required": ["n"] } },
    });
    let types = [("a.older", older), ("a.named", named)];
    let types = types.map(|(name, schema)| custom(name, schema)).to_vec();
    let catalog = Catalog::new(types, None).unwrap();
    let validator = custom::options().build(&catalog.schema()).unwrap();
    for name in ["a.older", "a.named"] {
        for (line, valid) in [(json!({ "n": 1 }), true), (json!({}), false), (json!(1), false)] {
            let event = json!({ "type": name, "data": { "line": line } });
            assert_eq!(catalog.parse(&event.to_string(), &DEFAULTS).is_ok(), valid, "{event}");
            assert_eq!(validator.is_valid(&event), valid, "{event}");
        }
    }
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let tree = json!({ "properties": { "children": { "items": { "$ref": "#" } } } });
    let types =
        vec![custom("a.tree", tree), custom("a.loop", json!({ "$ref": "#" })), custom("a.any", json!(true))];
    let catalog = Catalog::new(types, None).unwrap();
    for name in ["a.tree", "a.loop", "a.any"] {
        let json = json!({ "type": name, "data": { "children": [{ "children": [] }] } }).to_string();
        assert!(catalog.parse(&json, &DEFAULTS).is_ok(), "{name}");
    }
}

#[test]
fn binary_mode_is_the_structured_event_in_headers() {
    let catalog = Catalog::builtin();
    let data = " {\"userId\":\"u1\",\"timestamp\":\"2026-01-31T08:09:10Z\"}\r\n";
    let attributes = [
        ("Type", "user.login"),
        ("id", "%C3%A9%201"),
        ("subject", "\"a \\\"b\\\"\""),
        ("specversion", "1.0"),
        ("datacontenttype", "application/json; charset=utf-8"),
        ("priority", "high"),
        ("trace", "7"),
    ];
    let event = catalog.parse_binary(&attributes, data, &DEFAULTS).unwrap();
    let structured = login(
        r#","id":"é 1","subject":"a \"b\"","datacontenttype":"application/json","priority":"high","trace":"7""#,
    );
    assert_eq!(event, parse(&structured).unwrap());

    let faults =
        catalog.parse_binary(&[("source", "%zz"), ("id", "a"), ("ID", "b")], "{", &DEFAULTS).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| &*fault.path).collect();
    assert_eq!(paths, ["$.source", "$.id", "$.data"]);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(catalog.parse_binary(&[("type", "user.login")], &deep, &DEFAULTS).is_err());
}

/// Values that some rule accepts and another refuses.
fn odd_value() -> impl Strategy<Value = Value> {
    let values = json!([
        null, true, 0, -1, 1.5, 1e300, "", "x", "a b", "draft", "healthy", "high", "1.0", "application/json ; q",
        "2026-01-31T08:09:10Z", "2026-01-31", "user.login", "settings.updated", "%41", "%4", [], ["a"], ["a", 1], [null],
        {}, { "a": "b" }
    ]);
    prop::sample::select(values.as_array().unwrap().clone())
}

/// A sample with up to three members of the event or its data changed, added or removed.
fn mutated_sample() -> impl Strategy<Value = Value> {
    let attributes = [
        "id",
        "source",
        "type",
        "time",
        "subject",
        "specversion",
        "datacontenttype",
        "priority",
        "data",
        "data_base64",
        "x",
    ];
    let change = (any::<prop::sample::Index>(), any::<bool>(), prop::option::weighted(0.8, odd_value()));
    (0..TYPES.len(), any::<bool>(), prop::collection::vec(change, 0..4)).prop_map(
        move |(spec, full, changes)| {
            let spec = TYPES[spec];
            let mut event = sample(spec, full);
            for (index, in_data, value) in changes {
                let (target, name) = if in_data {
                    (event.get_mut("data"), index.get(spec.fields).name)
                } else {
                    (Some(&mut event), *index.get(&attributes))
                };
                let Some(target) = target.and_then(Value::as_object_mut) else { continue };
                match value {
                    Some(value) => drop(target.insert(name.to_owned(), value)),
                    None => drop(target.remove(name)),
                }
            }
            event
        },
    )
}

thread_local! {
    static CATALOG: Catalog = Catalog::builtin();
    static VALIDATOR: jsonschema::Validator = custom::options().build(&Catalog::builtin().schema()).unwrap();
}

proptest! {
    #[test]
    fn schema_and_parser_agree(event in mutated_sample()) {
        let parsed = CATALOG.with(|catalog| catalog.parse(&event.to_string(), &DEFAULTS));
        let valid = VALIDATOR.with(|validator| validator.is_valid(&event));
        prop_assert_eq!(parsed.is_ok(), valid, "{} {:?}", event, parsed);
    }

    #[test]
    fn an_accepted_event_is_read_again_as_itself(event in mutated_sample(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&event).unwrap() } else { event.to_string() };
        CATALOG.with(|catalog| {
            let Ok(first) = catalog.parse(&text, &DEFAULTS) else { return Ok(()) };
            let other = Defaults { id: "other", source: "/other", time: UnixTime::from_millis(0) };
            let again = catalog.parse(first.json(), &other).unwrap().with_fingerprint(first.fingerprint());
            prop_assert_eq!(&again, &first);
            let delivered: Value = serde_json::from_str(first.json()).unwrap();
            prop_assert_eq!(&delivered["data"], &event["data"]);
            Ok(())
        })?;
    }

    #[test]
    fn damaged_events_never_panic(
        event in mutated_sample(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
    ) {
        let mut bytes = event.to_string().into_bytes();
        for (index, byte, how) in damage {
            let index = index.index(bytes.len());
            match how {
                0 => bytes[index] = byte,
                1 => bytes.insert(index, b"{}[]\",:\\0e"[usize::from(byte) % 10]),
                _ => bytes.truncate(index + 1),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        CATALOG.with(|catalog| {
            let parsed = catalog.parse(&text, &DEFAULTS);
            prop_assert!(parsed.map_or_else(|faults| !faults.is_empty(), |event| serde_json::from_str::<Value>(event.json()).is_ok()));
            let _ = catalog.parse_binary(&[("type", "user.login"), ("id", &text)], &text, &DEFAULTS);
            Ok(())
        })?;
    }

    #[test]
    fn data_keeps_its_bytes(space in "[ \t\r\n]{0,3}", key in "[a-z@. ]{1,8}", value in r#"(-?[1-9][0-9]{0,20}(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?|"([a-zé ]|\\u00e9|\\n|\\/)*"|\[ *\])"#) {
        let data = format!(
            r#"{{{space}"userId":{space}"u1","timestamp":"2026-01-31T08:09:10Z"{space},"{key}":{value}{space}}}"#
        );
        let json = format!(r#"{space}{{"type":"user.login",{space}"data":{space}{data}{space}}}{space}"#);
        let event = CATALOG.with(|catalog| catalog.parse(&json, &DEFAULTS)).unwrap();
        let binary = CATALOG.with(|catalog| {
            catalog.parse_binary(&[("type", "user.login")], &format!("{space}{data}{space}"), &DEFAULTS)
        });
        prop_assert_eq!(&event, &binary.unwrap());
        let ending = format!("\"data\":{data}}}");
        prop_assert!(event.json().ends_with(&ending));
    }
}
