//! §5 Lanes: order within a lane, the scheduler between them, slow consumers, conflation.

use serde_json::{Value, json};

use crate::client::{Client, Dial, value_of};
use crate::events::{LANES, TIME, marked, unique};
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, ensure, same};
use crate::runner::table;

table! { 5:
    events_of_a_lane_arrive_in_offset_order
    offsets_increase_over_the_whole_log_and_fit_2_53
    every_client_sees_the_same_offsets
    critical_overtakes_what_the_kernel_has_not_taken
    high_normal_and_low_share_by_weight_and_none_starves
    a_slow_consumer_loses_nothing
    a_slow_consumer_of_four_lanes_loses_nothing
    a_slow_consumer_holds_up_nobody
    replies_overtake_queued_events
    conflation_keeps_the_newest_per_key_and_owes_no_gap
    conflation_keeps_sources_and_keys_apart
    conflation_is_never_in_recent
}

/// Bytes of one event that fills buffers.
const BULK: usize = 8_000;

/// The smallest receive buffer that a client can ask for: what it does not read stays with the server.
const SMALL: u32 = 4_096;

fn bulky(mark: &str, lane: &str, number: usize) -> Value {
    let mut event = marked(mark, lane, number);
    event["data"]["bulk"] = json!("x".repeat(BULK));
    event
}

async fn publish_in_batches(server: &Server, events: &[Value]) -> Outcome {
    for batch in events.chunks(100) {
        server.publish(&json!(batch)).await?;
    }
    Ok(())
}

/// A client that follows the mark and does not read from then on.
async fn stalled(server: &Server, mark: &str) -> Outcome<Client> {
    let mut client = Dial::query(&server.full_token()?).receive_buffer(SMALL).open(server).await?;
    client.follow(mark).await?;
    Ok(client)
}

fn numbers(messages: &[Value]) -> Vec<u64> {
    messages.iter().filter_map(|message| value_of(message).as_u64()).collect()
}

async fn events_of_a_lane_arrive_in_offset_order(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = Client::full(&t.server).await?;
    client.follow(&mark).await?;
    let mut publishing = tokio::task::JoinSet::new();
    for publisher in 0..4 {
        let (server, mark) = (t.server.clone(), mark.clone());
        publishing.spawn(async move {
            for number in 0..50 {
                server.publish(&marked(&mark, LANES[number % 4], publisher * 100 + number)).await?;
            }
            Outcome::Ok(())
        });
    }
    // The client fails by itself on an event that is not above the one before it in its lane.
    let mut found = numbers(&(client.events(200).await?));
    found.sort_unstable();
    let expected: Vec<u64> =
        (0..4).flat_map(|publisher| (0..50).map(move |number| publisher * 100 + number)).collect();
    same!(found, expected, "events");
    while let Some(outcome) = publishing.join_next().await {
        outcome??;
    }
    Ok(())
}

async fn offsets_increase_over_the_whole_log_and_fit_2_53(t: Context) -> Outcome {
    let mut last = 0;
    for number in 0..8 {
        let offset = t.server.publish(&marked("nobody", LANES[number % 4], number)).await?;
        ensure!(last < offset, "{offset} after {last}");
        ensure!(offset < 1 << 53, "{offset} is beyond 2^53-1");
        last = offset;
    }
    Ok(())
}

async fn every_client_sees_the_same_offsets(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::full(&t.server).await?;
        client.follow(&mark).await?;
        clients.push(client);
    }
    let offset = t.server.publish(&marked(&mark, "low", 1)).await?;
    for client in &mut clients {
        same!(client.event().await?["offset"], offset, "offset");
    }
    Ok(())
}

