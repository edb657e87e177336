//! §6 What operators use: stats, connections, schema, health, metrics, the page.

use serde_json::{Value, json};

use crate::client::{Client, Dial};
use crate::events::{TYPES, unique};
use crate::http::{Request, Response, escape};
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, ensure, fail, same, until};
use crate::runner::table;

table! { 6:
    stats_count_connections_and_subscriptions
    connections_are_listed
    delete_by_connection_closes_with_4403
    delete_by_user_closes_all_with_4403
    delete_without_a_parameter_is_400
    revoke_refuses_tokens_issued_before
    admin_requests_need_an_admin
    schema_has_all_25_types
    healthz_and_readyz_answer_200
    metrics_are_prometheus_text
    metrics_are_open_to_loopback_only_without_forwarding
    metrics_are_open_to_admins
    ops_listen_moves_metrics_and_admin
    page_is_served_where_enabled
}

async fn stats(server: &Server) -> Outcome<Value> {
    server.admin("GET", "/v1/stats").await?.success()
}

async fn stats_count_connections_and_subscriptions(t: Context) -> Outcome {
    let server = t.alone("").await?;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::full(&server).await?;
        for id in ["a", "b", "c"] {
            client.subscribe(id, &["user.login"], json!({})).await?;
        }
        clients.push(client);
    }
    let found = stats(&server).await?;
    same!(found["totalConnections"], 5, "totalConnections in {found}");
    same!(found["activeSubscriptions"], 15, "activeSubscriptions in {found}");
    clients.truncate(2);
    until("the stats to follow", || async {
        let found = stats(&server).await?;
        Ok((found["totalConnections"] == 2 && found["activeSubscriptions"] == 6).then_some(()))
    })
    .await?;
    drop(clients);
    server.stop().await
}

/// Whether the text of the listing names the connection.
async fn listed(server: &Server, connection: &str) -> Outcome<bool> {
    let body = server.admin("GET", "/v1/connections").await?.success()?;
    Ok(body.to_string().contains(&format!("\"{connection}\"")))
}

async fn connections_are_listed(t: Context) -> Outcome {
    let client = Client::full(&t.server).await?;
    let body = t.server.admin("GET", "/v1/connections").await?.success()?;
    let text = body.to_string();
    ensure!(text.contains(client.connection_id()), "{} is not listed", client.connection_id());
    let user = client.welcome["user"].as_str().unwrap_or_default();
    ensure!(text.contains(user), "{user} is not listed");
    Ok(())
}

async fn delete_by_connection_closes_with_4403(t: Context) -> Outcome {
    let token = t.server.full_token()?;
    let mut gone = Dial::query(&token).open(&t.server).await?;
    let mut kept = Dial::query(&token).open(&t.server).await?;
    let id = gone.connection_id().to_owned();
    success(&t.server.admin("DELETE", &format!("/v1/connections?connection={}", escape(&id))).await?)?;
    gone.closed_with(4403).await?;
    kept.alive().await?;
    until("the connection to be gone from the list", || async {
        Ok((!listed(&t.server, &id).await?).then_some(()))
    })
    .await?;
    // It is not refused for longer than that.
    Dial::query(&token).open(&t.server).await?.alive().await
}

fn success(response: &Response) -> Outcome {
    ensure!([200, 202, 204].contains(&response.status), "status {}: {}", response.status, response.text());
    Ok(())
}

async fn delete_by_user_closes_all_with_4403(t: Context) -> Outcome {
    let token = t.server.full_token()?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Dial::query(&token).open(&t.server).await?);
    }
    let mut other = Client::full(&t.server).await?;
    let user = escape(clients[0].welcome["user"].as_str().unwrap_or_default());
    success(&t.server.admin("DELETE", &format!("/v1/connections?user={user}")).await?)?;
    for client in &mut clients {
        client.closed_with(4403).await?;
    }
    other.alive().await
}

async fn delete_without_a_parameter_is_400(t: Context) -> Outcome {
    let mut client = Client::full(&t.server).await?;
    for target in
        ["/v1/connections", "/v1/connections?", "/v1/connections?revoke=true", "/v1/connections?usr=x"]
    {
        t.server.admin("DELETE", target).await?.problem(400)?;
    }
    client.alive().await
}

async fn revoke_refuses_tokens_issued_before(t: Context) -> Outcome {
    let user = unique("revoked");
    let now = crate::tokens::unix_now();
    let token = crate::tokens::Token::new(&t.server.secret, &user).full();
    let old = token.clone().claim("iat", json!(now - 60));
    let mut client = Dial::query(&old.sign()?).open(&t.server).await?;
    let target = format!("/v1/connections?user={}&revoke=true", escape(&user));
    success(&t.server.admin("DELETE", &target).await?)?;
    client.closed_with(4403).await?;
    Dial::query(&old.sign()?).closed_with(&t.server, 4401).await?;
    let publish = Request::publish(&crate::events::sample("user.login")).bearer(&old.sign()?);
    publish.send(&t.server).await?.problem(401)?;
    // Without `iat` nobody knows that it was issued later.
    Dial::query(&token.sign()?).closed_with(&t.server, 4401).await?;
    let fresh = token.claim("iat", json!(now + 5)).sign()?;
    Dial::query(&fresh).open(&t.server).await?.alive().await?;
    Client::full(&t.server).await?.alive().await
}

