//! Counts as they are recorded and compared.

use std::fmt::Write as _;

/// Growth that is taken for none: other releases of the system's libraries count a little otherwise.
const TOLERANCE_PERCENT: u64 = 2;
const MARK: &str = "# generated: make bench-guard ARGS=record";

/// Instructions by name, and what they were counted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) tools: String,
    pub(crate) figures: Vec<(String, u64)>,
}

/// What became of a count since it was recorded.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) line: String,
    /// By more than the tolerance.
    pub(crate) grown: bool,
    /// The record is worth being made anew.
    pub(crate) stale: bool,
}

impl Counts {
    /// The record's text.
    pub(crate) fn to_text(&self) -> String {
        let mut out = format!("{MARK}\n# {}\n", self.tools);
        for (name, count) in &self.figures {
            let _ = writeln!(out, "{name} {count}");
        }
        out
    }

    /// Reads a record, or gives the line that is none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut counts = Self { tools: String::new(), figures: Vec::new() };
        for line in text.lines().filter(|line| *line != MARK) {
            if let Some(tools) = line.strip_prefix("# ") {
                tools.clone_into(&mut counts.tools);
                continue;
            }
            let parsed = line.split_once(' ').and_then(|(name, count)| Some((name, count.parse().ok()?)));
            let (name, count) = parsed.ok_or_else(|| line.to_owned())?;
            counts.figures.push((name.to_owned(), count));
        }
        Ok(counts)
    }

    /// Compares with what was recorded, a line each.
    pub(crate) fn compare(&self, recorded: &Self) -> Vec<Verdict> {
        let known = |name: &str| recorded.figures.iter().find(|(of, _)| of == name).map(|(_, count)| *count);
        let verdict = |(name, count): &(String, u64)| {
            let Some(before) = known(name) else {
                return Verdict { line: format!("{name}: {count}, not recorded"), grown: false, stale: true };
            };
            let tolerated = before * TOLERANCE_PERCENT / 100;
            let (grown, shrunk) = (before + tolerated < *count, *count + tolerated < before);
            #[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
            let percent = (*count as f64 / before as f64 - 1.0) * 100.0;
            let word = if grown { ": GROWN" } else { "" };
            let line = format!("{name}: {count}, recorded {before} ({percent:+.2} %){word}");
            Verdict { line, grown, stale: shrunk }
        };
        self.figures.iter().map(verdict).collect()
    }
}

/// What callgrind says that it collected: `==12== Collected : 3456`.
pub(crate) fn collected(said: &str) -> Option<u64> {
    let line = said.lines().rev().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(figures: &[(&str, u64)]) -> Counts {
        let figures = figures.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Counts { tools: "rustc 1, valgrind 3".to_owned(), figures }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let written = counts(&[("parse", 1234), ("deliver", 56)]);
        assert_eq!(Counts::parse(&written.to_text()), Ok(written));
        assert_eq!(Counts::parse("parse many\n"), Err("parse many".to_owned()));
    }

    #[test]
    fn what_grows_by_more_than_the_tolerance_fails() {
        let recorded = counts(&[("same", 1000), ("little", 1000), ("much", 1000), ("less", 1000)]);
        let now = counts(&[("same", 1000), ("little", 1020), ("much", 1021), ("less", 900), ("new", 1)]);
        let verdicts = now.compare(&recorded);
        let seen: Vec<_> = verdicts.iter().map(|verdict| (verdict.grown, verdict.stale)).collect();
        assert_eq!(seen, [(false, false), (false, false), (true, false), (false, true), (false, true)]);
        assert_eq!(verdicts[2].line, "much: 1021, recorded 1000 (+2.10 %): GROWN");
    }

    #[test]
    fn callgrind_says_what_it_collected() {
        let said = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n==7== I   refs:      123,456\n";
        assert_eq!(collected(said), Some(123_456));
        assert_eq!(collected("valgrind: no such file"), None);
    }
}
