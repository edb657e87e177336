//! One turn of the loop after another: what has arrived goes in, what the hub says comes out, and each
//! connection with something to send gets one write.
//!
//! Readiness is remembered as flags that only the call that would block clears, and a turn ends with nothing
//! unsaid by the hub; so no wait begins while there is something to do.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant as SystemInstant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};
use tidings_core::auth::KeySet;
use tidings_core::{ConnId, Hub, Input, LogUnavailable, Note, Output, Peer, Sequencer};

use super::ServeError;
use super::clock::Clock;
use super::listeners::{self, Accepted, Listener};
use super::signals::{Asked, Signals};
use super::sockets::{Socket, Sockets};
use crate::settings::Settings;

const EVENTS: usize = 1024;
/// Tokens above all slots: the listeners count down from here.
const LISTENERS: usize = usize::MAX - 1;
const SIGNALS: Token = Token(usize::MAX - 8);
const WORD: Token = Token(usize::MAX - 9);
/// Between two warnings of the same kind.
const SECOND: Duration = Duration::from_secs(1);

/// What other threads tell the loop.
#[derive(Debug)]
pub(super) enum Word {
    /// The keys that tokens are verified with from here on.
    Keys(KeySet),
    /// What a signal asks for.
    #[cfg(test)]
    Asked(Asked),
    /// How many calls there were.
    #[cfg(test)]
    Count(Sender<Calls>),
    /// Panic, as a fault in the hub would.
    #[cfg(test)]
    Sabotage,
}

/// System calls on connections: what a delivery costs before anything else.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calls {
    pub(super) reads: u64,
    pub(super) writes: u64,
}

/// Tells the loop something from another thread, and wakes it.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    words: Sender<Word>,
    waker: Arc<Waker>,
}

impl Teller {
    /// Says whether there is a loop to hear it.
    pub(super) fn tell(&self, word: Word) -> bool {
        self.words.send(word).is_ok() && self.waker.wake().is_ok()
    }
}

/// The server while it runs.
pub(super) struct EventLoop {
    settings: Settings,
    clock: Clock,
    poll: Poll,
    listeners: Vec<Listener>,
    signals: Option<Signals>,
    /// Signals may have come since the last look.
    signalled: bool,
    teller: Teller,
    words: Receiver<Word>,
    /// The keys of the hub, where they are not those of the settings.
    keys: Option<KeySet>,
    sockets: Sockets,
    hub: Hub,
    log: Sequencer,
    buffer: Vec<u8>,
    reads: VecDeque<ConnId>,
    writes: VecDeque<ConnId>,
    calls: Calls,
    asked: Option<Asked>,
    over: bool,
    warned: Option<SystemInstant>,
}