async fn admin_requests_need_an_admin(t: Context) -> Outcome {
    let full = t.server.full_token()?;
    for (method, target) in
        [("GET", "/v1/stats"), ("GET", "/v1/connections"), ("DELETE", "/v1/connections?user=nobody")]
    {
        Request::new(method, target).send(&t.server).await?.problem(401)?;
        Request::new(method, target).bearer("bad").send(&t.server).await?.problem(401)?;
        Request::new(method, target).bearer(&full).send(&t.server).await?.problem(403)?;
    }
    Ok(())
}

async fn schema_has_all_25_types(t: Context) -> Outcome {
    let response = Request::get("/v1/schema").send(&t.server).await?;
    let body = response.success()?;
    ensure!(body.is_object(), "the schema is no object");
    let text = body.to_string();
    for row in &TYPES {
        ensure!(text.contains(&format!("\"{}\"", row.name)), "no {} in the schema", row.name);
        for key in row.required().as_object().into_iter().flatten().map(|(key, _)| key) {
            ensure!(text.contains(&format!("\"{key}\"")), "no {key} in the schema");
        }
    }
    Ok(())
}

async fn healthz_and_readyz_answer_200(t: Context) -> Outcome {
    for target in ["/healthz", "/readyz"] {
        same!(Request::get(target).send(&t.server).await?.status, 200, "status of {target}");
    }
    Ok(())
}

async fn metrics(server: &Server) -> Outcome<String> {
    let response = Request::get("/metrics").send(server).await?;
    same!(response.status, 200, "status of /metrics");
    let kind = response.header("content-type").unwrap_or_default();
    ensure!(kind.starts_with("text/plain"), "metrics came as {kind:?}");
    Ok(response.text())
}

async fn metrics_are_prometheus_text(t: Context) -> Outcome {
    let text = metrics(&t.server).await?;
    ensure!(text.ends_with('\n'), "the last line has no end");
    let mut samples = 0;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else { fail!("{line:?} is no sample") };
        let legal = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        ensure!(legal && !name.ends_with(' '), "{line:?} is no sample");
        ensure!(value.parse::<f64>().is_ok() || value == "+Inf", "{value:?} in {line:?} is no number");
        samples += 1;
    }
    ensure!(samples > 10, "{samples} samples");
    ensure!(text.contains("# TYPE ") && text.contains("# HELP "), "neither TYPE nor HELP");
    Ok(())
}

async fn metrics_are_open_to_loopback_only_without_forwarding(t: Context) -> Outcome {
    metrics(&t.server).await?;
    let port = t.server.address.port();
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}")] {
        same!(
            Request::get("/metrics").header("Host", &host).send(&t.server).await?.status,
            200,
            "with Host {host}"
        );
    }
    for (name, value) in [
        ("Host", "tidings.example"),
        ("Host", "127.0.0.1.evil.example"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("X-Forwarded-Host", "localhost"),
        ("X-Real-IP", "127.0.0.1"),
    ] {
        let response = Request::get("/metrics").header(name, value).send(&t.server).await?;
        ensure!([401, 403].contains(&response.status), "with {name}: {value} it got {}", response.status);
    }
    Ok(())
}

async fn metrics_are_open_to_admins(t: Context) -> Outcome {
    let remote = Request::get("/metrics").header("X-Forwarded-For", "192.0.2.1");
    for (whose, token) in
        [("an admin's token", t.server.admin_token()?), ("an API key", t.server.api_key.to_string())]
    {
        same!(remote.clone().bearer(&token).send(&t.server).await?.status, 200, "with {whose}");
    }
    same!(remote.bearer(&t.server.full_token()?).send(&t.server).await?.status, 403, "with another token");
    Ok(())
}

async fn ops_listen_moves_metrics_and_admin(t: Context) -> Outcome {
    // A port that was free a moment ago.
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let server = t.alone(&format!("[ops]\nlisten = \"{address}\"\n")).await?;
    let mut ops = server.clone();
    ops.address = address;
    metrics(&ops).await?;
    ops.admin("GET", "/v1/stats").await?.success()?;
    ops.admin("GET", "/v1/connections").await?.success()?;
    for target in ["/metrics", "/v1/stats", "/v1/connections"] {
        same!(server.admin("GET", target).await?.status, 404, "status of {target} on the common listener");
    }
    Client::full(&server).await?.alive().await?;
    server.stop().await
}

async fn page_is_served_where_enabled(t: Context) -> Outcome {
    let server = t.with("[page]\nenabled = true\n").await?;
    let response = Request::get("/").send(&server).await?;
    same!(response.status, 200, "status of /");
    let kind = response.header("content-type").unwrap_or_default();
    ensure!(kind.starts_with("text/html"), "the page came as {kind:?}");
    ensure!(
        response.text().to_ascii_lowercase().contains("<!doctype html"),
        "no page in {}",
        response.text()
    );
    let off = t.with("[page]\nenabled = false\n").await?;
    let response = Request::get("/").send(&off).await?;
    ensure!([404, 426].contains(&response.status), "/ without a page got {}", response.status);
    Ok(())
}
