//! What an application on a client machine was told, over all its connections: every subscription sees each
//! matching event above its beginning once, in the order of its lane, save what a gap or a newer event of the
//! same key stands for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidings_core::PerLane;
use tidings_core::client::{About, ClientOutput, ClientState, GapReason, SubscriptionId};
use tidings_core::event::Priority;

use super::matching::Definition;
use super::session::{Reign, Session};
use super::truth::{Event, Life, Truth};
use super::{Invariant, LinkId, Violation};

#[derive(Debug)]
struct Subscription {
    definition: Definition,
    /// Where it began in the log's current life; none before it has.
    from: Option<u64>,
    got: BTreeSet<u64>,
    newest: PerLane<u64>,
}

/// An application with its client machine.
#[derive(Debug, Default)]
pub(super) struct App {
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    pub(super) link: Option<LinkId>,
    pub(super) state: Option<ClientState>,
    /// Which life of the log it is in.
    life: Option<usize>,
    /// Its tokens on connections that are over.
    reigns: Vec<Reign>,
    /// What its connections brought in the log's current life: also for a subscription that had ended meanwhile.
    heard: BTreeSet<u64>,
    gaps: Vec<(Priority, u64, u64)>,
}

impl App {
    pub(super) fn subscribe(&mut self, subscription: SubscriptionId, events: &Value, filter: &Value) {
        let definition = Definition::read(events, filter);
        let (got, newest) = (BTreeSet::new(), PerLane::default());
        self.subscriptions.insert(subscription, Subscription { definition, from: None, got, newest });
    }

    pub(super) fn unsubscribe(&mut self, subscription: SubscriptionId) {
        self.subscriptions.remove(&subscription);
    }

    /// It leaves a connection.
    pub(super) fn leave(&mut self, session: Option<&Session>) {
        self.reigns.extend(session.map(Session::past_reigns).unwrap_or_default());
    }

    /// It is connected to a hub that serves this life of the log.
    pub(super) fn enter(&mut self, life: usize) {
        if self.life != Some(life) {
            self.life = Some(life);
            self.reigns.clear();
            self.begin_anew();
        }
    }

    /// What was told before says nothing of what is told from here on.
    fn begin_anew(&mut self) {
        self.gaps.clear();
        self.heard.clear();
        for subscription in self.subscriptions.values_mut() {
            (subscription.got, subscription.newest) = (BTreeSet::new(), PerLane::default());
        }
    }

    /// A message has come to its client machine.
    pub(super) fn hear(&mut self, text: &str) {
        if let Ok(message) = serde_json::from_str::<Value>(text)
            && message["type"] == "event"
        {
            self.heard.extend(message["offset"].as_u64());
        }
    }

    pub(super) fn told(&mut self, truth: &Truth, output: &ClientOutput) -> Result<(), Violation> {
        match output {
            ClientOutput::State(state) => self.state = Some(*state),
            ClientOutput::Subscribed { subscription, offset } => {
                if let Some(subscription) = self.subscriptions.get_mut(subscription) {
                    subscription.from = Some(offset.get());
                }
            }
            ClientOutput::Error { about: About::Subscription(subscription), .. } => {
                self.subscriptions.remove(subscription);
            }
            ClientOutput::Gap { lane, after, until, reason } => match reason {
                GapReason::Expired => {
                    self.gaps.push((*lane, after.map_or(0, tidings_core::Offset::get), until.get()));
                }
                // Also where a hub of the same epoch has not heard of the position yet: then what is above the
                // gap comes again.
                GapReason::Epoch => {
                    self.begin_anew();
                    for subscription in self.subscriptions.values_mut().filter(|one| one.from.is_some()) {
                        subscription.from = Some(until.get());
                    }
                }
                GapReason::Other => {
                    let text = "a gap for a reason that the protocol does not have".to_owned();
                    return Err(Violation::new(Invariant::Legal, text));
                }
            },
            ClientOutput::Event { offset, lane, subscriptions, .. } => {
                self.event(truth, offset.get(), *lane, subscriptions)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn event(
        &mut self,
        truth: &Truth,
        offset: u64,
        lane: Priority,
        subscriptions: &[SubscriptionId],
    ) -> Result<(), Violation> {
        let broken = |invariant, text: String| {
            Err(Violation::new(invariant, format!("to an application, {offset} of lane {lane} {text}")))
        };
        let Some(event) = self.life.and_then(|life| truth.life(life).get(offset)) else {
            return broken(Invariant::Legal, "is not in the log".to_owned());
        };
        for (id, own) in &mut self.subscriptions {
            let due = own.from.is_some_and(|from| from < offset) && own.definition.matches(&event.value);
            if due != subscriptions.contains(id) {
                return broken(
                    Invariant::Complete,
                    format!("was not routed to those whom it concerns: {subscriptions:?}"),
                );
            }
            if !due {
                continue;
            }
            if !own.got.insert(offset) {
                return broken(Invariant::Once, "came twice".to_owned());
            }
            if offset <= own.newest[lane] {
                return broken(Invariant::Ordered, format!("came after {}", own.newest[lane]));
            }
            own.newest[lane] = offset;
        }
        Ok(())
    }

    /// Whether everything up to `end` has arrived, save what a token that was in force when it passed withheld.
    pub(super) fn check_whole(&self, truth: &Truth, session: &Session, end: u64) -> Result<(), Violation> {
        let Some(life) = self.life.map(|life| truth.life(life)) else { return Ok(()) };
        let mut reigns = [&self.reigns, session.reigns()].concat();
        for next in 1..reigns.len() {
            let (before, after) = reigns.split_at_mut(next);
            before[next - 1].last_until(&after[0]);
        }
        for own in self.subscriptions.values() {
            let Some(from) = own.from else { continue };
            let missing = life.between(from, end).iter().find(|event| {
                let withheld = reigns.iter().any(|reign| reign.withheld(event));
                own.definition.matches(&event.value)
                    && !withheld
                    && !own.got.contains(&event.offset)
                    && !self.is_covered(life, event)
            });
            if let Some(missing) = missing {
                let text = format!("an application never got {} of lane {}", missing.offset, missing.lane);
                return Err(Violation::new(Invariant::Complete, text));
            }
        }
        Ok(())
    }

    /// Whether a gap or a newer event of the same key stands for it: one that any subscription of the connection
    /// let through. None stands for an event that came itself.
    fn is_covered(&self, life: &Life, event: &Event) -> bool {
        let in_gap = |event: &Event| {
            self.gaps.iter().any(|(lane, after, until)| {
                *lane == event.lane && *after < event.offset && event.offset <= *until
            })
        };
        let stands_for = |newer: &Event| {
            newer.key == event.key
                && newer.lane == event.lane
                && (self.heard.contains(&newer.offset) || in_gap(newer))
        };
        let may_be_replaced = event.key.is_some() && !self.heard.contains(&event.offset);
        in_gap(event) || may_be_replaced && life.between(event.offset, u64::MAX).iter().any(stands_for)
    }
}