impl EventLoop {
    pub(super) fn new(
        settings: Settings,
        keys: Option<KeySet>,
        mut listeners: Vec<Listener>,
    ) -> Result<Self, ServeError> {
        let poll = Poll::new()?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.register(poll.registry(), Token(LISTENERS - index))?;
        }
        let (sender, words) = channel();
        let teller = Teller { words: sender, waker: Arc::new(Waker::new(poll.registry(), WORD)?) };
        let clock = Clock::start();
        let (hub, log) = open_hub(&settings, keys.as_ref(), clock)?;
        Ok(Self {
            buffer: vec![0; settings.server.shell.read_buffer_bytes],
            settings,
            clock,
            poll,
            listeners,
            signals: None,
            signalled: false,
            teller,
            words,
            keys,
            sockets: Sockets::default(),
            hub,
            log,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            calls: Calls::default(),
            asked: None,
            over: false,
            warned: None,
        })
    }

    /// Makes SIGTERM and SIGINT end the loop and not the process.
    pub(super) fn hear_signals(&mut self) -> Result<(), ServeError> {
        self.signals = Some(Signals::register(self.poll.registry(), SIGNALS)?);
        Ok(())
    }

    /// What other threads tell the loop with.
    pub(super) fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// Turns until the hub has nothing left to wait for.
    pub(super) fn run(&mut self) -> Result<(), ServeError> {
        let mut events = Events::with_capacity(EVENTS);
        let mut timeout = Some(Duration::ZERO);
        while !self.over {
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            // Half a turn may have changed the hub by halves: what panics is given up as a whole.
            timeout = match catch_unwind(AssertUnwindSafe(|| self.turn(&events))) {
                Ok(timeout) => timeout,
                Err(_) => {
                    self.start_over()?;
                    Some(Duration::ZERO)
                }
            };
        }
        let Calls { reads, writes } = self.calls;
        tracing::debug!(reads, writes, "calls on connections");
        tracing::info!("stopped");
        Ok(())
    }

    /// Does what there is to do, a bounded piece of it, and says how long nothing more will be.
    fn turn(&mut self, events: &Events) -> Option<Duration> {
        let began = self.clock.instant();
        for event in events {
            self.on_event(event);
        }
        self.on_signals();
        self.on_words();
        self.accept();
        self.read();
        // Where nothing is due it tells the time of what is written in this turn.
        self.hub.handle(self.clock.now(), Input::Timeout);
        self.obey();
        self.write();
        let took = self.clock.instant().since(began);
        self.hub.handle(self.clock.now(), Input::TurnTook(took));
        // What is said only after the wait would be said too late.
        self.obey();
        self.timeout()
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.reads.is_empty() || !self.writes.is_empty() || self.listeners.iter().any(Listener::is_ready)
        {
            return Some(Duration::ZERO);
        }
        let hub = self.hub.poll_timeout().map(|at| self.clock.until(at));
        let now = SystemInstant::now();
        let rests = self.listeners.iter().filter_map(Listener::rests_until);
        let rest = rests.map(|until| until.saturating_duration_since(now)).min();
        [hub, rest].into_iter().flatten().min()
    }

    fn on_event(&mut self, event: &Event) {
        let Token(token) = event.token();
        match event.token() {
            SIGNALS => return self.signalled = true,
            // Words are looked for in every turn; this one began for them.
            WORD => return,
            _ => {}
        }
        if let Some(listener) = LISTENERS.checked_sub(token).and_then(|index| self.listeners.get_mut(index)) {
            return listener.hear();
        }
        let Some(conn) = self.sockets.id_at(token) else { return };
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let closed = event.is_read_closed() || event.is_error();
        socket.read_closed |= closed;
        if event.is_readable() || closed {
            socket.readable = true;
            want_read(&mut self.reads, socket, conn);
        }
        if event.is_writable() || event.is_error() {
            socket.writable = true;
            want_write(&mut self.writes, socket, conn);
        }
    }

    fn on_signals(&mut self) {
        if !std::mem::take(&mut self.signalled) {
            return;
        }
        let asked = self.signals.as_mut().map(Signals::pending).unwrap_or_default();
        for asked in asked {
            self.leave(asked);
        }
    }

    fn on_words(&mut self) {
        while let Ok(word) = self.words.try_recv() {
            match word {
                Word::Keys(keys) => {
                    self.keys = Some(keys.clone());
                    self.hub.handle(self.clock.now(), Input::KeysReplaced(keys));
                }
                #[cfg(test)]
                Word::Asked(asked) => self.leave(asked),
                #[cfg(test)]
                Word::Count(answer) => drop(answer.send(self.calls)),
                #[cfg(test)]
                Word::Sabotage => panic!("a test asked for this panic"),
            }
        }
    }

    /// The first time politely, the second time at once, and then without waiting for anyone.
    fn leave(&mut self, asked: Asked) {
        match (self.asked, asked) {
            (None, Asked::Leave) => {
                tracing::info!("draining: clients are told to reconnect");
                self.asked = Some(Asked::Leave);
                self.hub.handle(self.clock.now(), Input::Drain);
            }
            (None | Some(Asked::Leave), _) => {
                tracing::info!("stopping");
                self.asked = Some(Asked::End);
                self.hub.handle(self.clock.now(), Input::Stop);
            }
            (Some(Asked::End), _) => self.over = true,
        }
    }

    // In

    fn accept(&mut self) {
        let now = SystemInstant::now();
        for index in 0..self.listeners.len() {
            self.listeners[index].wake(now);
            for _ in 0..self.settings.server.shell.accept_batch {
                if !self.listeners[index].is_ready() {
                    break;
                }
                match self.listeners[index].accept() {
                    Accepted::Nothing => {}
                    Accepted::Exhausted(error) => self.warn_exhausted(&error),
                    Accepted::Stream(stream, peer) => {
                        let peer = Peer { address: peer.ip(), listener: self.listeners[index].serves };
                        self.accepted(stream, peer);
                    }
                }
            }
        }
    }

    fn warn_exhausted(&mut self, error: &io::Error) {
        let now = SystemInstant::now();
        if self.warned.is_none_or(|at| SECOND <= now.duration_since(at)) {
            self.warned = Some(now);
            tracing::warn!(%error, "cannot accept for the moment");
        }
    }

    fn accepted(&mut self, mut stream: mio::net::TcpStream, peer: Peer) {
        let conn = self.sockets.next_id();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let ready = listeners::prepare(&stream, self.settings.server.shell.notsent_lowat_bytes)
            .and_then(|()| self.poll.registry().register(&mut stream, Token(conn.slot()), interest));
        if let Err(error) = ready {
            tracing::debug!(%error, "a connection was gone before it began");
            return self.sockets.give_back(conn);
        }
        self.sockets.insert(conn, stream);
        self.hub.handle(self.clock.now(), Input::Accepted { conn, peer });
        if let Some(socket) = self.sockets.get_mut(conn) {
            want_read(&mut self.reads, socket, conn);
        }
    }

    /// One read of each socket that has something, into one buffer for all.
    fn read(&mut self) {
        for _ in 0..self.reads.len() {
            let Some(conn) = self.reads.pop_front() else { break };
            let Some(socket) = self.sockets.get_mut(conn) else { continue };
            socket.in_reads = false;
            if !socket.readable || socket.paused || socket.ended {
                continue;
            }
            self.calls.reads += 1;
            match socket.stream.read(&mut self.buffer) {
                Ok(0) => {
                    socket.ended = true;
                    self.hub.handle(self.clock.now(), Input::Ended { conn });
                }
                Ok(count) => {
                    // A short read has emptied the kernel's buffer: what comes later comes with an event.
                    socket.readable = count == self.buffer.len() || socket.read_closed;
                    want_read(&mut self.reads, socket, conn);
                    let bytes = &self.buffer[..count];
                    self.hub.handle(self.clock.now(), Input::Received { conn, bytes });
                    self.obey();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    want_read(&mut self.reads, socket, conn);
                }
                Err(_) => self.lost(conn),
            }
        }
    }

    // Out

    /// Does what the hub says, until it says nothing more. Writing waits for the end of the turn.
    fn obey(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Transmit(conn) => {
                    if let Some(socket) = self.sockets.get_mut(conn) {
                        socket.pending = true;
                        want_write(&mut self.writes, socket, conn);
                    }
                }
                Output::Pause(conn) => self.set_paused(conn, true),
                Output::Resume(conn) => self.set_paused(conn, false),
                Output::Finish(conn) => {
                    if let Some(socket) = self.sockets.get_mut(conn) {
                        // A peer that is gone already is told nothing; its close is seen when it is read.
                        let _ = socket.stream.shutdown(Shutdown::Write);
                    }
                }
                Output::Close(conn) => self.close(conn),
                Output::Append { request, record } => {
                    let result = self.log.next().ok_or(LogUnavailable);
                    let now = self.clock.now();
                    if let Ok(offset) = result {
                        self.hub.handle(now, Input::Appended { offset, record });
                    }
                    self.hub.handle(now, Input::AppendResult { request, result });
                }
                Output::Published { .. } => {}
                Output::Drained => self.over = true,
                Output::Note(note) => tell(&note),
            }
        }
    }

    fn set_paused(&mut self, conn: ConnId, paused: bool) {
        if let Some(socket) = self.sockets.get_mut(conn) {
            socket.paused = paused;
            want_read(&mut self.reads, socket, conn);
        }
    }

    /// One write to each socket that has something to send and can take it.
    fn write(&mut self) {
        let budget = self.settings.server.shell.write_budget_bytes;
        for _ in 0..self.writes.len() {
            let Some(conn) = self.writes.pop_front() else { break };
            let Some(socket) = self.sockets.get_mut(conn) else { continue };
            socket.in_writes = false;
            let Some(transmit) = self.hub.poll_transmit(conn, budget) else {
                socket.pending = false;
                continue;
            };
            let slices = transmit.slices();
            self.calls.writes += 1;
            let written = match slices {
                [[], [], only] | [[], only, []] | [only, [], []] => socket.stream.write(only),
                _ => socket.stream.write_vectored(&slices.map(IoSlice::new)),
            };
            match written {
                Ok(written) => {
                    socket.writable = written == transmit.len();
                    socket.pending = transmit.commit(written);
                    want_write(&mut self.writes, socket, conn);
                }
                // The hub learns that something had to stay behind: what is taken later is a sign of life.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    socket.writable = false;
                    socket.pending = transmit.commit(0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    want_write(&mut self.writes, socket, conn);
                }
                Err(_) => self.lost(conn),
            }
        }
    }

    /// The socket failed: the hub is told, and it is closed.
    fn lost(&mut self, conn: ConnId) {
        self.hub.handle(self.clock.now(), Input::Closed { conn });
        self.close(conn);
    }

    fn close(&mut self, conn: ConnId) {
        // Dropping the socket closes the descriptor, and that takes it out of the poll as well.
        drop(self.sockets.remove(conn));
    }

    /// The hub panicked: its connections are closed with 1011 and a new hub begins, with a new epoch, since the
    /// log was only in it.
    fn start_over(&mut self) -> Result<(), ServeError> {
        tracing::error!("the hub panicked; its connections are closed and a new one begins");
        for conn in self.sockets.ids() {
            let words = catch_unwind(AssertUnwindSafe(|| self.hub.last_words(conn))).unwrap_or_default();
            if let Some(mut socket) = self.sockets.remove(conn) {
                // Whatever the socket does not take at once is not worth waiting for. A close with bytes unread
                // would be a reset, which may overtake the words.
                let _ = socket.stream.write(&words);
                let _ = socket.stream.shutdown(Shutdown::Write);
                let _ = socket.stream.read(&mut self.buffer);
            }
        }
        self.reads.clear();
        self.writes.clear();
        // Readiness that the turn had been told of and did not come to would never be told again.
        self.signalled = true;
        self.listeners.iter_mut().for_each(Listener::hear);
        let counted = self.hub.stats().clone();
        (self.hub, self.log) = open_hub(&self.settings, self.keys.as_ref(), self.clock)?;
        let now = self.clock.now();
        self.hub.handle(now, Input::Succeeds(Box::new(counted)));
        if self.asked.is_some() {
            self.hub.handle(now, Input::Stop);
        }
        Ok(())
    }
}

