//! §6 HTTP itself: heads, lengths, deadlines, keep-alive, and requests that two readers read differently.

use serde_json::json;

use crate::client::Client;
use crate::events::{marked, sample, unique};
use crate::http::{Connection, Request};
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, Within as _, ensure, same};
use crate::runner::table;

table! { 6:
    unknown_path_is_404
    wrong_method_is_405_with_allow
    head_is_at_most_16_kib
    head_is_at_most_64_fields
    malformed_head_is_400_and_closed
    length_that_two_readers_read_differently_is_400_and_closed
    smuggled_request_is_never_served
    chunked_body_is_read
    malformed_chunk_is_400_and_closed
    expect_100_continue_is_answered
    another_expectation_is_417_or_ignored
    requests_follow_one_another_on_a_connection
    pipelined_requests_are_answered_in_order
    connection_close_is_honoured
    http_1_0_is_answered_and_closed
    request_one_byte_at_a_time_is_read
    head_request_has_no_body
    half_closed_connection_gets_its_answer
    head_body_and_idle_have_deadlines
}

async fn unknown_path_is_404(t: Context) -> Outcome {
    for target in [
        "/nowhere",
        "/v1",
        "/v1/",
        "/v1/event",
        "/v1/events/",
        "/V1/events",
        "/healthz/x",
        "/..",
        "//v1/events",
    ] {
        Request::get(target).send(&t.server).await?.problem(404).at(target)?;
    }
    Ok(())
}

async fn wrong_method_is_405_with_allow(t: Context) -> Outcome {
    for (method, target, allowed) in [
        ("PUT", "/v1/events", &["GET", "POST"][..]),
        ("DELETE", "/v1/events", &["GET", "POST"]),
        ("POST", "/v1/stream", &["GET"]),
        ("POST", "/v1/stats", &["GET"]),
        ("PUT", "/v1/connections", &["GET", "DELETE"]),
        ("PATCH", "/v1/schema", &["GET"]),
        ("POST", "/healthz", &["GET"]),
        ("POST", "/readyz", &["GET"]),
        ("DELETE", "/metrics", &["GET"]),
        ("NONSENSE", "/v1/events", &["GET", "POST"]),
    ] {
        let mut request = Request::new(method, target).bearer(&t.server.admin_token()?);
        if method != "DELETE" {
            request = request.body("", "");
        }
        let response = request.send(&t.server).await?;
        response.problem(405).at(format!("{method} {target}"))?;
        let allow = response.header("allow").unwrap_or_default();
        let found: Vec<_> = allow.split(',').map(str::trim).collect();
        ensure!(allowed.iter().all(|method| found.contains(method)), "Allow of {target} is {allow:?}");
        ensure!(!found.contains(&method), "Allow of {target} names {method}");
    }
    Ok(())
}

async fn status_of(server: &Server, head: &str) -> Outcome<u16> {
    let mut connection = Connection::open(server).await?;
    connection.send_what_goes(head.as_bytes()).await;
    Ok(connection.head().await?.status)
}

async fn head_is_at_most_16_kib(t: Context) -> Outcome {
    let head = |bytes: usize| {
        format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nX-Pad: {}\r\n\r\n", t.server.address, "x".repeat(bytes))
    };
    same!(status_of(&t.server, &head(16_000)).await?, 200, "a head of just under 16 KiB");
    same!(status_of(&t.server, &head(17_000)).await?, 431, "a head over 16 KiB");
    // A head without end is refused as soon as it is too long.
    let endless = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Pad: {}", "x".repeat(20_000));
    same!(status_of(&t.server, &endless).await?, 431, "a head that does not end");
    let target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(20_000));
    let status = status_of(&t.server, &target).await?;
    ensure!([414, 431].contains(&status), "a target of 20,000 bytes got {status}");
    Ok(())
}

async fn head_is_at_most_64_fields(t: Context) -> Outcome {
    let head = |fields: usize| {
        let more: String = (1..fields).map(|number| format!("X-{number}: y\r\n")).collect();
        format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n{more}\r\n", t.server.address)
    };
    same!(status_of(&t.server, &head(64)).await?, 200, "64 fields");
    same!(status_of(&t.server, &head(65)).await?, 431, "65 fields");
    same!(status_of(&t.server, &head(1_000)).await?, 431, "1,000 fields");
    Ok(())
}

/// The bytes must be answered with 400, and the connection closed after that.
async fn refused(server: &Server, what: &str, bytes: &str) -> Outcome {
    refused_with(server, what, &[400], bytes).await
}

