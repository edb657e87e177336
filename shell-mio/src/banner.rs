//! What the server says when it listens: for an operator one line, for a developer everything to try it with.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::cli::token::{self, Grant, SigningKey};
use crate::settings::Settings;

/// How long the token of a server for development is valid.
const DEV_TOKEN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Prints the banner; a closed standard output is no reason to stop.
pub(crate) fn print(settings: &Settings, bound: SocketAddr) {
    let _ = write(&mut io::stdout().lock(), settings, bound);
}

fn write(out: &mut impl Write, settings: &Settings, bound: SocketAddr) -> io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, "tidings {version} listening on {bound}")?;
    if settings.dev {
        write_dev(out, settings, bound)?;
    }
    out.flush()
}

fn write_dev(out: &mut impl Write, settings: &Settings, bound: SocketAddr) -> io::Result<()> {
    let Some(token) = dev_token(settings) else { return Ok(()) };
    // As the person has started it: a binary that is not on the path is not found by name.
    let tidings = std::env::args().next().unwrap_or_else(|| "tidings".to_owned());
    writeln!(
        out,
        "
For development: any origin, this machine only. The token below may do everything for a day.

Live page   http://{bound}/?token={token}
WebSocket   ws://{bound}/ws?token={token}

Watch       TIDINGS_URL=http://{bound} TIDINGS_TOKEN={token} \\
              {tidings} tail
Publish     curl http://{bound}/v1/events -H 'Authorization: Bearer {token}' \\
              -H 'Content-Type: application/json' -d '{EXAMPLE}'
"
    )
}

const EXAMPLE: &str = concat!(
    r#"{"type":"content.published","data":{"contentId":"p1","title":"Hello","type":"blog","#,
    r#""status":"published","authorId":"u1","publishedAt":"2026-01-31T08:00:00Z"}}"#
);

/// A token that may do everything, where the secret is known.
fn dev_token(settings: &Settings) -> Option<String> {
    let auth = &settings.config.auth;
    let claims = token::Claims {
        sub: "dev".to_owned(),
        issued: SystemTime::now(),
        life: Some(DEV_TOKEN_LIFE),
        issuer: auth.issuer.clone(),
        audience: auth.audience.first().cloned(),
        roles: Vec::new(),
        grant: Some(Grant::everything()),
    };
    SigningKey::of_secret(auth.jwt_secret.as_ref()?).sign(&claims).ok()
}

#[cfg(test)]
mod tests {
    use tidings_core::config::Secret;

    use super::*;
    use crate::settings::{Sources, load};

    #[test]
    fn only_a_server_for_development_shows_a_token() {
        let bound: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let text = |settings: &Settings| {
            let mut out = Vec::new();
            write(&mut out, settings, bound).unwrap();
            String::from_utf8(out).unwrap()
        };
        let mut sources = Sources::default();
        sources.flag("--set", "auth.jwt_secret", Some("0123456789abcdef0123456789abcdef"));
        let settings = load(&sources).unwrap();
        assert_eq!(text(&settings).lines().count(), 1);
        let dev = text(&settings.for_development(Secret::new("")).unwrap());
        assert!(
            dev.contains("ws://127.0.0.1:8080/ws?token=ey")
                && dev.contains("curl http://127.0.0.1:8080/v1/events")
        );
        assert!(!dev.contains("0123456789abcdef"));
    }
}
