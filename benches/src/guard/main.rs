//! Guards what the core costs, on any machine in any mood: instructions of its main pieces of work, counted by
//! callgrind and compared with what is recorded.

mod counts;
mod work;

use std::env;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};
use thiserror::Error;

use counts::{Counts, Verdict};
use work::WORK;

/// Why nothing was compared.
#[derive(Debug, Error)]
enum GuardError {
    /// A file cannot be read or written, or a command not be run.
    #[error("{0}: {1}")]
    System(String, std::io::Error),
    /// A name that no work has.
    #[error("no work is called {0}")]
    Name(String),
    /// Callgrind said something else than what is understood here.
    #[error("{0} was not counted: {1}")]
    Callgrind(&'static str, String),
    /// The record is not one.
    #[error("{0}: {1}")]
    Record(String, String),
}

#[derive(Debug, Parser)]
#[command(name = "tidings-guard", about = "Counts the instructions of the core's work under callgrind")]
struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Does one piece of work: what callgrind runs.
    Run {
        /// Its name.
        name: String,
    },
    /// Counts everything and compares it with the record.
    Compare {
        /// The record.
        record: PathBuf,
    },
    /// Counts everything and records it.
    Record {
        /// The record.
        record: PathBuf,
    },
}

fn main() -> ExitCode {
    let done = match Args::parse().action {
        Action::Run { name } => run(&name).map(|()| true),
        Action::Compare { record } => compare(&record),
        Action::Record { record } => write(&record).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tidings-guard: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that is done in here is counted, and nothing else: callgrind is told this function's name.
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
    // Something behind the call, so that it is not the last thing and this function not left before it.
    black_box(());
}

fn run(name: &str) -> Result<(), GuardError> {
    let work = WORK.iter().find(|work| work.name == name);
    (work.ok_or_else(|| GuardError::Name(name.to_owned()))?.run)(&mut counted_by_callgrind);
    Ok(())
}

fn write(record: &Path) -> Result<(), GuardError> {
    let counts = count_all()?;
    fs::write(record, counts.to_text()).map_err(system(record.display()))
}

fn compare(record: &Path) -> Result<bool, GuardError> {
    let text = fs::read_to_string(record).map_err(system(record.display()))?;
    let name = record.display().to_string();
    let recorded = Counts::parse(&text).map_err(|line| GuardError::Record(name, line))?;
    let counts = count_all()?;
    let verdicts = counts.compare(&recorded);
    for Verdict { line, .. } in &verdicts {
        println!("{line}");
    }
    let grown = verdicts.iter().filter(|verdict| verdict.grown).count();
    let stale = verdicts.iter().any(|verdict| verdict.stale);
    if counts.tools != recorded.tools {
        println!("recorded with {}, counted with {}", recorded.tools, counts.tools);
    }
    if 0 < grown {
        println!(
            "{grown} cost more instructions than recorded in {}: make it cheaper, or, where it is worth it, \
             record anew with `make bench-guard ARGS=record` and say why in the commit",
            record.display()
        );
    } else if stale {
        println!("the record is behind: `make bench-guard ARGS=record`");
    }
    Ok(grown == 0)
}

fn system(what: impl ToString) -> impl FnOnce(std::io::Error) -> GuardError {
    move |error| GuardError::System(what.to_string(), error)
}

/// Instructions of each piece of work, for each time that it is done.
fn count_all() -> Result<Counts, GuardError> {
    let versions: Vec<String> = ["rustc", "valgrind"].into_iter().map(version).collect::<Result<_, _>>()?;
    let mut counts = Counts { tools: versions.join(", "), figures: Vec::new() };
    for work in &WORK {
        counts.figures.push((work.name.to_owned(), count(work.name)? / work.times));
    }
    Ok(counts)
}

fn version(tool: &str) -> Result<String, GuardError> {
    let output = Command::new(tool).arg("--version").output().map_err(system(tool))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn count(name: &'static str) -> Result<u64, GuardError> {
    let own = env::current_exe().map_err(system("this program"))?;
    // Without an environment, whose length would move the stack.
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*counted_by_callgrind*",
        ])
        .arg(own)
        .args(["run", name])
        .env_clear()
        .output()
        .map_err(system("valgrind"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = counts::collected(&said).filter(|count| 0 < *count && output.status.success());
    collected.ok_or_else(|| GuardError::Callgrind(name, said.into_owned()))
}
