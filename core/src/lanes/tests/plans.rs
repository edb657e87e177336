//! What plans are shared by, and what ends them.

use super::*;

fn pushed<const N: usize>(lanes: &mut Lanes, log: &Log, lane: Priority, seqs: &[u64]) -> [LanesId; N] {
    let mut ids = [LanesId::default(); N];
    for id in &mut ids {
        seqs.iter().for_each(|seq| lanes.push(id, lane, *seq, log));
    }
    ids
}

fn append(log: &mut Log, lane: Priority, len: usize) -> u64 {
    log.append(lane, len, None, [true; 2])
}

fn order(lanes: &mut Lanes, log: &Log, id: LanesId, budget: usize) -> Vec<(Priority, u64)> {
    let staged = lanes.stage(id, log, budget, |_, _, _| {});
    lanes.chosen(staged).collect()
}

#[test]
fn who_has_only_critical_to_catch_up_with_gets_it() {
    let (mut lanes, mut log, mut client) =
        (lanes_with(settings()), Log::default(), Client::new(Offset::ZERO));
    for _ in 0..=QUEUE {
        let seq = append(&mut log, Priority::Critical, 5);
        lanes.push(&mut client.id, Priority::Critical, seq, &log);
    }
    drain(&mut client, &mut lanes, &log);
    client.check_whole(&log);
}

#[test]
fn a_budget_is_used_up_and_is_each_connections_own() {
    let (mut lanes, mut log) = (lanes_with(settings()), Log::default());
    let seqs = [(); 3].map(|()| append(&mut log, Priority::Low, 20));
    let ids: [LanesId; 2] = pushed(&mut lanes, &log, Priority::Low, &seqs);
    let len = log.frame(Priority::Low, 0).bytes().len();
    for (budget, frames) in [(3 * len, 3), (2 * len, 2), (2 * len - 1, 1), (3 * len - 1, 2), (1, 1)] {
        let chosen = ids.map(|id| order(&mut lanes, &log, id, budget).len());
        assert_eq!(chosen, [frames; 2], "{budget} bytes");
    }
}

#[test]
fn who_has_the_same_queued_but_was_sent_something_else_has_a_plan_of_its_own() {
    // Given one who was sent a long frame of `high`, and one who was not,
    let (mut lanes, mut log) = (lanes_with(settings()), Log::default());
    let low = append(&mut log, Priority::Low, 5);
    let [mut one, mut other]: [LanesId; 2] = pushed(&mut lanes, &log, Priority::Low, &[low]);
    let high = append(&mut log, Priority::High, 4_000);
    lanes.push(&mut one, Priority::High, high, &log);
    let staged = lanes.stage(one, &log, 1, |_, _, _| {});
    let len = log.frame(Priority::High, high).bytes().len();
    lanes.commit(&mut one, &log, staged, len, |_, _, _| {});
    // when the same waits for both, then `low` goes first for the one, and `high` for the other.
    let high = append(&mut log, Priority::High, 5);
    for id in [&mut one, &mut other] {
        lanes.push(id, Priority::High, high, &log);
    }
    assert_eq!(order(&mut lanes, &log, one, 1), [(Priority::Low, low)]);
    assert_eq!(order(&mut lanes, &log, other, 1), [(Priority::High, high)]);
}

#[test]
fn nobody_is_served_from_the_plan_of_who_has_more_queued() {
    for runs in 60..70 {
        let mut lanes = lanes_with(LaneSettings { queue: 100, ..settings() });
        let mut log = Log::default();
        let mut seqs = Vec::new();
        for _ in 0..=runs {
            log.append(Priority::Low, 5, None, [false; 2]);
            seqs.push(append(&mut log, Priority::Low, 5));
        }
        let [more]: [LanesId; 1] = pushed(&mut lanes, &log, Priority::Low, &seqs);
        let [less]: [LanesId; 1] = pushed(&mut lanes, &log, Priority::Low, &seqs[..runs]);
        assert_eq!(order(&mut lanes, &log, more, 100_000).len(), runs + 1);
        assert_eq!(order(&mut lanes, &log, less, 100_000).len(), runs);
    }
}

#[test]
fn the_bytes_of_eight_groups_are_gathered_once_each() {
    // Given eight groups that differ in what is queued,
    let (mut lanes, mut log) = (lanes_with(settings()), Log::default());
    let seqs = Vec::from_iter((0..9).map(|_| append(&mut log, Priority::Low, 5)));
    let ids = Vec::from_iter(seqs.windows(2).map(|two| {
        let [id]: [LanesId; 1] = pushed(&mut lanes, &log, Priority::Low, two);
        id
    }));
    // when all are served twice, then the second time from the same plans.
    let mut plans = || Vec::from_iter(ids.iter().map(|id| lanes.stage(*id, &log, 4096, |_, _, _| {})));
    let first = plans();
    assert_eq!(first, plans());
    assert!((1..8).all(|at| !first[..at].contains(&first[at])));
}