async fn critical_overtakes_what_the_kernel_has_not_taken(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let mark = unique("mark");
    let mut client = stalled(&server, &mark).await?;
    let count = 1_500;
    let events: Vec<_> = (0..count).map(|number| bulky(&mark, "low", number)).collect();
    publish_in_batches(&server, &events).await?;
    server.publish(&marked(&mark, "critical", "now")).await?;
    let before = client.until(|message| message["lane"] == "critical").await?.len() - 1;
    // What the two kernels have taken is final; they take a few MB at the very most.
    ensure!(before < count * 2 / 3, "{before} of {count} events came before the critical one");
    let rest = client.events(count - before).await?;
    same!(
        numbers(&rest),
        (before as u64..count as u64).collect::<Vec<_>>(),
        "events behind the critical one"
    );
    drop(client);
    server.stop().await
}

async fn high_normal_and_low_share_by_weight_and_none_starves(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let mark = unique("mark");
    let mut client = stalled(&server, &mark).await?;
    let events: Vec<_> = (0..1_800).map(|number| bulky(&mark, LANES[1 + number % 3], number)).collect();
    publish_in_batches(&server, &events).await?;
    let messages = client.events(1_800).await?;
    let lanes: Vec<&str> = messages.iter().filter_map(|message| message["lane"].as_str()).collect();
    // Ten rounds of 8:4:1 just before the first of the three lanes runs out: all three have a backlog.
    let ends = ["high", "normal", "low"].map(|lane| lanes.iter().rposition(|found| *found == lane));
    let end = ends.iter().flatten().min().copied().unwrap_or_default();
    let window = lanes.get(end.saturating_sub(130)..end).unwrap_or_default();
    let share = |lane: &str| window.iter().filter(|found| **found == lane).count();
    let (high, normal, low) = (share("high"), share("normal"), share("low"));
    ensure!((70..=90).contains(&high) && (30..=50).contains(&normal), "shares {high}:{normal}:{low} of 130");
    ensure!((6..=14).contains(&low), "shares {high}:{normal}:{low} of 130");
    let longest = window.split(|lane| *lane == "low").map(<[_]>::len).max().unwrap_or_default();
    ensure!(longest <= 39, "low waited for {longest} events of other lanes");
    drop(client);
    server.stop().await
}

async fn loses_nothing(t: &Context, lanes: &[&str]) -> Outcome {
    let server = t.with("[limits]\nlane_queue = 8\nunsent_bytes = 65536\n").await?;
    let mark = unique("mark");
    let mut client = stalled(&server, &mark).await?;
    let count = 1_200;
    let lane_of = |number: usize| lanes[number % lanes.len()];
    let events: Vec<_> = (0..count).map(|number| bulky(&mark, lane_of(number), number)).collect();
    publish_in_batches(&server, &events).await?;
    let messages = client.events(count).await?;
    for (index, lane) in lanes.iter().enumerate() {
        let found: Vec<_> = messages.iter().filter(|message| message["lane"] == *lane).cloned().collect();
        let expected: Vec<_> =
            (0..count).filter(|number| number % lanes.len() == index).map(|n| n as u64).collect();
        same!(numbers(&found), expected, "events of lane {lane}");
    }
    server.publish(&marked(&mark, lanes[0], "live")).await?;
    same!(client.values(1).await?, [json!("live")], "event after the backlog");
    Ok(())
}

async fn a_slow_consumer_loses_nothing(t: Context) -> Outcome {
    loses_nothing(&t, &["normal"]).await
}

async fn a_slow_consumer_of_four_lanes_loses_nothing(t: Context) -> Outcome {
    loses_nothing(&t, &LANES).await
}

async fn a_slow_consumer_holds_up_nobody(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let mark = unique("mark");
    let slow = stalled(&server, &mark).await?;
    let mut quick = Client::full(&server).await?;
    quick.follow(&mark).await?;
    for start in 0..10 {
        let events: Vec<_> =
            (start * 100..start * 100 + 100).map(|number| bulky(&mark, "normal", number)).collect();
        server.publish(&json!(events)).await?;
        let found = quick.events(100).await?;
        same!(numbers(&found), (start as u64 * 100..start as u64 * 100 + 100).collect::<Vec<_>>(), "events");
    }
    drop((slow, quick));
    server.stop().await
}

