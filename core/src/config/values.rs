//! The types of settings, and how each is read from JSON: every element of a list or map by itself, so that
//! all faults are found at once and each is named by its own path.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use thiserror::Error;

use super::keys::{Bounds, ConfigFault};
use crate::event::Priority;

/// Of which form a value is: how a flag or an environment variable is turned into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer,
    /// A text.
    Text,
    /// A list whose elements may be given as texts.
    List,
    /// A table, or a list of tables.
    Structured,
}

/// A type that can be the value of a key.
pub trait Setting: DeserializeOwned + Serialize {
    /// The form of its values.
    const KIND: Kind;
    /// Whether its values must never be shown.
    const SECRET: bool = false;

    /// Reads a value, or adds to `faults` why not.
    fn read(json: &Value, _: Bounds, path: &str, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        Self::deserialize(json)
            .map_err(|error| faults.push(fault_of::<Self>(path, json, error.to_string())))
            .ok()
    }

    /// Adds to `faults` what is wrong with a value of the right type.
    fn check(&self, _: Bounds, _path: &str, _faults: &mut Vec<ConfigFault>) {}
}

fn fault_of<T: Setting>(path: &str, json: &Value, allowed: String) -> ConfigFault {
    if T::SECRET { ConfigFault::hidden(path, allowed) } else { ConfigFault::new(path, json, allowed) }
}

macro_rules! integers {
    ($($ty:ty)*) => { $(
        impl Setting for $ty {
            const KIND: Kind = Kind::Integer;

            fn read(json: &Value, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) -> Option<Self> {
                let read = json.as_u64().and_then(|value| Self::try_from(value).ok());
                if read.is_none() {
                    faults.push(ConfigFault::new(path, json, bounds.to_string()));
                }
                read
            }

            fn check(&self, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
                if !u64::try_from(*self).is_ok_and(|value| bounds.contain(value)) {
                    faults.push(ConfigFault::new(path, self, bounds.to_string()));
                }
            }
        }
    )* };
}

integers!(u32 u64 usize);

impl Setting for bool {
    const KIND: Kind = Kind::Bool;

    fn read(json: &Value, _: Bounds, path: &str, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        let read = json.as_bool();
        if read.is_none() {
            faults.push(ConfigFault::new(path, json, "true or false"));
        }
        read
    }
}

impl Setting for String {
    const KIND: Kind = Kind::Text;

    fn read(json: &Value, _: Bounds, path: &str, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        let read = json.as_str();
        if read.is_none() {
            faults.push(ConfigFault::new(path, json, "a text"));
        }
        read.map(str::to_owned)
    }

    fn check(&self, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
        if bounds != Bounds::NONE && !bounds.contain(self.len() as u64) {
            faults.push(ConfigFault::new(path, self, format!("a text of {bounds}")));
        }
    }
}

impl Setting for Priority {
    const KIND: Kind = Kind::Text;

    fn read(json: &Value, _: Bounds, path: &str, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        let read = json.as_str().and_then(Self::from_name);
        if read.is_none() {
            faults.push(ConfigFault::new(path, json, "critical, high, normal or low"));
        }
        read
    }
}

impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;
    const SECRET: bool = T::SECRET;

    fn read(json: &Value, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        if json.is_null() { Some(None) } else { T::read(json, bounds, path, faults).map(Some) }
    }

    fn check(&self, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
        if let Some(value) = self {
            value.check(bounds, path, faults);
        }
    }
}

impl<T: Setting> Setting for Vec<T> {
    const KIND: Kind = match T::KIND {
        Kind::Text => Kind::List,
        _ => Kind::Structured,
    };
    const SECRET: bool = T::SECRET;

    fn read(json: &Value, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        let Some(elements) = json.as_array() else {
            faults.push(fault_of::<Self>(path, json, "a list".to_owned()));
            return None;
        };
        let read: Vec<T> = (0..)
            .zip(elements)
            .filter_map(|(index, element): (usize, _)| {
                T::read(element, bounds, &format!("{path}[{index}]"), faults)
            })
            .collect();
        (read.len() == elements.len()).then_some(read)
    }

