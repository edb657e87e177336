//! The network of a world: what a shell's loop does, over buffers instead of sockets.

use std::cell::RefCell;
use std::rc::Rc;

use tidings_core::{ConnId, Hub, Input, LogUnavailable, Note, Now, Output, Peer};

use crate::client::State;
use crate::log::Log;

/// Steps of the loop in one run: a hub that never comes to rest is at fault.
const STEPS_MAX: usize = 1_000_000;
/// Bytes that the shell asks for at once, by default.
const BUDGET: usize = 16 * 1024;

/// One connection as the network has it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) conn: ConnId,
    /// What the client has sent and the shell has not read.
    pub(crate) to_server: Vec<u8>,
    /// What the client has received and not looked at, where it is no WebSocket client.
    pub(crate) to_client: Vec<u8>,
    /// The WebSocket client at the other end.
    pub(crate) client: Option<Rc<RefCell<State>>>,
    /// Everything that the client was ever sent.
    pub(crate) transcript: Vec<u8>,
    /// How many bytes the socket still takes; none where it takes all.
    pub(crate) room: Option<usize>,
    /// How many bytes one write takes at most.
    pub(crate) write_max: usize,
    /// The most bytes of replies that were ever waiting.
    pub(crate) outbox_max: usize,
    pending: bool,
    /// The hub knows that the socket takes nothing.
    refused: bool,
    paused: bool,
    /// The server sends nothing more.
    pub(crate) finished: bool,
    /// The client sends nothing more.
    pub(crate) ended: bool,
    told_ended: bool,
    /// The connection is gone.
    pub(crate) closed: bool,
}

/// The hub and everything around it.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) hub: Hub,
    pub(crate) now: Now,
    pub(crate) log: Log,
    pub(crate) links: Vec<Link>,
    pub(crate) notes: Vec<Note>,
    pub(crate) drained: bool,
    pub(crate) budget: usize,
    pub(crate) published: Vec<Published>,
    /// Nothing happens for now.
    pub(crate) held: bool,
    free: Vec<usize>,
    slots: u32,
}

/// What became of an embedded publish.
pub(crate) type Published =
    (tidings_core::RequestId, Result<tidings_core::protocol::PublishResult, tidings_core::protocol::Failure>);

impl Net {
    pub(crate) fn new(hub: Hub, log: Log, now: Now) -> Self {
        Self {
            hub,
            now,
            log,
            links: Vec::new(),
            notes: Vec::new(),
            drained: false,
            budget: BUDGET,
            published: Vec::new(),
            held: false,
            free: Vec::new(),
            slots: 0,
        }
    }

    /// Opens a connection and names it.
    pub(crate) fn open(&mut self, peer: Peer) -> usize {
        let conn = match self.free.pop() {
            Some(link) => {
                let old = self.links[link].conn;
                let slot = u32::try_from(old.slot()).expect("slots are 32 bits");
                ConnId::new(slot, old.generation() + 1)
            }
            None => {
                self.slots += 1;
                ConnId::new(self.slots - 1, 0)
            }
        };
        self.links.push(Link {
            conn,
            to_server: Vec::new(),
            to_client: Vec::new(),
            client: None,
            transcript: Vec::new(),
            room: None,
            write_max: usize::MAX,
            outbox_max: 0,
            pending: false,
            refused: false,
            paused: false,
            finished: false,
            ended: false,
            told_ended: false,
            closed: false,
        });
        self.handle(Input::Accepted { conn, peer });
        self.links.len() - 1
    }

    /// Breaks a connection as a reset does: nothing is said, what is under way is lost.
    pub(crate) fn reset(&mut self, link: usize) {
        if !self.links[link].closed {
            self.close(link);
            let conn = self.links[link].conn;
            self.handle(Input::Closed { conn });
        }
    }

    pub(crate) fn handle(&mut self, input: Input<'_>) {
        self.hub.handle(self.now, input);
    }

