//! The settings of authentication: keys, what tokens must carry, and what roles and API keys allow.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::keys::{Bounds, ConfigFault};
use super::values::{Kind, Secret, Setting};
use crate::event::{Pattern, Priority};

crate::settings! {
    /// How tokens are verified and what they allow.
    pub struct AuthConfig in "auth." {
        /// Secret of HS256, HS384 and HS512 tokens.
        jwt_secret: Option<Secret> = None, Bytes 32..=4096;
        /// Public keys of RS, PS, ES and EdDSA tokens, each as PEM text.
        public_keys: Vec<String> = Vec::new(), Bytes 64..=16_384;
        /// Public keys as the text of a JWKS.
        jwks: Option<String> = None, Bytes 2..=1_048_576;
        /// How far clocks may disagree when `exp` and `nbf` are checked.
        leeway_s: u64 = 30, Seconds 0..=3_600;
        /// Whether a token without `exp` is refused.
        require_exp: bool = true;
        /// What `iss` must be; absent: not looked at.
        issuer: Option<String> = None, Bytes 1..=1_024;
        /// Of which `aud` must name one; empty: not looked at.
        audience: Vec<String> = Vec::new(), Bytes 1..=1_024;
        /// Claims that name the roles of a token's user.
        role_claims: Vec<String> = vec!["role".to_owned(), "roles".to_owned()], Bytes 1..=256;
        /// What each role allows. A value of `filter` may be a template, as in `"$claim.org"`.
        roles: BTreeMap<String, GrantConfig> = BTreeMap::new();
        /// What a token allows that has neither the claim `tidings` nor a role claim.
        default_grant: GrantConfig = GrantConfig::for_plain_tokens();
        /// Whether a token is taken from the query parameter `token`.
        query_token: bool = true;
        /// Cookie that a token is taken from; then an allowed `Origin` is mandatory.
        cookie: Option<String> = None, Bytes 1..=256;
        /// Keys for publishing over HTTP: texts, or tables with `key` and what it is narrowed to.
        api_keys: Vec<ApiKeyConfig> = Vec::new();
        /// Verified tokens that are remembered.
        cache_tokens: usize = 10_000, Count 0..=10_000_000;
        /// Users whose older tokens stay refused at the same time.
        max_revocations: usize = 10_000, Count 1..=10_000_000;
    }
}

/// What a role, or a token without one, allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrantConfig {
    /// Patterns that may be subscribed to.
    pub subscribe: Vec<String>,
    /// Patterns that may be published.
    pub publish: Vec<String>,
    /// The forced filter: path to scalar or array of scalars, or to a template `$claim.path`.
    pub filter: Map<String, Value>,
    /// The most urgent priority that may be published.
    pub max_priority: Priority,
    /// Whether it opens what is marked admin.
    pub admin: bool,
}

impl Default for GrantConfig {
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

impl GrantConfig {
    /// Subscribe to everything, publish nothing.
    fn for_plain_tokens() -> Self {
        Self { subscribe: vec!["*".to_owned()], ..Self::default() }
    }
}

impl Setting for GrantConfig {
    const KIND: Kind = Kind::Structured;

    fn check(&self, _: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
        check_patterns(&self.subscribe, &format!("{path}.subscribe"), faults);
        check_patterns(&self.publish, &format!("{path}.publish"), faults);
        check_filter(&self.filter, &format!("{path}.filter"), faults);
    }
}

/// A key for publishing over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApiKeyConfig {
    /// The publisher's name in deduplication and logs; absent: `api-key-1` by the place in the list.
    pub name: Option<String>,
    /// The key itself.
    pub key: Secret,
    /// Patterns that may be published.
    pub publish: Vec<String>,
    /// The most urgent priority that may be published.
    pub max_priority: Priority,
    /// The forced filter: path to scalar or array of scalars.
    pub filter: Map<String, Value>,
    /// Whether it opens what is marked admin.
    pub admin: bool,
}

impl ApiKeyConfig {
    /// A key that publishes everything at any priority.
    #[must_use]
    pub fn new(key: Secret) -> Self {
        Self {
            name: None,
            key,
            publish: vec!["*".to_owned()],
            max_priority: Priority::Critical,
            filter: Map::new(),
            admin: false,
        }
    }
}

