//! Settings from a TOML file, with the line and column of every value.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use tidings_core::config::ConfigFault;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Fault;

/// A file as JSON, and where in it each value stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub(super) json: Value,
    name: String,
    /// By path, as in `events.types[0].name`: line and column from 1.
    places: BTreeMap<String, (usize, usize)>,
}

impl Document {
    /// Reads the file at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, Vec<Fault>> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let fault = ConfigFault::new(&name, &"", format!("cannot be read: {error}"));
            vec![Fault { place: name.clone(), fault }]
        })?;
        Self::parse(&name, &text)
    }

    /// Reads the text of a file; every error of syntax is a fault.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let fault = |error: &toml::de::Error| {
                let (line, column) = position(text, error.span().map_or(0, |span| span.start));
                Fault {
                    place: format!("{name}:{line}:{column}"),
                    fault: ConfigFault::new("TOML", &"", error.message()),
                }
            };
            return Err(errors.iter().map(fault).collect());
        }
        let mut document = Self { json: Value::Null, name: name.to_owned(), places: BTreeMap::new() };
        document.json = document.table(text, "", table.get_ref());
        Ok(document)
    }

    /// The place of what stands at `path`, or of the nearest thing around it.
    pub(super) fn place(&self, path: &str) -> String {
        let mut around = path;
        loop {
            if let Some((line, column)) = self.places.get(around) {
                return format!("{}:{line}:{column}", self.name);
            }
            match around.rfind(['.', '[']) {
                Some(end) => around = &around[..end],
                None => return self.name.clone(),
            }
        }
    }

    fn table(&mut self, text: &str, path: &str, table: &DeTable<'_>) -> Value {
        let mut object = Map::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.places.insert(path.clone(), position(text, key.span().start));
            object.insert(name.to_owned(), self.value(text, &path, value));
        }
        Value::Object(object)
    }

    fn value(&mut self, text: &str, path: &str, value: &Spanned<DeValue<'_>>) -> Value {
        match value.get_ref() {
            DeValue::String(string) => Value::String(string.to_string()),
            DeValue::Integer(integer) => {
                let digits = integer.as_str();
                let parsed = i128::from_str_radix(digits, integer.radix()).ok();
                let number = parsed.and_then(serde_json::Number::from_i128);
                number.map_or_else(|| Value::String(digits.to_owned()), Value::Number)
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                number.map_or_else(|| Value::String(float.as_str().to_owned()), Value::Number)
            }
            DeValue::Boolean(boolean) => Value::Bool(*boolean),
            DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
            DeValue::Array(elements) => {
                let mut array = Vec::new();
                for (index, element) in elements.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.places.insert(path.clone(), position(text, element.span().start));
                    array.push(self.value(text, &path, element));
                }
                Value::Array(array)
            }
            DeValue::Table(table) => self.table(text, path, table),
        }
    }
}

/// Line and column, from 1, of the byte at `offset`.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
