//! An echo server on the wire layer alone, for conformance suites such as Autobahn's:
//! `cargo run --release -p tidings-core --example echo -- 127.0.0.1:9001`. Port 0 lets the system choose;
//! the address it listens on is printed. Blocking, one thread a connection: a shell in its smallest form.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the core owns no sockets and threads, and this is a shell"
)]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use tidings_core::time::{Instant, UnixTime};
use tidings_core::wire::http::{HttpLimits, Progress, ReplyTo, RequestReader, Response};
use tidings_core::wire::{
    Frame, Message, Reader, Role, Upgrade, WebSocketLimits, binary_into, close_into, pong_into,
};

/// The suite's largest messages: 16 MiB, and 4 MiB in fragments of 64 bytes.
const LIMITS: WebSocketLimits = WebSocketLimits { message_bytes_max: 16 << 20, fragments_max: 65_537 };

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            if let Err(error) = serve(stream) {
                eprintln!("connection lost: {error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut http = RequestReader::new(HttpLimits::default());
    let mut out = Vec::new();
    loop {
        let len = stream.read(&mut buffer)?;
        let mut input = &buffer[..len];
        let upgraded = match http.receive(&mut input) {
            Ok(Progress::Head(head)) => match Upgrade::parse(&head) {
                Ok(Some(upgrade)) => {
                    upgrade.accept(None, &mut out);
                    true
                }
                Ok(None) => {
                    let problem = Response::problem(426, "invalid_message", "this is a WebSocket echo", &[]);
                    problem.encode(ReplyTo::CLOSE, UnixTime::default(), &mut out);
                    false
                }
                Err(error) => {
                    error.response().encode(ReplyTo::CLOSE, UnixTime::default(), &mut out);
                    false
                }
            },
            Ok(_) if 0 < len => continue,
            Ok(_) => return Ok(()),
            Err(error) => {
                error.response().encode(ReplyTo::CLOSE, UnixTime::default(), &mut out);
                false
            }
        };
        stream.write_all(&out)?;
        if upgraded {
            let behind = input.to_vec();
            echo(&mut stream, &behind, &mut buffer)?;
        }
        return linger(&mut stream, &mut buffer);
    }
}

/// Echoes until one side closes. `behind` is what arrived behind the request.
fn echo(stream: &mut TcpStream, behind: &[u8], buffer: &mut [u8]) -> io::Result<()> {
    let mut reader = Reader::new(Role::Server);
    let mut out = Vec::new();
    let open = answer(&mut reader, behind, &mut out);
    stream.write_all(&out)?;
    if !open {
        return Ok(());
    }
    loop {
        let len = stream.read(buffer)?;
        out.clear();
        let open = answer(&mut reader, &buffer[..len], &mut out);
        stream.write_all(&out)?;
        if len == 0 || !open {
            return Ok(());
        }
    }
}

/// Appends the answers to all messages that `input` completes; false once the connection is to close.
fn answer(reader: &mut Reader, mut input: &[u8], out: &mut Vec<u8>) -> bool {
    loop {
        match reader.next(&LIMITS, Instant::ZERO, &mut input) {
            Ok(None) => return true,
            Ok(Some(Message::Text(text))) => out.extend_from_slice(Frame::text(&text).bytes()),
            Ok(Some(Message::Binary(bytes))) => binary_into(out, &bytes),
            Ok(Some(Message::Ping(payload))) => pong_into(out, &payload),
            Ok(Some(Message::Pong(_))) => {}
            Ok(Some(Message::Close(close))) => {
                close_into(out, close.map_or(1000, |close| close.code), "");
                return false;
            }
            Err(violation) => {
                close_into(out, violation.close_code(), &violation.to_string());
                return false;
            }
        }
    }
}

/// Waits for the peer's end before the socket closes: unread bytes would turn the close into a reset,
/// and the answer could be lost with it.
fn linger(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
    while matches!(stream.read(buffer), Ok(len) if 0 < len) {}
    Ok(())
}
