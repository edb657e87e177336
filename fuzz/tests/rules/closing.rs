//! §7: how a connection ends, seen from its socket.

use serde_json::json;
use tidings_core::wire::client::{close_into, text_into};
use tidings_sim::{Socket, World, request};

const MASK: [u8; 4] = [5, 6, 7, 8];

/// A connection that has asked for a WebSocket and is not answered by any client of itself.
fn bare(world: &World, token: &str) -> Socket {
    let fields = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    let socket = world.open();
    socket.send(&request("GET", &format!("/ws?token={token}"), &fields, b""));
    socket
}

fn close_frame() -> Vec<u8> {
    let mut bytes = Vec::new();
    close_into(&mut bytes, MASK, 1000, "bye");
    bytes
}

#[test]
fn a_close_frame_that_comes_in_pieces_ends_the_connection_at_once() {
    let world = World::new();
    let good = world.token(&json!({"sub": "ann"}));
    let close = close_frame();
    let mut text = Vec::new();
    text_into(&mut text, MASK, "{\"type\":\"ping\"}");
    // A binary frame is what the server closes over with 1003.
    let binary = [0x82, 0x80, 0, 0, 0, 0];
    for cut in 1..close.len() {
        // given: a connection that is closed for its token
        let refused = bare(&world, "none");
        // and: one that is closed over a frame in front of the first piece
        let faulty = bare(&world, &good);
        faulty.send(&[&binary, &close[..cut]].concat());
        // and: one that is closed in the middle of a frame
        let midway = bare(&world, &good);
        midway.send(&text[..text.len() - 3]);
        assert_eq!(world.admin("DELETE", "/v1/connections?user=ann").status, 200);
        midway.send(&text[text.len() - 3..]);
        // when
        refused.send(&close[..cut]);
        midway.send(&close[..cut]);
        assert!(![&refused, &faulty, &midway].into_iter().any(Socket::is_closed));
        [&refused, &faulty, &midway].into_iter().for_each(|socket| socket.send(&close[cut..]));
        // then
        assert_eq!([&refused, &faulty, &midway].map(Socket::is_closed), [true; 3], "cut at {cut}");
    }
}

#[test]
fn whoever_does_not_answer_a_close_frame_is_cut_off_after_two_seconds() {
    let world = World::new();
    let socket = bare(&world, "none");
    world.advance(1_999);
    assert!(!socket.is_closed());
    world.advance(60);
    assert!(socket.is_closed());
}
