//! The pieces of work that are counted. Each makes ready what it needs, warms up what is allocated once, and gives
//! the rest to be counted.

use std::hint::black_box;

use tidings_benches::content_updated;
use tidings_benches::definitions::{ONE_KEY, Tenant, index};
use tidings_benches::server::{API_KEY, NOW, SECRET, Server, event, said, subscribe, token};
use tidings_core::auth::Authenticator;
use tidings_core::config::{AuthConfig, Secret};
use tidings_core::event::{Catalog, Defaults};
use tidings_core::map::Keyed;

/// Whoever is given what is to be counted, and does it.
pub(crate) type Count<'c> = &'c mut dyn FnMut(&mut dyn FnMut());

/// A piece of work.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    /// How often it is done while it is counted.
    pub(crate) times: u64,
    pub(crate) run: fn(Count<'_>),
}

/// Enough that what happens at every eighth time or so is seen in what each costs.
const TIMES: u64 = 64;
/// To whom an event is delivered.
const READERS: u32 = 1_000;
const BYTES: usize = 300;

const fn work(name: &'static str, times: u64, run: fn(Count<'_>)) -> Work {
    Work { name, times, run }
}

/// All of it. A delivery's share of its publish is part of it.
pub(crate) const WORK: [Work; 13] = [
    work("parse-event", TIMES, parse),
    work("publish-to-nobody", TIMES, publish),
    work("delivery-to-1000-one-event", READERS as u64, |count| deliver(count, 1)),
    work("delivery-to-1000-64-events", READERS as u64 * 64, |count| deliver(count, 64)),
    work("delivery-to-1000-different", READERS as u64, deliver_to_different),
    work("match-3-of-100000", TIMES, find),
    work("resume-100-events", TIMES, resume),
    work("subscribe", TIMES, join),
    work("verify-token-hs256", TIMES, |count| verify(count, false)),
    work("verify-token-known", TIMES, |count| verify(count, true)),
    work("publish-over-http", TIMES, publish_over_http),
    work("websocket-message", TIMES, ping),
    work("publish-to-a-stream", TIMES, stream),
];

/// Events that are told apart by their ids.
fn events(from: u64, count: u64) -> Vec<String> {
    (from..from + count).map(|number| event(number, BYTES)).collect()
}

fn parse(count: Count<'_>) {
    let (catalog, events) = (Catalog::builtin(), events(0, TIMES));
    let defaults = Defaults { id: "d", source: "/bench", time: NOW.unix };
    count(&mut || {
        for event in &events {
            assert!(black_box(catalog.parse(event, &defaults)).is_ok(), "the event is valid");
        }
    });
}

fn publish(count: Count<'_>) {
    let mut server = Server::default();
    events(0, TIMES).iter().for_each(|event| server.publish(event));
    let events = events(TIMES, TIMES);
    count(&mut || events.iter().for_each(|event| server.publish(event)));
}

fn deliver(count: Count<'_>, window: u64) {
    deliver_by(count, window, Server::with(READERS, |_| subscribe()));
}

fn deliver_to_different(count: Count<'_>) {
    let own = |number| {
        let filter = format!(r#"{{"contentId":["c1","x{number}"]}}"#);
        format!(r#"{{"type":"subscribe","id":"s","events":["content.*"],"filter":{filter}}}"#)
    };
    deliver_by(count, 1, Server::with(READERS, own));
}

fn deliver_by(count: Count<'_>, window: u64, mut server: Server) {
    let (first, events) = (events(0, window), events(window, window));
    first.iter().for_each(|event| server.publish(event));
    server.write();
    let mut written = 0;
    count(&mut || {
        events.iter().for_each(|event| server.publish(event));
        written = server.write();
    });
    assert!(events.len() * BYTES * READERS as usize <= written, "everyone has everything");
}

fn find(count: Count<'_>) {
    let mut index = index(100_000 / 3 + 1, &ONE_KEY, &Tenant(None));
    let documents = (0..u32::try_from(TIMES).expect("a few")).map(|number| number * 500);
    let events: Vec<_> = documents.map(content_updated).collect();
    let mut found = 0;
    count(&mut || {
        for fields in &events {
            index.matching("content.updated", fields, |members| found += members.len());
        }
    });
    assert_eq!(found, 3 * events.len(), "every event matches three");
}

fn resume(count: Count<'_>) {
    let mut server = Server::default();
    events(0, 100).iter().for_each(|event| server.publish(event));
    let frame = said(&server.resume());
    let connections: Vec<_> = (0..TIMES).map(|_| server.connect()).collect();
    let mut written = 0;
    count(&mut || {
        for conn in &connections {
            server.receive(*conn, &frame);
            written += server.write();
        }
    });
    assert!(100 * BYTES * connections.len() <= written, "everyone has everything");
}

fn join(count: Count<'_>) {
    let mut server = Server::with(READERS, |_| subscribe());
    let frame = said(&subscribe());
    let connections: Vec<_> = (0..TIMES).map(|_| server.connect()).collect();
    count(&mut || {
        for conn in &connections {
            server.receive(*conn, &frame);
            server.write();
        }
    });
}

fn verify(count: Count<'_>, known: bool) {
    let config = AuthConfig { jwt_secret: Some(Secret::new(SECRET)), ..AuthConfig::default() };
    let mut auth = Authenticator::new(&config, Keyed::new([1, 2])).expect("the configuration has no fault");
    let tokens: Vec<String> = (0..TIMES).map(|number| token(&format!("u{number}"))).collect();
    let mut verify_all = || {
        for token in &tokens {
            assert!(auth.verify(token, NOW.unix).is_ok(), "the token is good");
        }
    };
    if known {
        verify_all();
    }
    count(&mut verify_all);
}

fn publish_over_http(count: Count<'_>) {
    let mut server = Server::default();
    let conn = server.accept();
    let request = |event: &String| {
        let len = event.len();
        format!(
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {API_KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {len}\r\n\r\n{event}"
        )
    };
    let requests: Vec<String> = events(0, 2 * TIMES).iter().map(request).collect();
    let (first, rest) = requests.split_at(requests.len() / 2);
    let mut serve = |requests: &[String]| {
        for request in requests {
            server.receive(conn, request.as_bytes());
            assert!(0 < server.write(), "every request is answered");
        }
    };
    serve(first);
    count(&mut || serve(rest));
}

fn ping(count: Count<'_>) {
    let mut server = Server::default();
    let conn = server.connect();
    let frame = said(r#"{"type":"ping","id":"p1"}"#);
    count(&mut || {
        for _ in 0..TIMES {
            server.receive(conn, &frame);
            assert!(0 < server.write(), "every ping is answered");
        }
    });
}

fn stream(count: Count<'_>) {
    let mut server = Server::default();
    let conn = server.accept();
    let token = token("u1");
    let request = format!(
        "GET /v1/stream?events=content.* HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    server.receive(conn, request.as_bytes());
    server.write();
    let events = events(0, TIMES);
    let mut written = 0;
    count(&mut || {
        for event in &events {
            server.publish(event);
            written += server.write();
        }
    });
    assert!(events.len() * BYTES <= written, "everything is streamed");
}
