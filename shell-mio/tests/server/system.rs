//! A system that runs out of something: descriptors, room for logs, somebody who reads them.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::{Server, numbered, wait_until};
use crate::websocket::WebSocket;

/// The share of a processor that the server takes over half a second.
fn load(server: &Server) -> f64 {
    let (before, begin) = (server.processor_time(), Instant::now());
    std::thread::sleep(Duration::from_millis(500));
    (server.processor_time() - before).as_secs_f64() / begin.elapsed().as_secs_f64()
}

#[test]
fn without_descriptors_those_connected_go_on_and_the_others_wait() {
    let server = Server::start_in("ulimit -n 40; exec \"$0\" \"$@\"", &[]);
    let mut early = WebSocket::connect(&server, "early");
    early.subscribe();
    let mut back_end = server.connect();
    back_end.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    let idle: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    wait_until("the server is out of descriptors", || server.log().contains("cannot accept"));

    // A publish over the connection that is there reaches the one that is there.
    let request = server.publish_request(&[numbered(1, 0)]);
    let request = format!("Host: a\r\n\r\n{request}");
    back_end.write_all(request.as_bytes()).unwrap();
    assert_eq!(early.event(), "c1");

    // Nothing is tried all the time, nor is it complained of.
    assert!(load(&server) < 0.2);
    assert!(server.log().matches("cannot accept").count() < 10);

    // A connection that waits in the kernel is served once there is room.
    let mut waiting = WebSocket::begin(&server, "waiting");
    assert!(!waiting.hears_within(Duration::from_millis(300)));
    drop(idle);
    assert_eq!(waiting.json()["type"], "welcome");
    early.say(&serde_json::json!({"type": "ping"}));
    assert_eq!(early.json()["type"], "pong");
}

#[test]
fn with_connections_and_nothing_to_do_the_loop_rests() {
    let server = Server::start(&[]);
    let mut clients: Vec<_> =
        (0..50).map(|number| WebSocket::connect(&server, &format!("u{number}"))).collect();
    clients.iter_mut().for_each(WebSocket::subscribe);
    let mut stalled = WebSocket::connect(&server, "stalled");
    stalled.subscribe();
    let _half = server.connect();
    server.publish(&[numbered(1, 50_000)]);
    clients.iter_mut().for_each(|client| assert_eq!(client.event(), "c1"));
    assert!(load(&server) < 0.05);
}

/// A client and a publisher are served, and the process ends when it is told to.
fn serves(mut server: Server) {
    for number in 0..20 {
        let mut client = WebSocket::connect(&server, &format!("u{number}"));
        client.subscribe();
        server.publish(&[numbered(number, 0)]);
        assert_eq!(client.event(), format!("c{number}"));
    }
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_full_disk_for_logs_does_not_stop_the_service() {
    serves(Server::start(&[("LOG__FILE", "/dev/full"), ("LOG__LEVEL", "debug")]));
}

#[test]
fn a_closed_standard_error_does_not_stop_the_service() {
    serves(Server::start_in("exec \"$0\" \"$@\" 2>&-", &[("LOG__LEVEL", "debug")]));
    serves(Server::start_in("exec \"$0\" \"$@\" 2>/dev/full", &[("LOG__LEVEL", "debug")]));
}

#[test]
fn a_standard_error_that_nobody_reads_does_not_stop_the_service() {
    let server = Server::start_unread(&[("LOG__LEVEL", "trace"), ("LIMITS__CONNECTIONS_PER_USER", "5000")]);
    // More than the pipe holds.
    let user = "u".repeat(200);
    for _ in 0..300 {
        drop(WebSocket::connect(&server, &user));
    }
    serves(server);
}
