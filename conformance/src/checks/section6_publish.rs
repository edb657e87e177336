//! §6 `POST /v1/events`: bodies, batches, CloudEvents, authorisation, idempotency.

use serde_json::{Value, json};

use crate::client::{Client, value_of};
use crate::events::{TIME, marked, sample, unique};
use crate::http::{Connection, Request, Response, faults};
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, Within as _, ensure, same};
use crate::runner::table;

table! { 6:
    publish_answers_with_id_offset_and_duplicate
    publish_takes_an_array_in_order
    publish_takes_at_most_1000_events
    publish_takes_cloudevents_json
    publish_takes_a_cloudevents_batch
    publish_takes_binary_mode
    batch_with_a_fault_is_refused_whole_and_lists_every_fault
    body_that_is_no_json_is_400
    publish_needs_authorization
    publish_needs_a_grant
    body_is_read_only_after_the_request_is_authorised
    body_over_8_mib_is_413
    event_over_64_kib_is_refused
    repeated_id_is_duplicate_with_the_first_offset
    repeated_id_within_one_batch_is_published_once
    repeated_id_with_other_content_is_409_conflict
    id_counts_by_publisher_and_source
    concurrent_repeats_share_one_result
    ok_means_that_history_has_it
}

fn post(server: &Server, kind: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", "/v1/events").bearer(&server.api_key).body(kind, body)
}

async fn follow(server: &Server, mark: &str) -> Outcome<Client> {
    let mut client = Client::full(server).await?;
    client.follow(mark).await?;
    Ok(client)
}

fn results(response: &Response) -> Outcome<Vec<Value>> {
    let body = response.success()?;
    let results = body["results"].as_array().cloned().unwrap_or_default();
    for result in &results {
        ensure!(
            result["id"].is_string() && result["offset"].is_u64() && result["duplicate"].is_boolean(),
            "{result}"
        );
    }
    Ok(results)
}

async fn publish_answers_with_id_offset_and_duplicate(t: Context) -> Outcome {
    let mut event = sample("user.login");
    event["id"] = json!(unique("id"));
    let response = Request::publish(&event).bearer(&t.server.api_key).send(&t.server).await?;
    let kind = response.header("content-type").unwrap_or_default();
    ensure!(kind.starts_with("application/json"), "results came as {kind:?}");
    let results = results(&response)?;
    same!(results.len(), 1, "results");
    same!(results[0]["id"], event["id"], "id");
    same!(results[0]["duplicate"], false, "duplicate");
    Ok(())
}

async fn publish_takes_an_array_in_order(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = follow(&t.server, &mark).await?;
    let events: Vec<_> = (0..30).map(|number| marked(&mark, "normal", number)).collect();
    let response = post(&t.server, "application/json", json!(events).to_string()).send(&t.server).await?;
    let offsets: Vec<_> = results(&response)?.iter().filter_map(|result| result["offset"].as_u64()).collect();
    ensure!(offsets.len() == 30 && offsets.is_sorted(), "offsets {offsets:?}");
    for (number, offset) in offsets.iter().enumerate() {
        let event = client.event().await?;
        same!((value_of(&event), event["offset"].as_u64()), (json!(number), Some(*offset)), "event");
    }
    let empty = post(&t.server, "application/json", "[]").send(&t.server).await?;
    ensure!([200, 400].contains(&empty.status), "an empty array got {}", empty.status);
    Ok(())
}

async fn publish_takes_at_most_1000_events(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = follow(&t.server, &mark).await?;
    let events: Vec<_> = (0..1_001).map(|number| marked(&mark, "low", number)).collect();
    let refused = post(&t.server, "application/json", json!(events).to_string()).send(&t.server).await?;
    ensure!([400, 413].contains(&refused.status), "1,001 events got {}", refused.status);
    refused.problem(refused.status)?;
    let response =
        post(&t.server, "application/json", json!(events[1..]).to_string()).send(&t.server).await?;
    same!(results(&response)?.len(), 1_000, "results");
    same!(client.values(1_000).await?.first(), Some(&json!(1)), "first event");
    Ok(())
}

