//! §7 Limits and rates of messages.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::client::{Client, Incoming};
use crate::events::{marked, unique};
use crate::lab::Context;
use crate::outcome::{Outcome, ensure, fail, same};
use crate::raw::{CLOSE, Frame, PING, Socket, TEXT};
use crate::runner::table;

table! { 7:
    connection_has_at_most_128_subscriptions
    subscription_has_at_most_64_patterns
    subscription_has_at_most_16_filter_keys
    limits_are_configurable
    messages_over_the_rate_are_rate_limited
    ten_rate_limited_errors_close_with_4429
    pings_count_as_messages
    a_burst_of_200_passes
    tenth_bad_message_within_a_minute_closes_with_4400
    other_errors_do_not_count_towards_4400
    every_error_has_a_code_of_the_list
}

fn subscribe(id: &str, events: &Value, filter: &Value) -> Value {
    json!({"type": "subscribe", "id": id, "events": events, "filter": filter})
}

async fn connection_has_at_most_128_subscriptions(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    for number in 0..128 {
        client.subscribe(&format!("s{number}"), &["user.login"], json!({"userId": "none"})).await?;
    }
    let over = subscribe("over", &json!(["user.login"]), &json!({}));
    client.error(over.clone(), "too_many_subscriptions").await?;
    // A replacement is none more.
    client.subscribe("s0", &["user.logout"], json!({"userId": "none"})).await?;
    client.request(json!({"type": "unsubscribe", "id": "s1"})).await?;
    same!(client.request(over).await?["type"], "subscribed", "reply after one has ended");
    Ok(())
}

async fn subscription_has_at_most_64_patterns(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let patterns = vec!["user.login"; 64];
    client.subscribe("s", &patterns, json!({})).await?;
    client.error(subscribe("s", &json!(vec!["user.login"; 65]), &json!({})), "invalid_message").await?;
    Ok(())
}

async fn subscription_has_at_most_16_filter_keys(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let filter = |keys: usize| -> Value { (0..keys).map(|key| (format!("k{key}"), json!(key))).collect() };
    client.subscribe("s", &["user.login"], filter(16)).await?;
    client.error(subscribe("s", &json!(["user.login"]), &filter(17)), "invalid_filter").await?;
    Ok(())
}

async fn limits_are_configurable(t: Context) -> Outcome {
    let settings = "[limits]\nsubscriptions = 2\npatterns = 3\nfilter_keys = 1\nrecent = 5\n\
        message_bytes = 8192\nevent_bytes = 4096\nsubscriptions_bytes = 4096\n";
    let server = t.with(settings).await?;
    let mut client = Client::full(&server).await?;
    client.subscribe("a", &["user.login", "user.logout", "content.*"], json!({"userId": 1})).await?;
    client.error(subscribe("b", &json!(vec!["user.login"; 4]), &json!({})), "invalid_message").await?;
    client.error(subscribe("b", &json!(["*"]), &json!({"a": 1, "b": 1})), "invalid_filter").await?;
    let recent = json!({"type": "subscribe", "id": "b", "events": ["*"], "recent": 6});
    client.error(recent, "invalid_message").await?;
    client.subscribe("b", &["user.login"], json!({})).await?;
    client.error(subscribe("c", &json!(["*"]), &json!({})), "too_many_subscriptions").await?;
    client.send(&json!({"type": "ping", "pad": "x".repeat(9_000)})).await?;
    client.closed_with(1009).await
}

const SLOW: &str = "[limits]\nmessages_per_s = 5\nmessages_burst = 20\n";

