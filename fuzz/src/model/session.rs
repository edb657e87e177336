//! What one user's connection is owed, and whether what it is told is true.
//!
//! A session is followed in the order of what the hub says: a reply stands where the request took effect, since
//! replies go before events. What changed between a request's arrival and its reply is owed by both definitions
//! or not at all.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tidings_core::event::Priority;
use tidings_core::{Instant, PerLane};

use super::hub::HubModel;
use super::ledger::{self, Ledger};
use super::matching::{Definition, Grants};
use super::pace::Pace;
use super::tokens::Pass;
use super::truth::{Event, Truth};
use super::{Invariant, Moment, Violation};

/// What a hub is doing, and when.
pub(super) struct Context<'a> {
    pub(super) at: Moment,
    pub(super) truth: &'a Truth,
    pub(super) hub: &'a mut HubModel,
    pub(super) ledger: &'a mut Ledger,
}

impl Context<'_> {
    /// A publisher is told what came of an event.
    pub(super) fn publisher_told(&mut self, told: ledger::Told<'_>) -> Result<(), Violation> {
        self.ledger.check(self.truth, self.hub, told)
    }
}

/// A subscription as the hub has taken it.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) from: u64,
    pub(super) definition: Definition,
}

/// A message of the client that has not been answered.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) message: Value,
    /// The log's end when it came.
    pub(super) end: u64,
    /// Per lane, what history had certainly evicted when it came.
    pub(super) evicted: PerLane<u64>,
    /// Whom its token speaks for, where it has one.
    pub(super) pass: Option<Pass>,
}

impl Request {
    pub(super) fn kind(&self) -> &str {
        self.message["type"].as_str().unwrap_or("")
    }
}

/// One lane of a session.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Up to where the client has been told everything.
    pub(super) position: u64,
    /// What it must still be told, and at which step of the run that was known.
    pub(super) owed: BTreeMap<u64, u64>,
    /// What each of the other shared lanes was given beyond its share since this one waits.
    pub(super) lag: PerLane<usize>,
    /// It is or may be longer than its queue, and catches up from history.
    pub(super) deep: bool,
    /// While it catches up: the poll that looked at history for it last, by the step of the run, and how many entries
    /// above its position it has looked at since it may have been empty.
    pub(super) looked: (u64, usize),
}

impl Lane {
    /// Where nothing waited any more at `step`, waiting begins anew. A frame does not wait from its first byte on,
    /// however long the peer takes for the rest.
    fn rest(&mut self, step: u64) {
        if self.owed.values().all(|since| step <= *since) {
            self.lag = PerLane::default();
        }
    }

    /// From step `step` of the run on it may be empty until history is looked at for it again.
    pub(super) fn run_dry(&mut self, step: u64) {
        self.looked = (step, 0);
        if self.deep {
            self.lag = PerLane::default();
        }
    }

    /// What it has to send is looked for in history from here on.
    fn deepen(&mut self, step: u64) {
        self.deep = true;
        self.run_dry(step);
    }
}

/// What a token that was in force let pass, or did not.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    grants: Grants,
    after: PerLane<u64>,
    /// Up to where, once it is over.
    until: Option<PerLane<u64>>,
}

impl Reign {
    /// What its reader had when it came back passed under this token, also where nobody saw it go: a hub's last
    /// words end a frame that was begun.
    pub(super) fn last_until(&mut self, next: &Self) {
        if let Some(until) = &mut self.until {
            *until = PerLane::from_fn(|lane| until[lane].max(next.after[lane]));
        }
    }

    /// Whether an event may have been passed over because this token did not permit it.
    pub(super) fn withheld(&self, event: &Event) -> bool {
        let until = self.until.as_ref().map_or(u64::MAX, |until| until[event.lane]);
        self.after[event.lane] < event.offset && event.offset <= until && !self.grants.permit(&event.value)
    }
}

