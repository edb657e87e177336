//! §3 `resume`: one message, one replay, and what each subscription is owed.

use serde_json::{Value, json};

use crate::client::{Client, Position, lanes_of, value_of};
use crate::events::{LANES, marked, unique};
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, ensure, same};
use crate::runner::table;

table! { 3:
    resume_replays_what_was_missed_and_live_follows
    resume_without_anything_missed_is_recovered
    resume_adopts_the_position_of_its_reply
    resume_lists_each_subscription_with_its_offset_or_error
    resume_is_accepted_before_the_first_subscribe_only
    resume_gives_each_subscription_only_what_is_above_its_from
    resume_delivers_an_event_once_for_all_subscriptions
    resume_carries_each_lane_by_itself
    resume_of_a_broken_resume_has_a_true_position
    resume_of_48_kib_of_subscriptions_fits
    subscriptions_are_at_most_48_kib_serialised
    subscriptions_of_different_age_share_one_position
    a_client_that_breaks_again_and_again_misses_nothing
}

/// A connected client that has followed the mark, with the offset at which that began.
async fn follower(server: &Server, mark: &str) -> Outcome<(Client, u64)> {
    let mut client = Client::full(server).await?;
    let from = client.follow(mark).await?;
    Ok((client, from))
}

fn entry(id: &str, from: u64, mark: &str) -> Value {
    json!({"id": id, "from": from, "events": ["settings.updated"], "filter": {"settingKey": mark}})
}

async fn resume_all(server: &Server, since: &Position, subscriptions: Value) -> Outcome<(Client, Value)> {
    let mut client = Client::full(server).await?;
    let message = json!({"type": "resume", "since": since.json(), "subscriptions": subscriptions});
    let reply = client.request(message).await?;
    same!(reply["type"], "resumed", "reply {reply}");
    Ok((client, reply))
}

async fn resume_replays_what_was_missed_and_live_follows(t: Context) -> Outcome {
    let mark = unique("mark");
    let (mut client, from) = follower(&t.server, &mark).await?;
    t.server.publish(&marked(&mark, "normal", 1)).await?;
    client.values(1).await?;
    let since = client.break_off();
    let missed: Vec<_> = (2..6).map(|number| marked(&mark, "normal", number)).collect();
    t.server.publish(&json!(missed)).await?;
    let mut client = Client::full(&t.server).await?;
    let reply = client.resume(&since, &mark, from).await?;
    same!(reply["recovered"], true, "recovered");
    t.server.publish(&marked(&mark, "normal", 6)).await?;
    same!(client.values(5).await?, (2..7).map(|number| json!(number)).collect::<Vec<_>>(), "events");
    Ok(())
}

async fn resume_without_anything_missed_is_recovered(t: Context) -> Outcome {
    let mark = unique("mark");
    let (client, from) = follower(&t.server, &mark).await?;
    let since = client.break_off();
    let mut client = Client::full(&t.server).await?;
    let reply = client.resume(&since, &mark, from).await?;
    same!(reply["recovered"], true, "recovered");
    same!(reply["subscriptions"], json!([{"id": mark, "offset": from}]), "subscriptions");
    t.server.publish(&marked(&mark, "low", 1)).await?;
    same!(client.values(1).await?, [json!(1)], "events");
    Ok(())
}

async fn resume_adopts_the_position_of_its_reply(t: Context) -> Outcome {
    let mark = unique("mark");
    let (client, from) = follower(&t.server, &mark).await?;
    let since = client.break_off();
    let mut client = Client::full(&t.server).await?;
    let reply = client.resume(&since, &mark, from).await?;
    same!(reply["position"]["epoch"], since.epoch, "epoch");
    let lanes = lanes_of(&reply["position"]["lanes"])?;
    // Nothing has been replayed, so the position can only be the one given or one behind nothing that matched.
    for ((found, given), lane) in lanes.iter().zip(since.lanes).zip(LANES) {
        ensure!(given <= *found, "position of {lane} went back from {given} to {found}");
    }
    Ok(())
}

