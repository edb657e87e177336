//! What lanes promise, against a log that is a list and a client that only counts what arrives.

mod counts;
mod plans;

use proptest::prelude::*;

use super::*;
use crate::rng::Rng;

const QUEUE: u32 = 4;
const SCAN: u32 = 5;
/// Enough that what several hold is held on by more than one when one of them goes its own way.
const CLIENTS: usize = 4;

fn settings() -> LaneSettings {
    LaneSettings { queue: QUEUE, scan: SCAN, weights: [8, 4, 1] }
}

fn lanes_with(settings: LaneSettings) -> Lanes {
    Lanes::new(settings, Rng::new([3; 32]).keyed())
}

/// One event of the log: whether each of two definitions matches it, and its conflation key.
#[derive(Clone, Debug)]
struct Logged {
    offset: Offset,
    frame: Frame,
    key: Option<String>,
    matches: [bool; 2],
}

/// A log whose window is cut by hand.
#[derive(Debug, Default)]
struct Log {
    lanes: [Vec<Logged>; 4],
    first: [usize; 4],
    end: u64,
}

impl Source for Log {
    fn first(&self, lane: Priority) -> u64 {
        self.first[lane as usize] as u64
    }

    fn end(&self, lane: Priority) -> u64 {
        self.lanes[lane as usize].len() as u64
    }

    fn evicted(&self, lane: Priority) -> Offset {
        let before = self.first[lane as usize].checked_sub(1);
        before.map_or(Offset::ZERO, |seq| self.lanes[lane as usize][seq].offset)
    }

    fn log_end(&self) -> Offset {
        Offset::new(self.end).unwrap()
    }

    fn seq_above(&self, lane: Priority, offset: Offset) -> u64 {
        self.lanes[lane as usize]
            .partition_point(|logged| logged.offset <= offset)
            .max(self.first[lane as usize]) as u64
    }

    fn offset(&self, lane: Priority, seq: u64) -> Offset {
        self.held(lane, seq).offset
    }

    fn frame(&self, lane: Priority, seq: u64) -> &Frame {
        &self.held(lane, seq).frame
    }

    fn conflation(&self, lane: Priority, seq: u64) -> Option<&str> {
        self.held(lane, seq).key.as_deref()
    }
}

impl Log {
    fn held(&self, lane: Priority, seq: u64) -> &Logged {
        assert!(self.first(lane) <= seq, "what is evicted is not looked at");
        &self.lanes[lane as usize][usize::try_from(seq).unwrap()]
    }

    /// Appends an event of about `len` bytes whose frame says its lane and number.
    fn append(&mut self, lane: Priority, len: usize, key: Option<u8>, matches: [bool; 2]) -> u64 {
        self.end += 1 + len as u64 % 3;
        let seq = self.lanes[lane as usize].len() as u64;
        let text = format!("{}:{seq}:", lane as usize);
        self.lanes[lane as usize].push(Logged {
            offset: Offset::new(self.end).unwrap(),
            frame: Frame::text(&format!("{text}{}", "x".repeat(len))),
            key: key.map(|key| key.to_string()),
            matches,
        });
        seq
    }

    fn evict(&mut self, lane: Priority, count: usize) {
        let first = &mut self.first[lane as usize];
        *first = (*first + count).min(self.lanes[lane as usize].len());
    }
}

/// The other end of one connection.
#[derive(Debug)]
struct Client {
    id: LanesId,
    definition: usize,
    /// Which definitions were in force since each event was appended is not tracked: once one was replaced,
    /// only what both match is due, and what one of them matches may come.
    replaced: bool,
    begin: [Offset; 4],
    bytes: Vec<u8>,
    /// Per lane the numbers of what arrived, whole or begun.
    got: [Vec<u64>; 4],
    gaps: Vec<Gap>,
}

impl Client {
    fn new(begin: Offset) -> Self {
        Self {
            id: LanesId::default(),
            definition: 0,
            replaced: false,
            begin: [begin; 4],
            bytes: Vec::new(),
            got: Default::default(),
            gaps: Vec::new(),
        }
    }

    fn due(&self, logged: &Logged) -> bool {
        if self.replaced { logged.matches == [true; 2] } else { logged.matches[self.definition] }
    }

