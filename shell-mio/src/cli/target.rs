//! Which server a command talks to, and who it says it is.

use clap::Args;

use super::Failure;

/// Where `serve` listens by default.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Server and credentials of a command that talks to one.
#[derive(Args, Clone, Debug)]
pub(super) struct TargetArgs {
    /// Address of the server; one with `?token=` is taken as well
    #[arg(long, value_name = "URL", env = "TIDINGS_URL", hide_env_values = true)]
    #[arg(default_value = DEFAULT_URL)]
    url: String,
    /// Token to show
    #[arg(long, value_name = "JWT", env = "TIDINGS_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// A server's address in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Whether the connection is encrypted.
    pub(super) secure: bool,
    /// Host name or address, brackets of IPv6 included.
    pub(super) host: String,
    /// Port.
    pub(super) port: u16,
    /// What stands before `/v1` and `/ws`: empty, or `/prefix`.
    pub(super) prefix: String,
    /// The token to show, where there is one.
    pub(super) token: Option<String>,
}

impl TargetArgs {
    /// The target that the flags and variables name.
    pub(super) fn target(&self) -> Result<Target, Failure> {
        // A variable that is set to nothing counts as absent.
        let url = if self.url.is_empty() { DEFAULT_URL } else { &self.url };
        let mut target = Target::parse(url)
            .map_err(|why| Failure::Usage(format!("--url {}: {why}", without_query(&self.url))))?;
        let given = self.token.clone().filter(|token| !token.is_empty());
        target.token = given.or(target.token);
        Ok(target)
    }
}

/// Refuses a token or key that no header can carry, however often one tries.
pub(super) fn check_credential(text: &str) -> Result<(), Failure> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let why = "the token or key is none: it holds a space, a line end or another character that none has";
    Err(Failure::Usage(why.to_owned()))
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

impl Target {
    /// Reads `http://host:port/prefix`; `https`, `ws` and `wss` go as well, and a token in the query.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        const FORM: &str = "expected an address as in http://127.0.0.1:8080";
        let (scheme, rest) = url.split_once("://").ok_or(FORM)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(FORM),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        if authority.contains('@') {
            return Err("a user in the address is not supported; give --token");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| FORM)?),
            _ => (authority, if secure { 443 } else { 80 }),
        };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        if host.is_empty() || !host.bytes().all(legal) || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(FORM);
        }
        let prefix = path.trim_end_matches('/');
        let prefix = prefix.strip_suffix("/ws").unwrap_or(prefix).trim_end_matches('/').to_owned();
        let token = query.split('&').find_map(|pair| pair.strip_prefix("token=")).map(str::to_owned);
        Ok(Self { secure, host: host.to_owned(), port, prefix, token })
    }

    /// The address of `path`, over HTTP.
    pub(super) fn http(&self, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}{path}", self.authority(), self.prefix)
    }

    /// Host and port as they stand in an address and in `Host`.
    pub(super) fn authority(&self) -> String {
        let own = if self.secure { 443 } else { 80 };
        if self.port == own { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Host without brackets, as it is resolved and stands in certificates.
    pub(super) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Whether the server is on this machine.
    pub(super) fn is_local(&self) -> bool {
        let host = self.bare_host();
        host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_the_server_prints_it() {
        let target = Target::parse("ws://127.0.0.1:8080/ws?token=abc.d").unwrap();
        assert_eq!(target.token.as_deref(), Some("abc.d"));
        assert_eq!(target.http("/v1/events"), "http://127.0.0.1:8080/v1/events");
        assert!(target.is_local());
        let target = Target::parse("https://example.com/live/").unwrap();
        assert_eq!(
            (target.port, target.http("/v1/events").as_str()),
            (443, "https://example.com/live/v1/events")
        );
        let target = Target::parse("wss://[::1]:9/ws").unwrap();
        assert_eq!((target.bare_host(), target.http("/x").as_str()), ("::1", "https://[::1]:9/x"));
        for wrong in ["", "localhost:8080", "ftp://x", "http://", "http://a b", "http://u@h", "http://h:x"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
