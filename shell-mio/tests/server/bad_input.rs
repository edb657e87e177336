//! Malformed input of every kind: it is answered as PROTOCOL says, costs its own connection at most, and is
//! counted in the metrics.

use serde_json::{Value, json};

use crate::harness::{API_KEY, Server, numbered, token};
use crate::websocket::{Heard, WebSocket};

/// The value of one series of the metrics; absent: 0.
fn count(server: &Server, series: &str) -> u64 {
    let (status, text) = server.get("/metrics");
    assert_eq!(status, 200);
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or(0)
}

/// Runs `attack` and asserts that it has raised `series`.
fn counts(server: &Server, series: &str, attack: impl FnOnce()) {
    let before = count(server, series);
    attack();
    let after = count(server, series);
    assert!(before < after, "{series} stays at {before}");
}

#[test]
fn a_malformed_request_is_answered_and_counted() {
    let server = Server::start(&[]);
    let mut good = WebSocket::connect(&server, "good");
    good.subscribe();
    let upgrade = |key: &str, version: &str| {
        format!(
            "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {version}\r\n\r\n"
        )
    };
    let publish = |body: &str| {
        format!(
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {API_KEY}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let get = |target: &str| {
        let token = token("u1");
        format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
    };
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let refused = |reason: &str| format!("tidings_refusals_total{{reason=\"{reason}\"}}");
    for (request, status, series) in [
        ("nonsense\r\n\r\n".to_owned(), 400, refused("head_request_line")),
        ("GET / HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n".to_owned(), 400, refused("head_field")),
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), 400, refused("head_line_ending")),
        (long, 431, refused("head_too_large")),
        (upgrade("short", "13"), 400, refused("upgrade_key")),
        (upgrade("AAAAAAAAAAAAAAAAAAAAAA==", "12"), 426, refused("upgrade_version")),
        (publish("{"), 400, "tidings_errors_total{code=\"invalid_json\"}".to_owned()),
        (
            publish("{\"type\":\"user.login\"}"),
            400,
            "tidings_errors_total{code=\"invalid_event\"}".to_owned(),
        ),
        (get("/v1/events?filter=%7B"), 400, "tidings_http_responses_total{status=\"400\"}".to_owned()),
    ] {
        counts(&server, &series, || {
            let (answered, body) = server.request(&request);
            assert_eq!(answered, status, "{request}\n{body}");
        });
    }
    server.publish(&[numbered(1, 0)]);
    assert_eq!(good.event(), "c1");
}

#[test]
fn a_bad_token_is_refused_and_counted_by_its_reason() {
    let server = Server::start(&[]);
    let good = token("u1");
    let (head, rest) = good.split_once('.').unwrap();
    let (claims, _) = rest.split_once('.').unwrap();
    let tokens = [String::new(), "x".to_owned(), format!("{head}.{claims}.AAAA"), "a".repeat(9000)];
    for token in tokens {
        counts(&server, "tidings_closes_total{code=\"4401\"}", || {
            let mut client = WebSocket::with(&server, &format!("/ws?token={token}"), &[]);
            assert_eq!(client.close_code(), 4401);
        });
    }
    for reason in ["missing", "malformed", "signature"] {
        assert!(1 <= count(&server, &format!("tidings_refusals_total{{reason=\"{reason}\"}}")), "{reason}");
    }
}

#[test]
fn a_malformed_message_costs_an_error_and_is_counted_by_its_code() {
    let server = Server::start(&[]);
    let mut client = WebSocket::connect(&server, "u1");
    let subscribe = |events: Value, filter: Value| json!({"type": "subscribe", "id": "s", "events": events, "filter": filter});
    for (message, code) in [
        (json!([]), "invalid_message"),
        (json!({"type": "subscribe"}), "invalid_message"),
        (json!({"type": "dance"}), "unknown_type"),
        (subscribe(json!(["Content"]), json!({})), "invalid_event_type"),
        (subscribe(json!(["*"]), json!({"a": {}})), "invalid_filter"),
        (json!({"type": "unsubscribe", "id": "s"}), "not_subscribed"),
        (json!({"type": "auth", "token": "x"}), "invalid_token"),
    ] {
        counts(&server, &format!("tidings_errors_total{{code=\"{code}\"}}"), || {
            client.say(&message);
            assert_eq!(client.json()["code"], code, "{message}");
        });
    }
    client.say(&json!({"type": "ping"}));
    assert_eq!(client.json()["type"], "pong");
}

#[test]
fn a_malformed_frame_closes_its_connection_and_is_counted_by_its_code() {
    use std::io::Write as _;

    let server = Server::start(&[]);
    let mut good = WebSocket::connect(&server, "good");
    for (frame, code) in [
        // A reserved bit, no mask, an unknown opcode.
        (&[0xf1, 0x80, 0, 0, 0, 0][..], 1002),
        (&[0x81, 0x01, b'x'], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        // A text that is no UTF-8, a binary frame, a length over every limit.
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (&[0x82, 0x80, 0, 0, 0, 0], 1003),
        (&[0x81, 0xff, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
    ] {
        counts(&server, &format!("tidings_closes_total{{code=\"{code}\"}}"), || {
            let mut client = WebSocket::connect(&server, "bad");
            client.stream().write_all(frame).unwrap();
            assert_eq!(client.close_code(), code, "{frame:?}");
            assert_eq!(client.hear(), Heard::End);
        });
    }
    good.say(&json!({"type": "ping"}));
    assert_eq!(good.json()["type"], "pong");
}
