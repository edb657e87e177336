//! What the project has set out to reach, as ratios within one session, and what was measured.

use crate::data::{Results, figure, median};

/// Windows in which there must be no step.
pub(crate) const GATHERED: [&str; 5] =
    ["fan-out W=16", "fan-out W=32", "fan-out W=48", "fan-out W=64", "fan-out W=128"];
const CPU: &str = "/cpu_us_per_delivery";
const PER_CPU: &str = "/events_per_cpu_s";

/// A target: what, must, goal, whether more is better, and its figure in a round.
struct Target {
    what: &'static str,
    must: f64,
    goal: f64,
    more: bool,
    at: fn(&Results, u64) -> Option<f64>,
}

fn over(results: &Results, round: u64, name: &str, pointer: &str, other: &str) -> Option<f64> {
    Some(results.at("tidings", name, pointer, round)? / results.at(other, name, pointer, round)?)
}

fn worst_over_best(results: &Results, round: u64) -> Option<f64> {
    let costs: Option<Vec<f64>> =
        GATHERED.iter().map(|name| results.at("tidings", name, CPU, round)).collect();
    let costs = costs?;
    let worst = costs.iter().copied().fold(f64::MIN, f64::max);
    Some(worst / costs.iter().copied().fold(f64::MAX, f64::min))
}

/// Benches of the core run once, which counts as the first round.
fn matching(results: &Results, round: u64) -> Option<f64> {
    let curve = results.curve("matching/one_key");
    let at = |subscriptions: f64| curve.iter().find(|(size, _)| *size == subscriptions).map(|(_, cost)| cost);
    let first = results.rounds().first() == Some(&round);
    first.then_some(at(1e6)? / at(1e3)?)
}

const fn less(what: &'static str, must: f64, goal: f64, at: fn(&Results, u64) -> Option<f64>) -> Target {
    Target { what, must, goal, more: false, at }
}

const fn more(what: &'static str, must: f64, goal: f64, at: fn(&Results, u64) -> Option<f64>) -> Target {
    Target { what, must, goal, more: true, at }
}

const TARGETS: [Target; 14] = [
    less("fan-out, W = 32, CPU a delivery over limit B", 2.5, 1.12, |results, round| {
        over(results, round, "fan-out W=32", CPU, "limit-b")
    }),
    less("fan-out, W = 64, CPU a delivery over limit B", 2.5, 1.12, |results, round| {
        over(results, round, "fan-out W=64", CPU, "limit-b")
    }),
    less("the worst W from 16 to 128 over the best", 1.5, 1.2, worst_over_best),
    less("fan-out, W = 1, over limit A", 1.15, 1.05, |results, round| {
        over(results, round, "fan-out W=1", CPU, "limit-a")
    }),
    less("fan-out, W = 64, over NATS", 0.5, 0.25, |results, round| {
        over(results, round, "fan-out W=64", CPU, "nats")
    }),
    less("fan-out, W = 64, over Sockudo", 0.15, 0.08, |results, round| {
        over(results, round, "fan-out W=64", CPU, "sockudo")
    }),
    less("latency p99 at 30 % load, over limit A", 1.5, 1.15, |results, round| {
        over(results, round, "30 % load", "/latency_us/p99", "limit-a")
    }),
    less("idle bytes a connection", 1024.0, 500.0, |results, round| {
        results.at("tidings", "idle", "/resident_bytes_per_connection", round)
    }),
    less("matching 3 of 10⁶ subscriptions over 3 of 10³", 3.0, 1.5, matching),
    more("publish over HTTP, events a second a core, over Sockudo", 3.0, 3.0, |results, round| {
        over(results, round, "keep-alive", PER_CPU, "sockudo")
    }),
    more("the same in batches of 100", 3.0, 10.0, |results, round| {
        over(results, round, "batches of 100", PER_CPU, "sockudo")
    }),
    less("critical event to a reader that is behind, over an idle one", 2.0, 1.2, |results, round| {
        let at = |pointer| results.at("tidings", "slow consumers", pointer, round);
        Some(at("/critical_slow_us")? / at("/critical_idle_us")?)
    }),
    less("second storm (resume) over the first, HS256", 0.7, 0.4, |results, round| {
        results.at("tidings", "storm HS256", "/second_over_first", round)
    }),
    less("second storm (resume) over the first, ES256", 0.7, 0.4, |results, round| {
        results.at("tidings", "storm ES256", "/second_over_first", round)
    }),
];

/// A row for each target: the median, the rounds, and what it reaches.
pub(crate) fn rows(results: &Results) -> Vec<[String; 6]> {
    let row = |target: &Target| {
        let rounds: Vec<f64> =
            results.rounds().into_iter().filter_map(|round| (target.at)(results, round)).collect();
        let sign = if target.more { "≥" } else { "≤" };
        let reached = |bound: f64, value: f64| if target.more { bound <= value } else { value <= bound };
        let middle = median(rounds.clone());
        let verdict = match middle {
            None => "not measured",
            Some(value) if reached(target.goal, value) => "goal",
            Some(value) if reached(target.must, value) => "must",
            Some(_) => "**missed**",
        };
        [
            target.what.to_owned(),
            format!("{sign} {}", figure(target.must)),
            format!("{sign} {}", figure(target.goal)),
            middle.map_or_else(|| "–".to_owned(), figure),
            rounds.into_iter().map(figure).collect::<Vec<_>>().join(", "),
            verdict.to_owned(),
        ]
    };
    TARGETS.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_one_round() {
        let line = |peer, round, cpu| {
            format!(r#"{{"peer":"{peer}","name":"fan-out W=1","round":{round},"cpu_us_per_delivery":{cpu}}}"#)
        };
        let text = [line("tidings", 1, 3.0), line("limit-a", 1, 2.0), line("tidings", 2, 4.0)].join("\n");
        let results = Results::read(&text);
        let row = rows(&results).into_iter().find(|row| row[0].contains("limit A")).unwrap();
        assert_eq!(row[3..], ["1.50", "1.50", "**missed**"], "the second round has no limit A");
    }
}