    fn may_come(&self, logged: &Logged) -> bool {
        if self.replaced { logged.matches != [false; 2] } else { logged.matches[self.definition] }
    }

    /// One poll: settles, checks what is chosen, and takes `take` of 255 parts of it.
    fn poll(&mut self, lanes: &mut Lanes, log: &Log, budget: usize, take: u8) -> Settled {
        let definition = self.definition;
        let mut gaps = Vec::new();
        let (before, mut looks) = (lanes.work(), 0);
        let look = |lane: Priority, seq| {
            looks += 1;
            Looked { matches: log.held(lane, seq).matches[definition], cost: 2 }
        };
        let settled = lanes.settle(&mut self.id, log, look, &mut gaps);
        assert_eq!(lanes.work() - before, 2 * looks, "every look is counted");
        // The last look of each lane may go over its share.
        assert!(lanes.work() - before <= u64::from(lanes.settings.scan) + 4, "the work of a poll is bounded");
        for gap in gaps {
            assert!(gap.after < gap.until, "a gap is not empty: {gap:?}");
            self.gaps.push(gap);
        }
        let mut told = 0;
        let staged = lanes.stage(self.id, log, budget, |_, _, times| told += times);
        self.check_chosen(lanes, log, &staged);
        let mut handed: Vec<(Priority, u64)> = lanes.chosen(staged).collect();
        let slices = lanes.slices(self.id, staged).map(<[u8]>::to_vec);
        let all = slices.concat();
        let written = all.len() * usize::from(take) / 255;
        let counts = lanes.commit(&mut self.id, log, staged, written, |_, _, times| told += times);
        assert_eq!(counts.bytes, written);
        lanes.tell(|_, _, times| told += times);
        assert_eq!(told, counts.frames, "every frame of which a byte was taken is told, once");
        handed.truncate(counts.frames as usize);
        for (lane, seq) in handed {
            let got = &mut self.got[lane as usize];
            assert!(got.last().is_none_or(|last| *last < seq), "in order and once");
            got.push(seq);
        }
        self.bytes.extend_from_slice(&all[..written]);
        settled
    }

    fn check_chosen(&self, lanes: &Lanes, log: &Log, staged: &Staged) {
        let chosen: Vec<(Priority, u64)> = lanes.chosen(*staged).collect();
        let matches = |(lane, seq): &(Priority, u64)| log.held(*lane, *seq).matches[self.definition];
        assert!(chosen.iter().all(matches), "the definition in force decides what is chosen");
        let lower = chosen.iter().position(|(lane, _)| *lane != Priority::Critical);
        if let Some(lower) = lower {
            let critical = Priority::Critical;
            let rest = &chosen[lower..];
            assert!(rest.iter().all(|(lane, _)| *lane != critical), "critical goes first");
            let last = chosen[..lower].last().map(|(_, seq)| *seq);
            let last = last.or(self.got[0].last().copied());
            let from = last.map_or(log.seq_above(critical, self.begin[0]), |seq| seq + 1);
            let owed = (from.max(log.first(critical))..log.end(critical)).find(|seq| {
                let logged = log.held(critical, *seq);
                self.due(logged) && logged.key.is_none()
            });
            assert_eq!(owed, None, "critical {owed:?} waits behind {chosen:?}");
        }
    }

    /// The frames that arrived whole, read back from the bytes.
    fn read(&self) -> [Vec<u64>; 4] {
        let mut lanes: [Vec<u64>; 4] = Default::default();
        let mut rest = self.bytes.as_slice();
        while 2 <= rest.len() {
            assert_eq!(rest[0], 0x81, "a frame begun is completed before anything else");
            let (header, len) = match rest[1] {
                126 if rest.len() < 4 => break,
                126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                len => (2, usize::from(len)),
            };
            let Some(payload) = rest.get(header..header + len) else { break };
            let text = std::str::from_utf8(payload).unwrap();
            let mut parts = text.split(':');
            let lane: usize = parts.next().unwrap().parse().unwrap();
            lanes[lane].push(parts.next().unwrap().parse().unwrap());
            rest = &rest[header + len..];
        }
        lanes
    }

