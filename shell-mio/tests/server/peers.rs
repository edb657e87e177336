//! Peers that are slow, or that say FIN while something is still owed to them.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{
    API_KEY, Server, answer, half_close, is_closed, numbered, token, token_for, wait_until,
};
use crate::websocket::{Heard, WebSocket};

/// Sends `bytes` one by one with a pause between them until the server closes. How long that took.
fn drip(server: &Server, bytes: &[u8], pause: Duration) -> Duration {
    let mut stream = server.connect();
    let begin = Instant::now();
    stream.set_read_timeout(Some(pause)).unwrap();
    for byte in bytes.iter().cycle() {
        let _ = stream.write_all(&[*byte]);
        let mut answer = [0; 1024];
        match stream.read(&mut answer) {
            Ok(0) => return begin.elapsed(),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return begin.elapsed(),
            _ => assert!(begin.elapsed() < Duration::from_secs(20), "never closed"),
        }
    }
    unreachable!("the bytes repeat")
}

#[test]
fn a_client_that_sends_a_byte_now_and_then_is_closed_and_costs_nobody() {
    let server = Server::start(&[
        ("LIMITS__HANDSHAKE_MS", "500"),
        ("HTTP__HEAD_MS", "500"),
        ("HTTP__IDLE_MS", "500"),
        ("HTTP__BODY_MS", "500"),
    ]);
    let mut good = WebSocket::connect(&server, "good");
    good.subscribe();
    let head = format!("GET /ws?token={} HTTP/1.1\r\nHost: a\r\n", token("slow"));
    let body = format!(
        "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {API_KEY}\r\nContent-Length: 9999\r\n\r\n["
    );
    std::thread::scope(|scope| {
        let server = &server;
        let slow = [
            scope.spawn(|| drip(server, head.as_bytes(), Duration::from_millis(50))),
            scope.spawn(|| drip(server, b"\r\n", Duration::from_millis(50))),
            scope.spawn(|| drip(server, b"G", Duration::from_millis(50))),
            scope.spawn(|| {
                let mut stream = server.connect();
                stream.write_all(body.as_bytes()).unwrap();
                let begin = Instant::now();
                loop {
                    std::thread::sleep(Duration::from_millis(50));
                    if stream.write_all(b" ").is_err() {
                        return begin.elapsed();
                    }
                    assert!(begin.elapsed() < Duration::from_secs(20), "never closed");
                }
            }),
        ];
        let mut number = 0;
        while !slow.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            server.publish(&[numbered(number, 0)]);
            assert_eq!(good.event(), format!("c{number}"));
            number += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        for slow in slow {
            let took = slow.join().unwrap();
            // The deadline, then the time that an answer is given to be read.
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
    });
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let server = Server::start(&[("LIMITS__HANDSHAKE_MS", "300")]);
    let begin = Instant::now();
    assert!(is_closed(&mut server.connect()));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_peer_that_says_fin_after_its_request_is_answered() {
    let server = Server::start(&[]);
    let descriptors = server.descriptors();
    let requests = [
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 200),
        (server.publish_request(&[numbered(1, 0)]).replace("Connection: close\r\n", ""), 200),
        ("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 404),
        ("nonsense\r\n\r\n".to_owned(), 400),
    ];
    for (request, status) in requests {
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        half_close(&stream);
        let begin = Instant::now();
        assert_eq!(answer(stream).0, status, "{request}");
        assert!(begin.elapsed() < Duration::from_secs(1), "{request}: {:?}", begin.elapsed());
    }
    wait_until("the sockets are freed", || server.descriptors() == descriptors);
}

#[test]
fn pipelined_requests_before_a_fin_are_all_answered() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    let one = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(one.repeat(50).as_bytes()).unwrap();
    half_close(&stream);
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200").count(), 50);
}

#[test]
fn a_long_answer_reaches_a_reader_that_said_fin_whole() {
    let server = Server::start(&[]);
    let events: Vec<_> = (0..800).map(|number| numbered(number, 8000)).collect();
    for events in events.chunks(100) {
        server.publish(events);
    }
    let mut stream = server.connect();
    let token = token("reader");
    let request =
        format!("GET /v1/events?limit=1000 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    half_close(&stream);
    let (status, body) = answer(stream);
    assert_eq!(status, 200);
    let page: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(!page["events"].as_array().unwrap().is_empty());
}

#[test]
fn a_websocket_client_that_says_fin_is_closed_and_freed() {
    let server = Server::start(&[]);
    let descriptors = server.descriptors();
    let mut clients: Vec<_> =
        (0..20).map(|number| WebSocket::connect(&server, &format!("u{number}"))).collect();
    for client in &mut clients {
        client.subscribe();
        half_close(client.stream());
        assert_eq!(client.hear(), Heard::End);
    }
    wait_until("the sockets are freed", || server.descriptors() == descriptors);
}

#[test]
fn a_message_right_before_a_fin_still_counts() {
    let server = Server::start(&[]);
    let mut client = WebSocket::connect(&server, "u1");
    client.say(&json!({"type": "ping", "id": "last"}));
    half_close(client.stream());
    assert_eq!(client.json(), json!({"type": "pong", "id": "last"}));
    assert_eq!(client.hear(), Heard::End);
}

#[test]
fn a_close_frame_is_answered_with_its_code() {
    let server = Server::start(&[]);
    let mut client = WebSocket::connect(&server, "u1");
    client.say_close(1000);
    assert_eq!(client.close_code(), 1000);
    assert_eq!(client.hear(), Heard::End);
}

#[test]
fn a_reset_frees_the_connection() {
    let server = Server::start(&[]);
    let descriptors = server.descriptors();
    for _ in 0..20 {
        let mut client = WebSocket::connect(&server, "u1");
        client.subscribe();
        server.publish(&[numbered(1, 0)]);
        assert!(client.hears_within(Duration::from_secs(10)));
        // Closing with bytes unread is a reset.
        server.publish(&[numbered(2, 10_000)]);
        drop(client);
    }
    wait_until("the sockets are freed", || server.descriptors() == descriptors);
}

#[test]
fn a_token_that_expires_while_nothing_happens_closes_its_connection_in_time() {
    let server = Server::start(&[("AUTH__LEEWAY_S", "0")]);
    let token = token_for("u1", 2);
    let begin = Instant::now();
    let mut client = WebSocket::with(&server, &format!("/ws?token={token}"), &[]);
    assert_eq!(client.json()["type"], "welcome");
    client.subscribe();
    assert_eq!(client.close_code(), 4419);
    assert!(begin.elapsed() < Duration::from_millis(3500), "{:?}", begin.elapsed());
}
