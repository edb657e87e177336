//! §5 Heartbeats: Ping and message together, what the message says, and who is closed with 4408.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Incoming, Position, lanes_of};
use crate::events::{marked, unique};
use crate::lab::Context;
use crate::outcome::{Outcome, ensure, fail, same};
use crate::raw::{CLOSE, Frame, PING, PONG, Socket, TEXT};
use crate::runner::table;

table! { 5:
    heartbeat_and_ping_come_together_every_interval
    heartbeats_are_spread_over_connections
    heartbeat_covers_what_has_been_sent_and_what_did_not_match
    position_of_a_heartbeat_resumes_without_repeats
    welcome_tells_the_interval_and_timeout
    silent_client_is_closed_with_4408
    client_that_answers_ping_is_kept
    any_byte_keeps_a_client
    client_that_takes_its_backlog_is_kept
}

const QUICK: &str = "[heartbeat]\ninterval_ms = 300\ntimeout_ms = 1000\n";

async fn heartbeat_and_ping_come_together_every_interval(t: Context) -> Outcome {
    let server = t.with(QUICK).await?;
    let mut socket = Socket::full(&server).await?;
    let mut times = Vec::new();
    for _ in 0..6 {
        let pair = [socket.receive().await?, socket.receive().await?];
        times.push(Instant::now());
        let pings: Vec<_> = pair.iter().filter(|frame| frame.opcode == PING).collect();
        same!(pings.len(), 1, "Pings among two frames {pair:?}");
        let Some(message) = pair.iter().find(|frame| frame.opcode == TEXT) else {
            fail!("no message in {pair:?}")
        };
        same!(message.json()?["type"], "heartbeat", "message beside the Ping");
        socket.send(&Frame::new(PONG, pings[0].payload.clone())).await?;
    }
    let (Some(first), Some(last)) = (times.first(), times.last()) else { fail!("no heartbeats") };
    let passed = last.duration_since(*first);
    // Five intervals of 300 ms, on a machine that may be busy.
    let range = Duration::from_millis(1_200)..Duration::from_millis(4_000);
    ensure!(range.contains(&passed), "five intervals of 300 ms took {} ms", passed.as_millis());
    Ok(())
}

async fn next_heartbeat(client: &mut Client) -> Outcome<Value> {
    loop {
        match client.receive().await? {
            Incoming::Message(message, _) if message["type"] == "heartbeat" => return Ok(message),
            Incoming::Closed(code) => fail!("closed with {code:?} instead of a heartbeat"),
            _ => {}
        }
    }
}

async fn heartbeats_are_spread_over_connections(t: Context) -> Outcome {
    let server = t.with("[heartbeat]\ninterval_ms = 2000\ntimeout_ms = 8000\n").await?;
    let mut clients = Vec::new();
    for _ in 0..24 {
        clients.push(Client::full(&server).await?);
    }
    let begin = Instant::now();
    let mut waiting = tokio::task::JoinSet::new();
    for mut client in clients {
        waiting.spawn(async move {
            // The second one: a whole interval after all have connected.
            next_heartbeat(&mut client).await?;
            next_heartbeat(&mut client).await?;
            Ok(begin.elapsed().as_millis() % 2000)
        });
    }
    let mut phases = Vec::new();
    while let Some(phase) = waiting.join_next().await {
        let phase: Outcome<u128> = phase?;
        phases.push(phase?);
    }
    phases.sort_unstable();
    // The largest silence of the circle: connections all at one time leave nearly all of it silent.
    let gaps = phases.windows(2).map(|pair| pair[1] - pair[0]);
    let around = phases.first().zip(phases.last()).map_or(2000, |(first, last)| first + 2000 - last);
    let silence = gaps.max().unwrap_or(2000).max(around);
    ensure!(silence < 1_400, "24 connections leave {silence} ms of 2000 without a heartbeat");
    Ok(())
}

