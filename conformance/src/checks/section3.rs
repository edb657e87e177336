//! §3 Client messages: each message, its reply, its errors, and the order of replies.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::client::{Client, value_of};
use crate::events::{marked, sample, unique};
use crate::lab::Context;
use crate::outcome::{Outcome, ensure, same};
use crate::runner::table;

table! { 3:
    every_message_repeats_its_id
    ping_without_id_is_answered_without_id
    id_has_1_to_64_characters
    unknown_keys_in_a_message_are_ignored
    what_is_no_json_is_invalid_json
    what_is_no_message_is_invalid_message
    message_of_unknown_type_is_unknown_type
    replies_go_before_events_in_the_order_of_requests
    subscribe_replies_with_the_offset_at_which_it_begins
    subscribe_takes_types_categories_and_all
    subscribe_refuses_what_is_no_pattern
    one_event_is_delivered_once_however_many_subscriptions_match
    second_subscribe_with_the_same_id_replaces_the_first
    replacement_keeps_its_beginning
    replacement_with_recent_is_invalid_message
    replacement_that_is_refused_leaves_the_first
    recent_is_the_newest_matching_oldest_first
    recent_moves_no_position_and_live_follows_its_offset
    recent_is_at_most_200
    recent_is_at_most_256_kib_and_says_truncated
    unsubscribe_ends_a_subscription
    unsubscribe_of_nothing_is_not_subscribed
    publish_replies_with_id_and_offset
    publish_of_a_repeated_id_is_duplicate
    publish_of_a_repeated_id_with_other_content_is_conflict
    publish_of_an_invalid_event_lists_every_fault
    publish_reaches_the_publisher_s_own_subscription
}

async fn every_message_repeats_its_id(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let id = "\"é\u{1F600}\\".to_owned();
    let since = crate::client::Position::everywhere(client.epoch(), 0).json();
    let token =
        crate::tokens::Token::new(&t.server.secret, client.welcome["user"].as_str().unwrap_or_default());
    for (message, reply) in [
        (json!({"type": "resume", "since": since, "subscriptions": []}), "resumed"),
        (json!({"type": "ping"}), "pong"),
        (json!({"type": "subscribe", "events": ["*"], "filter": {"settingKey": "none"}}), "subscribed"),
        (json!({"type": "unsubscribe"}), "unsubscribed"),
        (json!({"type": "publish", "event": sample("user.login")}), "published"),
        (json!({"type": "auth", "token": token.full().sign()?}), "authenticated"),
        (json!({"type": "subscribe", "events": ["nonsense"]}), "error"),
        (json!({"type": "nonsense"}), "error"),
    ] {
        let mut message = message;
        message["id"] = json!(id);
        let found = client.request(message).await?;
        same!(found["type"], reply, "reply {found}");
    }
    Ok(())
}

async fn ping_without_id_is_answered_without_id(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    client.send(&json!({"type": "ping"})).await?;
    same!(client.next().await?, json!({"type": "pong"}), "reply");
    Ok(())
}

async fn id_has_1_to_64_characters(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    client.request(json!({"type": "ping", "id": "é".repeat(64)})).await?;
    for id in [json!(""), json!("x".repeat(65)), json!(7), json!(["a"])] {
        client.send(&json!({"type": "ping", "id": id})).await?;
        same!(client.expect("error").await?["code"], "invalid_message", "code for id {id}");
    }
    for kind in ["subscribe", "unsubscribe"] {
        client.send(&json!({"type": kind, "events": ["*"]})).await?;
        same!(client.expect("error").await?["code"], "invalid_message", "code of a {kind} without id");
    }
    Ok(())
}

async fn unknown_keys_in_a_message_are_ignored(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let message = json!({"type": "subscribe", "id": "s", "events": ["user.login"], "colour": {"deep": []}});
    same!(client.request(message).await?["type"], "subscribed", "reply");
    Ok(())
}

