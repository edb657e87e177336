//! §2 Connecting: where the token is found, what a refused upgrade looks like, origins, limits, `welcome`.

use serde_json::json;

use crate::client::{Client, Dial, Incoming};
use crate::http::Connection;
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, Within as _, ensure, fail, same, until};
use crate::raw::{self, Socket, upgrade_head};
use crate::runner::table;
use crate::tokens::unix_now;

table! { 2:
    both_paths_are_upgraded
    another_path_is_not_upgraded
    token_in_the_query_is_taken
    token_in_authorization_is_taken
    token_in_a_subprotocol_is_taken
    token_in_a_configured_cookie_is_taken_with_an_allowed_origin
    cookie_without_an_allowed_origin_is_refused
    first_present_token_decides
    query_token_can_be_turned_off
    tidings_v1_is_selected_also_when_refused
    without_a_token_the_only_frame_is_close_4401
    bad_token_gets_only_close_4401
    expired_token_gets_only_close_4401
    forbidden_origin_gets_403
    empty_list_admits_the_own_host_only
    origin_is_compared_by_scheme_host_and_port
    wildcard_admits_all_but_null
    requests_without_origin_pass
    over_the_server_s_limit_gets_503_with_retry_after
    over_an_address_s_limit_gets_503_with_retry_after
    over_a_user_s_limit_the_longest_silent_closes_with_4429
    welcome_has_every_field
    welcome_offset_is_the_log_s_end
    welcome_is_followed_by_nothing_unasked
    logs_never_show_a_token
    upgrade_with_bad_headers_is_refused
    upgrade_of_another_version_names_version_13
    upgrade_with_a_split_connection_header_passes
    upgrade_one_byte_at_a_time_passes
    frames_behind_the_upgrade_request_are_read
    handshake_has_a_deadline
}

async fn both_paths_are_upgraded(t: Context) -> Outcome {
    let token = t.server.full_token()?;
    for path in ["/", "/ws"] {
        let mut client = Dial::new(&format!("{path}?token={token}")).open(&t.server).await.at(path)?;
        client.alive().await?;
    }
    Ok(())
}

async fn another_path_is_not_upgraded(t: Context) -> Outcome {
    let token = t.server.full_token()?;
    let response = Dial::new(&format!("/elsewhere?token={token}")).refused(&t.server).await?;
    same!(response.status, 404, "status");
    Ok(())
}

async fn token_in_the_query_is_taken(t: Context) -> Outcome {
    let token = t.server.full_token()?;
    Dial::new(&format!("/?other=1&token={token}&more=2")).open(&t.server).await?.alive().await
}

async fn token_in_authorization_is_taken(t: Context) -> Outcome {
    Dial::bearer(&t.server.full_token()?).open(&t.server).await?.alive().await
}

async fn token_in_a_subprotocol_is_taken(t: Context) -> Outcome {
    let token = t.server.full_token()?;
    for offer in [format!("tidings.v1, tidings.bearer.{token}"), format!("tidings.bearer.{token},tidings.v1")]
    {
        let mut client = Dial::new("/").protocols(&offer).open(&t.server).await?;
        same!(client.protocol.as_deref(), Some("tidings.v1"), "selected subprotocol");
        client.alive().await?;
    }
    Ok(())
}

const COOKIE: &str = "origins = [\"https://app.example\"]\n[auth]\ncookie = \"session\"\n";

async fn token_in_a_configured_cookie_is_taken_with_an_allowed_origin(t: Context) -> Outcome {
    let server = t.with(COOKIE).await?;
    let cookie = format!("other=1; session={}; last=\"2\"", server.full_token()?);
    let dial = Dial::new("/ws").header("Cookie", &cookie).origin("https://app.example");
    dial.open(&server).await?.alive().await
}