impl<'de> Deserialize<'de> for ApiKeyConfig {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            name: Option<String>,
            key: Secret,
            publish: Option<Vec<String>>,
            max_priority: Option<Priority>,
            #[serde(default)]
            filter: Map<String, Value>,
            #[serde(default)]
            admin: bool,
        }
        let read = match Value::deserialize(from)? {
            Value::String(key) => return Ok(Self::new(Secret::new(&key))),
            Value::Object(table) => Table::deserialize(Value::Object(table)),
            _ => return Err(serde::de::Error::custom("a text, or a table with `key`")),
        };
        let table = read.map_err(serde::de::Error::custom)?;
        let all = Self::new(table.key);
        Ok(Self {
            name: table.name,
            publish: table.publish.unwrap_or(all.publish),
            max_priority: table.max_priority.unwrap_or(all.max_priority),
            filter: table.filter,
            admin: table.admin,
            key: all.key,
        })
    }
}

impl Setting for ApiKeyConfig {
    const KIND: Kind = Kind::Text;
    const SECRET: bool = true;

    fn check(&self, _: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
        let key = self.key.expose();
        if key.is_empty() || 256 < key.len() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            faults.push(ConfigFault::hidden(path, "1 to 256 printable ASCII characters without spaces"));
        }
        if self.name.as_ref().is_some_and(|name| !(1..=128).contains(&name.len())) {
            faults.push(ConfigFault::hidden(&format!("{path}.name"), "1 to 128 bytes"));
        }
        check_patterns(&self.publish, &format!("{path}.publish"), faults);
        check_filter(&self.filter, &format!("{path}.filter"), faults);
    }
}

fn check_patterns(patterns: &[String], path: &str, faults: &mut Vec<ConfigFault>) {
    for (index, pattern) in patterns.iter().enumerate() {
        if Pattern::parse(pattern).is_err() {
            let allowed = "an event type, `category.*` or `*`";
            faults.push(ConfigFault::new(&format!("{path}[{index}]"), pattern, allowed));
        }
    }
}

fn check_filter(filter: &Map<String, Value>, path: &str, faults: &mut Vec<ConfigFault>) {
    if let Err(error) = crate::event::Filter::from_json(&Value::Object(filter.clone()), usize::MAX) {
        faults.push(ConfigFault::new(path, &Value::Object(filter.clone()), error.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(key: &str, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        let key = AuthConfig::KEYS.iter().find(|known| known.name == key).unwrap();
        key.check(value, &mut faults);
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_api_key_is_a_text_or_a_table() {
        let keys: Vec<ApiKeyConfig> =
            serde_json::from_value(json!(["k1", {"key":"k2","publish":["user.*"],"max_priority":"low"}]))
                .unwrap();
        assert_eq!(keys[0].publish, ["*"]);
        assert_eq!(keys[0].max_priority, Priority::Critical);
        assert_eq!((keys[1].key.expose(), keys[1].max_priority), ("k2", Priority::Low));
        assert!(!format!("{keys:?}").contains("k2"));
    }

    #[test]
    fn a_fault_names_the_element_and_hides_the_key() {
        let found =
            faults("auth.api_keys", &json!(["good", "b d", {"key":"sesame","publish":["x"],"name":""}, 1]));
        assert_eq!(found, ["auth.api_keys[3] = (hidden): a text, or a table with `key`"]);
        let found = faults("auth.api_keys", &json!(["good", "b d", {"key":"sesame","publish":["x"]}]));
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("auth.api_keys[1] = (hidden)"), "{found:?}");
        assert!(found[1].starts_with("auth.api_keys[2].publish[0] = x: "), "{found:?}");
        assert!(!found.concat().contains("sesame"));
    }

    #[test]
    fn a_short_secret_is_refused_with_its_length() {
        assert_eq!(
            faults("auth.jwt_secret", &json!("short")),
            ["auth.jwt_secret = (hidden): 32 to 4096 bytes (it has 5)"]
        );
    }

    #[test]
    fn a_role_with_a_wrong_pattern_is_named() {
        let roles = json!({"editor":{"subscribe":["content.*","Content"]},"root":{"sudo":true}});
        let found = faults("auth.roles", &roles);
        assert!(found[0].contains("unknown field `sudo`"), "{found:?}");
        let found = faults("auth.roles", &json!({"editor":{"subscribe":["content.*","Content"]}}));
        assert_eq!(found, ["auth.roles.editor.subscribe[1] = Content: an event type, `category.*` or `*`"]);
        assert_eq!(faults("auth.roles", &json!({"e":{"filter":{"tenantId":"$claim.org"}}})), [""; 0]);
    }
}
