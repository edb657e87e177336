//! §6 `GET /v1/events`: pages of history, within the grant.

use serde_json::{Value, json};

use crate::client::{Client, value_of};
use crate::events::{LANES, marked, sample, unique};
use crate::http::{Request, Response, escape};
use crate::lab::Context;
use crate::outcome::{Outcome, Within as _, ensure, fail, same};
use crate::runner::table;

table! { 6:
    history_pages_follow_one_another_by_next
    history_is_in_offset_order_over_all_lanes
    history_names_the_epoch
    history_respects_the_patterns_asked_for
    history_stays_within_the_grant
    history_needs_a_token
    history_refuses_bad_parameters
}

async fn page(t: &Context, token: &str, query: &str) -> Outcome<Response> {
    Request::get(&format!("/v1/events?{query}")).bearer(token).send(&t.server).await
}

fn query(mark: &str, after: &Value, limit: usize) -> String {
    let filter = escape(&json!({"settingKey": mark}).to_string());
    format!("events=settings.updated&filter={filter}&after={after}&limit={limit}")
}

async fn end(t: &Context) -> Outcome<Value> {
    Ok(Client::full(&t.server).await?.welcome["offset"].clone())
}

async fn history_pages_follow_one_another_by_next(t: Context) -> Outcome {
    let mark = unique("mark");
    let begin = end(&t).await?;
    for number in 0..25 {
        t.server
            .publish(&json!([marked(&mark, LANES[number % 4], number), marked("nobody", "low", 0)]))
            .await?;
    }
    let token = t.server.full_token()?;
    let mut found = Vec::new();
    let mut after = begin;
    for _ in 0..200 {
        let body = page(&t, &token, &query(&mark, &after, 10)).await?.success()?;
        let Some(events) = body["events"].as_array() else { fail!("no events in {body}") };
        ensure!(events.len() <= 10, "{} events of at most 10", events.len());
        found.extend(events.iter().map(value_of));
        if body["next"].is_null() || body["next"] == after {
            break;
        }
        ensure!(body["next"].as_u64() > after.as_u64(), "next {} after {after}", body["next"]);
        after = body["next"].clone();
    }
    same!(found, (0..25).map(|number| json!(number)).collect::<Vec<_>>(), "events over all pages");
    Ok(())
}

async fn history_is_in_offset_order_over_all_lanes(t: Context) -> Outcome {
    let mark = unique("mark");
    let begin = end(&t).await?;
    let events: Vec<_> = (0..40).map(|number| marked(&mark, LANES[(number * 3) % 4], number)).collect();
    t.server.publish(&json!(events)).await?;
    let body = page(&t, &t.server.full_token()?, &query(&mark, &begin, 1_000)).await?.success()?;
    let events = body["events"].as_array().cloned().unwrap_or_default();
    let offsets: Vec<_> = events.iter().filter_map(|event| event["offset"].as_u64()).collect();
    ensure!(offsets.is_sorted(), "offsets {offsets:?}");
    same!(
        events.iter().map(value_of).collect::<Vec<_>>(),
        (0..40).map(|n| json!(n)).collect::<Vec<_>>(),
        "events"
    );
    same!(events.first().map(|entry| &entry["event"]["specversion"]), Some(&json!("1.0")), "specversion");
    Ok(())
}

async fn history_names_the_epoch(t: Context) -> Outcome {
    let client = Client::full(&t.server).await?;
    let body = page(&t, &t.server.full_token()?, "events=*&limit=1").await?.success()?;
    same!(body["epoch"], client.epoch(), "epoch");
    Ok(())
}

async fn history_respects_the_patterns_asked_for(t: Context) -> Outcome {
    let subject = unique("subject");
    let begin = end(&t).await?;
    let mut events = ["user.login", "content.deleted", "user.logout"].map(sample);
    for event in &mut events {
        event["subject"] = json!(subject);
    }
    t.server.publish(&json!(events)).await?;
    let filter = escape(&json!({"@subject": subject}).to_string());
    let token = t.server.full_token()?;
    for (patterns, expected) in [("user.*", 2), ("user.logout", 1), ("*", 3), ("user.login,content.*", 2)] {
        let query = format!("events={patterns}&filter={filter}&after={begin}&limit=100");
        let body = page(&t, &token, &query).await?.success().at(patterns)?;
        same!(body["events"].as_array().map_or(0, Vec::len), expected, "events of {patterns}");
    }
    Ok(())
}

async fn history_stays_within_the_grant(t: Context) -> Outcome {
    let token = t.server.token().grant(json!({"subscribe": ["content.*"]})).sign()?;
    page(&t, &token, "events=user.login&limit=1").await?.problem(403)?;
    page(&t, &token, "events=*&limit=1").await?.problem(403)?;
    page(&t, &token, "events=content.*&limit=1").await?.success()?;
    Ok(())
}

async fn history_needs_a_token(t: Context) -> Outcome {
    Request::get("/v1/events?events=*").send(&t.server).await?.problem(401)?;
    page(&t, "bad", "events=*").await?.problem(401)?;
    Ok(())
}

async fn history_refuses_bad_parameters(t: Context) -> Outcome {
    let token = t.server.full_token()?;
    for query in [
        "events=nonsense",
        "events=content.exploded",
        "events=*&filter=7",
        "events=*&filter={",
        "events=*&after=-1",
        "events=*&after=x",
        "events=*&limit=x",
        "events=*&limit=-1",
    ] {
        page(&t, &token, query).await?.problem(400).at(query)?;
    }
    Ok(())
}
