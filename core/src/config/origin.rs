//! Origins (RFC 6454): what a browser says of a page, and which of them an operator admits. Scheme, host and
//! port are compared exactly.
//!
//! `null` is what sandboxes and redirects send; it names nobody, so it is neither.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::values::FormError;

/// An origin that is admitted: `scheme://host` or `scheme://host:port`; a wildcard must be asked for, as
/// `https://*.example.com` for every host below `example.com`, or `*` for any origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Rule);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Any,
    Exact(SentOrigin),
    /// Every host below this one, not itself.
    Below(SentOrigin),
}

/// An origin as a browser sends it (RFC 6454 §6.2). Scheme and host are held in lower case; the port is the
/// scheme's own where none is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentOrigin {
    scheme: Box<str>,
    host: Box<str>,
    port: Option<u16>,
}

impl Origin {
    /// Any origin.
    #[must_use]
    pub const fn any() -> Self {
        Self(Rule::Any)
    }

    /// Whether this is `*`.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        matches!(self.0, Rule::Any)
    }

    /// Whether pages of `sent` are admitted by this.
    #[must_use]
    pub fn admits(&self, sent: &SentOrigin) -> bool {
        match &self.0 {
            Rule::Any => true,
            Rule::Exact(admitted) => admitted == sent,
            Rule::Below(parent) => {
                let below = sent.host.strip_suffix(&*parent.host).and_then(|rest| rest.strip_suffix('.'));
                parent.scheme == sent.scheme
                    && parent.port == sent.port
                    && below.is_some_and(|labels| labels.split('.').all(|label| !label.is_empty()))
            }
        }
    }
}

impl FromStr for Origin {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        const FORM: FormError =
            FormError("an origin as in `https://admin.example.com`, `https://*.example.com` or `*`");
        if text == "*" {
            return Ok(Self::any());
        }
        let Some((scheme, below)) = text.split_once("://*.") else {
            return SentOrigin::parse(text).map(|origin| Self(Rule::Exact(origin))).ok_or(FORM);
        };
        let parent = SentOrigin::parse(&format!("{scheme}://{below}")).ok_or(FORM)?;
        // An address has nothing below it.
        if parent.host.starts_with('[') { Err(FORM) } else { Ok(Self(Rule::Below(parent))) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Any => f.write_str("*"),
            Rule::Exact(origin) => origin.write(f, ""),
            Rule::Below(parent) => parent.write(f, "*."),
        }
    }
}

crate::text_setting!(Origin);

impl SentOrigin {
    /// Reads the header `Origin`: scheme, `://`, host, and a port where it is not the scheme's own. Nothing
    /// else; so `null` is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(legal) {
            return None;
        }
        let (host, port) = parse_authority(authority)?;
        let port = port.or_else(|| default_port(&scheme));
        Some(Self { scheme: scheme.into(), host: host.into(), port })
    }

    /// Whether this is the origin of a server that is asked with the header `Host: host`. `secure` says
    /// whether it was asked over TLS; where that is unknown, the scheme of the origin is taken.
    #[must_use]
    pub fn is_of_host(&self, host: &str, secure: Option<bool>) -> bool {
        let tls = match &*self.scheme {
            "https" => true,
            "http" => false,
            _ => return false,
        };
        let Some((own_host, own_port)) = parse_authority(host) else { return false };
        secure.is_none_or(|secure| secure == tls)
            && *own_host == *self.host
            && own_port.or_else(|| default_port(&self.scheme)) == self.port
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, wildcard: &str) -> fmt::Result {
        write!(f, "{}://{wildcard}{}", self.scheme, self.host)?;
        match self.port {
            Some(port) if default_port(&self.scheme) != Some(port) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// A host in lower case, and a port where there is one.
fn parse_authority(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let port = if rest.is_empty() { None } else { Some(parse_port(rest.strip_prefix(':')?)?) };
        return Some((format!("[{address}]"), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (text, None),
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (!host.is_empty() && host.bytes().all(legal)).then(|| (host.to_ascii_lowercase(), port))
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::keys::Bounds;
    use super::super::values::Setting;
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for (given, written) in [
            ("https://Admin.example.com:443", "https://admin.example.com"),
            ("HTTP://localhost:3000", "http://localhost:3000"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
            ("app://shell", "app://shell"),
            ("https://*.Example.com", "https://*.example.com"),
            ("https://*.example.com:8443", "https://*.example.com:8443"),
            ("*", "*"),
        ] {
            let origin: Origin = given.parse().unwrap();
            assert_eq!(origin.to_string(), written);
            assert_eq!(written.parse(), Ok(origin));
        }
    }

    #[test]
    fn what_is_no_origin_is_a_fault_with_its_index() {
        let wrong = [
            "",
            "null",
            "example.com",
            "*.example.com",
            "://a",
            "https://",
            "https://*",
            "https://a.*.example",
            "https://*.[::1]",
            "https://a/b",
            "https://x/",
            "https://a:x",
            "https://a:0443",
            "https://:1",
            "http://::1",
        ];
        let mut faults = Vec::new();
        assert_eq!(Vec::<Origin>::read(&json!(wrong), Bounds::NONE, "origins", &mut faults), None);
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.clone()).collect();
        assert_eq!(keys, (0..wrong.len()).map(|index| format!("origins[{index}]")).collect::<Vec<_>>());
    }
}
