//! `tidings-conformance`: holds a server to PROTOCOL, and attacks one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tidings_conformance::{AbusePlan, Plan, Report, SetupError, Subject};

/// Walks PROTOCOL section by section over real sockets.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    target: Target,
    /// Only this section of PROTOCOL.
    #[arg(long)]
    section: Option<u8>,
    /// Only checks whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// How many checks run at the same time.
    #[arg(long, default_value_t = 12)]
    at_once: usize,
    /// Shows what there is, and runs nothing.
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Attacks the server while 100 good clients must miss nothing.
    Abuse {
        #[command(flatten)]
        target: Target,
        /// Only attacks whose name contains this.
        #[arg(long)]
        only: Option<String>,
        /// How long each attack lasts.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// Shows what there is, and runs nothing.
        #[arg(long)]
        list: bool,
    },
}

#[derive(Debug, Args)]
struct Target {
    /// A server that runs.
    #[arg(long, requires_all = ["secret", "api_key"])]
    address: Option<SocketAddr>,
    /// Its `auth.jwt_secret`.
    #[arg(long)]
    secret: Option<String>,
    /// One of its `auth.api_keys`.
    #[arg(long)]
    api_key: Option<String>,
    /// The binary to start servers from [default without an address: target/debug/tidings].
    #[arg(long)]
    tidings: Option<PathBuf>,
}

impl Target {
    fn subject(self) -> Subject {
        match (self.address, self.secret, self.api_key) {
            (Some(address), Some(secret), Some(api_key)) => {
                Subject::Running { address, secret, api_key, binary: self.tidings }
            }
            _ => Subject::Binary(self.tidings.unwrap_or_else(|| "target/debug/tidings".into())),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(report) if report.is_good() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tidings-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(cli: Cli) -> Result<Report, SetupError> {
    match cli.command {
        Some(Command::Abuse { list: true, .. }) => {
            tidings_conformance::attacks().iter().for_each(|name| println!("{name}"));
            Ok(Report::default())
        }
        Some(Command::Abuse { target, only, seconds, .. }) => {
            let duration = Duration::from_secs(seconds);
            tidings_conformance::abuse(&AbusePlan { subject: target.subject(), only, duration }).await
        }
        None if cli.list => {
            tidings_conformance::checks().iter().for_each(|(section, name)| println!("§{section} {name}"));
            Ok(Report::default())
        }
        None => {
            let (section, only, at_once) = (cli.section, cli.only, cli.at_once);
            tidings_conformance::conform(&Plan { subject: cli.target.subject(), section, only, at_once })
                .await
        }
    }
}
