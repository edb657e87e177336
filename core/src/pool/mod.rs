//! The instances of hubs behind one acceptor: where a connection goes, who is trusted, who is emptied,
//! who gives connections away.
//!
//! The rule it keeps: nothing is placed on an instance that is not ready, every drain ends, and
//! rebalancing sheds a bounded number of connections for each cause.

mod config;
mod instance;
mod rebalance;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::num::NonZeroU32;

use crate::rng::Rng;
use crate::time::{Instant, Now};
pub use config::{Health, InstanceId, PoolConfig, PoolError, PoolInput, PoolOutput};
use instance::{Drain, Instance, Standing};
use rebalance::Rebalance;

/// The machine that spreads connections over instances.
///
/// - Mutators: [`Pool::join`], [`Pool::place`].
/// - From outside: [`Pool::handle`].
/// - To outside: [`Pool::poll_output`], [`Pool::poll_timeout`].
///
/// ```
/// use std::num::NonZeroU32;
/// use tidings_core::pool::{Health, Pool, PoolConfig, PoolInput};
/// use tidings_core::time::Now;
///
/// let (mut pool, now) = (Pool::new(PoolConfig::default(), [7; 32]), Now::default());
/// let instance = pool.join(now, NonZeroU32::MIN)?;
/// assert_eq!(pool.place(now), None);
///
/// pool.handle(now, PoolInput::Report { instance, health: Health::Ready, open: 0, accepted: 0 });
/// assert_eq!(pool.place(now), Some(instance));
/// # Ok::<(), tidings_core::pool::PoolError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pool {
    config: PoolConfig,
    rng: Rng,
    next_id: u64,
    /// Sorted by id: ids ascend and joiners go to the end.
    instances: Vec<Instance>,
    rebalance: Rebalance,
    outputs: VecDeque<PoolOutput>,
}

impl Pool {
    /// An empty pool, whose choices follow from `seed`.
    #[must_use]
    pub fn new(config: PoolConfig, seed: [u8; 32]) -> Self {
        Self {
            config: config.sane(),
            rng: Rng::new(seed),
            next_id: 0,
            instances: Vec::new(),
            rebalance: Rebalance::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Adds an instance that takes connections in proportion to `weight` once it has reported ready.
    ///
    /// # Errors
    /// [`PoolError::Full`] at the bound of the configuration.
    pub fn join(&mut self, now: Now, weight: NonZeroU32) -> Result<InstanceId, PoolError> {
        let leaving = self.outputs.iter().filter(|output| matches!(output, PoolOutput::Removed { .. }));
        if self.config.instances_max <= self.instances.len() + leaving.count() {
            return Err(PoolError::Full(self.config.instances_max));
        }
        let id = InstanceId(self.next_id);
        self.next_id += 1;
        self.instances.push(Instance::new(id, weight, now.instant + self.config.health_timeout));
        Ok(id)
    }

    /// Where the next connection goes, and counts it there; none while no instance is ready.
    ///
    /// The less loaded by weight of two, both drawn by weight. While shed connections are on their way
    /// back, the second is the least loaded of all, so that they do not return whence they came.
    pub fn place(&mut self, now: Now) -> Option<InstanceId> {
        let first = self.draw(now.instant, None)?;
        let second = if 0 < self.rebalance.returning.total() {
            self.rebalance.returning.settle(1);
            self.least_loaded(now.instant)
        } else {
            self.draw(now.instant, Some(first))
        };
        let chosen = match second {
            Some(second) if self.is_less_loaded(second, first) => second,
            _ => first,
        };
        self.instances[chosen].place();
        self.rebalance.wake(now.instant);
        Some(self.instances[chosen].id)
    }

    /// Takes in what happened outside.
    pub fn handle(&mut self, now: Now, input: PoolInput) {
        let now = now.instant;
        match input {
            PoolInput::Report { instance, health, open, accepted } => {
                if let Some(index) = self.find(instance) {
                    self.report(now, index, health, open, accepted);
                }
            }
            PoolInput::HandoverFailed { instance } => {
                if let Some(index) = self.find(instance) {
                    self.instances[index].unplace();
                }
            }
            PoolInput::Drain { instance } => {
                if let Some(index) = self.find(instance) {
                    self.drain(now, index);
                }
            }
            PoolInput::Remove { instance } => {
                if let Some(index) = self.find(instance) {
                    self.remove(now, index);
                }
            }
            PoolInput::Timeout => self.timeout(now),
        }
    }

    /// The next thing for the shell to do; none when it has all.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<PoolOutput> {
        self.outputs.pop_front()
    }

    /// When [`PoolInput::Timeout`] is due at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.instances.iter().filter_map(deadline).chain(self.rebalance.next).min()
    }

    /// Connections that an instance has or that are on their way to it; none for one that is not here.
    #[must_use]
    pub fn load(&self, instance: InstanceId) -> Option<u64> {
        self.find(instance).map(|index| self.instances[index].load())
    }

    /// Whether connections are placed on an instance.
    #[must_use]
    pub fn is_ready(&self, now: Now, instance: InstanceId) -> bool {
        self.find(instance).is_some_and(|index| self.instances[index].may_serve(now.instant))
    }

    fn find(&self, id: InstanceId) -> Option<usize> {
        self.instances.binary_search_by_key(&id, |instance| instance.id).ok()
    }