    /// Lets everything happen that can happen at this moment.
    pub(crate) fn run(&mut self) {
        if self.held {
            return;
        }
        // A shell begins its turn by saying what time it is.
        self.handle(Input::Timeout);
        for _ in 0..STEPS_MAX {
            let read = self.read();
            let told = self.obey();
            let wrote = self.write();
            let appended = self.append();
            let due = self.hub.poll_timeout().is_some_and(|at| at <= self.now.instant);
            if due {
                self.handle(Input::Timeout);
            }
            if !(read || told || wrote || appended || due) {
                return;
            }
        }
        unreachable!("the hub never comes to rest");
    }

    /// Hands the hub what clients have sent.
    fn read(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.links.len() {
            let link = &mut self.links[index];
            if link.closed || link.paused {
                continue;
            }
            let conn = link.conn;
            if !link.to_server.is_empty() {
                any = true;
                let bytes = std::mem::take(&mut link.to_server);
                self.handle(Input::Received { conn, bytes: &bytes });
            } else if link.ended && !link.told_ended {
                any = true;
                link.told_ended = true;
                self.handle(Input::Ended { conn });
            }
        }
        any
    }

    /// Does what the hub says.
    fn obey(&mut self) -> bool {
        let mut any = false;
        while let Some(output) = self.hub.poll_output() {
            any = true;
            match output {
                Output::Transmit(conn) => self.with(conn, |link| {
                    assert!(!link.pending, "a connection is said to have bytes once");
                    link.pending = true;
                }),
                Output::Pause(conn) => self.with(conn, |link| link.paused = true),
                Output::Resume(conn) => self.with(conn, |link| link.paused = false),
                Output::Finish(conn) => self.with(conn, |link| link.finished = true),
                Output::Close(conn) => {
                    if let Some(link) = self.find(conn) {
                        self.close(link);
                    }
                }
                Output::Append { request, record } => self.log.append(request, record, self.now.instant),
                Output::Published { request, result } => self.published.push((request, result)),
                Output::Drained => self.drained = true,
                Output::Note(note) => self.notes.push(note),
            }
        }
        any
    }

    /// Writes what sockets take.
    fn write(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.links.len() {
            while self.write_one(index) {
                any = true;
            }
        }
        any
    }

    fn write_one(&mut self, index: usize) -> bool {
        let link = &mut self.links[index];
        if link.closed || !link.pending || link.room == Some(0) && link.refused {
            return false;
        }
        link.refused = link.room == Some(0);
        let Some(transmit) = self.hub.poll_transmit(link.conn, self.budget) else {
            link.pending = false;
            return true;
        };
        let slices = transmit.slices();
        link.outbox_max = link.outbox_max.max(slices[1].len());
        let bytes = slices.concat();
        assert!(!bytes.is_empty(), "a poll gives bytes or nothing");
        let written = bytes.len().min(link.write_max).min(link.room.unwrap_or(usize::MAX));
        link.pending = transmit.commit(written);
        match &link.client {
            Some(client) => link.to_server.extend(client.borrow_mut().receive(&bytes[..written])),
            None => link.to_client.extend_from_slice(&bytes[..written]),
        }
        link.transcript.extend_from_slice(&bytes[..written]);
        if let Some(room) = &mut link.room {
            *room -= written;
        }
        true
    }

    /// Hands the hub what the log has answered.
    fn append(&mut self) -> bool {
        let Some((append, offset)) = self.log.pop(self.now.instant) else { return false };
        if let Some(offset) = offset {
            self.handle(Input::Appended { offset, record: append.record });
        }
        let result = offset.ok_or(LogUnavailable);
        self.handle(Input::AppendResult { request: append.request, result });
        true
    }

    fn close(&mut self, link: usize) {
        self.links[link].closed = true;
        self.free.push(link);
    }

    fn find(&self, conn: ConnId) -> Option<usize> {
        self.links.iter().position(|link| link.conn == conn && !link.closed)
    }

    fn with(&mut self, conn: ConnId, change: impl FnOnce(&mut Link)) {
        if let Some(link) = self.find(conn) {
            change(&mut self.links[link]);
        }
    }
}