async fn what_is_no_json_is_invalid_json(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    for text in ["", "{", "{} {}", "{'type':'ping'}", r#"{"type":"ping",}"#, "\u{feff}{}", r#"{"type":"\x"}"#]
    {
        client.send_frame(text.into()).await?;
        same!(client.expect("error").await?["code"], "invalid_json", "code for {text:?}");
    }
    client.alive().await
}

async fn what_is_no_message_is_invalid_message(t: Context) -> Outcome {
    let since = json!({"epoch": "e", "lanes": {"critical": 1, "high": 1, "normal": 1, "low": 1}});
    for (number, message) in [
        json!([]),
        json!("ping"),
        json!(7),
        json!(null),
        json!({}),
        json!({"type": 7}),
        json!({"type": "subscribe", "id": "s"}),
        json!({"type": "subscribe", "id": "s", "events": "*"}),
        json!({"type": "subscribe", "id": "s", "events": []}),
        json!({"type": "subscribe", "id": "s", "events": [7]}),
        json!({"type": "subscribe", "id": "s", "events": ["*"], "recent": -1}),
        json!({"type": "subscribe", "id": "s", "events": ["*"], "recent": "all"}),
        json!({"type": "unsubscribe"}),
        json!({"type": "auth"}),
        json!({"type": "auth", "token": 7}),
        json!({"type": "publish"}),
        json!({"type": "resume", "subscriptions": []}),
        json!({"type": "resume", "since": {"epoch": "e", "lanes": {"critical": 1}}, "subscriptions": []}),
        json!({"type": "resume", "since": since}),
        json!({"type": "resume", "since": since, "subscriptions": {}}),
    ]
    .iter()
    .enumerate()
    {
        // A connection of its own for each, since the tenth such message would close it.
        let mut client = Client::full(&t.server).await?;
        client.send(message).await?;
        let reply = client.next().await?;
        same!(reply["code"], "invalid_message", "code of {reply} for message {number}, {message}");
    }
    Ok(())
}

async fn message_of_unknown_type_is_unknown_type(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    for kind in ["nonsense", "", "Ping", "welcome", "event"] {
        client.error(json!({"type": kind, "id": "x"}), "unknown_type").await?;
    }
    client.alive().await
}

async fn replies_go_before_events_in_the_order_of_requests(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let mark = unique("mark");
    client.follow(&mark).await?;
    let events: Vec<_> = (0..50).map(|number| marked(&mark, "high", number)).collect();
    for event in &events {
        client.send(&json!({"type": "publish", "id": "p", "event": event})).await?;
    }
    let mut expected = vec!["published"; 50];
    for (kind, reply) in
        [("ping", "pong"), ("unsubscribe", "unsubscribed"), ("dance", "error"), ("ping", "pong")]
    {
        client.send(&json!({"type": kind, "id": mark})).await?;
        expected.push(reply);
    }
    let mut replies = Vec::new();
    while replies.len() < expected.len() {
        let message = client.next().await?;
        if message["type"] != "event" {
            replies.push(message["type"].clone());
        }
    }
    same!(replies, expected.iter().map(|kind| json!(kind)).collect::<Vec<_>>(), "replies");
    Ok(())
}

async fn subscribe_replies_with_the_offset_at_which_it_begins(t: Context) -> Outcome {
    let mark = unique("mark");
    let before = t.server.publish(&marked(&mark, "high", 1)).await?;
    let mut client = Client::full(&t.server).await?;
    let offset = client.follow(&mark).await?;
    ensure!(before <= offset, "began at {offset}, before {before} of an earlier publish");
    let after = t.server.publish(&marked(&mark, "high", 2)).await?;
    let event = client.event().await?;
    same!(event["offset"], after, "offset of the first event");
    same!(value_of(&event), 2, "first event");
    ensure!(offset < after, "{after} is not above {offset}");
    Ok(())
}

async fn subscribe_takes_types_categories_and_all(t: Context) -> Outcome {
    let subject = unique("subject");
    let types = ["user.login", "content.deleted", "content.status_changed", "settings.backup_created"];
    let cases: [(&[&str], &[&str]); 4] = [
        (&["user.login"], &["user.login"]),
        (&["content.*"], &["content.deleted", "content.status_changed"]),
        (&["*"], &types),
        (&["settings.*", "content.deleted"], &["content.deleted", "settings.backup_created"]),
    ];
    let mut clients = Vec::new();
    for (patterns, _) in cases {
        let mut client = Client::full(&t.server).await?;
        client.subscribe("s", patterns, json!({"@subject": subject})).await?;
        clients.push(client);
    }
    let mut events: Vec<Value> = types.iter().map(|name| sample(name)).collect();
    for event in &mut events {
        event["subject"] = json!(subject);
        event["priority"] = json!("normal");
    }
    t.server.publish(&json!(events)).await?;
    let mut last = marked("last", "normal", 0);
    last["subject"] = json!(subject);
    for (client, (_, expected)) in clients.iter_mut().zip(cases) {
        client.subscribe("last", &["settings.updated"], json!({"@subject": subject})).await?;
        t.server.publish(&last).await?;
        let found = client.until(|message| message["event"]["data"]["settingKey"] == "last").await?;
        let names: Vec<_> = found.iter().filter_map(|message| message["event"]["type"].as_str()).collect();
        let names: Vec<_> = names.into_iter().filter(|name| *name != "settings.updated").collect();
        same!(names, expected, "types delivered");
    }
    Ok(())
}

async fn subscribe_refuses_what_is_no_pattern(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    for pattern in [
        "",
        ".",
        "content",
        "content.",
        ".*",
        "*.*",
        "content*",
        "content.cre*",
        "content.exploded",
        "unknown.*",
        "Content.*",
        "content.created ",
        "a.b.c",
    ] {
        client
            .error(json!({"type": "subscribe", "id": "s", "events": [pattern]}), "invalid_event_type")
            .await?;
    }
    let mixed = json!({"type": "subscribe", "id": "s", "events": ["user.login", "content.exploded"]});
    client.error(mixed, "invalid_event_type").await?;
    client.error(json!({"type": "unsubscribe", "id": "s"}), "not_subscribed").await?;
    Ok(())
}

async fn one_event_is_delivered_once_however_many_subscriptions_match(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = Client::full(&t.server).await?;
    for (number, pattern) in ["settings.updated", "settings.*", "*", "*"].iter().enumerate() {
        client.subscribe(&format!("s{number}"), &[pattern], json!({"settingKey": mark})).await?;
    }
    t.server.publish(&marked(&mark, "high", 1)).await?;
    t.server.publish(&marked(&mark, "high", 2)).await?;
    same!(client.values(2).await?, [json!(1), json!(2)], "events");
    Ok(())
}

async fn second_subscribe_with_the_same_id_replaces_the_first(t: Context) -> Outcome {
    let (old, new) = (unique("mark"), unique("mark"));
    let mut client = Client::full(&t.server).await?;
    client.subscribe("s", &["settings.updated"], json!({"settingKey": old})).await?;
    client.subscribe("s", &["settings.updated"], json!({"settingKey": new})).await?;
    t.server.publish(&marked(&old, "high", 1)).await?;
    t.server.publish(&marked(&new, "high", 2)).await?;
    same!(client.values(1).await?, [json!(2)], "events");
    client.request(json!({"type": "unsubscribe", "id": "s"})).await?;
    client.error(json!({"type": "unsubscribe", "id": "s"}), "not_subscribed").await?;
    Ok(())
}

async fn replacement_keeps_its_beginning(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = Client::full(&t.server).await?;
    let first = client.follow(&mark).await?;
    t.server.publish(&marked("nobody", "high", 1)).await?;
    same!(client.follow(&mark).await?, first, "offset of the replacement");
    Ok(())
}

async fn replacement_with_recent_is_invalid_message(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = Client::full(&t.server).await?;
    client.follow(&mark).await?;
    let message = json!({"type": "subscribe", "id": mark, "events": ["*"], "recent": 1});
    client.error(message, "invalid_message").await?;
    t.server.publish(&marked(&mark, "high", 1)).await?;
    same!(client.values(1).await?, [json!(1)], "events of the first definition");
    Ok(())
}

async fn replacement_that_is_refused_leaves_the_first(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = Client::full(&t.server).await?;
    client.follow(&mark).await?;
    client
        .error(json!({"type": "subscribe", "id": mark, "events": ["content.exploded"]}), "invalid_event_type")
        .await?;
    client
        .error(json!({"type": "subscribe", "id": mark, "events": ["*"], "filter": 1}), "invalid_filter")
        .await?;
    t.server.publish(&marked(&mark, "high", 1)).await?;
    same!(client.values(1).await?, [json!(1)], "events of the first definition");
    Ok(())
}

/// The reply to a subscription to the mark with `recent`.
async fn recent(client: &mut Client, mark: &str, count: u64) -> Outcome<Value> {
    let message = json!({"type": "subscribe", "id": mark, "events": ["settings.*"],
        "filter": {"settingKey": mark}, "recent": count});
    let reply = client.request(message).await?;
    same!(reply["type"], "subscribed", "reply {reply}");
    ensure!(reply["recent"].is_array(), "no recent in {reply}");
    Ok(reply)
}

fn values(reply: &Value) -> Vec<Value> {
    reply["recent"].as_array().into_iter().flatten().map(value_of).collect()
}

async fn recent_is_the_newest_matching_oldest_first(t: Context) -> Outcome {
    let mark = unique("mark");
    let lanes = ["low", "critical", "normal", "high"];
    for number in 0..8 {
        t.server.publish(&marked(&mark, lanes[number % 4], number)).await?;
        t.server.publish(&marked("nobody", "high", number)).await?;
    }
    let mut client = Client::full(&t.server).await?;
    let reply = recent(&mut client, &mark, 5).await?;
    same!(values(&reply), [json!(3), json!(4), json!(5), json!(6), json!(7)], "recent");
    let offsets: Vec<_> =
        reply["recent"].as_array().into_iter().flatten().filter_map(|e| e["offset"].as_u64()).collect();
    ensure!(offsets.len() == 5 && offsets.is_sorted(), "offsets {offsets:?}");
    ensure!(reply["truncated"].is_null(), "truncated in {reply}");
    let entry = &reply["recent"][0]["event"];
    same!(entry["specversion"], "1.0", "an entry is a whole event: {entry}");
    let mut other = Client::full(&t.server).await?;
    same!(values(&recent(&mut other, &mark, 0).await?), [] as [Value; 0], "recent of 0");
    Ok(())
}

async fn recent_moves_no_position_and_live_follows_its_offset(t: Context) -> Outcome {
    let mark = unique("mark");
    t.server.publish(&marked(&mark, "low", 1)).await?;
    let mut client = Client::full(&t.server).await?;
    let publishing = tokio::spawn({
        let (server, mark) = (t.server.clone(), mark.clone());
        async move {
            for number in 2..40 {
                server.publish(&marked(&mark, "low", number)).await?;
            }
            Outcome::Ok(())
        }
    });
    let reply = recent(&mut client, &mark, 200).await?;
    publishing.await??;
    let mut all: Vec<Value> = values(&reply);
    while all.len() < 39 {
        let event = client.event().await?;
        ensure!(
            event["offset"].as_u64() > reply["offset"].as_u64(),
            "{event} is not above {}",
            reply["offset"]
        );
        all.push(value_of(&event));
    }
    same!(all, (1..40).map(|number| json!(number)).collect::<Vec<_>>(), "recent and live together");
    Ok(())
}

async fn recent_is_at_most_200(t: Context) -> Outcome {
    let mark = unique("mark");
    let events: Vec<_> = (0..250).map(|number| marked(&mark, "low", number)).collect();
    t.server.publish(&json!(events)).await?;
    let mut client = Client::full(&t.server).await?;
    let found = values(&recent(&mut client, &mark, 200).await?);
    same!(found, (50..250).map(|number| json!(number)).collect::<Vec<_>>(), "recent");
    let message = json!({"type": "subscribe", "id": "more", "events": ["*"], "recent": 201});
    client.error(message, "invalid_message").await?;
    Ok(())
}

async fn recent_is_at_most_256_kib_and_says_truncated(t: Context) -> Outcome {
    let mark = unique("mark");
    for number in 0..20 {
        let mut event = marked(&mark, "low", number);
        event["data"]["bulk"] = json!("x".repeat(30_000));
        t.server.publish(&event).await?;
    }
    let mut client = Client::full(&t.server).await?;
    let reply = recent(&mut client, &mark, 20).await?;
    same!(reply["truncated"], true, "truncated");
    let found = values(&reply);
    let count = found.len();
    ensure!((6..=8).contains(&count), "{count} events of 30 kB in 256 KiB");
    same!(found, (20 - count..20).map(|number| json!(number)).collect::<Vec<_>>(), "the newest");
    ensure!(reply.to_string().len() <= (256 << 10) + 4096, "a reply of {} bytes", reply.to_string().len());
    Ok(())
}

async fn unsubscribe_ends_a_subscription(t: Context) -> Outcome {
    let (ended, kept) = (unique("mark"), unique("mark"));
    let mut client = Client::full(&t.server).await?;
    client.follow(&ended).await?;
    client.follow(&kept).await?;
    let reply = client.request(json!({"type": "unsubscribe", "id": ended})).await?;
    same!(reply, json!({"type": "unsubscribed", "id": ended}), "reply");
    t.server.publish(&marked(&ended, "high", 1)).await?;
    t.server.publish(&marked(&kept, "high", 2)).await?;
    same!(client.values(1).await?, [json!(2)], "events");
    client.follow(&ended).await?;
    t.server.publish(&marked(&ended, "high", 3)).await?;
    same!(client.values(1).await?, [json!(3)], "events after subscribing again");
    Ok(())
}

async fn unsubscribe_of_nothing_is_not_subscribed(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    client.error(json!({"type": "unsubscribe", "id": "nothing"}), "not_subscribed").await?;
    Ok(())
}

async fn publish_replies_with_id_and_offset(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let mut event = sample("user.login");
    let reply = client.request(json!({"type": "publish", "id": "p1", "event": event})).await?;
    same!(reply["type"], "published", "reply {reply}");
    same!(reply["duplicate"], false, "duplicate");
    let (first, made) = (reply["offset"].as_u64(), reply["eventId"].as_str().unwrap_or_default());
    ensure!(first.is_some() && !made.is_empty(), "reply {reply}");
    let id = unique("id");
    event["id"] = json!(id);
    let reply = client.request(json!({"type": "publish", "id": "p1", "event": event})).await?;
    same!(reply["eventId"], id, "eventId");
    ensure!(reply["offset"].as_u64() > first, "{} is not above {first:?}", reply["offset"]);
    Ok(())
}

async fn publish_of_a_repeated_id_is_duplicate(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let mark = unique("mark");
    client.follow(&mark).await?;
    let mut event = marked(&mark, "high", 1);
    event["id"] = json!(unique("id"));
    let first = client.request(json!({"type": "publish", "event": event})).await?;
    let second = client.request(json!({"type": "publish", "event": event})).await?;
    same!(second["duplicate"], true, "duplicate in {second}");
    same!(second["offset"], first["offset"], "offset");
    same!(second["eventId"], first["eventId"], "eventId");
    t.server.publish(&marked(&mark, "high", 2)).await?;
    same!(client.values(2).await?, [json!(1), json!(2)], "events");
    Ok(())
}

async fn publish_of_a_repeated_id_with_other_content_is_conflict(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let mut event = marked(&unique("mark"), "high", 1);
    event["id"] = json!(unique("id"));
    client.request(json!({"type": "publish", "event": event})).await?;
    event["data"]["newValue"] = json!(2);
    client.error(json!({"type": "publish", "event": event}), "conflict").await?;
    Ok(())
}

async fn publish_of_an_invalid_event_lists_every_fault(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let event = json!({"type": "content.created", "source": "", "data": {"title": 7, "status": "burnt"}});
    let reply = client.error(json!({"type": "publish", "event": event}), "invalid_event").await?;
    let found: HashSet<String> =
        crate::http::faults(&reply["details"]).into_iter().map(|(_, path)| path).collect();
    for key in ["source", "title", "status", "contentId", "authorId", "createdAt"] {
        ensure!(found.iter().any(|path| path.contains(key)), "no fault at {key} in {reply}");
    }
    Ok(())
}

async fn publish_reaches_the_publisher_s_own_subscription(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    let mark = unique("mark");
    client.follow(&mark).await?;
    let reply = client.request(json!({"type": "publish", "event": marked(&mark, "critical", 1)})).await?;
    same!(reply["type"], "published", "reply {reply}");
    let event = client.event().await?;
    same!(event["offset"], reply["offset"], "offset");
    same!(event["event"]["id"], reply["eventId"], "id");
    Ok(())
}
