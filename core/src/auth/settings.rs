//! The section `[auth]` of the configuration, and what is wrong with it.
//!
//! The shell reads files and URLs into the texts here; a fault names the key at which the operator finds it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use thiserror::Error;

use super::grant::FILTER_KEYS_MAX;
use super::keys::KeySet;
use crate::event::{Filter, Pattern, Patterns, Priority};

/// A setting that cannot be used: where it stands and what the operator can do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key}: {message}")]
pub struct SettingsFault {
    /// The path of the key, as in `auth.roles.editor.subscribe[1]`.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The section `[auth]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The secret of HS256, HS384 and HS512, at least 32 bytes.
    pub jwt_secret: Option<Secret>,
    /// PEM texts of public keys.
    pub public_keys: Vec<String>,
    /// The text of a JWKS.
    pub jwks: Option<String>,
    /// Seconds by which the issuer's clock and this one may differ. At most an hour, default 30.
    pub leeway_s: u32,
    /// Whether a token must have `exp`. Default true.
    pub require_exp: bool,
    /// What `iss` must be. Not looked at where absent.
    pub issuer: Option<String>,
    /// What `aud` must be or contain, one of them. A single text is accepted too. Not looked at where empty.
    #[serde(deserialize_with = "one_or_many")]
    pub audience: Vec<String>,
    /// The claims in which roles stand, by name or dotted path. Default `role` and `roles`.
    pub role_claims: Vec<String>,
    /// What each role allows. A role that is not here allows nothing.
    pub roles: BTreeMap<String, GrantSettings>,
    /// What a token allows that has neither a `tidings` claim nor a role claim. By default: subscribe to
    /// everything, publish nothing. Where it is given, what it leaves out is allowed the least.
    pub default_grant: GrantSettings,
    /// Whether a token may come as query parameter `token`. Default true.
    pub query_token: bool,
    /// The cookie in which a token may come. Default none.
    pub cookie: Option<String>,
    /// Keys of publishers. Each is a table, or only the key.
    pub api_keys: Vec<ApiKeySettings>,
    /// Verified tokens that are remembered, so that a reconnect costs no signature. Default 10,000, about
    /// 500 bytes each; zero remembers none.
    pub cache_tokens: usize,
    /// Users whose revocation is remembered; above that the oldest is forgotten. Default 10,000.
    pub max_revocations: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            public_keys: Vec::new(),
            jwks: None,
            leeway_s: 30,
            require_exp: true,
            issuer: None,
            audience: Vec::new(),
            role_claims: vec!["role".to_owned(), "roles".to_owned()],
            roles: BTreeMap::new(),
            default_grant: GrantSettings { subscribe: vec!["*".to_owned()], ..GrantSettings::default() },
            query_token: true,
            cookie: None,
            api_keys: Vec::new(),
            cache_tokens: 10_000,
            max_revocations: 10_000,
        }
    }
}

/// What a role allows. What is left out is allowed the least.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrantSettings {
    /// Patterns of what may be received. Default none.
    pub subscribe: Vec<String>,
    /// Patterns of what may be published. Default none.
    pub publish: Vec<String>,
    /// The forced filter. A text `$claim.org` stands for the token's claim `org` (a dotted path); where
    /// the token has none, or it is no text, number or truth value, the role grants nothing.
    pub filter: Map<String, Value>,
    /// The most urgent priority that may be published. Default `normal`.
    pub max_priority: Priority,
    /// Whether the operator's requests are allowed. Default false.
    pub admin: bool,
}

impl Default for GrantSettings {
    fn default() -> Self {
        Self {
            subscribe: Vec::new(),
            publish: Vec::new(),
            filter: Map::new(),
            max_priority: Priority::Normal,
            admin: false,
        }
    }
}

/// A publisher's key and what it may do. It never receives events.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ApiKeySettings {
    /// The publisher's name. By default derived from the key, so that it stays when the list is reordered.
    #[serde(default)]
    pub name: Option<String>,
    /// The key, at least 16 bytes.
    pub key: Secret,
    /// Patterns of what may be published. Default everything.
    #[serde(default = "everything")]
    pub publish: Vec<String>,
    /// The most urgent priority that may be published. Default `critical`.
    #[serde(default = "most_urgent")]
    pub max_priority: Priority,
    /// What every event published must satisfy. Default nothing.
    #[serde(default)]
    pub filter: Map<String, Value>,
    /// Whether the operator's requests are allowed. Default false.
    #[serde(default)]
    pub admin: bool,
}

