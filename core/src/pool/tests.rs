//! The pool's rules, singly and for random sequences of joins, leaves and loads in a small world of
//! instances and connections under virtual time.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::rng::Rng;

const MS: Duration = Duration::from_millis(1);

fn weight(weight: u32) -> NonZeroU32 {
    NonZeroU32::new(weight).unwrap()
}

fn at(millis: u64) -> Now {
    Now { instant: Instant::from_micros(millis * 1000), ..Now::default() }
}

fn report(instance: InstanceId, health: Health, open: u64, accepted: u64) -> PoolInput {
    PoolInput::Report { instance, health, open, accepted }
}

fn ready(pool: &mut Pool, now: Now, weights: &[u32]) -> Vec<InstanceId> {
    let join = |w: &u32| {
        let id = pool.join(now, weight(*w)).unwrap();
        pool.handle(now, report(id, Health::Ready, 0, 0));
        id
    };
    weights.iter().map(join).collect()
}

fn outputs(pool: &mut Pool) -> Vec<PoolOutput> {
    std::iter::from_fn(|| pool.poll_output()).collect()
}

#[test]
fn nothing_is_placed_before_an_instance_is_ready_nor_after_it_failed() {
    let mut pool = Pool::new(PoolConfig::default(), [1; 32]);
    let id = pool.join(at(0), weight(1)).unwrap();
    assert_eq!(pool.place(at(0)), None);

    for (health, place) in [(Health::Loading, None), (Health::Ready, Some(id)), (Health::Failed, None)] {
        pool.handle(at(1), report(id, health, 0, 0));
        assert_eq!(pool.place(at(1)), place, "{health:?}");
    }
}

#[test]
fn a_silent_instance_is_suspected_until_it_reports() {
    let mut pool = Pool::new(PoolConfig::default(), [1; 32]);
    let id = ready(&mut pool, at(0), &[1])[0];

    assert_eq!(pool.place(at(5000)), None, "even before the timeout is handled");
    pool.handle(at(5000), PoolInput::Timeout);
    assert_eq!(outputs(&mut pool), [PoolOutput::Suspected { instance: id }]);
    assert_eq!(pool.place(at(5001)), None);

    pool.handle(at(6000), report(id, Health::Ready, 0, 0));
    assert_eq!(outputs(&mut pool), [PoolOutput::Trusted { instance: id }]);
    assert_eq!(pool.place(at(6000)), Some(id));
}

#[test]
fn a_load_counts_what_is_on_its_way_and_forgets_it_with_the_hub() {
    let mut pool = Pool::new(PoolConfig::default(), [1; 32]);
    let id = ready(&mut pool, at(0), &[1])[0];
    for _ in 0..5 {
        pool.place(at(0));
    }
    pool.handle(at(1), report(id, Health::Ready, 2, 3));
    assert_eq!(pool.load(id), Some(4), "two open, two on their way");

    pool.handle(at(1), PoolInput::HandoverFailed { instance: id });
    assert_eq!(pool.load(id), Some(3));

    pool.handle(at(2), report(id, Health::Ready, 0, 0));
    assert_eq!(pool.load(id), Some(1), "a new hub has nothing of the old one");
}

#[test]
fn a_drain_tells_its_batches_at_intervals_and_ends_when_the_last_has_gone() {
    let config = PoolConfig { drain_batch: weight(2), ..PoolConfig::default() };
    let within = config.drain_interval;
    let mut pool = Pool::new(config, [1; 32]);
    let id = ready(&mut pool, at(0), &[1])[0];
    pool.handle(at(0), report(id, Health::Ready, 3, 3));

    pool.handle(at(0), PoolInput::Drain { instance: id });
    let shed = |count| PoolOutput::Shed { instance: id, count, within };
    assert_eq!(outputs(&mut pool), [PoolOutput::Drain { instance: id }, shed(2)]);
    assert_eq!(pool.place(at(0)), None);

    pool.handle(at(999), PoolInput::Timeout);
    assert_eq!(outputs(&mut pool), []);
    pool.handle(at(1000), PoolInput::Timeout);
    assert_eq!(outputs(&mut pool), [shed(1)]);

    pool.handle(at(1500), report(id, Health::Draining, 0, 3));
    assert_eq!(outputs(&mut pool), [PoolOutput::Removed { instance: id, left: 0 }]);
}

