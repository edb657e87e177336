//! One WebSocket over a blocking socket with deadlines, in the clear or over TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tidings_core::client::Token;
use tidings_core::rng::Rng;
use tidings_core::time::Instant;
use tidings_core::wire::client::{Handshake, HandshakeRequest, close_into, pong_into, text_into};
use tidings_core::wire::{Message, Reader, Role, WebSocketLimits};

use super::super::target::Target;

/// To connect, and then again for the handshake.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// For the server to take what we send, which is little.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// What a server may send: its own limits are below.
const LIMITS: WebSocketLimits =
    WebSocketLimits { message_bytes_max: 128 * 1024 * 1024, fragments_max: 65_536 };
const READ_BYTES: usize = 64 * 1024;

/// What came, if anything.
#[derive(Debug)]
pub(super) enum Heard {
    /// Nothing in the given time.
    Nothing,
    /// A sign of life.
    Life,
    /// A text message.
    Text(String),
    /// The end, with the peer's code or else with what went wrong.
    Closed { code: Option<u16>, reason: String },
}

/// An open WebSocket.
pub(super) struct Link {
    stream: Stream,
    reader: Reader,
    /// Bytes read and not yet taken by the reader.
    unread: Vec<u8>,
    buffer: Vec<u8>,
    /// Why nothing can be sent any more.
    broken: Option<String>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.get_ref(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        }
    }
}

impl Link {
    /// Connects to `target`, with TLS where there are settings for it, and upgrades with the token in the
    /// header.
    pub(super) fn open(
        target: &Target,
        tls: Option<&Arc<ClientConfig>>,
        token: &Token,
        rng: &mut Rng,
    ) -> Result<Self, String> {
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", target.authority());
        let socket = connect(target).map_err(|error| at(&error))?;
        let stream = if let Some(config) = tls {
            let config = Arc::clone(config);
            let name = ServerName::try_from(target.bare_host().to_owned()).map_err(|error| at(&error))?;
            let connection = ClientConnection::new(config, name).map_err(|error| at(&error))?;
            Stream::Tls(Box::new(StreamOwned::new(connection, socket)))
        } else {
            Stream::Plain(socket)
        };
        let buffer = vec![0; READ_BYTES];
        let mut link =
            Self { stream, reader: Reader::new(Role::Client), unread: Vec::new(), buffer, broken: None };
        link.upgrade(target, token, rng).map_err(|error| at(&error))?;
        Ok(link)
    }

    fn upgrade(&mut self, target: &Target, token: &Token, rng: &mut Rng) -> Result<(), String> {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&rng.next_u64().to_le_bytes());
        key[8..].copy_from_slice(&rng.next_u64().to_le_bytes());
        let request = HandshakeRequest {
            host: &target.authority(),
            target: &format!("{}/ws", target.prefix),
            key,
            protocols: &["tidings.v1"],
            headers: &[
                ("Authorization", &format!("Bearer {}", token.as_str())),
                ("User-Agent", concat!("tidings/", env!("CARGO_PKG_VERSION"))),
            ],
        };
        let mut bytes = Vec::new();
        let mut handshake = Handshake::start(&request, &mut bytes).map_err(|error| error.to_string())?;
        self.stream.write_all(&bytes).map_err(|error| error.to_string())?;
        let begin = Clock::now();
        while begin.elapsed() < OPEN_TIMEOUT {
            let read = self.stream.read(&mut self.buffer);
            let read = match read {
                Ok(0) => return Err("the server closed the connection during the handshake".to_owned()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if is_timeout(&error) => break,
                Err(error) => return Err(error.to_string()),
            };
            let mut input = &self.buffer[..read];
            if handshake.receive(&mut input).map_err(|error| error.to_string())?.is_some() {
                self.unread.extend_from_slice(input);
                return Ok(());
            }
        }
        Err("the server does not answer the handshake".to_owned())
    }

    /// Waits for the next message, at most for `wait`.
    pub(super) fn next(&mut self, now: Instant, wait: Duration, rng: &mut Rng) -> Heard {
        if let Some(reason) = self.broken.take() {
            return Heard::Closed { code: None, reason };
        }
        if self.unread.is_empty() {
            // A timeout of zero would mean none.
            let wait = wait.max(Duration::from_millis(1));
            let read = self.stream.socket().set_read_timeout(Some(wait));
            match read.and_then(|()| self.stream.read(&mut self.buffer)) {
                Ok(0) => return ended("the server closed the connection"),
                Ok(read) => self.unread.extend_from_slice(&self.buffer[..read]),
                Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {
                    return Heard::Nothing;
                }
                Err(error) => return ended(&error.to_string()),
            }
        }
        let mut input = self.unread.as_slice();
        let message = self.reader.next(&LIMITS, now, &mut input);
        let taken = self.unread.len() - input.len();
        self.unread.drain(..taken);
        match message {
            Ok(None) => Heard::Life,
            Ok(Some(Message::Text(text))) => Heard::Text(text.as_str().to_owned()),
            Ok(Some(Message::Ping(payload))) => {
                let mut pong = Vec::new();
                pong_into(&mut pong, mask(rng), &payload);
                self.write(&pong);
                Heard::Life
            }
            Ok(Some(Message::Pong(_))) => Heard::Life,
            Ok(Some(Message::Binary(_))) => {
                self.close(1003, rng);
                ended("the server sent a binary message")
            }
            Ok(Some(Message::Close(close))) => {
                self.close(close.as_ref().map_or(1000, |close| close.code), rng);
                let reason =
                    close.as_ref().map_or_else(String::new, |close| close.reason.as_str().to_owned());
                Heard::Closed { code: close.map(|close| close.code), reason }
            }
            Err(violation) => {
                self.close(violation.close_code(), rng);
                ended(&format!("the server broke the WebSocket protocol: {violation}"))
            }
        }
    }

    /// Sends a text message; where that fails, the next [`Link::next`] says so.
    pub(super) fn send(&mut self, text: &str, rng: &mut Rng) {
        let mut frame = Vec::new();
        text_into(&mut frame, mask(rng), text);
        self.write(&frame);
    }

    /// Says goodbye; the connection ends when the link is dropped.
    pub(super) fn close(&mut self, code: u16, rng: &mut Rng) {
        let mut frame = Vec::new();
        close_into(&mut frame, mask(rng), code, "");
        self.write(&frame);
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            self.broken = Some(error.to_string());
        }
    }
}

fn connect(target: &Target) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in (target.bare_host(), target.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, OPEN_TIMEOUT) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                socket.set_write_timeout(Some(SEND_TIMEOUT))?;
                socket.set_read_timeout(Some(OPEN_TIMEOUT))?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ended(reason: &str) -> Heard {
    Heard::Closed { code: None, reason: reason.to_owned() }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn mask(rng: &mut Rng) -> [u8; 4] {
    let [a, b, c, d, ..] = rng.next_u64().to_le_bytes();
    [a, b, c, d]
}