async fn publish_takes_cloudevents_json(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = follow(&t.server, &mark).await?;
    let mut event = marked(&mark, "normal", 1);
    event["specversion"] = json!("1.0");
    event["id"] = json!(unique("id"));
    event["source"] = json!("/cms");
    for kind in ["application/cloudevents+json", "application/cloudevents+json; charset=utf-8"] {
        event["id"] = json!(unique("id"));
        post(&t.server, kind, event.to_string()).send(&t.server).await?.success().at(kind)?;
        same!(client.event().await?["event"]["source"], "/cms", "source");
    }
    Ok(())
}

async fn publish_takes_a_cloudevents_batch(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = follow(&t.server, &mark).await?;
    let batch = json!([marked(&mark, "normal", 1), marked(&mark, "normal", 2)]);
    let kind = "application/cloudevents-batch+json";
    let response = post(&t.server, kind, batch.to_string()).send(&t.server).await?;
    same!(results(&response)?.len(), 2, "results");
    same!(client.values(2).await?, [json!(1), json!(2)], "events");
    post(&t.server, kind, marked(&mark, "normal", 3).to_string()).send(&t.server).await?.problem(400)?;
    Ok(())
}

async fn publish_takes_binary_mode(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = follow(&t.server, &mark).await?;
    let data = marked(&mark, "", 1)["data"].clone();
    let (id, headers) = (unique("id"), |request: Request| {
        request
            .header("ce-specversion", "1.0")
            .header("ce-type", "settings.updated")
            .header("Ce-Source", "/cms")
    });
    let request = headers(post(&t.server, "application/json", data.to_string()))
        .header("ce-id", &id)
        .header("ce-time", TIME)
        .header("ce-subject", "key%2Fone%20%E2%82%AC")
        .header("ce-priority", "low");
    same!(results(&request.send(&t.server).await?)?[0]["id"], id, "id");
    let message = client.event().await?;
    let event = &message["event"];
    same!(message["lane"], "low", "lane");
    same!(event["id"], id, "id");
    same!(event["time"], TIME, "time");
    same!(event["data"], data, "data");
    same!(event["source"], "/cms", "source");
    // CloudEvents HTTP binding §3.1.3.2: values of headers are percent-encoded.
    same!(event["subject"], "key/one €", "subject");
    let fault = headers(post(&t.server, "application/json", "{}")).send(&t.server).await?.problem(400)?;
    ensure!(faults(&fault).iter().any(|(_, path)| path.contains("settingKey")), "faults in {fault}");
    Ok(())
}

async fn batch_with_a_fault_is_refused_whole_and_lists_every_fault(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = follow(&t.server, &mark).await?;
    let mut untitled = sample("content.created");
    untitled["data"]["title"] = json!(7);
    untitled["source"] = json!("");
    let batch = json!([
        marked(&mark, "normal", 1),
        untitled,
        marked(&mark, "normal", 2),
        {"type": "user.sneezed", "data": {}},
        {"type": "user.login", "data": {}},
    ]);
    let body = Request::publish(&batch).bearer(&t.server.api_key).send(&t.server).await?.problem(400)?;
    let found = faults(&body);
    for (index, key) in [(1, "title"), (1, "source"), (3, "type"), (4, "userId"), (4, "timestamp")] {
        let listed = found.iter().any(|(at, path)| *at == index && path.contains(key));
        ensure!(listed, "no fault at {index} {key} in {body}");
    }
    ensure!(found.iter().all(|(index, _)| ![0, 2].contains(index)), "a fault of a good event in {body}");
    t.server.publish(&marked(&mark, "normal", 3)).await?;
    same!(client.values(1).await?, [json!(3)], "events");
    Ok(())
}

async fn body_that_is_no_json_is_400(t: Context) -> Outcome {
    for body in ["", "{", "{}{}", "7", "null", "\"x\"", "[7]", "[[]]", "{\"type\":\"user.login\""] {
        post(&t.server, "application/json", body)
            .send(&t.server)
            .await?
            .problem(400)
            .at(format!("{body:?}"))?;
    }
    let mut latin = sample("user.login").to_string().into_bytes();
    let Some(at) = latin.iter().position(|byte| *byte == b'u') else { return Ok(()) };
    latin[at] = 0xff;
    post(&t.server, "application/json", latin).send(&t.server).await?.problem(400).at("bad UTF-8")?;
    Ok(())
}