/// A user's connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) stream: bool,
    pub(super) pass: Option<Pass>,
    /// Whose it is; that never changes.
    pub(super) user: Option<String>,
    /// When it was asked for.
    pub(super) since: Instant,
    /// Its name for operators, as `welcome` has it.
    pub(super) name: Option<String>,
    /// Errors that close it when they are many: messages that are none, and those beyond its rate.
    pub(super) faults: u32,
    pub(super) rate_faults: u32,
    /// Its requests cannot be followed: bytes were corrupted.
    pub(super) opaque: bool,
    pub(super) requests: VecDeque<Request>,
    pub(super) welcomed: bool,
    /// Messages of the peer that were answered, and not for being too many.
    pub(super) served: u64,
    /// How long after its hub began to drain it is good at least.
    pub(super) stays: Duration,
    pub(super) closed: Option<u16>,
    /// The code of the peer's own Close frame, which the hub repeats.
    pub(super) echo: Option<u16>,
    /// The hub has given up its silent peer: for how long it had said nothing then, and taken nothing.
    pub(super) given_up: Option<[Duration; 2]>,
    /// When the last heartbeat came, where nothing has held it or the next one up.
    pub(super) beat: Option<Instant>,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    /// Subscriptions that a refreshed token ended and that are to be told so.
    pub(super) ending: Vec<String>,
    pub(super) began: bool,
    /// Definitions or grant have changed: what a newer event of a key matched may no longer be known.
    pub(super) changed: bool,
    /// Gaps of another epoch that are still to come.
    pub(super) epoch_gaps: usize,
    /// Of a stream: the id that it was resumed from, while gaps of that resume may still come.
    pub(super) last_id: Option<String>,
    pub(super) lanes: PerLane<Lane>,
    /// How fast it wants its events.
    pub(super) pace: Option<Pace>,
    /// Its tokens, in the order in which they were in force.
    reigns: Vec<Reign>,
}

impl Session {
    pub(super) fn new(stream: bool, pass: Option<Pass>, since: Instant) -> Self {
        Self {
            stream,
            user: pass.as_ref().map(|pass| pass.user.clone()),
            pass,
            since,
            name: None,
            faults: 0,
            rate_faults: 0,
            opaque: false,
            requests: VecDeque::new(),
            welcomed: false,
            served: 0,
            stays: Duration::ZERO,
            closed: None,
            echo: None,
            given_up: None,
            beat: None,
            subscriptions: BTreeMap::new(),
            ending: Vec::new(),
            began: false,
            changed: false,
            epoch_gaps: 0,
            last_id: None,
            lanes: PerLane::default(),
            pace: None,
            reigns: Vec::new(),
        }
    }

    /// From here on its requests cannot be followed, nor what they do to what it is owed. That holds for those that
    /// were heard whole too: what answers them cannot be told from what answers noise.
    pub(super) fn lose_sight(&mut self) {
        self.opaque = true;
        for lane in Priority::ALL {
            self.lanes[lane].owed.clear();
        }
    }

    /// From here on its token decides what passes, above where it is; the one before it did so up to `end`.
    pub(super) fn reign(&mut self, end: u64) {
        if let Some(last) = self.reigns.last_mut() {
            last.until.get_or_insert(PerLane::from_fn(|_| end));
        }
        let after = self.positions();
        let grants = self.grants().cloned().unwrap_or_default();
        self.reigns.push(Reign { grants, after, until: None });
    }

    /// Its tokens so far; the last of them is in force.
    pub(super) fn reigns(&self) -> &[Reign] {
        &self.reigns
    }

    /// Its tokens, now that it is over: the last of them was in force up to what was told.
    pub(super) fn past_reigns(&self) -> Vec<Reign> {
        let mut reigns = self.reigns.clone();
        if let Some(last) = reigns.last_mut() {
            last.until.get_or_insert(self.positions());
        }
        reigns
    }

    fn positions(&self) -> PerLane<u64> {
        PerLane::from_fn(|lane| self.lanes[lane].position)
    }

    /// The hub had nothing more to say and looks no further: what is not owed is not behind.
    pub(super) fn is_idle(&mut self) {
        for lane in Priority::ALL {
            self.lanes[lane].deep &= !self.lanes[lane].owed.is_empty();
        }
    }

    /// Whether it must still be told of an event.
    pub(super) fn is_owed(&self, truth: &Truth, hub: &HubModel) -> Option<(Priority, u64)> {
        Priority::ALL.into_iter().find_map(|lane| {
            let mut owed = self.lanes[lane].owed.keys();
            owed.find(|offset| !self.is_replaced(truth, hub, lane, **offset)).map(|offset| (lane, *offset))
        })
    }

    pub(super) fn lets(&self, event: &Event) -> bool {
        let wanted = |subscription: &Subscription| {
            subscription.from < event.offset && subscription.definition.matches(&event.value)
        };
        self.grants().is_some_and(|grants| grants.permit(&event.value))
            && self.subscriptions.values().any(wanted)
    }

    pub(super) fn grants(&self) -> Option<&Grants> {
        self.pass.as_ref().map(|pass| &pass.grants)
    }

    /// The hub was handed an event.
    pub(super) fn appended(&mut self, at: Moment, event: &Event, queue: usize) {
        if self.began && self.closed.is_none() && !self.opaque && self.lets(event) {
            let lane = &mut self.lanes[event.lane];
            lane.owed.insert(event.offset, at.step);
            lane.deep |= queue < lane.owed.len();
        }
    }

