//! §2 Grants: what a token allows, by claim, by role and by default, and that it fails closed.

use serde_json::{Value, json};

use crate::client::{Client, Dial};
use crate::events::{marked, sample, unique};
use crate::http::{Request, escape};
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, Within as _, ensure, same};
use crate::runner::table;
use crate::tokens::Token;

table! { 2:
    pattern_outside_the_grant_is_forbidden_with_details
    patterns_within_the_grant_are_allowed
    publish_needs_a_pattern_of_the_grant
    max_priority_caps_what_is_published
    default_grant_subscribes_all_and_publishes_nothing
    api_key_publishes_everything_at_any_priority
    malformed_claim_is_4401
    unmapped_role_grants_nothing
    roles_are_mapped_to_grants
    role_templates_take_claims
    template_without_its_claim_grants_nothing
    several_roles_are_a_union_of_whole_grants
    claim_beats_roles
    configured_default_grant_holds_for_tokens_without_claims
    forced_filter_is_anded_to_every_subscription
    forced_filter_wants_the_scalar_itself
    forced_filter_holds_for_what_is_published
    forced_filter_holds_for_recent_history_and_resume
    a_grant_that_shrinks_stops_what_is_queued
}

async fn with_grant(server: &Server, grant: Value) -> Outcome<Client> {
    Dial::query(&server.token().grant(grant).sign()?).open(server).await
}

fn subscribe(events: &[&str]) -> Value {
    json!({"type": "subscribe", "id": "s", "events": events, "filter": {"settingKey": "none"}})
}

fn publish(event: &Value) -> Value {
    json!({"type": "publish", "event": event})
}

async fn may_subscribe(client: &mut Client, events: &[&str], may: bool) -> Outcome {
    let reply = client.request(subscribe(events)).await?;
    let found =
        if reply["type"] == "subscribed" { "subscribed" } else { reply["code"].as_str().unwrap_or_default() };
    same!(found, if may { "subscribed" } else { "forbidden" }, "subscribe to {events:?}: {reply}");
    if may {
        client.request(json!({"type": "unsubscribe", "id": "s"})).await?;
    }
    Ok(())
}

async fn may_publish(client: &mut Client, event: &Value, may: bool) -> Outcome {
    let reply = client.request(publish(event)).await?;
    let found =
        if reply["type"] == "published" { "published" } else { reply["code"].as_str().unwrap_or_default() };
    same!(found, if may { "published" } else { "forbidden" }, "publish of {event}: {reply}");
    Ok(())
}

async fn pattern_outside_the_grant_is_forbidden_with_details(t: Context) -> Outcome {
    let mut client = with_grant(&t.server, json!({"subscribe": ["content.*", "user.login"]})).await?;
    for events in [&["*"][..], &["user.*"], &["user.logout"], &["content.*", "settings.updated"]] {
        let reply = client.error(subscribe(events), "forbidden").await?;
        ensure!(!reply["details"].is_null(), "no details in {reply}");
    }
    Ok(())
}

async fn patterns_within_the_grant_are_allowed(t: Context) -> Outcome {
    let mut client = with_grant(&t.server, json!({"subscribe": ["content.*", "user.login"]})).await?;
    for events in
        [&["content.*"][..], &["content.deleted"], &["user.login"], &["content.created", "user.login"]]
    {
        may_subscribe(&mut client, events, true).await?;
    }
    Ok(())
}

async fn publish_needs_a_pattern_of_the_grant(t: Context) -> Outcome {
    let token = t.server.token().grant(json!({"publish": ["user.*"]}));
    let mut client = Dial::query(&token.sign()?).open(&t.server).await?;
    may_publish(&mut client, &sample("user.login"), true).await?;
    may_publish(&mut client, &sample("content.deleted"), false).await?;
    let request = |event: &Value| Request::publish(event).bearer(&token.sign().unwrap_or_default());
    request(&sample("user.login")).send(&t.server).await?.success()?;
    request(&sample("content.deleted")).send(&t.server).await?.problem(403)?;
    may_subscribe(&mut client, &["user.login"], false).await
}

async fn max_priority_caps_what_is_published(t: Context) -> Outcome {
    let subject = unique("subject");
    let mut witness = Client::full(&t.server).await?;
    witness.subscribe("s", &["*"], json!({"@subject": subject})).await?;
    let grant = json!({"publish": ["*"], "maxPriority": "normal"});
    let mut publisher = with_grant(&t.server, grant).await?;
    for (name, priority) in [("user.login", "critical"), ("user.login", "high"), ("system.error", "")] {
        let mut event = sample(name);
        event["subject"] = json!(subject);
        if !priority.is_empty() {
            event["priority"] = json!(priority);
        }
        // Refusing it and lowering it both keep the cap.
        let reply = publisher.request(publish(&event)).await?;
        if reply["type"] == "published" {
            same!(witness.event().await?["lane"], "normal", "lane of a {name} at {priority:?}");
        } else {
            same!(reply["code"], "forbidden", "reply {reply}");
        }
    }
    for (lane, priority) in [("low", "low"), ("normal", "normal"), ("normal", "")] {
        let mut event = sample("user.login");
        event["subject"] = json!(subject);
        if !priority.is_empty() {
            event["priority"] = json!(priority);
        }
        may_publish(&mut publisher, &event, true).await?;
        same!(witness.event().await?["lane"], lane, "lane of {priority:?}");
    }
    Ok(())
}

