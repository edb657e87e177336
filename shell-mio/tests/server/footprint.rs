//! What a connection costs at rest.

use crate::harness::Server;
use crate::websocket::WebSocket;

/// Resident bytes that an idle, authenticated connection with one subscription may cost.
const BYTES_MAX: u64 = 1024;
const CONNECTIONS: usize = 10_000;

#[test]
fn an_idle_connection_costs_at_most_a_kibibyte() {
    let limit = rlimit::increase_nofile_limit(2 * CONNECTIONS as u64).unwrap_or(1024);
    // A system that allows fewer files still tells, if less exactly.
    let connections = CONNECTIONS.min(usize::try_from(limit).unwrap_or(0).saturating_sub(500));
    let server = Server::start(&[]);
    let connect = |number: usize| {
        let mut client = WebSocket::connect(&server, &format!("user{number}"));
        client.subscribe();
        client
    };
    // What the server allocates once, for its first clients, is not theirs.
    let first: Vec<WebSocket> = (0..connections / 10).map(connect).collect();
    let before = server.resident();
    let rest: Vec<WebSocket> = (connections / 10..connections).map(connect).collect();
    let each = server.resident().saturating_sub(before) / rest.len() as u64;
    println!("{each} bytes a connection, at {}", first.len() + rest.len());
    assert!(each <= BYTES_MAX, "an idle connection costs {each} bytes");
}