async fn refused_with(server: &Server, what: &str, statuses: &[u16], bytes: &str) -> Outcome {
    let mut connection = Connection::open(server).await?;
    connection.send_what_goes(bytes.as_bytes()).await;
    let response = connection.response().await.at(what)?;
    ensure!(statuses.contains(&response.status), "status of {what}: {}", response.status);
    connection.closed().await.at(what)
}

async fn malformed_head_is_400_and_closed(t: Context) -> Outcome {
    let host = format!("Host: {}\r\n", t.server.address);
    for (what, head) in [
        ("no version", format!("GET /healthz\r\n{host}\r\n")),
        ("a lower-case version", format!("GET /healthz http/1.1\r\n{host}\r\n")),
        ("a control character in the target", format!("GET /health\x01z HTTP/1.1\r\n{host}\r\n")),
        ("three spaces", format!("GET  /healthz   HTTP/1.1\r\n{host}\r\n")),
        ("a field without colon", format!("GET /healthz HTTP/1.1\r\n{host}nonsense\r\n\r\n")),
        ("a field without name", format!("GET /healthz HTTP/1.1\r\n{host}: x\r\n\r\n")),
        ("a space before the colon", format!("GET /healthz HTTP/1.1\r\n{host}X : y\r\n\r\n")),
        ("a folded field", format!("GET /healthz HTTP/1.1\r\n{host}X: a\r\n b\r\n\r\n")),
        ("a bare LF", format!("GET /healthz HTTP/1.1\r\n{host}X: a\nY: b\r\n\r\n")),
        ("bare LFs only", format!("GET /healthz HTTP/1.1\n{}\n", host.replace('\r', ""))),
        ("a bare CR", format!("GET /healthz HTTP/1.1\r\n{host}X: a\rb\r\n\r\n")),
        ("a NUL", format!("GET /healthz HTTP/1.1\r\n{host}X: a\0b\r\n\r\n")),
        ("no host", "GET /healthz HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", format!("GET /healthz HTTP/1.1\r\n{host}{host}\r\n")),
        ("a host with a path", "GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned()),
        ("a TLS greeting", "\x16\x03\x01\x02\x01\x01\r\n\r\n".to_owned()),
    ] {
        refused(&t.server, what, &head).await?;
    }
    Ok(())
}

/// Ways to say two lengths at once. Each is followed by the given body.
fn ambiguous(server: &Server, body: &str) -> Vec<(&'static str, String)> {
    let length = body.len();
    let head = format!("Host: {}\r\nAuthorization: Bearer {}\r\n", server.address, server.api_key);
    let post = |fields: String| format!("POST /v1/events HTTP/1.1\r\n{head}{fields}\r\n{body}");
    let coding = |value: &str| post(format!("Transfer-Encoding: {value}\r\n"));
    vec![
        ("both lengths", post(format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"))),
        ("both lengths, turned", post(format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"))),
        ("two lengths", post(format!("Content-Length: {length}\r\nContent-Length: {}\r\n", length + 1))),
        ("the same length twice", post(format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"))),
        ("a list of lengths", post(format!("Content-Length: {length}, {length}\r\n"))),
        ("a length with a sign", post(format!("Content-Length: +{length}\r\n"))),
        ("a negative length", post("Content-Length: -1\r\n".to_owned())),
        ("a length in hex", post(format!("Content-Length: 0x{length:x}\r\n"))),
        ("an empty length", post("Content-Length: \r\n".to_owned())),
        ("a length that overflows", post("Content-Length: 18446744073709551617\r\n".to_owned())),
        ("a length with a space inside", post(format!("Content-Length: {length} 0\r\n"))),
        ("chunked, gzip", coding("chunked, gzip")),
        ("gzip, chunked", coding("gzip, chunked")),
        ("gzip", coding("gzip")),
        ("identity", coding("identity")),
        ("chunked, chunked", coding("chunked, chunked")),
        ("xchunked", coding("xchunked")),
        ("chunked with a tab inside", coding("chun\tked")),
        ("quoted chunked", coding("\"chunked\"")),
        ("two codings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".to_owned())),
        (
            "two different codings",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned()),
        ),
        ("a vertical tab before chunked", coding("\x0bchunked")),
        ("a space before the colon", post("Transfer-Encoding : chunked\r\n".to_owned())),
        ("a folded coding", post("Transfer-Encoding:\r\n chunked\r\n".to_owned())),
        ("chunked in HTTP/1.0", coding("chunked").replacen("HTTP/1.1", "HTTP/1.0", 1)),
    ]
}

async fn length_that_two_readers_read_differently_is_400_and_closed(t: Context) -> Outcome {
    for (what, bytes) in ambiguous(&t.server, "0\r\n\r\n") {
        // A coding that is unknown but leaves no doubt about the length may be 501 (RFC 9112 §6.1).
        let statuses: &[u16] = if what == "gzip, chunked" { &[400, 501] } else { &[400] };
        refused_with(&t.server, what, statuses, &bytes).await?;
    }
    Ok(())
}

async fn smuggled_request_is_never_served(t: Context) -> Outcome {
    let mark = unique("mark");
    let mut client = Client::full(&t.server).await?;
    client.follow(&mark).await?;
    let event = marked(&mark, "high", "smuggled").to_string();
    let inner = format!(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{event}",
        t.server.address,
        t.server.api_key,
        event.len()
    );
    for (what, bytes) in ambiguous(&t.server, &format!("0\r\n\r\n{inner}")) {
        let mut connection = Connection::open(&t.server).await?;
        connection.send_what_goes(bytes.as_bytes()).await;
        connection.rest().await.at(what)?;
    }
    t.server.publish(&marked(&mark, "high", "honest")).await?;
    same!(client.values(1).await?, [json!("honest")], "first event");
    Ok(())
}

fn chunked(server: &Server, chunks: &str) -> String {
    format!(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: Chunked\r\n\r\n{chunks}",
        server.address, server.api_key
    )
}

async fn chunked_body_is_read(t: Context) -> Outcome {
    let body = sample("user.login").to_string();
    let (one, two) = body.split_at(10);
    let chunks = format!("a\r\n{one}\r\n{:X};name=value\r\n{two}\r\n000\r\nTrailer: x\r\n\r\n", two.len());
    let mut connection = Connection::open(&t.server).await?;
    connection.send(chunked(&t.server, &chunks).as_bytes()).await?;
    connection.response().await?.success()?;
    same!(connection.ask(&Request::get("/healthz"), &t.server).await?.status, 200, "the request behind it");
    Ok(())
}

async fn malformed_chunk_is_400_and_closed(t: Context) -> Outcome {
    for (what, chunks) in [
        ("a size that is none", "x\r\n\r\n"),
        ("a negative size", "-1\r\n\r\n"),
        ("a size with 0x", "0x5\r\nabcde\r\n0\r\n\r\n"),
        ("a size that overflows", "10000000000000000000000\r\n"),
        ("an empty size", "\r\n\r\n"),
        ("a chunk without CRLF", "2\r\n{}XX0\r\n\r\n"),
        ("a bare LF after a size", "2\n{}\r\n0\r\n\r\n"),
        ("a space before a size", " 2\r\n{}\r\n0\r\n\r\n"),
    ] {
        let statuses: &[u16] = if what.contains("overflows") { &[400, 413] } else { &[400] };
        refused_with(&t.server, what, statuses, &chunked(&t.server, chunks)).await?;
    }
    Ok(())
}

async fn expect_100_continue_is_answered(t: Context) -> Outcome {
    let body = sample("user.login").to_string();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-Continue\r\n\r\n",
        t.server.address,
        t.server.api_key,
        body.len()
    );
    let mut connection = Connection::open(&t.server).await?;
    connection.send(head.as_bytes()).await?;
    same!(connection.response().await?.status, 100, "interim status");
    connection.send(body.as_bytes()).await?;
    connection.response().await?.success()?;
    // A client that does not wait gets its answer all the same.
    connection.send(format!("{head}{body}").as_bytes()).await?;
    let mut response = connection.response().await?;
    if response.status == 100 {
        response = connection.response().await?;
    }
    response.success()?;
    Ok(())
}

async fn another_expectation_is_417_or_ignored(t: Context) -> Outcome {
    let request =
        Request::publish(&sample("user.login")).bearer(&t.server.api_key).header("Expect", "200-ok");
    let status = request.send(&t.server).await?.status;
    ensure!([200, 417].contains(&status), "status {status}");
    Ok(())
}

async fn requests_follow_one_another_on_a_connection(t: Context) -> Outcome {
    let mut connection = Connection::open(&t.server).await?;
    let publish = Request::publish(&sample("user.login"));
    for _ in 0..5 {
        same!(connection.ask(&Request::get("/healthz"), &t.server).await?.status, 200, "a GET");
        let good = publish.clone().bearer(&t.server.api_key);
        same!(connection.ask(&good, &t.server).await?.status, 200, "a POST");
        same!(connection.ask(&Request::get("/nowhere"), &t.server).await?.status, 404, "an unknown path");
    }
    Ok(())
}

async fn pipelined_requests_are_answered_in_order(t: Context) -> Outcome {
    let mut connection = Connection::open(&t.server).await?;
    let mark = unique("mark");
    let mut bytes = Vec::new();
    for number in 0..10 {
        let publish = Request::publish(&marked(&mark, "low", number)).bearer(&t.server.api_key);
        bytes.extend(publish.encode(&t.server));
        bytes.extend(Request::get("/nowhere").encode(&t.server));
    }
    connection.send(&bytes).await?;
    let mut last = None;
    for _ in 0..10 {
        let answer = connection.response().await?.success()?;
        let offset = answer["results"][0]["offset"].as_u64();
        ensure!(last < offset, "{offset:?} after {last:?}");
        last = offset;
        same!(connection.response().await?.status, 404, "the request between");
    }
    Ok(())
}

async fn connection_close_is_honoured(t: Context) -> Outcome {
    let mut connection = Connection::open(&t.server).await?;
    let request = Request::get("/healthz").header("Connection", "Close");
    same!(connection.ask(&request, &t.server).await?.status, 200, "status");
    connection.closed().await
}

async fn http_1_0_is_answered_and_closed(t: Context) -> Outcome {
    let mut connection = Connection::open(&t.server).await?;
    connection
        .send(format!("GET /healthz HTTP/1.0\r\nHost: {}\r\n\r\n", t.server.address).as_bytes())
        .await?;
    let response = connection.response().await?;
    ensure!([200, 505].contains(&response.status), "status {}", response.status);
    connection.closed().await?;
    let mut connection = Connection::open(&t.server).await?;
    connection.send(b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n").await?;
    let response = connection.response().await?;
    ensure!([400, 505].contains(&response.status), "HTTP/2.0 got {}", response.status);
    Ok(())
}

async fn request_one_byte_at_a_time_is_read(t: Context) -> Outcome {
    let mut connection = Connection::open(&t.server).await?;
    let request = Request::publish(&sample("user.login")).bearer(&t.server.api_key);
    for byte in request.encode(&t.server) {
        connection.send(&[byte]).await?;
        tokio::task::yield_now().await;
    }
    connection.response().await?.success()?;
    Ok(())
}

async fn head_request_has_no_body(t: Context) -> Outcome {
    let mut connection = Connection::open(&t.server).await?;
    connection.send(&Request::new("HEAD", "/healthz").encode(&t.server)).await?;
    let status = connection.head().await?.status;
    ensure!([200, 405].contains(&status), "status {status}");
    // Whatever followed the head would be read as the next answer.
    same!(connection.ask(&Request::get("/healthz"), &t.server).await?.status, 200, "the request behind it");
    Ok(())
}

async fn half_closed_connection_gets_its_answer(t: Context) -> Outcome {
    let mut connection = Connection::open(&t.server).await?;
    let request = Request::publish(&sample("user.login")).bearer(&t.server.api_key);
    connection.send(&request.encode(&t.server)).await?;
    connection.finish().await?;
    connection.response().await?.success()?;
    connection.closed().await
}

async fn head_body_and_idle_have_deadlines(t: Context) -> Outcome {
    let settings = "[http]\nhead_ms = 300\nbody_ms = 300\nidle_ms = 300\n[limits]\nhandshake_ms = 300\n";
    let server = t.with(settings).await?;
    let mut head = Connection::open(&server).await?;
    head.send(b"GET /healthz HT").await?;
    let mut body = Connection::open(&server).await?;
    let request = Request::publish(&sample("user.login")).bearer(&server.api_key).encode(&server);
    body.send(request.get(..request.len() - 1).unwrap_or_default()).await?;
    let mut idle = Connection::open(&server).await?;
    same!(idle.ask(&Request::get("/healthz"), &server).await?.status, 200, "status");
    for (what, mut connection) in [("an idle connection", idle), ("a head", head), ("a body", body)] {
        let rest = connection.rest().await.at(what)?;
        let text = String::from_utf8_lossy(&rest).into_owned();
        ensure!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{what} got {text}");
    }
    Ok(())
}