    /// Whether an event that did not come need not: it lies in a gap, or a newer one of its key replaces it.
    fn is_excused(&self, log: &Log, lane: Priority, seq: usize) -> bool {
        let events = &log.lanes[lane as usize];
        let offset = events[seq].offset;
        let in_gap =
            |gap: &Gap| gap.lane == lane && (gap.after < offset || self.replaced) && offset <= gap.until;
        let replaces = |newer: &Logged| newer.key == events[seq].key && self.may_come(newer);
        self.gaps.iter().any(in_gap) || (events[seq].key.is_some() && events[seq + 1..].iter().any(replaces))
    }

    /// Nothing that lies at or below `upto` is missing; nothing came that must not.
    fn check(&self, log: &Log, upto: PerLane<Offset>) {
        for lane in Priority::ALL {
            for (seq, logged) in log.lanes[lane as usize].iter().enumerate() {
                let came = self.got[lane as usize].contains(&(seq as u64));
                let begun = self.begin[lane as usize] < logged.offset;
                if came {
                    assert!(begun && self.may_come(logged), "{lane} {seq} is not this connection's");
                } else if begun && self.due(logged) && logged.offset <= upto[lane] {
                    assert!(self.is_excused(log, lane, seq), "{lane} {seq} is lost: {self:?}");
                }
            }
        }
    }

    fn check_whole(&self, log: &Log) {
        assert_eq!(self.read(), self.got, "what was begun is completed");
        self.check(log, PerLane::from_fn(|_| Offset::MAX));
    }
}

fn drain(client: &mut Client, lanes: &mut Lanes, log: &Log) {
    for _ in 0..10_000 {
        client.poll(lanes, log, 300, 255);
        if client.id.is_idle() {
            return;
        }
    }
    panic!("lanes never come to rest");
}

fn is_empty(lanes: &Lanes, log: &Log) -> bool {
    lanes.states.iter().count() == 0
        && lanes.nodes.free() == lanes.nodes.len()
        && (lanes.waiting(log), lanes.slow()) == (PerLane::default(), 0)
}

/// Events queued in all lanes.
fn queued(waiting: &PerLane<Waiting>) -> u64 {
    waiting.iter().map(|(_, lane)| lane.queued).sum()
}

/// Events queued for one connection.
fn backlog(lanes: &Lanes, id: LanesId, log: &Log) -> u64 {
    queued(&lanes.backlog(id, log))
}

#[derive(Clone, Debug)]
enum Step {
    Append { lane: Priority, len: usize, key: Option<u8>, matches: [bool; 2] },
    Poll { client: usize, budget: usize, take: u8 },
    Replace(usize),
    Evict(Priority, usize),
    Reconnect(usize),
}

fn lane() -> impl Strategy<Value = Priority> {
    prop::sample::select(Priority::ALL.to_vec())
}

fn step(replace: u32) -> impl Strategy<Value = Step> {
    let len = prop_oneof![0..20usize, 0..20usize, 100..140usize];
    let key = prop::option::weighted(0.4, 0u8..3);
    let matches = prop::array::uniform2(prop::bool::weighted(0.8));
    prop_oneof![
        12 => (lane(), len, key, matches)
            .prop_map(|(lane, len, key, matches)| Step::Append { lane, len, key, matches }),
        6 => (0..CLIENTS, 1..400usize, prop_oneof![Just(255u8), any::<u8>()])
            .prop_map(|(client, budget, take)| Step::Poll { client, budget, take }),
        replace => (0..CLIENTS).prop_map(Step::Replace),
        1 => (lane(), 1..6usize).prop_map(|(lane, count)| Step::Evict(lane, count)),
        1 => (0..CLIENTS).prop_map(Step::Reconnect),
    ]
}

/// Takes up where the client's last connection ended.
fn reconnect(client: &mut Client, lanes: &mut Lanes, log: &Log) {
    client.check(log, lanes.position(client.id, log));
    lanes.release(&mut client.id);
    let whole = client.read();
    client.bytes.clear();
    let mut next = Client { definition: client.definition, ..Client::new(Offset::ZERO) };
    for priority in Priority::ALL {
        let lane = priority as usize;
        // What was cut off in the middle never arrived.
        let last = whole[lane].last().map(|seq| log.lanes[lane][usize::try_from(*seq).unwrap()].offset);
        let told = client.gaps.iter().filter(|gap| gap.lane == priority).map(|gap| gap.until).max();
        let mut after = client.begin[lane].max(last.unwrap_or_default()).max(told.unwrap_or_default());
        next.begin[lane] = after;
        if after < log.evicted(priority) {
            next.gaps.push(Gap { lane: priority, after, until: log.evicted(priority) });
            after = log.evicted(priority);
        }
        lanes.resume(&mut next.id, priority, after, log);
    }
    *client = next;
}

