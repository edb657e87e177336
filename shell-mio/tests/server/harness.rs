//! A server of its own for each test, and what the tests look at from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

/// How long a test waits for what must come; only a broken server makes it wait so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const API_KEY: &str = "the-key-of-the-back-end";

/// A running server; ended when it is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server with these settings, by the names of their variables without `TIDINGS_`.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_in("exec \"$0\" \"$@\"", settings)
    }

    /// Starts a server from this shell script, in which `"$0" "$@"` is its command.
    pub(crate) fn start_in(script: &str, settings: &[(&str, &str)]) -> Self {
        let mut server = Self::spawn(script, settings);
        let mut stderr = server.child.stderr.take().expect("piped");
        let log = Arc::clone(&server.log);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut bytes) {
                log.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        server
    }

    /// A server of whose standard error nothing is ever read.
    pub(crate) fn start_unread(settings: &[(&str, &str)]) -> Self {
        Self::spawn("exec \"$0\" \"$@\"", settings)
    }

    fn spawn(script: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = command(script, settings);
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (found, address) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on ") {
                    let _ = found.send(address.parse().unwrap());
                }
            }
        });
        let log = Arc::default();
        match address.recv_timeout(PATIENCE) {
            Ok(address) => Self { child, address, log },
            Err(error) => {
                let _ = child.kill();
                let said = child.wait_with_output().unwrap().stderr;
                panic!("no server ({error}): {}", String::from_utf8_lossy(&said));
            }
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends a whole request on a connection of its own. The status and the body of the answer.
    pub(crate) fn request(&self, request: &str) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(stream)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address))
    }

    /// Publishes events in one request.
    pub(crate) fn publish(&self, events: &[Value]) {
        let (status, body) = self.request(&self.publish_request(events));
        assert_eq!(status, 200, "{body}");
    }

    /// The request that publishes events, after which the connection closes.
    pub(crate) fn publish_request(&self, events: &[Value]) -> String {
        let body = Value::from(events).to_string();
        format!(
            "POST /v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {API_KEY}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
    }

    // The process

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, as in `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits until the process has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        wait_until("the server has ended", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.expect("waited for")
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Processor time used so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    /// Descriptors that are open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// What was logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let last = log.lines().count().saturating_sub(20);
            eprintln!("the end of the server's log:");
            log.lines().skip(last).for_each(|line| eprintln!("{line}"));
        }
    }
}

/// The command of a server with these settings and none of our own variables.
pub(crate) fn command(script: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDINGS_") || name == "WEBSOCKET_PORT" {
            command.env_remove(name);
        }
    }
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_tidings"), "serve", "--listen", "127.0.0.1:0"])
        .env("TIDINGS_JWT_SECRET", SECRET)
        .env("TIDINGS_API_KEYS", API_KEY)
        .envs(settings.iter().map(|(name, value)| (format!("TIDINGS_{name}"), *value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Reads an answer up to the end of the connection.
pub(crate) fn answer(mut stream: TcpStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Whether the peer has closed, with or without a reset. What it still said is dropped.
pub(crate) fn is_closed(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// Says FIN and goes on reading.
pub(crate) fn half_close(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
}

/// Waits for a condition that only time can bring, with a deadline.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A token of this user, good for an hour, which may subscribe to everything.
pub(crate) fn token(user: &str) -> String {
    token_for(user, 3600)
}

/// A token that is good for so many seconds.
pub(crate) fn token_for(user: &str, seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"sub": user, "exp": now + seconds});
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// An event with a number, and with `padding` bytes more.
pub(crate) fn numbered(number: usize, padding: usize) -> Value {
    json!({
        "type": "content.published",
        "data": {
            "contentId": format!("c{number}"), "title": "x".repeat(padding), "type": "page",
            "status": "published", "authorId": "u1", "publishedAt": "2026-01-31T08:00:00Z",
        },
    })
}
