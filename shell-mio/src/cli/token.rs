//! `tidings token`: signs a token with the server's secret or with a private key.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use serde_json::{Map, Value};
use tidings_core::config::Secret;
use tidings_core::event::{Filter, Pattern, Priority};

use super::{ConfigArgs, Failure, duration, print};
use crate::settings::load;

#[derive(Args, Debug)]
#[command(after_help = "\
The secret is that of the server: TIDINGS_JWT_SECRET, the configuration, or --secret. Only the token goes \
to standard output.

With none of --subscribe, --publish, --filter, --max-priority and --admin the token carries no grant of its own: \
its roles decide, or the server's default (subscribe to everything, publish nothing). With one of them, what is \
not given is not allowed.

Examples:
  tidings token --user alice
  tidings token --user cms --publish 'content.*' --expires 30d
  tidings token --subscribe '*' --filter '{\"tenantId\":\"t1\"}'
  tidings token --user alice --role editor --key private.pem --kid 2026-01
  TIDINGS_TOKEN=$(tidings token --admin --subscribe '*') tidings tail")]
pub(super) struct TokenArgs {
    /// The token's subject
    #[arg(long, value_name = "USER", default_value = "cli")]
    user: String,
    /// Pattern that it may subscribe to; may be repeated
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    subscribe: Vec<String>,
    /// Pattern that it may publish; may be repeated
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    publish: Vec<String>,
    /// Filter that is forced on everything it receives and publishes
    #[arg(long, value_name = "JSON", value_parser = filter)]
    filter: Option<Map<String, Value>>,
    /// Most urgent priority that it may publish
    #[arg(long, value_name = "PRIORITY", value_parser = priority)]
    max_priority: Option<Priority>,
    /// It opens what is marked admin
    #[arg(long)]
    admin: bool,
    /// Role that the server maps to a grant; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// How long it is valid, as in 90s, 15m, 1h or 7d, or `never`
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = life)]
    expires: Life,
    /// Secret to sign with, at least 32 bytes (others on this machine may see it; prefer the variable)
    #[arg(long, value_name = "TEXT", conflicts_with = "key")]
    secret: Option<String>,
    /// Private key to sign with, as PEM (RSA, EC or Ed25519)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Name of the key in the token's header
    #[arg(long, value_name = "NAME", requires = "key", conflicts_with = "secret")]
    kid: Option<String>,
    /// `iss` of the token; by default what the configuration asks for
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// `aud` of the token; by default what the configuration asks for
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// How long a token is valid; `None` for ever.
#[derive(Clone, Copy, Debug)]
struct Life(Option<Duration>);

fn life(text: &str) -> Result<Life, String> {
    if text == "never" { Ok(Life(None)) } else { duration::parse(text).map(|life| Life(Some(life))) }
}

fn pattern(text: &str) -> Result<String, String> {
    Pattern::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Reads a filter as the server reads it.
pub(super) fn filter(text: &str) -> Result<Map<String, Value>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    Filter::from_json(&value, usize::MAX).map_err(|error| error.to_string())?;
    match value {
        Value::Object(filter) => Ok(filter),
        _ => Err("a filter is an object".to_owned()),
    }
}

/// Reads a priority by name.
pub(super) fn priority(text: &str) -> Result<Priority, String> {
    Priority::from_name(text).ok_or_else(|| "critical, high, normal or low".to_owned())
}

/// The claim `tidings`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Grant {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscribe: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    publish: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_priority: Option<Priority>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    admin: bool,
}

impl Grant {
    /// Everything at any priority.
    pub(crate) fn everything() -> Self {
        let all = vec!["*".to_owned()];
        let max_priority = Some(Priority::Critical);
        Self { subscribe: all.clone(), publish: all, filter: None, max_priority, admin: true }
    }
}

/// What a token says.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) issued: SystemTime,
    pub(crate) life: Option<Duration>,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) grant: Option<Grant>,
}

#[derive(Serialize)]
struct Payload<'a> {
    sub: &'a str,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    tidings: Option<&'a Grant>,
}

/// A key with the algorithms that it may sign with, the likeliest first.
pub(crate) struct SigningKey {
    candidates: Vec<(Algorithm, EncodingKey)>,
    kid: Option<String>,
}

