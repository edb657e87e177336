//! The settings of authentication: keys, what tokens must carry, and what roles and API keys allow.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::keys::{Bounds, ConfigFault};
use super::values::{FormError, Kind, Secret, Setting};
use crate::event::{Filter, Pattern, Patterns, Priority};

crate::settings! {
    /// How tokens are verified and what they allow.
    pub struct AuthConfig in "auth." {
        /// Secret of HS256, HS384 and HS512 tokens.
        jwt_secret: Option<Secret> = None, Bytes 32..=4096;
        /// Public keys of RS, PS, ES and EdDSA tokens, each as PEM text.
        // Hidden all the same: what stands here by mistake is a private key.
        public_keys: Vec<Secret> = Vec::new(), Bytes 64..=16_384;
        /// Public keys as the text of a JWKS.
        jwks: Option<Secret> = None, Bytes 2..=1_048_576;
        /// How far clocks may disagree when `exp` and `nbf` are checked.
        leeway_s: u32 = 30, Seconds 0..=3_600;
        /// Whether a token without `exp` is refused.
        require_exp: bool = true;
        /// What `iss` must be; absent: not looked at.
        issuer: Option<String> = None, Bytes 1..=1_024;
        /// Of which `aud` must name one: a list, or one text; empty: not looked at.
        audience: Audience = Audience::default(), Bytes 1..=1_024;
        /// Claims that name the roles of a token's user, by name or dotted path.
        role_claims: Vec<String> = vec!["role".to_owned(), "roles".to_owned()], Bytes 1..=256;
        /// What each role allows. A value of `filter` may be a template, as in `"$claim.org"`.
        roles: BTreeMap<String, GrantConfig> = BTreeMap::new();
        /// What a token allows that has neither the claim `tidings` nor a role claim.
        default_grant: GrantConfig = GrantConfig::for_plain_tokens();
        /// Whether a token is taken from the query parameter `token`.
        query_token: bool = true;
        /// Cookie that a token is taken from; then an allowed `Origin` is mandatory.
        cookie: Option<CookieName> = None;
        /// Keys of back ends, for requests over HTTP: texts, or tables with `key`, `name`, `publish`, `max_priority`,
        /// `filter` and `admin`. A text is full trust: it publishes everything at any priority and opens what is
        /// marked admin. In a table `admin` defaults to true only where `publish`, `max_priority` and `filter` narrow
        /// nothing.
        api_keys: Vec<ApiKeyConfig> = Vec::new();
        /// Verified tokens that are remembered.
        cache_tokens: usize = 10_000, Count 0..=1_000_000;
        /// Users whose older tokens stay refused at the same time.
        max_revocations: usize = 10_000, Count 1..=1_000_000;
    }
}

impl AuthConfig {
    /// API keys at most: each request is compared with all of them.
    pub const API_KEYS_MAX: usize = 256;

    /// Adds to `faults` every value that is of a wrong form, out of its range, or given twice.
    pub fn check(&self, faults: &mut Vec<ConfigFault>) {
        self.check_ranges(faults);
        self.check_names(faults);
    }

    /// Names and keys that must be there and must be unique.
    pub(super) fn check_names(&self, faults: &mut Vec<ConfigFault>) {
        if self.roles.contains_key("") {
            faults.push(ConfigFault::new("auth.roles", &"", "every role has a name"));
        }
        let keys = &self.api_keys;
        if Self::API_KEYS_MAX < keys.len() {
            let allowed = format!("at most {} keys", Self::API_KEYS_MAX);
            faults.push(ConfigFault::new("auth.api_keys", &format_args!("{} keys", keys.len()), allowed));
        }
        for (index, own) in keys.iter().enumerate() {
            let earlier = &keys[..index];
            let path = format!("auth.api_keys[{index}]");
            if earlier.iter().any(|other| other.key == own.key) {
                faults.push(ConfigFault::hidden(&path, "a key that stands once"));
            }
            if own.name.is_some() && earlier.iter().any(|other| other.name == own.name) {
                faults.push(ConfigFault::hidden(&format!("{path}.name"), "a name that no other key has"));
            }
        }
    }
}