async fn resume_lists_each_subscription_with_its_offset_or_error(t: Context) -> Outcome {
    let mark = unique("mark");
    let grant = json!({"subscribe": ["settings.*"]});
    let mut client =
        crate::client::Dial::query(&t.server.token().grant(grant).sign()?).open(&t.server).await?;
    let from = client.welcome["offset"].as_u64().unwrap_or_default();
    let since = Position::everywhere(client.epoch(), from);
    let subscriptions = json!([
        entry("good", from, &mark),
        {"id": "alien", "from": from, "events": ["content.*"]},
        {"id": "unknown", "from": from, "events": ["content.exploded"]},
        {"id": "unfiltered", "from": from, "events": ["settings.*"], "filter": 7},
        entry("older", from.saturating_sub(1), &mark),
    ]);
    let message = json!({"type": "resume", "since": since.json(), "subscriptions": subscriptions});
    let reply = client.request(message).await?;
    same!(reply["type"], "resumed", "reply {reply}");
    let listed = &reply["subscriptions"];
    let at = |id: &str| {
        listed.as_array().into_iter().flatten().find(|entry| entry["id"] == id).cloned().unwrap_or_default()
    };
    same!(at("good"), json!({"id": "good", "offset": from}), "good");
    same!(at("older"), json!({"id": "older", "offset": from.saturating_sub(1)}), "older");
    for (id, code) in
        [("alien", "forbidden"), ("unknown", "invalid_event_type"), ("unfiltered", "invalid_filter")]
    {
        same!(at(id)["error"]["code"], code, "{id} in {listed}");
        ensure!(at(id)["error"]["message"].is_string(), "no message in {}", at(id));
    }
    t.server.publish(&marked(&mark, "high", 1)).await?;
    same!(client.values(1).await?, [json!(1)], "events of the good ones");
    client.error(json!({"type": "unsubscribe", "id": "alien"}), "not_subscribed").await?;
    Ok(())
}

async fn resume_is_accepted_before_the_first_subscribe_only(t: Context) -> Outcome {
    let mark = unique("mark");
    let (mut client, from) = follower(&t.server, &mark).await?;
    let since = Position::everywhere(client.epoch(), from);
    let message =
        json!({"type": "resume", "since": since.json(), "subscriptions": [entry("r", from, &mark)]});
    client.error(message.clone(), "invalid_message").await?;
    client.request(json!({"type": "unsubscribe", "id": mark})).await?;
    client.error(message.clone(), "invalid_message").await?;
    let mut other = Client::full(&t.server).await?;
    other.alive().await?;
    same!(other.request(message).await?["type"], "resumed", "reply to a resume after a ping");
    other.follow("another").await?;
    Ok(())
}

async fn resume_gives_each_subscription_only_what_is_above_its_from(t: Context) -> Outcome {
    let (old, young) = (unique("mark"), unique("mark"));
    let client = Client::full(&t.server).await?;
    let begin = client.welcome["offset"].as_u64().unwrap_or_default();
    let since = Position::everywhere(client.epoch(), begin);
    t.server.publish(&marked(&old, "high", 1)).await?;
    let middle = t.server.publish(&marked(&young, "high", 2)).await?;
    t.server.publish(&marked(&old, "high", 3)).await?;
    t.server.publish(&marked(&young, "high", 4)).await?;
    let subscriptions = json!([entry("old", begin, &old), entry("young", middle, &young)]);
    let (mut resumed, _) = resume_all(&t.server, &since, subscriptions).await?;
    same!(resumed.values(3).await?, [json!(1), json!(3), json!(4)], "events");
    Ok(())
}

async fn resume_delivers_an_event_once_for_all_subscriptions(t: Context) -> Outcome {
    let mark = unique("mark");
    let (client, from) = follower(&t.server, &mark).await?;
    let since = client.break_off();
    let events: Vec<_> = (0..20).map(|number| marked(&mark, "normal", number)).collect();
    t.server.publish(&json!(events)).await?;
    let subscriptions: Vec<_> = (0..8).map(|number| entry(&format!("s{number}"), from, &mark)).collect();
    let (mut resumed, _) = resume_all(&t.server, &since, json!(subscriptions)).await?;
    same!(resumed.values(20).await?, (0..20).map(|number| json!(number)).collect::<Vec<_>>(), "replay");
    t.server.publish(&marked(&mark, "normal", 20)).await?;
    same!(resumed.values(1).await?, [json!(20)], "live");
    Ok(())
}

async fn resume_carries_each_lane_by_itself(t: Context) -> Outcome {
    let mark = unique("mark");
    let client = Client::full(&t.server).await?;
    let from = client.welcome["offset"].as_u64().unwrap_or_default();
    let mut since = Position::everywhere(client.epoch(), from);
    let mut expected = Vec::new();
    for (lane, name) in LANES.iter().enumerate() {
        let seen = t.server.publish(&marked(&mark, name, format!("{name} seen"))).await?;
        // Half the lanes have seen their first event.
        if lane % 2 == 0 {
            since.lanes[lane] = seen;
        } else {
            expected.push(json!(format!("{name} seen")));
        }
        t.server.publish(&marked(&mark, name, format!("{name} missed"))).await?;
        expected.push(json!(format!("{name} missed")));
    }
    let mut client = Client::full(&t.server).await?;
    client.resume(&since, &mark, from).await?;
    let mut found = client.values(expected.len()).await?;
    found.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
    same!(found, expected, "events");
    Ok(())
}