impl SigningKey {
    /// HS256 with a shared secret.
    pub(crate) fn of_secret(secret: &Secret) -> Self {
        let key = EncodingKey::from_secret(secret.expose().as_bytes());
        Self { candidates: vec![(Algorithm::HS256, key)], kid: None }
    }

    /// RS256, ES256, ES384 or EdDSA, as the key in the PEM text asks for.
    fn of_pem(pem: &[u8], kid: Option<String>) -> Self {
        let ec = || EncodingKey::from_ec_pem(pem).ok();
        let candidates = [
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem).ok()),
            (Algorithm::ES256, ec()),
            (Algorithm::ES384, ec()),
            (Algorithm::RS256, EncodingKey::from_rsa_pem(pem).ok()),
        ];
        let candidates =
            candidates.into_iter().filter_map(|(algorithm, key)| Some((algorithm, key?))).collect();
        Self { candidates, kid }
    }

    /// The token that says `claims`.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, Failure> {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let payload = Payload {
            sub: &claims.sub,
            iat: seconds(claims.issued),
            exp: claims.life.map(|life| seconds(claims.issued + life)),
            iss: claims.issuer.as_deref(),
            aud: claims.audience.as_deref(),
            roles: &claims.roles,
            tidings: claims.grant.as_ref(),
        };
        // Which curve or kind a PKCS #8 key is of shows when it signs.
        let signed = self.candidates.iter().find_map(|(algorithm, key)| {
            let header = Header { kid: self.kid.clone(), ..Header::new(*algorithm) };
            jsonwebtoken::encode(&header, &payload, key).ok()
        });
        signed.ok_or_else(|| {
            Failure::Usage("the key is no private RSA, EC (as PKCS #8) or Ed25519 key as PEM".to_owned())
        })
    }
}

const NO_SECRET: &str = "\
there is no secret to sign with. Set TIDINGS_JWT_SECRET to the server's secret, or give --config, --secret or --key.
A server started with `serve --dev` prints a token of its own.";

pub(super) fn run(args: &TokenArgs) -> Result<(), Failure> {
    let settings = load(&args.config.sources())?;
    let auth = &settings.config.auth;
    let key = match (&args.key, &args.secret, &auth.jwt_secret) {
        (Some(path), _, _) => {
            let pem = std::fs::read(path)
                .map_err(|error| Failure::Usage(format!("--key {}: {error}", path.display())))?;
            SigningKey::of_pem(&pem, args.kid.clone())
        }
        (None, Some(secret), _) if secret.len() < 32 => {
            return Err(Failure::Usage("--secret: at least 32 bytes".to_owned()));
        }
        (None, Some(secret), _) => SigningKey::of_secret(&Secret::new(secret)),
        (None, None, Some(secret)) => SigningKey::of_secret(secret),
        (None, None, None) => return Err(Failure::Usage(NO_SECRET.to_owned())),
    };
    let has_grant = !args.subscribe.is_empty()
        || !args.publish.is_empty()
        || args.filter.is_some()
        || args.max_priority.is_some()
        || args.admin;
    let grant = Grant {
        subscribe: args.subscribe.clone(),
        publish: args.publish.clone(),
        filter: args.filter.clone(),
        max_priority: args.max_priority,
        admin: args.admin,
    };
    let token = key.sign(&Claims {
        sub: args.user.clone(),
        issued: SystemTime::now(),
        life: args.expires.0,
        issuer: args.issuer.clone().or_else(|| auth.issuer.clone()),
        audience: args.audience.clone().or_else(|| auth.audience.first().cloned()),
        roles: args.roles.clone(),
        grant: has_grant.then_some(grant),
    })?;
    print(&token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_says_only_what_was_asked_for() {
        let grant = Grant {
            subscribe: vec!["content.*".to_owned()],
            publish: Vec::new(),
            filter: None,
            max_priority: None,
            admin: false,
        };
        assert_eq!(serde_json::to_string(&grant).unwrap(), r#"{"subscribe":["content.*"]}"#);
    }

    #[test]
    fn what_is_no_key_is_said_to_be_none() {
        let claims = Claims {
            sub: "u".to_owned(),
            issued: UNIX_EPOCH,
            life: None,
            issuer: None,
            audience: None,
            roles: Vec::new(),
            grant: None,
        };
        let failure = SigningKey::of_pem(b"nonsense", None).sign(&claims).unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)));
    }
}