async fn publish_needs_authorization(t: Context) -> Outcome {
    let event = sample("user.login");
    let expired = t.server.token().full().expires_in(-3600).sign()?;
    let basic = format!("Basic {}", t.server.api_key);
    let response = Request::publish(&event).send(&t.server).await?;
    response.problem(401)?;
    let challenge = response.header("www-authenticate").unwrap_or_default();
    ensure!(challenge.to_ascii_lowercase().starts_with("bearer"), "WWW-Authenticate is {challenge:?}");
    for header in ["Bearer bad".to_owned(), format!("Bearer {expired}"), basic, "Bearer".into()] {
        Request::publish(&event)
            .header("Authorization", &header)
            .send(&t.server)
            .await?
            .problem(401)
            .at(&header)?;
    }
    // A token in the query opens a WebSocket and nothing else.
    let target = format!("/v1/events?token={}", t.server.full_token()?);
    Request::new("POST", &target)
        .body("application/json", event.to_string())
        .send(&t.server)
        .await?
        .problem(401)?;
    Ok(())
}

async fn publish_needs_a_grant(t: Context) -> Outcome {
    let token = t.server.token().sign()?;
    Request::publish(&sample("user.login")).bearer(&token).send(&t.server).await?.problem(403)?;
    let token = t.server.token().grant(json!({"publish": ["content.*"]})).sign()?;
    let batch = json!([sample("content.deleted"), sample("user.login")]);
    Request::publish(&batch).bearer(&token).send(&t.server).await?.problem(403)?;
    Request::publish(&sample("content.deleted")).bearer(&token).send(&t.server).await?.success()?;
    Ok(())
}

async fn body_is_read_only_after_the_request_is_authorised(t: Context) -> Outcome {
    let mut connection = Connection::open(&t.server).await?;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
        t.server.address
    );
    connection.send(head.as_bytes()).await?;
    // No 100, and no waiting for the body.
    connection.response().await?.problem(401)?;
    let mut connection = Connection::open(&t.server).await?;
    connection.send(head.replace("Expect: 100-continue\r\n", "").as_bytes()).await?;
    connection.response().await?.problem(401)?;
    Ok(())
}

async fn body_over_8_mib_is_413(t: Context) -> Outcome {
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n",
        t.server.address, t.server.api_key
    );
    for length in [(8 << 20) + 1, 1_u64 << 40, u64::MAX] {
        let mut connection = Connection::open(&t.server).await?;
        connection.send(format!("{head}Content-Length: {length}\r\n\r\n").as_bytes()).await?;
        connection.response().await?.problem(413).at(length)?;
    }
    let mut connection = Connection::open(&t.server).await?;
    connection.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await?;
    let mut chunk = b"100000\r\n".to_vec();
    chunk.resize(chunk.len() + (1 << 20), b' ');
    chunk.extend_from_slice(b"\r\n");
    for _ in 0..9 {
        connection.send_what_goes(&chunk).await;
    }
    connection.response().await?.problem(413).at("chunked")?;
    let mut event = sample("user.login");
    event["data"]["bulk"] = json!("x".repeat(60_000));
    let batch = json!(vec![event; 139]).to_string();
    ensure!(batch.len() < 8 << 20, "a batch of {} bytes", batch.len());
    post(&t.server, "application/json", batch).send(&t.server).await?.success().at("just under 8 MiB")?;
    Ok(())
}

async fn event_over_64_kib_is_refused(t: Context) -> Outcome {
    let mut event = sample("user.login");
    event["data"]["bulk"] = json!("x".repeat(64_000));
    t.server.publish(&event).await.at("an event of just under 64 KiB")?;
    event["data"]["bulk"] = json!("x".repeat(64 << 10));
    let response = Request::publish(&event).bearer(&t.server.api_key).send(&t.server).await?;
    ensure!([400, 413].contains(&response.status), "an event over 64 KiB got {}", response.status);
    response.problem(response.status)?;
    let mut client = Client::full(&t.server).await?;
    client.error(json!({"type": "publish", "event": event}), "invalid_event").await?;
    Ok(())
}

