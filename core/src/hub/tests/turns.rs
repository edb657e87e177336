//! What one call of the hub does at most, however much there is to do.

use serde_json::{Value, json};

use super::super::*;
use super::panics::{Server, token};

/// Publishes `count` events of the type `user.login`.
fn publish(server: &mut Server, count: u64) {
    let event = json!({"type": "user.login", "data": {"userId": "u", "timestamp": "2026-01-31T08:00:00Z"}});
    (0..count).for_each(|_| publish_one(server, &event));
}

fn publish_one(server: &mut Server, event: &Value) {
    let (request, event) = (RequestId(0), event.to_string());
    server.hub.handle(server.now, Input::Publish { request, publisher: "test", event: &event });
    let appended = std::iter::from_fn(|| server.hub.poll_output()).find_map(|output| match output {
        Output::Append { request, record } => Some((request, record)),
        _ => None,
    });
    let (request, record) = appended.unwrap();
    let offset = Offset::new(server.hub.history.end().get() + 1).unwrap();
    server.hub.handle(server.now, Input::Appended { offset, record });
    server.hub.handle(server.now, Input::AppendResult { request, result: Ok(offset) });
}

/// How many entries the search of a connection has looked at; none where it does not search.
fn looked(server: &Server, conn: ConnId) -> Option<usize> {
    let busy = match &server.hub.connections.get(conn)?.phase {
        Phase::Http(exchange) => match &exchange.step {
            Step::Busy(_, busy) => &**busy,
            _ => return None,
        },
        Phase::Live(session) => &session.busy.as_ref()?.1,
        Phase::Closing(_) => return None,
    };
    match busy {
        connection::Busy::Scan(scan) => Some(scan.looked),
        _ => None,
    }
}

fn turn(server: &mut Server) {
    server.hub.handle(server.now, Input::Timeout);
}

#[test]
fn searches_share_the_steps_of_a_turn_however_many_are_asked_for() {
    let mut server = Server::new();
    publish(&mut server, 10_000);
    // when: many connections ask for many pages each, in which nothing will be found
    let target = format!("/v1/events?events=content.*&token={}", token("ann"));
    let requests = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(50);
    let conns: Vec<ConnId> = (0..20).map(|slot| server.accept(slot)).collect();
    for conn in &conns {
        server.hub.handle(server.now, Input::Received { conn: *conn, bytes: requests.as_bytes() });
    }
    // then: what arrives does no search
    let all = |server: &Server| -> Vec<usize> {
        conns.iter().map(|conn| looked(server, *conn).expect("it goes on searching")).collect()
    };
    assert_eq!(all(&server), [0; 20]);
    // and: each turn does so much, in turn for each
    for turns in 1..=20 {
        assert_eq!(server.hub.poll_timeout(), Some(server.now.instant));
        turn(&mut server);
        let all = all(&server);
        assert_eq!(all.iter().sum::<usize>(), turns * 8_000);
        assert!(all.iter().max().unwrap() - all.iter().min().unwrap() <= 1_000, "{all:?}");
    }
}

#[test]
fn a_page_ends_where_the_log_did_when_it_was_asked_for() {
    let mut server = Server::new();
    publish(&mut server, 2_000);
    let conn = server.accept(0);
    let request =
        format!("GET /v1/events?events=content.*&token={} HTTP/1.1\r\nHost: a\r\n\r\n", token("ann"));
    server.hub.handle(server.now, Input::Received { conn, bytes: request.as_bytes() });
    // when: more is appended than a turn looks at, turn after turn
    publish(&mut server, 9_000);
    turn(&mut server);
    // then
    let answer = String::from_utf8(server.exchange(conn, b"")).unwrap();
    assert!(answer.ends_with("\"events\":[],\"next\":2000}"), "{answer}");
}

#[test]
fn a_search_for_the_newest_takes_what_was_appended_meanwhile_in_steps_too() {
    let mut server = Server::new();
    publish(&mut server, 2_000);
    let conn = server.websocket(0);
    // given: a search that has begun, and much that is appended before it goes on
    let ask = json!({"type": "subscribe", "id": "s", "events": ["system.*"], "recent": 3});
    assert_eq!(server.say(conn, &ask.to_string()), [""; 0]);
    let found = |n: u64| json!({"type": "system.maintenance", "data": {"message": n.to_string(), "startsAt": "2026-01-31T08:00:00Z"}});
    for n in 1..=5 {
        publish(&mut server, 5_000);
        publish_one(&mut server, &found(n));
    }
    // when
    let mut turns = 0;
    let mut before = 0;
    while let Some(now) = looked(&server, conn) {
        assert!(now - before <= 8_000, "{} entries in one turn", now - before);
        (before, turns) = (now, turns + 1);
        turn(&mut server);
    }
    // then: it took several turns, and has the newest
    assert!(3 < turns, "{turns} turns");
    let heard = server.say(conn, r#"{"type":"ping"}"#);
    let reply: Value = serde_json::from_str(&heard[0]).unwrap();
    let recent = reply["recent"].as_array().unwrap();
    let numbers: Vec<&str> =
        recent.iter().filter_map(|found| found["event"]["data"]["message"].as_str()).collect();
    assert_eq!((numbers, &reply["offset"]), (vec!["3", "4", "5"], &json!(27_005)));
}

#[test]
fn a_poll_of_a_connection_that_catches_up_is_bounded_by_entries_times_subscriptions() {
    let mut server = Server::new();
    publish(&mut server, 3_000);
    let conn = server.websocket(0);
    // given: a resume from the beginning with as many subscriptions as there may be, of which none matches
    let subscriptions: Vec<Value> = (0..128)
        .map(|n| json!({"id": n.to_string(), "from": 0, "events": ["user.*"], "filter": {"userId": n}}))
        .collect();
    let since = json!({
        "epoch": server.hub.history.epoch().unwrap().as_str(),
        "lanes": {"critical": 0, "high": 0, "normal": 0, "low": 0},
    });
    let resume = json!({"type": "resume", "since": since, "subscriptions": subscriptions}).to_string();
    let mut bytes = Vec::new();
    crate::wire::client::text_into(&mut bytes, [1, 2, 3, 4], &resume);
    server.hub.handle(server.now, Input::Received { conn, bytes: &bytes });
    // when: it is polled until it has caught up
    let scan = u64::from(server.hub.config.limits.catch_up_step);
    let mut polls = 0;
    while !server.hub.connections.get(conn).unwrap().lanes.is_idle() {
        let before = server.hub.lanes.work();
        if let Some(transmit) = server.hub.poll_transmit(conn, 65_536) {
            let len = transmit.len();
            transmit.commit(len);
        }
        let work = server.hub.lanes.work() - before;
        assert!(work < scan + 128, "{work} definitions in one poll");
        polls += 1;
    }
    // then
    assert_eq!(server.hub.lanes.work(), 3_000 * 128);
    assert!(3_000 * 128 / scan <= polls, "{polls} polls");
}
