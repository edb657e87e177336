//! The tokens of a run: whom each speaks for, and until when.

use std::collections::BTreeMap;

use serde_json::Value;
use tidings_core::{Config, UnixTime};

use super::matching::Grants;

/// What a token says, under the configuration of the hub that takes it.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) user: String,
    pub(super) grants: Grants,
    /// When it expires, in Unix seconds.
    pub(super) expires_s: Option<i64>,
    /// When its connection must end, in Unix milliseconds.
    pub(super) deadline_ms: Option<i64>,
    /// Before when it is not valid, in Unix milliseconds.
    begins_ms: Option<i64>,
    pub(super) issued_s: Option<i64>,
    pub(super) key: u8,
}

impl Pass {
    /// Whether its times allow it at `now`.
    pub(super) fn is_current(&self, now: UnixTime) -> bool {
        let now = now.as_millis();
        self.deadline_ms.is_none_or(|deadline| now < deadline)
            && self.begins_ms.is_none_or(|begins| begins <= now)
    }
}

/// Every token by its text.
#[derive(Debug, Default)]
pub(super) struct Tokens(BTreeMap<String, (Value, u8)>);

impl Tokens {
    pub(super) fn add(&mut self, text: &str, claims: &Value, key: u8) {
        self.0.insert(text.to_owned(), (claims.clone(), key));
    }

    /// What a token says; none where it is no token of this run.
    pub(super) fn pass(&self, text: &str, config: &Config) -> Option<Pass> {
        let (claims, key) = self.0.get(text)?;
        let leeway = i64::from(config.auth.leeway_s);
        let seconds = |name: &str| claims[name].as_f64();
        #[expect(clippy::cast_possible_truncation, reason = "times of a run are small")]
        let millis = |seconds: f64| (seconds * 1000.0) as i64;
        Some(Pass {
            user: claims["sub"].as_str()?.to_owned(),
            grants: Grants::of(claims, &config.auth),
            expires_s: claims["exp"].as_i64(),
            deadline_ms: seconds("exp").map(|exp| millis(exp) + leeway * 1000),
            begins_ms: seconds("nbf").map(|nbf| millis(nbf) - leeway * 1000),
            issued_s: claims["iat"].as_i64(),
            key: *key,
        })
    }
}
