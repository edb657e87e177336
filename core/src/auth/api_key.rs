//! API keys: publishers that have no token. Compared in constant time, kept as digests only.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use super::grant::{Grant, GrantPart};
use super::role::{ClaimOf, alternatives, claim_of};
use crate::config::{ApiKeyConfig, ConfigFault, read_filter, read_patterns};
use crate::event::Patterns;

/// A publisher that is known by a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    name: Arc<str>,
    grant: Arc<Grant>,
}

impl ApiKey {
    /// The publisher's name, unique among the keys. It is not a user: a token's `sub` may be the same text.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it may publish. It lets nothing be received.
    #[must_use]
    pub const fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }
}

#[derive(Debug)]
pub(super) struct ApiKeys(Box<[(Digest, ApiKey)]>);

type Digest = [u8; 32];

impl ApiKeys {
    pub(super) fn new(config: &[ApiKeyConfig], faults: &mut Vec<ConfigFault>) -> Self {
        let mut keys: Vec<(Digest, ApiKey)> = Vec::with_capacity(config.len());
        for (index, config) in config.iter().enumerate() {
            let path = format!("auth.api_keys[{index}]");
            let (digest, key) = compile(&path, config, faults);
            // One key may have been given the name that is derived for another.
            if keys.iter().any(|(other, known)| *other != digest && known.name == key.name) {
                faults.push(ConfigFault::hidden(&format!("{path}.name"), "a name that no other key has"));
            }
            keys.push((digest, key));
        }
        Self(keys.into())
    }

    /// The publisher of that key. How long it takes depends on the number of keys only.
    pub(super) fn find(&self, presented: &str) -> Option<&ApiKey> {
        let presented = digest(presented);
        let mut found = u64::MAX;
        for (index, (digest, _)) in (0_u64..).zip(&self.0) {
            found.conditional_assign(&index, digest.ct_eq(&presented));
        }
        self.0.get(usize::try_from(found).ok()?).map(|(_, key)| key)
    }
}

fn compile(path: &str, config: &ApiKeyConfig, faults: &mut Vec<ConfigFault>) -> (Digest, ApiKey) {
    let digest = digest(config.key.expose());
    let name = config.name.clone().unwrap_or_else(|| derived_name(&digest));
    for (key, value) in &config.filter {
        for text in alternatives(value).iter().filter_map(Value::as_str) {
            if !matches!(claim_of(text), ClaimOf::Literal) {
                let allowed =
                    "a value as it stands: an API key has no claims that a template could take it from";
                faults.push(ConfigFault::new(&format!("{path}.filter.{key}"), &text, allowed));
            }
        }
    }
    let part = GrantPart {
        subscribe: Patterns::default(),
        publish: read_patterns(&config.publish, &format!("{path}.publish"), faults),
        filter: read_filter(&config.filter, &format!("{path}.filter"), faults),
        max_priority: config.max_priority,
    };
    let grant = Arc::new(Grant::new(vec![part], config.is_admin()));
    (digest, ApiKey { name: name.into(), grant })
}

fn digest(key: &str) -> Digest {
    Sha256::digest(key.as_bytes()).into()
}

/// `key-` and 32 bits of the digest: enough to tell keys apart, too few to test guesses with.
fn derived_name(digest: &Digest) -> String {
    let [a, b, c, d, ..] = digest;
    format!("key-{a:02x}{b:02x}{c:02x}{d:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fields, Priority};
    use serde_json::json;

    fn keys(config: Value) -> Result<ApiKeys, Vec<String>> {
        let config: Vec<ApiKeyConfig> = serde_json::from_value(config).unwrap();
        let mut faults = Vec::new();
        let keys = ApiKeys::new(&config, &mut faults);
        let names = faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>();
        if names.is_empty() { Ok(keys) } else { Err(names) }
    }

    #[test]
    fn a_key_publishes_everything_at_any_priority_unless_narrower() {
        let keys = keys(json!([
            "0123456789abcdef",
            {"key": "narrow-narrow-narrow", "name": "cms", "publish": ["content.*"], "max_priority": "high"},
        ]))
        .unwrap();
        let publish = |key, name, priority| {
            keys.find(key).unwrap().grant().permits_publish(name, priority, &Fields::default()).is_ok()
        };
        assert!(publish("0123456789abcdef", "system.error", Priority::Critical));
        assert!(publish("narrow-narrow-narrow", "content.updated", Priority::High));
        assert!(!publish("narrow-narrow-narrow", "content.updated", Priority::Critical));
        assert!(!publish("narrow-narrow-narrow", "system.error", Priority::Low));
        assert_eq!(&**keys.find("narrow-narrow-narrow").unwrap().name(), "cms");
    }

    #[test]
    fn a_key_receives_nothing_and_is_admin_as_its_configuration_says() {
        let keys = keys(json!(["full-trust", {"key": "narrow", "max_priority": "high"}])).unwrap();
        let full = keys.find("full-trust").unwrap().grant();
        assert!(!full.permits_delivery("content.updated", &Fields::default()));
        assert!(full.is_admin());
        assert!(!keys.find("narrow").unwrap().grant().is_admin());
    }

    #[test]
    fn only_the_whole_key_is_the_key() {
        let keys = keys(json!(["0123456789abcdef", "0123456789abcdeg"])).unwrap();
        for presented in ["", "0123456789abcde", "0123456789abcdef ", "0123456789abcdeF", "x"] {
            assert_eq!(keys.find(presented), None);
        }
        assert_ne!(keys.find("0123456789abcdef"), keys.find("0123456789abcdeg"));
        assert_eq!(ApiKeys(Box::new([])).find(""), None);
    }

    #[test]
    fn a_bare_key_keeps_its_name_when_the_list_is_reordered() {
        let there = keys(json!(["0123456789abcdef", "fedcba9876543210"])).unwrap();
        let back = keys(json!(["fedcba9876543210", "0123456789abcdef"])).unwrap();
        assert_eq!(there.find("0123456789abcdef"), back.find("0123456789abcdef"));
    }

    #[test]
    fn a_template_in_a_filter_is_a_fault_since_a_key_has_no_claims() {
        let with = |filter: Value| keys(json!([{"key": "k", "filter": filter}]));
        for filter in [json!({"tenantId": "$claim.org"}), json!({"tenantId": ["t1", "$claim"]})] {
            assert_eq!(with(filter).unwrap_err(), ["auth.api_keys[0].filter.tenantId"]);
        }
        assert!(with(json!({"tenantId": ["t1", "$", "claim.org"]})).is_ok());
    }

    #[test]
    fn a_name_that_is_derived_for_another_key_is_a_fault() {
        let derived = keys(json!(["k"])).unwrap().find("k").unwrap().name().to_string();
        let faults = keys(json!(["k", {"key": "other", "name": derived}])).unwrap_err();
        assert_eq!(faults, ["auth.api_keys[1].name"]);
    }
}
