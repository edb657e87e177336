//! Request targets (RFC 9112 §3.2) and the authority that `Host` and an absolute target name.

use super::{HttpError, Method};

/// The parts of a request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Set in the absolute form only.
    pub(super) authority: Option<&'a str>,
    /// Begins with `/`, or is `*`; still percent-encoded.
    pub(super) path: &'a str,
    /// What follows the first `?`.
    pub(super) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Reads the target of a request with `method`.
    pub(super) fn parse(method: Method, text: &'a str) -> Result<Self, HttpError> {
        if text == "*" && method == Method::Options {
            return Ok(Self { authority: None, path: text, query: None });
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(HttpError::Target);
        }
        if text.starts_with('/') {
            let (path, query) = split_query(text);
            return Ok(Self { authority: None, path, query });
        }
        let (scheme, rest) = text.split_once("://").ok_or(HttpError::Target)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(HttpError::Target);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (path, query) = split_query(rest);
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { authority: Some(authority), path, query })
    }
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

/// Whether `text` is `uri-host [":" port]` (RFC 3986 §3.2.2) with a host that is not empty.
pub(super) fn is_authority(text: &str) -> bool {
    let (host_valid, rest) = if let Some(literal) = text.strip_prefix('[') {
        let Some((address, rest)) = literal.split_once(']') else { return false };
        (address.parse::<std::net::Ipv6Addr>().is_ok(), rest)
    } else {
        let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
        (is_reg_name(host), rest)
    };
    host_valid && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn is_reg_name(host: &str) -> bool {
    if host.is_empty() {
        return false;
    }
    let mut bytes = host.bytes();
    while let Some(byte) = bytes.next() {
        let valid = match byte {
            b'%' => {
                let mut hex = || bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit());
                hex() && hex()
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !valid {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_absolute_and_asterisk_forms_are_read() {
        let target = |text| Target::parse(Method::Get, text).unwrap();
        assert_eq!(target("/a?b=c?d"), Target { authority: None, path: "/a", query: Some("b=c?d") });
        assert_eq!(target("/"), Target { authority: None, path: "/", query: None });
        let absolute = Target { authority: Some("h:1"), path: "/a", query: Some("") };
        assert_eq!(target("HTTP://h:1/a?"), absolute);
        assert_eq!(target("http://h?x"), Target { authority: Some("h"), path: "/", query: Some("x") });
        assert_eq!(Target::parse(Method::Options, "*").unwrap().path, "*");
        for text in ["*", "a", "h:80", "ftp://h/", "/a#b", "", "/é", "/a\u{7f}"] {
            assert_eq!(Target::parse(Method::Get, text), Err(HttpError::Target), "{text}");
        }
    }

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for text in ["example.com", "EXAMPLE.com:8080", "127.0.0.1:1", "[::1]", "[::1]:65535", "a%20b", "_x"]
        {
            assert!(is_authority(text), "{text}");
        }
        for text in [
            "", ":80", "h:", "h:x", "h:+1", "h:65536", "a b", "u@h", "h/", "[::1", "[zz]", "[::1]x", "h:1:2",
            "%2", "a,\"b", "é",
        ] {
            assert!(!is_authority(text), "{text}");
        }
    }
}
