//! A host: one hub after another, each with the shell around it.
//!
//! The shell does what the contract of the core asks for and nothing that it does not allow, in an order drawn
//! for the run: which connection is served first, how much is asked for, how often a poll comes to nothing,
//! when outputs are taken, how late the timers are. Whatever the hub is told, the model is told first.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::auth::KeySet;
use tidings_core::history::Record;
use tidings_core::{ConnId, Hub, Input, Instant, Listener, Now, Offset, Output, Peer, UnixTime};

use super::draw::{Draw, Stream, seed_of};
use super::queue::Due;
use super::scenario::Fault;
use super::scene::Scene;
use super::tuning::SECRETS;
use crate::model::{Ending, HubId, Invariant, LinkId};
use crate::world::EPOCH_MS;

/// Rounds of a turn: then others get theirs.
const ROUNDS_MAX: usize = 64;
/// Timeouts in one second of virtual time beyond which a hub does not come to rest.
const TIMEOUTS_PER_S: u32 = 20_000;
/// Events that a hub loads in a turn.
const LOADED_PER_TURN: usize = 200;
/// Even a shell that is on time needs a moment.
const MOMENT: Duration = Duration::from_millis(1);

/// A host's wall clock: right, ahead, behind, or standing still.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    pub(crate) skew_ms: i64,
    stopped: Option<(UnixTime, Instant)>,
}

impl Clock {
    /// Both clocks, where the monotonic one says `instant`.
    pub(crate) fn now(&self, instant: Instant) -> Now {
        let unix = match self.stopped {
            Some((unix, until)) if instant < until => unix,
            _ => {
                let millis = i64::try_from(instant.as_micros() / 1000).unwrap_or(i64::MAX);
                UnixTime::from_millis(EPOCH_MS + millis + self.skew_ms)
            }
        };
        Now { instant, unix }
    }

    pub(crate) fn stop(&mut self, now: Instant, until: Instant) {
        self.stopped = Some((self.now(now).unix, until));
    }
}

/// A place for hubs.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) index: u16,
    pub(crate) life: Option<Box<Life>>,
    pub(crate) clock: Clock,
    /// The shell's timers are late by up to this.
    pub(crate) lateness: Duration,
    /// Connections that wait to be accepted, and from when on they may be.
    pub(crate) waiting: Vec<(Instant, LinkId)>,
    pub(crate) keys: u8,
    /// Connections with something to read.
    readable: Vec<LinkId>,
    /// Connections with something to write.
    writable: Vec<LinkId>,
    turn: Option<Instant>,
    /// What the timer is armed for, and when it fires.
    timer: Option<(Instant, Instant)>,
    draw: Draw<'static>,
}

impl Host {
    pub(crate) fn new(seed: u64, index: u16) -> Self {
        Self {
            index,
            life: None,
            clock: Clock::default(),
            lateness: Duration::ZERO,
            waiting: Vec::new(),
            keys: 0b01,
            readable: Vec::new(),
            writable: Vec::new(),
            turn: None,
            timer: None,
            draw: Draw::new(seed, Stream::Host, u64::from(index)),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.hub.is_ready())
    }
}

/// One hub and its shell's tables.
pub(crate) struct Life {
    pub(crate) id: HubId,
    host: u16,
    pub(crate) hub: Hub,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The offset up to which the log has been loaded, until it has been loaded whole.
    loading: Option<Offset>,
    drained: bool,
    /// Outputs have yet to be taken.
    stale: bool,
    timeouts: (u64, u32),
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u32,
    link: Option<LinkId>,
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Scene<'_> {
    /// Does something with a host's hub, where it has one.
    pub(crate) fn with_life(&mut self, host: u16, act: impl FnOnce(&mut Life, &mut Self)) {
        if let Some(mut life) = self.hosts[usize::from(host)].life.take() {
            act(&mut life, self);
            self.hosts[usize::from(host)].life = Some(life);
        }
    }

    /// A hub begins on a host.
    pub(crate) fn begin_life(&mut self, host: u16) {
        let id = HubId(u32::try_from(self.counts.hubs).unwrap_or(u32::MAX));
        self.counts.hubs += 1;
        let now = self.hub_now(host);
        let config = self.settings.config.clone();
        let seed = seed_of(self.seed, Stream::Machine, 1 << 32 | u64::from(id.0));
        self.model.hub_began(now, id, &config, &[0]);
        let hub = Hub::new(config, seed, now).expect("the configuration of a run is valid");
        self.trace(format_args!("{id:?} begins on host {host}"));
        let mut life = Life {
            id,
            host,
            hub,
            slots: Vec::new(),
            free: Vec::new(),
            loading: None,
            drained: false,
            stale: false,
            timeouts: (0, 0),
        };
        let (epoch, begin) = (self.store.epoch().clone(), self.store.begin());
        self.model.log_opened(now, id, &epoch, begin);
        life.loading = Some(begin);
        life.input(self, Input::LogOpened { epoch, begin });
        let keys = self.hosts[usize::from(host)].keys;
        self.hosts[usize::from(host)].timer = None;
        self.hosts[usize::from(host)].life = Some(Box::new(life));
        if keys != 0b01 {
            self.replace_keys(host, keys);
        }
        self.turn_at(host, self.now);
    }

