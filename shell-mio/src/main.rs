//! The server `tidings`: its command line, its settings, its logs, and the loop around the core.

mod banner;
mod cli;
mod jwks;
mod logging;
mod server;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
