//! Merging: each source gives a layer of values by key, the higher layer wins, and what comes out is checked
//! and read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use tidings_core::config::{Config, ConfigFault, Key, Secret, flatten};
use tidings_core::hub;

use super::file::Document;
use super::{Fault, Server, Settings, env};

/// A value and where it was given.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the file; the document knows line and column.
    File,
    /// By this variable or flag.
    Named(String),
}

impl Place {
    fn of(&self, document: &Document, path: &str) -> String {
        match self {
            Self::File => document.place(path),
            Self::Named(name) => name.clone(),
        }
    }
}

/// The values of one source by dotted key.
pub(super) type Layer = BTreeMap<String, Entry>;

/// The keys of the core and of the shell.
pub(crate) fn all_keys() -> impl Iterator<Item = &'static Key> {
    Server::KEYS.iter().chain(Config::KEYS)
}

pub(super) fn find(name: &str) -> Option<&'static Key> {
    all_keys().find(|key| key.name == name)
}

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The TOML file, where one is named.
    pub(crate) file: Option<PathBuf>,
    /// The environment.
    pub(crate) variables: BTreeMap<String, String>,
    /// Flags: how each is written, its key, its value.
    pub(crate) flags: Vec<(String, String, String)>,
}

impl Sources {
    /// The process's own environment, and the file that `config` or `TIDINGS_CONFIG` names.
    pub(crate) fn of_process(config: Option<PathBuf>) -> Self {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        let variables: BTreeMap<String, String> =
            std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        let named = variables.get("TIDINGS_CONFIG").filter(|path| !path.is_empty());
        Self { file: config.or_else(|| named.map(PathBuf::from)), variables, flags: Vec::new() }
    }

    /// Adds a flag that stands for the key `name`, where it was given.
    pub(crate) fn flag(&mut self, flag: &str, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.flags.push((flag.to_owned(), name.to_owned(), value.to_owned()));
        }
    }
}

/// Where each value was given.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    by_key: BTreeMap<String, Place>,
    document: Document,
}

impl Places {
    /// The place of the value at `path`, down to line and column where it is the file's.
    pub(super) fn of(&self, path: &str) -> String {
        let mut around = path;
        loop {
            if let Some(place) = self.by_key.get(around) {
                return place.of(&self.document, path);
            }
            match around.rfind(['.', '[']) {
                Some(end) => around = &around[..end],
                None => return "default".to_owned(),
            }
        }
    }

    /// Whether an address was given for `key`; `WEBSOCKET_PORT` chooses none.
    pub(super) fn given(&self, key: &str) -> bool {
        self.by_key.get(key).is_some_and(|place| *place != Place::Named(env::PORT.to_owned()))
    }

    /// What a path that stands at `key` is relative to.
    fn folder<'a>(&self, key: &str, file: Option<&'a Path>) -> &'a Path {
        let of_file = self.by_key.get(key) == Some(&Place::File);
        file.filter(|_| of_file).and_then(Path::parent).unwrap_or(Path::new(""))
    }
}

/// Merges, checks and reads all settings.
///
/// # Errors
/// Every fault of every source.
pub(crate) fn load(sources: &Sources) -> Result<Settings, Vec<Fault>> {
    let document = sources.file.as_deref().map(Document::read).transpose()?.unwrap_or_default();
    let mut faults = Vec::new();
    let file = file_layer(&document, &mut faults);
    let mut variables = env::read(&sources.variables, &mut faults);
    env::add_port(&sources.variables, &file, &mut variables, &mut faults);
    let flags = env::read_flags(&sources.flags, &mut faults);

    let mut merged = Layer::default();
    let mut places = Places { document, ..Places::default() };
    for mut layer in [file, variables, flags] {
        places.by_key.extend(layer.iter().map(|(key, entry)| (key.clone(), entry.place.clone())));
        let folder = places.folder("events.types", sources.file.as_deref());
        let mut found = read_schemas(&mut layer, folder);
        for (name, entry) in &layer {
            if let Some(key) = find(name) {
                key.check(&entry.value, &mut found);
            }
        }
        faults.extend(found.into_iter().map(|fault| Fault { place: places.of(&fault.key), fault }));
        merged.extend(layer);
    }
    if faults.is_empty() { read(&merged, places, sources.file.as_deref()) } else { Err(faults) }
}

