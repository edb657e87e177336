//! The load generator: many connections on one thread, a server beside it, and one JSON line a run.
//!
//! It starts each server itself, pinned to one processor, and keeps to the other. Nothing is compared but
//! what one invocation measured: rounds are interleaved, every peer in every round.

mod dialect;
mod fleet;
mod frames;
mod limit;
mod pace;
mod process;
mod report;
mod run;
mod scenario;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use thiserror::Error;

use dialect::PeerName;
use limit::Gather;
use scenario::Scenario;

/// Why nothing could be measured.
#[derive(Debug, Error)]
pub(crate) enum LoadError {
    /// A scenario is not one.
    #[error("{path}: {reason}")]
    Scenario {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused something.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// The server did not do what the scenario needs.
    #[error("{0}")]
    Peer(String),
}

impl LoadError {
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::System { what, error }
    }
}

#[derive(Debug, Parser)]
#[command(name = "tidings-load", about = "Loads event servers and prints one JSON line a run")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures the runs of scenarios.
    Run {
        /// Scenario files.
        #[arg(required = true)]
        scenarios: Vec<PathBuf>,
        /// Servers to measure, in turn.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "tidings,limit-a,limit-b")]
        peers: Vec<PeerName>,
        /// How often every run is measured.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
        /// Only the run of this name.
        #[arg(long, default_value = "")]
        only: String,
        /// Processor of the server; the load takes the next.
        #[arg(long, default_value_t = 0)]
        processor: usize,
        /// The binary `tidings`; by default the one beside this.
        #[arg(long)]
        tidings: Option<PathBuf>,
        /// Runs the server under this command, as in `--under "perf record -g -o out"`.
        #[arg(long, default_value = "")]
        under: String,
    },
    /// A bare loop that hands every message to every connection: what the kernel alone costs.
    Limit {
        /// The port to listen on, at loopback.
        #[arg(long)]
        port: u16,
        /// How many messages go into one write: one, sixteen, or all that wait.
        #[arg(long, value_enum)]
        gather: Gather,
    },
}

fn main() -> ExitCode {
    match act(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidings-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(command: Command) -> Result<(), LoadError> {
    match command {
        Command::Limit { port, gather } => limit::serve(port, gather),
        Command::Run { scenarios, peers, rounds, only, processor, tidings, under } => {
            let place = process::Place { processor, tidings, under };
            process::prepare(&place)?;
            let runs: Vec<_> = scenarios
                .iter()
                .map(|path| Scenario::read(path))
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .flat_map(Scenario::runs)
                .filter(|run| only.is_empty() || run.name == only)
                .collect();
            for round in 1..=rounds {
                for (run, peer) in runs.iter().flat_map(|run| peers.iter().map(move |peer| (run, *peer))) {
                    let result = run::measure(run, peer, round, &place)?;
                    let line =
                        serde_json::to_string(&result).map_err(|error| LoadError::Peer(error.to_string()))?;
                    writeln!(io::stdout(), "{line}").map_err(LoadError::system("standard output"))?;
                }
            }
            Ok(())
        }
    }
}
