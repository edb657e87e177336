//! The repository's own files, as the tests of its rules read them.
#![allow(dead_code, reason = "each test binary takes its part")]
#![allow(clippy::disallowed_methods, reason = "these tests read the sources that they judge")]

use std::path::Path;

/// One file of the repository.
pub(crate) struct Source {
    /// Its path from the root, with `/`.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

impl Source {
    /// Whether all of it is tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// What stands before the tests at its end: nothing in a file of tests.
    pub(crate) fn before_tests(&self) -> &str {
        if self.is_test() {
            return "";
        }
        let mut begin = 0;
        while let Some(found) = self.text[begin..].find("\n#[cfg(test)]\n") {
            let at = begin + found + 1;
            let module = self.text[at..].lines().find(|line| !line.starts_with("#["));
            if module.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{')) {
                return &self.text[..at];
            }
            begin = at;
        }
        &self.text
    }

    /// The lines before the tests with their numbers, without comments.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = (1..).zip(self.before_tests().lines());
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the core is a folder of the repository")
}

/// All text files whose names end in one of `endings`, in the order of their paths.
pub(crate) fn sources(endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = folder.read_dir().expect("a folder of the repository can be listed");
        for path in entries.map(|entry| entry.expect("an entry can be read").path()) {
            if path.is_dir() {
                if !is_made(&path) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                found.push(read(&path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// All Rust files under `folder`, which there must be.
pub(crate) fn rust(folder: &str) -> Vec<Source> {
    let mut found = sources(&[".rs"]);
    found.retain(|source| source.path.starts_with(folder));
    assert!(!found.is_empty(), "no sources in {folder:?}");
    found
}

/// All files of the npm package that people wrote in TypeScript or JavaScript.
pub(crate) fn typescript() -> Vec<Source> {
    let mut found = sources(&[".ts", ".tsx", ".js"]);
    found.retain(|source| source.path.starts_with("client/") && !source.path.contains("/generated/"));
    assert!(!found.is_empty(), "no sources in client/");
    found
}

/// One file that must be there.
pub(crate) fn source(path: &str) -> Source {
    read(&root().join(path))
}

fn read(path: &Path) -> Source {
    let text = std::fs::read_to_string(path).expect("a file of the repository is text and can be read");
    let parts = path.strip_prefix(root()).expect("only the repository is read").components();
    let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
    Source { path: parts.join("/"), text }
}

/// Whether a folder holds what tools have made, and not what people wrote.
fn is_made(path: &Path) -> bool {
    let names = ["node_modules", ".git", "target", "fuzz/corpus", "dist"];
    let by_name = names.iter().any(|name| path.ends_with(name));
    by_name || path.join("CACHEDIR.TAG").exists()
}

/// Fails with all `faults`, one a line, unless there are none.
#[track_caller]
pub(crate) fn none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}\n  {}", faults.join("\n  "));
}