async fn repeated_id_is_duplicate_with_the_first_offset(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = follow(&t.server, &mark).await?;
    let mut event = marked(&mark, "normal", 1);
    event["id"] = json!(unique("id"));
    let request = Request::publish(&event).bearer(&t.server.api_key);
    let first = results(&request.send(&t.server).await?)?;
    let second = results(&request.send(&t.server).await?)?;
    same!(first[0]["duplicate"], false, "duplicate of the first");
    same!(second[0]["duplicate"], true, "duplicate of the second");
    same!(second[0]["offset"], first[0]["offset"], "offset");
    // The order of keys is no content.
    let data = &event["data"];
    let turned =
        format!(r#"{{"data":{data},"id":{},"priority":"normal","type":"settings.updated"}}"#, event["id"]);
    let third = results(&post(&t.server, "application/json", turned).send(&t.server).await?)?;
    same!(third[0]["duplicate"], true, "duplicate with the keys in another order");
    t.server.publish(&marked(&mark, "normal", 2)).await?;
    same!(client.values(2).await?, [json!(1), json!(2)], "events");
    Ok(())
}

async fn repeated_id_within_one_batch_is_published_once(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = follow(&t.server, &mark).await?;
    let mut event = marked(&mark, "normal", 1);
    event["id"] = json!(unique("id"));
    let batch = json!([event, event, marked(&mark, "normal", 2)]);
    let results = results(&Request::publish(&batch).bearer(&t.server.api_key).send(&t.server).await?)?;
    same!(results[1]["duplicate"], true, "duplicate of the repeat");
    same!(results[1]["offset"], results[0]["offset"], "offset of the repeat");
    same!(client.values(2).await?, [json!(1), json!(2)], "events");
    Ok(())
}

async fn repeated_id_with_other_content_is_409_conflict(t: Context) -> Outcome {
    let mut event = marked(&unique("mark"), "normal", 1);
    event["id"] = json!(unique("id"));
    t.server.publish(&event).await?;
    event["data"]["newValue"] = json!(2);
    let body = Request::publish(&event).bearer(&t.server.api_key).send(&t.server).await?.problem(409)?;
    same!(body["code"], "conflict", "code of {body}");
    Ok(())
}

async fn id_counts_by_publisher_and_source(t: Context) -> Outcome {
    let mut event = marked(&unique("mark"), "normal", 1);
    event["id"] = json!(unique("id"));
    event["source"] = json!("/one");
    let first = t.server.publish(&event).await?;
    let token = t.server.full_token()?;
    let request = Request::publish(&event).bearer(&token);
    let other = results(&request.send(&t.server).await?)?;
    same!(other[0]["duplicate"], false, "duplicate of another publisher");
    ensure!(other[0]["offset"].as_u64() > Some(first), "offset of another publisher");
    event["source"] = json!("/two");
    let other = results(&Request::publish(&event).bearer(&t.server.api_key).send(&t.server).await?)?;
    same!(other[0]["duplicate"], false, "duplicate of another source");
    Ok(())
}

async fn concurrent_repeats_share_one_result(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = follow(&t.server, &mark).await?;
    let mut event = marked(&mark, "normal", 1);
    event["id"] = json!(unique("id"));
    let mut publishing = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (server, event) = (t.server.clone(), event.clone());
        publishing.spawn(async move {
            results(&Request::publish(&event).bearer(&server.api_key).send(&server).await?)
        });
    }
    let mut offsets = Vec::new();
    let mut fresh = 0;
    while let Some(outcome) = publishing.join_next().await {
        let results = outcome??;
        fresh += usize::from(results[0]["duplicate"] == false);
        offsets.push(results[0]["offset"].as_u64());
    }
    offsets.dedup();
    same!((fresh, offsets.len()), (1, 1), "fresh results and distinct offsets");
    t.server.publish(&marked(&mark, "normal", 2)).await?;
    same!(client.values(2).await?, [json!(1), json!(2)], "events");
    Ok(())
}

async fn ok_means_that_history_has_it(t: Context) -> Outcome {
    let offset = t.server.publish(&marked(&unique("mark"), "normal", 1)).await?;
    let target = format!("/v1/events?events=settings.updated&after={}&limit=1", offset - 1);
    let page = Request::get(&target).bearer(&t.server.full_token()?).send(&t.server).await?.success()?;
    same!(page["events"][0]["offset"], offset, "offset in history");
    Ok(())
}
