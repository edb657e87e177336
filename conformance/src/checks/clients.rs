//! The protocol as clients see it that the project did not write: npm `ws`, Python `websockets`, `curl`.

use serde_json::{Value, json};

use crate::client::{Position, value_of};
use crate::events::{LANES, marked, unique};
use crate::external::{Curl, Language, Puppet, curl};
use crate::http::escape;
use crate::lab::Context;
use crate::outcome::{Outcome, ensure, same};
use crate::runner::table;

table! { 3:
    npm_ws_subscribes_receives_and_resumes
    python_websockets_subscribes_receives_and_resumes
    npm_ws_reads_4401
    python_websockets_reads_4401
    npm_ws_answers_heartbeats
    python_websockets_answers_heartbeats
    curl_publishes
    curl_publishes_a_chunked_body
    curl_publishes_with_expect_100_continue
    curl_follows_and_resumes_a_stream
    curl_reads_history
}

async fn scenario(t: &Context, language: Language, via: &str) -> Outcome {
    let mark = unique("mark");
    for number in 0..3 {
        t.server.publish(&marked(&mark, "normal", number)).await?;
    }
    let token = t.server.full_token()?;
    let mut client = Puppet::start(language)?;
    let welcome = client.connect(&t.server, &token, via).await?;
    let filter = json!({"settingKey": mark});
    client
        .send(
            &json!({"type": "subscribe", "id": "s", "events": ["settings.*"], "filter": filter, "recent": 2}),
        )
        .await?;
    let reply = client.message().await?;
    same!(reply["type"], "subscribed", "reply {reply}");
    let recent: Vec<_> = reply["recent"].as_array().into_iter().flatten().map(value_of).collect();
    same!(recent, [json!(1), json!(2)], "recent");
    let from = reply["offset"].as_u64().unwrap_or_default();
    let mut since = Position::everywhere(welcome["epoch"].as_str().unwrap_or_default(), from);
    for (lane, name) in LANES.iter().enumerate() {
        t.server.publish(&marked(&mark, name, *name)).await?;
        let event = client.message().await?;
        same!(value_of(&event), *name, "event {event}");
        same!(event["lane"], *name, "lane");
        since.lanes[lane] = event["offset"].as_u64().unwrap_or_default();
    }
    client.break_off().await?;
    let missed: Vec<_> = (10..60).map(|number| marked(&mark, "low", number)).collect();
    t.server.publish(&json!(missed)).await?;
    client.connect(&t.server, &token, via).await?;
    let subscription = json!({"id": "s", "from": from, "events": ["settings.*"], "filter": filter});
    client.send(&json!({"type": "resume", "since": since.json(), "subscriptions": [subscription]})).await?;
    let reply = client.message().await?;
    same!(reply["recovered"], true, "recovered in {reply}");
    t.server.publish(&marked(&mark, "low", 60)).await?;
    for number in 10..=60 {
        same!(value_of(&client.message().await?), number, "replay");
    }
    same!(client.close().await?, 1000, "close code");
    Ok(())
}

async fn npm_ws_subscribes_receives_and_resumes(t: Context) -> Outcome {
    scenario(&t, Language::Node, "protocol").await
}

async fn python_websockets_subscribes_receives_and_resumes(t: Context) -> Outcome {
    scenario(&t, Language::Python, "header").await
}

async fn npm_ws_reads_4401(t: Context) -> Outcome {
    same!(Puppet::start(Language::Node)?.refused(&t.server, "bad").await?, 4401, "close code");
    Ok(())
}

async fn python_websockets_reads_4401(t: Context) -> Outcome {
    same!(Puppet::start(Language::Python)?.refused(&t.server, "bad").await?, 4401, "close code");
    Ok(())
}

