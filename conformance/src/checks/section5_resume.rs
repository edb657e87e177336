//! §5 Gaps: what history no longer holds, another epoch, and consumers that history has overtaken.

use serde_json::{Value, json};

use crate::client::{Client, Dial, Position, value_of};
use crate::events::{LANES, marked, unique};
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, ensure, fail, same, until};
use crate::runner::table;

table! { 5:
    lane_that_history_has_evicted_gets_a_gap_and_is_not_recovered
    position_at_the_newest_evicted_offset_is_covered
    another_lane_s_eviction_costs_no_gap
    history_evicts_by_bytes
    history_evicts_by_age
    another_epoch_gets_a_gap_for_each_lane_and_begins_at_the_end
    position_above_the_end_is_another_epoch
    every_log_has_an_epoch_of_its_own
    stalled_consumer_gets_a_gap_only_for_what_left_history
}

/// Publishes numbered events one batch at a time; gives the offset of each.
async fn publish_numbered(server: &Server, mark: &str, lane: &str, count: usize) -> Outcome<Vec<u64>> {
    let events: Vec<_> = (0..count).map(|number| marked(mark, lane, number)).collect();
    let body = json!(events);
    let answer =
        crate::http::Request::publish(&body).bearer(&server.api_key).send(server).await?.success()?;
    Ok(answer["results"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|result| result["offset"].as_u64())
        .collect())
}

/// Resumes, and gives the reply and the gaps that follow it, up to the first event.
async fn resume_into_gaps(
    client: &mut Client,
    since: &Position,
    mark: &str,
    from: u64,
) -> Outcome<(Value, Vec<Value>, Value)> {
    let reply = client.resume(since, mark, from).await?;
    let mut messages = client.until(|message| message["type"] == "event").await?;
    let Some(event) = messages.pop() else { fail!("no event after {reply}") };
    Ok((reply, messages, event))
}

async fn lane_that_history_has_evicted_gets_a_gap_and_is_not_recovered(t: Context) -> Outcome {
    let server = t.alone("[history]\nevents = 50\n").await?;
    let mark = unique("mark");
    let mut client = Client::full(&server).await?;
    let from = client.follow(&mark).await?;
    let since = client.break_off();
    server.publish(&marked(&mark, "high", "high")).await?;
    let offsets = publish_numbered(&server, &mark, "low", 200).await?;
    let mut client = Client::full(&server).await?;
    let reply = client.resume(&since, &mark, from).await?;
    same!(reply["recovered"], false, "recovered");
    let messages = client.until(|message| value_of(message) == 199).await?;
    let gaps: Vec<_> = messages.iter().filter(|message| message["type"] == "gap").collect();
    same!(gaps.len(), 1, "gaps in {gaps:?}");
    let gap = gaps[0];
    same!(gap["lane"], "low", "lane of {gap}");
    same!(gap["reason"], "expired", "reason of {gap}");
    same!(gap["after"], since.lanes[3], "after of {gap}");
    let Some(evicted) = gap["until"].as_u64() else { fail!("no until in {gap}") };
    let found: Vec<_> =
        messages.iter().filter(|message| message["lane"] == "low" && message["type"] == "event").collect();
    let found: Vec<_> = found.iter().filter_map(|message| message["offset"].as_u64()).collect();
    let expected: Vec<_> = offsets.into_iter().filter(|offset| evicted < *offset).collect();
    same!(found, expected, "offsets above the gap");
    ensure!((1..=50).contains(&found.len()), "{} events of a history of 50", found.len());
    ensure!(
        messages.iter().any(|message| value_of(message) == "high"),
        "the lane that is covered was not replayed"
    );
    drop(client);
    server.stop().await
}

async fn position_at_the_newest_evicted_offset_is_covered(t: Context) -> Outcome {
    let server = t.alone("[history]\nevents = 50\n").await?;
    let mark = unique("mark");
    let client = Client::full(&server).await?;
    let from = client.welcome["offset"].as_u64().unwrap_or_default();
    let mut since = Position::everywhere(client.epoch(), from);
    drop(client);
    publish_numbered(&server, &mark, "normal", 120).await?;
    let mut client = Client::full(&server).await?;
    let (_, gaps, first) = resume_into_gaps(&mut client, &since, &mark, from).await?;
    same!(gaps.len(), 1, "gaps");
    since.lanes[2] = gaps[0]["until"].as_u64().unwrap_or_default();
    let mut client = Client::full(&server).await?;
    let (reply, gaps, again) = resume_into_gaps(&mut client, &since, &mark, from).await?;
    same!(reply["recovered"], true, "recovered from the newest evicted offset");
    same!(gaps.len(), 0, "gaps");
    same!(again["offset"], first["offset"], "first event");
    since.lanes[2] -= 1;
    let mut client = Client::full(&server).await?;
    let (reply, gaps, _) = resume_into_gaps(&mut client, &since, &mark, from).await?;
    same!(reply["recovered"], false, "recovered from one below");
    same!(gaps.len(), 1, "gaps from one below");
    drop(client);
    server.stop().await
}