#[test]
fn nothing_is_told_of_a_plan_that_nobody_took() {
    let (mut lanes, mut log) = (lanes_with(settings()), Log::default());
    let [one, two] = [(); 2].map(|()| append(&mut log, Priority::Low, 5));
    let [idle]: [LanesId; 1] = pushed(&mut lanes, &log, Priority::Low, &[one]);
    let [mut taker]: [LanesId; 1] = pushed(&mut lanes, &log, Priority::Low, &[two]);
    lanes.stage(idle, &log, 4096, |_, _, _| {});
    let staged = lanes.stage(taker, &log, 4096, |_, _, _| {});
    let len = lanes.slices(taker, staged)[1].len();
    lanes.commit(&mut taker, &log, staged, len, |_, _, _| {});
    let mut told = Vec::new();
    lanes.tell(|lane, seq, times| told.push((lane, seq, times)));
    assert_eq!(told, [(Priority::Low, two, 1)]);
}

#[test]
fn a_frame_that_was_taken_whole_is_not_in_flight() {
    // Given one of whose two frames the first was taken, to its last byte,
    let (mut lanes, mut log) = (lanes_with(settings()), Log::default());
    let seqs = [(); 2].map(|()| append(&mut log, Priority::Low, 5));
    let [mut id]: [LanesId; 1] = pushed(&mut lanes, &log, Priority::Low, &seqs);
    let staged = lanes.stage(id, &log, 4096, |_, _, _| {});
    let len = log.frame(Priority::Low, seqs[0]).bytes().len();
    assert_eq!(lanes.commit(&mut id, &log, staged, len, |_, _, _| {}), Counts { frames: 1, bytes: len });
    // when the other is no longer to be sent, then nothing is left.
    lanes.rewind(&mut id, &log);
    lanes.settle(&mut id, &log, |_, _| Looked { matches: false, cost: 1 }, &mut Vec::new());
    assert!(id.is_idle() && is_empty(&lanes, &log));
}

#[test]
fn to_settle_who_is_live_parts_it_from_nobody() {
    let (mut lanes, mut log) = (lanes_with(settings()), Log::default());
    let seq = append(&mut log, Priority::Low, 5);
    let ids: [LanesId; 3] = pushed(&mut lanes, &log, Priority::Low, &[seq]);
    assert_eq!(lanes.states.iter().count(), 1, "what waits for all is kept once");
    for mut id in ids {
        let look = |_, _| unreachable!("nothing is looked at");
        assert_eq!(lanes.settle(&mut id, &log, look, &mut Vec::new()), Settled::Ready);
    }
    assert_eq!(lanes.states.iter().count(), 1);
}

#[test]
fn who_goes_its_own_way_keeps_all_that_waited_however_much() {
    // Given two for whom the same many events wait that are no neighbours,
    let mut lanes = lanes_with(LaneSettings { queue: 64, ..settings() });
    let mut log = Log::default();
    let mut clients = [Client::new(Offset::ZERO), Client::new(Offset::ZERO)];
    for _ in 0..20 {
        log.append(Priority::Low, 5, None, [false; 2]);
        let seq = append(&mut log, Priority::Low, 5);
        clients.iter_mut().for_each(|client| lanes.push(&mut client.id, Priority::Low, seq, &log));
    }
    // when one of them is told of one more, then each gets its own.
    let [one, other] = &mut clients;
    other.definition = 1;
    let seq = log.append(Priority::Low, 5, None, [true, false]);
    lanes.push(&mut one.id, Priority::Low, seq, &log);
    for client in [one, other] {
        drain(client, &mut lanes, &log);
        client.check_whole(&log);
    }
    assert!(is_empty(&lanes, &log));
}

#[test]
fn nobody_follows_to_where_another_has_gone_on_since() {
    // Given one that has got an event, and one that has been told of another since,
    let (mut lanes, mut log) = (lanes_with(settings()), Log::default());
    let seq = append(&mut log, Priority::Low, 5);
    let [mut sent]: [LanesId; 1] = pushed(&mut lanes, &log, Priority::Low, &[seq]);
    let staged = lanes.stage(sent, &log, 4096, |_, _, _| {});
    let len = lanes.slices(sent, staged)[1].len();
    lanes.commit(&mut sent, &log, staged, len, |_, _, _| {});
    // when others are told of the first, then it alone waits for each of them.
    let [second]: [LanesId; 1] = pushed(&mut lanes, &log, Priority::Low, &[seq]);
    assert_eq!(order(&mut lanes, &log, second, 4096), [(Priority::Low, seq)]);
    let mut further = second;
    let next = append(&mut log, Priority::Low, 5);
    lanes.push(&mut further, Priority::Low, next, &log);
    let [third]: [LanesId; 1] = pushed(&mut lanes, &log, Priority::Low, &[seq]);
    assert_eq!(order(&mut lanes, &log, third, 4096), [(Priority::Low, seq)]);
}
