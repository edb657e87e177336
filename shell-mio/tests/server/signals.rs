//! SIGTERM leaves without losing anyone, SIGINT ends now, and whoever says it twice means it.

use std::time::{Duration, Instant};

use crate::harness::{Server, numbered, token, wait_until};
use crate::websocket::{Heard, WebSocket};

#[test]
fn sigterm_tells_everyone_to_reconnect_and_ends_with_0() {
    let mut server = Server::start(&[("DRAIN__SPREAD_MS", "300"), ("DRAIN__DEADLINE_MS", "1500")]);
    let mut client = WebSocket::connect(&server, "u1");
    client.subscribe();
    let (status, _) = server.get("/readyz");
    assert_eq!(status, 200);

    server.signal("TERM");
    let reconnect = client.json();
    assert_eq!(reconnect["type"], "reconnect");
    assert!(reconnect["after"].as_u64().unwrap() <= 300, "{reconnect}");

    // Until it is closed, the connection is good; but nobody new is taken.
    assert_eq!(server.get("/readyz").0, 503);
    assert_eq!(server.get("/healthz").0, 200);
    let upgrade = format!(
        "GET /ws?token={} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        token("u2")
    );
    assert_eq!(server.request(&upgrade).0, 503);
    server.publish(&[numbered(1, 0)]);
    assert_eq!(client.event(), "c1");

    assert_eq!(client.close_code(), 1012);
    client.say_close(1012);
    assert_eq!(client.hear(), Heard::End);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn sigterm_without_connections_ends_at_once() {
    let mut server = Server::start(&[]);
    server.signal("TERM");
    let begin = Instant::now();
    assert_eq!(server.wait().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_client_that_never_reads_does_not_hold_up_a_drain() {
    let mut server = Server::start(&[("DRAIN__SPREAD_MS", "0"), ("DRAIN__DEADLINE_MS", "500")]);
    let mut client = WebSocket::connect(&server, "u1");
    client.subscribe();
    let events: Vec<_> = (0..900).map(|number| numbered(number, 8000)).collect();
    server.publish(&events);
    server.signal("TERM");
    let begin = Instant::now();
    assert_eq!(server.wait().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn sigint_closes_with_1001_and_ends_with_0() {
    let mut server = Server::start(&[]);
    let mut client = WebSocket::connect(&server, "u1");
    server.signal("INT");
    assert_eq!(client.close_code(), 1001);
    client.say_close(1001);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let mut server = Server::start(&[("DRAIN__SPREAD_MS", "60000"), ("DRAIN__DEADLINE_MS", "600000")]);
    let mut client = WebSocket::connect(&server, "u1");
    server.signal("TERM");
    assert_eq!(client.json()["type"], "reconnect");
    server.signal("TERM");
    let begin = Instant::now();
    assert_eq!(client.close_code(), 1001);
    assert_eq!(server.wait().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_third_signal_waits_for_nobody() {
    let mut server = Server::start(&[("DRAIN__DEADLINE_MS", "600000")]);
    let mut client = WebSocket::connect(&server, "u1");
    server.signal("INT");
    // It does not answer the Close frame, and the server gives it some time for that.
    assert_eq!(client.close_code(), 1001);
    server.signal("INT");
    let begin = Instant::now();
    assert_eq!(server.wait().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
}

#[test]
fn what_waits_for_a_client_goes_out_before_it_is_told_to_leave() {
    let server = Server::start(&[("DRAIN__SPREAD_MS", "100"), ("DRAIN__DEADLINE_MS", "2000")]);
    let mut client = WebSocket::connect(&server, "u1");
    client.subscribe();
    let events: Vec<_> = (0..100).map(|number| numbered(number, 1000)).collect();
    server.publish(&events);
    server.signal("TERM");
    let mut seen = 0;
    wait_until("every event has come", || {
        let message = client.json();
        seen += usize::from(message["type"] == "event");
        seen == events.len()
    });
    assert_eq!(client.close_code(), 1012);
}