fn file_layer(document: &Document, faults: &mut Vec<Fault>) -> Layer {
    let keys: Vec<Key> = all_keys().copied().collect();
    let mut layer = Layer::default();
    if document.json.is_null() {
        return layer;
    }
    for (name, value) in flatten(&keys, &document.json) {
        if find(&name).is_some() {
            layer.insert(name, Entry { value, place: Place::File });
            continue;
        }
        let section = format!("{name}.");
        let fault = if keys.iter().any(|key| key.name.starts_with(&section)) {
            ConfigFault::new(&name, &"", "a table of settings")
        } else {
            ConfigFault::unknown(&name, keys.iter().map(|key| key.name))
        };
        faults.push(Fault { place: document.place(&name), fault });
    }
    layer
}

/// Puts the schemas of the application's own types in place of the paths that name them.
fn read_schemas(layer: &mut Layer, folder: &Path) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    let Some(types) = layer.get_mut("events.types").and_then(|entry| entry.value.as_array_mut()) else {
        return faults;
    };
    for (index, own) in types.iter_mut().enumerate() {
        let Some(schema) = own.get_mut("schema") else { continue };
        let Some(path) = schema.as_str() else { continue };
        let read = std::fs::read_to_string(folder.join(path)).map_err(|error| error.to_string());
        match read.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string())) {
            Ok(json) => *schema = json,
            Err(error) => {
                let key = format!("events.types[{index}].schema");
                faults.push(ConfigFault::new(&key, &path, format!("a file with a JSON Schema ({error})")));
                *schema = Value::Bool(true);
            }
        }
    }
    faults
}

/// Reads both structs from the merged values, with the keys that stand in files.
fn read(merged: &Layer, places: Places, file: Option<&Path>) -> Result<Settings, Vec<Fault>> {
    let placed = |found: Vec<ConfigFault>| -> Vec<Fault> {
        found.into_iter().map(|fault| Fault { place: places.of(&fault.key), fault }).collect()
    };
    let wrong = |error: &serde_json::Error| vec![ConfigFault::new("settings", &"", error.to_string())];
    let of = |keys: &'static [Key]| {
        let own = merged.iter().filter(|(name, _)| keys.iter().any(|key| key.name == name.as_str()));
        tree(own.map(|(name, entry)| (name.as_str(), &entry.value)))
    };
    let server = Server::deserialize(of(Server::KEYS)).map_err(|error| placed(wrong(&error)))?;
    let mut config = Config::deserialize(of(Config::KEYS)).map_err(|error| placed(wrong(&error)))?;
    let mut faults = Vec::new();
    // The core's keys that hold what a file said, and the keys that named the file.
    let mut from_files = Vec::new();
    let mut text_of = |key: &str, element: &str, path: &Path| {
        let read = std::fs::read_to_string(places.folder(key, file).join(path));
        let unreadable = |error| {
            let path = path.display();
            faults.push(ConfigFault::new(
                &format!("{key}{element}"),
                &path,
                format!("a readable file ({error})"),
            ));
        };
        read.map_err(unreadable).ok()
    };
    for (index, path) in server.auth.public_key_files.iter().enumerate() {
        let element = format!("[{index}]");
        if let Some(text) = text_of("auth.public_key_files", &element, &path.0) {
            let held = format!("auth.public_keys[{}]", config.auth.public_keys.len());
            from_files.push((held, format!("auth.public_key_files{element}")));
            config.auth.public_keys.push(Secret::new(&text));
        }
    }
    if let Some(path) = &server.auth.jwks_file
        && let Some(text) = text_of("auth.jwks_file", "", &path.0)
    {
        from_files.push(("auth.jwks".to_owned(), "auth.jwks_file".to_owned()));
        if config.auth.jwks.replace(Secret::new(&text)).is_some() {
            faults.push(ConfigFault::new("auth.jwks_file", path, ONE_SET));
        }
    }
    if let (Some(url), Some(_)) = (&server.auth.jwks_url, &config.auth.jwks) {
        faults.push(ConfigFault::new("auth.jwks_url", url, ONE_SET));
    }
    for mut fault in hub::check(&config) {
        if let Some((_, named)) = from_files.iter().find(|(held, _)| *held == fault.key) {
            fault.key.clone_from(named);
        }
        faults.push(fault);
    }
    if !faults.is_empty() {
        return Err(placed(faults));
    }
    Ok(Settings { config, server, dev: false, places })
}

const ONE_SET: &str = "one of auth.jwks, auth.jwks_file and auth.jwks_url";

/// The tree of sections from values by dotted key.
fn tree<'a>(values: impl Iterator<Item = (&'a str, &'a Value)>) -> Value {
    let mut root = Map::new();
    for (name, value) in values {
        match name.split_once('.') {
            None => {
                root.insert(name.to_owned(), value.clone());
            }
            Some((section, key)) => {
                let section = root.entry(section).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(section) = section {
                    section.insert(key.to_owned(), value.clone());
                }
            }
        }
    }
    Value::Object(root)
}
