//! The table of settings in the README, from the same table that reads them.

use std::fmt::Write;

use serde_json::Value;
use tidings_core::config::{Bounds, Key, Kind};

use crate::settings::{all_keys, env_name};

/// The table as Markdown.
pub(super) fn markdown() -> String {
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
    const BEGIN: &str = "<!-- generated: configuration -->\n";
    const END: &str = "<!-- end of generated: configuration -->";

    /// `UPDATE_README=1 cargo test -p tidings-mio readme` writes it anew.
    #[test]
    fn the_readme_has_the_table_that_the_code_has() {
        let readme = std::fs::read_to_string(README).unwrap();
        let (before, rest) = readme.split_once(BEGIN).expect("README.md has the marker of the table");
        let (_, after) = rest.split_once(END).expect("README.md has the marker behind the table");
        let fresh = format!("{before}{BEGIN}{}\n{END}{after}", markdown());
        if std::env::var_os("UPDATE_README").is_some() {
            std::fs::write(README, &fresh).unwrap();
        }
        let current = std::fs::read_to_string(README).unwrap();
        assert!(current == fresh, "README.md is stale; run UPDATE_README=1 cargo test -p tidings-mio readme");
    }
}