async fn cookie_without_an_allowed_origin_is_refused(t: Context) -> Outcome {
    let server = t.with(COOKIE).await?;
    let dial = Dial::new("/ws").header("Cookie", &format!("session={}", server.full_token()?));
    let response = dial.clone().origin("https://evil.example").refused(&server).await?;
    same!(response.status, 403, "status with a foreign origin");
    match dial.upgrade(&server).await? {
        crate::client::Upgrade::Refused(response) => same!(response.status, 403, "status without origin"),
        crate::client::Upgrade::Open(mut client) => match client.receive().await? {
            Incoming::Closed(code) => same!(code, Some(4401), "close code without origin"),
            other => fail!("a cookie alone got in: {other:?}"),
        },
    }
    Ok(())
}

async fn first_present_token_decides(t: Context) -> Outcome {
    let server = t.with(COOKIE).await?;
    let good = server.full_token()?;
    let query = |token: &str| Dial::new(&format!("/?token={token}")).origin("https://app.example");
    let cookie = |dial: Dial, token: &str| dial.header("Cookie", &format!("session={token}"));
    let protocol = |dial: Dial, token: &str| dial.protocols(&format!("tidings.v1, tidings.bearer.{token}"));
    let bearer = |dial: Dial, token: &str| dial.header("Authorization", &format!("Bearer {token}"));
    cookie(query("bad"), &good).open(&server).await.at("cookie over query")?;
    cookie(query(&good), "bad").closed_with(&server, 4401).await.at("bad cookie over query")?;
    protocol(cookie(query("bad"), "bad"), &good).open(&server).await.at("subprotocol over cookie")?;
    protocol(cookie(query(&good), &good), "bad").closed_with(&server, 4401).await.at("bad subprotocol")?;
    bearer(protocol(query("bad"), "bad"), &good).open(&server).await.at("header over subprotocol")?;
    bearer(protocol(query(&good), &good), "bad").closed_with(&server, 4401).await.at("bad header")
}

async fn query_token_can_be_turned_off(t: Context) -> Outcome {
    let server = t.with("[auth]\nquery_token = false\n").await?;
    let token = server.full_token()?;
    Dial::query(&token).closed_with(&server, 4401).await?;
    Dial::bearer(&token).open(&server).await?.alive().await
}

async fn tidings_v1_is_selected_also_when_refused(t: Context) -> Outcome {
    let dial = Dial::new("/").protocols("tidings.v1, tidings.bearer.bad");
    let client = dial.upgraded(&t.server).await?;
    same!(client.protocol.as_deref(), Some("tidings.v1"), "selected subprotocol");
    dial.closed_with(&t.server, 4401).await
}

async fn without_a_token_the_only_frame_is_close_4401(t: Context) -> Outcome {
    Dial::new("/").closed_with(&t.server, 4401).await?;
    Dial::new("/ws").closed_with(&t.server, 4401).await?;
    Dial::query("").closed_with(&t.server, 4401).await
}

async fn bad_token_gets_only_close_4401(t: Context) -> Outcome {
    let mut token = t.server.full_token()?;
    for bad in ["x", "a.b.c", "..", "%00"] {
        Dial::query(bad).closed_with(&t.server, 4401).await.at(bad)?;
    }
    let last = if token.pop() == Some('A') { 'B' } else { 'A' };
    token.insert(token.len().saturating_sub(8), last);
    Dial::bearer(&token).closed_with(&t.server, 4401).await
}

async fn expired_token_gets_only_close_4401(t: Context) -> Outcome {
    Dial::query(&t.server.token().full().expires_in(-3600).sign()?).closed_with(&t.server, 4401).await
}

const ORIGINS: &str = "origins = [\"https://app.example\", \"http://dev.example:3000\"]\n";

async fn expect_origin(server: &Server, origin: &str, allowed: bool) -> Outcome {
    let dial = Dial::bearer(&server.full_token()?).origin(origin);
    if allowed {
        dial.open(server).await.at(origin)?;
    } else {
        same!(dial.refused(server).await.at(origin)?.status, 403, "status for origin {origin}");
    }
    Ok(())
}

async fn forbidden_origin_gets_403(t: Context) -> Outcome {
    expect_origin(&t.server, "https://evil.example", false).await
}

