//! The simulator keeps its own promises: one seed is one run, on every machine, and a range of seeds holds every
//! invariant.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tidings_core::Instant;
use tidings_sim::sim::{Outcome, Scenario, minimize, run};

/// Few, for an unoptimised build; `scripts/test` runs thousands.
const SEEDS: u64 = 60;

#[test]
fn one_seed_gives_one_trace() {
    for seed in 0..20 {
        let traced = |seed| {
            let mut lines = Vec::new();
            let mut sink = |at: Instant, text: &str| lines.push((at, text.to_owned()));
            let outcome = run(&Scenario::from_seed(seed), Some(&mut sink));
            (outcome.hash, outcome.counts, lines)
        };
        assert_eq!(traced(seed), traced(seed), "seed {seed}");
    }
}

#[test]
fn whether_somebody_reads_the_trace_changes_nothing() {
    let mut sink = |_: Instant, _: &str| {};
    let read = run(&Scenario::from_seed(3), Some(&mut sink));
    assert_eq!(read.hash, run(&Scenario::from_seed(3), None).hash);
}

#[test]
fn a_range_of_seeds_holds_every_invariant() {
    for seed in 0..SEEDS {
        let outcome = run_seed(seed);
        assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
    }
}

/// Renewed by `scripts/simulate --seeds 0..40 --hashes >fuzz/tests/golden.txt` where a change of the core's or the simulator's behaviour is meant.
#[test]
fn a_golden_list_of_seeds_gives_the_same_hashes_everywhere() {
    let golden = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt")).unwrap();
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let (seed, hash) = line.split_once(' ').unwrap();
        let outcome = run_seed(seed.parse().unwrap());
        assert_eq!(format!("{:016x}", outcome.hash), hash, "seed {seed}");
    }
}

/// `make mutants` writes the table.
#[test]
fn the_table_says_of_every_planted_fault_that_it_is_caught() {
    let table = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/MUTANTS.md")).unwrap();
    let row = |line: &str| line.starts_with("| ") && !line.starts_with("| fault ");
    let rows: Vec<&str> = table.lines().filter(|line| row(line)).collect();
    let mut patches: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/mutants"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    patches.sort();
    let expected: Vec<String> = patches
        .iter()
        .map(|patch| {
            let text = fs::read_to_string(patch).unwrap();
            let name = patch.file_stem().unwrap().to_str().unwrap();
            format!("| {name} | {} | caught", text.lines().next().unwrap())
        })
        .collect();
    assert_eq!(rows.len(), expected.len());
    for (row, begin) in rows.iter().zip(expected) {
        assert!(row.starts_with(&begin), "run `make mutants`: {row} does not begin with {begin}");
    }
}

#[test]
fn any_bytes_are_a_scenario() {
    for bytes in [&[][..], &[0xff; 64], &[7; 1000], b"\x01\x00\x00\x00\x00\x00\x00\x00 a scenario of bytes"] {
        let outcome = run(&Scenario::from_bytes(bytes), None);
        assert!(outcome.violation.is_none(), "{bytes:?}: {:?}", outcome.violation);
    }
}

#[test]
fn what_does_not_fail_is_not_minimized() {
    let scenario = Scenario::from_seed(1);
    let minimized = minimize(&scenario, &mut |_| panic!("nothing is smaller than what does not fail"));
    assert_eq!(minimized.steps, scenario.steps);
}

/// Runs a seed; a panic names it.
fn run_seed(seed: u64) -> Outcome {
    let ended = catch_unwind(AssertUnwindSafe(|| run(&Scenario::from_seed(seed), None)));
    assert!(ended.is_ok(), "seed {seed} panics");
    ended.expect("just looked at")
}
