//! The connections of a run on one poll: they open in waves, are read when there is something, and every
//! event they get is given to whoever counts.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tidings_core::wire::client::pong_into;

use crate::LoadError;
use crate::dialect::{DIGITS, Dialect, MARK, Role};
use crate::frames::{Frames, Received};
use crate::http::Responses;
use crate::process::would_block;
use crate::scenario::Run;

/// Connections that open at once: fewer than servers allow an address to have unauthenticated.
const OPENING_MAX: usize = 100;
/// How long all of them may take to open.
const PATIENCE: Duration = Duration::from_secs(120);
/// Tokens from here on are of errands.
const ERRANDS: usize = 1 << 32;
const MASK: [u8; 4] = [1, 2, 3, 4];

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    role: Role,
    speech: Speech,
    ready: bool,
    unsent: Vec<u8>,
    /// Not read for a while.
    held: bool,
    closed: bool,
}

/// What is expected from the server.
#[derive(Debug)]
enum Speech {
    /// The answer to the upgrade, of which so much has come.
    Upgrading(Vec<u8>),
    WebSocket(Frames),
    /// Answers to a publisher's requests.
    Http(Responses),
}

/// Whoever reads a connection: what it needs to know, and to whom events are given.
struct Reader<'r, F> {
    dialect: &'r dyn Dialect,
    hello: &'r dyn Fn(Role) -> Vec<u8>,
    mark: &'r Finder<'static>,
    greeting: &'r mut Vec<u8>,
    delivered: F,
}

/// What a read gave.
pub(crate) struct Delivered {
    /// The subscriber's number.
    pub(crate) connection: usize,
    /// The event's number.
    pub(crate) number: usize,
}

/// All connections of a run: the publisher first.
pub(crate) struct Fleet<'a> {
    dialect: &'a dyn Dialect,
    run: &'a Run,
    address: SocketAddr,
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    /// Connections for one publish each, where the server ends them; the places of those that are over are free.
    errands: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Publishes that came to nothing.
    failed: usize,
    ready: usize,
    /// Connections that are to be read though nothing was heard of them.
    woken: Vec<usize>,
    buffer: Vec<u8>,
    mark: Finder<'static>,
    /// What subscribers say first, where it is not what the dialect has them say.
    hello: Option<Vec<u8>>,
    greeting: Vec<u8>,
}

impl<'a> Fleet<'a> {
    pub(crate) fn new(
        run: &'a Run,
        dialect: &'a dyn Dialect,
        address: SocketAddr,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            dialect,
            run,
            address,
            poll: Poll::new().map_err(LoadError::system("polling"))?,
            events: Events::with_capacity(4096),
            connections: Vec::new(),
            errands: Vec::new(),
            free: Vec::new(),
            failed: 0,
            ready: 0,
            woken: Vec::new(),
            buffer: vec![0; 1 << 20],
            mark: Finder::new(MARK),
            hello: None,
            greeting: Vec::new(),
        })
    }

    /// Opens connections until there are `subscribers` besides the publisher, and all are ready.
    pub(crate) fn open(
        &mut self,
        subscribers: usize,
        mut delivered: impl FnMut(Delivered),
    ) -> Result<(), LoadError> {
        let until = Instant::now() + PATIENCE;
        while self.ready < subscribers + 1 {
            if until < Instant::now() || self.connections.iter().any(|connection| connection.closed) {
                return Err(LoadError::Peer(format!(
                    "{} of {subscribers} connections are ready",
                    self.ready
                )));
            }
            while self.connections.len() < subscribers + 1
                && self.connections.len() - self.ready < OPENING_MAX
            {
                self.connect().map_err(LoadError::system("connecting"))?;
            }
            self.turn(Some(Duration::from_millis(100)), &mut delivered)?;
        }
        Ok(())
    }

    fn connect(&mut self) -> io::Result<()> {
        let index = self.connections.len();
        let role = index.checked_sub(1).map_or(Role::Publisher, Role::Subscriber);
        let http = role == Role::Publisher && self.dialect.publishes_over_http();
        let speech = if http { Speech::Http(Responses::default()) } else { Speech::Upgrading(Vec::new()) };
        let mut connection = Connection { ready: http, ..self.dial(index, role, speech)? };
        self.ready += usize::from(http);
        if !http {
            let request = format!(
                "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                self.dialect.target(role),
                self.address
            );
            connection.send(request.as_bytes());
        }
        self.connections.push(connection);
        Ok(())
    }

    fn dial(&self, token: usize, role: Role, speech: Speech) -> io::Result<Connection> {
        let stream = std::net::TcpStream::connect(self.address)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Connection { stream, role, speech, ready: false, unsent: Vec::new(), held: false, closed: false })
    }

    /// Waits for at most `wait`, reads what has come, and gives every event.
    pub(crate) fn turn(
        &mut self,
        wait: Option<Duration>,
        delivered: impl FnMut(Delivered),
    ) -> Result<(), LoadError> {
        let wait = if self.woken.is_empty() { wait } else { Some(Duration::ZERO) };
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if !would_block(&error) => return Err(LoadError::system("polling")(error)),
            _ => {}
        }
        let Self { dialect, run, connections, errands, free, failed, ready, .. } = self;
        let (buffer, mark, hello, greeting) = (&mut self.buffer, &self.mark, &self.hello, &mut self.greeting);
        let given = hello.as_deref();
        let hello = |role| match given {
            Some(hello) if role != Role::Publisher => hello.to_vec(),
            _ => dialect.hello(run, role),
        };
        let mut reader = Reader { dialect: *dialect, hello: &hello, mark, greeting, delivered };
        // Says whether it has become ready by that.
        let mut read = |connection: &mut Connection| {
            let was_ready = connection.ready;
            connection.read(buffer, &mut reader);
            connection.ready && !was_ready
        };
        for event in &self.events {
            if let Some(place) = event.token().0.checked_sub(ERRANDS) {
                let Some(errand) = &mut errands[place] else { continue };
                errand.flush();
                let answered = read(errand);
                if errand.closed || answered {
                    *failed += usize::from(!answered);
                    errands[place] = None;
                    free.push(place);
                }
                continue;
            }
            let connection = &mut connections[event.token().0];
            if event.is_writable() {
                connection.flush();
            }
            if event.is_readable() && !connection.held {
                *ready += usize::from(read(connection));
            }
        }
        self.woken.drain(..).for_each(|index| *ready += usize::from(read(&mut connections[index])));
        Ok(())
    }

    /// Sends bytes over the publisher's connection, or over one of their own where the server keeps none.
    pub(crate) fn publish(&mut self, bytes: &[u8]) {
        if self.dialect.keeps_publishers() {
            return self.connections[0].send(bytes);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.errands.push(None);
            self.errands.len() - 1
        });
        match self.dial(ERRANDS + place, Role::Publisher, Speech::Http(Responses::default())) {
            Ok(mut errand) => {
                errand.send(bytes);
                self.errands[place] = Some(errand);
            }
            Err(_) => {
                self.failed += 1;
                self.free.push(place);
            }
        }
    }

    /// Has the subscribers that are yet to come say this first.
    pub(crate) fn say(&mut self, hello: Vec<u8>) {
        self.hello = Some(hello);
    }

    /// The message with which the publisher became ready.
    pub(crate) fn greeting(&self) -> &[u8] {
        &self.greeting
    }

    /// Stops to read a subscriber's connection, or reads on.
    pub(crate) fn hold(&mut self, subscriber: usize, held: bool) {
        let index = subscriber + 1;
        self.connections[index].held = held;
        if !held {
            self.woken.push(index);
        }
    }

    /// Connections that the server has ended, and publishes that it has not taken.
    pub(crate) fn closed(&self) -> usize {
        self.failed + self.connections.iter().filter(|connection| connection.closed).count()
    }
}

