//! §3 Filters: one table of vectors, held against every path on which a filter decides.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{Client, value_of};
use crate::events::{marked, unique};
use crate::http::{EventStream, Request, escape};
use crate::lab::Context;
use crate::outcome::{Outcome, ensure, same};
use crate::runner::table;

table! { 3:
    filter_vectors_hold_for_live_delivery
    filter_vectors_hold_for_recent
    filter_vectors_hold_for_replay
    filter_vectors_hold_for_history
    filter_vectors_hold_for_streams
    what_is_no_filter_is_invalid_filter
}

/// The data that the vectors speak of, beside what every `settings.updated` has.
fn samples() -> [Value; 6] {
    [
        json!({"n": 1, "s": "a", "deep": {"er": {"x": "y"}}, "tags": ["red", "blue"], "flag": true, "nil": null}),
        json!({"n": 1.0, "s": "A", "deep": {"er": {"x": 7}}, "tags": [], "flag": "true"}),
        json!({"n": "1", "s": "", "deep": {"er": [{"x": "y"}]}, "tags": "red", "flag": false}),
        json!({"n": -0.0, "s": "é", "deep": {}, "tags": [["red"]], "dotted.key": 1}),
        json!({"n": 9_007_199_254_740_993_u64, "tags": [1, "blue", null], "nil": "null"}),
        json!({"n": 0, "s": ["a", "b"], "deep": "er", "tags": [true]}),
    ]
}

/// A filter, and which of the samples pass.
fn vectors() -> Vec<(Value, &'static [usize])> {
    vec![
        (json!({}), &[0, 1, 2, 3, 4, 5]),
        (json!({"n": 1}), &[0, 1]),
        (json!({"n": 1.0}), &[0, 1]),
        (json!({"n": "1"}), &[2]),
        (json!({"n": 0}), &[3, 5]),
        (json!({"n": [0, "1"]}), &[2, 3, 5]),
        (json!({"n": 9_007_199_254_740_993_u64}), &[4]),
        (json!({"n": 9_007_199_254_740_992_u64}), &[]),
        (json!({"s": "a"}), &[0, 5]),
        (json!({"s": "A"}), &[1]),
        (json!({"s": ""}), &[2]),
        (json!({"s": "é"}), &[3]),
        (json!({"s": ["a", "A", "zzz"]}), &[0, 1, 5]),
        (json!({"flag": true}), &[0]),
        (json!({"flag": "true"}), &[1]),
        (json!({"flag": [false, true]}), &[0, 2]),
        (json!({"nil": null}), &[0]),
        (json!({"nil": "null"}), &[4]),
        (json!({"missing": null}), &[]),
        (json!({"missing": "x"}), &[]),
        (json!({"deep.er.x": "y"}), &[0]),
        (json!({"deep.er.x": 7}), &[1]),
        (json!({"deep": "er"}), &[5]),
        (json!({"deep.er": "y"}), &[]),
        (json!({"deep.er.x.z": "y"}), &[]),
        (json!({"tags": "red"}), &[0, 2]),
        (json!({"tags": "blue"}), &[0, 4]),
        (json!({"tags": ["red", 1]}), &[0, 2, 4]),
        (json!({"tags": true}), &[5]),
        (json!({"n": 1, "s": "a"}), &[0]),
        (json!({"n": 1, "s": "a", "tags": "green"}), &[]),
        (json!({"n": [1, "1"], "tags": ["red", "blue"], "flag": [true, false]}), &[0, 2]),
        (json!({"@subject": "sub/0"}), &[0]),
        (json!({"@subject": ["sub/1", "sub/2"], "flag": "true"}), &[1]),
        (json!({"@source": "/src/3"}), &[3]),
        (json!({"@source": ["/src/3", "/src/0"], "n": 1}), &[0]),
    ]
}

/// The samples as events of one mark, numbered by `newValue`, and one last that every filter lets pass
/// that asks for nothing but the mark.
fn events(mark: &str) -> Vec<Value> {
    let mut events = Vec::new();
    for (number, sample) in samples().iter().enumerate() {
        let mut event = marked(mark, "high", number);
        event["subject"] = json!(format!("sub/{number}"));
        event["source"] = json!(format!("/src/{number}"));
        for (key, value) in sample.as_object().into_iter().flatten() {
            event["data"][key] = value.clone();
        }
        events.push(event);
    }
    events
}

/// A vector's filter, tied to one mark.
fn tied(filter: &Value, mark: &str) -> Value {
    let mut filter = filter.clone();
    filter["settingKey"] = json!(mark);
    filter
}

/// Fails with the vector where other samples than expected have passed.
fn compare(filter: &Value, found: impl IntoIterator<Item = Value>, expected: &[usize]) -> Outcome {
    let found: BTreeSet<u64> = found.into_iter().filter_map(|value| value.as_u64()).collect();
    let expected: BTreeSet<u64> = expected.iter().map(|number| *number as u64).collect();
    same!(found, expected, "samples that pass {filter}");
    Ok(())
}

fn marks() -> Vec<String> {
    vectors().iter().map(|_| unique("mark")).collect()
}

/// Publishes the samples under every mark, and then one last event in the same lane.
async fn publish_all(t: &Context, marks: &[String]) -> Outcome<String> {
    for mark in marks {
        t.server.publish(&json!(events(mark))).await?;
    }
    let last = unique("last");
    t.server.publish(&marked(&last, "high", 0)).await?;
    Ok(last)
}

