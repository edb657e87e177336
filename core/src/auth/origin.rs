//! Which browser origins may connect.

use crate::config::{Origin, SentOrigin};

/// The origins that may connect: those of a list, or the server's own host only where it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Box<[Origin]>);

impl Origins {
    /// The origins of a configuration. A list stands for itself: it does not add the server's own host.
    #[must_use]
    pub fn new(list: &[Origin]) -> Self {
        Self(list.into())
    }

    /// Whether a request with this `Origin` may connect. `host` is its `Host`. `secure` says whether it
    /// came over TLS; unknown where something before the server may have ended it, then the origin's own
    /// scheme is taken. Both matter only for an empty list.
    #[must_use]
    pub fn allows(&self, origin: &str, host: Option<&str>, secure: Option<bool>) -> bool {
        let Some(sent) = SentOrigin::parse(origin) else { return false };
        if self.0.is_empty() {
            return host.is_some_and(|host| sent.is_of_host(host, secure));
        }
        self.0.iter().any(|admitted| admitted.admits(&sent))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origins(list: &[&str]) -> Origins {
        Origins::new(&list.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
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
