//! Attacks on HTTP: slow bytes, heads that do not end, lengths that nobody will send, many connections.

use serde_json::json;

use super::{Arena, Attack};
use crate::events::sample;
use crate::http::{Connection, Request};
use crate::outcome::Outcome;
use crate::raw::{CONTINUATION, Frame, Socket, TEXT, upgrade_head};

pub(super) fn table() -> Vec<Attack> {
    vec![
        Attack::new("slow_request_bytes", |arena| Box::pin(arena.swarm(200, slow_bytes))),
        Attack::new("slow_bodies", |arena| Box::pin(arena.swarm(100, slow_body))),
        Attack::new("header_floods", |arena| Box::pin(arena.swarm(20, header_flood))),
        Attack::new("huge_declared_lengths", |arena| Box::pin(arena.swarm(20, huge_length))),
        Attack::new("malformed_requests", |arena| Box::pin(arena.swarm(20, malformed))),
        Attack::new("pipelined_floods", |arena| Box::pin(arena.swarm(10, pipelined))),
        Attack::new("deeply_nested_json", |arena| Box::pin(arena.swarm(10, deep_json))),
        Attack::new("connection_floods", |arena| Box::pin(arena.swarm(8, connections))),
        Attack::new("half_closed_connections", |arena| Box::pin(arena.swarm(50, half_closed))),
        Attack::new("upgrade_floods", |arena| Box::pin(arena.swarm(20, upgrades))),
    ]
}

/// A request that comes one byte at a time, too slowly ever to be complete.
async fn slow_bytes(arena: Arena, _: usize) -> Outcome {
    let mut connection = Connection::open(&arena.server).await?;
    let head = upgrade_head(&arena.server, &format!("/?token={}", "x".repeat(2_000)));
    for byte in head.bytes() {
        if !arena.goes_on() {
            break;
        }
        connection.send(&[byte]).await?;
        arena.pause(40).await;
    }
    Ok(())
}

async fn slow_body(arena: Arena, _: usize) -> Outcome {
    let mut connection = Connection::open(&arena.server).await?;
    let request = Request::publish(&json!(vec![sample("user.login"); 900])).bearer(&arena.server.api_key);
    let bytes = request.encode(&arena.server);
    // All but the end at once, so that as much as possible is held for it.
    let (begin, end) = bytes.split_at(bytes.len() - 1_000);
    connection.send(begin).await?;
    for byte in end {
        if !arena.goes_on() {
            break;
        }
        connection.send(&[*byte]).await?;
        arena.pause(40).await;
    }
    Ok(())
}

async fn header_flood(arena: Arena, number: usize) -> Outcome {
    let mut connection = Connection::open(&arena.server).await?;
    let begin = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n", arena.server.address);
    let flood = match number % 4 {
        0 => (0..20_000).map(|field| format!("X-{field}: y\r\n")).collect(),
        1 => format!("X-Endless: {}", "x".repeat(1 << 20)),
        2 => format!("{}: y\r\n", "x".repeat(1 << 20)),
        _ => "a:\r\n".repeat(100_000),
    };
    connection.send(begin.as_bytes()).await?;
    connection.send(flood.as_bytes()).await?;
    connection.rest().await?;
    Ok(())
}

async fn huge_length(arena: Arena, number: usize) -> Outcome {
    let server = &arena.server;
    if number.is_multiple_of(2) {
        let mut socket = Socket::full(server).await?;
        let length = [200_000, 1 << 32, 1 << 62, u64::MAX][number / 2 % 4];
        let fragment = [Frame::new(TEXT, "x").unfinished(), Frame::new(CONTINUATION, "y").declaring(length)];
        let frames = if number.is_multiple_of(3) { &fragment[..] } else { &fragment[1..] };
        for frame in frames {
            socket.send(frame).await?;
        }
        socket.connection.rest().await?;
        return Ok(());
    }
    let mut connection = Connection::open(server).await?;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n",
        server.address, server.api_key
    );
    let rest = [
        "Content-Length: 8388608\r\n\r\n[",
        "Content-Length: 18446744073709551615\r\n\r\n[",
        "Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n[",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n[",
    ][number / 2 % 4];
    connection.send(format!("{head}{rest}").as_bytes()).await?;
    arena.pause(200).await;
    Ok(())
}

async fn malformed(arena: Arena, number: usize) -> Outcome {
    let mut connection = Connection::open(&arena.server).await?;
    let noise: Vec<u8> = (1..=255).cycle().step_by(7 + number).take(4_096).collect();
    let bytes = match number % 5 {
        0 => noise,
        1 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        2 => b"GET / HTTP/1.1\nHost: x\n\n".to_vec(),
        3 => [b"GET /\xff\xfe HTTP/1.1\r\n".as_slice(), &noise].concat(),
        _ => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
    };
    connection.send(&bytes).await?;
    connection.finish().await?;
    connection.rest().await?;
    Ok(())
}

/// Many requests in one go, whose answers nobody reads.
async fn pipelined(arena: Arena, _: usize) -> Outcome {
    let mut connection = Connection::open(&arena.server).await?;
    let one = Request::get("/v1/schema").encode(&arena.server);
    let many = one.repeat(500);
    while arena.goes_on() {
        connection.send(&many).await?;
        arena.attempt();
    }
    Ok(())
}

async fn deep_json(arena: Arena, number: usize) -> Outcome {
    let deep = match number % 3 {
        0 => "[".repeat(60_000),
        1 => "{\"a\":".repeat(12_000),
        _ => format!("{{\"type\":\"user.login\",\"data\":{}1{}}}", "[".repeat(30_000), "]".repeat(30_000)),
    };
    if number.is_multiple_of(2) {
        let request =
            Request::new("POST", "/v1/events").bearer(&arena.server.api_key).body("application/json", deep);
        request.send(&arena.server).await?;
        return Ok(());
    }
    let mut socket = Socket::full(&arena.server).await?;
    for _ in 0..9 {
        let message = format!("{{\"type\":\"publish\",\"event\":{deep}}}");
        socket.send(&Frame::new(TEXT, message)).await?;
        socket.message().await?;
    }
    Ok(())
}

/// Opens connections as fast as it can, and says nothing on them.
async fn connections(arena: Arena, _: usize) -> Outcome {
    let mut held = Vec::with_capacity(50);
    for _ in 0..50 {
        held.push(Connection::open(&arena.server).await?);
        arena.attempt();
    }
    arena.pause(20).await;
    Ok(())
}

async fn half_closed(arena: Arena, number: usize) -> Outcome {
    let mut connection = Connection::open(&arena.server).await?;
    let request = ["", "GET / HT", "GET /v1/schema HTTP/1.1\r\nHost: x\r\n\r\n"][number % 3];
    connection.send(request.as_bytes()).await?;
    connection.finish().await?;
    arena.pause(100).await;
    Ok(())
}

/// Good upgrades, cut off at once.
async fn upgrades(arena: Arena, number: usize) -> Outcome {
    if number.is_multiple_of(2) {
        drop(Socket::full(&arena.server).await?);
        return Ok(());
    }
    let token = arena.server.full_token()?;
    let mut connection = Connection::open(&arena.server).await?;
    connection
        .send(format!("{}\r\n", upgrade_head(&arena.server, &format!("/?token={token}"))).as_bytes())
        .await
}