fn mark_of(message: &Value) -> &Value {
    &message["event"]["data"]["settingKey"]
}

fn check_delivered(messages: &[Value], marks: &[String]) -> Outcome {
    for ((filter, expected), mark) in vectors().iter().zip(marks) {
        let found = messages.iter().filter(|message| mark_of(message) == mark).map(value_of);
        compare(filter, found, expected)?;
    }
    Ok(())
}

async fn filter_vectors_hold_for_live_delivery(t: Context) -> Outcome {
    let marks = marks();
    let mut client = Client::full(&t.server).await?;
    for ((filter, _), mark) in vectors().iter().zip(&marks) {
        client.subscribe(mark, &["settings.*"], tied(filter, mark)).await?;
    }
    // The last event's mark is known only afterwards, so the sentinel is one more subscription.
    let last = unique("last");
    client.follow(&last).await?;
    publish_all(&t, &marks).await?;
    t.server.publish(&marked(&last, "high", 0)).await?;
    let messages = client.until(|message| mark_of(message) == &last).await?;
    check_delivered(&messages, &marks)
}

async fn filter_vectors_hold_for_recent(t: Context) -> Outcome {
    let marks = marks();
    publish_all(&t, &marks).await?;
    let mut client = Client::full(&t.server).await?;
    for ((filter, expected), mark) in vectors().iter().zip(&marks) {
        let message = json!({"type": "subscribe", "id": mark, "events": ["settings.*"],
            "filter": tied(filter, mark), "recent": 50});
        let reply = client.request(message).await?;
        compare(filter, reply["recent"].as_array().into_iter().flatten().map(value_of), expected)?;
    }
    Ok(())
}

async fn filter_vectors_hold_for_replay(t: Context) -> Outcome {
    let marks = marks();
    let client = Client::full(&t.server).await?;
    let from = client.welcome["offset"].as_u64().unwrap_or_default();
    let since = crate::client::Position::everywhere(client.epoch(), from);
    let last = publish_all(&t, &marks).await?;
    let entry =
        |id: &str, filter: Value| json!({"id": id, "from": from, "events": ["settings.*"], "filter": filter});
    let vectors = vectors();
    let mut subscriptions: Vec<Value> =
        vectors.iter().zip(&marks).map(|((filter, _), mark)| entry(mark, tied(filter, mark))).collect();
    subscriptions.push(entry("last", json!({"settingKey": last})));
    let mut resumed = Client::full(&t.server).await?;
    let message = json!({"type": "resume", "since": since.json(), "subscriptions": subscriptions});
    same!(resumed.request(message).await?["recovered"], true, "recovered");
    let messages = resumed.until(|message| mark_of(message) == &last).await?;
    check_delivered(&messages, &marks)
}

async fn filter_vectors_hold_for_history(t: Context) -> Outcome {
    let marks = marks();
    let before = Client::full(&t.server).await?.welcome["offset"].clone();
    publish_all(&t, &marks).await?;
    let token = t.server.full_token()?;
    for ((filter, expected), mark) in vectors().iter().zip(&marks) {
        let filter = tied(filter, mark);
        let mut after = before.clone();
        let mut found = Vec::new();
        for _ in 0..50 {
            let target = format!(
                "/v1/events?events=settings.*&filter={}&after={after}&limit=1000",
                escape(&filter.to_string())
            );
            let page = Request::get(&target).bearer(&token).send(&t.server).await?.success()?;
            found.extend(page["events"].as_array().into_iter().flatten().map(value_of));
            if page["next"].is_null() || page["next"] == after {
                break;
            }
            after = page["next"].clone();
        }
        compare(&filter, found, expected)?;
    }
    Ok(())
}

async fn filter_vectors_hold_for_streams(t: Context) -> Outcome {
    let token = t.server.full_token()?;
    // Every third suffices: what decides is the same as for live delivery.
    for (filter, expected) in vectors().iter().step_by(3) {
        let mark = unique("mark");
        let filter = tied(filter, &mark);
        let target = format!("/v1/stream?events=settings.*&filter={}", escape(&filter.to_string()));
        let mut stream = EventStream::open(&Request::get(&target).bearer(&token), &t.server).await?;
        let first = stream.next().await?;
        ensure!(first.is_some_and(|block| block.id.is_some()), "no first block");
        t.server.publish(&json!(events(&mark))).await?;
        let mut found = Vec::new();
        while found.len() < expected.len() {
            found.push(value_of(&stream.event().await?.0));
        }
        compare(&filter, found, expected)?;
    }
    Ok(())
}

async fn what_is_no_filter_is_invalid_filter(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    for filter in [
        json!([]),
        json!("x"),
        json!(7),
        json!({"a": {"b": 1}}),
        json!({"a": []}),
        json!({"a": [[1]]}),
        json!({"a": [{"b": 1}]}),
        json!({"": 1}),
        json!({".a": 1}),
        json!({"a.": 1}),
        json!({"a..b": 1}),
        json!({"@id": 1}),
        json!({"@": 1}),
    ] {
        let message = json!({"type": "subscribe", "id": "s", "events": ["*"], "filter": filter});
        client.error(message, "invalid_filter").await?;
    }
    client.alive().await
}
