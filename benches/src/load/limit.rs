//! The physical limit: a loop that reads frames from one connection and writes the same bytes to all others.
//! It knows no identity, no subscription and no history, and costs what the kernel costs.

use std::io::{self, Read as _, Write as _};

use clap::ValueEnum;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::LoadError;
use crate::frames::Frames;

const LISTENER: Token = Token(usize::MAX);
const ANSWER: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x07welcome";
/// The answer to a subscriber's message.
const SUBSCRIBED: &[u8] = b"\x81\x0asubscribed";

/// How many messages go into one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Gather {
    /// Limit A: one.
    One,
    /// Limit B16: sixteen.
    Sixteen,
    /// Limit B: all that was read.
    All,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    head: Vec<u8>,
    upgraded: bool,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

#[derive(Debug)]
struct Loop {
    gather: Gather,
    connections: Vec<Option<Connection>>,
    publisher: Option<usize>,
    buffer: Vec<u8>,
    /// Bytes of the publisher that are no whole frame yet, and where the whole ones end.
    held: Vec<u8>,
}

/// Serves until the process is ended.
pub(crate) fn serve(port: u16, gather: Gather) -> Result<(), LoadError> {
    turn(port, gather).map_err(LoadError::system("the bare loop"))
}

fn turn(port: u16, gather: Gather) -> io::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut this =
        Loop { gather, connections: Vec::new(), publisher: None, buffer: vec![0; 1 << 20], held: Vec::new() };
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                LISTENER => this.accept(&listener, &poll)?,
                Token(index) => this.ready(index),
            }
        }
    }
}

impl Loop {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_nodelay(true)?;
            let token = Token(self.connections.len());
            poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            let connection = Connection { stream, head: Vec::new(), upgraded: false, unsent: Vec::new() };
            self.connections.push(Some(connection));
        }
        Ok(())
    }

    fn ready(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else { return };
        if !connection.unsent.is_empty()
            && let Ok(written) = connection.stream.write(&connection.unsent)
        {
            connection.unsent.drain(..written);
        }
        loop {
            let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else { return };
            match connection.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => self.connections[index] = None,
                Ok(count) if connection.upgraded => {
                    if self.publisher == Some(index) {
                        self.held.extend_from_slice(&self.buffer[..count]);
                        self.publish();
                    } else {
                        connection.send(SUBSCRIBED);
                    }
                }
                Ok(count) => {
                    connection.head.extend_from_slice(&self.buffer[..count]);
                    if connection.head.ends_with(b"\r\n\r\n") {
                        connection.upgraded = true;
                        if connection.head.starts_with(b"GET /publish") {
                            self.publisher = Some(index);
                        }
                        connection.head = Vec::new();
                        connection.send(ANSWER);
                    }
                }
            }
        }
    }

    /// Hands all whole frames to everyone.
    fn publish(&mut self) {
        let ends = Frames::ends(&self.held);
        let Some(&all) = ends.last() else { return };
        let step = match self.gather {
            Gather::One => 1,
            Gather::Sixteen => 16,
            Gather::All => ends.len(),
        };
        let mut from = 0;
        for ends in ends.chunks(step) {
            let Some(&to) = ends.last() else { continue };
            for (index, connection) in self.connections.iter_mut().enumerate() {
                if self.publisher != Some(index)
                    && let Some(connection) = connection
                {
                    connection.send(&self.held[from..to]);
                }
            }
            from = to;
        }
        self.held.drain(..all);
    }
}

impl Connection {
    fn send(&mut self, bytes: &[u8]) {
        if !self.unsent.is_empty() {
            return self.unsent.extend_from_slice(bytes);
        }
        let written = self.stream.write(bytes).unwrap_or(0);
        if written < bytes.len() {
            self.unsent.extend_from_slice(&bytes[written..]);
        }
    }
}