    /// A hub's keys, from here on: bit by bit.
    pub(crate) fn replace_keys(&mut self, host: u16, keys: u8) {
        self.hosts[usize::from(host)].keys = keys;
        self.with_life(host, |life, scene| {
            let numbers: Vec<u8> = (0..2).filter(|key| keys & 1 << key != 0).collect();
            let mut set = KeySet::empty();
            for key in &numbers {
                let secret = SECRETS[usize::from(*key)].as_bytes();
                set.add_secret(secret).expect("the secrets of the simulation are long enough");
            }
            let now = scene.hub_now(host);
            scene.model.keys_replaced(now, life.id, &numbers);
            life.input(scene, Input::KeysReplaced(set));
            scene.turn_at(host, scene.now);
        });
    }

    /// A hub's end: its sockets are gone, and perhaps it still says that it goes.
    pub(crate) fn end_life(&mut self, host: u16, last_words: bool, back: Option<Duration>) {
        let Some(mut life) = self.hosts[usize::from(host)].life.take() else { return };
        life.obey(self);
        let now = self.hub_now(host);
        self.trace(format_args!("{:?} ends", life.id));
        for link in life.slots.iter().filter_map(|slot| slot.link) {
            let conn = self.link(link).conn.take();
            if let Some(conn) = conn.filter(|_| last_words) {
                let words = life.hub.last_words(conn);
                self.take(link, &words);
                self.link(link).finished = true;
            }
            self.model.closed(now, link, Ending::Hub);
            self.let_go(link, !last_words);
        }
        let one = &mut self.hosts[usize::from(host)];
        for id in std::mem::take(&mut one.readable) {
            self.links[id.0 as usize].readable = false;
        }
        for id in std::mem::take(&mut one.writable) {
            self.links[id.0 as usize].writable = false;
        }
        for (_, link) in std::mem::take(&mut one.waiting) {
            self.link(link).closed = true;
            self.refuse(link);
        }
        self.model.hub_ended(now, life.id, &life.hub);
        let stats = life.hub.stats();
        self.counts.resumes += stats.resumes;
        self.counts.gaps += stats.gaps_expired + stats.gaps_epoch;
        self.counts.conflations += life.hub.conflated();
        if let Some(back) = back {
            self.queue.push(self.now + back, Due::Host(host));
        }
    }

    /// A host's socket of a connection is gone.
    fn let_go(&mut self, id: LinkId, reset: bool) {
        let link = self.link(id);
        (link.conn, link.closed, link.pending) = (None, true, false);
        link.inbox = Vec::new();
        if reset {
            self.refuse(id);
        } else {
            link.finished = true;
            self.schedule_down(id);
        }
    }

    /// A connection has something for its hub to read.
    pub(crate) fn ready(&mut self, id: LinkId) {
        let most = self.settings.poll.turn_delay;
        let link = self.link(id);
        let queued = std::mem::replace(&mut link.readable, true);
        let host = link.host;
        let one = &mut self.hosts[usize::from(host)];
        if !queued {
            one.readable.push(id);
        }
        let delay = if 0 < most { one.draw.range(0, most) } else { 0 };
        self.turn_at(host, self.now + Duration::from_micros(delay));
    }

    /// A connection's bytes are to be asked for.
    pub(crate) fn want_write(&mut self, id: LinkId) {
        let link = self.link(id);
        let queued = std::mem::replace(&mut link.writable, true);
        let host = link.host;
        if !queued {
            self.hosts[usize::from(host)].writable.push(id);
        }
    }

    /// The host learns that a connection is broken.
    pub(crate) fn broken(&mut self, id: LinkId) {
        let link = self.link(id);
        if link.conn.is_some() {
            link.broken = true;
            self.ready(id);
        }
    }

    /// Has a host's shell begin a turn at `at`, or sooner.
    pub(crate) fn turn_at(&mut self, host: u16, at: Instant) {
        let turn = &mut self.hosts[usize::from(host)].turn;
        if turn.is_none_or(|armed| at < armed) {
            *turn = Some(at);
            self.queue.push(at, Due::Turn(host));
        }
    }

