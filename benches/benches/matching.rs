//! Matching costs what matches, not what is subscribed: an event that matches three subscriptions, among a
//! hundred to a million with filters of their own.
//!
//! Events are spread evenly over all subscriptions, so what is read of the index is as cold as it gets; the
//! event itself is warm, as after its validation. Compare the same case between sizes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use tidings_benches::content_updated;
use tidings_benches::definitions::{MORE_KEYS, ONE_KEY, Tenant, index};
use tidings_core::event::{Fields, Filter};
use tidings_core::rng::Rng;
use tidings_core::subscription::Index;

/// Time of `iterations` matches against random documents, without the making of the events.
fn time(index: &mut Index<Tenant>, documents: u32, rng: &mut Rng, iterations: u64) -> Duration {
    const WARM: u64 = 32;
    let mut total = Duration::ZERO;
    let mut left = iterations;
    while 0 < left {
        let events = (0..left.min(WARM))
            .map(|_| content_updated(u32::try_from(rng.below(u64::from(documents))).expect("below 2^32")));
        let events: Vec<Fields> = events.collect();
        let mut visited = 0;
        let begin = Instant::now();
        for fields in &events {
            index.matching("content.updated", black_box(fields), |members| visited += members.len());
        }
        total += begin.elapsed();
        assert_eq!(visited, events.len() * 3, "every event matches three");
        left -= left.min(WARM);
    }
    total
}

fn matching(criterion: &mut Criterion) {
    let tenant = json!({ "tenantId": "t1" });
    let tenant = Tenant(Some(Filter::from_json(&tenant, 16).expect("a filter")));
    for (name, shapes, permit) in [
        ("one_key", &ONE_KEY, &Tenant(None)),
        ("more_keys", &MORE_KEYS, &Tenant(None)),
        ("tenant", &ONE_KEY, &tenant),
    ] {
        let mut group = criterion.benchmark_group(format!("matching/{name}"));
        group.throughput(Throughput::Elements(1));
        for subscriptions in [100, 1_000, 10_000, 100_000, 1_000_000] {
            let documents = subscriptions / 3 + 1;
            let mut index = index(documents, shapes, permit);
            let mut rng = Rng::new([1; 32]);
            group.bench_function(BenchmarkId::from_parameter(subscriptions), |bencher| {
                bencher.iter_custom(|iterations| time(&mut index, documents, &mut rng, iterations));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, matching);
criterion_main!(benches);
