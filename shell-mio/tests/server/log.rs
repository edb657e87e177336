//! What the log shows, and what it must never show: tokens, event data, and lines that a peer wrote.

use serde_json::{Value, json};

use crate::harness::{API_KEY, SECRET, Server, numbered, token, wait_until};
use crate::websocket::WebSocket;

const MARK: &str = "a-word-that-stands-in-data-only";

/// Everything that could bring a token or data into the log.
fn exercise(server: &Server, user: &str) -> Vec<String> {
    let tokens: Vec<String> = vec![token(user), token("by-header"), token("by-protocol")];
    let bearer = format!("Bearer {}", tokens[1]);
    let mut clients = vec![
        WebSocket::with(server, &format!("/ws?token={}", tokens[0]), &[]),
        WebSocket::with(server, "/ws", &[("Authorization", &bearer)]),
    ];
    for client in &mut clients {
        assert_eq!(client.json()["type"], "welcome");
        client.subscribe();
        client.say(&json!({"type": "subscribe", "id": MARK, "events": [MARK]}));
        assert_eq!(client.json()["type"], "error");
        client.say(&json!({"type": "auth", "token": format!("{MARK}.{MARK}.{MARK}")}));
        assert_eq!(client.json()["code"], "invalid_token");
    }
    let mut event = numbered(1, 0);
    event["data"]["title"] = MARK.into();
    server.publish(&[event.clone()]);
    for client in &mut clients {
        assert_eq!(client.event(), "c1");
    }
    event["data"]["status"] = MARK.into();
    assert_eq!(server.request(&server.publish_request(&[event])).0, 400);
    let bad = format!("{}x", tokens[2]);
    let mut refused = WebSocket::with(server, &format!("/ws?token={bad}"), &[]);
    assert_eq!(refused.close_code(), 4401);
    assert_eq!(server.get(&format!("/v1/stream?token={bad}&events={MARK}")).0, 401);
    assert_eq!(server.request(&format!("GET /{MARK} HTTP/1.1\r\n {MARK}\r\n\r\n")).0, 400);
    clients[0].say(&json!({"type": MARK}));
    for client in &mut clients {
        client.say_close(1000);
    }
    tokens
}

fn shows_no_secrets(log: &str, tokens: &[String]) {
    for token in tokens {
        for part in token.split('.') {
            assert!(!log.contains(part), "a part of a token in\n{log}");
        }
    }
    for secret in [SECRET, API_KEY, MARK] {
        assert!(!log.contains(secret), "{secret} in\n{log}");
    }
}

#[test]
fn neither_tokens_nor_data_are_logged_at_any_level() {
    for level in ["debug", "trace"] {
        for format in ["text", "json"] {
            let mut server = Server::start(&[("LOG__LEVEL", level), ("LOG__FORMAT", format)]);
            let tokens = exercise(&server, "someone");
            server.signal("TERM");
            server.wait();
            wait_until("the last line is there", || server.log().contains("stopped"));
            let log = server.log();
            assert!(log.contains("connected") && log.contains("someone"), "{log}");
            shows_no_secrets(&log, &tokens);
        }
    }
}

#[test]
fn a_user_cannot_forge_a_line() {
    let forged = "x\n2026-01-01T00:00:00Z  INFO forged\r\n{\"level\":\"INFO\"}\u{1b}[31m\u{2028}\u{0}\u{9b}";
    for format in ["text", "json"] {
        let mut server = Server::start(&[("LOG__LEVEL", "trace"), ("LOG__FORMAT", format)]);
        let tokens = exercise(&server, forged);
        server.signal("INT");
        server.wait();
        wait_until("the last line is there", || server.log().contains("stopped"));
        let log = server.log();
        shows_no_secrets(&log, &tokens);
        assert!(log.contains("forged"), "{log}");
        assert!(!log.contains('\u{1b}') && !log.contains('\u{9b}') && !log.contains('\u{2028}'), "{log:?}");
        for line in log.lines() {
            let begins_as_ours = match format {
                "json" => serde_json::from_str::<Value>(line).is_ok_and(|line| line["timestamp"].is_string()),
                _ => line.starts_with("20") && !line.contains("INFO forged") || line.contains("connected"),
            };
            assert!(begins_as_ours, "{line:?} in\n{log}");
        }
    }
}

#[test]
fn at_info_a_connection_has_one_line_at_most() {
    let mut server = Server::start(&[]);
    for number in 0..10 {
        let mut client = WebSocket::connect(&server, &format!("u{number}"));
        client.subscribe();
        client.say_close(1000);
        assert_eq!(client.close_code(), 1000);
        assert_eq!(server.get("/nothing").0, 404);
    }
    server.signal("INT");
    server.wait();
    wait_until("the last line is there", || server.log().contains("stopped"));
    let log = server.log();
    assert_eq!(log.matches("connected").count(), 10, "{log}");
    assert!(log.lines().count() <= 10 + 4, "{log}");
}
