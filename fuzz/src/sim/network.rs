//! Connections as two streams of bytes with everything that befalls them between a peer and a host.
//!
//! Bytes keep their order and arrive in pieces that nobody chose. Towards the peer the host's kernel holds a
//! bounded number of them; a peer that does not read leaves them there.

use std::collections::VecDeque;
use std::time::Duration;

use tidings_core::{ConnId, Epoch, Instant};

use super::draw::{Draw, Stream};
use super::queue::Due;
use super::scenario::Fault;
use super::scene::Scene;
use crate::model::LinkId;

/// Microseconds that a piece is under way at most once the faults have stopped.
const CALM_LATENCY: u64 = 1_000;
/// Bytes that arrive at once then, at least.
const CALM_CHUNK: usize = 4_096;
/// Bytes that a host's kernel holds until its shell reads them.
pub(crate) const RECEIVE_BUFFER: usize = 64 * 1024;
/// Bytes of a heartbeat with its Ping, or of the answer, at most.
const HEARTBEAT: usize = 256;

/// What a peer learns about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The host sends nothing more.
    Ended,
    /// The connection is broken, or nobody took it.
    Broken,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    /// The actor at the other end.
    pub(crate) owner: u16,
    pub(crate) host: u16,
    pub(crate) address: u8,
    /// The name that the hub knows it by, while it does.
    pub(crate) conn: Option<ConnId>,
    /// The epoch of the hub that accepted it.
    pub(crate) epoch: Option<Epoch>,
    draw: Draw<'static>,
    // From the peer to the host.
    up: VecDeque<u8>,
    up_scheduled: bool,
    up_ended: bool,
    /// What the shell has yet to read.
    pub(crate) inbox: Vec<u8>,
    /// The peer's end has arrived.
    pub(crate) ended: bool,
    pub(crate) told_ended: bool,
    /// A reset has arrived at the host.
    pub(crate) broken: bool,
    /// The host has let go of its socket.
    pub(crate) closed: bool,
    /// The shell does not read.
    pub(crate) paused: bool,
    // From the host to the peer.
    down: VecDeque<u8>,
    down_scheduled: bool,
    /// The host sends nothing more.
    pub(crate) finished: bool,
    /// A reset is on its way to the peer.
    refused: bool,
    /// The hub has said that there is something to send.
    pub(crate) pending: bool,
    /// Whether the model knows that the kernel's buffer is full.
    pub(crate) blocked: bool,
    /// Whether the shell has it on its list of connections to read.
    pub(crate) readable: bool,
    /// Whether the shell has it on its list of connections to write to.
    pub(crate) writable: bool,
    // Faults.
    stalled: Option<Instant>,
    silent: Option<Instant>,
    reset_after: Option<u32>,
    /// The peer holds its end.
    pub(crate) held: bool,
    /// The peer breaks rules.
    pub(crate) rogue: bool,
    pub(crate) corrupts: bool,
}

impl Link {
    /// Whether nothing is under way but what a heartbeat takes.
    pub(crate) fn is_still(&self) -> bool {
        let bytes = self.up.len() + self.inbox.len() + self.down.len();
        bytes <= HEARTBEAT && !self.pending
    }

    /// How many bytes the kernel still takes.
    pub(crate) fn room(&self, send_buffer: usize) -> usize {
        send_buffer.saturating_sub(self.down.len())
    }
}

