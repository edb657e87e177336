//! Which browser origins may connect (RFC 6454): scheme, host and port, compared exactly.
//!
//! `null` is what sandboxes and redirects send; it names nobody and is never allowed, by no list.

use std::net::Ipv6Addr;

use super::settings::SettingsFault;

/// The origins that may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Box<[Rule]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// `*`
    Any,
    Exact(Origin),
    /// `https://*.example.com`: every host below `example.com`, not itself.
    Below(Origin),
}

/// Scheme and host in lower case; the port is the scheme's own where none is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: Box<str>,
    host: Box<str>,
    port: Option<u16>,
}

impl Origins {
    /// Reads a list of origins as `https://app.example.com` or `http://localhost:3000`. A wildcard must
    /// be asked for: `*` is every origin, `https://*.example.com` every host below `example.com`. An empty
    /// list allows the server's own host only.
    ///
    /// # Errors
    /// Every entry that is not an origin, by its index: `[0]`.
    pub fn new(list: &[String]) -> Result<Self, Vec<SettingsFault>> {
        let (mut rules, mut faults) = (Vec::new(), Vec::new());
        for (index, text) in list.iter().enumerate() {
            match Rule::parse(text) {
                Some(rule) => rules.push(rule),
                None => faults.push(SettingsFault {
                    key: format!("[{index}]"),
                    message: format!(
                        "{text:?} is not an origin as `https://example.com`, `https://*.example.com` or `*`"
                    ),
                }),
            }
        }
        if faults.is_empty() { Ok(Self(rules.into())) } else { Err(faults) }
    }

    /// Whether a request with this `Origin` may connect. `host` is its `Host`. `secure` says whether it
    /// came over TLS; unknown where something before the server may have ended it, then the origin's own
    /// scheme is taken. Both matter only for an empty list.
    #[must_use]
    pub fn allows(&self, origin: &str, host: Option<&str>, secure: Option<bool>) -> bool {
        let Some(origin) = Origin::parse(origin) else { return false };
        if self.0.is_empty() {
            return host.is_some_and(|host| origin.is_own(host, secure));
        }
        self.0.iter().any(|rule| rule.allows(&origin))
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let Some((scheme, below)) = text.split_once("://*.") else {
            return Origin::parse(text).map(Self::Exact);
        };
        let parent = Origin::parse(&format!("{scheme}://{below}"))?;
        (!parent.host.starts_with('[')).then_some(Self::Below(parent))
    }

    fn allows(&self, origin: &Origin) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(allowed) => allowed == origin,
            Self::Below(parent) => {
                let below = origin.host.strip_suffix(&*parent.host).and_then(|rest| rest.strip_suffix('.'));
                parent.scheme == origin.scheme
                    && parent.port == origin.port
                    && below.is_some_and(|labels| labels.split('.').all(|label| !label.is_empty()))
            }
        }
    }
}