#[test]
fn connections_that_do_not_go_do_not_hold_up_a_drain() {
    let mut pool = Pool::new(PoolConfig::default(), [1; 32]);
    let id = ready(&mut pool, at(0), &[1])[0];
    pool.handle(at(0), report(id, Health::Draining, 3, 3));

    while let Some(due) = pool.poll_timeout() {
        pool.handle(Now { instant: due, ..Now::default() }, PoolInput::Timeout);
    }

    assert!(outputs(&mut pool).contains(&PoolOutput::Removed { instance: id, left: 3 }));
}

#[test]
fn a_removed_instance_holds_its_place_until_the_shell_knows() {
    let mut pool = Pool::new(PoolConfig { instances_max: 1, ..PoolConfig::default() }, [1; 32]);
    let id = pool.join(at(0), weight(1)).unwrap();
    assert_eq!(pool.join(at(0), weight(1)), Err(PoolError::Full(1)));
    pool.handle(at(0), PoolInput::Remove { instance: id });
    assert_eq!(pool.join(at(0), weight(1)), Err(PoolError::Full(1)));
    assert_eq!(outputs(&mut pool), [PoolOutput::Removed { instance: id, left: 0 }]);
    assert_ne!(pool.join(at(0), weight(1)), Ok(id));
}

#[test]
fn a_joiner_is_filled_to_its_share_with_as_many_sheds_as_it_takes() {
    let mut world = World::new(PoolConfig::default(), 3);
    for _ in 0..4 {
        world.join(1);
    }
    world.arrive(4000);
    world.run(20);
    assert_eq!(world.shed, 0, "equal loads are left alone");

    let joiner = world.join(1);
    world.run(600);

    assert!((700..=800).contains(&world.shed), "shed {}", world.shed);
    let load = world.pool.load(joiner).unwrap();
    assert!((700..=810).contains(&load), "the joiner has {load}");
}

/// Instances that report, and connections that go where they are placed and go when they are told.
struct World {
    pool: Pool,
    rng: Rng,
    millis: u64,
    members: BTreeMap<InstanceId, Member>,
    /// Shed connections: when each goes and from where, and when it returns.
    going: Vec<(u64, InstanceId)>,
    returning: Vec<u64>,
    shed: u64,
    removed: usize,
}

#[derive(Default)]
struct Member {
    open: u64,
    accepted: u64,
    silent: bool,
    draining: bool,
}

impl World {
    const STEP: u64 = 500;

    fn new(config: PoolConfig, seed: u8) -> Self {
        Self {
            pool: Pool::new(config, [seed; 32]),
            rng: Rng::new([seed ^ 0xff; 32]),
            millis: 0,
            members: BTreeMap::new(),
            going: Vec::new(),
            returning: Vec::new(),
            shed: 0,
            removed: 0,
        }
    }

    fn now(&self) -> Now {
        at(self.millis)
    }

    fn join(&mut self, w: u32) -> InstanceId {
        let id = self.pool.join(self.now(), weight(w)).unwrap();
        self.members.insert(id, Member::default());
        id
    }

    fn arrive(&mut self, count: u64) {
        self.report();
        (0..count).for_each(|_| self.connect());
    }

    fn connect(&mut self) {
        let now = self.now();
        match self.pool.place(now) {
            Some(id) => {
                assert!(self.pool.is_ready(now, id), "placed on one that is not ready");
                let member = self.members.get_mut(&id).unwrap();
                assert!(!member.draining, "placed on one that drains");
                member.open += 1;
                member.accepted += 1;
            }
            None => self.returning.push(self.millis + Self::STEP),
        }
    }