    fn check(&self, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
        for (index, element) in self.iter().enumerate() {
            element.check(bounds, &format!("{path}[{index}]"), faults);
        }
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    const KIND: Kind = Kind::Structured;
    const SECRET: bool = T::SECRET;

    fn read(json: &Value, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        let Some(entries) = json.as_object() else {
            faults.push(fault_of::<Self>(path, json, "a table".to_owned()));
            return None;
        };
        let read: Self = entries
            .iter()
            .filter_map(|(name, value)| {
                Some((name.clone(), T::read(value, bounds, &format!("{path}.{name}"), faults)?))
            })
            .collect();
        (read.len() == entries.len()).then_some(read)
    }

    fn check(&self, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
        for (name, value) in self {
            value.check(bounds, &format!("{path}.{name}"), faults);
        }
    }
}

impl Setting for Map<String, Value> {
    const KIND: Kind = Kind::Structured;
}

/// A text that is never shown: its `Debug` and its JSON are `(hidden)`. [`Secret::expose`] gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// What stands in place of the text.
    pub const HIDDEN: &str = "(hidden)";

    /// Hides `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself, for the code that signs or compares.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(Self::HIDDEN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // serde's own message would quote the value.
        match Value::deserialize(from)? {
            Value::String(text) => Ok(Self(text.into())),
            _ => Err(serde::de::Error::custom("a text in quotes")),
        }
    }
}

impl Setting for Secret {
    const KIND: Kind = Kind::Text;
    const SECRET: bool = true;

    fn check(&self, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
        if bounds != Bounds::NONE && !bounds.contain(self.0.len() as u64) {
            faults.push(ConfigFault::hidden(path, format!("{bounds} (it has {})", self.0.len())));
        }
    }
}

/// A text is not of the form that its setting asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct FormError(pub &'static str);

/// Makes a type with `FromStr` and `Display` a setting, given as that text.
#[macro_export]
macro_rules! text_setting {
    ($($ty:ty)*) => { $(
        impl<'de> ::serde::Deserialize<'de> for $ty {
            fn deserialize<D: ::serde::Deserializer<'de>>(from: D) -> ::core::result::Result<Self, D::Error> {
                let text = <::std::string::String as ::serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }

        impl ::serde::Serialize for $ty {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> ::core::result::Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl $crate::config::Setting for $ty {
            const KIND: $crate::config::Kind = $crate::config::Kind::Text;

            fn read(
                json: &::serde_json::Value,
                _: $crate::config::Bounds,
                path: &str,
                faults: &mut ::std::vec::Vec<$crate::config::ConfigFault>,
            ) -> ::core::option::Option<Self> {
                let read = match json.as_str() {
                    Some(text) => text.parse().map_err(|form: $crate::config::FormError| form.0),
                    None => Err("a text in quotes"),
                };
                read.map_err(|allowed| faults.push($crate::config::ConfigFault::new(path, json, allowed))).ok()
            }
        }
    )* };
}

/// A range of addresses, as in `10.0.0.0/8` or `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    base: IpAddr,
    prefix: u8,
}

impl AddressRange {
    /// Whether `address` lies in the range; an IPv4 address in IPv6 form is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for AddressRange {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        const FORM: FormError = FormError("an IP address, or a range as in `10.0.0.0/8`");
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix.parse::<u8>().map_err(|_| FORM)?)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| FORM)?;
        let longest = if base.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        if longest < prefix {
            return Err(FORM);
        }
        Ok(match base {
            // Addresses are compared in their own form.
            IpAddr::V6(mapped) if 96 <= prefix && base.to_canonical().is_ipv4() => {
                Self { base: mapped.to_canonical(), prefix: prefix - 96 }
            }
            base => Self { base, prefix },
        })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = if self.base.is_ipv4() { 32 } else { 128 };
        if self.prefix == longest { self.base.fmt(f) } else { write!(f, "{}/{}", self.base, self.prefix) }
    }
}

text_setting!(AddressRange);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_the_addresses_of_its_prefix() {
        let range = |text: &str| text.parse::<AddressRange>();
        let holds = |text: &str, address: &str| range(text).unwrap().contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(holds("::ffff:10.1.2.3", "10.1.2.3") && holds("::ffff:10.0.0.0/104", "::ffff:10.1.2.3"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "::1") && holds("fd00::/8", "fd12::1") && !holds("::1", "::2"));
        assert!(range("10.0.0.0/33").is_err() && range("x").is_err() && range("10.0.0.0/").is_err());
    }

    #[test]
    fn a_secret_shows_itself_nowhere() {
        let secret = Secret::new("hush-hush");
        assert_eq!(format!("{secret:?}"), "(hidden)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"(hidden)\"");
        let mut faults = Vec::new();
        assert_eq!(
            Vec::<Secret>::read(&serde_json::json!(["ok", 4711]), Bounds::NONE, "k", &mut faults),
            None
        );
        assert_eq!(faults[0].key, "k[1]");
        assert!(!format!("{faults:?}").contains("4711"));
    }
}