async fn another_lane_s_eviction_costs_no_gap(t: Context) -> Outcome {
    let server = t.alone("[history]\nevents = 50\n").await?;
    let mark = unique("mark");
    let mut client = Client::full(&server).await?;
    let from = client.follow(&mark).await?;
    let mut since = client.break_off();
    server.publish(&marked(&mark, "critical", "kept")).await?;
    let offsets = publish_numbered(&server, "nobody", "low", 200).await?;
    since.lanes[3] = offsets.last().copied().unwrap_or_default();
    let mut client = Client::full(&server).await?;
    let (reply, gaps, event) = resume_into_gaps(&mut client, &since, &mark, from).await?;
    same!(reply["recovered"], true, "recovered");
    same!(gaps.len(), 0, "gaps");
    same!(value_of(&event), "kept", "event");
    drop(client);
    server.stop().await
}

async fn history_evicts_by_bytes(t: Context) -> Outcome {
    let server = t.alone("[history]\nbytes = 100000\n").await?;
    let mark = unique("mark");
    let mut client = Client::full(&server).await?;
    let from = client.follow(&mark).await?;
    let since = client.break_off();
    let mut event = marked(&mark, "normal", 1);
    event["data"]["bulk"] = json!("x".repeat(30_000));
    for _ in 0..8 {
        server.publish(&event).await?;
    }
    let mut client = Client::full(&server).await?;
    let (reply, gaps, _) = resume_into_gaps(&mut client, &since, &mark, from).await?;
    same!(reply["recovered"], false, "recovered");
    same!(gaps.len(), 1, "gaps");
    drop(client);
    server.stop().await
}

async fn history_evicts_by_age(t: Context) -> Outcome {
    let server = t.alone("[history]\nage_ms = 1000\n").await?;
    let mark = unique("mark");
    let mut client = Client::full(&server).await?;
    let from = client.follow(&mark).await?;
    let since = client.break_off();
    server.publish(&marked(&mark, "normal", 1)).await?;
    until("an event to age out", || async {
        let mut client = Client::full(&server).await?;
        Ok((client.resume(&since, &mark, from).await?["recovered"] == false).then_some(()))
    })
    .await?;
    server.stop().await
}

/// Resumes from a position that belongs to no log of this server.
async fn foreign(server: &Server, since: &Position) -> Outcome {
    let mark = unique("mark");
    server.publish(&marked(&mark, "high", "before")).await?;
    let mut client = Client::full(server).await?;
    let from = since.lanes[0];
    let reply = client.resume(since, &mark, from).await?;
    same!(reply["recovered"], false, "recovered");
    same!(reply["position"]["epoch"], client.welcome["epoch"], "epoch of the position");
    let mut lanes = Vec::new();
    for _ in LANES {
        let gap = client.expect("gap").await?;
        same!(gap["reason"], "epoch", "reason of {gap}");
        ensure!(gap["after"].is_null(), "after in {gap}");
        ensure!(gap["until"].is_u64(), "no until in {gap}");
        lanes.push(gap["lane"].as_str().unwrap_or_default().to_owned());
    }
    lanes.sort_unstable();
    same!(lanes, ["critical", "high", "low", "normal"], "lanes with a gap");
    server.publish(&marked(&mark, "high", "after")).await?;
    same!(client.values(1).await?, [json!("after")], "events");
    Ok(())
}

async fn another_epoch_gets_a_gap_for_each_lane_and_begins_at_the_end(t: Context) -> Outcome {
    foreign(&t.server, &Position::everywhere("another", 0)).await
}

async fn position_above_the_end_is_another_epoch(t: Context) -> Outcome {
    let client = Client::full(&t.server).await?;
    let epoch = client.epoch().to_owned();
    foreign(&t.server, &Position::everywhere(&epoch, (1 << 53) - 1)).await
}

async fn every_log_has_an_epoch_of_its_own(t: Context) -> Outcome {
    let first = Client::full(&t.with("").await?).await?;
    let second = Client::full(&t.with("[history]\nevents = 1000\n").await?).await?;
    ensure!(first.epoch() != second.epoch(), "two logs share the epoch {}", first.epoch());
    Ok(())
}

async fn stalled_consumer_gets_a_gap_only_for_what_left_history(t: Context) -> Outcome {
    let server = t.alone("[history]\nevents = 100\n[limits]\nlane_queue = 8\nunsent_bytes = 65536\n").await?;
    let mark = unique("mark");
    let mut client = Dial::query(&server.full_token()?).receive_buffer(4096).open(&server).await?;
    client.follow(&mark).await?;
    let count = 1_500;
    for start in (0..count).step_by(50) {
        let events: Vec<_> = (start..start + 50)
            .map(|number| {
                let mut event = marked(&mark, "normal", number);
                event["data"]["bulk"] = json!("x".repeat(8_000));
                event
            })
            .collect();
        server.publish(&json!(events)).await?;
    }
    let messages = client.until(|message| value_of(message) == count - 1).await?;
    let mut missing = 0;
    let mut next = 0;
    let mut in_gap = false;
    for message in &messages {
        if message["type"] == "gap" {
            same!(message["reason"], "expired", "reason of {message}");
            same!(message["lane"], "normal", "lane of {message}");
            in_gap = true;
            continue;
        }
        let number = value_of(message).as_u64().unwrap_or_default();
        ensure!(number == next || in_gap, "{number} after {next} without a gap between them");
        missing += number - next;
        next = number + 1;
        in_gap = false;
    }
    ensure!(missing > 0, "a history of 100 events still held {count}");
    drop(client);
    server.stop().await
}
