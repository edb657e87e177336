//! §6 `GET /v1/stream`: a subscription as Server-Sent Events.

use serde_json::{Value, json};

use crate::client::value_of;
use crate::events::{LANES, marked, unique};
use crate::http::{Block, EventStream, Request, escape};
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, Within as _, ensure, fail, same};
use crate::runner::table;

table! { 6:
    first_block_has_an_id_at_once
    data_is_the_event_message_and_every_block_has_an_id
    last_event_id_resumes_from_the_first_second
    last_event_id_resumes_each_lane
    heartbeat_gives_a_block_with_an_id
    gap_comes_as_event_gap
    last_event_id_of_another_epoch_gets_gaps
    last_event_id_that_is_none_is_refused_or_ignored
    stream_needs_a_token
    stream_stays_within_the_grant
    stream_refuses_bad_parameters
    stream_ends_when_the_token_expires
    stream_is_not_cached
}

fn request(mark: &str, token: &str) -> Request {
    let filter = escape(&json!({"settingKey": mark}).to_string());
    Request::get(&format!("/v1/stream?events=settings.updated&filter={filter}")).bearer(token)
}

async fn open(server: &Server, mark: &str) -> Outcome<EventStream> {
    EventStream::open(&request(mark, &server.full_token()?), server).await
}

async fn block(stream: &mut EventStream) -> Outcome<Block> {
    match stream.next().await? {
        Some(block) => Ok(block),
        None => fail!("the stream ended"),
    }
}

/// `epoch.critical.high.normal.low`
fn position(block: &Block) -> Outcome<(String, [u64; 4])> {
    let Some(id) = &block.id else { fail!("no id in {block:?}") };
    let mut parts = id.rsplitn(5, '.');
    let mut lanes = [0; 4];
    for lane in lanes.iter_mut().rev() {
        *lane = parts.next().unwrap_or_default().parse()?;
    }
    let Some(epoch) = parts.next() else { fail!("no epoch in {id}") };
    Ok((epoch.to_owned(), lanes))
}

async fn first_block_has_an_id_at_once(t: Context) -> Outcome {
    let mut stream = open(&t.server, &unique("mark")).await?;
    let first = block(&mut stream).await?;
    let (epoch, _) = position(&first)?;
    ensure!(first.data.is_none(), "data in the first block {first:?}");
    same!(epoch, crate::client::Client::full(&t.server).await?.epoch(), "epoch");
    Ok(())
}

async fn data_is_the_event_message_and_every_block_has_an_id(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut stream = open(&t.server, &mark).await?;
    block(&mut stream).await?;
    for (lane, name) in LANES.iter().enumerate() {
        let offset = t.server.publish(&marked(&mark, name, *name)).await?;
        let next = block(&mut stream).await?;
        let message = next.json()?;
        same!(message["type"], "event", "type");
        same!(message["lane"], *name, "lane");
        same!(message["offset"], offset, "offset");
        same!(value_of(&message), *name, "event");
        same!(position(&next)?.1[lane], offset, "position of {name}");
    }
    Ok(())
}

async fn resumed(server: &Server, mark: &str, id: &str) -> Outcome<EventStream> {
    EventStream::open(&request(mark, &server.full_token()?).header("Last-Event-ID", id), server).await
}

async fn values(stream: &mut EventStream, count: usize) -> Outcome<Vec<Value>> {
    let mut values = Vec::new();
    while values.len() < count {
        values.push(value_of(&stream.event().await?.0));
    }
    Ok(values)
}

async fn last_event_id_resumes_from_the_first_second(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut stream = open(&t.server, &mark).await?;
    let id = block(&mut stream).await?.id.unwrap_or_default();
    drop(stream);
    t.server.publish(&json!([marked(&mark, "low", 1), marked(&mark, "low", 2)])).await?;
    let mut stream = resumed(&t.server, &mark, &id).await?;
    same!(values(&mut stream, 2).await?, [json!(1), json!(2)], "events");
    t.server.publish(&marked(&mark, "low", 3)).await?;
    same!(values(&mut stream, 1).await?, [json!(3)], "live events");
    Ok(())
}

async fn last_event_id_resumes_each_lane(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut stream = open(&t.server, &mark).await?;
    t.server.publish(&json!([marked(&mark, "low", "seen"), marked(&mark, "critical", "seen")])).await?;
    stream.event().await?;
    let (_, id) = stream.event().await?;
    drop(stream);
    t.server.publish(&json!([marked(&mark, "low", "missed"), marked(&mark, "critical", "missed")])).await?;
    let mut stream = resumed(&t.server, &mark, &id).await?;
    same!(values(&mut stream, 2).await?, [json!("missed"), json!("missed")], "events");
    Ok(())
}

async fn heartbeat_gives_a_block_with_an_id(t: Context) -> Outcome {
    let server = t.with("[heartbeat]\ninterval_ms = 300\ntimeout_ms = 1000\n").await?;
    let mut stream = open(&server, &unique("mark")).await?;
    let (_, first) = position(&block(&mut stream).await?)?;
    let other = server.publish(&marked("nobody", "low", 1)).await?;
    loop {
        let next = block(&mut stream).await?;
        ensure!(next.data.is_none(), "data in {next:?}");
        let (_, lanes) = position(&next)?;
        ensure!(first[3] <= lanes[3], "the position went back in {next:?}");
        if other <= lanes[3] {
            return Ok(());
        }
    }
}