fn run(steps: Vec<Step>) {
    let mut lanes = lanes_with(settings());
    let mut log = Log::default();
    let mut clients: [Client; CLIENTS] = std::array::from_fn(|_| Client::new(Offset::ZERO));
    for step in steps {
        match step {
            Step::Append { lane, len, key, matches } => {
                let seq = log.append(lane, len, key, matches);
                for client in clients.iter_mut().filter(|client| matches[client.definition]) {
                    lanes.push(&mut client.id, lane, seq, &log);
                    lanes.push(&mut client.id, lane, seq, &log);
                }
            }
            Step::Poll { client, budget, take } => {
                let client = &mut clients[client];
                client.poll(&mut lanes, &log, budget, take);
                client.check(&log, lanes.position(client.id, &log));
            }
            Step::Replace(client) => {
                clients[client].definition ^= 1;
                clients[client].replaced = true;
                lanes.rewind(&mut clients[client].id, &log);
            }
            Step::Evict(lane, count) => log.evict(lane, count),
            Step::Reconnect(client) => reconnect(&mut clients[client], &mut lanes, &log),
        }
        let sum = |lane: Priority, of: fn(&Waiting) -> u64| -> u64 {
            clients.iter().map(|client| of(&lanes.backlog(client.id, &log)[lane])).sum()
        };
        let summed = PerLane::from_fn(|lane| Waiting {
            queued: sum(lane, |waiting| waiting.queued),
            catch_up: sum(lane, |waiting| waiting.catch_up),
            behind: sum(lane, |waiting| waiting.behind),
        });
        assert_eq!(lanes.waiting(&log), summed);
        let slow = clients.iter().filter(|client| lanes.is_behind(client.id)).count() as u64;
        assert_eq!(lanes.slow(), slow);
        let full = |lane: &Lane| QUEUE < lane.queue.len();
        assert!(!lanes.states.iter().any(|state| state.lanes.iter().any(full)), "a queue is bounded");
    }
    for client in &mut clients {
        drain(client, &mut lanes, &log);
        client.check_whole(&log);
    }
    assert!(is_empty(&lanes, &log), "what is idle holds nothing");
}

proptest! {
    #[test]
    fn whatever_happens_each_lane_arrives_in_order_once_and_whole_save_gaps_and_conflation(
        steps in prop::collection::vec(step(0), 0..120)
    ) {
        run(steps);
    }

    #[test]
    fn a_replaced_definition_alone_decides_what_is_not_yet_staged(
        steps in prop::collection::vec(step(2), 0..120)
    ) {
        run(steps);
    }

    #[test]
    fn bytes_of_the_three_lanes_are_shared_by_weight_whatever_the_budget(
        budget in 1..500usize, takes in prop::collection::vec(64u8.., 1..8), lens in prop::array::uniform3(1..400usize)
    ) {
        let mut lanes = lanes_with(LaneSettings { queue: 64, scan: 512, ..settings() });
        let mut log = Log::default();
        for (lane, len) in Priority::ALL.into_iter().skip(1).zip(lens) {
            (0..60_000 / (len + 6)).for_each(|_| { log.append(lane, len, None, [true; 2]); });
        }
        let mut client = Client::new(Offset::ZERO);
        for lane in Priority::ALL {
            lanes.resume(&mut client.id, lane, Offset::ZERO, &log);
        }
        let mut takes = takes.into_iter().cycle();
        while client.bytes.len() < 40_000 {
            client.poll(&mut lanes, &log, budget, takes.next().unwrap());
        }
        let sent = |lane: usize| {
            let frames = client.got[lane].iter().map(|seq| log.lanes[lane][usize::try_from(*seq).unwrap()].frame.len());
            frames.sum::<usize>() as f64
        };
        for (lane, share) in [(1, 8.0), (2, 4.0), (3, 1.0)] {
            let fair = 40_000.0 * share / 13.0;
            prop_assert!((sent(lane) - fair).abs() < 1_500.0, "lane {lane} got {} of {fair}", sent(lane));
        }
    }
}

