//! The connections of a run on one poll: they open in waves, are read when there is something, and every
//! event they get is counted.

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
use crate::process::would_block;
use crate::scenario::Run;

/// Connections that open at once: fewer than servers allow an address to have unauthenticated.
const OPENING_MAX: usize = 100;
/// How long all of them may take to open.
const PATIENCE: Duration = Duration::from_secs(120);
const MASK: [u8; 4] = [1, 2, 3, 4];

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    role: Role,
    /// The answer to the upgrade, until it is whole.
    head: Option<Vec<u8>>,
    ready: bool,
    frames: Frames,
    unsent: Vec<u8>,
    closed: bool,
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
    ready: usize,
    buffer: Vec<u8>,
    mark: Finder<'static>,
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
            ready: 0,
            buffer: vec![0; 1 << 20],
            mark: Finder::new(MARK),
        })
    }

    /// Opens connections until there are `subscribers` besides the publisher, and all are ready.
    pub(crate) fn open(&mut self, subscribers: usize) -> Result<(), LoadError> {
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
            self.turn(Some(Duration::from_millis(100)), |_| {})?;
        }
        Ok(())
    }

    fn connect(&mut self) -> io::Result<()> {
        let index = self.connections.len();
        let role = index.checked_sub(1).map_or(Role::Publisher, Role::Subscriber);
        let mut stream = TcpStream::from_std({
            let stream = std::net::TcpStream::connect(self.address)?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            stream
        });
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.dialect.target(role),
            self.address
        );
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        let mut connection = Connection {
            stream,
            role,
            head: Some(Vec::new()),
            ready: false,
            frames: Frames::default(),
            unsent: Vec::new(),
            closed: false,
        };
        connection.send(request.as_bytes());
        self.connections.push(connection);
        Ok(())
    }

    /// Waits for at most `wait`, reads what has come, and gives every event.
    pub(crate) fn turn(
        &mut self,
        wait: Option<Duration>,
        mut delivered: impl FnMut(Delivered),
    ) -> Result<(), LoadError> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if !would_block(&error) => return Err(LoadError::system("polling")(error)),
            _ => {}
        }
        for event in &self.events {
            let Token(index) = event.token();
            let connection = &mut self.connections[index];
            if event.is_writable() {
                connection.flush();
            }
            if event.is_readable() {
                let was_ready = connection.ready;
                connection.read(&mut self.buffer, self.dialect, self.run, &self.mark, &mut delivered);
                self.ready += usize::from(connection.ready && !was_ready);
            }
        }
        Ok(())
    }

    /// Sends bytes over the publisher's connection.
    pub(crate) fn publish(&mut self, bytes: &[u8]) {
        self.connections[0].send(bytes);
    }

    /// Connections that the server has ended.
    pub(crate) fn closed(&self) -> usize {
        self.connections.iter().filter(|connection| connection.closed).count()
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

    fn read(
        &mut self,
        buffer: &mut [u8],
        dialect: &dyn Dialect,
        run: &Run,
        mark: &Finder<'_>,
        delivered: &mut impl FnMut(Delivered),
    ) {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return self.closed = true,
                Ok(count) => count,
                Err(error) => return self.closed |= !would_block(&error),
            };
            let bytes = self.upgrade(&buffer[..count], dialect, run);
            let mut answer = Vec::new();
            let Self { role, ready, closed, frames, .. } = self;
            frames.read(bytes.as_deref().unwrap_or(&buffer[..count]), |received| match received {
                Received::Message(message) => {
                    *ready = *ready || dialect.is_ready(*role, message);
                    if let Role::Subscriber(connection) = *role {
                        let mut numbers = numbers(message, mark);
                        numbers.by_ref().for_each(|number| delivered(Delivered { connection, number }));
                    }
                }
                Received::Ping(payload) => pong_into(&mut answer, MASK, payload),
                Received::Close(_) => *closed = true,
            });
            if !answer.is_empty() {
                self.send(&answer);
            }
            // A short read has emptied the socket; what comes later comes with an event.
            if count < buffer.len() {
                return;
            }
        }
    }

    /// Reads the answer to the upgrade, and gives what stands behind it; nothing where it was read before.
    fn upgrade(&mut self, bytes: &[u8], dialect: &dyn Dialect, run: &Run) -> Option<Vec<u8>> {
        let head = self.head.as_mut()?;
        head.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(head, b"\r\n\r\n") else { return Some(Vec::new()) };
        let rest = head.split_off(end + 4);
        self.closed |= !head.starts_with(b"HTTP/1.1 101 ");
        self.head = None;
        let hello = dialect.hello(run, self.role);
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
