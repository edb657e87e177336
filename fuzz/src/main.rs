//! Runs the simulator: one seed, or a range of them on all cores. A failure prints the command that replays it.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant as Clock};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use tidings_core::Instant;
use tidings_sim::sim::{Counts, Outcome, Scenario, Sink, minimize, run};

/// Runs a hub, its clients and a bad network under virtual time, with every promise checked at every step.
#[derive(Debug, Parser)]
#[command(name = "tidings-sim", version)]
struct Args {
    /// The seed of one run.
    #[arg(long, conflicts_with = "seeds", required_unless_present_any = ["seeds", "tape"])]
    seed: Option<u64>,
    /// A range of seeds, as in `0..10000`.
    #[arg(long, value_parser = read_range)]
    seeds: Option<Range<u64>>,
    /// A file whose bytes make the choices of one run, as a fuzzer leaves it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds"])]
    tape: Option<PathBuf>,
    /// Stretches a run to so many hours of virtual time.
    #[arg(long, value_name = "N")]
    hours: Option<u32>,
    /// Prints what happens.
    #[arg(long, conflicts_with = "seeds")]
    trace: bool,
    /// Makes a failing run small, and prints what is left of it.
    #[arg(long, conflicts_with = "seeds")]
    minimize: bool,
    /// Prints the seed and hash of each run of a range, one a line, instead of a summary.
    #[arg(long, requires = "seeds")]
    hashes: bool,
    /// Goes on after a failure, and lists all of them.
    #[arg(long, requires = "seeds")]
    keep_going: bool,
}

fn read_range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("a range of seeds is written `0..10000`")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    let range = number(from)?..number(to)?;
    if range.is_empty() { Err("the range is empty".to_owned()) } else { Ok(range) }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seeds) = args.seeds.clone() {
        return range(&args, seeds);
    }
    let (name, scenario) = match (args.seed, &args.tape) {
        (Some(seed), _) => (of_seed(&args, seed), scenario(&args, seed)),
        (None, Some(path)) => match fs::read(path) {
            Ok(bytes) => (format!("--tape {}", path.display()), Scenario::from_bytes(&bytes)),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                return ExitCode::from(2);
            }
        },
        (None, None) => return ExitCode::from(2),
    };
    one(&args, &name, scenario)
}

/// The arguments that name the run of a seed.
fn of_seed(args: &Args, seed: u64) -> String {
    let hours = args.hours.map_or_else(String::new, |hours| format!(" --hours {hours}"));
    format!("--seed {seed}{hours}")
}

fn scenario(args: &Args, seed: u64) -> Scenario {
    args.hours.map_or_else(|| Scenario::from_seed(seed), |hours| Scenario::of_hours(seed, hours))
}

/// What came of a run, or the words of its panic.
type Ended = Result<Outcome, String>;

