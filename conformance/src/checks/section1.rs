//! §1 Events: what an event is, what the server adds, and what it refuses.

use serde_json::{Value, json};

use crate::client::Client;
use crate::events::{LANES, Row, TIME, TYPES, marked, sample, unique};
use crate::http::{Request, faults};
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, Within as _, ensure, fail, same};
use crate::runner::table;

table! { 1:
    the_server_fills_in_what_is_missing
    what_the_publisher_sets_is_kept
    specversion_other_than_1_0_is_refused
    id_has_1_to_128_characters
    source_is_a_uri_reference_of_1_to_256_characters
    time_is_rfc_3339
    datacontenttype_is_application_json_only
    type_outside_the_table_is_refused
    data_is_an_object
    priority_is_by_type
    priority_of_the_publisher_overrides
    priority_of_no_known_name_is_refused
    all_25_types_are_accepted_with_optional_data
    every_required_key_is_demanded
    values_of_the_wrong_kind_are_refused
    content_statuses_are_a_closed_set
    project_status_and_content_type_are_free
    timestamps_in_data_are_rfc_3339
    unknown_keys_in_data_are_kept_as_written
    a_key_that_stands_twice_makes_an_event_invalid
    a_configured_type_stands_beside_the_25
}

/// Publishes an event under a subject of its own, and gives the message and its text as delivered.
async fn deliver(server: &Server, event: &str, subject: &str) -> Outcome<(Value, String)> {
    let mut client = Client::full(server).await?;
    client.subscribe("s", &["*"], json!({"@subject": subject})).await?;
    let request = Request::new("POST", "/v1/events").bearer(&server.api_key).body("application/json", event);
    request.send(server).await?.success().at(event)?;
    let (message, text) = client.next_text().await?;
    same!(message["type"], "event", "type of {text}");
    Ok((message, text))
}

/// Publishes `event` with a subject and gives it back as delivered.
async fn round_trip(server: &Server, mut event: Value) -> Outcome<Value> {
    let subject = unique("subject");
    event["subject"] = json!(subject);
    Ok(deliver(server, &event.to_string(), &subject).await?.0)
}

/// The event must be refused with a fault whose path names `key`.
async fn refused(server: &Server, event: &Value, key: &str) -> Outcome {
    refused_text(server, &event.to_string(), key).await
}

async fn refused_text(server: &Server, event: &str, key: &str) -> Outcome {
    let request = Request::new("POST", "/v1/events").bearer(&server.api_key).body("application/json", event);
    let body = request.send(server).await?.problem(400).at(event)?;
    let found = faults(&body);
    ensure!(found.iter().any(|(_, path)| path.contains(key)), "no fault at {key:?} for {event}: {body}");
    Ok(())
}

async fn the_server_fills_in_what_is_missing(t: Context) -> Outcome {
    let message = round_trip(&t.server, sample("user.login")).await?;
    let event = &message["event"];
    same!(event["specversion"], "1.0", "specversion");
    same!(event["source"], "/tidings", "source");
    same!(event["type"], "user.login", "type");
    let id = event["id"].as_str().unwrap_or_default();
    ensure!((1..=128).contains(&id.chars().count()), "id {id:?}");
    let time = event["time"].as_str().unwrap_or_default();
    ensure!(time.len() >= 20 && time.as_bytes().get(10) == Some(&b'T'), "time {time:?}");
    Ok(())
}

async fn what_the_publisher_sets_is_kept(t: Context) -> Outcome {
    let mut event = sample("content.created");
    let set = json!({"specversion": "1.0", "id": unique("id"), "source": "/cms?a=1#b", "time": TIME,
        "datacontenttype": "application/json"});
    for (name, value) in set.as_object().into_iter().flatten() {
        event[name] = value.clone();
    }
    let message = round_trip(&t.server, event.clone()).await?;
    for name in ["specversion", "id", "source", "time", "datacontenttype", "type", "data"] {
        same!(message["event"][name], event[name], "{name}");
    }
    Ok(())
}

async fn specversion_other_than_1_0_is_refused(t: Context) -> Outcome {
    for version in [json!("0.3"), json!("1.1"), json!(1.0), json!("")] {
        let mut event = sample("user.login");
        event["specversion"] = version;
        refused(&t.server, &event, "specversion").await?;
    }
    Ok(())
}

async fn id_has_1_to_128_characters(t: Context) -> Outcome {
    let longest = format!("{}{}", unique("id"), "é".repeat(128));
    let longest: String = longest.chars().take(128).collect();
    let mut event = sample("user.login");
    event["id"] = json!(longest);
    let message = round_trip(&t.server, event.clone()).await?;
    same!(message["event"]["id"], json!(longest), "id of 128 characters");
    for id in [json!(""), json!(format!("{longest}x")), json!(7)] {
        event["id"] = id;
        refused(&t.server, &event, "id").await?;
    }
    Ok(())
}

