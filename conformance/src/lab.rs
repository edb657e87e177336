//! Servers under test: one given by address, or started from a binary with a check's own settings.
//!
//! Whatever is started here is stopped here, by its process id, and must exit with 0 on SIGTERM.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::events::unique;
use crate::http::Request;
use crate::outcome::{Fault, Outcome, ensure, fail, same, until, within};
use crate::tokens::Token;

/// The secret and the API key of every server that is started here.
const SECRET: &str = "conformance-secret-of-more-than-32-bytes";
const API_KEY: &str = "conformance-api-key-0123456789";

/// Lines of a server's log that are kept.
const LOG_LINES_MAX: usize = 50_000;

/// What is under test.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A server that already runs.
    Running {
        /// Where it listens.
        address: SocketAddr,
        /// Its `auth.jwt_secret`.
        secret: String,
        /// One of its `auth.api_keys`.
        api_key: String,
        /// Where servers with other settings come from; without it the checks that need them are skipped.
        binary: Option<PathBuf>,
    },
    /// A binary that `serve --config FILE` starts.
    Binary(PathBuf),
}

/// Why nothing could be put under test.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The server did not come up.
    #[error("the server under test did not start: {0}")]
    Start(String),
    /// No check or attack has been chosen.
    #[error("no check is called {0:?}; `--list` shows all")]
    Nothing(String),
}

/// A server under test.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) secret: Arc<str>,
    pub(crate) api_key: Arc<str>,
    process: Option<Arc<Process>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

struct Process {
    id: u32,
    child: tokio::sync::Mutex<Child>,
    log: Arc<Mutex<Vec<String>>>,
    config: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = std::fs::remove_file(&self.config);
    }
}

impl Server {
    /// A server that somebody else started.
    pub(crate) fn external(address: SocketAddr, secret: &str, api_key: &str) -> Self {
        Self { address, secret: secret.into(), api_key: api_key.into(), process: None }
    }

    /// A token of a user that nobody else is.
    pub(crate) fn token(&self) -> Token {
        Token::new(&self.secret, &unique("user"))
    }

    /// A signed token that allows everything but administration.
    pub(crate) fn full_token(&self) -> Outcome<String> {
        self.token().full().sign()
    }

    /// A signed token that allows everything.
    pub(crate) fn admin_token(&self) -> Outcome<String> {
        self.token().admin().sign()
    }

    /// Publishes one event, or an array of them, with the API key; gives the last offset.
    pub(crate) async fn publish(&self, events: &Value) -> Outcome<u64> {
        let response = Request::publish(events).bearer(&self.api_key).send(self).await?;
        let body = response.success()?;
        let Some(results) = body["results"].as_array() else { fail!("no results in {body}") };
        let Some(offset) = results.last().and_then(|result| result["offset"].as_u64()) else {
            fail!("no offset in {body}")
        };
        Ok(offset)
    }

    /// The answer to a request with an admin token.
    pub(crate) async fn admin(&self, method: &str, target: &str) -> Outcome<crate::http::Response> {
        Request::new(method, target).bearer(&self.admin_token()?).send(self).await
    }

    /// The process, where it was started here.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.id)
    }

    /// What the server has logged so far, where it was started here.
    pub(crate) fn log(&self) -> Option<Vec<String>> {
        let process = self.process.as_ref()?;
        Some(process.log.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Sends a signal by name.
    pub(crate) async fn signal(&self, name: &str) -> Outcome {
        let Some(id) = self.process_id() else { fail!("no process to signal") };
        let status =
            Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &id.to_string()]).status().await?;
        ensure!(status.success(), "kill -s {name} {id}: {status}");
        Ok(())
    }

    /// Waits for the process to end, and gives its exit code.
    pub(crate) async fn exit_code(&self) -> Outcome<Option<i32>> {
        let Some(process) = &self.process else { fail!("no process to wait for") };
        let mut child = process.child.lock().await;
        within("the server to exit", async { Ok(child.wait().await?.code()) }).await
    }

    /// SIGTERM, and an exit with 0.
    pub(crate) async fn stop(&self) -> Outcome {
        self.signal("TERM").await?;
        let code = self.exit_code().await?;
        same!(code, Some(0), "exit code after SIGTERM");
        self.has_not_panicked()
    }

    /// No line of the log tells of a panic.
    fn has_not_panicked(&self) -> Outcome {
        let log = self.log().unwrap_or_default();
        let Some(at) = log.iter().position(|line| line.contains("panic")) else { return Ok(()) };
        let lines = log.get(at..log.len().min(at + 3)).unwrap_or_default();
        fail!("the server panicked: {}", lines.join(" "))
    }
}

/// Starts servers with settings of a check's own, and keeps those that several checks can share.
pub(crate) struct Lab {
    binary: PathBuf,
    shared: Mutex<HashMap<String, Arc<OnceCell<Server>>>>,
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lab({})", self.binary.display())
    }
}

impl Lab {
    pub(crate) fn new(binary: &Path) -> Self {
        Self { binary: binary.to_owned(), shared: Mutex::default() }
    }

