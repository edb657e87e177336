//! §4 Server messages: their shape, and what draining looks like from a client.

use serde_json::{Value, json};

use crate::client::{Client, Incoming, lanes_of};
use crate::events::{LANES, marked, unique};
use crate::http::Request;
use crate::lab::Context;
use crate::outcome::{Outcome, ensure, fail, same, until};
use crate::raw::{self, Socket};
use crate::runner::table;

table! { 4:
    event_message_has_offset_lane_and_event
    messages_are_unfragmented_unmasked_text_frames
    error_never_costs_the_connection
    heartbeat_names_an_offset_for_every_lane
    draining_sends_reconnect_and_the_connection_stays_good_until_1012
    draining_ends_with_exit_0
    draining_is_not_ready
}

async fn event_message_has_offset_lane_and_event(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = Client::full(&t.server).await?;
    client.follow(&mark).await?;
    for lane in LANES {
        let offset = t.server.publish(&marked(&mark, lane, 1)).await?;
        let message = client.event().await?;
        let keys: Vec<_> = message.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        same!(sorted, ["event", "lane", "offset", "type"], "keys of an event message");
        same!(message["offset"], offset, "offset");
        same!(message["lane"], lane, "lane");
        same!(message["event"]["specversion"], "1.0", "specversion");
    }
    Ok(())
}

async fn messages_are_unfragmented_unmasked_text_frames(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut socket = Socket::full(&t.server).await?;
    let message = json!({"type": "subscribe", "id": "s", "events": ["*"], "filter": {"settingKey": mark}});
    socket.send(&raw::Frame::text(&message)).await?;
    same!(socket.message().await?["type"], "subscribed", "reply");
    let mut event = marked(&mark, "high", 1);
    event["data"]["bulk"] = json!("x".repeat(50_000));
    t.server.publish(&event).await?;
    let frame = socket.receive().await?;
    ensure!(frame.finished && frame.reserved == 0 && frame.opcode == raw::TEXT, "frame of {}", frame.opcode);
    same!(frame.json()?["event"]["data"]["bulk"], event["data"]["bulk"], "data");
    Ok(())
}

async fn error_never_costs_the_connection(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    for (message, code) in [
        (json!({"type": "subscribe", "id": "s", "events": ["nonsense"]}), "invalid_event_type"),
        (json!({"type": "subscribe", "id": "s", "events": ["*"], "filter": []}), "invalid_filter"),
        (json!({"type": "publish", "event": {"type": "user.login", "data": {}}}), "invalid_event"),
        (json!({"type": "unsubscribe", "id": "nothing"}), "not_subscribed"),
        (json!({"type": "auth", "token": "bad"}), "invalid_token"),
        (json!({"type": "nonsense"}), "unknown_type"),
    ] {
        for _ in 0..3 {
            client.error(message.clone(), code).await?;
        }
    }
    client.alive().await
}

async fn heartbeat_names_an_offset_for_every_lane(t: Context) -> Outcome {
    let server = t.with("[heartbeat]\ninterval_ms = 300\ntimeout_ms = 30000\n").await?;
    let mut client = Client::full(&server).await?;
    client.follow("nothing").await?;
    loop {
        match client.receive().await? {
            Incoming::Message(message, _) if message["type"] == "heartbeat" => {
                lanes_of(&message["lanes"])?;
                same!(message["lanes"].as_object().map_or(0, |lanes| lanes.len()), 4, "lanes");
                return Ok(());
            }
            Incoming::Closed(code) => fail!("closed with {code:?}"),
            _ => {}
        }
    }
}

/// Takes in everything until the close; gives `reconnect` and the close code.
async fn drained(client: &mut Client) -> Outcome<(Value, Option<u16>)> {
    let mut reconnect = Value::Null;
    loop {
        match client.receive().await? {
            Incoming::Message(message, _) if message["type"] == "reconnect" => reconnect = message,
            Incoming::Closed(code) => return Ok((reconnect, code)),
            _ => {}
        }
    }
}

async fn draining_sends_reconnect_and_the_connection_stays_good_until_1012(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::full(&server).await?);
    }
    server.signal("TERM").await?;
    let first = &mut clients[0];
    let message = first.expect("reconnect").await?;
    ensure!(message["after"].is_u64(), "after in {message}");
    first.alive().await?;
    same!(first.closed().await?, Some(1012), "close code");
    for client in clients.iter_mut().skip(1) {
        let (reconnect, code) = drained(client).await?;
        ensure!(reconnect["after"].is_u64(), "no reconnect before the close: {reconnect}");
        same!(code, Some(1012), "close code");
    }
    same!(server.exit_code().await?, Some(0), "exit code");
    Ok(())
}

async fn draining_ends_with_exit_0(t: Context) -> Outcome {
    let server = t.alone("").await?;
    // A client that reads nothing and answers nothing does not hold up the exit.
    let silent = Socket::full(&server).await?;
    server.stop().await?;
    drop(silent);
    let server = t.alone("").await?;
    let silent = Socket::full(&server).await?;
    server.signal("TERM").await?;
    server.signal("TERM").await?;
    let code = server.exit_code().await?;
    ensure!(code.is_some(), "a second SIGTERM ended the server by the signal itself");
    drop(silent);
    Ok(())
}

async fn draining_is_not_ready(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let mut client = Client::full(&server).await?;
    let mut connection = crate::http::Connection::open(&server).await?;
    same!(connection.ask(&Request::get("/readyz"), &server).await?.status, 200, "/readyz before");
    server.signal("TERM").await?;
    client.expect("reconnect").await?;
    // Either the open connection still answers, or the server has closed it and takes no other.
    until("/readyz to fail", || async {
        let mut connection = match crate::http::Connection::open(&server).await {
            Ok(connection) => connection,
            Err(_) => return Ok(Some(())),
        };
        match connection.ask(&Request::get("/readyz"), &server).await {
            Ok(response) if response.status == 200 => Ok(None),
            Ok(response) if response.status == 503 => Ok(Some(())),
            Ok(response) => fail!("/readyz while draining: {}", response.status),
            Err(_) => Ok(Some(())),
        }
    })
    .await?;
    drop((client, connection));
    same!(server.exit_code().await?, Some(0), "exit code");
    Ok(())
}