async fn resume_of_a_broken_resume_has_a_true_position(t: Context) -> Outcome {
    let marks = [unique("mark"), unique("mark")];
    let client = Client::full(&t.server).await?;
    let from = client.welcome["offset"].as_u64().unwrap_or_default();
    let mut since = Position::everywhere(client.epoch(), from);
    let events: Vec<_> =
        (0..60).map(|number| marked(&marks[number % 2], LANES[number % 4], number)).collect();
    t.server.publish(&json!(events)).await?;
    let mut found = Vec::new();
    while found.len() < 60 {
        let subscriptions = json!([entry("a", from, &marks[0]), entry("b", from, &marks[1])]);
        let (mut client, _) = resume_all(&t.server, &since, subscriptions).await?;
        // Each connection breaks in the middle of the replay.
        for _ in 0..7.min(60 - found.len()) {
            found.push(value_of(&client.event().await?));
        }
        since = client.break_off();
    }
    let mut numbers: Vec<_> = found.iter().filter_map(Value::as_u64).collect();
    numbers.sort_unstable();
    same!(numbers, (0..60).collect::<Vec<u64>>(), "events over all connections");
    Ok(())
}

/// A filter that makes its subscription so many bytes long.
fn long_filter(mark: &str, bytes: usize) -> Value {
    json!({"settingKey": [mark, "x".repeat(bytes)]})
}

async fn resume_of_48_kib_of_subscriptions_fits(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = Client::full(&t.server).await?;
    let mut entries = Vec::new();
    for number in 0..44 {
        let (id, filter) = (format!("s{number}"), long_filter(&mark, 900));
        let from = client.subscribe(&id, &["settings.updated"], filter.clone()).await?;
        entries.push(json!({"id": id, "from": from, "events": ["settings.updated"], "filter": filter}));
    }
    let since = client.break_off();
    t.server.publish(&marked(&mark, "high", 1)).await?;
    let (mut resumed, reply) = resume_all(&t.server, &since, json!(entries)).await?;
    same!(reply["recovered"], true, "recovered");
    let errors = reply["subscriptions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| !entry["error"].is_null())
        .count();
    same!(errors, 0, "errors in {}", reply["subscriptions"]);
    same!(resumed.values(1).await?, [json!(1)], "events");
    Ok(())
}

async fn subscriptions_are_at_most_48_kib_serialised(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    for number in 0..4 {
        client.subscribe(&format!("s{number}"), &["user.login"], long_filter("none", 11_000)).await?;
    }
    let over = json!({"type": "subscribe", "id": "s9", "events": ["user.login"], "filter": long_filter("none", 11_000)});
    client.error(over.clone(), "too_many_subscriptions").await?;
    client.request(json!({"type": "unsubscribe", "id": "s0"})).await?;
    same!(client.request(over).await?["type"], "subscribed", "reply after another has ended");
    Ok(())
}

async fn subscriptions_of_different_age_share_one_position(t: Context) -> Outcome {
    let (old, young) = (unique("mark"), unique("mark"));
    let (mut client, from_old) = follower(&t.server, &old).await?;
    t.server.publish(&marked(&young, "normal", 1)).await?;
    let from_young = client.follow(&young).await?;
    t.server.publish(&marked(&young, "low", 2)).await?;
    same!(client.values(1).await?, [json!(2)], "live");
    let since = client.break_off();
    t.server.publish(&json!([marked(&old, "normal", 3), marked(&young, "low", 4)])).await?;
    let subscriptions = json!([entry("old", from_old, &old), entry("young", from_young, &young)]);
    let (mut resumed, reply) = resume_all(&t.server, &since, subscriptions).await?;
    same!(reply["recovered"], true, "recovered");
    let mut found = resumed.values(2).await?;
    found.sort_by_key(ToString::to_string);
    same!(found, [json!(3), json!(4)], "events");
    t.server.publish(&marked(&young, "normal", 5)).await?;
    same!(resumed.values(1).await?, [json!(5)], "live after the replay");
    Ok(())
}

async fn a_client_that_breaks_again_and_again_misses_nothing(t: Context) -> Outcome {
    let mark = unique("mark");
    let (mut client, from) = follower(&t.server, &mark).await?;
    let count = 400;
    let publishing = tokio::spawn({
        let (server, mark) = (t.server.clone(), mark.clone());
        async move {
            for number in 0..count {
                server.publish(&marked(&mark, LANES[number % 4], number)).await?;
            }
            Outcome::Ok(())
        }
    });
    let mut lanes: [Vec<u64>; 4] = Default::default();
    let mut received = 0;
    while received < count {
        for _ in 0..25.min(count - received) {
            let event = client.event().await?;
            let lane = LANES.iter().position(|lane| event["lane"] == *lane).unwrap_or_default();
            lanes[lane].push(value_of(&event).as_u64().unwrap_or_default());
            received += 1;
        }
        let since = client.break_off();
        client = Client::full(&t.server).await?;
        let reply = client.resume(&since, &mark, from).await?;
        same!(reply["recovered"], true, "recovered");
    }
    publishing.await??;
    for (lane, found) in lanes.iter().enumerate() {
        let expected: Vec<u64> =
            (0..count).filter(|number| number % 4 == lane).map(|number| number as u64).collect();
        same!(found, &expected, "events of lane {}", LANES[lane]);
    }
    Ok(())
}
