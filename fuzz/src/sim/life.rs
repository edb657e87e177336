//! A hub and the shell around it.
//!
//! The shell does what the contract of the core asks for and nothing that it does not allow, in an order drawn
//! for the run: which connection is served first, how much is asked for, how often a poll comes to nothing,
//! when outputs are taken. Whatever the hub is told, the model is told first.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::history::Record;
use tidings_core::{ConnId, Input, Instant, Listener, Offset, Output, Peer};

use super::host::{Life, Slot};
use super::network::RECEIVE_BUFFER;
use super::queue::Due;
use super::scenario::Fault;
use super::scene::Scene;
use crate::model::{Ending, Invariant, LinkId};

/// Rounds of a turn: then others get theirs.
const ROUNDS_MAX: usize = 64;
/// Timeouts in one second of virtual time beyond which a hub does not come to rest.
const TIMEOUTS_PER_S: u32 = 20_000;
/// Events that a hub loads in a turn.
const LOADED_PER_TURN: usize = 200;

impl Life {
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
            {
                match self.hub.poll_transmit(conn, budget).is_some() {
                    true => scene.model.polled(link),
                    false => self.nothing(scene, link),
                }
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

    /// Tells the model how much memory a connection holds.
    fn weigh(&self, scene: &mut Scene<'_>, link: LinkId, conn: ConnId) {
        if let Some(held) = self.hub.memory(conn) {
            scene.model.holds(link, held, RECEIVE_BUFFER);
        }
    }

    fn nothing(&self, scene: &mut Scene<'_>, link: LinkId) {
        scene.link(link).pending = false;
        scene.model.idle(scene.hub_now(self.host), link);
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

    /// The hub hears of an event.
    fn appended(&mut self, scene: &mut Scene<'_>, offset: Offset, record: Arc<Record>) {
        let now = scene.hub_now(self.host);
        scene.model.appended(now, self.id, offset);
        self.input(scene, Input::Appended { offset, record });
        scene.turn_at(self.host, scene.now);
    }

    /// The log has something for the hub, which hears of it in order, and later where it lags.
    pub(crate) fn feed(&mut self, scene: &mut Scene<'_>, offset: Offset, record: Arc<Record>) {
        // A hub that is being loaded finds it in the log.
        if self.loading.is_some() {
            return;
        }
        let lag = scene.hosts[usize::from(self.host)].lag;
        if lag.is_zero() && self.feed.is_empty() {
            return self.appended(scene, offset, record);
        }
        let after = self.feed.back().map_or(Instant::ZERO, |(due, ..)| *due);
        let due = after.max(scene.now + lag);
        self.feed.push_back((due, offset, record));
        scene.queue.push(due, Due::Feed(self.host));
    }

    /// The hub hears of what is due.
    pub(crate) fn hear(&mut self, scene: &mut Scene<'_>) {
        while let Some((_, offset, record)) = self.feed.pop_front_if(|(due, ..)| *due <= scene.now) {
            self.appended(scene, offset, record);
        }
    }

    /// Whether the hub has heard of everything that is in the log.
    pub(crate) fn is_level(&self) -> bool {
        self.loading.is_none() && self.feed.is_empty()
    }

    /// Reads, does what the hub says, writes, until there is nothing to do.
    pub(crate) fn turn(&mut self, scene: &mut Scene<'_>) {
        self.load(scene);
        self.accept(scene);
        for round in 0..ROUNDS_MAX {
            self.read(scene);
            if round == 0 {
                // A shell that has waited says so before it writes.
                self.input(scene, Input::Timeout);
            }
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
        scene.turn_at(self.host, scene.now + Duration::from_millis(1));
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
                self.weigh(scene, id, conn);
                scene.schedule_up(id);
                if scene.link(id).ended {
                    scene.ready(id);
                }
            } else if !link.paused && link.ended && !link.told_ended {
                link.told_ended = true;
                scene.trace(format_args!("{id:?} -> end"));
                scene.model.peer_ended(id);
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
        let lateness = scene.hosts[usize::from(self.host)].latest;
        let now = scene.hub_now(self.host);
        if scene.model.stepped(now, self.id, &self.hub, lateness) {
            for (slot, place) in (0..).zip(&self.slots) {
                if let Some(link) = place.link {
                    self.weigh(scene, link, ConnId::new(slot, place.generation));
                }
            }
        }
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
                    scene.model.wants(id);
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
            Output::Append { request, record } => {
                let now = scene.hub_now(self.host);
                scene.model.appending(now, self.id, request, &record);
                scene.append(self.host, self.id, request, record);
            }
            Output::Drained => self.drained = true,
            Output::Published { .. } => {}
            Output::Note(note) => {
                scene.trace(format_args!("{:?} notes {note:?}", self.id));
                scene.model.noted(scene.hub_now(self.host), self.id, &note);
            }
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
                scene.model.blocked(id, true);
                // A shell learns it by trying, and tells the hub.
                if let Some(transmit) = self.hub.poll_transmit(conn, budget) {
                    let _ = transmit.commit(0);
                    scene.model.polled(id);
                }
                self.stale = true;
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
        self.weigh(scene, id, conn);
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