    fn report(&mut self) {
        let now = self.now();
        for (id, member) in &self.members {
            if !member.silent {
                self.pool.handle(now, report(*id, Health::Ready, member.open, member.accepted));
            }
        }
    }

    fn nth(&self, index: u8) -> Option<InstanceId> {
        let count = self.members.len().max(1);
        self.members.keys().nth(usize::from(index) % count).copied()
    }

    /// One step of half a second.
    fn step(&mut self) {
        self.millis += Self::STEP;
        let millis = self.millis;
        let (gone, stay) = std::mem::take(&mut self.going).into_iter().partition(|(due, _)| *due <= millis);
        self.going = stay;
        let gone: Vec<(u64, InstanceId)> = gone;
        for (_, id) in gone {
            if let Some(member) = self.members.get_mut(&id)
                && 0 < member.open
            {
                member.open -= 1;
                self.returning.push(millis + self.rng.below(600));
            }
        }
        self.report();
        let (back, wait): (Vec<u64>, _) =
            std::mem::take(&mut self.returning).into_iter().partition(|due| *due <= millis);
        self.returning = wait;
        back.iter().for_each(|_| self.connect());
        if self.pool.poll_timeout().is_some_and(|due| due <= self.now().instant) {
            self.pool.handle(self.now(), PoolInput::Timeout);
            assert!(self.pool.poll_timeout().is_none_or(|due| self.now().instant < due), "a timer stands");
        }
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(output) = self.pool.poll_output() {
            match output {
                PoolOutput::Shed { instance, count, within } => {
                    if !self.members[&instance].draining {
                        self.shed += count;
                    }
                    let spread = u64::try_from(within.as_millis()).unwrap();
                    for _ in 0..count {
                        self.going.push((self.millis + self.rng.below(spread), instance));
                    }
                }
                PoolOutput::Removed { instance, .. } => {
                    self.removed += 1;
                    let left = self.members.remove(&instance).unwrap().open;
                    (0..left).for_each(|_| self.returning.push(self.millis));
                }
                PoolOutput::Drain { instance } => {
                    self.members.get_mut(&instance).unwrap().draining = true;
                }
                PoolOutput::Suspected { .. } | PoolOutput::Trusted { .. } => {}
            }
        }
    }

    fn run(&mut self, steps: usize) {
        (0..steps).for_each(|_| self.step());
    }

    fn connections(&self) -> u64 {
        self.members.values().map(|member| member.open).sum::<u64>() + self.returning.len() as u64
    }
}

#[derive(Clone, Debug)]
enum Op {
    Join(u32),
    Drain(u8),
    Remove(u8),
    Silence(u8, bool),
    Arrive(u64),
    Leave(u8, u64),
    Run(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (1..4u32).prop_map(Op::Join),
        1 => any::<u8>().prop_map(Op::Drain),
        1 => any::<u8>().prop_map(Op::Remove),
        1 => any::<(u8, bool)>().prop_map(|(index, silent)| Op::Silence(index, silent)),
        3 => (1..400u64).prop_map(Op::Arrive),
        2 => (any::<u8>(), 1..300u64).prop_map(|(index, count)| Op::Leave(index, count)),
        4 => (1..30usize).prop_map(Op::Run),
    ]
}

fn apply(world: &mut World, op: &Op) {
    match *op {
        Op::Join(weight) if world.members.len() < 12 => {
            world.join(weight);
        }
        Op::Join(_) => {}
        Op::Drain(index) => {
            if let Some(instance) = world.nth(index) {
                world.pool.handle(world.now(), PoolInput::Drain { instance });
                world.obey();
            }
        }
        Op::Remove(index) => {
            if let Some(instance) = world.nth(index) {
                world.pool.handle(world.now(), PoolInput::Remove { instance });
                world.obey();
            }
        }
        Op::Silence(index, silent) => {
            if let Some(instance) = world.nth(index) {
                world.members.get_mut(&instance).unwrap().silent = silent;
            }
        }
        Op::Arrive(count) => world.arrive(count),
        Op::Leave(index, count) => {
            if let Some(instance) = world.nth(index) {
                let member = world.members.get_mut(&instance).unwrap();
                member.open = member.open.saturating_sub(count);
            }
        }
        Op::Run(steps) => world.run(steps),
    }
}