impl Origin {
    /// RFC 6454 §6.2: scheme, `://`, host, and a port where it is not the scheme's own. Nothing else.
    fn parse(text: &str) -> Option<Self> {
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

    fn is_own(&self, host: &str, secure: Option<bool>) -> bool {
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
    use proptest::prelude::*;

    use super::*;

    fn origins(list: &[&str]) -> Origins {
        Origins::new(&list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn scheme_host_and_port_are_compared_exactly() {
        let list = origins(&["https://app.example.com", "http://localhost:3000", "http://[::1]:8080"]);
        for allowed in [
            "https://app.example.com",
            "https://app.example.com:443",
            "HTTPS://App.Example.com",
            "http://localhost:3000",
            "http://[::1]:8080",
            "http://[0:0::1]:8080",
        ] {
            assert!(list.allows(allowed, None, None), "{allowed}");
        }
        for refused in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.example",
            "https://evil-app.example.com",
            "https://x.app.example.com",
            "https://app.example.com.",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://user@app.example.com",
            "https://app.example.com@evil.example",
            "https://app.example.com https://evil.example",
            "https://app.example.com:",
            "https://app.example.com:0443",
            "https://app.example.com:+443",
            "https://app.example.com:443:443",
            "https://app.example.com:65979",
            "https://app.example.com#",
            "https://app.example.com\\@evil.example",
            "app.example.com",
            "//app.example.com",
            "http://localhost",
            "http://localhost:30000",
            "https://",
            "",
        ] {
            assert!(!list.allows(refused, Some("app.example.com"), None), "{refused}");
        }
    }

    #[test]
    fn null_is_never_allowed() {
        for list in [origins(&[]), origins(&["*"]), origins(&["https://example.com"])] {
            assert!(!list.allows("null", Some("null"), None));
        }
        assert!(Origins::new(&["null".to_owned()]).is_err());
    }

    #[test]
    fn an_empty_list_admits_the_servers_own_host_only() {
        let own = |origin, host| origins(&[]).allows(origin, Some(host), None);
        assert!(own("https://example.com", "example.com"));
        assert!(own("http://example.com", "example.com"));
        assert!(own("http://example.com", "example.com:80"));
        assert!(own("https://example.com", "Example.com:443"));
        assert!(own("http://localhost:4000", "localhost:4000"));
        assert!(own("http://[::1]:4000", "[::1]:4000"));
        assert!(!own("http://example.com", "example.com:443"));
        assert!(!own("https://example.com", "example.com:80"));
        assert!(!own("http://localhost:3000", "localhost:4000"));
        assert!(!own("http://localhost:4000", "localhost"));
        assert!(!own("https://evil.example", "example.com"));
        assert!(!own("ftp://example.com", "example.com"));
        assert!(!own("https://example.com", "example.com/"));
        assert!(!own("https://example.com", ""));
        assert!(!origins(&[]).allows("https://example.com", None, None));
    }

    #[test]
    fn where_tls_is_known_the_own_scheme_is_compared_too() {
        let own = |origin, secure| origins(&[]).allows(origin, Some("example.com"), Some(secure));
        assert!(own("https://example.com", true));
        assert!(own("http://example.com", false));
        assert!(!own("http://example.com", true));
        assert!(!own("https://example.com", false));
    }

    #[test]
    fn a_list_stands_for_itself_and_does_not_add_the_own_host() {
        assert!(!origins(&["https://example.com"]).allows(
            "http://localhost:4000",
            Some("localhost:4000"),
            None
        ));
    }

    #[test]
    fn a_wildcard_must_be_asked_for() {
        assert!(origins(&["*"]).allows("https://anything.example:1", None, None));
        let below = origins(&["https://*.example.com:8443"]);
        assert!(below.allows("https://a.example.com:8443", None, None));
        assert!(below.allows("https://a.b.example.com:8443", None, None));
        for refused in [
            "https://example.com:8443",
            "https://.example.com:8443",
            "https://a..example.com:8443",
            "https://evilexample.com:8443",
            "https://a.example.com",
            "http://a.example.com:8443",
            "https://a.example.com.evil.example:8443",
        ] {
            assert!(!below.allows(refused, None, None), "{refused}");
        }
    }

    #[test]
    fn what_is_no_origin_is_a_fault_with_its_index() {
        let list = [
            "https://ok.example",
            "example.com",
            "https://*",
            "https://a.*.example",
            "*.example.com",
            "https://x/",
        ];
        let faults = Origins::new(&list.map(str::to_owned)).unwrap_err();
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["[1]", "[2]", "[3]", "[4]", "[5]"]);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_only_a_wildcard_admits_strangers(origin in "\\PC{0,40}", host in "\\PC{0,20}") {
            let list = origins(&["https://app.example.com", "https://*.example.org"]);
            if list.allows(&origin, Some(&host), None) {
                let origin = origin.to_ascii_lowercase();
                prop_assert!(origin.starts_with("https://"));
                prop_assert!(origin.contains("app.example.com") || origin.contains(".example.org"));
            }
            let _ = origins(&[]).allows(&origin, Some(&host), None);
        }
    }
}
