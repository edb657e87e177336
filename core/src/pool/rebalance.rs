//! When and what to shed. Rebalancing begins at one skew and ends at a smaller one, and between the two
//! it sheds at most what stood above the shares when it began: it cannot feed itself.

use super::config::{InstanceId, PoolConfig};
use super::instance::{Instance, Pending};
use crate::time::Instant;

/// The state of rebalancing, between steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Rebalance {
    /// What may still be shed since rebalancing began; none while it rests.
    budget: Option<u64>,
    /// When to look next; none while nothing has changed since the last look.
    pub(super) next: Option<Instant>,
    /// No step comes before.
    not_before: Instant,
    /// Shed connections that have not been placed again.
    pub(super) returning: Pending,
}

/// One ready instance in numbers.
struct Portion {
    id: InstanceId,
    weight: u128,
    load: u64,
    staying: u64,
    /// Its part of all connections by weight, rounded down and up.
    share: (u64, u64),
}

impl Portion {
    fn excess(&self) -> u64 {
        self.staying.saturating_sub(self.share.1)
    }

    fn deficit(&self) -> u64 {
        self.share.0.saturating_sub(self.load)
    }

    fn is_skewed(&self, percent: u32, slack: u64) -> bool {
        let (percent, staying, load) = (u128::from(percent), u128::from(self.staying), u128::from(self.load));
        let over = slack <= self.excess() && percent * u128::from(self.share.1) < staying * 100;
        let under = slack <= self.deficit() && load * percent < u128::from(self.share.0) * 100;
        over || under
    }
}

impl Rebalance {
    /// Something changed: look as soon as the interval allows.
    pub(super) fn wake(&mut self, now: Instant) {
        self.next.get_or_insert(now.max(self.not_before));
    }

    /// Looks at the ready ones, and says what each is to shed, the most loaded first.
    pub(super) fn step(
        &mut self,
        now: Instant,
        config: &PoolConfig,
        instances: &mut [Instance],
    ) -> Vec<(InstanceId, u64)> {
        self.not_before = now + config.rebalance_interval;
        self.returning.turn();
        instances.iter_mut().for_each(|instance| instance.told.turn());
        let mut portions = portions(now, instances, self.returning.total());

        let slack = u64::from(config.skew_slack.max(1));
        if self.budget.is_none() && is_skewed(&portions, config.skew_start_percent.get(), slack) {
            self.budget = Some(portions.iter().map(Portion::excess).sum());
        }
        if !is_skewed(&portions, config.skew_stop_percent.get(), 1) {
            self.budget = None;
        }
        let sheds = self.budget.map_or_else(Vec::new, |budget| {
            let missing: u64 = portions.iter().map(Portion::deficit).sum();
            let missing = missing.saturating_sub(self.returning.total());
            choose(&mut portions, budget.min(missing).min(config.rebalance_batch.get().into()))
        });
        let count: u64 = sheds.iter().map(|(_, count)| count).sum();
        self.returning.add(count);
        for instance in instances.iter_mut() {
            let told = sheds.iter().find(|(id, _)| *id == instance.id);
            instance.told.add(told.map_or(0, |(_, count)| *count));
        }
        let waits = 0 < self.returning.total() || instances.iter().any(|one| 0 < one.told.total());
        self.budget = self.budget.map(|budget| budget - count).filter(|budget| 0 < *budget && waits);
        self.next = waits.then_some(self.not_before);
        sheds
    }
}

fn is_skewed(portions: &[Portion], percent: u32, slack: u64) -> bool {
    portions.iter().any(|portion| portion.is_skewed(percent, slack))
}

/// The ready instances with their shares of what they have and of what is on its way back.
fn portions(now: Instant, instances: &[Instance], returning: u64) -> Vec<Portion> {
    let ready: Vec<_> = instances.iter().filter(|instance| instance.may_serve(now)).collect();
    let weights: u128 = ready.iter().map(|instance| u128::from(instance.weight.get())).sum();
    let total: u128 = ready.iter().map(|instance| u128::from(instance.staying())).sum();
    let total = total + u128::from(returning);
    let portion = |instance: &&Instance| {
        let weight = u128::from(instance.weight.get());
        let narrow = |share: u128| u64::try_from(share).unwrap_or(u64::MAX);
        let share = (total * weight / weights, (total * weight).div_ceil(weights));
        Portion {
            id: instance.id,
            weight,
            load: instance.load(),
            staying: instance.staying(),
            share: (narrow(share.0), narrow(share.1)),
        }
    };
    ready.iter().map(portion).collect()
}

/// Distributes `count` over what stands above its share, the most loaded by weight first.
fn choose(portions: &mut [Portion], mut count: u64) -> Vec<(InstanceId, u64)> {
    portions.sort_by(|a, b| {
        (u128::from(b.staying) * a.weight).cmp(&(u128::from(a.staying) * b.weight)).then(a.id.cmp(&b.id))
    });
    let mut sheds = Vec::new();
    for portion in portions.iter() {
        let shed = portion.excess().min(count);
        if 0 < shed {
            sheds.push((portion.id, shed));
            count -= shed;
        }
    }
    sheds
}
