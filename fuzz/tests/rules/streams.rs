//! §6: Server-Sent Events, where every block says where its reader stands.

use serde_json::json;
use tidings_sim::{Block, Stream, World, events};

use super::publish;

fn open(world: &World, last: Option<&str>) -> Stream {
    world.stream(&json!({}), "events=*", last)
}

fn gaps(blocks: &[Block]) -> Vec<&Block> {
    blocks.iter().filter(|block| block.event.as_deref() == Some("gap")).collect()
}

#[test]
fn a_stream_resumes_from_its_first_second() {
    let world = World::new();
    let stream = open(&world, None);
    // given: nothing but the first block, which has an id
    assert_eq!(stream.read().len(), 1);
    let last = stream.last_id().unwrap();
    stream.socket().reset();
    // when
    publish(&world, 1..=3, events::normal);
    let stream = open(&world, Some(&last));
    world.publish(&events::critical(4));
    // then
    assert_eq!(stream.events(), [1, 2, 3, 4]);
}

#[test]
fn a_stream_that_breaks_behind_any_block_loses_and_repeats_nothing() {
    let world = World::with(|config| config.limits.lane_queue = 4);
    let mut got = Vec::new();
    let stream = open(&world, None);
    let _ = stream.read();
    let mut last = stream.last_id().unwrap();
    stream.socket().reset();
    let of_all_lanes = [events::low, events::normal, events::high, events::critical];
    for (n, event) in (1..=40).zip(of_all_lanes.iter().cycle()) {
        world.publish(&event(n));
    }
    for _ in 0..30 {
        // Only the first blocks arrive, then the network breaks.
        let stream = open(&world, Some(&last));
        for block in stream.read().iter().take(3) {
            got.extend(events::number(&block.data["event"]));
            last.clone_from(&block.id);
        }
        stream.socket().reset();
    }
    got.sort_unstable();
    assert_eq!(got, (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_stream_is_told_of_gaps_behind_which_it_stands_where_they_end() {
    let world = World::with(|config| config.history.events = 3);
    let begin = format!("{}.0.0.0.0", world.epoch().as_str());
    publish(&world, 1..=5, events::normal);
    publish(&world, 6..=10, events::low);
    let stream = open(&world, Some(&begin));
    let blocks = stream.read();
    let gaps = gaps(&blocks);
    assert_eq!(gaps.len(), 2);
    assert_eq!(gaps[0].data["until"], 2);
    assert_eq!(gaps[0].id, begin, "the second gap is yet to come");
    assert_eq!(gaps[1].data["until"], 7);
    assert_eq!(gaps[1].id, format!("{}.10.10.2.7", world.epoch().as_str()));
    let mut numbers: Vec<_> =
        blocks.iter().filter_map(|block| events::number(&block.data["event"])).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 4, 5, 8, 9, 10]);
}

#[test]
fn a_stream_of_another_epoch_is_told_so_in_every_lane() {
    let world = World::new();
    world.publish(&events::normal(1));
    let stream = open(&world, Some("another.1.1.1.1"));
    let blocks = stream.read();
    assert_eq!(gaps(&blocks).len(), 4);
    assert!(gaps(&blocks).iter().all(|gap| gap.data["reason"] == "epoch"));
    world.publish(&events::normal(2));
    assert_eq!(stream.events(), [2]);
}

#[test]
fn a_stream_has_a_block_at_each_heartbeat() {
    let world = World::new();
    let stream = open(&world, None);
    let _ = stream.read();
    world.publish(&events::normal(1));
    assert_eq!(stream.events(), [1]);
    world.advance(30_000);
    let blocks = stream.read();
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].id, format!("{}.1.1.1.1", world.epoch().as_str()));
    // A reader of a stream never sends; it stays for all that.
    world.advance(3_000_000);
    assert!(!stream.is_ended());
}

#[test]
fn a_stalled_stream_overflows_into_history_and_is_dropped_once_it_takes_nothing() {
    let world = World::with(|config| config.limits.lane_queue = 4);
    let stream = open(&world, None);
    stream.socket().stall();
    publish(&world, 1..=300, events::normal);
    assert!(world.stats()["queued"].as_u64() <= Some(4));
    world.advance(30_000);
    stream.socket().flow();
    assert_eq!(stream.events(), (1..=300).collect::<Vec<_>>());
    // when
    stream.socket().stall();
    world.publish(&events::normal(301));
    world.advance(63_000);
    assert!(stream.socket().is_closed());
}