fn config() -> PoolConfig {
    PoolConfig { skew_slack: 10, drain_batch: weight(100), ..PoolConfig::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn equal_weights_get_equal_loads(seed: [u8; 32], count in 1..20usize, placements in 1..3000u64) {
        let mut pool = Pool::new(PoolConfig::default(), seed);
        let ids = ready(&mut pool, at(0), &vec![1; count]);
        for _ in 0..placements {
            pool.place(at(0)).unwrap();
        }
        let loads: Vec<u64> = ids.iter().map(|id| pool.load(*id).unwrap()).collect();
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        prop_assert!(most - least <= 8, "{loads:?}");
    }

    #[test]
    fn loads_are_in_proportion_to_weights(
        seed: [u8; 32],
        weights in prop::collection::vec(1..20u32, 1..10),
    ) {
        let mut pool = Pool::new(PoolConfig::default(), seed);
        let ids = ready(&mut pool, at(0), &weights);
        let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
        for _ in 0..100 * total {
            pool.place(at(0)).unwrap();
        }
        for (id, weight) in ids.iter().zip(&weights) {
            let (load, share) = (pool.load(*id).unwrap(), 100 * u64::from(*weight));
            prop_assert!(load.abs_diff(share) <= share / 10 + 10, "{load} of {share}, {weights:?}");
        }
    }

    #[test]
    fn rebalancing_converges_and_drains_end_whatever_came_before(
        seed: u8,
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut world = World::new(config(), seed);
        for op in &ops {
            apply(&mut world, op);
        }

        // Everyone speaks again, what is under way arrives, and from here on nothing disturbs.
        world.members.values_mut().for_each(|member| member.silent = false);
        let (connections, before) = (world.connections(), world.shed);
        let under_way = world.going.len() as u64;
        world.run(600);
        let settled = world.shed;
        world.run(100);

        prop_assert!(world.members.values().all(|member| !member.draining), "a drain has not ended");
        prop_assert_eq!(world.shed, settled, "it still sheds");
        prop_assert!(settled - before <= connections + under_way, "shed more than there are");
        prop_assert_eq!(world.connections(), connections);
        let weights: u64 = world.members.keys().map(|id| weight_of(&world.pool, *id)).sum();
        for (id, member) in &world.members {
            let share = connections * weight_of(&world.pool, *id) / weights;
            let allowed = share * 30 / 100 + 20;
            prop_assert!(member.open.abs_diff(share) <= allowed, "{} of {share}", member.open);
        }
    }

    #[test]
    fn the_same_seed_and_inputs_give_the_same_pool(seed: u8, ops in prop::collection::vec(op(), 1..30)) {
        let run = || {
            let mut world = World::new(config(), seed);
            ops.iter().for_each(|op| apply(&mut world, op));
            (world.shed, world.removed, world.connections(), world.pool.poll_timeout())
        };
        prop_assert_eq!(run(), run());
    }
}

fn weight_of(pool: &Pool, id: InstanceId) -> u64 {
    pool.instances[pool.find(id).unwrap()].weight.get().into()
}

#[test]
fn a_late_step_of_a_drain_tells_one_batch_and_not_all_that_it_missed() {
    let config = PoolConfig { drain_batch: weight(1), drain_grace: 60_000 * MS, ..PoolConfig::default() };
    let mut pool = Pool::new(config, [1; 32]);
    let id = ready(&mut pool, at(0), &[1])[0];
    pool.handle(at(0), report(id, Health::Draining, 9, 9));
    outputs(&mut pool);

    pool.handle(at(8000), PoolInput::Timeout);

    assert!(matches!(outputs(&mut pool)[..], [PoolOutput::Shed { count: 1, .. }]));
}
