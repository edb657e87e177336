//! What was measured, read from the lines that the load generator and `bench-peers` have written, and from the
//! folder where criterion leaves its estimates.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Lines of one session.
#[derive(Debug, Default)]
pub(crate) struct Results {
    runs: Vec<Value>,
    /// What was noted beside: of what kind, and the text.
    facts: Vec<(String, String)>,
    benches: Vec<Bench>,
}

/// A bench of the core at one size.
#[derive(Debug)]
struct Bench {
    group: String,
    size: f64,
    /// Nanoseconds for each element.
    cost: f64,
}

impl Bench {
    /// Reads what criterion left of one bench.
    fn read(folder: &Path) -> Option<Self> {
        let json = |name: &str| -> Option<Value> {
            serde_json::from_str(&fs::read_to_string(folder.join(name)).ok()?).ok()
        };
        Self::parse(&json("benchmark.json")?, &json("estimates.json")?)
    }

    fn parse(bench: &Value, estimates: &Value) -> Option<Self> {
        let elements = bench.pointer("/throughput/Elements").and_then(Value::as_f64).unwrap_or(1.0);
        Some(Self {
            group: bench["group_id"].as_str()?.to_owned(),
            size: bench["value_str"].as_str()?.parse().ok()?,
            cost: estimates.pointer("/median/point_estimate")?.as_f64()? / elements,
        })
    }
}

impl Results {
    /// Reads lines; what is neither a run nor a fact is left out.
    pub(crate) fn read(text: &str) -> Self {
        let mut results = Self::default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            match (line["fact"].as_str(), line["text"].as_str()) {
                (Some(kind), Some(text)) => results.facts.push((kind.to_owned(), text.to_owned())),
                _ if line["peer"].is_string() => results.runs.push(line),
                _ => {}
            }
        }
        results
    }

    /// Adds criterion's estimates: `GROUP/SIZE/new` in its folder.
    pub(crate) fn add_benches(&mut self, criterion: &Path) {
        let within = |folder: &Path| -> Vec<_> {
            fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        };
        let benches = within(criterion).into_iter().flat_map(|group| within(&group));
        self.benches.extend(benches.filter_map(|bench| Bench::read(&bench.join("new"))));
        self.benches.sort_by(|one, other| one.size.total_cmp(&other.size));
    }

    /// What a bench costs by size: nanoseconds for each element.
    pub(crate) fn curve(&self, group: &str) -> Vec<(f64, f64)> {
        let own = self.benches.iter().filter(|bench| bench.group == group);
        own.map(|bench| (bench.size, bench.cost)).collect()
    }

    /// All facts of a kind.
    pub(crate) fn facts<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.facts.iter().filter(move |(of, _)| of == kind).map(|(_, text)| text.as_str())
    }

    /// All runs.
    pub(crate) fn runs(&self) -> &[Value] {
        &self.runs
    }

    /// Rounds that were measured.
    pub(crate) fn rounds(&self) -> BTreeSet<u64> {
        self.runs.iter().filter_map(|run| run["round"].as_u64()).collect()
    }

    /// A figure of one round, by its JSON pointer.
    pub(crate) fn at(&self, peer: &str, name: &str, pointer: &str, round: u64) -> Option<f64> {
        let mut runs = self.runs.iter().filter(|run| run["peer"] == peer && run["name"] == name);
        runs.find(|run| run["round"] == round)?.pointer(pointer)?.as_f64()
    }

    /// A figure of every round that has it.
    pub(crate) fn each(&self, peer: &str, name: &str, pointer: &str) -> Vec<f64> {
        self.rounds().into_iter().filter_map(|round| self.at(peer, name, pointer, round)).collect()
    }

    /// The median of a figure's rounds.
    pub(crate) fn median(&self, peer: &str, name: &str, pointer: &str) -> Option<f64> {
        median(self.each(peer, name, pointer))
    }
}

/// The middle one, or the lower of the two.
pub(crate) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().checked_sub(1)? / 2).copied()
}

/// With three digits that mean something.
pub(crate) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size < 1.0 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let whole = text.find('.').unwrap_or(text.len());
    // Thousands are set apart.
    let mut out = String::new();
    for (index, sign) in text.char_indices() {
        let left = whole.saturating_sub(index);
        if 0 < index && index < whole && left.is_multiple_of(3) && !text[..index].ends_with('-') {
            out.push(',');
        }
        out.push(sign);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_of_its_rounds() {
        let line = |round, cpu| {
            format!(r#"{{"peer":"p","name":"n","round":{round},"cpu":{cpu},"latency_us":{{"p99":{cpu}}}}}"#)
        };
        let text = [line(1, 5.0), line(2, 1.0), "no JSON".to_owned(), line(3, 3.0)].join("\n");
        let results = Results::read(&text);
        assert_eq!(results.median("p", "n", "/latency_us/p99"), Some(3.0));
        assert_eq!(results.median("p", "n", "/absent"), None);
        assert_eq!(results.each("p", "n", "/cpu"), [5.0, 1.0, 3.0]);
    }

    #[test]
    fn a_bench_costs_its_median_for_each_element() {
        let bench = r#"{"group_id":"g","value_str":"1000","throughput":{"Elements":1000}}"#;
        let estimates = r#"{"mean":{"point_estimate":9000.0},"median":{"point_estimate":7000.0}}"#;
        let json = |text| serde_json::from_str(text).unwrap();
        let bench = Bench::parse(&json(bench), &json(estimates)).unwrap();
        assert_eq!((&*bench.group, bench.size, bench.cost), ("g", 1000.0, 7.0));
    }

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        let shown = [0.0123, 0.5, 12.34, 123.4, 1_234_567.0].map(figure);
        assert_eq!(shown, ["0.012", "0.500", "12.3", "123", "1,234,567"]);
    }
}
