//! Turns what was measured into a page and plots: `tidings-results LINES FOLDER` reads lines of JSON, and with
//! `--criterion` the benches of the core, and writes `RESULTS.md` with its pictures beside it, and with `--readme` the
//! table there.

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
    /// The file of which the table between the marks is written anew.
    #[arg(long)]
    readme: Option<PathBuf>,
}

/// What stands around the table of the README.
const MARKS: [&str; 2] = ["<!-- generated: results -->\n\n", "\n<!-- end of generated: results -->"];

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
    fs::write(args.folder.join("RESULTS.md"), page::page(&results))?;
    let Some(readme) = &args.readme else { return Ok(()) };
    let text = fs::read_to_string(readme)?;
    let new = put(&text, &page::short(&results));
    fs::write(readme, new.ok_or_else(|| io::Error::other(format!("{}: no marks", readme.display())))?)
}

/// The text with a table between the marks; nothing where it has none.
fn put(text: &str, table: &str) -> Option<String> {
    let [begin, end] = MARKS;
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let [begin, end] = MARKS;
        let text = format!("above\n{begin}old\n{end}\nbelow\n");
        assert_eq!(put(&text, "| new |\n").unwrap(), format!("above\n{begin}| new |\n{end}\nbelow\n"));
        assert_eq!(put("no marks\n", "| new |\n"), None);
    }

    #[test]
    fn the_readme_says_what_the_results_say() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let (readme, results) = (read("../README.md"), read("RESULTS.md"));
        let (_, rest) = readme.split_once(MARKS[0]).unwrap();
        let (table, _) = rest.split_once(MARKS[1]).unwrap();
        assert!(table.contains("| **Tidings** |"), "{table}");
        assert!(results.contains(table), "README.md and benches/RESULTS.md: `make bench-peers` writes both");
    }
}
