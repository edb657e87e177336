//! The tables in the README: of settings and of metrics, each from the same table that the code reads.

use std::fmt::Write;

use serde_json::Value;
use tidings_core::config::{Bounds, Key, Kind};

use crate::settings::{all_keys, env_name};

/// The table of settings as Markdown.
pub(super) fn settings() -> String {
    let mut keys: Vec<&Key> = all_keys().collect();
    // Sections in the order of their first key, and the keys without a section first.
    let section = |key: &Key| key.name.split_once('.').map_or("", |(section, _)| section);
    let order: Vec<&str> = keys.iter().map(|key| section(key)).collect();
    keys.sort_by_key(|key| {
        let own = section(key);
        (!own.is_empty(), order.iter().position(|known| *known == own))
    });
    let mut text = String::from("\n| key | default | allowed | what |\n|---|---|---|---|\n");
    for key in keys {
        let doc = key.doc.trim().replace('|', "\\|");
        let allowed = allowed(key);
        // Where the rule of the name gives the variable, it needs no words.
        let alias = match env_name(key.name) {
            name if name.contains("__") || !key.name.contains('.') => String::new(),
            name => format!(" Short: `{name}`."),
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {allowed} | {doc}{alias} |",
            key.name,
            default(key).replace('|', "\\|")
        );
    }
    text
}

/// The table of metrics as Markdown.
pub(super) fn metrics() -> String {
    let mut text = String::from("\n| metric | type | labels | what |\n|---|---|---|---|\n");
    for metric in tidings_core::hub::metrics() {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help.replace('|', "\\|"));
        let _ = writeln!(text, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    text
}

fn default(key: &Key) -> String {
    match key.default() {
        Value::Null => String::new(),
        Value::Array(elements) if elements.is_empty() => "none".to_owned(),
        Value::Object(entries) if entries.is_empty() => "none".to_owned(),
        Value::Array(elements) if key.kind == Kind::List => {
            let texts: Vec<String> = elements.iter().map(|element| format!("`{}`", text(element))).collect();
            texts.join(", ")
        }
        other => format!("`{}`", text(&other)),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn allowed(key: &Key) -> String {
    match key.kind {
        Kind::Bool => "true, false".to_owned(),
        _ if key.bounds != Bounds::NONE => key.bounds.to_string(),
        Kind::Integer => "a whole number".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::List => "list".to_owned(),
        Kind::Structured => "table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

    /// `UPDATE_README=1 cargo test -p tidings-mio readme` writes them anew.
    #[test]
    fn the_readme_has_the_tables_that_the_code_has() {
        let mut fresh = std::fs::read_to_string(README).unwrap();
        for (name, table) in [("configuration", settings()), ("metrics", metrics())] {
            let begin = format!("<!-- generated: {name} -->\n");
            let end = format!("<!-- end of generated: {name} -->");
            let (before, rest) = fresh.split_once(&begin).expect("README.md has the marker of the table");
            let (_, after) = rest.split_once(&end).expect("README.md has the marker behind the table");
            fresh = format!("{before}{begin}{table}\n{end}{after}");
        }
        if std::env::var_os("UPDATE_README").is_some() {
            std::fs::write(README, &fresh).unwrap();
        }
        let current = std::fs::read_to_string(README).unwrap();
        assert!(current == fresh, "README.md is stale; run UPDATE_README=1 cargo test -p tidings-mio readme");
    }
}