fn want_read(reads: &mut VecDeque<ConnId>, socket: &mut Socket, conn: ConnId) {
    if socket.readable && !socket.paused && !socket.ended && !socket.in_reads {
        socket.in_reads = true;
        reads.push_back(conn);
    }
}

fn want_write(writes: &mut VecDeque<ConnId>, socket: &mut Socket, conn: ConnId) {
    if socket.pending && socket.writable && !socket.in_writes {
        socket.in_writes = true;
        writes.push_back(conn);
    }
}

fn open_hub(
    settings: &Settings,
    keys: Option<&KeySet>,
    clock: Clock,
) -> Result<(Hub, Sequencer), ServeError> {
    let now = clock.now();
    let mut hub = Hub::new(settings.config.clone(), seed()?, now)?;
    if let Some(keys) = keys {
        hub.handle(now, Input::KeysReplaced(keys.clone()));
    }
    let log = Sequencer::new(seed()?);
    hub.handle(now, Input::LogOpened { epoch: log.epoch().clone(), begin: log.end() });
    hub.handle(now, Input::LogLoaded);
    Ok((hub, log))
}

/// The only randomness that the server takes from the system.
fn seed() -> Result<[u8; 32], ServeError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

/// One line a connection at most at `info`; names are quoted, so that no user can forge a line.
fn tell(note: &Note) {
    match note {
        Note::Connected { connection, user } => {
            tracing::info!(connection = %connection, user = %user.escape_debug(), "connected");
        }
        Note::Ended { connection, code } => tracing::debug!(connection = %connection, ?code, "ended"),
        Note::Refused { reason } => tracing::debug!(reason, "refused"),
        Note::Panicked => tracing::error!("parsing panicked; the connection is closed"),
    }
}
