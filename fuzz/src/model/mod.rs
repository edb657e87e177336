//! What must hold, whatever happens: a model of the protocol that knows the log and sees every byte that goes
//! in and out of a hub, and is far simpler than the hub.
//!
//! The simulator tells it facts as they happen; the model keeps what each connection is owed and says which
//! [`Invariant`] was broken first.

mod app;
mod closing;
mod deadlines;
mod decode;
mod exchange;
mod hub;
mod ledger;
mod link;
pub(crate) mod matching;
mod memory;
mod pace;
mod prompt;
mod replies;
mod session;
mod stream;
mod tokens;
mod truth;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidings_core::client::{ClientOutput, ClientState, SubscriptionId};
use tidings_core::history::Record;
use tidings_core::{Config, Epoch, Hub, Note, Now, Offset, RequestId};

use app::App;
use hub::HubModel;
use ledger::Ledger;
use link::{Hearing, Link};
use tokens::Tokens;
use truth::Truth;

/// How often deadlines of connections are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A connection of a run; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// One life of a hub, from its start to its end; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HubId(pub u32);

/// An application with a client machine; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(pub u32);

/// What the simulator promises to hold at every step and at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Everyone ends with exactly what they are owed.
    Complete,
    /// No event twice on a connection, nor across a resume.
    Once,
    /// Offsets ascend within a lane.
    Ordered,
    /// Nothing that grant, forced filter or subscriptions do not let through.
    Permitted,
    /// `critical` is never staged behind other lanes, and none of those starves.
    Prompt,
    /// Memory stays within what the configuration implies.
    Bounded,
    /// Deadlines fire at their time.
    Punctual,
    /// Dead peers are closed, living ones are not.
    Alive,
    /// Counters say what happened.
    Counted,
    /// What was acknowledged is in the log, once.
    Durable,
    /// Everything on the wire is legal.
    Legal,
}

/// A broken invariant, with what was seen.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// What was seen, in a sentence.
    pub text: String,
}

impl Violation {
    const fn new(invariant: Invariant, text: String) -> Self {
        Self { invariant, text }
    }

    /// The same, with the connection that it is of.
    fn of(self, link: LinkId) -> Self {
        Self { text: format!("connection {}: {}", link.0, self.text), ..self }
    }
}

/// When something happens: the clocks, and how many facts were told before.
#[derive(Clone, Copy, Debug)]
struct Moment {
    now: Now,
    step: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The hub closed the socket.
    Hub,
    /// The host is gone, and the hub with it.
    Host,
    /// The peer or the network did; the hub is told.
    Peer,
}

/// An event that the log has taken.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The life of the log.
    pub epoch: Epoch,
    /// Its place.
    pub offset: Offset,
    /// The event as the hub made it.
    pub record: Arc<Record>,
}

/// Knows what each connection is owed.
#[derive(Debug, Default)]
pub struct Model {
    violation: Option<Violation>,
    step: u64,
    tokens: Tokens,
    truth: Truth,
    hubs: BTreeMap<HubId, HubModel>,
    links: BTreeMap<LinkId, Link>,
    apps: BTreeMap<AppId, App>,
    /// Users whose tokens issued up to this second may be refused.
    revoked: BTreeMap<String, i64>,
    ledger: Ledger,
}

impl Model {
    /// A model of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first invariant that was broken.
    #[must_use]
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Something outside the model saw an invariant broken.
    pub fn broken(&mut self, invariant: Invariant, text: String) {
        self.check(Err(Violation::new(invariant, text)));
    }