async fn replies_overtake_queued_events(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let mark = unique("mark");
    let mut client = stalled(&server, &mark).await?;
    let count = 1_500;
    let events: Vec<_> = (0..count).map(|number| bulky(&mark, "critical", number)).collect();
    publish_in_batches(&server, &events).await?;
    client.send(&json!({"type": "ping", "id": "now"})).await?;
    let before = client.until(|message| message["type"] == "pong").await?.len() - 1;
    ensure!(before < count * 2 / 3, "{before} of {count} events came before the reply");
    same!(client.events(count - before).await?.len(), count - before, "events behind the reply");
    drop(client);
    server.stop().await
}

fn chart(id: &str, source: &str, number: usize) -> Value {
    json!({"type": "analytics.chart_update", "source": source,
        "data": {"chartId": id, "dataPoints": [], "timestamp": TIME, "newValue": number, "bulk": "x".repeat(BULK)}})
}

async fn stalled_on_charts(server: &Server, ids: &[&str]) -> Outcome<Client> {
    let mut client = Dial::query(&server.full_token()?).receive_buffer(SMALL).open(server).await?;
    client.subscribe("charts", &["analytics.chart_update"], json!({"chartId": ids})).await?;
    Ok(client)
}

async fn conflation_keeps_the_newest_per_key_and_owes_no_gap(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let id = unique("chart");
    let mut client = stalled_on_charts(&server, &[&id]).await?;
    let count = 1_500;
    let events: Vec<_> = (0..count).map(|number| chart(&id, "/a", number)).collect();
    publish_in_batches(&server, &events).await?;
    let messages = client.until(|message| value_of(message) == count - 1).await?;
    ensure!(messages.iter().all(|message| message["type"] == "event"), "a gap for what was conflated");
    ensure!(messages.len() < count, "all {count} updates of one chart reached a client that lagged");
    // A client that keeps up gets every one.
    for number in count..count + 20 {
        server.publish(&chart(&id, "/a", number)).await?;
        same!(client.values(1).await?, [json!(number)], "update of a client that keeps up");
    }
    drop(client);
    server.stop().await
}

async fn conflation_keeps_sources_and_keys_apart(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let ids = [unique("chart"), unique("chart")];
    let mut client = stalled_on_charts(&server, &[&ids[0], &ids[1]]).await?;
    let count = 1_500;
    let last = ["/a", "/b"].map(|source| ids.clone().map(|id| (source, id)));
    let events: Vec<_> =
        (0..count).map(|number| chart(&ids[number % 2], ["/a", "/b"][number / 2 % 2], number)).collect();
    publish_in_batches(&server, &events).await?;
    let messages = client.until(|message| value_of(message) == count - 1).await?;
    for (source, id) in last.as_flattened() {
        let mine = messages.iter().filter(|message| {
            message["event"]["source"] == *source && message["event"]["data"]["chartId"] == **id
        });
        let newest = mine.filter_map(|message| value_of(message).as_u64()).max().unwrap_or_default();
        ensure!(newest >= count as u64 - 4, "the newest update of {id} from {source} is {newest}");
    }
    drop(client);
    server.stop().await
}

async fn conflation_is_never_in_recent(t: Context) -> Outcome {
    let id = unique("chart");
    let events: Vec<_> = (0..20).map(|number| chart(&id, "/a", number)).collect();
    t.server.publish(&json!(events)).await?;
    let mut client = Client::full(&t.server).await?;
    let message = json!({"type": "subscribe", "id": "s", "events": ["analytics.*"], "filter": {"chartId": id}, "recent": 20});
    let reply = client.request(message).await?;
    same!(reply["recent"].as_array().map_or(0, Vec::len), 20, "recent updates of one chart");
    Ok(())
}
