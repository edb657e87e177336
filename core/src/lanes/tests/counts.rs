//! What lanes say of themselves: what waits, what it takes, what was done, and whether there is more.

use super::*;

/// Appends events for everybody to one lane, each after one that is for nobody, so that no two are neighbours.
fn scattered(log: &mut Log, lane: Priority, count: u32) -> Vec<u64> {
    let mut seqs = Vec::new();
    for _ in 0..count {
        log.append(lane, 5, None, [false; 2]);
        seqs.push(log.append(lane, 5, None, [true; 2]));
    }
    seqs
}

#[test]
fn memory_is_that_of_the_state_and_of_the_nodes_of_its_queues() {
    for queue in [1, 2, 6, 7, 11, 64] {
        let mut lanes = lanes_with(LaneSettings { queue, ..settings() });
        let (mut log, mut id) = (Log::default(), LanesId::default());
        assert_eq!(lanes.memory(id), 0, "what is idle holds nothing");
        // When a lane gets events that are no neighbours, then the first takes no more than the state, and the
        // others are held by nodes that are full.
        let mut first = 0;
        for (waiting, seq) in (0..).zip(scattered(&mut log, Priority::Low, queue)) {
            lanes.push(&mut id, Priority::Low, seq, &log);
            first = if waiting == 0 { lanes.memory(id) } else { first };
            let nodes = usize::try_from(waiting).unwrap().div_ceil(queue::RUNS_PER_NODE);
            assert_eq!(lanes.memory(id), first + nodes * queue::NODE_BYTES);
        }
        assert!(size_of::<Lane>() * 4 <= first);
    }
}

#[test]
fn a_lane_that_falls_back_on_history_is_counted_and_is_behind_until_it_has_caught_up() {
    let (mut lanes, mut log, mut client) =
        (lanes_with(settings()), Log::default(), Client::new(Offset::ZERO));
    for lane in [Priority::High, Priority::Low] {
        for seq in scattered(&mut log, lane, QUEUE + 3) {
            lanes.push(&mut client.id, lane, seq, &log);
        }
    }
    assert_eq!((lanes.overflows(), lanes.slow(), lanes.conflated()), (2, 1, 0));
    // Of each lane a queue waits, and in history what came then: three events, and the two between them.
    let behind = Waiting { queued: u64::from(QUEUE), catch_up: 5, behind: 1 };
    let lagging =
        PerLane { high: behind, low: behind, critical: Waiting::default(), normal: Waiting::default() };
    assert_eq!(lanes.waiting(&log), lagging);
    assert_eq!(lanes.backlog(client.id, &log), lagging);
    assert!(lanes.is_behind(client.id));
    drain(&mut client, &mut lanes, &log);
    assert_eq!((lanes.overflows(), lanes.slow(), lanes.waiting(&log)), (2, 0, PerLane::default()));
    assert!(!lanes.is_behind(client.id));
    client.check_whole(&log);
}

#[test]
fn an_idle_lane_is_at_the_logs_end_whatever_waits_in_another() {
    let (mut lanes, mut log, mut id) = (lanes_with(settings()), Log::default(), LanesId::default());
    log.append(Priority::High, 5, None, [false; 2]);
    assert_eq!(lanes.position(id, &log), PerLane::from_fn(|_| log.log_end()));
    let seq = log.append(Priority::Normal, 5, None, [true; 2]);
    lanes.push(&mut id, Priority::Normal, seq, &log);
    let before = log.offset(Priority::Normal, seq).prev();
    let at = |lane| if lane == Priority::Normal { before } else { log.log_end() };
    assert_eq!(lanes.position(id, &log), PerLane::from_fn(at));
}

#[test]
fn who_resumes_and_has_everything_is_idle_at_once() {
    let (mut lanes, mut log, mut id) = (lanes_with(settings()), Log::default(), LanesId::default());
    log.append(Priority::High, 5, None, [true; 2]);
    for lane in Priority::ALL {
        lanes.resume(&mut id, lane, log.log_end(), &log);
    }
    assert!(id.is_idle() && is_empty(&lanes, &log));
}

#[test]
fn who_is_behind_is_told_of_more_until_half_a_queue_waits() {
    // Given queues of eight, and more in history than a queue holds,
    let mut lanes = lanes_with(LaneSettings { queue: 8, scan: 1, ..settings() });
    let (mut log, mut id) = (Log::default(), LanesId::default());
    for _ in 0..12 {
        log.append(Priority::Low, 5, None, [true; 2]);
    }
    lanes.resume(&mut id, Priority::Low, Offset::ZERO, &log);
    // when each poll finds one event, then there is more to do until four wait, and none from there on.
    let mut polls = Vec::new();
    for _ in 0..10 {
        let look = |_, _| Looked { matches: true, cost: 1 };
        let settled = lanes.settle(&mut id, &log, look, &mut Vec::new());
        polls.push((backlog(&lanes, id, &log), settled == Settled::More));
    }
    let expected: Vec<_> = (1..=10).map(|polls: u64| (polls.min(8), polls < 4)).collect();
    assert_eq!(polls, expected);
    // And nothing is to be done for who is live.
    let mut live = LanesId::default();
    let seq = log.append(Priority::High, 5, None, [true; 2]);
    lanes.push(&mut live, Priority::High, seq, &log);
    let look = |_, _| unreachable!("nothing is looked at");
    assert_eq!(lanes.settle(&mut live, &log, look, &mut Vec::new()), Settled::Ready);
}

#[test]
fn a_full_queue_is_reduced_where_that_frees_a_quarter_of_it_and_else_left() {
    // Given a full queue in which so many events are repeats, when one more comes,
    let reduced = |queue: u32, repeats: u32| {
        let mut lanes = lanes_with(LaneSettings { queue, ..settings() });
        let (mut log, mut id) = (Log::default(), LanesId::default());
        for number in 0..=queue {
            let key = (number <= repeats).then_some(0);
            let seq = log.append(Priority::Low, 5, key, [true; 2]);
            lanes.push(&mut id, Priority::Low, seq, &log);
        }
        assert!(backlog(&lanes, id, &log) <= u64::from(queue));
        assert_eq!(
            lanes.conflated() == 0,
            lanes.is_behind(id),
            "it falls back on history where nothing is freed"
        );
        lanes.conflated()
    };
    // then repeats are left out where they are a quarter.
    assert_eq!([0, 1, 2, 3, 7].map(|repeats| reduced(8, repeats)), [0, 0, 2, 3, 7]);
    assert_eq!([0, 1].map(|repeats| reduced(2, repeats)), [0, 1]);
    assert_eq!([0, 4].map(|repeats| reduced(19, repeats)), [0, 4], "of 19 a quarter is 4");
    assert_eq!(reduced(19, 3), 0);
}
