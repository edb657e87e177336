//! Turns what was measured into a page and plots: `tidings-results LINES FOLDER` reads lines of JSON, and with
//! `--criterion` the benches of the core, and writes `RESULTS.md` with its pictures beside it.

mod data;
mod page;
mod plot;
mod targets;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use data::Results;

#[derive(Debug, Parser)]
#[command(name = "tidings-results", about = "Writes RESULTS.md and its plots from measured lines")]
struct Args {
    /// Lines of `tidings-load run`, and of facts beside them.
    lines: PathBuf,
    /// Where the page is written; pictures go into its folder `results`.
    folder: PathBuf,
    /// Criterion's folder.
    #[arg(long)]
    criterion: Option<PathBuf>,
}

fn main() -> ExitCode {
    match write(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidings-results: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(args: &Args) -> io::Result<()> {
    let mut results = Results::read(&fs::read_to_string(&args.lines)?);
    args.criterion.iter().for_each(|criterion| results.add_benches(criterion));
    let pictures = args.folder.join("results");
    fs::create_dir_all(&pictures)?;
    for (name, svg) in page::plots(&results) {
        fs::write(pictures.join(name), svg)?;
    }
    fs::write(args.folder.join("RESULTS.md"), page::page(&results))
}