/// Names of which a token's `aud` must have one; given as a list or as one text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Audience(Vec<String>);

impl From<Vec<String>> for Audience {
    fn from(names: Vec<String>) -> Self {
        Self(names)
    }
}

impl Deref for Audience {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::String(one) => Ok(Self(vec![one])),
            many => Vec::deserialize(many).map(Self).map_err(serde::de::Error::custom),
        }
    }
}

impl Setting for Audience {
    const KIND: Kind = Kind::List;

    fn read(json: &Value, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        match json {
            Value::String(one) => Some(Self(vec![one.clone()])),
            many => Vec::read(many, bounds, path, faults).map(Self),
        }
    }

    fn check(&self, bounds: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
        self.0.check(bounds, path, faults);
    }
}

/// The name of a cookie (RFC 6265 §4.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieName(Box<str>);

impl CookieName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CookieName {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        // RFC 9110 §5.6.2: a token.
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if (1..=256).contains(&text.len()) && text.bytes().all(legal) {
            Ok(Self(text.into()))
        } else {
            Err(FormError("a cookie's name: 1 to 256 characters, as in `session`"))
        }
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text_setting!(CookieName);

/// What a role, or a token without one, allows. What is left out is allowed the least.
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
    /// Keys of a forced filter at most, in a token's claim too.
    pub const FILTER_KEYS_MAX: usize = 16;

    /// Subscribe to everything, publish nothing.
    fn for_plain_tokens() -> Self {
        Self { subscribe: vec!["*".to_owned()], ..Self::default() }
    }
}

impl Setting for GrantConfig {
    const KIND: Kind = Kind::Structured;

    fn check(&self, _: Bounds, path: &str, faults: &mut Vec<ConfigFault>) {
        read_patterns(&self.subscribe, &format!("{path}.subscribe"), faults);
        read_patterns(&self.publish, &format!("{path}.publish"), faults);
        read_filter(&self.filter, &format!("{path}.filter"), faults);
    }
}

/// A key of a back end, for requests over HTTP. It never receives events.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApiKeyConfig {
    /// The publisher's name in deduplication and logs; absent: derived from the key, so that it stays when
    /// the list is reordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The key itself.
    pub key: Secret,
    /// Patterns that may be published.
    pub publish: Vec<String>,
    /// The most urgent priority that may be published.
    pub max_priority: Priority,
    /// The forced filter: path to scalar or array of scalars.
    pub filter: Map<String, Value>,
    /// Whether it opens what is marked admin; absent: only where nothing else narrows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<bool>,
}

impl ApiKeyConfig {
    const FORM: &str = "a text, or a table with the text `key` and at will `name` (a text), `publish` (a list of \
        patterns), `max_priority` (critical, high, normal or low), `filter` (a table) and `admin` (true or false)";

    /// A key with full trust: it publishes everything at any priority and opens what is marked admin.
    #[must_use]
    pub fn new(key: Secret) -> Self {
        Self {
            name: None,
            key,
            publish: vec!["*".to_owned()],
            max_priority: Priority::Critical,
            filter: Map::new(),
            admin: None,
        }
    }

    /// Whether it opens what is marked admin: as it says itself, else where it may publish everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        let everything = self.publish.iter().any(|pattern| pattern == "*")
            && self.max_priority == Priority::Critical
            && self.filter.is_empty();
        self.admin.unwrap_or(everything)
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
            admin: Option<bool>,
        }
        let read = match Value::deserialize(from)? {
            Value::String(key) => return Ok(Self::new(Secret::new(&key))),
            Value::Object(table) => Table::deserialize(Value::Object(table)),
            _ => return Err(serde::de::Error::custom(Self::FORM)),
        };
        // serde's own message would quote the value.
        let table = read.map_err(|_| serde::de::Error::custom(Self::FORM))?;
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
        read_patterns(&self.publish, &format!("{path}.publish"), faults);
        read_filter(&self.filter, &format!("{path}.filter"), faults);
    }
}