/// A client that says nothing by itself lives through several timeouts: its library answers Ping.
async fn heartbeats(t: &Context, language: Language) -> Outcome {
    let server = t.with("[heartbeat]\ninterval_ms = 300\ntimeout_ms = 1000\n").await?;
    let mut client = Puppet::start(language)?;
    client.connect(&server, &server.full_token()?, "protocol").await?;
    for _ in 0..12 {
        let message = client.any_message().await?;
        same!(message["type"], "heartbeat", "message {message}");
    }
    Ok(())
}

async fn npm_ws_answers_heartbeats(t: Context) -> Outcome {
    heartbeats(&t, Language::Node).await
}

async fn python_websockets_answers_heartbeats(t: Context) -> Outcome {
    heartbeats(&t, Language::Python).await
}

async fn publish_by_curl(t: &Context, more: &[&str]) -> Outcome {
    let mark = unique("mark");
    let mut client = crate::client::Client::full(&t.server).await?;
    client.follow(&mark).await?;
    let url = format!("http://{}/v1/events", t.server.address);
    let key = format!("Authorization: Bearer {}", t.server.api_key);
    let event = marked(&mark, "high", 1).to_string();
    let mut arguments = vec!["-H", &key, "-H", "Content-Type: application/json", "--data-binary", &event];
    arguments.extend(more);
    arguments.push(&url);
    let answer: Value = serde_json::from_str(&curl(&arguments).await?)?;
    let event = client.event().await?;
    same!(answer["results"][0]["offset"], event["offset"], "offset");
    same!(answer["results"][0]["id"], event["event"]["id"], "id");
    same!(answer["results"][0]["duplicate"], false, "duplicate");
    Ok(())
}

async fn curl_publishes(t: Context) -> Outcome {
    publish_by_curl(&t, &["--fail"]).await
}

async fn curl_publishes_a_chunked_body(t: Context) -> Outcome {
    publish_by_curl(&t, &["--fail", "-H", "Transfer-Encoding: chunked"]).await
}

async fn curl_publishes_with_expect_100_continue(t: Context) -> Outcome {
    publish_by_curl(&t, &["--fail", "-H", "Expect: 100-continue", "--expect100-timeout", "60"]).await
}

async fn curl_follows_and_resumes_a_stream(t: Context) -> Outcome {
    let mark = unique("mark");
    let filter = escape(&json!({"settingKey": mark}).to_string());
    let url = format!("http://{}/v1/stream?events=settings.updated&filter={filter}", t.server.address);
    let token = format!("Authorization: Bearer {}", t.server.full_token()?);
    let mut stream = Curl::start(&["-H", &token, &url])?;
    ensure!(stream.block().await?.id.is_some(), "the first block has no id");
    t.server.publish(&marked(&mark, "high", 1)).await?;
    let (message, id) = stream.event().await?;
    same!(value_of(&message), 1, "event {message}");
    drop(stream);
    t.server.publish(&marked(&mark, "high", 2)).await?;
    let last = format!("Last-Event-ID: {id}");
    let mut stream = Curl::start(&["-H", &token, "-H", &last, &url])?;
    let (message, _) = stream.event().await?;
    same!(value_of(&message), 2, "event {message}");
    Ok(())
}

async fn curl_reads_history(t: Context) -> Outcome {
    let mark = unique("mark");
    let offset = t.server.publish(&marked(&mark, "high", 1)).await?;
    let url = format!("http://{}/v1/events", t.server.address);
    let token = format!("Authorization: Bearer {}", t.server.full_token()?);
    let after = format!("after={}", offset - 1);
    let filter = format!("filter={}", json!({"settingKey": mark}));
    let arguments = [
        "--fail",
        "-G",
        "-H",
        &token,
        "-d",
        "events=*",
        "-d",
        &after,
        "--data-urlencode",
        &filter,
        "-d",
        "limit=5",
        &url,
    ];
    let page: Value = serde_json::from_str(&curl(&arguments).await?)?;
    same!(page["events"][0]["offset"], offset, "offset in {page}");
    ensure!(page["epoch"].is_string(), "no epoch in {page}");
    Ok(())
}