    /// From here on everything that matches above `after` and its lane's position is owed too.
    pub(super) fn owe(&mut self, cx: &Context<'_>, after: u64) {
        Priority::ALL.into_iter().for_each(|lane| self.lanes[lane].deepen(cx.at.step));
        let least = self.lanes.iter().map(|(_, lane)| lane.position).min().unwrap_or(0);
        for event in cx.truth.life(cx.hub.life).between(after.max(least), cx.hub.end) {
            let lane = &self.lanes[event.lane];
            if lane.position < event.offset && !lane.owed.contains_key(&event.offset) && self.lets(event) {
                self.lanes[event.lane].owed.insert(event.offset, cx.at.step);
            }
        }
    }

    /// Definitions or grant have changed: what they no longer let through is not owed.
    pub(super) fn narrow(&mut self, cx: &Context<'_>) {
        self.changed = true;
        for lane in Priority::ALL {
            self.lanes[lane].deepen(cx.at.step);
            let mut owed = std::mem::take(&mut self.lanes[lane].owed);
            owed.retain(|offset, _| {
                cx.truth.life(cx.hub.life).get(*offset).is_some_and(|event| self.lets(event))
            });
            self.lanes[lane].owed = owed;
        }
    }

    /// Whether a newer event of the same key stands for this one.
    pub(super) fn is_replaced(&self, truth: &Truth, hub: &HubModel, lane: Priority, offset: u64) -> bool {
        let life = truth.life(hub.life);
        let Some(key) = life.get(offset).and_then(|event| event.key.as_ref()) else { return false };
        life.between(offset, hub.end).iter().any(|newer| {
            newer.lane == lane && newer.key.as_ref() == Some(key) && (self.changed || self.lets(newer))
        })
    }

    /// Everything owed up to `offset` in `lane` is past: it was told, or a newer event stands for it.
    fn pass_over(
        &mut self,
        cx: &Context<'_>,
        lane: Priority,
        offset: u64,
        told: &str,
    ) -> Result<(), Violation> {
        let missing = self.lanes[lane].owed.range(..=offset).map(|(owed, _)| *owed);
        let missing = missing.into_iter().find(|owed| !self.is_replaced(cx.truth, cx.hub, lane, *owed));
        if let Some(missing) = missing {
            let text = format!(
                "{missing} of lane {lane} was never told, but {told} says that all up to {offset} was"
            );
            return Err(Violation::new(Invariant::Complete, text));
        }
        self.lanes[lane].owed = self.lanes[lane].owed.split_off(&(offset + 1));
        Ok(())
    }

    // What the hub says

    /// An `event`, whose first byte went at step `begun`.
    pub(super) fn event(
        &mut self,
        cx: &mut Context<'_>,
        begun: u64,
        message: &Told<'_>,
    ) -> Result<(), Violation> {
        self.check_gaps_told("an event")?;
        let (offset, lane) = (message.offset, message.lane);
        let life = cx.truth.life(cx.hub.life);
        let broken =
            |invariant, text: &str| Err(Violation::new(invariant, format!("{offset} of lane {lane} {text}")));
        let Some(event) = life.get(offset) else { return broken(Invariant::Legal, "is not in the log") };
        if cx.hub.end < offset {
            return broken(Invariant::Durable, "was delivered before it was in the log");
        }
        if event.lane != lane || event.record.event.json() != message.event.get() {
            return broken(Invariant::Legal, "differs from what is in the log");
        }
        if offset <= self.lanes[lane].position {
            let invariant = if life.get(self.lanes[lane].position).is_some_and(|last| last.lane == lane) {
                Invariant::Ordered
            } else {
                Invariant::Once
            };
            return broken(invariant, &format!("came behind position {}", self.lanes[lane].position));
        }
        let unknown = self.opaque && self.pass.is_none();
        if !unknown && !self.grants().is_some_and(|grants| grants.permit(&event.value)) {
            return broken(Invariant::Permitted, "is not within the grant");
        }
        if !self.opaque && !self.lets(event) {
            return broken(Invariant::Permitted, "matches no subscription");
        }
        self.check_prompt(cx, begun, lane, message.len)?;
        // Blocks of a stream are paced where they are encoded, ahead of the socket.
        if let Some(pace) = self.pace.as_mut().filter(|_| !self.stream) {
            pace.event(cx.at, begun, message.len)?;
        }
        self.pass_over(cx, lane, offset - 1, "an event behind it")?;
        self.lanes[lane].owed.remove(&offset);
        self.lanes[lane].position = offset;
        self.lanes[lane].rest(begun);
        cx.hub.counts.delivered[lane] += 1;
        Ok(())
    }

