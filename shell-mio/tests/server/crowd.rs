//! Many at once, and among them some that never read.

use crate::harness::{Server, numbered};
use crate::websocket::WebSocket;

const MIB: u64 = 1024 * 1024;

#[test]
fn a_thousand_that_connect_at_once_are_all_served() {
    let _ = rlimit::increase_nofile_limit(4096);
    let server =
        Server::start(&[("LIMITS__UNAUTHENTICATED_PER_ADDRESS", "1000"), ("SHELL__BACKLOG", "1024")]);
    // The server stands still while they come, so that it finds all of them in one turn.
    server.signal("STOP");
    let mut clients: Vec<WebSocket> =
        (0..1000).map(|number| WebSocket::begin(&server, &format!("user{number}"))).collect();
    server.signal("CONT");
    for (number, client) in clients.iter_mut().enumerate() {
        let welcome = client.json();
        assert_eq!(welcome["user"], format!("user{number}"));
        client.subscribe();
    }
    server.publish(&[numbered(1, 0)]);
    for client in &mut clients {
        assert_eq!(client.event(), "c1");
    }
}

#[test]
fn over_the_limit_of_an_address_each_is_told_to_come_back_and_nobody_else_is_hurt() {
    let server = Server::start(&[("LIMITS__UNAUTHENTICATED_PER_ADDRESS", "10")]);
    let mut early = WebSocket::connect(&server, "early");
    let silent: Vec<_> = (0..10).map(|_| server.connect()).collect();
    let (status, body) = server.get("/healthz");
    assert_eq!(status, 503, "{body}");
    early.subscribe();
    drop(silent);
    crate::harness::wait_until("there is room again", || server.get("/healthz").0 == 200);
}

#[test]
fn clients_that_never_read_cost_bounded_memory_and_nobody_an_event() {
    const EVENTS: usize = 2_000;
    const BATCH: usize = 100;
    let server = Server::start(&[
        ("HISTORY__BYTES", "1048576"),
        ("DEDUP__ENTRIES", "1000"),
        ("LIMITS__UNAUTHENTICATED_PER_ADDRESS", "1000"),
    ]);
    let mut readers: Vec<_> =
        (0..100).map(|number| WebSocket::connect(&server, &format!("reader{number}"))).collect();
    let mut stalled: Vec<_> =
        (0..40).map(|number| WebSocket::connect(&server, &format!("stalled{number}"))).collect();
    readers.iter_mut().chain(&mut stalled).for_each(WebSocket::subscribe);
    let before = server.resident();
    for batch in 0..EVENTS / BATCH {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let events: Vec<_> = numbers.clone().map(|number| numbered(number, 2000)).collect();
        server.publish(&events);
        for reader in &mut readers {
            for number in numbers.clone() {
                assert_eq!(reader.event(), format!("c{number}"));
            }
        }
    }
    // Held for each of the stalled it would be 40 times 4 MiB.
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 24 * MIB, "grown by {} KiB", grown / 1024);
    // Whoever stalled is told what it missed, and goes on.
    let mut late = stalled.remove(0);
    let (mut seen, mut told) = (0, false);
    while !told {
        let message = late.json();
        match message["type"].as_str() {
            Some("event") => seen += 1,
            Some("gap") => told = true,
            other => panic!("{other:?}"),
        }
    }
    assert!(seen < EVENTS);
}