async fn source_is_a_uri_reference_of_1_to_256_characters(t: Context) -> Outcome {
    let mut event = sample("user.login");
    for source in
        [format!("/{}", "a".repeat(255)), "urn:example:1".into(), "https://example.org/a?b#c".into()]
    {
        event["source"] = json!(source);
        let message = round_trip(&t.server, event.clone()).await?;
        same!(message["event"]["source"], event["source"], "source");
    }
    for source in ["".to_owned(), format!("/{}", "a".repeat(256)), "two words".into(), "a\nb".into()] {
        event["source"] = json!(source);
        refused(&t.server, &event, "source").await?;
    }
    Ok(())
}

async fn time_is_rfc_3339(t: Context) -> Outcome {
    let mut event = sample("user.login");
    for time in ["2026-01-02T03:04:05.678+01:00", "2024-02-29T23:59:59Z"] {
        event["time"] = json!(time);
        let message = round_trip(&t.server, event.clone()).await?;
        same!(message["event"]["time"], time, "time");
    }
    for time in [json!("yesterday"), json!("2026-01-02"), json!("2026-13-02T03:04:05Z"), json!(1_790_000_000)]
    {
        event["time"] = time;
        refused(&t.server, &event, "time").await?;
    }
    Ok(())
}

async fn datacontenttype_is_application_json_only(t: Context) -> Outcome {
    let mut event = sample("user.login");
    event["datacontenttype"] = json!("text/plain");
    refused(&t.server, &event, "datacontenttype").await
}

async fn type_outside_the_table_is_refused(t: Context) -> Outcome {
    for name in [json!("user.sneezed"), json!("user"), json!("*"), json!("user.*"), json!(7), Value::Null] {
        let mut event = sample("user.login");
        event["type"] = name;
        refused(&t.server, &event, "type").await?;
    }
    let mut client = Client::full(&t.server).await?;
    let mut event = sample("user.login");
    event["type"] = json!("user.sneezed");
    let reply = client.request(json!({"type": "publish", "id": "p", "event": event})).await?;
    same!(reply["type"], "error", "reply {reply}");
    let code = reply["code"].as_str().unwrap_or_default();
    ensure!(["invalid_event_type", "invalid_event"].contains(&code), "code of {reply}");
    Ok(())
}

async fn data_is_an_object(t: Context) -> Outcome {
    for data in [json!([]), json!("x"), json!(1), Value::Null] {
        refused(&t.server, &json!({"type": "user.login", "data": data}), "data").await?;
    }
    refused(&t.server, &json!({"type": "user.login"}), "data").await
}

async fn priority_is_by_type(t: Context) -> Outcome {
    for row in &TYPES {
        let message = round_trip(&t.server, sample(row.name)).await.at(row.name)?;
        same!(message["lane"], row.lane, "lane of {}", row.name);
    }
    Ok(())
}

async fn priority_of_the_publisher_overrides(t: Context) -> Outcome {
    for lane in LANES {
        let mut event = sample("system.error");
        event["priority"] = json!(lane);
        let message = round_trip(&t.server, event).await?;
        same!(message["lane"], lane, "lane");
        same!(message["event"]["priority"], lane, "priority as delivered");
    }
    Ok(())
}

async fn priority_of_no_known_name_is_refused(t: Context) -> Outcome {
    for priority in [json!("urgent"), json!("High"), json!(1)] {
        let mut event = sample("user.login");
        event["priority"] = priority;
        refused(&t.server, &event, "priority").await?;
    }
    Ok(())
}

async fn all_25_types_are_accepted_with_optional_data(t: Context) -> Outcome {
    for row in &TYPES {
        let mut data = row.required();
        for (key, value) in row.optional().as_object().into_iter().flatten() {
            data[key] = value.clone();
        }
        let message = round_trip(&t.server, json!({"type": row.name, "data": data})).await.at(row.name)?;
        same!(message["event"]["data"], data, "data of {}", row.name);
    }
    Ok(())
}

async fn every_required_key_is_demanded(t: Context) -> Outcome {
    for row in &TYPES {
        let required = row.required();
        for key in required.as_object().into_iter().flatten().map(|(key, _)| key) {
            let mut data = required.clone();
            data.as_object_mut().map(|data| data.remove(key));
            refused(&t.server, &json!({"type": row.name, "data": data}), key).await.at(row.name)?;
        }
    }
    Ok(())
}

async fn values_of_the_wrong_kind_are_refused(t: Context) -> Outcome {
    let wrong = [
        ("content.created", "title", json!(7)),
        ("content.created", "contentId", Value::Null),
        ("content.created", "tags", json!("news")),
        ("user.profile_updated", "updatedFields", json!("name")),
        ("analytics.traffic_update", "pageViews", json!("12")),
        ("analytics.performance_update", "value", json!("fast")),
        ("analytics.chart_update", "dataPoints", json!(1)),
        ("system.health_check", "status", json!("fine")),
        ("system.maintenance", "affectedServices", json!("api")),
    ];
    for (name, key, value) in wrong {
        let mut event = sample(name);
        event["data"][key] = value;
        refused(&t.server, &event, key).await?;
    }
    Ok(())
}

