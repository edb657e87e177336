//! The load generator: many connections on one thread, a server beside it, and one JSON line a run.
//!
//! It starts each server itself, pinned to one processor, and keeps to the other. Nothing is compared but
//! what one invocation measured: rounds are interleaved, every peer in every round.

mod dialect;
mod fleet;
mod frames;
mod http;
mod limit;
mod load;
mod pace;
mod process;
mod publish;
mod quiet;
mod report;
mod run;
mod scenario;
mod stall;
mod storm;
mod trace;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::json;
use thiserror::Error;

use dialect::PeerName;
use limit::Gather;
use scenario::{Run, Scenario};

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
    Run(Orders),
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

#[derive(Debug, clap::Args)]
struct Orders {
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
    /// The scripts of peers that are libraries.
    #[arg(long, default_value = "benches/peers")]
    peers_folder: PathBuf,
    /// Runs the server under this command, as in `--under "perf record -g -o out"`.
    #[arg(long, default_value = "")]
    under: String,
    /// Seconds to wait in all, before runs, until nobody else has the machine.
    #[arg(long, default_value_t = 0.0)]
    patience: f64,
    /// A second for each run instead of what the scenario says: to see that it works.
    #[arg(long)]
    short: bool,
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
        Command::Run(orders) => run_all(&orders),
    }
}

/// A peer that fails costs its run and nothing else; that any has failed is said in the end.
fn run_all(orders: &Orders) -> Result<(), LoadError> {
    let Orders { processor, tidings, peers_folder, under, .. } = orders;
    let place = process::Place {
        processor: *processor,
        tidings: tidings.clone(),
        peers: peers_folder.clone(),
        under: under.clone(),
    };
    process::prepare(&place)?;
    let runs = orders.runs()?;
    let (mut failed, mut patience) = (0, Duration::from_secs_f64(orders.patience));
    for round in 1..=orders.rounds {
        for (run, peer) in runs.iter().flat_map(|run| orders.peers.iter().map(move |peer| (run, *peer))) {
            if !run.peers.is_empty() && !run.peers.contains(&peer) {
                continue;
            }
            quiet::wait(&mut patience);
            let line = match run::measure(run, peer, round, &place) {
                Ok(report) => serde_json::to_string(&report),
                Err(error) => {
                    failed += 1;
                    eprintln!("{} of {}: {error}", run.name, peer.as_str());
                    let (peer, name, error) = (peer.as_str(), &run.name, error.to_string());
                    Ok(json!({"peer": peer, "round": round, "name": name, "error": error}).to_string())
                }
            };
            let line = line.map_err(|error| LoadError::Peer(error.to_string()))?;
            writeln!(io::stdout(), "{line}").map_err(LoadError::system("standard output"))?;
        }
    }
    // Where no server was configured by a file there is none.
    let _ = std::fs::remove_dir_all(place.scratch(""));
    if failed == 0 { Ok(()) } else { Err(LoadError::Peer(format!("{failed} runs failed"))) }
}

impl Orders {
    fn runs(&self) -> Result<Vec<Run>, LoadError> {
        let scenarios: Vec<_> =
            self.scenarios.iter().map(|path| Scenario::read(path)).collect::<Result<_, _>>()?;
        Ok(scenarios
            .into_iter()
            .flat_map(Scenario::runs)
            .filter(|run| self.only.is_empty() || run.name == self.only)
            .map(|run| if self.short { run.short() } else { run })
            .collect())
    }
}