impl<T: Into<Secret>> From<T> for ApiKeySettings {
    fn from(key: T) -> Self {
        Self {
            name: None,
            key: key.into(),
            publish: everything(),
            max_priority: most_urgent(),
            filter: Map::new(),
            admin: false,
        }
    }
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

const fn most_urgent() -> Priority {
    Priority::Critical
}

impl<'de> Deserialize<'de> for ApiKeySettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = ApiKeySettings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an API key, or a table with `key`")
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<ApiKeySettings, E> {
                Ok(key.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<ApiKeySettings, A::Error> {
                ApiKeySettings::deserialize(MapAccessDeserializer::new(access))
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or an array of texts")
        }

        fn visit_str<E: Error>(self, one: &str) -> Result<Vec<String>, E> {
            Ok(vec![one.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Vec<String>, A::Error> {
            let mut many = Vec::new();
            while let Some(one) = access.next_element()? {
                many.push(one);
            }
            Ok(many)
        }
    }

    deserializer.deserialize_any(OneOrMany)
}

impl Settings {
    /// An hour: above that a leeway is a second lifetime of the token.
    const LEEWAY_MAX_S: u32 = 3600;
    /// Entries that a table may be configured to hold.
    const TABLE_MAX: usize = 1_000_000;

    /// The keys that the settings name.
    ///
    /// # Errors
    /// Every key that cannot be used.
    pub fn keys(&self) -> Result<KeySet, Vec<SettingsFault>> {
        let (mut keys, mut faults) = (KeySet::empty(), Faults::default());
        if let Some(secret) = &self.jwt_secret {
            faults.note("auth.jwt_secret", keys.add_secret(secret.expose().as_bytes()));
        }
        for (index, pem) in self.public_keys.iter().enumerate() {
            faults.note(&format!("auth.public_keys[{index}]"), keys.add_pem(pem));
        }
        if let Some(jwks) = &self.jwks {
            faults.note("auth.jwks", keys.add_jwks(jwks));
        }
        faults.or(keys)
    }

    /// Notes what is wrong with the settings that no other part judges.
    pub(super) fn check(&self, faults: &mut Faults) {
        let mut must = |holds: bool, key: &str, message: &str| {
            if !holds {
                faults.push(key, message);
            }
        };
        must(self.leeway_s <= Self::LEEWAY_MAX_S, "auth.leeway_s", "is at most 3600");
        must(
            self.issuer.as_deref() != Some(""),
            "auth.issuer",
            "is empty; leave it out to accept every issuer",
        );
        for (index, audience) in self.audience.iter().enumerate() {
            must(!audience.is_empty(), &format!("auth.audience[{index}]"), "is empty");
        }
        for (index, claim) in self.role_claims.iter().enumerate() {
            must(!claim.is_empty(), &format!("auth.role_claims[{index}]"), "is empty");
        }
        let cookie = self.cookie.as_deref().is_none_or(is_http_token);
        must(cookie, "auth.cookie", "is not a cookie's name (RFC 6265 §4.1.1)");
        must(self.cache_tokens <= Self::TABLE_MAX, "auth.cache_tokens", "is at most 1000000");
        let revocations = (1..=Self::TABLE_MAX).contains(&self.max_revocations);
        must(revocations, "auth.max_revocations", "is between 1 and 1000000");
    }
}

/// RFC 9110 §5.6.2: what a cookie's name consists of.
fn is_http_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Collects all that is wrong, so that the operator reads it at once.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<SettingsFault>);

impl Faults {
    pub(super) fn push(&mut self, key: &str, message: impl fmt::Display) {
        self.0.push(SettingsFault { key: key.to_owned(), message: message.to_string() });
    }

    /// `value`, where nothing was wrong.
    pub(super) fn or<T>(self, value: T) -> Result<T, Vec<SettingsFault>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }

    fn note<E: fmt::Display>(&mut self, key: &str, result: Result<(), E>) {
        if let Err(fault) = result {
            self.push(key, fault);
        }
    }

    pub(super) fn patterns(&mut self, key: &str, texts: &[String]) -> Patterns {
        let mut patterns = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match Pattern::parse(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(fault) => self.push(&format!("{key}[{index}]"), fault),
            }
        }
        Patterns::new(patterns)
    }

    pub(super) fn filter(&mut self, key: &str, filter: &Map<String, Value>) -> Filter {
        Filter::from_json(&Value::Object(filter.clone()), FILTER_KEYS_MAX).unwrap_or_else(|fault| {
            self.push(key, fault);
            Filter::default()
        })
    }
}