async fn content_statuses_are_a_closed_set(t: Context) -> Outcome {
    for status in ["draft", "review", "scheduled", "published", "archived"] {
        let mut event = sample("content.status_changed");
        event["data"]["oldStatus"] = json!(status);
        event["data"]["newStatus"] = json!(status);
        t.server.publish(&event).await.at(status)?;
        let mut event = sample("content.updated");
        event["data"]["status"] = json!(status);
        t.server.publish(&event).await.at(status)?;
    }
    for (name, key) in [
        ("content.created", "status"),
        ("content.status_changed", "oldStatus"),
        ("content.status_changed", "newStatus"),
    ] {
        let mut event = sample(name);
        event["data"][key] = json!("burnt");
        refused(&t.server, &event, key).await?;
    }
    Ok(())
}

async fn project_status_and_content_type_are_free(t: Context) -> Outcome {
    for (name, key) in
        [("project.created", "status"), ("project.status_changed", "newStatus"), ("content.deleted", "type")]
    {
        let mut event = sample(name);
        event["data"][key] = json!("what nobody foresaw");
        t.server.publish(&event).await.at(name)?;
    }
    Ok(())
}

async fn timestamps_in_data_are_rfc_3339(t: Context) -> Outcome {
    for row in &TYPES {
        let required = row.required();
        let times = required.as_object().into_iter().flatten().filter(|(_, value)| **value == json!(TIME));
        for (key, _) in times {
            let mut event = sample(row.name);
            event["data"][key] = json!("last Tuesday");
            refused(&t.server, &event, key).await.at(row.name)?;
        }
    }
    Ok(())
}

async fn unknown_keys_in_data_are_kept_as_written(t: Context) -> Outcome {
    let subject = unique("subject");
    let kept = r#""zeta":1.50e+1,"alpha":[ 1 ,{"b":18446744073709551616,"a":"\u00e9\/"}],"":null"#;
    let event = format!(
        r#"{{"type":"user.login","subject":"{subject}","data":{{"userId":"u1",{kept},"timestamp":"{TIME}"}}}}"#
    );
    let (_, text) = deliver(&t.server, &event, &subject).await?;
    ensure!(text.contains(kept), "{kept} is not in {text}");
    Ok(())
}

async fn a_key_that_stands_twice_makes_an_event_invalid(t: Context) -> Outcome {
    let data = Row::named("user.login").required().to_string();
    let inner = data.trim_start_matches('{');
    let events = [
        format!(r#"{{"type":"user.login","type":"user.logout","data":{data}}}"#),
        format!(r#"{{"type":"user.login","data":{data},"data":{data}}}"#),
        format!(r#"{{"type":"user.login","id":"a","\u0069d":"a","data":{data}}}"#),
        format!(r#"{{"type":"user.login","data":{{"userId":"u2",{inner}}}"#),
        format!(r#"{{"type":"user.login","data":{{"extra":1,"extra":1,{inner}}}"#),
        format!(r#"{{"type":"user.login","data":{{"deep":[{{"a":{{"b":1,"\u0062":2}}}}],{inner}}}"#),
    ];
    for event in &events {
        let request = Request::new("POST", "/v1/events").bearer(&t.server.api_key);
        request.body("application/json", event.as_bytes()).send(&t.server).await?.problem(400).at(event)?;
    }
    let mut client = Client::full(&t.server).await?;
    for event in &events {
        let text = format!(r#"{{"type":"publish","id":"p","event":{event}}}"#);
        client.send_frame(text.into()).await?;
        let reply = client.next().await?;
        same!(reply["type"], "error", "reply to {event}: {reply}");
    }
    Ok(())
}

async fn a_configured_type_stands_beside_the_25(t: Context) -> Outcome {
    let schema = std::env::temp_dir().join(format!("{}.json", unique("tidings-schema")));
    let text = json!({"type": "object", "required": ["orderId"],
        "properties": {"orderId": {"type": "string"}, "total": {"type": "number"}}});
    std::fs::write(&schema, text.to_string())?;
    let settings = format!(
        "[[events.types]]\nname = \"order.placed\"\npriority = \"high\"\nschema = {:?}\n",
        schema.display().to_string()
    );
    let server = t.alone(&settings).await?;
    std::fs::remove_file(&schema)?;
    let event = json!({"type": "order.placed", "data": {"orderId": "o1", "total": 9.5}});
    let message = round_trip(&server, event.clone()).await?;
    same!(message["lane"], "high", "lane");
    same!(message["event"]["data"], event["data"], "data");
    refused(&server, &json!({"type": "order.placed", "data": {"total": 1}}), "data").await?;
    refused(&server, &json!({"type": "order.placed", "data": {"orderId": "o1", "total": "1"}}), "total")
        .await?;
    round_trip(&server, marked(&unique("mark"), "high", 1)).await?;
    let mut client = Client::full(&server).await?;
    client.subscribe("s", &["order.*"], json!({})).await?;
    server.publish(&event).await?;
    same!(client.event().await?["event"]["type"], "order.placed", "type");
    drop(client);
    let schemas = Request::get("/v1/schema").send(&server).await?;
    if !schemas.text().contains("order.placed") {
        fail!("/v1/schema does not know order.placed");
    }
    server.stop().await
}
