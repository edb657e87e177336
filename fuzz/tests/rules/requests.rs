//! §2 and §6: who a request comes from, and which page may read the answer.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;
use tidings_sim::{Response, Socket, World, request};

use super::{answer, full};

const PAGE: (&str, &str) = ("Origin", "https://admin.example");

fn world() -> World {
    let origin = PAGE.1.parse().expect("an origin");
    World::with(|config| config.origins = vec![origin])
}

/// How often a request was refused for `reason`.
fn refused(world: &World, reason: &str) -> u64 {
    let metrics = world.admin("GET", "/metrics");
    let text = String::from_utf8(metrics.body).expect("metrics are text");
    let series = format!("tidings_refusals_total{{reason=\"{reason}\"}} ");
    text.lines()
        .find_map(|line| line.strip_prefix(&series))
        .map_or(0, |count| count.parse().expect("a count"))
}

fn allowed(response: &Response) -> Option<&str> {
    response.header("access-control-allow-origin")
}

fn sent(world: &World, bytes: &[u8]) -> Socket {
    let socket = world.open();
    socket.send(bytes);
    socket
}

#[test]
fn a_request_with_two_authorization_fields_is_refused_and_no_other_place_is_looked_at() {
    let world = World::new();
    let good = world.token(&full("ann"));
    let field = format!("Bearer {good}");
    let twice = [("Authorization", &*field), ("Authorization", &*field)];
    // A publish, a page of history with the token in its query as well, and an operator's page.
    let page = format!("/v1/events?token={good}");
    for (method, target) in [("POST", "/v1/events"), ("GET", &*page), ("GET", "/v1/stats")] {
        assert_eq!(world.http(&request(method, target, &twice, b"")).status, 401, "{method} {target}");
    }
    // and: an upgrade is answered as one with a bad token
    let client = world.connect_to(&format!("/ws?token={good}"), &[], &twice);
    assert_eq!((client.closed(), client.read().len()), (Some(4401), 0));
    assert_eq!(refused(&world, "repeated"), 4);
}

#[test]
fn a_page_of_an_allowed_origin_can_read_why_its_request_was_refused() {
    let world = world();
    let token = format!("Bearer {}", world.token(&full("ann")));
    let fields = [PAGE, ("Authorization", &*token)];
    // given: a body that is declared too long, one that is malformed, one that never ends
    let declared = [fields[0], fields[1], ("Content-Length", "99999999")];
    let too_long = world.http(&request("POST", "/v1/events", &declared, b""));
    let chunked = [fields[0], fields[1], ("Transfer-Encoding", "chunked")];
    let malformed = sent(&world, &[request("POST", "/v1/events", &chunked, b""), b"x\r\n".to_vec()].concat());
    let endless = sent(&world, &request("POST", "/v1/events", &chunked, b""));
    world.advance(30_100);
    // and: an upgrade that is malformed
    let upgrade = world.http(&request("GET", "/ws", &[PAGE, ("Upgrade", "websocket")], b""));
    // then
    let answers = [too_long, answer(&malformed).unwrap(), answer(&endless).unwrap(), upgrade];
    assert_eq!(answers.each_ref().map(|answer| answer.status), [413, 400, 408, 400]);
    for answer in &answers {
        assert_eq!((allowed(answer), answer.header("vary")), (Some(PAGE.1), Some("Origin")));
    }
    // and: where the head is not read, nothing is known of an origin, that of the request before included
    let socket = sent(&world, &request("GET", "/healthz", &[PAGE], b""));
    assert_eq!(allowed(&answer(&socket).unwrap()), Some(PAGE.1));
    socket.send(b"GET / HTTP/1.1\r\nHost: a\nOrigin: https://admin.example\r\n\r\n");
    assert_eq!(allowed(&answer(&socket).unwrap()), None);
    // and: the page of another origin reads nothing
    let other = world.http(&request("GET", "/healthz", &[("Origin", "https://other.example")], b""));
    assert_eq!((other.status, allowed(&other)), (403, None));
}

#[test]
fn a_page_can_read_that_there_are_too_many_connections() {
    let world = World::with(|config| {
        config.origins = vec!["https://admin.example".parse().unwrap()];
        config.limits.unauthenticated_per_address = 1;
    });
    let elsewhere = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
    let _first = world.open_from(elsewhere);
    let second = world.open_from(elsewhere);
    second.send(&request("GET", "/healthz", &[PAGE], b""));
    let refusal = answer(&second).unwrap();
    assert_eq!((refusal.status, allowed(&refusal)), (503, Some(PAGE.1)));
}

#[test]
fn every_fault_of_a_head_and_of_an_upgrade_is_counted_by_its_own_reason() {
    let world = World::new();
    let heads: [(&str, &str); 8] = [
        ("head_line_ending", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        ("head_control_character", "GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n"),
        ("head_request_line", "GET /\r\nHost: a\r\n\r\n"),
        ("head_field", "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n"),
        ("head_host", "GET / HTTP/1.1\r\n\r\n"),
        ("head_content_length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n"),
        ("head_transfer_encoding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n"),
        ("head_version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    ];
    let upgrades: [(&str, &[(&str, &str)]); 4] = [
        ("upgrade_connection", &[]),
        ("upgrade_version", &[("Connection", "Upgrade")]),
        ("upgrade_key", &[("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]),
        ("upgrade_request", &[("Content-Length", "1")]),
    ];
    for (reason, head) in heads {
        assert_eq!(world.http(head.as_bytes()).status / 100, if reason == "head_version" { 5 } else { 4 });
        assert_eq!(refused(&world, reason), 1, "{reason}");
    }
    for (reason, fields) in upgrades {
        let fields = [&[("Upgrade", "websocket")], fields].concat();
        assert_eq!(world.http(&request("GET", "/ws", &fields, b"")).status / 100, 4);
        assert_eq!(refused(&world, reason), 1, "{reason}");
    }
}

#[test]
fn an_answer_has_one_connection_field() {
    let world = World::new();
    let fields = [("Connection", "close")];
    let answer = world.http(&request("GET", "/ws", &fields, b""));
    let connection: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "connection")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!((answer.status, connection), (426, vec!["close, Upgrade"]));
    assert_eq!(answer.json()["code"], json!("upgrade_required"));
}