    fn check(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.violation.get_or_insert(violation);
        }
    }

    fn moment(&mut self, now: Now) -> Moment {
        self.step += 1;
        Moment { now, step: self.step }
    }

    /// A token of the run, before its first use: its claims, and the number of the key that signed it.
    pub fn token(&mut self, text: &str, claims: &Value, key: u8) {
        self.tokens.add(text, claims, key);
    }

    // Hubs

    /// A hub begins; `keys` are the numbers of the keys that it trusts.
    pub fn hub_began(&mut self, now: Now, hub: HubId, config: &Config, keys: &[u8]) {
        self.truth.configure(config);
        self.ledger.source.clone_from(&config.events.source);
        let mut own = HubModel::new(config, keys, now.instant);
        own.revoked.clone_from(&self.revoked);
        self.hubs.insert(hub, own);
    }

    /// The hub's log is open (just before the input).
    pub fn log_opened(&mut self, hub: HubId, epoch: &Epoch, begin: Offset) {
        let life = self.truth.open(epoch.as_str());
        if let Some(hub) = self.hubs.get_mut(&hub) {
            hub.open(life, begin.get());
        }
    }

    /// The hub trusts other keys from here on (just before the input).
    pub fn keys_replaced(&mut self, hub: HubId, keys: &[u8]) {
        if let Some(hub) = self.hubs.get_mut(&hub) {
            let before = std::mem::replace(&mut hub.keys, keys.to_vec());
            hub.distrusted.extend(before.iter().filter(|key| !keys.contains(key)));
        }
    }

    /// The hub is told to drain (just before the input).
    pub fn draining(&mut self, now: Now, hub: HubId) {
        if let Some(hub) = self.hubs.get_mut(&hub) {
            hub.draining.get_or_insert(now.instant);
        }
    }

    /// The hub is told to stop (just before the input).
    pub fn stopping(&mut self, hub: HubId) {
        if let Some(hub) = self.hubs.get_mut(&hub) {
            hub.stopping = true;
        }
    }

    /// An operator is about to ask that a user's tokens issued up to `until_s` be refused: from here on they may be.
    pub fn revoking(&mut self, user: &str, until_s: i64) {
        self.revoked.insert(user.to_owned(), until_s);
        for hub in self.hubs.values_mut() {
            hub.revoked.insert(user.to_owned(), until_s);
        }
    }

    /// The hub has been handed an input or the time, and all its outputs have been taken. `lateness` bounds how
    /// much later than asked the engine calls its timers at the moment. Says whether it has looked at all connections:
    /// then the engine tells what each of them [`holds`](Self::holds).
    pub fn stepped(&mut self, now: Now, hub: HubId, machine: &Hub, lateness: Duration) -> bool {
        let at = self.moment(now);
        let Some(hub) = self.hubs.get_mut(&hub) else { return false };
        hub.lateness = hub.lateness.max(lateness);
        hub.look_at_clock(now);
        for id in std::mem::take(&mut hub.silent) {
            if let Some(link) = self.links.get_mut(&id) {
                link.rest();
            }
        }
        if now.instant.since(hub.checked) < LOOK_EVERY {
            return false;
        }
        hub.checked = now.instant;
        let mut result = memory::check_hub(&hub.config, machine.held());
        for id in &hub.links {
            if let Some(link) = self.links.get_mut(id) {
                let checked =
                    link.check_deadlines(at, hub).and(link.check_reported(now.instant, &self.truth, hub));
                result = result.and(checked.map_err(|violation| violation.of(*id)));
            }
        }
        self.check(result);
        true
    }

    /// The hub is gone; its connections have been ended before.
    pub fn hub_ended(&mut self, hub: HubId, machine: &Hub) {
        if let Some(hub) = self.hubs.remove(&hub) {
            self.check(hub.check_counters(machine));
        }
    }

    // The log

    /// The log has taken an event; told once, before any hub is handed it.
    pub fn logged(&mut self, logged: Logged) {
        let event = &logged.record.event;
        let key = (logged.record.publisher.to_string(), event.source().to_owned(), event.id().to_owned());
        let known = self.ledger.log(&key);
        let result = self.truth.append(logged).and(known);
        self.check(result);
    }

    /// A hub asks the log to take an event.
    pub fn appending(&mut self, now: Now, hub: HubId, request: RequestId, record: &Record) {
        let Some(hub) = self.hubs.get_mut(&hub) else { return };
        let event = &record.event;
        let key = (record.publisher.to_string(), event.source().to_owned(), event.id().to_owned());
        let result = hub.ask(key, request, now.instant);
        self.check(result);
    }

    /// The hub is about to be told that the log has not taken what it asked for.
    pub fn append_failed(&mut self, hub: HubId, request: RequestId) {
        if let Some(hub) = self.hubs.get_mut(&hub) {
            hub.failed(request);
        }
    }

    /// A hub is about to be handed the event at `offset`.
    pub fn appended(&mut self, now: Now, hub: HubId, offset: Offset) {
        let at = self.moment(now);
        let Some(hub) = self.hubs.get_mut(&hub) else { return };
        let Some(event) = self.truth.life(hub.life).get(offset.get()) else { return };
        hub.append(event, now.instant);
        for link in &hub.links {
            if let Some(link) = self.links.get_mut(link) {
                link.appended(at, event, hub.config.limits.lane_queue);
            }
        }
    }

    // Connections

    /// A connection is about to be accepted. `rogue`: its peer breaks rules, or its bytes are corrupted.
    pub fn accepted(&mut self, now: Now, link: LinkId, hub: HubId, rogue: bool) {
        if let Some(hub) = self.hubs.get_mut(&hub) {
            hub.links.insert(link);
            hub.counts.accepted += 1;
        }
        self.links.insert(link, Link::new(hub, rogue, now.instant));
    }

    /// From here on what this connection's peer sends may be corrupted.
    pub fn corrupted(&mut self, link: LinkId) {
        let Some(link) = self.links.get_mut(&link) else { return };
        if let Some(hub) = self.hubs.get_mut(&link.hub) {
            link.corrupt(hub, &mut self.ledger);
        }
    }

    /// The hub is about to be handed bytes.
    pub fn received(&mut self, now: Now, id: LinkId, bytes: &[u8]) {
        let at = self.moment(now);
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(hub) = self.hubs.get_mut(&link.hub) else { return };
        hub.counts.bytes_received += bytes.len() as u64;
        link.received(&mut Hearing { at, hub, tokens: &self.tokens, ledger: &mut self.ledger }, bytes);
    }

    /// The hub is about to be told that the peer sends nothing more.
    pub fn peer_ended(&mut self, link: LinkId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.rogue = true;
        }
    }

    /// The kernel took these bytes and the hub knows it (after the commit).
    pub fn wrote(&mut self, now: Now, id: LinkId, bytes: &[u8]) {
        let at = self.moment(now);
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(hub) = self.hubs.get_mut(&link.hub) else { return };
        let result = link.wrote(at, (&self.truth, hub, &mut self.ledger), bytes);
        self.check(result.map_err(|violation| violation.of(id)));
    }

    /// The hub was asked for bytes and had none for this connection.
    pub fn idle(&mut self, now: Now, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(hub) = self.hubs.get_mut(&link.hub) else { return };
        if link.is_idle(now.instant) {
            hub.silent.push(id);
        }
    }

    /// The hub says that it has something to say.
    pub fn wants(&mut self, link: LinkId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.wants = true;
        }
    }

    /// The hub was asked for bytes and had some, of which nothing was taken.
    pub fn polled(&mut self, link: LinkId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.polled = true;
        }
    }

    /// The kernel's buffer of this connection is full (`true`), or can take bytes again.
    pub fn blocked(&mut self, link: LinkId, blocked: bool) {
        if let Some(link) = self.links.get_mut(&link) {
            link.block(blocked);
        }
    }

    /// The hub stops reading from this connection (`true`), or goes on.
    pub fn paused(&mut self, now: Now, link: LinkId, paused: bool) {
        if let Some(link) = self.links.get_mut(&link) {
            link.pause(now.instant, paused);
        }
    }

    /// A hub says what happened on a connection.
    pub fn noted(&mut self, now: Now, hub: HubId, note: &Note) {
        let Note::Ended { connection, code: Some(4408) } = note else { return };
        let is_it = |session: &session::Session| session.name.as_deref() == Some(&**connection);
        let of_hub = self.links.values_mut().filter(|link| link.hub == hub);
        for link in of_hub.filter(|link| link.session().is_some_and(is_it)) {
            link.give_up(now.instant);
        }
    }

    /// A connection holds so many bytes of memory, whose shell reads at most `read` bytes at once.
    pub fn holds(&mut self, id: LinkId, held: usize, read: usize) {
        let Some(link) = self.links.get(&id) else { return };
        let Some(hub) = self.hubs.get(&link.hub) else { return };
        let most = link.memory_max(&hub.config, read);
        if most < held {
            let text = format!("it holds {held} bytes, of {most} that the configuration implies");
            self.check(Err(Violation::new(Invariant::Bounded, text).of(id)));
        }
    }

    /// The connection is over.
    pub fn closed(&mut self, now: Now, id: LinkId, by: Ending) {
        let at = self.moment(now);
        let Some(mut link) = self.links.remove(&id) else { return };
        let cut_short = by == Ending::Hub && link.is_cut_short();
        for app in self.apps.values_mut().filter(|app| app.link == Some(id)) {
            app.leave(link.session());
            app.link = None;
        }
        if let Some(hub) = self.hubs.get_mut(&link.hub) {
            hub.links.remove(&id);
            hub.counts.ended += 1;
            hub.counts.unsaid += u64::from(by == Ending::Peer || link.wants || link.is_unsaid());
            link.end(at, hub);
        }
        if cut_short {
            let text = "the hub let go of it without a last word".to_owned();
            self.check(Err(Violation::new(Invariant::Alive, text).of(id)));
        }
    }

    // Applications on client machines

    /// An application subscribes.
    pub fn subscribing(&mut self, app: AppId, subscription: SubscriptionId, events: &Value, filter: &Value) {
        self.apps.entry(app).or_default().subscribe(subscription, events, filter);
    }

    /// An application unsubscribes.
    pub fn unsubscribing(&mut self, app: AppId, subscription: SubscriptionId) {
        self.apps.entry(app).or_default().unsubscribe(subscription);
    }

    /// The client machine is about to be handed a message.
    pub fn heard(&mut self, app: AppId, text: &str) {
        self.apps.entry(app).or_default().hear(text);
    }

    /// The client machine gave an output, of any kind.
    pub fn told(&mut self, app: AppId, output: &ClientOutput) {
        let own = self.apps.entry(app).or_default();
        let hub = own.link.and_then(|link| self.links.get(&link)).and_then(|link| self.hubs.get(&link.hub));
        if let Some(hub) = hub
            && matches!(output, ClientOutput::State(ClientState::Open))
        {
            own.enter(hub.life);
        }
        let result = own.told(&self.truth, output);
        self.check(result);
    }

    /// The client machine opens this connection, and leaves the one that it had.
    pub fn opened(&mut self, app: AppId, link: LinkId) {
        let own = self.apps.entry(app).or_default();
        if let Some(old) = own.link.replace(link).and_then(|old| self.links.get(&old)) {
            own.leave(old.session());
        }
    }

    // The end

    /// A connection that is still to be told of something, and keeps to its pace.
    pub(crate) fn paced(&self) -> Option<LinkId> {
        let waits = |link: &Link| {
            let (session, hub) = link.session().zip(self.hubs.get(&link.hub))?;
            session.pace.filter(|_| session.closed.is_none())?;
            session.is_owed(&self.truth, hub)
        };
        self.links.iter().find(|(_, link)| waits(link).is_some()).map(|(id, _)| *id)
    }

    /// The faults have stopped long ago: everyone who is connected must have everything.
    pub fn settled(&mut self) {
        for (id, link) in &self.links {
            let Some(hub) = self.hubs.get(&link.hub) else { continue };
            let Some(session) = link.session().filter(|session| session.closed.is_none()) else { continue };
            if let Some((lane, offset)) = session.is_owed(&self.truth, hub) {
                let text = format!("connection {} never got {offset} of lane {lane}", id.0);
                self.violation.get_or_insert(Violation::new(Invariant::Complete, text));
            }
        }
        let mut result = Ok(());
        for app in self.apps.values().filter(|app| app.state == Some(ClientState::Open)) {
            let Some(link) = app.link.and_then(|link| self.links.get(&link)) else { continue };
            if let Some((session, hub)) = link.session().zip(self.hubs.get(&link.hub)) {
                result = result.and(app.check_whole(&self.truth, session, hub.end));
            }
        }
        self.check(result);
    }
}