async fn default_grant_subscribes_all_and_publishes_nothing(t: Context) -> Outcome {
    let token = t.server.token().sign()?;
    let mut client = Dial::query(&token).open(&t.server).await?;
    may_subscribe(&mut client, &["*"], true).await?;
    may_publish(&mut client, &sample("user.login"), false).await?;
    Request::publish(&sample("user.login")).bearer(&token).send(&t.server).await?.problem(403)?;
    Request::get("/v1/stats").bearer(&token).send(&t.server).await?.problem(403)?;
    Ok(())
}

async fn api_key_publishes_everything_at_any_priority(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = Client::full(&t.server).await?;
    client.follow(&mark).await?;
    t.server.publish(&marked(&mark, "critical", 1)).await?;
    same!(client.event().await?["lane"], "critical", "lane");
    for wrong in [format!("{}x", t.server.api_key), String::new(), t.server.api_key.to_uppercase()] {
        Request::publish(&sample("user.login")).bearer(&wrong).send(&t.server).await?.problem(401)?;
    }
    Ok(())
}

async fn malformed_claim_is_4401(t: Context) -> Outcome {
    for claim in [
        json!("all"),
        json!([]),
        json!(null),
        json!({"subscribe": "*"}),
        json!({"subscribe": ["*"], "extra": 1}),
        json!({"Subscribe": ["*"]}),
        json!({"subscribe": ["not a pattern"]}),
        json!({"subscribe": [7]}),
        json!({"publish": {"all": true}}),
        json!({"filter": []}),
        json!({"filter": {"a": {"b": 1}}}),
        json!({"maxPriority": "urgent"}),
        json!({"admin": "yes"}),
    ] {
        let token = t.server.token().grant(claim.clone()).sign()?;
        Dial::bearer(&token).closed_with(&t.server, 4401).await.at(&claim)?;
    }
    Ok(())
}

const ROLES: &str = r#"
[auth.roles.editor]
subscribe = ["content.*"]
publish = ["content.*"]
[auth.roles.accountant]
subscribe = ["settings.*"]
filter = { settingKey = "money" }
[auth.roles.tenant]
subscribe = ["settings.*"]
publish = ["settings.*"]
filter = { category = "$claim.org" }
[auth.roles.chief]
admin = true
"#;

async fn with_roles(server: &Server, roles: Value) -> Outcome<Client> {
    let name = if roles.is_array() { "roles" } else { "role" };
    Dial::query(&server.token().claim(name, roles).sign()?).open(server).await
}

async fn unmapped_role_grants_nothing(t: Context) -> Outcome {
    for (server, role) in
        [(&t.server, "root"), (&t.with(ROLES).await?, "root"), (&t.with(ROLES).await?, "Editor")]
    {
        let mut client = with_roles(server, json!(role)).await?;
        may_subscribe(&mut client, &["content.created"], false).await?;
        may_publish(&mut client, &sample("user.login"), false).await?;
    }
    Ok(())
}

async fn roles_are_mapped_to_grants(t: Context) -> Outcome {
    let server = t.with(ROLES).await?;
    for roles in [json!("editor"), json!(["editor"]), json!(["editor", "unmapped"])] {
        let mut client = with_roles(&server, roles).await?;
        may_subscribe(&mut client, &["content.*"], true).await?;
        may_subscribe(&mut client, &["settings.*"], false).await?;
        may_publish(&mut client, &sample("content.deleted"), true).await?;
        may_publish(&mut client, &sample("user.login"), false).await?;
    }
    let chief = server.token().claim("role", json!("chief")).sign()?;
    Request::get("/v1/stats").bearer(&chief).send(&server).await?.success()?;
    let editor = server.token().claim("role", json!("editor")).sign()?;
    Request::get("/v1/stats").bearer(&editor).send(&server).await?.problem(403)?;
    Ok(())
}

/// A `settings.updated` event of a tenant.
fn of_tenant(mark: &str, tenant: &Value, value: i64) -> Value {
    let mut event = marked(mark, "normal", value);
    event["data"]["category"] = tenant.clone();
    event
}