    /// The index of a ready instance other than `except`, drawn by weight.
    fn draw(&mut self, now: Instant, except: Option<usize>) -> Option<usize> {
        let candidates = || {
            let ready = self.instances.iter().enumerate().filter(|(_, one)| one.may_serve(now));
            ready.filter(|(index, _)| Some(*index) != except)
        };
        let total = candidates().map(|(_, one)| u64::from(one.weight.get())).sum();
        let mut at = self.rng.below(total);
        for (index, one) in candidates() {
            let weight = u64::from(one.weight.get());
            if at < weight {
                return Some(index);
            }
            at -= weight;
        }
        None
    }

    fn least_loaded(&self, now: Instant) -> Option<usize> {
        let ready = (0..self.instances.len()).filter(|index| self.instances[*index].may_serve(now));
        ready.reduce(|best, index| if self.is_less_loaded(index, best) { index } else { best })
    }

    /// Whether one more connection would load `a` less than `b`, each by its weight.
    fn is_less_loaded(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.instances[a], &self.instances[b]);
        let scaled =
            |one: &Instance, other: &Instance| (u128::from(one.load()) + 1) * u128::from(other.weight.get());
        scaled(a, b) < scaled(b, a)
    }

    fn report(&mut self, now: Instant, index: usize, health: Health, open: u64, accepted: u64) {
        let health_timeout = self.config.health_timeout;
        let instance = &mut self.instances[index];
        instance.count(open, accepted);
        instance.health = health;
        instance.report_by = now + health_timeout;
        match instance.standing {
            Standing::Draining(_) if health == Health::Failed || instance.load() == 0 => {
                self.remove(now, index);
            }
            Standing::Draining(_) => {}
            Standing::Serving | Standing::Suspected if health == Health::Draining => self.drain(now, index),
            Standing::Suspected => {
                instance.standing = Standing::Serving;
                let instance = instance.id;
                self.tell(PoolOutput::Trusted { instance });
            }
            Standing::Serving => {}
        }
        self.rebalance.wake(now);
    }

    fn drain(&mut self, now: Instant, index: usize) {
        let config = &self.config;
        let instance = &mut self.instances[index];
        if matches!(instance.standing, Standing::Draining(_)) {
            return;
        }
        let batches = instance.load().div_ceil(config.drain_batch.get().into());
        let batches = u32::try_from(batches).unwrap_or(u32::MAX);
        let takes = config.drain_interval.saturating_mul(batches).saturating_add(config.drain_grace);
        instance.standing =
            Standing::Draining(Drain { owed: instance.load(), next: now, until: now + takes });
        let id = instance.id;
        self.tell(PoolOutput::Drain { instance: id });
        self.step_drain(now, index);
    }

    /// Tells the next batch to go, or removes the instance where it is empty or its time is over.
    fn step_drain(&mut self, now: Instant, index: usize) {
        let (batch, within) = (self.config.drain_batch.get(), self.config.drain_interval);
        let instance = &mut self.instances[index];
        let load = instance.load();
        let Standing::Draining(drain) = &mut instance.standing else { return };
        if load == 0 || drain.until <= now {
            return self.remove(now, index);
        }
        if now < drain.next {
            return;
        }
        let count = drain.owed.min(load).min(batch.into());
        drain.owed = drain.owed.min(load) - count;
        drain.next = if drain.owed == 0 { drain.until } else { now + within };
        let instance = instance.id;
        if 0 < count {
            self.tell(PoolOutput::Shed { instance, count, within });
        }
    }

    fn remove(&mut self, now: Instant, index: usize) {
        let gone = self.instances.remove(index);
        self.outputs.retain(|output| output.instance() != gone.id);
        self.outputs.push_back(PoolOutput::Removed { instance: gone.id, left: gone.load() });
        self.rebalance.wake(now);
    }

    fn timeout(&mut self, now: Instant) {
        // Backwards, because a drain's step may remove the instance at its index.
        for index in (0..self.instances.len()).rev() {
            let instance = &mut self.instances[index];
            if matches!(instance.standing, Standing::Draining(_)) {
                self.step_drain(now, index);
            } else if instance.is_watched() && instance.report_by <= now {
                instance.standing = Standing::Suspected;
                let instance = instance.id;
                self.tell(PoolOutput::Suspected { instance });
            }
        }
        if self.rebalance.next.is_some_and(|next| next <= now) {
            let within = self.config.rebalance_interval / 2;
            for (instance, count) in self.rebalance.step(now, &self.config, &mut self.instances) {
                self.tell(PoolOutput::Shed { instance, count, within });
            }
        }
    }

    /// Queues an output. An instance has at most one of each kind waiting, so the queue is bounded by the
    /// number of instances: counts add up, and of trust only the last word stands.
    fn tell(&mut self, output: PoolOutput) {
        let id = output.instance();
        match output {
            PoolOutput::Suspected { .. } | PoolOutput::Trusted { .. } => {
                self.outputs.retain(|waiting| {
                    let trust = matches!(waiting, PoolOutput::Suspected { .. } | PoolOutput::Trusted { .. });
                    !(trust && waiting.instance() == id)
                });
            }
            PoolOutput::Shed { count: more, within: newer, .. } => {
                let waiting = self.outputs.iter_mut().find_map(|waiting| match waiting {
                    PoolOutput::Shed { instance, count, within } if *instance == id => Some((count, within)),
                    _ => None,
                });
                if let Some((count, within)) = waiting {
                    *count = count.saturating_add(more);
                    *within = newer;
                    return;
                }
            }
            PoolOutput::Drain { .. } | PoolOutput::Removed { .. } => {}
        }
        self.outputs.push_back(output);
    }
}

/// When an instance wants to be looked at.
fn deadline(instance: &Instance) -> Option<Instant> {
    match instance.standing {
        Standing::Draining(drain) => Some(drain.next.min(drain.until)),
        _ => instance.is_watched().then_some(instance.report_by),
    }
}
