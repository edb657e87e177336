//! A host: one hub after another, with a clock that may be wrong, timers that may be late, and connections
//! that wait to be accepted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::auth::KeySet;
use tidings_core::history::Record;
use tidings_core::{Hub, Input, Instant, Now, Offset, UnixTime};

use super::draw::{Draw, Stream, seed_of};
use super::queue::Due;
use super::scene::Scene;
use super::tuning::SECRETS;
use crate::model::{Ending, HubId, LinkId};
use crate::world::EPOCH_MS;

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
    /// The most that they ever were; even a shell that is on time needs a moment.
    pub(crate) latest: Duration,
    /// Its hub hears of what the log has taken so much later.
    pub(crate) lag: Duration,
    /// Connections that wait to be accepted, and from when on they may be.
    pub(crate) waiting: Vec<(Instant, LinkId)>,
    pub(crate) keys: u8,
    /// Connections with something to read.
    pub(super) readable: Vec<LinkId>,
    /// Connections with something to write.
    pub(super) writable: Vec<LinkId>,
    turn: Option<Instant>,
    /// What the timer is armed for, and when it fires.
    timer: Option<(Instant, Instant)>,
    pub(super) draw: Draw<'static>,
}

impl Host {
    pub(crate) fn new(seed: u64, index: u16) -> Self {
        Self {
            index,
            life: None,
            clock: Clock::default(),
            lateness: Duration::ZERO,
            latest: Duration::from_millis(1),
            lag: Duration::ZERO,
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
    pub(super) host: u16,
    pub(crate) hub: Hub,
    pub(super) slots: Vec<Slot>,
    pub(super) free: Vec<u32>,
    /// The offset up to which the log has been loaded, until it has been loaded whole.
    pub(super) loading: Option<Offset>,
    /// What the log has taken and the hub has yet to hear of, in order, and when it does.
    pub(super) feed: VecDeque<(Instant, Offset, Arc<Record>)>,
    pub(super) drained: bool,
    /// Outputs have yet to be taken.
    pub(super) stale: bool,
    pub(super) timeouts: (u64, u32),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) link: Option<LinkId>,
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
            feed: VecDeque::new(),
            drained: false,
            stale: false,
            timeouts: (0, 0),
        };
        let (epoch, begin) = (self.store.epoch().clone(), self.store.begin());
        self.model.log_opened(id, &epoch, begin);
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
            scene.model.keys_replaced(life.id, &numbers);
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
            self.model.closed(now, link, Ending::Host);
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
        // Deliveries are counted at the next input.
        life.hub.handle(now, Input::TurnTook(Duration::ZERO));
        self.model.hub_ended(life.id, &life.hub);
        let stats = life.hub.stats();
        self.counts.resumes += stats.resumes;
        self.counts.gaps += stats.gaps_expired + stats.gaps_epoch;
        self.counts.conflations += life.hub.conflated();
        if let Some(back) = back {
            self.queue.push(self.now + back, Due::Host(host));
        }
    }

    /// A host's socket of a connection is gone.
    pub(super) fn let_go(&mut self, id: LinkId, reset: bool) {
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
        one.latest = one.latest.max(lateness);
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
        let fires = (at + late).max(now + Duration::from_micros(1));
        one.timer = Some((at, fires));
        self.queue.push(fires, Due::Timer(host));
    }
}