#[test]
fn critical_overtakes_everything_but_the_frame_begun() {
    let (mut lanes, mut log, mut client) =
        (lanes_with(settings()), Log::default(), Client::new(Offset::ZERO));
    for lane in [Priority::Low, Priority::Low, Priority::High] {
        let seq = log.append(lane, 50, None, [true; 2]);
        lanes.push(&mut client.id, lane, seq, &log);
    }
    client.poll(&mut lanes, &log, 10, 128);
    assert_eq!(client.got.each_ref().map(Vec::len), [0, 1, 0, 0], "half of the first frame is taken");
    let seq = log.append(Priority::Critical, 5, None, [true; 2]);
    lanes.push(&mut client.id, Priority::Critical, seq, &log);
    let staged = lanes.stage(client.id, &log, 1000, |_, _, _| {});
    let order: Vec<Priority> = lanes.chosen(staged).map(|(lane, _)| lane).collect();
    assert_eq!(order, [Priority::Critical, Priority::Low, Priority::Low]);
    drain(&mut client, &mut lanes, &log);
    client.check_whole(&log);
}

#[test]
fn nothing_overtakes_critical_while_it_catches_up() {
    // Given more of critical in history than one scan looks at, and something in every other lane.
    let (mut lanes, mut log, mut client) =
        (lanes_with(settings()), Log::default(), Client::new(Offset::ZERO));
    for number in 0..4 * SCAN {
        log.append(Priority::Critical, 5, None, [number % SCAN == 0; 2]);
    }
    log.append(Priority::High, 5, None, [true; 2]);
    for lane in Priority::ALL {
        lanes.resume(&mut client.id, lane, Offset::ZERO, &log);
    }
    // When it catches up with a budget for everything, then all of critical goes first.
    while client.got[1].is_empty() {
        client.poll(&mut lanes, &log, 100_000, 255);
    }
    assert_eq!(client.got[0].len(), 4);
}

#[test]
fn what_one_lane_has_to_look_at_keeps_no_other_waiting() {
    // Given lanes that have much to look at before the first event that matches.
    let (mut lanes, mut log, mut client) =
        (lanes_with(settings()), Log::default(), Client::new(Offset::ZERO));
    for lane in [Priority::High, Priority::Normal] {
        (0..1_000).for_each(|_| {
            log.append(lane, 5, None, [false; 2]);
        });
    }
    (0..5).for_each(|_| {
        log.append(Priority::Low, 5, None, [false; 2]);
    });
    log.append(Priority::Low, 5, None, [true; 2]);
    for lane in Priority::ALL {
        lanes.resume(&mut client.id, lane, Offset::ZERO, &log);
    }
    // When it catches up, then the third lane gets its share of each poll.
    let polls = (1..).find(|_| {
        client.poll(&mut lanes, &log, 100_000, 255);
        !client.got[3].is_empty()
    });
    assert!(polls.unwrap() <= 6, "{polls:?}");
    drain(&mut client, &mut lanes, &log);
    client.check_whole(&log);
}

#[test]
fn connections_with_equal_queues_are_served_from_the_same_bytes() {
    let (mut lanes, mut log) = (lanes_with(settings()), Log::default());
    let mut ids = [LanesId::default(); 3];
    for lane in [Priority::Normal, Priority::High] {
        let seq = log.append(lane, 20, None, [true; 2]);
        ids.iter_mut().take(2).for_each(|id| lanes.push(id, lane, seq, &log));
    }
    lanes.push(&mut ids[2], Priority::High, 0, &log);
    let bytes = |lanes: &mut Lanes, id| {
        let staged = lanes.stage(id, &log, 4096, |_, _, _| {});
        lanes.slices(id, staged)[1].as_ptr()
    };
    let first = bytes(&mut lanes, ids[0]);
    assert_eq!(first, bytes(&mut lanes, ids[1]), "one run of bytes serves the group");
    assert_ne!(first, bytes(&mut lanes, ids[2]));
    assert_eq!(
        bytes(&mut lanes, ids[2]),
        log.frame(Priority::High, 0).bytes().as_ptr(),
        "one frame is not copied"
    );
}

