//! Attacks over WebSocket: more frames, subscriptions and bytes than a good client would ever send.

use serde_json::{Value, json};

use super::{Arena, Attack};
use crate::client::{Client, Dial, Position};
use crate::events::{TYPES, marked};
use crate::outcome::Outcome;
use crate::raw::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, Socket, TEXT};

pub(super) fn table() -> Vec<Attack> {
    vec![
        Attack::new("fragment_floods", |arena| Box::pin(arena.swarm(20, fragments))),
        Attack::new("ping_floods", |arena| Box::pin(arena.swarm(20, pings))),
        Attack::new("malformed_frames", |arena| Box::pin(arena.swarm(20, malformed_frames))),
        Attack::new("message_floods", |arena| Box::pin(arena.swarm(20, messages))),
        Attack::new("subscription_floods", |arena| Box::pin(arena.swarm(20, subscriptions))),
        Attack::new("recent_floods", |arena| Box::pin(arena.swarm(10, recents))),
        Attack::new("expensive_filters", |arena| Box::pin(arena.swarm(10, filters))),
        Attack::new("clients_that_never_read", |arena| Box::pin(never_read(arena))),
    ]
}

/// Sends the bytes until the server has had enough.
async fn pour(arena: &Arena, socket: &mut Socket, bytes: &[u8]) -> Outcome {
    while arena.goes_on() {
        socket.connection.send(bytes).await?;
        arena.attempt();
    }
    Ok(())
}

async fn fragments(arena: Arena, number: usize) -> Outcome {
    let mut socket = Socket::full(&arena.server).await?;
    let size = [0, 1, 1_000][number % 3];
    socket.send(&Frame::new(TEXT, "").unfinished()).await?;
    let one = Frame::new(CONTINUATION, vec![b' '; size]).unfinished().encode();
    // Some wait before each fragment, and hold the message open as long as they may.
    if number.is_multiple_of(4) {
        while arena.goes_on() {
            socket.connection.send(&one).await?;
            arena.pause(50).await;
        }
        return Ok(());
    }
    pour(&arena, &mut socket, &one.repeat(100)).await
}

async fn pings(arena: Arena, number: usize) -> Outcome {
    let mut socket = Socket::full(&arena.server).await?;
    let opcode = [PING, PONG][number % 2];
    pour(&arena, &mut socket, &Frame::new(opcode, vec![b'x'; 125]).encode().repeat(200)).await
}

async fn malformed_frames(arena: Arena, number: usize) -> Outcome {
    let mut socket = Socket::full(&arena.server).await?;
    let frame = match number % 7 {
        0 => Frame::new(TEXT, "{}").unmasked(),
        1 => Frame::new(TEXT, "{}").reserved(0x40),
        2 => Frame::new(5, "x"),
        3 => Frame::new(BINARY, vec![0; 60_000]),
        4 => Frame::new(TEXT, vec![0xff; 60_000]),
        5 => Frame::new(CLOSE, vec![0xff; 125]),
        _ => Frame::new(PING, vec![0; 60_000]),
    };
    socket.send(&frame).await?;
    socket.connection.rest().await?;
    Ok(())
}

async fn messages(arena: Arena, number: usize) -> Outcome {
    let mut socket = Socket::full(&arena.server).await?;
    let long = json!({"type": "ping", "pad": "x".repeat(120_000)}).to_string();
    let text = ["{", r#"{"type":"ping"}"#, r#"{"type":"dance"}"#, &long][number % 4];
    let times = if text.len() > 1_000 { 1 } else { 200 };
    pour(&arena, &mut socket, &Frame::new(TEXT, text).encode().repeat(times)).await
}

async fn subscriptions(arena: Arena, number: usize) -> Outcome {
    let mut client = Client::full(&arena.server).await?;
    for round in 0..1_000 {
        if !arena.goes_on() {
            break;
        }
        let id = format!("s{}", round % 140);
        let events: Vec<&str> =
            if number.is_multiple_of(2) { vec!["*"] } else { TYPES.iter().map(|row| row.name).collect() };
        let filter = json!({"settingKey": format!("nobody-{number}-{round}"), "x": round});
        client.request(json!({"type": "subscribe", "id": id, "events": events, "filter": filter})).await?;
        if number.is_multiple_of(3) {
            client.request(json!({"type": "unsubscribe", "id": id})).await?;
        }
        arena.attempt();
    }
    Ok(())
}

async fn recents(arena: Arena, number: usize) -> Outcome {
    let mut client = Client::full(&arena.server).await?;
    // A filter that nothing passes makes the server look at all it has.
    let filter = json!({"settingKey": format!("nobody-{number}")});
    for round in 0..100 {
        let id = format!("s{round}");
        client
            .request(json!({"type": "subscribe", "id": id, "events": ["*"], "filter": filter, "recent": 200}))
            .await?;
        arena.attempt();
    }
    Ok(())
}

async fn filters(arena: Arena, number: usize) -> Outcome {
    let mut client = Client::full(&arena.server).await?;
    let wide: Vec<Value> = (0..256).map(|value| json!(value)).collect();
    let path = "a.".repeat(100);
    for round in 0..128 {
        let filter: Value = match number % 3 {
            // As many alternatives as fit, in the very path that the good clients filter by.
            0 => json!({"settingKey": wide}),
            1 => (0..16).map(|key| (format!("{path}k{key}"), json!([round, key]))).collect(),
            _ => (0..16).map(|key| (format!("k{key}"), json!([key, "x", null, true]))).collect(),
        };
        let reply = client
            .request(
                json!({"type": "subscribe", "id": format!("s{round}"), "events": ["*"], "filter": filter}),
            )
            .await?;
        arena.attempt();
        if reply["type"] == "error" {
            break;
        }
    }
    // What the server holds now decides about every event that is published.
    while arena.goes_on() {
        arena.pause(100).await;
        client.alive().await?;
    }
    Ok(())
}

/// Clients whose sockets stay full, and others that come back from the beginning and do not read either.
async fn never_read(arena: Arena) -> Outcome {
    let mark = crate::events::unique("unread");
    let mut stalled = Vec::new();
    for number in 0..60 {
        let dial = Dial::query(&arena.server.full_token()?).receive_buffer(4_096);
        let mut client = dial.open(&arena.server).await?;
        if number % 2 == 0 {
            client.follow(&mark).await?;
        } else {
            let since = Position::everywhere(client.epoch(), 0);
            client
                .send(&json!({"type": "resume", "since": since.json(),
                "subscriptions": [{"id": "all", "from": 0, "events": ["*"]}]}))
                .await?;
        }
        stalled.push(client);
        arena.attempt();
    }
    let mut event = marked(&mark, "low", 0);
    event["data"]["bulk"] = json!("x".repeat(30_000));
    let batch = json!(vec![event; 10]);
    // History holds each text twice, as it is sent and as filters compare it. So it takes 60 MB at most, and
    // though it may keep 128 MiB a lane, it leaves room in the bound.
    for _ in 0..100 {
        if !arena.goes_on() {
            break;
        }
        arena.server.publish(&batch).await?;
        arena.attempt();
        arena.pause(20).await;
    }
    while arena.goes_on() {
        arena.pause(100).await;
    }
    Ok(())
}
