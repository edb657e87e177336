//! Clients in other languages, driven line by line: npm `ws`, Python `websockets`, and `curl`.
//!
//! The two scripts take one JSON command a line and print one JSON line for all that happens; what a
//! scenario is stands in the checks, once for all clients.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::http::{Block, parse_block};
use crate::lab::Server;
use crate::outcome::{Outcome, ensure, fail, same, within};

/// Which client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Language {
    /// npm `ws` under Node.
    Node,
    /// PyPI `websockets`.
    Python,
}

/// A running script with at most one connection.
#[derive(Debug)]
pub(crate) struct Puppet {
    _child: Child,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn command(language: Language) -> Outcome<Command> {
    match language {
        Language::Node => {
            let modules = here("clients/node_modules/ws");
            ensure!(
                modules.is_dir(),
                "{} is not there: run `npm ci` in conformance/clients",
                modules.display()
            );
            let mut command = Command::new("node");
            command.arg(here("clients/ws.mjs"));
            Ok(command)
        }
        Language::Python => {
            let python = std::env::var_os("CONFORMANCE_PYTHON")
                .map_or_else(|| here("../target/venv/bin/python"), PathBuf::from);
            ensure!(
                python.is_file(),
                "{} is not there: `python3 -m venv target/venv && target/venv/bin/pip install -r \
                 conformance/clients/requirements.txt`",
                python.display()
            );
            let mut command = Command::new(python);
            command.arg(here("clients/websockets_client.py"));
            Ok(command)
        }
    }
}

impl Puppet {
    pub(crate) fn start(language: Language) -> Outcome<Self> {
        let mut child =
            command(language)?.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let (Some(commands), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            fail!("no pipes to the client")
        };
        Ok(Self { _child: child, commands, lines: BufReader::new(output).lines() })
    }

    async fn tell(&mut self, command: &Value) -> Outcome {
        self.commands.write_all(format!("{command}\n").as_bytes()).await?;
        Ok(self.commands.flush().await?)
    }

    /// What the client reports next.
    async fn hear(&mut self) -> Outcome<Value> {
        within("a line of the client", async {
            match self.lines.next_line().await? {
                Some(line) => Ok(serde_json::from_str(&line)?),
                None => fail!("the client ended"),
            }
        })
        .await
    }

    /// Connects with the token as a subprotocol or as `Authorization`, and gives `welcome`.
    pub(crate) async fn connect(&mut self, server: &Server, token: &str, via: &str) -> Outcome<Value> {
        let url = format!("ws://{}/ws", server.address);
        self.tell(&json!({"do": "connect", "url": url, "token": token, "via": via})).await?;
        let opened = self.hear().await?;
        ensure!(opened["open"].is_object(), "{opened} instead of an open connection");
        if via == "protocol" {
            same!(opened["open"]["protocol"], "tidings.v1", "selected subprotocol");
        }
        let welcome = self.message().await?;
        same!(welcome["type"], "welcome", "first message {welcome}");
        Ok(welcome)
    }

    /// Connects with a token that must be refused, and gives the close code.
    pub(crate) async fn refused(&mut self, server: &Server, token: &str) -> Outcome<Value> {
        let url = format!("ws://{}/ws", server.address);
        self.tell(&json!({"do": "connect", "url": url, "token": token, "via": "protocol"})).await?;
        let opened = self.hear().await?;
        same!(opened["open"]["protocol"], "tidings.v1", "selected subprotocol in {opened}");
        let closed = self.hear().await?;
        ensure!(closed["closed"].is_object(), "{closed} instead of a close");
        Ok(closed["closed"]["code"].clone())
    }

    pub(crate) async fn send(&mut self, message: &Value) -> Outcome {
        self.tell(&json!({"do": "send", "message": message})).await
    }

    /// The next message, heartbeats left out.
    pub(crate) async fn message(&mut self) -> Outcome<Value> {
        loop {
            let heard = self.hear().await?;
            ensure!(heard["message"].is_object(), "{heard} instead of a message");
            if heard["message"]["type"] != "heartbeat" {
                return Ok(heard["message"].clone());
            }
        }
    }

    /// The next message, heartbeats included.
    pub(crate) async fn any_message(&mut self) -> Outcome<Value> {
        let heard = self.hear().await?;
        ensure!(heard["message"].is_object(), "{heard} instead of a message");
        Ok(heard["message"].clone())
    }

    /// Ends the connection without a word.
    pub(crate) async fn break_off(&mut self) -> Outcome {
        self.tell(&json!({"do": "break"})).await?;
        let closed = self.hear().await?;
        ensure!(closed["closed"].is_object(), "{closed} instead of a close");
        Ok(())
    }

    /// Closes with 1000, and gives the code that came back.
    pub(crate) async fn close(&mut self) -> Outcome<Value> {
        self.tell(&json!({"do": "close"})).await?;
        let closed = self.hear().await?;
        ensure!(closed["closed"].is_object(), "{closed} instead of a close");
        Ok(closed["closed"]["code"].clone())
    }
}

/// Runs `curl` to its end, and gives what it printed.
pub(crate) async fn curl(arguments: &[&str]) -> Outcome<String> {
    let output = within("curl", async {
        Ok(Command::new("curl")
            .args(["-sS", "--max-time", "10"])
            .args(arguments)
            .kill_on_drop(true)
            .output()
            .await?)
    })
    .await?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl {arguments:?}: {error}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A `curl` that goes on, line by line.
pub(crate) struct Curl {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Curl {
    pub(crate) fn start(arguments: &[&str]) -> Outcome<Self> {
        let mut child = Command::new("curl")
            .args(["-sSN", "--max-time", "60"])
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let Some(output) = child.stdout.take() else { fail!("no pipe from curl") };
        Ok(Self { _child: child, lines: BufReader::new(output).lines() })
    }

    /// The next block of a stream.
    pub(crate) async fn block(&mut self) -> Outcome<Block> {
        within("a block of curl", async {
            let mut text = String::new();
            loop {
                let Some(line) = self.lines.next_line().await? else { fail!("curl ended in a block") };
                if line.is_empty() && !text.is_empty() {
                    return Ok(parse_block(&text));
                }
                text.push_str(&line);
                text.push('\n');
            }
        })
        .await
    }

    /// The next block with data: its data and id.
    pub(crate) async fn event(&mut self) -> Outcome<(Value, String)> {
        loop {
            let block = self.block().await?;
            if block.data.is_some() {
                return Ok((block.json()?, block.id.unwrap_or_default()));
            }
        }
    }
}
