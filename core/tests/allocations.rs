//! What a delivery must not cost: memory that grows with the number of those who get it.

#![allow(clippy::unwrap_used, reason = "all of it is a test; helpers are not marked as such")]

use std::alloc::System;
use std::net::{IpAddr, Ipv4Addr};

use jsonwebtoken::{EncodingKey, Header};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tidings_core::config::{Config, Secret};
use tidings_core::wire::client::text_into;
use tidings_core::{
    ConnId, Hub, Input, Instant, Listener, Now, Offset, Output, Peer, RequestId, Sequencer, UnixTime,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: Now = Now { instant: Instant::from_micros(1), unix: UnixTime::from_secs(1_790_000_000) };
const BUDGET: usize = 64 * 1024;
const CONNECTIONS_MAX: usize = 1_000;

/// What it took to publish, and to write to all who wait.
#[derive(Clone, Copy, Debug, Default)]
struct Delivery {
    reached: usize,
    /// From the first publish until nobody waits.
    allocations: usize,
    /// Of those, from the first write on.
    to_write: usize,
    /// Slices given to sockets.
    slices: usize,
    /// Bytes given to sockets.
    written: usize,
    /// Bytes of memory that those were read from: what was copied in user space at most.
    gathered: usize,
}

struct Server {
    hub: Hub,
    log: Sequencer,
    published: u64,
}

impl Server {
    /// A hub with that many connections, each caught up and subscribed to everything of `content`.
    fn with(connections: u32) -> Self {
        let mut config = Config::default();
        config.auth.jwt_secret = Some(Secret::new(SECRET));
        let hub = Hub::new(config, [1; 32], NOW).unwrap();
        let log = Sequencer::new([2; 32]);
        let mut server = Self { hub, log, published: 0 };
        let epoch = server.log.epoch().clone();
        server.hub.handle(NOW, Input::LogOpened { epoch, begin: Offset::ZERO });
        server.hub.handle(NOW, Input::LogLoaded);
        for slot in 0..connections {
            server.connect(ConnId::new(slot, 0));
        }
        server
    }

    fn connect(&mut self, conn: ConnId) {
        let claims = serde_json::json!({"sub": format!("u{}", conn.slot()), "exp": 4_102_444_800_u64});
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
        let request = format!(
            "GET /ws?token={token} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), listener: Listener::All };
        self.hub.handle(NOW, Input::Accepted { conn, peer });
        self.hub.handle(NOW, Input::Received { conn, bytes: request.as_bytes() });
        let mut frame = Vec::new();
        text_into(&mut frame, [7; 4], r#"{"type":"subscribe","id":"s","events":["content.*"]}"#);
        self.hub.handle(NOW, Input::Received { conn, bytes: &frame });
        self.flush();
    }

    /// Publishes events; the log takes them, and nothing is written yet. Adds those who wait to `pending`.
    fn publish(&mut self, events: u64, pending: &mut Vec<ConnId>) {
        for _ in 0..events {
            self.published += 1;
            let event = format!(
                r#"{{"type":"content.deleted","data":{{"contentId":"c{}","title":"t","type":"blog","deletedAt":"2026-01-31T08:00:00Z"}}}}"#,
                self.published
            );
            let request = RequestId(self.published);
            self.hub.handle(NOW, Input::Publish { request, publisher: "test", event: &event });
        }
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Append { request, record } => {
                    let offset = self.log.next().unwrap();
                    self.hub.handle(NOW, Input::Appended { offset, record });
                    self.hub.handle(NOW, Input::AppendResult { request, result: Ok(offset) });
                }
                Output::Transmit(conn) => pending.push(conn),
                _ => {}
            }
        }
    }

    fn flush(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            if let Output::Transmit(conn) = output {
                self.write(conn);
            }
        }
    }

    fn write(&mut self, conn: ConnId) -> usize {
        let mut all = 0;
        while let Some(transmit) = self.hub.poll_transmit(conn, BUDGET) {
            let len = transmit.len();
            all += len;
            transmit.commit(len);
        }
        all
    }

    /// Publishes, and writes once to all who wait, as a socket that takes everything would.
    fn delivery(&mut self, events: u64) -> Delivery {
        let (mut pending, mut places) = (Vec::with_capacity(CONNECTIONS_MAX), Vec::<*const u8>::new());
        places.reserve(CONNECTIONS_MAX);
        let mut delivery = Delivery::default();
        let region = Region::new(ALLOCATOR);
        self.publish(events, &mut pending);
        let published = region.change().allocations;
        delivery.reached = pending.len();
        for conn in pending {
            let transmit = self.hub.poll_transmit(conn, BUDGET).unwrap();
            for slice in transmit.slices().into_iter().filter(|slice| !slice.is_empty()) {
                delivery.slices += 1;
                delivery.written += slice.len();
                if !places.contains(&slice.as_ptr()) {
                    places.push(slice.as_ptr());
                    delivery.gathered += slice.len();
                }
            }
            let len = transmit.len();
            assert!(!transmit.commit(len), "one write takes all that waits");
        }
        delivery.allocations = region.change().allocations;
        delivery.to_write = delivery.allocations - published;
        delivery
    }
}

// One test, since the allocator counts for the whole process.
#[test]
fn what_a_delivery_allocates_and_copies_does_not_grow_with_those_who_get_it() {
    for events in [1, 64] {
        let deliveries = [100, CONNECTIONS_MAX].map(|connections| {
            let mut server = Server::with(u32::try_from(connections).unwrap());
            server.delivery(events);
            let delivery = server.delivery(events);
            assert_eq!(delivery.reached, connections);
            assert_eq!(delivery.slices, delivery.reached, "one slice a connection");
            delivery
        });
        let [few, many] = deliveries;
        assert_eq!(few.allocations, many.allocations, "allocations to deliver {events} events");
        assert!(many.to_write <= 4, "{} allocations to write {events} events", many.to_write);
        let each = many.allocations / usize::try_from(events).unwrap();
        assert!(each <= 64, "{each} allocations to publish an event");
        assert_eq!(few.gathered, many.gathered, "bytes copied to write {events} events");
        assert_eq!(many.written, many.gathered * many.reached, "all are served from the same memory");
    }
}