async fn heartbeat_covers_what_has_been_sent_and_what_did_not_match(t: Context) -> Outcome {
    let server = t.with(QUICK).await?;
    let mark = unique("mark");
    let mut client = Client::full(&server).await?;
    client.follow(&mark).await?;
    let matching = server.publish(&marked(&mark, "normal", 1)).await?;
    let other = server.publish(&marked("nobody", "low", 1)).await?;
    let mut received = false;
    loop {
        match client.receive().await? {
            Incoming::Message(message, _) if message["type"] == "event" => received = true,
            Incoming::Message(message, _) if message["type"] == "heartbeat" => {
                let lanes = lanes_of(&message["lanes"])?;
                ensure!(
                    received || lanes[2] < matching,
                    "a heartbeat covers {matching} before it was sent: {message}"
                );
                if matching <= lanes[2] && other <= lanes[3] {
                    return Ok(());
                }
            }
            Incoming::Closed(code) => fail!("closed with {code:?}"),
            _ => {}
        }
    }
}

async fn position_of_a_heartbeat_resumes_without_repeats(t: Context) -> Outcome {
    let server = t.with(QUICK).await?;
    let mark = unique("mark");
    let mut client = Client::full(&server).await?;
    let from = client.follow(&mark).await?;
    let last = server.publish(&json!([marked(&mark, "normal", 1), marked("nobody", "low", 2)])).await?;
    let epoch = client.epoch().to_owned();
    let lanes = loop {
        let lanes = lanes_of(&next_heartbeat(&mut client).await?["lanes"])?;
        if lanes.iter().all(|lane| last <= *lane) {
            break lanes;
        }
    };
    drop(client);
    server.publish(&marked(&mark, "normal", 3)).await?;
    let mut client = Client::full(&server).await?;
    let reply = client.resume(&Position { epoch, lanes }, &mark, from).await?;
    same!(reply["recovered"], true, "recovered");
    same!(client.values(1).await?, [json!(3)], "events");
    Ok(())
}

async fn welcome_tells_the_interval_and_timeout(t: Context) -> Outcome {
    let client = Client::full(&t.with(QUICK).await?).await?;
    same!(client.welcome["heartbeat"], json!({"interval": 300, "timeout": 1000}), "heartbeat");
    Ok(())
}

async fn silent_client_is_closed_with_4408(t: Context) -> Outcome {
    let server = t.with(QUICK).await?;
    let begin = Instant::now();
    let mut socket = Socket::full(&server).await?;
    socket.closed_with(4408).await?;
    let passed = begin.elapsed();
    ensure!(passed >= Duration::from_millis(950), "closed after {} ms of 1000", passed.as_millis());
    ensure!(passed < Duration::from_secs(6), "closed only after {} ms of 1000", passed.as_millis());
    Ok(())
}

async fn client_that_answers_ping_is_kept(t: Context) -> Outcome {
    let server = t.with(QUICK).await?;
    let mut client = Client::full(&server).await?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(3_500) {
        next_heartbeat(&mut client).await?;
    }
    client.alive().await
}

async fn any_byte_keeps_a_client(t: Context) -> Outcome {
    let server = t.with(QUICK).await?;
    let mut socket = Socket::full(&server).await?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(3_500) {
        let frame = socket.receive().await?;
        ensure!(frame.opcode != CLOSE, "closed with {:?}", frame.code());
        if frame.opcode == PING {
            // Not the Pong that is due, but a sign of life.
            socket.send(&Frame::text(&json!({"type": "ping"}))).await?;
        }
    }
    Ok(())
}

async fn client_that_takes_its_backlog_is_kept(t: Context) -> Outcome {
    let server = t.alone(QUICK).await?;
    let mark = unique("mark");
    let mut socket = Socket::full(&server).await?;
    let message = json!({"type": "subscribe", "id": "s", "events": ["*"], "filter": {"settingKey": mark}});
    socket.send(&Frame::text(&message)).await?;
    same!(socket.message().await?["type"], "subscribed", "reply");
    let mut event = marked(&mark, "normal", 0);
    event["data"]["bulk"] = json!("x".repeat(30_000));
    let batch = json!(vec![event; 100]);
    for _ in 0..8 {
        server.publish(&batch).await?;
        // Until it begins to read it says that it is there, however long that takes.
        socket.send(&Frame::text(&json!({"type": "ping"}))).await?;
    }
    // 24 MB are due. It reads them slowly, and says nothing for more than three timeouts.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(3_500) {
        for _ in 0..6 {
            let frame = socket.receive().await?;
            ensure!(frame.opcode != CLOSE, "closed with {:?} while it took its backlog", frame.code());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(socket);
    server.stop().await
}