async fn empty_list_admits_the_own_host_only(t: Context) -> Outcome {
    let server = t.with("").await?;
    expect_origin(&server, &format!("http://{}", server.address), true).await?;
    expect_origin(&server, "http://127.0.0.1:1", false).await?;
    expect_origin(&server, "http://localhost", false).await?;
    expect_origin(&server, "null", false).await
}

async fn origin_is_compared_by_scheme_host_and_port(t: Context) -> Outcome {
    let server = t.with(ORIGINS).await?;
    for origin in ["https://app.example", "http://dev.example:3000"] {
        expect_origin(&server, origin, true).await?;
    }
    for origin in [
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://sub.app.example",
        "https://evil.example/https://app.example",
        "http://dev.example",
        "http://dev.example:30000",
        "null",
        "",
    ] {
        expect_origin(&server, origin, false).await?;
    }
    Ok(())
}

async fn wildcard_admits_all_but_null(t: Context) -> Outcome {
    let server = t.with("origins = [\"*\"]\n").await?;
    expect_origin(&server, "https://anything.example", true).await?;
    expect_origin(&server, "null", false).await
}

async fn requests_without_origin_pass(t: Context) -> Outcome {
    let server = t.with(ORIGINS).await?;
    Client::full(&server).await?.alive().await
}

async fn over_the_server_s_limit_gets_503_with_retry_after(t: Context) -> Outcome {
    let server = t.alone("[limits]\nconnections = 3\n").await?;
    let mut held = Vec::new();
    for _ in 0..3 {
        // The connection that asked for /readyz may still be counted.
        held.push(
            until("a free place", || async {
                match Dial::bearer(&server.full_token()?).upgrade(&server).await? {
                    crate::client::Upgrade::Open(client) => Ok(Some(client)),
                    crate::client::Upgrade::Refused(_) => Ok(None),
                }
            })
            .await?,
        );
    }
    let response = Dial::bearer(&server.full_token()?).refused(&server).await?;
    same!(response.status, 503, "status");
    let after = response.header("retry-after").and_then(|after| after.parse::<u64>().ok());
    ensure!(after.is_some(), "Retry-After is {:?}", response.header("retry-after"));
    drop(held);
    until("a free place", || async {
        let upgrade = Dial::bearer(&server.full_token()?).upgrade(&server).await?;
        Ok(matches!(upgrade, crate::client::Upgrade::Open(_)).then_some(()))
    })
    .await?;
    server.stop().await
}

async fn over_an_address_s_limit_gets_503_with_retry_after(t: Context) -> Outcome {
    let server = t.alone("[limits]\nunauthenticated_per_address = 2\n").await?;
    let authenticated = Client::full(&server).await?;
    let held = [Connection::open(&server).await?, Connection::open(&server).await?];
    let response = until("the limit", || async {
        match Dial::bearer(&server.full_token()?).upgrade(&server).await? {
            crate::client::Upgrade::Open(_) => Ok(None),
            crate::client::Upgrade::Refused(response) => Ok(Some(response)),
        }
    })
    .await?;
    same!(response.status, 503, "status");
    ensure!(response.header("retry-after").is_some(), "no Retry-After");
    drop(held);
    until("a free place", || async {
        let upgrade = Dial::bearer(&server.full_token()?).upgrade(&server).await?;
        Ok(matches!(upgrade, crate::client::Upgrade::Open(_)).then_some(()))
    })
    .await?;
    drop(authenticated);
    server.stop().await
}

async fn over_a_user_s_limit_the_longest_silent_closes_with_4429(t: Context) -> Outcome {
    let server = t.with("[limits]\nconnections_per_user = 2\n").await?;
    let token = server.full_token()?;
    let mut first = Dial::query(&token).open(&server).await?;
    let mut second = Dial::query(&token).open(&server).await?;
    first.alive().await?;
    let mut third = Dial::query(&token).open(&server).await?;
    second.closed_with(4429).await?;
    first.alive().await?;
    third.alive().await
}