/// The patterns of a setting at `path`; each text that is none is a fault.
pub(crate) fn read_patterns(texts: &[String], path: &str, faults: &mut Vec<ConfigFault>) -> Patterns {
    let mut patterns = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match Pattern::parse(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(_) => {
                let allowed = "an event type, `category.*` or `*`";
                faults.push(ConfigFault::new(&format!("{path}[{index}]"), text, allowed));
            }
        }
    }
    Patterns::new(patterns)
}

/// The forced filter of a setting at `path`; what is none is a fault. A template, being a text, is taken for
/// the scalar that it stands for.
pub(crate) fn read_filter(filter: &Map<String, Value>, path: &str, faults: &mut Vec<ConfigFault>) -> Filter {
    let json = Value::Object(filter.clone());
    Filter::from_json(&json, GrantConfig::FILTER_KEYS_MAX).unwrap_or_else(|error| {
        faults.push(ConfigFault::new(path, &json, error.to_string()));
        Filter::default()
    })
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

    fn api_keys(json: Value) -> Vec<ApiKeyConfig> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn an_api_key_is_a_text_or_a_table() {
        let keys =
            api_keys(json!(["k1", {"key":"k2","name":"cms","publish":["user.*"],"max_priority":"low"}]));
        assert_eq!(keys[0], ApiKeyConfig::new(Secret::new("k1")));
        assert_eq!(
            (keys[0].publish.as_slice(), keys[0].max_priority),
            (&["*".to_owned()][..], Priority::Critical)
        );
        let narrow = ApiKeyConfig {
            name: Some("cms".to_owned()),
            publish: vec!["user.*".to_owned()],
            max_priority: Priority::Low,
            ..ApiKeyConfig::new(Secret::new("k2"))
        };
        assert_eq!(keys[1], narrow);
        assert!(!format!("{keys:?}").contains("k2"));
    }

    #[test]
    fn an_api_key_is_admin_where_nothing_narrows_it_or_where_it_says_so() {
        let admin = |key: Value| api_keys(json!([key]))[0].is_admin();
        assert!(admin(json!("k")));
        for full in [
            json!({"key": "k"}),
            json!({"key": "k", "name": "n", "publish": ["user.*", "*"], "max_priority": "critical", "filter": {}}),
            json!({"key": "k", "publish": [], "admin": true}),
        ] {
            assert!(admin(full.clone()), "{full}");
        }
        for narrow in [
            json!({"key": "k", "publish": ["content.*"]}),
            json!({"key": "k", "publish": []}),
            json!({"key": "k", "max_priority": "high"}),
            json!({"key": "k", "filter": {"tenantId": "t1"}}),
            json!({"key": "k", "admin": false}),
        ] {
            assert!(!admin(narrow.clone()), "{narrow}");
        }
    }

    #[test]
    fn an_api_key_has_1_to_256_printable_characters() {
        let longest = "~".repeat(256);
        assert_eq!(faults("auth.api_keys", &json!(["k", longest])), [""; 0]);
        for wrong in ["", &"k".repeat(257), "a b", "ü", "a\tb"] {
            assert_eq!(
                faults("auth.api_keys", &json!([wrong])),
                ["auth.api_keys[0] = (hidden): 1 to 256 printable ASCII characters without spaces"]
            );
        }
    }

    #[test]
    fn names_and_keys_stand_once_and_are_not_too_many() {
        let found = |json: Value| {
            let (config, mut faults): (AuthConfig, _) = (serde_json::from_value(json).unwrap(), Vec::new());
            config.check(&mut faults);
            faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>()
        };
        let keys = json!(["a", {"key":"b","name":"n"}, {"key":"a","name":"n"}, "c"]);
        assert_eq!(found(json!({"api_keys": keys})), ["auth.api_keys[2]", "auth.api_keys[2].name"]);
        let many: Vec<String> = (0..257).map(|index| format!("key-{index}")).collect();
        assert_eq!(found(json!({"api_keys": many})), ["auth.api_keys"]);
        assert_eq!(found(json!({"roles": {"": {}, "a": {}}})), ["auth.roles"]);
    }

    #[test]
    fn an_audience_is_a_list_or_one_text() {
        let audience = |json: Value| {
            assert_eq!(faults("auth.audience", &json), [""; 0]);
            serde_json::from_value::<Audience>(json).unwrap().to_vec()
        };
        assert_eq!(audience(json!("tidings")), ["tidings"]);
        assert_eq!(audience(json!(["a", "b"])), ["a", "b"]);
        assert_eq!(
            faults("auth.audience", &json!(["a", ""])),
            ["auth.audience[1]: a text of 1 to 1024 bytes"]
        );
        assert_eq!(faults("auth.audience", &json!(["a", 1]))[0], "auth.audience[1] = 1: a text");
        assert!(serde_json::from_value::<Audience>(json!(1)).is_err());
    }

    #[test]
    fn a_cookie_has_the_name_of_a_cookie() {
        assert_eq!(faults("auth.cookie", &json!("__Host-session")), [""; 0]);
        for wrong in ["", "a b", "a=b", "a;b", "ü"] {
            assert_eq!(faults("auth.cookie", &json!(wrong)).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_everywhere() {
        for value in [
            json!({"jwt_secrets": "x"}),
            json!({"leewayS": 3}),
            json!({"roles": {"a": {"subscribes": []}}}),
            json!({"roles": {"a": {"maxPriority": "high"}}}),
            json!({"default_grant": {"x": 1}}),
            json!({"api_keys": [{"key": "k", "subscribe": ["*"]}]}),
            json!({"api_keys": [{"name": "no key"}]}),
            json!({"api_keys": [7]}),
        ] {
            assert!(serde_json::from_value::<AuthConfig>(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn a_grant_allows_the_least_where_it_says_nothing() {
        let config: AuthConfig =
            serde_json::from_value(json!({"roles": {"a": {}}, "default_grant": {"admin": true}})).unwrap();
        assert_eq!(config.roles["a"], GrantConfig::default());
        assert_eq!(config.roles["a"].max_priority, Priority::Normal);
        assert_eq!(config.default_grant, GrantConfig { admin: true, ..GrantConfig::default() });
    }

    #[test]
    fn a_forced_filter_has_16_keys_at_most() {
        let filter = |keys: usize| (0..keys).map(|key| (format!("k{key}"), json!(1))).collect::<Map<_, _>>();
        assert_eq!(faults("auth.default_grant", &json!({"filter": filter(16)})), [""; 0]);
        assert_eq!(faults("auth.default_grant", &json!({"filter": filter(17)})).len(), 1);
    }

    #[test]
    fn a_fault_names_the_element_and_hides_the_key() {
        let found =
            faults("auth.api_keys", &json!(["good", "b d", {"key":"sesame","publish":["x"],"name":""}, 1]));
        assert_eq!(found, [format!("auth.api_keys[3] = (hidden): {}", ApiKeyConfig::FORM)]);
        let found = faults("auth.api_keys", &json!(["good", "b d", {"key":"sesame","publish":["x"]}]));
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("auth.api_keys[1] = (hidden)"), "{found:?}");
        assert!(found[1].starts_with("auth.api_keys[2].publish[0] = x: "), "{found:?}");
        assert!(!found.concat().contains("sesame"));
    }

    #[test]
    fn what_may_be_a_secret_is_shown_by_no_fault_whatever_its_form() {
        let keys = AuthConfig::KEYS.iter().filter(|key| key.secret).map(|key| key.name);
        assert!(keys.eq(["auth.jwt_secret", "auth.public_keys", "auth.jwks", "auth.api_keys"]));
        for key in AuthConfig::KEYS.iter().filter(|key| key.secret) {
            for value in [
                json!("sesame 1"),
                json!(4711),
                json!(["sesame 1", 4711, {"sesame": 1}]),
                json!({"sesame": 1}),
                json!([{"key": "sesame", "sesame": 1}, {"key": "sesame", "publish": "sesame"}]),
                json!([{"key": "sesame", "max_priority": "sesame"}, {"key": {"sesame": 1}}]),
            ] {
                let found = faults(key.name, &value).concat();
                assert!(!found.contains("sesame") && !found.contains("4711"), "{found}");
            }
        }
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
