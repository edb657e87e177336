//! The core driven entirely in memory, under a clock that goes where it is told: a connection, a subscription,
//! an event, and thirty seconds that take no time. `cargo run -p tidings-core --example virtual_time`

use std::net::{IpAddr, Ipv4Addr};
use tidings_core::config::{Config, Secret};
use tidings_core::wire::client::text_into;
use tidings_core::{ConnId, Hub, HubError, Input, Instant, Listener, Now, Offset};
use tidings_core::{Output, Peer, RequestId, Sequencer, UnixTime};

const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJleHAiOjQxMDI0NDQ4MDB9.5ZehuVLfH10Ad3aoUa0I_6kTKjXE3EfmIq4UY1o-_Jk";
const SECRET: &str = "thirty-two bytes make a secret ok";
const EVENT: &str =
    r#"{"type":"system.maintenance","data":{"message":"Back at six","startsAt":"2026-01-31T05:00:00Z"}}"#;
const UPGRADE: &str = "\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const CONN: ConnId = ConnId::new(0, 0);

fn at(seconds: u64) -> Now {
    Now { instant: Instant::from_micros(seconds * 1_000_000), unix: UnixTime::from_secs(1_790_000_000) }
}

/// Hands an input in, appends what the hub publishes, and returns the bytes that go to the client.
fn turn(hub: &mut Hub, log: &mut Sequencer, now: Now, input: Input<'_>) -> String {
    hub.handle(now, input);
    while let Some(output) = hub.poll_output() {
        if let Output::Append { request, record } = output {
            let offset = log.next().expect("no log has 2^53 events");
            hub.handle(now, Input::Appended { offset, record });
            hub.handle(now, Input::AppendResult { request, result: Ok(offset) });
        }
    }
    let mut sent = Vec::new();
    while let Some(transmit) = hub.poll_transmit(CONN, 65_536) {
        sent.extend(transmit.slices().concat());
        let all = transmit.len();
        transmit.commit(all);
    }
    String::from_utf8_lossy(&sent).into_owned()
}

fn main() -> Result<(), HubError> {
    let mut config = Config::default();
    config.auth.jwt_secret = Some(Secret::new(SECRET));
    let (mut hub, mut log) = (Hub::new(config, [1; 32], at(0))?, Sequencer::new([2; 32]));
    let epoch = log.epoch().clone();
    let mut step = |seconds, input: Input<'_>| turn(&mut hub, &mut log, at(seconds), input);
    step(0, Input::LogOpened { epoch, begin: Offset::ZERO });
    step(0, Input::LogLoaded);
    let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), listener: Listener::All };
    step(0, Input::Accepted { conn: CONN, peer });
    let upgrade = format!("GET /ws?token={TOKEN} HTTP/1.1{UPGRADE}");
    println!("{}", step(0, Input::Received { conn: CONN, bytes: upgrade.as_bytes() }));
    let mut frame = Vec::new();
    text_into(&mut frame, [7; 4], r#"{"type":"subscribe","id":"s","events":["system.*"]}"#);
    println!("{}", step(1, Input::Received { conn: CONN, bytes: &frame }));
    println!("{}", step(2, Input::Publish { request: RequestId(1), publisher: "me", event: EVENT }));
    println!("{}", step(32, Input::Timeout));
    Ok(())
}