#[test]
fn what_waits_for_many_is_kept_once_until_one_of_them_goes_its_own_way() {
    // Given three connections that are told of the same events, and one that is told of less.
    let (mut lanes, mut log) = (lanes_with(settings()), Log::default());
    let mut ids = [LanesId::default(); 4];
    for (lane, told) in [(Priority::Normal, 3), (Priority::High, 4), (Priority::Normal, 3)] {
        let seq = log.append(lane, 20, None, [true; 2]);
        ids.iter_mut().take(told).for_each(|id| lanes.push(id, lane, seq, &log));
    }
    let states = |lanes: &Lanes| lanes.states.iter().count();
    assert_eq!((states(&lanes), queued(&lanes.waiting(&log))), (2, 10));
    // When one takes a part, another everything, and the third is gone.
    let take = |lanes: &mut Lanes, id: &mut LanesId, part: usize| {
        let staged = lanes.stage(*id, &log, 4096, |_, _, _| {});
        let all = lanes.slices(*id, staged)[1].len();
        lanes.commit(id, &log, staged, all / part, |_, _, _| {}).frames
    };
    assert_eq!(take(&mut lanes, &mut ids[0], 2), 2);
    assert_eq!((states(&lanes), queued(&lanes.waiting(&log)), backlog(&lanes, ids[0], &log)), (3, 8, 1));
    assert_eq!(backlog(&lanes, ids[1], &log), 3, "what is left for one is not what is left for the others");
    assert_eq!(take(&mut lanes, &mut ids[1], 1), 3);
    lanes.release(&mut ids[2]);
    // Then nothing is kept but for those that still wait.
    assert_eq!((states(&lanes), queued(&lanes.waiting(&log))), (2, 2));
    assert_eq!(take(&mut lanes, &mut ids[3], 1), 1);
    lanes.release(&mut ids[0]);
    assert!(is_empty(&lanes, &log));
}

#[test]
fn what_a_group_took_is_told_once_with_its_number() {
    let (mut lanes, mut log) = (lanes_with(settings()), Log::default());
    let mut ids = [LanesId::default(); 3];
    for _ in 0..2 {
        let seq = log.append(Priority::Normal, 20, None, [true; 2]);
        ids.iter_mut().for_each(|id| lanes.push(id, Priority::Normal, seq, &log));
    }
    for id in &mut ids {
        let staged = lanes.stage(*id, &log, 4096, |_, _, _| {});
        let all = lanes.slices(*id, staged)[1].len();
        lanes.commit(id, &log, staged, all, |_, _, _| panic!("a plan taken whole is told later"));
    }
    let mut told = Vec::new();
    lanes.tell(|lane, seq, times| told.push((lane, seq, times)));
    lanes.tell(|_, _, _| panic!("nothing is told twice"));
    assert_eq!(told, [(Priority::Normal, 0, 3), (Priority::Normal, 1, 3)]);
}

#[test]
fn a_lagging_lane_is_reduced_to_the_newest_of_each_key() {
    let (mut lanes, mut log, mut client) =
        (lanes_with(settings()), Log::default(), Client::new(Offset::ZERO));
    for number in 0..40 {
        let seq = log.append(Priority::Low, 5, Some(number % 2), [true; 2]);
        lanes.push(&mut client.id, Priority::Low, seq, &log);
    }
    assert!(!lanes.is_behind(client.id), "what conflates needs no history");
    drain(&mut client, &mut lanes, &log);
    client.check_whole(&log);
    assert!(client.gaps.is_empty() && client.got[3].len() <= QUEUE as usize);
    assert_eq!(client.got[3].last_chunk(), Some(&[38, 39]));
    assert_eq!(lanes.conflated(), 40 - client.got[3].len() as u64);
}

#[test]
fn only_what_left_history_becomes_a_gap() {
    let (mut lanes, mut log, mut client) =
        (lanes_with(settings()), Log::default(), Client::new(Offset::ZERO));
    for _ in 0..20 {
        let seq = log.append(Priority::Normal, 5, None, [true; 2]);
        lanes.push(&mut client.id, Priority::Normal, seq, &log);
    }
    log.evict(Priority::Normal, 2);
    drain(&mut client, &mut lanes, &log);
    let until = log.lanes[2][1].offset;
    assert_eq!(client.gaps, [Gap { lane: Priority::Normal, after: log.lanes[2][0].offset.prev(), until }]);
    assert_eq!(client.got[2], Vec::from_iter(2..20));
}
