//! The core embedded in the plainest of servers: `std::net`, a thread a connection, one hub behind a mutex.
//! Sockets do not block, so what one cannot take stays in the core, ordered by priority, and holds nobody up.
//! Set `TIDINGS_JWT_SECRET`, run `cargo run -p tidings-core --example embed`, then `tidings tail` beside it.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a shell owns sockets and threads")]

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::{env, fs::File, sync::Mutex, thread, time::Duration, time::UNIX_EPOCH};

use tidings_core::config::{Config, Secret};
use tidings_core::{ConnId, Hub, Input, Instant, Listener, Now, Output, Peer, Sequencer, UnixTime};

struct Server {
    hub: Hub,
    log: Sequencer,
    began: std::time::Instant,
    /// With whether reading is paused.
    sockets: BTreeMap<ConnId, (TcpStream, bool)>,
}

impl Server {
    fn handle(&mut self, input: Input<'_>) {
        let unix = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs().cast_signed());
        let now = Now { instant: Instant::ZERO + self.began.elapsed(), unix: UnixTime::from_secs(unix) };
        self.hub.handle(now, input);
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Append { request, record } => {
                    let offset = self.log.next().expect("no log has 2^53 events");
                    self.hub.handle(now, Input::Appended { offset, record });
                    self.hub.handle(now, Input::AppendResult { request, result: Ok(offset) });
                }
                Output::Pause(conn) => _ = self.sockets.entry(conn).and_modify(|own| own.1 = true),
                Output::Resume(conn) => _ = self.sockets.entry(conn).and_modify(|own| own.1 = false),
                Output::Finish(conn) => _ = self.sockets[&conn].0.shutdown(Shutdown::Write),
                // Its thread reads the end, also where it was paused.
                Output::Close(conn) => {
                    let own = self.sockets.get_mut(&conn).expect("a thread removes its socket last");
                    own.1 = own.0.shutdown(Shutdown::Both).is_err();
                }
                // Each thread asks at every turn for what there is to transmit.
                Output::Transmit(_) | Output::Published { .. } | Output::Drained | Output::Note(_) => {}
            }
        }
    }
}

fn serve(server: &Mutex<Server>, mut stream: &TcpStream) -> Result<()> {
    let lock = || server.lock().expect("no thread panics while it holds the hub");
    stream.set_nonblocking(true)?;
    let peer = Peer { address: stream.peer_addr()?.ip(), listener: Listener::All };
    let (mut buffer, socket) = ([0; 16 * 1024], stream.try_clone()?);
    let mut locked = lock();
    let mut slots = (0..).map(|slot| ConnId::new(slot, 0));
    let conn = slots.find(|conn| !locked.sockets.contains_key(conn)).expect("a slot is free");
    locked.sockets.insert(conn, (socket, false));
    locked.handle(Input::Accepted { conn, peer });
    loop {
        drop(locked);
        thread::sleep(Duration::from_millis(5));
        locked = lock();
        locked.handle(Input::Timeout);
        if let Some(transmit) = locked.hub.poll_transmit(conn, 64 * 1024)
            && let Ok(written) = stream.write_vectored(&transmit.slices().map(IoSlice::new))
        {
            transmit.commit(written);
        }
        if locked.sockets[&conn].1 {
            continue;
        }
        match stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(len @ 1..) => locked.handle(Input::Received { conn, bytes: &buffer[..len] }),
            _ => break,
        }
    }
    locked.handle(Input::Closed { conn });
    locked.sockets.remove(&conn);
    Ok(())
}

fn main() -> Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8080"))?;
    let mut seeds = [[0; 32]; 2];
    File::open("/dev/urandom")?.read_exact(seeds.as_flattened_mut())?;
    let mut config = Config::default();
    config.auth.jwt_secret = env::var("TIDINGS_JWT_SECRET").ok().map(|text| Secret::new(&text));
    let hub = Hub::new(config, seeds[0], Now::default()).map_err(Error::other)?;
    let (log, began) = (Sequencer::new(seeds[1]), std::time::Instant::now());
    let mut server = Server { hub, log, began, sockets: BTreeMap::new() };
    server.handle(Input::LogOpened { epoch: server.log.epoch().clone(), begin: server.log.end() });
    server.handle(Input::LogLoaded);
    let server = &Mutex::new(server);
    thread::scope(|scope| {
        listener.incoming().flatten().for_each(|stream| _ = scope.spawn(move || serve(server, &stream)));
    });
    Ok(())
}