    /// One turn of a host's shell.
    pub(crate) fn turn(&mut self, host: u16) {
        let now = self.now;
        if self.hosts[usize::from(host)].turn.take_if(|at| *at <= now).is_some() {
            self.with_life(host, Life::turn);
            self.after_turn(host);
        }
    }

    /// A host's timer has come.
    pub(crate) fn timer(&mut self, host: u16) {
        let now = self.now;
        if self.hosts[usize::from(host)].timer.take_if(|(_, fires)| *fires <= now).is_some() {
            self.with_life(host, |life, scene| {
                if life.hub.poll_timeout().is_some_and(|at| at <= scene.now) {
                    life.timeout(scene);
                }
                life.turn(scene);
            });
            self.after_turn(host);
        }
    }

    fn after_turn(&mut self, host: u16) {
        self.arm_timer(host);
        let drained = self.hosts[usize::from(host)].life.as_ref().is_some_and(|life| life.drained);
        if drained {
            let back = self.hosts[usize::from(host)].draw.micros(1_000, 5_000_000);
            self.end_life(host, false, Some(back));
        }
    }

    /// A host's shell is late by up to this from here on.
    pub(crate) fn be_late(&mut self, host: u16, lateness: Duration) {
        let one = &mut self.hosts[usize::from(host)];
        (one.lateness, one.timer) = (lateness, None);
        self.arm_timer(host);
    }

    fn arm_timer(&mut self, host: u16) {
        let now = self.now;
        let one = &mut self.hosts[usize::from(host)];
        let Some(at) = one.life.as_ref().and_then(|life| life.hub.poll_timeout()) else { return };
        if one.timer.is_some_and(|(armed, _)| armed <= at) {
            return;
        }
        let late =
            Duration::from_micros(one.draw.below(u64::try_from(one.lateness.as_micros()).unwrap_or(0) + 1));
        // What is due at once is done a moment later: a shell's turn takes time.
        let fires = at.max(now + Duration::from_micros(1)) + late;
        one.timer = Some((at, fires));
        self.queue.push(fires, Due::Timer(host));
    }
}

impl Life {
    pub(crate) const fn is_loaded(&self) -> bool {
        self.loading.is_none()
    }

    /// Hands the hub one input.
    pub(crate) fn input(&mut self, scene: &mut Scene<'_>, input: Input<'_>) {
        let now = scene.hub_now(self.host);
        scene.counts.inputs += 1;
        self.hub.handle(now, input);
        self.stale = true;
        if !scene.settings.poll.batch {
            self.obey(scene);
        }
        self.disturb(scene);
    }

    /// Asks for what nobody needs, which must change nothing.
    fn disturb(&mut self, scene: &mut Scene<'_>) {
        let (polls, timeouts) = (scene.settings.poll.idle_polls, scene.settings.poll.idle_timeouts);
        let host = usize::from(self.host);
        if !self.slots.is_empty() && scene.hosts[host].draw.chance(polls) {
            let slot = scene.hosts[host].draw.index(self.slots.len());
            let budget = self.budget(scene);
            let Slot { generation, link } = self.slots[slot];
            // Also by a name that is void.
            let conn = ConnId::new(u32::try_from(slot).unwrap_or(0), generation.saturating_sub(1));
            let _ = self.hub.poll_transmit(conn, budget);
            if let Some(link) = link
                && let Some(conn) = scene.link(link).conn
                && self.hub.poll_transmit(conn, budget).is_none()
            {
                self.nothing(scene, link);
            }
            self.stale = true;
        }
        if scene.hosts[host].draw.chance(timeouts) {
            let now = scene.hub_now(self.host);
            self.hub.handle(now, Input::Timeout);
            self.stale = true;
        }
        if self.stale && !scene.settings.poll.batch {
            self.obey(scene);
        }
    }

    fn nothing(&self, scene: &mut Scene<'_>, link: LinkId) {
        scene.link(link).pending = false;
        let now = scene.hub_now(self.host);
        scene.model.idle(now, link);
    }

    pub(crate) fn timeout(&mut self, scene: &mut Scene<'_>) {
        let second = scene.now.as_micros() / 1_000_000;
        if self.timeouts.0 != second {
            self.timeouts = (second, 0);
        }
        self.timeouts.1 += 1;
        if TIMEOUTS_PER_S < self.timeouts.1 {
            scene.violate(Invariant::Punctual, format!("{:?} does not come to rest", self.id));
        }
        self.input(scene, Input::Timeout);
    }

