//! API keys: publishers that have no token. Compared in constant time, kept as digests only.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use super::grant::{Grant, GrantPart};
use super::settings::{ApiKeySettings, Faults};
use super::token::USER_MAX;
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
    /// Bytes that a key must have, so that it cannot be guessed over the network.
    const KEY_MIN: usize = 16;
    /// Every request is compared with all keys, so there cannot be many.
    const KEYS_MAX: usize = 256;

    pub(super) fn new(settings: &[ApiKeySettings], faults: &mut Faults) -> Self {
        if Self::KEYS_MAX < settings.len() {
            faults.push("auth.api_keys", "has more than 256 keys");
        }
        let mut keys: Vec<(Digest, ApiKey)> = Vec::with_capacity(settings.len());
        for (index, settings) in settings.iter().enumerate() {
            let path = format!("auth.api_keys[{index}]");
            let (digest, key) = compile(&path, settings, faults);
            if keys.iter().any(|(other, _)| *other == digest) {
                faults.push(&format!("{path}.key"), "stands twice");
            } else if keys.iter().any(|(_, other)| other.name == key.name) {
                faults.push(&format!("{path}.name"), "stands twice");
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

fn compile(path: &str, settings: &ApiKeySettings, faults: &mut Faults) -> (Digest, ApiKey) {
    let digest = digest(settings.key.expose());
    if settings.key.expose().len() < ApiKeys::KEY_MIN {
        faults.push(&format!("{path}.key"), "is shorter than 16 bytes");
    }
    let name = settings.name.clone().unwrap_or_else(|| derived_name(&digest));
    if name.is_empty() || USER_MAX < name.chars().count() {
        faults.push(&format!("{path}.name"), "is empty or over 256 characters");
    }
    let part = GrantPart {
        subscribe: Patterns::default(),
        publish: faults.patterns(&format!("{path}.publish"), &settings.publish),
        filter: faults.filter(&format!("{path}.filter"), &settings.filter),
        max_priority: settings.max_priority,
    };
    let grant = Arc::new(Grant::new(vec![part], settings.admin));
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

    fn keys(settings: serde_json::Value) -> Result<ApiKeys, Vec<String>> {
        let settings: Vec<ApiKeySettings> = serde_json::from_value(settings).unwrap();
        let mut faults = Faults::default();
        let keys = ApiKeys::new(&settings, &mut faults);
        faults.or(keys).map_err(|faults| faults.into_iter().map(|fault| fault.key).collect())
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
    fn a_key_receives_nothing_and_is_no_admin_unless_configured() {
        let keys = keys(json!(["0123456789abcdef", {"key": "fedcba9876543210", "admin": true}])).unwrap();
        let grant = keys.find("0123456789abcdef").unwrap().grant();
        assert!(!grant.permits_delivery("content.updated", &Fields::default()));
        assert!(!grant.is_admin());
        assert!(keys.find("fedcba9876543210").unwrap().grant().is_admin());
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
    fn faults_name_their_key() {
        let faults = keys(json!([
            "short",
            {"key": "0123456789abcdef", "name": "", "publish": ["content.*", "content"], "filter": {"a": {}}},
            {"key": "0123456789abcdef", "name": "b"},
            {"key": "0123456789abcde2", "name": "b"},
        ]))
        .unwrap_err();
        assert_eq!(
            faults,
            [
                "auth.api_keys[0].key",
                "auth.api_keys[1].name",
                "auth.api_keys[1].publish[1]",
                "auth.api_keys[1].filter",
                "auth.api_keys[2].key",
                "auth.api_keys[3].name",
            ]
        );
    }
}
