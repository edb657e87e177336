//! Where to listen: an address and a port, or a port alone.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tidings_core::config::{Bounds, ConfigFault, FormError, Kind, Setting};

const FORM: FormError = FormError("an address as in `127.0.0.1:8080`, `[::]:8080` or `8080`");

/// An address and a port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen(pub(crate) SocketAddr);

impl Listen {
    /// Every IPv4 address, port 8080.
    pub(crate) const DEFAULT: Self = Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080));

    /// The same port, reachable from this machine only.
    pub(crate) const fn on_loopback(self) -> Self {
        Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.0.port()))
    }
}

impl FromStr for Listen {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port: u16 = port.parse().map_err(|_| FORM)?;
        match host {
            "" => Ok(Self(SocketAddr::new(Self::DEFAULT.0.ip(), port))),
            "localhost" => Ok(Self(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))),
            _ => Err(FORM),
        }
    }
}

impl Listen {
    /// As settings have it: as text, or the port as a number.
    fn of(json: &Value) -> Result<Self, FormError> {
        match json {
            Value::String(text) => text.parse(),
            Value::Number(port) => port.to_string().parse(),
            _ => Err(FORM),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::of(&Value::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Setting for Listen {
    const KIND: Kind = Kind::Text;

    fn read(json: &Value, _: Bounds, path: &str, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        Self::of(json).map_err(|form| faults.push(ConfigFault::new(path, json, form.0))).ok()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_be_a_number() {
        assert_eq!(Listen::of(&Value::from(9000)).unwrap().to_string(), "0.0.0.0:9000");
        let none = [Value::from(70_000), Value::from(-1), Value::from(80.5), Value::from(true)];
        assert!(none.iter().all(|json| Listen::of(json).is_err()));
    }

    #[test]
    fn a_port_alone_means_every_address() {
        let listen = |text: &str| text.parse::<Listen>().map(|listen| listen.to_string());
        assert_eq!(listen("9000").unwrap(), "0.0.0.0:9000");
        assert_eq!(listen(":9000").unwrap(), "0.0.0.0:9000");
        assert_eq!(listen("localhost:9000").unwrap(), "127.0.0.1:9000");
        assert_eq!(listen("[::1]:9000").unwrap(), "[::1]:9000");
        for wrong in ["", "example.com:80", "1.2.3.4", "70000", "::1", "127.0.0.1:x"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }
}