    /// The log has taken an event.
    pub(crate) fn appended(&mut self, scene: &mut Scene<'_>, offset: Offset, record: Arc<Record>) {
        let now = scene.hub_now(self.host);
        scene.model.appended(now, self.id, offset);
        self.input(scene, Input::Appended { offset, record });
        scene.turn_at(self.host, scene.now);
    }

    /// Reads, does what the hub says, writes, until there is nothing to do.
    pub(crate) fn turn(&mut self, scene: &mut Scene<'_>) {
        self.load(scene);
        self.accept(scene);
        for _ in 0..ROUNDS_MAX {
            self.read(scene);
            self.obey(scene);
            self.write(scene);
            self.obey(scene);
            let host = &scene.hosts[usize::from(self.host)];
            if host.readable.is_empty() && host.writable.is_empty() {
                return;
            }
        }
        scene.turn_at(self.host, scene.now + Duration::from_micros(1));
    }

    fn load(&mut self, scene: &mut Scene<'_>) {
        let Some(mut at) = self.loading else { return };
        for _ in 0..LOADED_PER_TURN {
            let Some((offset, record)) = scene.store.after(at) else {
                self.loading = None;
                self.input(scene, Input::LogLoaded);
                return;
            };
            self.appended(scene, offset, record);
            at = offset;
        }
        self.loading = Some(at);
        scene.turn_at(self.host, scene.now + MOMENT);
    }