async fn gap_comes_as_event_gap(t: Context) -> Outcome {
    let server = t.alone("[history]\nevents = 50\n").await?;
    let mark = unique("mark");
    let mut stream = open(&server, &mark).await?;
    let id = block(&mut stream).await?.id.unwrap_or_default();
    drop(stream);
    let events: Vec<_> = (0..200).map(|number| marked(&mark, "normal", number)).collect();
    server.publish(&json!(events)).await?;
    let mut stream = resumed(&server, &mark, &id).await?;
    let gap = loop {
        let next = block(&mut stream).await?;
        if next.event.as_deref() == Some("gap") {
            break next;
        }
        ensure!(next.data.is_none(), "{next:?} came before the gap");
    };
    let message = gap.json()?;
    same!(message["reason"], "expired", "reason of {message}");
    same!(message["lane"], "normal", "lane of {message}");
    same!(position(&gap)?.1[2], message["until"].as_u64().unwrap_or_default(), "position after the gap");
    drop(stream);
    server.stop().await
}

async fn last_event_id_of_another_epoch_gets_gaps(t: Context) -> Outcome {
    let mark = unique("mark");
    t.server.publish(&marked(&mark, "low", "before")).await?;
    let mut stream = resumed(&t.server, &mark, "another.0.0.0.0").await?;
    let mut lanes = Vec::new();
    while lanes.len() < 4 {
        let next = block(&mut stream).await?;
        if next.event.as_deref() == Some("gap") {
            let message = next.json()?;
            same!(message["reason"], "epoch", "reason of {message}");
            lanes.push(message["lane"].clone());
        }
    }
    t.server.publish(&marked(&mark, "low", "after")).await?;
    same!(values(&mut stream, 1).await?, [json!("after")], "events");
    Ok(())
}

async fn last_event_id_that_is_none_is_refused_or_ignored(t: Context) -> Outcome {
    let long = "9".repeat(400);
    for id in ["x", "....", "e.1.2.3", "e.-1.0.0.0", "e.1.2.3.99999999999999999999", &long] {
        let mark = unique("mark");
        let request = request(&mark, &t.server.full_token()?).header("Last-Event-ID", id);
        let mut connection = crate::http::Connection::open(&t.server).await?;
        connection.send(&request.encode(&t.server)).await?;
        let status = connection.head().await.at(id)?.status;
        ensure!([200, 400].contains(&status), "Last-Event-ID {id:?} got {status}");
    }
    Ok(())
}

async fn stream_needs_a_token(t: Context) -> Outcome {
    Request::get("/v1/stream?events=*").send(&t.server).await?.problem(401)?;
    request("none", "bad").send(&t.server).await?.problem(401)?;
    let expired = t.server.token().full().expires_in(-3600).sign()?;
    request("none", &expired).send(&t.server).await?.problem(401)?;
    Ok(())
}

async fn stream_stays_within_the_grant(t: Context) -> Outcome {
    let (mark, tenant) = (unique("mark"), unique("tenant"));
    let narrow = t.server.token().grant(json!({"subscribe": ["content.*"]})).sign()?;
    request("none", &narrow).send(&t.server).await?.problem(403)?;
    let forced = json!({"subscribe": ["*"], "filter": {"category": tenant}});
    let mut stream =
        EventStream::open(&request(&mark, &t.server.token().grant(forced).sign()?), &t.server).await?;
    block(&mut stream).await?;
    let mut own = marked(&mark, "high", 2);
    own["data"]["category"] = json!(tenant);
    t.server.publish(&json!([marked(&mark, "high", 1), own])).await?;
    same!(values(&mut stream, 1).await?, [json!(2)], "events");
    Ok(())
}

async fn stream_refuses_bad_parameters(t: Context) -> Outcome {
    let token = t.server.full_token()?;
    for query in ["events=nonsense", "events=content.exploded", "events=*&filter=7", "events=*&filter=%7B"] {
        let request = Request::get(&format!("/v1/stream?{query}")).bearer(&token);
        let mut connection = crate::http::Connection::open(&t.server).await?;
        connection.send(&request.encode(&t.server)).await?;
        same!(connection.head().await?.status, 400, "status of {query:?}");
    }
    Ok(())
}

async fn stream_ends_when_the_token_expires(t: Context) -> Outcome {
    let server = t.with("[auth]\nleeway_s = 0\n").await?;
    let token = server.token().full().expires_in(2).sign()?;
    let mut stream = EventStream::open(&request("none", &token), &server).await?;
    while stream.next().await?.is_some() {}
    Ok(())
}

async fn stream_is_not_cached(t: Context) -> Outcome {
    let mut connection = crate::http::Connection::open(&t.server).await?;
    connection.send(&request("none", &t.server.full_token()?).encode(&t.server)).await?;
    let head = connection.head().await?;
    let control = head.header("cache-control").unwrap_or_default();
    ensure!(control.contains("no-store") || control.contains("no-cache"), "Cache-Control is {control:?}");
    Ok(())
}