async fn messages_over_the_rate_are_rate_limited(t: Context) -> Outcome {
    let server = t.with(SLOW).await?;
    let mut client = Client::full(&server).await?;
    let mut replies: HashMap<String, usize> = HashMap::new();
    for number in 0..26 {
        client.send(&json!({"type": "ping", "id": format!("p{number}")})).await?;
    }
    for _ in 0..26 {
        let reply = client.next().await?;
        let kind = if reply["type"] == "pong" { "pong" } else { reply["code"].as_str().unwrap_or_default() };
        *replies.entry(kind.to_owned()).or_default() += 1;
        ensure!(reply["id"].is_string(), "a reply without id: {reply}");
    }
    let (pongs, limited) = (replies.remove("pong").unwrap_or(0), replies.remove("rate_limited").unwrap_or(0));
    ensure!(
        (20..26).contains(&pongs) && limited > 0 && replies.is_empty(),
        "{pongs} pongs, {limited} limited, {replies:?}"
    );
    // It recovers with time.
    loop {
        let reply = client.request(json!({"type": "ping"})).await?;
        if reply["type"] == "pong" {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    }
}

async fn ten_rate_limited_errors_close_with_4429(t: Context) -> Outcome {
    let server = t.with(SLOW).await?;
    let mut client = Client::full(&server).await?;
    for number in 0..80 {
        if client.send(&json!({"type": "ping", "id": format!("p{number}")})).await.is_err() {
            break;
        }
    }
    let mut limited = 0;
    loop {
        match client.receive().await? {
            Incoming::Message(message, _) => limited += usize::from(message["code"] == "rate_limited"),
            Incoming::Closed(code) => {
                same!(code, Some(4429), "close code");
                ensure!((9..=10).contains(&limited), "closed after {limited} errors");
                return Ok(());
            }
            Incoming::Ping => {}
        }
    }
}

async fn pings_count_as_messages(t: Context) -> Outcome {
    let server = t.with(SLOW).await?;
    let mut socket = Socket::full(&server).await?;
    let mut bytes = Vec::new();
    for _ in 0..200 {
        bytes.extend(Frame::new(PING, "x").encode());
    }
    socket.connection.send_what_goes(&bytes).await;
    let mut limited = 0;
    loop {
        let frame = socket.receive().await?;
        match frame.opcode {
            TEXT => limited += usize::from(frame.json()?["code"] == "rate_limited"),
            CLOSE => {
                same!(frame.code(), Some(4429), "close code");
                ensure!(limited > 0, "closed without an error before");
                return Ok(());
            }
            _ => {}
        }
    }
}

async fn a_burst_of_200_passes(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    for number in 0..200 {
        client.send(&json!({"type": "ping", "id": format!("p{number}")})).await?;
    }
    for number in 0..200 {
        same!(client.next().await?, json!({"type": "pong", "id": format!("p{number}")}), "reply");
    }
    Ok(())
}

async fn tenth_bad_message_within_a_minute_closes_with_4400(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let bad = ["{", "[]", r#"{"type":"dance"}"#];
    for number in 0..9 {
        client.send_frame(bad[number % 3].into()).await?;
        same!(client.next().await?["type"], "error", "reply to fault {number}");
    }
    client.alive().await?;
    client.send_frame("{".into()).await?;
    loop {
        match client.receive().await? {
            Incoming::Message(message, _) => same!(message["type"], "error", "before the close: {message}"),
            Incoming::Closed(code) => {
                same!(code, Some(4400), "close code");
                return Ok(());
            }
            Incoming::Ping => {}
        }
    }
}

async fn other_errors_do_not_count_towards_4400(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    for _ in 0..15 {
        client.error(json!({"type": "unsubscribe", "id": "none"}), "not_subscribed").await?;
        client.error(subscribe("s", &json!(["nonsense"]), &json!({})), "invalid_event_type").await?;
    }
    client.alive().await
}

const CODES: [&str; 14] = [
    "invalid_json",
    "invalid_message",
    "unknown_type",
    "invalid_event_type",
    "invalid_filter",
    "invalid_event",
    "invalid_token",
    "forbidden",
    "conflict",
    "not_subscribed",
    "too_many_subscriptions",
    "rate_limited",
    "unavailable",
    "internal",
];

async fn every_error_has_a_code_of_the_list(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let mark = unique("mark");
    for text in [
        "nonsense".to_owned(),
        json!({"type": "subscribe", "id": "s", "events": ["a", 7]}).to_string(),
        json!({"type": "publish", "event": 7}).to_string(),
        json!({"type": "publish", "event": {"type": "user.login"}}).to_string(),
        json!({"type": "auth", "token": mark}).to_string(),
        json!({"type": "unsubscribe", "id": mark}).to_string(),
        json!({"type": mark}).to_string(),
    ] {
        client.send_frame(text.clone().into()).await?;
        let reply = client.next().await?;
        same!(reply["type"], "error", "reply to {text}");
        let Some(code) = reply["code"].as_str() else { fail!("no code in {reply}") };
        ensure!(CODES.contains(&code), "{code} is not in the list");
    }
    t.server.publish(&marked(&mark, "low", 1)).await?;
    Ok(())
}