async fn welcome_has_every_field(t: Context) -> Outcome {
    let expires = unix_now() + 600;
    let token = t.server.token().claim("exp", json!(expires));
    let client = Dial::query(&token.sign()?).open(&t.server).await?;
    let welcome = &client.welcome;
    same!(welcome["protocol"], 1, "protocol");
    ensure!(client.connection_id().starts_with("c_"), "connection {}", welcome["connection"]);
    let user = welcome["user"].as_str().unwrap_or_default();
    ensure!(user.starts_with("user-"), "user {user:?} is not the token's sub");
    ensure!(!client.epoch().is_empty(), "epoch {}", welcome["epoch"]);
    ensure!(welcome["offset"].is_u64(), "offset {}", welcome["offset"]);
    ensure!(welcome["heartbeat"]["interval"].is_u64(), "heartbeat {}", welcome["heartbeat"]);
    ensure!(welcome["heartbeat"]["timeout"].is_u64(), "heartbeat {}", welcome["heartbeat"]);
    same!(welcome["expiresAt"], expires, "expiresAt");
    let other = Client::full(&t.server).await?;
    ensure!(other.connection_id() != client.connection_id(), "two connections share an id");
    same!(other.epoch(), client.epoch(), "epoch of a second connection");
    let lab = t.with("").await?;
    same!(
        Client::full(&lab).await?.welcome["heartbeat"],
        json!({"interval": 30_000, "timeout": 60_000}),
        "default"
    );
    Ok(())
}

async fn welcome_offset_is_the_log_s_end(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let offset = server.publish(&crate::events::sample("user.login")).await?;
    let client = Client::full(&server).await?;
    same!(client.welcome["offset"], offset, "offset in welcome");
    drop(client);
    server.stop().await
}

async fn welcome_is_followed_by_nothing_unasked(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    t.server.publish(&crate::events::sample("user.login")).await?;
    client.send(&json!({"type": "ping"})).await?;
    same!(client.next().await?["type"], "pong", "next message of a connection without subscriptions");
    Ok(())
}

async fn logs_never_show_a_token(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let token = server.full_token()?;
    let bad = format!("{}x", server.full_token()?);
    let offer = format!("tidings.v1, tidings.bearer.{token}");
    drop(Dial::query(&token).open(&server).await?);
    drop(Dial::bearer(&token).open(&server).await?);
    drop(Dial::new("/").protocols(&offer).open(&server).await?);
    Dial::query(&bad).closed_with(&server, 4401).await?;
    let mut client = Client::full(&server).await?;
    client.error(json!({"type": "auth", "token": bad}), "invalid_token").await?;
    drop(client);
    let target = format!("/nowhere?token={token}");
    crate::http::Request::get(&target).bearer(&bad).send(&server).await?;
    server.stop().await?;
    for secret in [&token, &bad, &*server.secret, &*server.api_key] {
        // The signature, or the key itself: what of it would let somebody in.
        let telling = secret.rsplit('.').next().unwrap_or(secret);
        if let Some(line) = server.log().into_iter().flatten().find(|line| line.contains(telling)) {
            fail!("the log shows a secret: {line}");
        }
    }
    Ok(())
}

/// The status that a hand-written upgrade request gets.
async fn upgrade_status(server: &Server, head: &str) -> Outcome<u16> {
    let mut connection = Connection::open(server).await?;
    connection.send(head.as_bytes()).await?;
    Ok(connection.head().await?.status)
}

async fn upgrade_with_bad_headers_is_refused(t: Context) -> Outcome {
    let target = format!("/?token={}", t.server.full_token()?);
    let good = upgrade_head(&t.server, &target);
    let host = format!("Host: {}\r\n", t.server.address);
    let key = format!("Sec-WebSocket-Key: {}\r\n", raw::KEY);
    let heads = [
        ("no key", good.replace(&key, "")),
        ("a short key", good.replace(raw::KEY, "c2hvcnQ=")),
        ("a key that is not base64", good.replace(raw::KEY, "!!!!!!!!!!!!!!!!!!!!!!==")),
        ("two keys", format!("{good}{key}")),
        ("no host", good.replace(&host, "")),
        ("two hosts", format!("{good}{host}")),
        ("a folded header", format!("{good}X-Folded: a\r\n b\r\n")),
        ("a folded key", good.replace("Sec-WebSocket-Key: ", "Sec-WebSocket-Key:\r\n ")),
        ("a bare LF", good.replace("Upgrade: websocket\r\n", "Upgrade: websocket\n")),
        ("a space before a colon", good.replace("Upgrade: websocket", "Upgrade : websocket")),
        ("a NUL in a value", format!("{good}X-Nul: a\0b\r\n")),
        ("a post", good.replace("GET ", "POST ")),
    ];
    for (what, head) in heads {
        let status = upgrade_status(&t.server, &format!("{head}\r\n")).await.at(what)?;
        ensure!((400..500).contains(&status), "{what} got {status}");
    }
    let status = upgrade_status(&t.server, &format!("{}\r\n", good.replace("HTTP/1.1", "HTTP/1.0"))).await?;
    ensure!(status != 101, "HTTP/1.0 was upgraded");
    Ok(())
}

