//! What grows with what: a delivery with the number of connections, and publishing with the size of an event. What
//! grows with the number of subscriptions is measured by `matching`.
//!
//! Everything is in memory, so this is the core's share of a delivery; what the kernel takes for a socket comes on
//! top of it.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidings_benches::server::{Server, said};

const SUBSCRIBE: &str = r#"{"type":"subscribe","id":"s","events":["user.*"]}"#;

/// An event of so many bytes, to which the server gives an id.
fn event(bytes: usize) -> String {
    let with = |pad: &str| {
        let data = format!(r#"{{"userId":"u1","timestamp":"2026-01-31T08:00:00Z","pad":"{pad}"}}"#);
        format!(r#"{{"type":"user.logout","data":{data}}}"#)
    };
    with(&"x".repeat(bytes.saturating_sub(with("").len())))
}

/// An event to everyone, for each of them.
fn connections(criterion: &mut Criterion) {
    let (event, frame) = (event(300), said(SUBSCRIBE));
    let (mut server, mut connected) = (Server::default(), 0);
    let mut group = criterion.benchmark_group("scale/connections");
    for connections in [100, 1_000, 10_000, 100_000, 1_000_000] {
        while connected < connections {
            let conn = server.connect();
            server.receive(conn, &frame);
            server.write();
            connected += 1;
        }
        group.throughput(Throughput::Elements(connections));
        group.bench_function(BenchmarkId::from_parameter(connections), |bencher| {
            bencher.iter(|| {
                server.publish(&event);
                server.write()
            });
        });
    }
    group.finish();
}

/// An event that is published to nobody, and one that is delivered to a thousand, for each of them.
fn bytes(criterion: &mut Criterion) {
    for (name, readers) in [("scale/publish_bytes", 0), ("scale/delivery_bytes", 1_000)] {
        let mut server = Server::with(readers, |_| SUBSCRIBE.to_owned());
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(u64::from(readers.max(1))));
        for bytes in [100, 400, 1_600, 6_400, 25_600, 65_536] {
            let event = event(bytes);
            group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
                bencher.iter(|| {
                    server.publish(&event);
                    server.write()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, connections, bytes);
criterion_main!(benches);
