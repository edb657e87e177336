//! The command line: what may be written, and which command it is.
//!
//! Exit codes: 0 done, 1 failed at run time, 2 wrong usage or configuration, 3 refused by the server.

mod check;
mod client;
mod duration;
mod emit;
mod schema;
mod serve;
mod table;
mod tail;
mod target;
pub(crate) mod tls;
pub(crate) mod token;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::settings::Fault;

/// Tidings: a real-time event server for admin panels.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "\
Try it:
  tidings serve --dev              a server for this machine; it prints a token and commands to try
  tidings tail 'content.*'         follow events
  tidings emit user.login userId=u1 timestamp:=now

Exit codes: 0 done, 1 failed at run time, 2 wrong usage or configuration, 3 refused by the server.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server
    Serve(serve::ServeArgs),
    /// Print a token that is signed with the server's secret or a private key
    Token(token::TokenArgs),
    /// Publish an event, or a stream of them
    Emit(emit::EmitArgs),
    /// Follow events
    Tail(tail::TailArgs),
    /// Check the configuration; list every fault with its place
    Check(check::CheckArgs),
    /// Print the JSON Schema of all event types
    Schema(schema::SchemaArgs),
    /// Print a script that completes the commands in a shell
    #[command(after_help = "Example:\n  tidings completions bash > /etc/bash_completion.d/tidings")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the table of settings as Markdown
    #[command(hide = true)]
    ConfigTable,
    /// Print the table of metrics as Markdown
    #[command(hide = true)]
    MetricsTable,
}

/// Where the settings come from, for the commands that need the server's.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigArgs {
    /// TOML file with settings
    #[arg(long, value_name = "FILE", env = "TIDINGS_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,
    /// Set one key, as in `--set limits.message_bytes=65536`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
}

impl ConfigArgs {
    fn sources(&self) -> crate::settings::Sources {
        let mut sources = crate::settings::Sources::of_process(self.config.clone());
        for (key, value) in &self.set {
            sources.flag(&format!("--set {key}"), key, Some(value));
        }
        sources
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Asked in a way that cannot be done: exit code 2.
    Usage(String),
    /// The configuration has faults: exit code 2.
    Config(Vec<Fault>),
    /// It went wrong on the way: exit code 1.
    Failed(String),
    /// The server said no: exit code 3.
    Refused(String),
    /// Nobody reads the output any more: exit code 0, as for any tool in a pipe.
    Unread,
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Unread => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) | Self::Config(_) => 2,
            Self::Refused(_) => 3,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Failed(text) | Self::Refused(text) => f.write_str(text),
            Self::Config(faults) => match faults.as_slice() {
                [only] => only.fmt(f),
                _ => {
                    write!(f, "{} faults in the configuration", faults.len())?;
                    faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
                }
            },
            Self::Unread => Ok(()),
        }
    }
}

impl From<Vec<Fault>> for Failure {
    fn from(faults: Vec<Fault>) -> Self {
        Self::Config(faults)
    }
}

/// Writes one line to standard output, at once.
pub(crate) fn print(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written =
        out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::Failed(format!("standard output: {error}")),
    })
}

/// Says something to the person beside the output; never fails.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Emit(args) => emit::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions { shell } => completions(shell),
        Command::ConfigTable => print(table::settings().trim_end()),
        Command::MetricsTable => print(table::metrics().trim_end()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Unread) {
                say(&format!("tidings: {failure}"));
            }
            ExitCode::from(failure.code())
        }
    }
}

fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tidings", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