async fn role_templates_take_claims(t: Context) -> Outcome {
    let server = t.with(ROLES).await?;
    let (mark, mine, other) = (unique("mark"), unique("tenant"), unique("tenant"));
    let token = server.token().claim("role", json!("tenant")).claim("org", json!(mine));
    let mut client = Dial::query(&token.sign()?).open(&server).await?;
    client.follow(&mark).await?;
    server.publish(&of_tenant(&mark, &json!(other), 1)).await?;
    server.publish(&of_tenant(&mark, &json!("$claim.org"), 2)).await?;
    server.publish(&of_tenant(&mark, &json!(mine), 3)).await?;
    same!(client.values(1).await?, [json!(3)], "events of the tenant");
    may_publish(&mut client, &of_tenant("none", &json!(mine), 4), true).await?;
    may_publish(&mut client, &of_tenant("none", &json!(other), 5), false).await
}

async fn template_without_its_claim_grants_nothing(t: Context) -> Outcome {
    let server = t.with(ROLES).await?;
    let mut client = with_roles(&server, json!("tenant")).await?;
    may_subscribe(&mut client, &["settings.updated"], false).await?;
    may_publish(&mut client, &of_tenant("none", &Value::Null, 1), false).await
}

async fn several_roles_are_a_union_of_whole_grants(t: Context) -> Outcome {
    let server = t.with(ROLES).await?;
    let mut client = with_roles(&server, json!(["accountant", "editor"])).await?;
    let subject = unique("subject");
    client.subscribe("both", &["settings.*", "content.*"], json!({"@subject": subject})).await?;
    let mut send = Vec::new();
    for (key, value) in [("other", 1), ("money", 2)] {
        let mut event = marked(key, "normal", value);
        event["subject"] = json!(subject);
        send.push(event);
    }
    // The filter of one role is not laid on what the other allows.
    let mut event = sample("content.deleted");
    event["subject"] = json!(subject);
    send.push(event);
    server.publish(&json!(send)).await?;
    same!(client.values(1).await?, [json!(2)], "events under the filter of the first role");
    same!(client.event().await?["event"]["type"], "content.deleted", "event of the second role");
    Ok(())
}

async fn claim_beats_roles(t: Context) -> Outcome {
    let server = t.with(ROLES).await?;
    let token = server.token().claim("role", json!("editor")).grant(json!({"subscribe": ["user.*"]}));
    let mut client = Dial::query(&token.sign()?).open(&server).await?;
    may_subscribe(&mut client, &["user.*"], true).await?;
    may_subscribe(&mut client, &["content.*"], false).await
}

async fn configured_default_grant_holds_for_tokens_without_claims(t: Context) -> Outcome {
    let server =
        t.with("[auth.default_grant]\nsubscribe = [\"user.*\"]\npublish = [\"user.login\"]\n").await?;
    let mut client = Dial::query(&server.token().sign()?).open(&server).await?;
    may_subscribe(&mut client, &["user.*"], true).await?;
    may_subscribe(&mut client, &["content.*"], false).await?;
    may_publish(&mut client, &sample("user.login"), true).await?;
    may_publish(&mut client, &sample("user.logout"), false).await
}

/// A token that sees and sends the events of one tenant only.
fn tenant_token(server: &Server, tenant: &str) -> Token {
    let grant = json!({"subscribe": ["*"], "publish": ["*"], "filter": {"category": tenant}});
    server.token().grant(grant)
}

async fn forced_filter_is_anded_to_every_subscription(t: Context) -> Outcome {
    let (mark, tenant) = (unique("mark"), unique("tenant"));
    let mut client = Dial::query(&tenant_token(&t.server, &tenant).sign()?).open(&t.server).await?;
    client.follow(&mark).await?;
    client
        .subscribe("own", &["settings.*"], json!({"settingKey": mark, "category": ["other", tenant]}))
        .await?;
    client.subscribe("foreign", &["settings.*"], json!({"settingKey": mark, "category": "other"})).await?;
    t.server.publish(&of_tenant(&mark, &json!("other"), 1)).await?;
    t.server.publish(&marked(&mark, "normal", 2)).await?;
    t.server.publish(&of_tenant(&mark, &json!(tenant), 3)).await?;
    same!(client.values(1).await?, [json!(3)], "events of the tenant");
    Ok(())
}

/// Settings events whose `extra` is free, under a grant that forces it.
fn extra(mark: &str, extra: &Value, value: i64) -> Value {
    let mut event = marked(mark, "normal", value);
    event["data"]["extra"] = extra.clone();
    event
}