    fn accept(&mut self, scene: &mut Scene<'_>) {
        let now = scene.now;
        let host = usize::from(self.host);
        let due: Vec<_> = scene.hosts[host].waiting.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, id) in due {
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push(Slot { generation: 0, link: None });
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            });
            let place = &mut self.slots[slot as usize];
            place.link = Some(id);
            let conn = ConnId::new(slot, place.generation);
            let epoch = scene.store.epoch().clone();
            let link = scene.link(id);
            (link.conn, link.epoch) = (Some(conn), Some(epoch));
            let (rogue, address) = (link.rogue, link.address);
            let peer = Peer { address: peer_address(address), listener: Listener::All };
            let hub_now = scene.hub_now(self.host);
            scene.trace(format_args!("{:?} accepts {id:?}", self.id));
            scene.model.accepted(hub_now, id, self.id, rogue);
            self.input(scene, Input::Accepted { conn, peer });
            scene.ready(id);
        }
    }

    fn read(&mut self, scene: &mut Scene<'_>) {
        let mut links = std::mem::take(&mut scene.hosts[usize::from(self.host)].readable);
        self.permute(scene, &mut links);
        for id in links {
            let link = scene.link(id);
            link.readable = false;
            let Some(conn) = link.conn else { continue };
            let now = scene.hub_now(self.host);
            let link = scene.link(id);
            if link.broken {
                scene.trace(format_args!("{id:?} is broken"));
                scene.model.closed(now, id, Ending::Peer);
                self.release(scene, conn, true);
                self.input(scene, Input::Closed { conn });
            } else if !link.paused && !link.inbox.is_empty() {
                let bytes = std::mem::take(&mut link.inbox);
                scene.trace(format_args!("{id:?} -> {} bytes", bytes.len()));
                scene.trace.bytes(&bytes);
                scene.model.received(now, id, &bytes);
                self.input(scene, Input::Received { conn, bytes: &bytes });
                scene.schedule_up(id);
                if scene.link(id).ended {
                    scene.ready(id);
                }
            } else if !link.paused && link.ended && !link.told_ended {
                link.told_ended = true;
                scene.trace(format_args!("{id:?} -> end"));
                scene.model.peer_ended(now, id);
                self.input(scene, Input::Ended { conn });
            }
        }
    }

    fn permute(&self, scene: &mut Scene<'_>, links: &mut [LinkId]) {
        if scene.settings.poll.permute {
            let draw = &mut scene.hosts[usize::from(self.host)].draw;
            for last in (1..links.len()).rev() {
                links.swap(last, draw.index(last + 1));
            }
        }
    }

    /// Takes all outputs.
    pub(crate) fn obey(&mut self, scene: &mut Scene<'_>) {
        if !self.stale {
            return;
        }
        while let Some(output) = self.hub.poll_output() {
            self.obey_one(scene, output);
        }
        self.stale = false;
        let lateness = scene.hosts[usize::from(self.host)].lateness.max(MOMENT);
        let now = scene.hub_now(self.host);
        scene.model.stepped(now, self.id, &self.hub, lateness);
    }

    fn obey_one(&mut self, scene: &mut Scene<'_>, output: Output) {
        let find = |conn: ConnId| {
            let slot = self.slots.get(conn.slot())?;
            slot.link.filter(|_| slot.generation == conn.generation())
        };
        match output {
            Output::Transmit(conn) => {
                if let Some(id) = find(conn) {
                    scene.link(id).pending = true;
                    scene.want_write(id);
                }
            }
            Output::Pause(conn) => {
                if let Some(id) = find(conn) {
                    scene.trace(format_args!("{id:?} is paused"));
                    scene.link(id).paused = true;
                    scene.model.paused(scene.hub_now(self.host), id, true);
                }
            }
            Output::Resume(conn) => {
                if let Some(id) = find(conn) {
                    scene.trace(format_args!("{id:?} is resumed"));
                    scene.link(id).paused = false;
                    scene.model.paused(scene.hub_now(self.host), id, false);
                    scene.ready(id);
                }
            }
            Output::Finish(conn) => {
                if let Some(id) = find(conn) {
                    scene.trace(format_args!("{id:?} <- end"));
                    scene.link(id).finished = true;
                    scene.schedule_down(id);
                }
            }
            Output::Close(conn) => {
                if let Some(id) = find(conn) {
                    scene.trace(format_args!("{id:?} is closed"));
                    let now = scene.hub_now(self.host);
                    scene.model.closed(now, id, Ending::Hub);
                    self.release(scene, conn, false);
                }
            }
            Output::Append { request, record } => scene.append(self.host, self.id, request, record),
            Output::Drained => self.drained = true,
            Output::Published { .. } => {}
            Output::Note(note) => scene.trace(format_args!("{:?} notes {note:?}", self.id)),
        }
    }

    /// Lets go of a connection's slot.
    fn release(&mut self, scene: &mut Scene<'_>, conn: ConnId, by_peer: bool) {
        let slot = &mut self.slots[conn.slot()];
        slot.generation += 1;
        let link = slot.link.take();
        self.free.push(u32::try_from(conn.slot()).unwrap_or(u32::MAX));
        if let Some(id) = link {
            let unread = !scene.link(id).inbox.is_empty();
            scene.let_go(id, by_peer || unread);
        }
    }

    fn budget(&self, scene: &mut Scene<'_>) -> usize {
        let budgets = &scene.settings.poll.budgets;
        *scene.hosts[usize::from(self.host)].draw.pick(budgets)
    }

    fn write(&mut self, scene: &mut Scene<'_>) {
        let mut links = std::mem::take(&mut scene.hosts[usize::from(self.host)].writable);
        self.permute(scene, &mut links);
        for id in links {
            scene.link(id).writable = false;
            let mut writes = 0;
            while self.write_one(scene, id) {
                writes += 1;
                if writes == ROUNDS_MAX {
                    scene.want_write(id);
                    break;
                }
            }
        }
    }

    /// Writes once; says whether to go on.
    fn write_one(&mut self, scene: &mut Scene<'_>, id: LinkId) -> bool {
        let send_buffer = scene.settings.network.send_buffer;
        let partial = scene.rate(Fault::PartialWrite);
        let budget = self.budget(scene);
        let now = scene.hub_now(self.host);
        let link = scene.link(id);
        let Some(conn) = link.conn.filter(|_| link.pending) else { return false };
        let room = link.room(send_buffer);
        if room == 0 {
            if !std::mem::replace(&mut link.blocked, true) {
                scene.model.blocked(now, id, true);
            }
            return false;
        }
        let Some(transmit) = self.hub.poll_transmit(conn, budget) else {
            self.nothing(scene, id);
            self.stale = true;
            return false;
        };
        let bytes = transmit.slices().concat();
        if bytes.is_empty() {
            scene.violate(Invariant::Legal, format!("{id:?}: a poll gives bytes or nothing"));
            return false;
        }
        let mut written = bytes.len().min(room);
        let draw = &mut scene.hosts[usize::from(self.host)].draw;
        if 1 < written && draw.chance(partial) {
            written = 1 + draw.index(written);
            scene.count(Fault::PartialWrite);
        }
        let more = transmit.commit(written);
        self.stale = true;
        scene.counts.bytes += written as u64;
        scene.trace(format_args!("{id:?} <- {written} bytes"));
        scene.trace.bytes(&bytes[..written]);
        scene.model.wrote(now, id, &bytes[..written]);
        scene.take(id, &bytes[..written]);
        if !more && scene.settings.poll.trust_commit {
            self.nothing(scene, id);
            return false;
        }
        true
    }
}

fn peer_address(address: u8) -> std::net::IpAddr {
    if address == 0 { [127, 0, 0, 1].into() } else { [10, 0, 0, address].into() }
}