fn run_guarded<'s>(scenario: &'s Scenario, sink: Option<&'s mut dyn Sink>) -> Ended {
    catch_unwind(AssertUnwindSafe(|| run(scenario, sink))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

fn failure(ended: &Ended) -> Option<String> {
    match ended {
        Ok(outcome) => outcome.violation.as_ref().map(ToString::to_string),
        Err(panic) => Some(format!("panic: {panic}")),
    }
}

/// Prints a trace. Whoever reads it may have enough of it before its end, which is no fault of the run.
struct Printer(BufWriter<io::Stdout>);

impl Sink for Printer {
    fn line(&mut self, at: Instant, text: &str) {
        let micros = at.as_micros();
        let _ = writeln!(self.0, "{:>9}.{:06} {text}", micros / 1_000_000, micros % 1_000_000);
    }
}

fn one(args: &Args, name: &str, mut scenario: Scenario) -> ExitCode {
    if args.minimize {
        scenario = smallest(&scenario);
    }
    let began = Clock::now();
    let mut printer = Printer(BufWriter::new(io::stdout()));
    let shown = args.trace || args.minimize;
    let ended = run_guarded(&scenario, shown.then_some(&mut printer as &mut dyn Sink));
    let took = began.elapsed();
    let mut out = printer.0;
    if let Ok(outcome) = &ended {
        let (steps, time) = (scenario.steps.len(), outcome.virtual_time);
        let name = name.trim_start_matches('-');
        let _ = writeln!(out, "{name}: {time:.1?} of virtual time in {took:.1?}, {steps} steps");
        let _ = write!(out, "{}", outcome.counts);
        let _ = writeln!(out, "trace {:016x}, {} lines", outcome.hash, outcome.lines);
    }
    let _ = out.flush();
    match failure(&ended) {
        Some(failure) => failed(name, &failure),
        None => {
            if args.minimize {
                eprintln!("it holds every invariant, so nothing was left out");
            }
            ExitCode::SUCCESS
        }
    }
}

/// The least that fails as the scenario does, told to whoever watches.
fn smallest(scenario: &Scenario) -> Scenario {
    let bar = ProgressBar::new_spinner()
        .with_style(ProgressStyle::with_template("{elapsed} {msg}").expect("the template is one"));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let smallest = minimize(scenario, &mut |smaller| {
        bar.set_message(format!("{} of {} steps are left", smaller.steps.len(), scenario.steps.len()));
        bar.tick();
    });
    std::panic::set_hook(hook);
    bar.finish_and_clear();
    let settings = &smallest.settings;
    println!("{:?}, hubs {}", settings.population, settings.hubs);
    println!("faults {:?}", settings.faults);
    println!("{:?}\n{:?}\n{:?}", settings.network, settings.poll, settings.log);
    for step in &smallest.steps {
        println!("{:>9}.{:06} {:?}", step.at / 1_000_000, step.at % 1_000_000, step.action);
    }
    println!();
    smallest
}

fn failed(name: &str, failure: &str) -> ExitCode {
    eprintln!("{} fails: {failure}", name.trim_start_matches('-'));
    eprintln!("replay: make simulate ARGS='{name} --trace'");
    eprintln!("shrink: make simulate ARGS='{name} --minimize'");
    ExitCode::FAILURE
}

/// What a range has come to.
#[derive(Default)]
struct Sum {
    counts: Counts,
    virtual_time: Duration,
    failures: Vec<(u64, String)>,
    hashes: Vec<(u64, u64)>,
}

fn range(args: &Args, seeds: Range<u64>) -> ExitCode {
    let style = "{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left";
    let bar = ProgressBar::new(seeds.end.saturating_sub(seeds.start))
        .with_style(ProgressStyle::with_template(style).expect("the template is one"));
    let (next, failed_already) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let began = Clock::now();
    let work = || {
        while !failed_already.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seeds.end <= seed {
                return;
            }
            let ended = run_guarded(&scenario(args, seed), None);
            bar.inc(1);
            let mut sum = sum.lock().expect("nobody panics with the sum in hand");
            if let Ok(outcome) = &ended {
                sum.counts.add(&outcome.counts);
                sum.virtual_time += outcome.virtual_time;
                sum.hashes.push((seed, outcome.hash));
            }
            if let Some(failure) = failure(&ended) {
                failed_already.store(!args.keep_going, Ordering::Relaxed);
                sum.failures.push((seed, failure));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    bar.finish_and_clear();
    let mut sum = sum.into_inner().expect("nobody panics with the sum in hand");
    if args.hashes {
        sum.hashes.sort_unstable();
        println!("# Seeds and the hashes of their traces. Generated, see simulation.rs.");
        sum.hashes.iter().for_each(|(seed, hash)| println!("{seed} {hash:016x}"));
    } else {
        let took = began.elapsed();
        let hours = sum.virtual_time.as_secs_f64() / 3600.0;
        println!("{} seeds in {took:.1?}: {hours:.1} hours of virtual time", sum.hashes.len());
        print!("{}", sum.counts);
    }
    sum.failures.sort_unstable();
    if args.keep_going {
        sum.failures.iter().for_each(|(seed, failure)| println!("seed {seed} fails: {failure}"));
    }
    // Of several that fail at once the first is told, so that a range fails the same way twice.
    match sum.failures.first() {
        Some((seed, text)) => failed(&of_seed(args, *seed), text),
        None => ExitCode::SUCCESS,
    }
}
