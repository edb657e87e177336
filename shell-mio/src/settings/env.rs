//! Settings from the environment: every key has the name `TIDINGS_` and its own in upper case, `__` for the
//! dot. A variable of that form that names no key is a fault, so that a slip of the pen is seen.

use std::collections::BTreeMap;

use serde_json::Value;
use tidings_core::config::{ConfigFault, Key, Kind, nearest};

use super::Fault;
use super::layers::{Entry, Layer, Place, all_keys, find};

/// Short names of what is set most.
const ALIASES: [(&str, &str); 2] =
    [("TIDINGS_JWT_SECRET", "auth.jwt_secret"), ("TIDINGS_API_KEYS", "auth.api_keys")];

/// Variables of the command line that are no settings of the server.
const OTHERS: [&str; 4] = ["TIDINGS_CONFIG", "TIDINGS_URL", "TIDINGS_TOKEN", "TIDINGS_API_KEY"];

/// The port of `listen`, by itself.
pub(super) const PORT: &str = "WEBSOCKET_PORT";

/// The variable of the key `name`: the short one where there is one.
pub(crate) fn env_name(name: &str) -> String {
    ALIASES.iter().find(|(_, key)| *key == name).map_or_else(|| long_name(name), |(short, _)| (*short).into())
}

fn long_name(name: &str) -> String {
    format!("TIDINGS_{}", name.replace('.', "__").to_ascii_uppercase())
}

fn key_of(variable: &str) -> Option<&'static Key> {
    let alias = ALIASES.iter().find(|(short, _)| *short == variable).map(|(_, key)| *key);
    all_keys().find(|key| alias.map_or_else(|| long_name(key.name) == variable, |alias| key.name == alias))
}

/// Reads the layer of the environment.
pub(super) fn read(variables: &BTreeMap<String, String>, faults: &mut Vec<Fault>) -> Layer {
    let mut layer = Layer::default();
    for (variable, text) in variables {
        if !variable.starts_with("TIDINGS_") || OTHERS.contains(&variable.as_str()) || text.is_empty() {
            continue;
        }
        let fault = |fault: ConfigFault| Fault { place: variable.clone(), fault };
        let (key, text) = if let Some(key) = key_of(variable) {
            (key, text.clone())
        } else if let Some(key) = variable.strip_suffix("_FILE").and_then(key_of).filter(|key| key.secret) {
            match std::fs::read_to_string(text) {
                Ok(secret) => (key, secret.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    // What stands there in place of a path may be the secret itself.
                    let allowed = format!("the path of a readable file ({error})");
                    faults.push(fault(ConfigFault::hidden(key.name, allowed)));
                    continue;
                }
            }
        } else {
            faults.push(fault(unknown(variable)));
            continue;
        };
        match value(key, &text) {
            Ok(_) if layer.contains_key(key.name) => {
                faults.push(fault(ConfigFault::new(key.name, &"", "set by two variables")));
            }
            Ok(value) => {
                layer.insert(key.name.to_owned(), Entry { value, place: Place::Named(variable.clone()) });
            }
            Err(wrong) => faults.push(fault(wrong)),
        }
    }
    layer
}

fn unknown(variable: &str) -> ConfigFault {
    let names: Vec<String> = all_keys()
        .flat_map(|key| [long_name(key.name), env_name(key.name)])
        .chain(OTHERS.map(str::to_owned))
        .collect();
    let allowed = nearest(variable, names.iter().map(String::as_str)).map_or_else(
        || "no such setting".to_owned(),
        |name| format!("no such setting; did you mean {name}?"),
    );
    ConfigFault::new(variable, &"", allowed)
}

/// Adds the port of `WEBSOCKET_PORT` to `listen` as the layers below have it.
pub(super) fn add_port(
    variables: &BTreeMap<String, String>,
    below: &Layer,
    layer: &mut Layer,
    faults: &mut Vec<Fault>,
) {
    let Some(text) = variables.get(PORT).filter(|text| !text.is_empty()) else { return };
    if layer.contains_key("listen") {
        return;
    }
    let Ok(port) = text.parse::<u16>() else {
        let fault = ConfigFault::new("listen", text, "a port: 0 to 65535");
        faults.push(Fault { place: PORT.to_owned(), fault });
        return;
    };
    let below = below.get("listen").and_then(|entry| entry.value.as_str());
    let mut address =
        below.and_then(|text| text.parse::<super::Listen>().ok()).unwrap_or(super::Listen::DEFAULT).0;
    address.set_port(port);
    let value = Value::String(address.to_string());
    layer.insert("listen".to_owned(), Entry { value, place: Place::Named(PORT.to_owned()) });
}

/// Reads the layer of the flags `--set key=value` and of those that stand for a key.
pub(super) fn read_flags(flags: &[(String, String, String)], faults: &mut Vec<Fault>) -> Layer {
    let mut layer = Layer::default();
    for (flag, name, text) in flags {
        let read = match find(name) {
            Some(key) => value(key, text),
            None => Err(ConfigFault::unknown(name, all_keys().map(|key| key.name))),
        };
        match read {
            Ok(value) => {
                layer.insert(name.clone(), Entry { value, place: Place::Named(flag.clone()) });
            }
            Err(fault) => faults.push(Fault { place: flag.clone(), fault }),
        }
    }
    layer
}

/// A value as JSON from its text: lists by commas or as JSON, tables as JSON.
fn value(key: &Key, text: &str) -> Result<Value, ConfigFault> {
    let json = |what: &str| {
        serde_json::from_str(text).map_err(|error| {
            let allowed = format!("{what} ({error})");
            if key.secret {
                ConfigFault::hidden(key.name, what)
            } else {
                ConfigFault::new(key.name, &text, allowed)
            }
        })
    };
    Ok(match key.kind {
        Kind::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Value::Bool(true),
            "false" | "0" | "no" | "off" => Value::Bool(false),
            _ => Value::String(text.to_owned()),
        },
        Kind::Integer => {
            text.replace('_', "").parse::<u64>().map_or_else(|_| Value::String(text.to_owned()), Value::from)
        }
        Kind::Text => Value::String(text.to_owned()),
        Kind::List if text.trim_start().starts_with('[') => json("a JSON array")?,
        Kind::List => text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect(),
        Kind::Structured => json("JSON")?,
    })
}