impl Scene<'_> {
    /// Opens a connection of `owner` to a host. Nobody may take it.
    pub(crate) fn open(&mut self, owner: u16, host: u16, address: u8, rogue: bool) -> LinkId {
        let id = LinkId(u32::try_from(self.links.len()).expect("a run has fewer connections than 2^32"));
        let mut draw = Draw::new(self.seed, Stream::Link, u64::from(id.0));
        let latency = self.latency(&mut draw);
        self.counts.connections += 1;
        self.trace(format_args!("{id:?} of {owner} opens to hub {host}"));
        self.links.push(Link {
            id,
            owner,
            host,
            address,
            conn: None,
            epoch: None,
            draw,
            up: VecDeque::new(),
            up_scheduled: false,
            up_ended: false,
            inbox: Vec::new(),
            ended: false,
            told_ended: false,
            broken: false,
            closed: false,
            paused: false,
            down: VecDeque::new(),
            down_scheduled: false,
            finished: false,
            refused: false,
            pending: false,
            blocked: false,
            readable: false,
            writable: false,
            stalled: None,
            silent: None,
            reset_after: None,
            held: true,
            rogue,
            corrupts: rogue && 0 < self.rate(Fault::Corruption),
        });
        self.queue.push(self.now + latency, Due::Knock(id));
        id
    }

    fn latency(&self, draw: &mut Draw<'_>) -> Duration {
        let (least, most) = self.latencies();
        Duration::from_micros(draw.range(least, most))
    }

    /// How long a piece is under way, in microseconds: never long once the faults have stopped, since a network
    /// that is slower than what is sent lets nobody catch up.
    fn latencies(&self) -> (u64, u64) {
        let network = &self.settings.network;
        let bound = if self.calm { CALM_LATENCY } else { u64::MAX };
        (network.latency_min.min(bound), network.latency_max.min(bound))
    }

    pub(crate) fn link(&mut self, id: LinkId) -> &mut Link {
        &mut self.links[id.0 as usize]
    }

    /// An opening connection arrives: it waits to be accepted, or nobody is there.
    pub(crate) fn knock(&mut self, id: LinkId) {
        let host = self.link(id).host;
        let rate = self.rate(Fault::ConnectFailure);
        if self.link(id).draw.chance(rate) {
            // Nobody answers; the peer has to notice by itself.
            self.count(Fault::ConnectFailure);
            return self.trace(format_args!("{id:?} is lost"));
        }
        if self.hosts[usize::from(host)].life.is_none() {
            self.trace(format_args!("{id:?} finds nobody"));
            return self.refuse(id);
        }
        let rate = self.rate(Fault::SlowAccept);
        let mut delay = Duration::ZERO;
        if self.link(id).draw.chance(rate) {
            self.count(Fault::SlowAccept);
            delay = self.link(id).draw.micros(1_000, 5_000_000);
        }
        let at = self.now + delay;
        self.hosts[usize::from(host)].waiting.push((at, id));
        self.turn_at(host, at);
    }

    // What a peer does

    /// Sends bytes to the host.
    pub(crate) fn send(&mut self, id: LinkId, bytes: &[u8]) {
        let link = self.link(id);
        if link.held && !link.up_ended {
            link.up.extend(bytes);
            self.schedule_up(id);
        }
    }

    /// Sends nothing more, and still reads.
    pub(crate) fn end(&mut self, id: LinkId) {
        let link = self.link(id);
        if !link.up_ended {
            link.up_ended = true;
            self.schedule_up(id);
        }
    }

    /// Lets go: what was sent still arrives, what arrives is answered with a reset.
    pub(crate) fn hang_up(&mut self, id: LinkId) {
        self.end(id);
        self.link(id).held = false;
    }

    // Faults

    /// The peer takes nothing for a while, or for ever.
    pub(crate) fn stall(&mut self, id: LinkId, millis: Option<u32>) {
        let until = self.until(millis);
        self.link(id).stalled = Some(until);
    }

    /// Nothing passes any more.
    pub(crate) fn silence(&mut self, id: LinkId) {
        let until = self.until(None);
        let link = self.link(id);
        (link.stalled, link.silent) = (Some(until), Some(until));
    }

    fn until(&self, millis: Option<u32>) -> Instant {
        let ever = Instant::from_micros(u64::MAX);
        let until = millis.map_or(ever, |millis| self.now + Duration::from_millis(u64::from(millis)));
        if self.calm { self.now } else { until }
    }

    /// The connection breaks once the peer has received so many more bytes.
    pub(crate) fn reset_after(&mut self, id: LinkId, bytes: u32) {
        if bytes == 0 {
            return self.break_now(id);
        }
        self.link(id).reset_after = Some(bytes);
    }

    /// Both ends find the connection broken.
    pub(crate) fn break_now(&mut self, id: LinkId) {
        let mut draw = self.link(id).draw.clone();
        let latency = self.latency(&mut draw);
        let link = self.link(id);
        link.draw = draw;
        link.up.clear();
        link.down.clear();
        link.up_ended = true;
        self.queue.push(self.now + latency, Due::Broken(id));
        if self.link(id).held {
            self.link(id).held = false;
            self.words.push((id, Word::Broken));
        }
    }

    /// All that stood still flows again.
    pub(crate) fn flow(&mut self) {
        for index in 0..self.links.len() {
            let link = &mut self.links[index];
            let id = link.id;
            (link.reset_after, link.corrupts) = (None, false);
            let stood = link.stalled.take().is_some() | link.silent.take().is_some();
            if stood {
                // What was put off to the end of a stall comes now.
                let link = self.link(id);
                (link.up_scheduled, link.down_scheduled) = (false, false);
                self.schedule_up(id);
                self.schedule_down(id);
            }
        }
    }

    // From the peer to the host

    pub(crate) fn schedule_up(&mut self, id: LinkId) {
        let now = self.now;
        let (least, most) = self.latencies();
        let link = &mut self.links[id.0 as usize];
        let waits = !link.up.is_empty() || link.up_ended && !link.ended;
        if link.up_scheduled || !waits || RECEIVE_BUFFER <= link.inbox.len() {
            return;
        }
        link.up_scheduled = true;
        let latency = Duration::from_micros(link.draw.range(least, most));
        let until = link.silent.unwrap_or(Instant::ZERO);
        if until < Instant::from_micros(u64::MAX) {
            self.queue.push(until.max(now) + latency, Due::Up(id));
        } else {
            link.up_scheduled = false;
        }
    }

    /// A piece arrives at the host.
    pub(crate) fn arrive_up(&mut self, id: LinkId) {
        // Peers send little, and the deadlines for that are short.
        let (chunk, split) = (self.settings.network.chunk.max(1_460), self.rate(Fault::Split));
        let corruption = self.rate(Fault::Corruption);
        let link = &mut self.links[id.0 as usize];
        link.up_scheduled = false;
        if link.silent.is_some_and(|until| self.now < until) {
            return self.schedule_up(id);
        }
        let mut count = link.up.len().min(chunk);
        let splits = link.draw.chance(split);
        if splits && 1 < count {
            count = 1 + link.draw.index(count);
            self.counts.faults.0[Fault::Split as usize] += 1;
        }
        let from = link.inbox.len();
        link.inbox.extend(link.up.drain(..count));
        if link.corrupts && 0 < count && link.draw.chance(corruption / 4) {
            let at = from + link.draw.index(count);
            link.inbox[at] ^= 1 << link.draw.below(8);
            self.model.corrupted(id);
            self.count(Fault::Corruption);
        }
        let link = &mut self.links[id.0 as usize];
        link.ended |= link.up.is_empty() && link.up_ended;
        if link.conn.is_some() {
            self.ready(id);
        } else if link.closed {
            // What still arrives finds no socket, and what is under way to the peer may be lost.
            link.inbox.clear();
            if link.draw.chance(500) && 0 < count {
                link.down.clear();
                self.refuse(id);
            }
        }
        self.schedule_up(id);
    }

    // From the host to the peer

    /// The host's kernel takes bytes; there is room for them.
    pub(crate) fn take(&mut self, id: LinkId, bytes: &[u8]) {
        self.link(id).down.extend(bytes);
        self.schedule_down(id);
    }

    /// The peer finds its connection broken, once what is under way has arrived.
    pub(crate) fn refuse(&mut self, id: LinkId) {
        self.link(id).refused = true;
        self.schedule_down(id);
    }

    pub(crate) fn schedule_down(&mut self, id: LinkId) {
        let now = self.now;
        let (least, most) = self.latencies();
        let link = &mut self.links[id.0 as usize];
        if link.down_scheduled || !(link.finished || link.refused || !link.down.is_empty()) {
            return;
        }
        let latency = Duration::from_micros(link.draw.range(least, most));
        let until = link.stalled.unwrap_or(Instant::ZERO);
        if until < Instant::from_micros(u64::MAX) {
            link.down_scheduled = true;
            self.queue.push(until.max(now) + latency, Due::Down(id));
        }
    }

    /// A piece arrives at the peer: its bytes, and what it learns behind them.
    pub(crate) fn arrive_down(&mut self, id: LinkId) -> (Vec<u8>, Option<Word>) {
        let least = if self.calm { CALM_CHUNK } else { 1 };
        let (chunk, split) = (self.settings.network.chunk.max(least), self.rate(Fault::Split));
        let link = &mut self.links[id.0 as usize];
        link.down_scheduled = false;
        if link.stalled.is_some_and(|until| self.now < until) {
            self.schedule_down(id);
            return (Vec::new(), None);
        }
        if !link.held {
            link.down.clear();
            if link.conn.is_some() {
                self.queue.push(self.now, Due::Broken(id));
            }
            return (Vec::new(), None);
        }
        let mut count = link.down.len().min(chunk);
        if 1 < count && link.draw.chance(split) {
            count = 1 + link.draw.index(count);
            self.counts.faults.0[Fault::Split as usize] += 1;
        }
        if let Some(left) = &mut link.reset_after {
            count = count.min(*left as usize);
            *left -= u32::try_from(count).unwrap_or(*left);
        }
        let bytes: Vec<u8> = link.down.drain(..count).collect();
        let mut word = None;
        if link.down.is_empty() && (link.finished || link.refused) {
            word = Some(if link.refused { Word::Broken } else { Word::Ended });
            link.held &= !link.refused;
            (link.finished, link.refused) = (false, false);
        } else if link.reset_after == Some(0) {
            link.reset_after = None;
            self.break_now(id);
        }
        self.made_room(id);
        self.schedule_down(id);
        (bytes, word)
    }

    fn made_room(&mut self, id: LinkId) {
        let send_buffer = self.settings.network.send_buffer;
        let link = &mut self.links[id.0 as usize];
        if link.conn.is_none() || link.room(send_buffer) == 0 {
            return;
        }
        if std::mem::take(&mut link.blocked) {
            self.model.blocked(id, false);
        }
        let link = &mut self.links[id.0 as usize];
        if link.pending {
            let host = link.host;
            self.want_write(id);
            self.turn_at(host, self.now);
        }
    }
}