async fn upgrade_of_another_version_names_version_13(t: Context) -> Outcome {
    let good = upgrade_head(&t.server, &format!("/?token={}", t.server.full_token()?));
    for version in ["8", "14", "x"] {
        let mut connection = Connection::open(&t.server).await?;
        let head = good.replace("Version: 13", &format!("Version: {version}"));
        connection.send(format!("{head}\r\n").as_bytes()).await?;
        let response = connection.head().await?;
        ensure!([400, 426].contains(&response.status), "version {version} got {}", response.status);
        same!(response.header("sec-websocket-version"), Some("13"), "Sec-WebSocket-Version (RFC 6455 §4.4)");
    }
    Ok(())
}

async fn upgrade_with_a_split_connection_header_passes(t: Context) -> Outcome {
    let good = upgrade_head(&t.server, &format!("/?token={}", t.server.full_token()?));
    for lines in [
        "Connection: keep-alive\r\nConnection: Upgrade\r\n",
        "Connection: keep-alive, upgrade\r\n",
        "connection:UPGRADE\r\n",
    ] {
        let status =
            upgrade_status(&t.server, &format!("{}\r\n", good.replace("Connection: Upgrade\r\n", lines)))
                .await?;
        same!(status, 101, "status with {lines:?}");
    }
    Ok(())
}

async fn upgrade_one_byte_at_a_time_passes(t: Context) -> Outcome {
    let mut connection = Connection::open(&t.server).await?;
    let head = upgrade_head(&t.server, &format!("/?token={}", t.server.full_token()?));
    for byte in format!("{head}\r\n").bytes() {
        connection.send(&[byte]).await?;
        tokio::task::yield_now().await;
    }
    raw::accepted(&connection.head().await?)?;
    let mut socket = Socket { connection };
    same!(socket.message().await?["type"], "welcome", "first message");
    Ok(())
}

async fn frames_behind_the_upgrade_request_are_read(t: Context) -> Outcome {
    let mut connection = Connection::open(&t.server).await?;
    let head = upgrade_head(&t.server, &format!("/?token={}", t.server.full_token()?));
    let mut bytes = format!("{head}\r\n").into_bytes();
    bytes.extend(raw::Frame::text(&json!({"type": "ping", "id": "a"})).encode());
    bytes.extend(raw::Frame::text(&json!({"type": "ping", "id": "b"})).encode());
    connection.send(&bytes).await?;
    raw::accepted(&connection.head().await?)?;
    let mut socket = Socket { connection };
    same!(socket.message().await?["type"], "welcome", "first message");
    same!(socket.message().await?, json!({"type": "pong", "id": "a"}), "first reply");
    same!(socket.message().await?, json!({"type": "pong", "id": "b"}), "second reply");
    Ok(())
}

async fn handshake_has_a_deadline(t: Context) -> Outcome {
    let server = t.with("[limits]\nhandshake_ms = 300\n[http]\nhead_ms = 300\n").await?;
    let mut silent = Connection::open(&server).await?;
    let mut slow = Connection::open(&server).await?;
    slow.send(b"GET / HTTP/1.1\r\nHost: x\r\n").await?;
    silent.rest().await.at("a connection that says nothing")?;
    slow.rest().await.at("a connection that stops half-way")?;
    Ok(())
}