impl Connection {
    fn send(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.flush();
    }

    fn flush(&mut self) {
        if self.unsent.is_empty() {
            return;
        }
        match self.stream.write(&self.unsent) {
            Ok(written) => drop(self.unsent.drain(..written)),
            Err(error) => self.closed |= !would_block(&error),
        }
    }

    fn read(&mut self, buffer: &mut [u8], reader: &mut Reader<'_, impl FnMut(Delivered)>) {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return self.closed = true,
                Ok(count) => count,
                Err(error) => return self.closed |= !would_block(&error),
            };
            let rest = self.upgrade(&buffer[..count], reader);
            let answer = self.hear(rest.as_deref().unwrap_or(&buffer[..count]), reader);
            if !answer.is_empty() {
                self.send(&answer);
            }
            // A short read has emptied the socket; what comes later comes with an event.
            if count < buffer.len() {
                return;
            }
        }
    }

    /// Takes what the server says, and gives what it is to be answered.
    fn hear(&mut self, bytes: &[u8], reader: &mut Reader<'_, impl FnMut(Delivered)>) -> Vec<u8> {
        let mut answer = Vec::new();
        let Self { role, speech, ready, closed, .. } = self;
        let frames = match speech {
            Speech::WebSocket(frames) => frames,
            Speech::Http(responses) => {
                responses.read(bytes, |status| {
                    let taken = (200..300).contains(&status);
                    (*ready, *closed) = (*ready || taken, *closed || !taken);
                });
                return answer;
            }
            Speech::Upgrading(_) => return answer,
        };
        frames.read(bytes, |received| match received {
            Received::Message(message) => {
                if !*ready && reader.dialect.is_ready(*role, message) {
                    *ready = true;
                    if *role == Role::Publisher {
                        *reader.greeting = message.to_vec();
                    }
                }
                reader.dialect.answer(&mut answer, *role, message);
                if let Role::Subscriber(connection) = *role {
                    numbers(message, reader.mark)
                        .for_each(|number| (reader.delivered)(Delivered { connection, number }));
                }
            }
            Received::Ping(payload) => pong_into(&mut answer, MASK, payload),
            Received::Close(_) => *closed = true,
        });
        answer
    }

    /// Reads the answer to the upgrade, and gives what stands behind it; nothing where it was read before.
    fn upgrade<F>(&mut self, bytes: &[u8], reader: &Reader<'_, F>) -> Option<Vec<u8>> {
        let Speech::Upgrading(head) = &mut self.speech else { return None };
        head.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(head, b"\r\n\r\n") else { return Some(Vec::new()) };
        let rest = head.split_off(end + 4);
        self.closed |= !head.starts_with(b"HTTP/1.1 101 ");
        self.speech = Speech::WebSocket(Frames::default());
        self.ready = reader.dialect.is_ready(self.role, b"");
        let hello = (reader.hello)(self.role);
        self.send(&hello);
        Some(rest)
    }
}

/// The numbers of the events in a message.
fn numbers<'m>(message: &'m [u8], mark: &'m Finder<'_>) -> impl Iterator<Item = usize> + 'm {
    mark.find_iter(message).filter_map(|at| {
        let digits = message.get(at + MARK.len()..at + MARK.len() + DIGITS)?;
        digits.iter().try_fold(0usize, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0'))
        })
    })
}
