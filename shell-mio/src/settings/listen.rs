//! Where to listen: an address and a port, or a port alone.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use tidings_core::config::FormError;

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
        const FORM: FormError = FormError("an address as in `127.0.0.1:8080`, `[::]:8080` or `8080`");
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

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

tidings_core::text_setting!(Listen);

#[cfg(test)]
mod tests {
    use super::*;

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
