//! Listening sockets. Where the system has no descriptor left, accepting rests for a while, and what waits
//! in the kernel's queue keeps waiting.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tidings_core::Listener as Serves;

/// How long accepting rests where the system has nothing to accept with.
const REST: Duration = Duration::from_millis(100);

/// One listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    listener: TcpListener,
    pub(super) serves: Serves,
    /// Somebody may wait to be accepted, and may be.
    ready: bool,
    rests_until: Option<Instant>,
}

/// What one try to accept gave.
pub(super) enum Accepted {
    /// A connection.
    Stream(TcpStream, SocketAddr),
    /// Nothing waits.
    Nothing,
    /// The system has no descriptor or memory left; accepting rests.
    Exhausted(io::Error),
}

impl Listener {
    pub(super) fn bind(address: SocketAddr, serves: Serves, backlog: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket.into());
        Ok(Self { listener, serves, ready: true, rests_until: None })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.listener, token, Interest::READABLE)
    }

    /// Whether it is worth a try to accept.
    pub(super) const fn is_ready(&self) -> bool {
        self.ready
    }

    /// Takes note that somebody may wait. Who comes during a rest is no reason to try before it is over.
    pub(super) const fn hear(&mut self) {
        self.ready = self.rests_until.is_none();
    }

    /// When accepting goes on, where it rests.
    pub(super) const fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }

    /// Ends the rest once it is over.
    pub(super) fn wake(&mut self, now: Instant) {
        if self.rests_until.is_some_and(|until| until <= now) {
            self.rests_until = None;
            self.ready = true;
        }
    }

    const fn rest(&mut self, until: Instant) {
        self.ready = false;
        self.rests_until = Some(until);
    }

    pub(super) fn accept(&mut self) -> Accepted {
        loop {
            match self.listener.accept() {
                Ok((stream, peer)) => return Accepted::Stream(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    return Accepted::Nothing;
                }
                Err(error) if is_of_one_peer(&error) => {}
                Err(error) => {
                    self.rest(Instant::now() + REST);
                    return Accepted::Exhausted(error);
                }
            }
        }
    }
}

/// Whether only the connection at hand failed, so that the next may be accepted at once.
fn is_of_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Options of a connection: no waiting for more, and little in the kernel that cannot be taken back.
pub(super) fn prepare(stream: &TcpStream, notsent_lowat: u32) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(notsent_lowat)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, notsent_lowat);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_while_accepting_rests_waits_for_its_end() {
        let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Serves::All, 16).unwrap();
        let (began, half) = (Instant::now(), REST / 2);
        // given: accepting rests
        listener.rest(began + REST);
        // when: somebody comes
        listener.hear();
        listener.wake(began + half);
        // then
        assert!(!listener.is_ready());
        assert_eq!(listener.rests_until(), Some(began + REST));
        // and: once it is over whoever came is found, and so is who comes later
        listener.wake(began + REST);
        assert!(listener.is_ready() && listener.rests_until().is_none());
        assert!(matches!(listener.accept(), Accepted::Nothing) && !listener.is_ready());
        listener.hear();
        assert!(listener.is_ready());
    }
}