async fn forced_filter_wants_the_scalar_itself(t: Context) -> Outcome {
    let (mark, tenant) = (unique("mark"), unique("tenant"));
    let grant = json!({"subscribe": ["*"], "publish": ["*"], "filter": {"extra": tenant}});
    let token = t.server.token().grant(grant).sign()?;
    let mut client = Dial::query(&token).open(&t.server).await?;
    client.follow(&mark).await?;
    t.server.publish(&extra(&mark, &json!([tenant]), 1)).await?;
    t.server.publish(&extra(&mark, &json!([[tenant]]), 2)).await?;
    t.server.publish(&extra(&mark, &json!(tenant), 3)).await?;
    same!(client.values(1).await?, [json!(3)], "events with the scalar itself");
    may_publish(&mut client, &extra("none", &json!([tenant]), 4), false).await?;
    may_publish(&mut client, &extra("none", &json!(tenant), 5), true).await
}

async fn forced_filter_holds_for_what_is_published(t: Context) -> Outcome {
    let tenant = unique("tenant");
    let token = tenant_token(&t.server, &tenant).sign()?;
    let mut client = Dial::query(&token).open(&t.server).await?;
    may_publish(&mut client, &of_tenant("none", &json!(tenant), 1), true).await?;
    may_publish(&mut client, &of_tenant("none", &json!("other"), 2), false).await?;
    may_publish(&mut client, &sample("user.login"), false).await?;
    let batch = json!([of_tenant("none", &json!(tenant), 3), of_tenant("none", &json!("other"), 4)]);
    Request::publish(&batch).bearer(&token).send(&t.server).await?.problem(403)?;
    Ok(())
}

async fn forced_filter_holds_for_recent_history_and_resume(t: Context) -> Outcome {
    let (mark, tenant) = (unique("mark"), unique("tenant"));
    let token = tenant_token(&t.server, &tenant).sign()?;
    let client = Dial::query(&token).open(&t.server).await?;
    let before = client.welcome["offset"].as_u64().unwrap_or_default();
    let since = crate::client::Position::everywhere(client.epoch(), before);
    t.server.publish(&of_tenant(&mark, &json!("other"), 1)).await?;
    t.server.publish(&of_tenant(&mark, &json!(tenant), 2)).await?;
    let mut recent = Dial::query(&token).open(&t.server).await?;
    let message =
        json!({"type": "subscribe", "id": "s", "events": ["*"], "filter": {"settingKey": mark}, "recent": 9});
    let reply = recent.request(message).await?;
    let values: Vec<_> =
        reply["recent"].as_array().into_iter().flatten().map(crate::client::value_of).collect();
    same!(values, [json!(2)], "recent");
    let mut resumed = Dial::query(&token).open(&t.server).await?;
    resumed.resume(&since, &mark, before).await?;
    same!(resumed.values(1).await?, [json!(2)], "replay");
    let filter = escape(&json!({"settingKey": mark}).to_string());
    let target = format!("/v1/events?events=settings.updated&filter={filter}&after={before}&limit=10");
    let page = Request::get(&target).bearer(&token).send(&t.server).await?.success()?;
    let values: Vec<_> =
        page["events"].as_array().into_iter().flatten().map(crate::client::value_of).collect();
    same!(values, [json!(2)], "history");
    Ok(())
}

async fn a_grant_that_shrinks_stops_what_is_queued(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let token = server.token();
    let mark = unique("mark");
    let dial = Dial::query(&token.clone().full().sign()?).receive_buffer(4096);
    let mut client = dial.open(&server).await?;
    client.follow(&mark).await?;
    // More than the kernel takes for a client that does not read.
    let count = 2_000;
    let bulk = "x".repeat(8_000);
    for start in (0..count).step_by(100) {
        let batch: Vec<_> = (start..start + 100)
            .map(|number| {
                let mut event = marked(&mark, "normal", i64::try_from(number).unwrap_or_default());
                event["data"]["bulk"] = json!(bulk);
                event
            })
            .collect();
        server.publish(&json!(batch)).await?;
    }
    let narrow = json!({"subscribe": ["settings.*"], "filter": {"category": mark}});
    client.send(&json!({"type": "auth", "id": "a", "token": token.clone().grant(narrow).sign()?})).await?;
    let before = client.until(|message| message["type"] == "authenticated").await?.len();
    ensure!(before < count, "all {count} events came before the reply");
    server.publish(&of_tenant(&mark, &json!(mark), -1)).await?;
    same!(client.values(1).await?, [json!(-1)], "first event under the narrow grant");
    // What was passed over is not owed when the grant widens again.
    let wide = token.full().sign()?;
    let reply = client.request(json!({"type": "auth", "id": "b", "token": wide})).await?;
    same!(reply["type"], "authenticated", "reply {reply}");
    server.publish(&marked(&mark, "normal", -2)).await?;
    same!(client.values(1).await?, [json!(-2)], "first event under the wide grant");
    drop(client);
    server.stop().await
}