    /// The server with these settings laid over the common ones; checks that ask for the same share it.
    pub(crate) async fn shared(&self, settings: &str) -> Outcome<Server> {
        let cell = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(shared.entry(settings.to_owned()).or_default())
        };
        cell.get_or_try_init(|| self.private(settings)).await.cloned()
    }

    /// A server with these settings for one check alone, which may stop it.
    pub(crate) async fn private(&self, settings: &str) -> Outcome<Server> {
        let config = std::env::temp_dir().join(format!("{}.toml", unique("tidings-conformance")));
        tokio::fs::write(&config, merged(settings)?).await?;
        let mut child = Command::new(&self.binary)
            .args(["serve", "--config"])
            .arg(&config)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let log = Arc::new(Mutex::new(Vec::new()));
        if let Some(output) = child.stdout.take() {
            keep_lines(output, Arc::clone(&log));
        }
        if let Some(output) = child.stderr.take() {
            keep_lines(output, Arc::clone(&log));
        }
        let id = child.id().unwrap_or_default();
        let address = listening(&mut child, &log).await?;
        let process = Process { id, child: tokio::sync::Mutex::new(child), log, config };
        let mut server = Server::external(address, SECRET, API_KEY);
        server.process = Some(Arc::new(process));
        until("/readyz", || async {
            Ok((Request::get("/readyz").send(&server).await?.status == 200).then_some(()))
        })
        .await?;
        Ok(server)
    }

    /// Stops every shared server; the first that does not exit with 0 is the failure.
    pub(crate) async fn stop(&self) -> Outcome {
        let cells: Vec<_> = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.drain().map(|(_, cell)| cell).collect()
        };
        let mut outcome = Ok(());
        for server in cells.iter().filter_map(|cell| cell.get()) {
            let stopped = server.stop().await;
            outcome = outcome.and(stopped);
        }
        outcome
    }
}

/// The port that the log names first.
async fn listening(child: &mut Child, log: &Mutex<Vec<String>>) -> Outcome<SocketAddr> {
    until("a line `listening on`", || {
        let text = log.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
        let ended = child.try_wait();
        async move {
            if let Some(address) = text.lines().find_map(address_in) {
                return Ok(Some(address));
            }
            match ended? {
                Some(status) => fail!("the server ended with {status}: {text}"),
                None => Ok(None),
            }
        }
    })
    .await
}

/// `… listening on 127.0.0.1:4711 …`, in text or JSON.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    rest.get(..end)?.trim_end_matches(['.', ':']).parse().ok()
}

fn keep_lines(output: impl AsyncRead + Unpin + Send + 'static, log: Arc<Mutex<Vec<String>>>) {
    tokio::spawn(async move {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).await.is_ok_and(|read| read != 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            line.clear();
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() < LOG_LINES_MAX {
                log.push(text);
            }
        }
    });
}

/// The common settings with a check's own laid over them, table by table.
fn merged(settings: &str) -> Outcome<String> {
    let common =
        format!("listen = \"127.0.0.1:0\"\n[auth]\njwt_secret = \"{SECRET}\"\napi_keys = [\"{API_KEY}\"]\n");
    let mut base: toml::Table = common.parse()?;
    let over: toml::Table = settings.parse()?;
    lay_over(&mut base, over);
    Ok(base.to_string())
}

fn lay_over(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(over)) => lay_over(inner, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// What a check is given: the server that all share, and the means to start others.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) server: Server,
    pub(crate) lab: Option<Arc<Lab>>,
}

impl Context {
    /// Puts a subject under test, starting it where it is a binary.
    pub(crate) async fn new(subject: &Subject) -> Result<Self, SetupError> {
        match subject {
            Subject::Running { address, secret, api_key, binary } => {
                let lab = binary.as_deref().map(|path| Arc::new(Lab::new(path)));
                Ok(Self { server: Server::external(*address, secret, api_key), lab })
            }
            Subject::Binary(path) => {
                let lab = Arc::new(Lab::new(path));
                let server = lab.shared("").await.map_err(|fault| match fault {
                    Fault::Failed(text) | Fault::Skipped(text) => {
                        SetupError::Start(format!("{}: {text}", path.display()))
                    }
                })?;
                Ok(Self { server, lab: Some(lab) })
            }
        }
    }

    fn lab(&self) -> Outcome<&Lab> {
        self.lab.as_deref().ok_or_else(|| Fault::Skipped("needs a server with other settings".into()))
    }

    /// A server with these settings, shared with the checks that ask for the same.
    pub(crate) async fn with(&self, settings: &str) -> Outcome<Server> {
        self.lab()?.shared(settings).await
    }

    /// A server with these settings for this check alone.
    pub(crate) async fn alone(&self, settings: &str) -> Outcome<Server> {
        self.lab()?.private(settings).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_text_and_from_json() {
        let expected = "127.0.0.1:4711".parse().ok();
        assert_eq!(address_in("12:00 INFO listening on 127.0.0.1:4711"), expected);
        assert_eq!(address_in(r#"{"message":"listening on 127.0.0.1:4711","level":"INFO"}"#), expected);
        assert_eq!(address_in("listening on http://127.0.0.1:4711"), None);
        assert_eq!(address_in("not yet"), None);
    }

    #[test]
    fn a_check_s_settings_lie_over_the_common_ones() {
        let text = merged("[auth]\ncookie = \"session\"\n[limits]\nconnections = 2").unwrap();
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["auth"]["cookie"].as_str(), Some("session"));
        assert_eq!(table["auth"]["jwt_secret"].as_str(), Some(SECRET));
        assert_eq!(table["limits"]["connections"].as_integer(), Some(2));
    }
}