    /// A `gap`.
    pub(super) fn gap(&mut self, cx: &mut Context<'_>, message: &Value) -> Result<(), Violation> {
        let lane = lane_of(message)?;
        let until = number(message, "until")?;
        if message["reason"] == "epoch" {
            if self.epoch_gaps == 0 || !message["after"].is_null() {
                return Err(Violation::new(
                    Invariant::Legal,
                    format!("a gap of an epoch that did not change: {message}"),
                ));
            }
            self.epoch_gaps -= 1;
            cx.hub.counts.gaps_epoch += 1;
            self.skip(cx.at.step, lane, until);
            return Ok(());
        }
        let after = number(message, "after")?;
        cx.hub.counts.gaps_expired += 1;
        let (may, _) = cx.hub.evicted(lane, cx.at.now.instant);
        if may < until {
            let text = format!("a gap up to {until} in lane {lane}, of which history holds all above {may}");
            return Err(Violation::new(Invariant::Complete, text));
        }
        if until <= after || until <= self.lanes[lane].position {
            let text = format!("a gap that covers nothing: {message} at {}", self.lanes[lane].position);
            return Err(Violation::new(Invariant::Legal, text));
        }
        self.pass_over(cx, lane, after, "a gap")?;
        self.skip(cx.at.step, lane, until);
        // What is lost waited until history evicted it, and behind it nothing may have.
        self.lanes[lane].lag = PerLane::default();
        Ok(())
    }

    /// Where the log has begun anew, every lane is told so before anything else.
    fn check_gaps_told(&self, told: &str) -> Result<(), Violation> {
        if self.epoch_gaps == 0 || self.opaque {
            return Ok(());
        }
        let text = format!("{told} came before {} gaps of another epoch", self.epoch_gaps);
        Err(Violation::new(Invariant::Complete, text))
    }

    /// Nothing up to `until` is owed in `lane` any more.
    fn skip(&mut self, step: u64, lane: Priority, until: u64) {
        let lane = &mut self.lanes[lane];
        lane.owed = lane.owed.split_off(&(until + 1));
        lane.position = lane.position.max(until);
        lane.rest(step);
    }

    /// A `heartbeat`, or the id of a stream's block: everything up to these offsets was told.
    pub(super) fn position(
        &mut self,
        cx: &mut Context<'_>,
        lanes: &PerLane<u64>,
        told: &str,
    ) -> Result<(), Violation> {
        self.check_gaps_told(told)?;
        for (lane, offset) in lanes.iter() {
            let known = self.lanes[lane].position;
            if cx.hub.end < *offset || (self.began && *offset < known) {
                let text = format!("{told} says {offset} of lane {lane}, between {known} and {}", cx.hub.end);
                return Err(Violation::new(Invariant::Legal, text));
            }
            self.pass_over(cx, lane, *offset, told)?;
            self.skip(cx.at.step, lane, *offset);
        }
        Ok(())
    }

    /// A stream's first block: everything above these offsets is owed, and so many gaps of another epoch.
    pub(super) fn begin_stream(
        &mut self,
        cx: &mut Context<'_>,
        definition: Definition,
        since: PerLane<u64>,
        epoch_gaps: usize,
    ) {
        self.epoch_gaps = epoch_gaps;
        let subscription = Subscription { from: 0, definition };
        self.subscriptions.insert("stream".to_owned(), subscription);
        self.lanes = PerLane::from_fn(|lane| Lane { position: since[lane], ..Lane::default() });
        self.began = true;
        self.owe(cx, 0);
    }
}

/// An `event` message.
#[derive(Debug, Deserialize)]
pub(super) struct Told<'a> {
    pub(super) offset: u64,
    pub(super) lane: Priority,
    #[serde(borrow)]
    pub(super) event: &'a RawValue,
    /// Bytes of its frame, where it has one of its own.
    #[serde(skip)]
    pub(super) len: usize,
}

/// A number that a message must have.
pub(super) fn number(message: &Value, key: &str) -> Result<u64, Violation> {
    let missing = || Violation::new(Invariant::Legal, format!("{key} is missing in {message}"));
    message[key].as_u64().ok_or_else(missing)
}

/// The offsets of a position.
pub(super) fn offsets(lanes: &Value) -> Result<PerLane<u64>, Violation> {
    let mut offsets = PerLane::default();
    for lane in Priority::ALL {
        offsets[lane] = number(lanes, lane.as_str())?;
    }
    Ok(offsets)
}

fn lane_of(message: &Value) -> Result<Priority, Violation> {
    let lane = message["lane"].as_str().and_then(Priority::from_name);
    lane.ok_or_else(|| Violation::new(Invariant::Legal, format!("no lane in {message}")))
}
