//! What several targets need: a small hub, and credentials that let an input reach what is behind them.

use serde_json::{Value, json};
use tidings_core::Config;
use tidings_core::config::{ApiKeyConfig, Secret};

use crate::world::World;

/// The API key that every small hub knows.
const API_KEY: &str = "api-key-of-the-fuzz-targets";

/// Bounds that a short input meets.
pub(super) fn small(config: &mut Config) {
    let limits = &mut config.limits;
    limits.message_bytes = 1536;
    limits.event_bytes = 512;
    limits.subscriptions = 3;
    limits.subscriptions_bytes = 512;
    limits.patterns = 4;
    limits.filter_keys = 3;
    limits.messages_burst = 20;
    limits.fragments = 4;
    limits.lane_queue = 2;
    limits.recent = 3;
    limits.recent_bytes = 512;
    config.history.events = 4;
    config.dedup.entries = 16;
    config.http.head_bytes = 2048;
    config.http.head_fields = 12;
    config.http.body_bytes = 2048;
    config.http.batch = 3;
    config.http.page = 2;
    config.http.page_max = 5;
}

/// Lets [`API_KEY`] publish everything.
pub(super) fn trust_api_key(config: &mut Config) {
    config.auth.api_keys = vec![ApiKeyConfig::new(Secret::new(API_KEY))];
}

/// What a request shows to say who sends it, by a letter; none where it shows nothing.
pub(super) fn credentials(world: &World, letter: u8) -> Option<String> {
    let token = |grant: Value| Some(world.token(&json!({"sub": "ann", "tidings": grant})));
    match letter {
        b'k' => Some(API_KEY.to_owned()),
        b'a' => {
            token(json!({"subscribe": ["*"], "publish": ["*"], "maxPriority": "critical", "admin": true}))
        }
        b't' => token(json!({"subscribe": ["*"], "publish": ["*"], "filter": {"tenantId": "t1"}})),
        b'n' => token(json!({"subscribe": ["content.*"], "publish": ["analytics.*"]})),
        b'p' => Some(world.token(&json!({}))),
        _ => None,
    }
}

/// A stream of small numbers from one, for what an input decides in one byte.
pub(super) struct Sizes(u32);

impl Sizes {
    /// Only ones where the byte is zero.
    pub(super) fn new(byte: u8) -> Self {
        Self(u32::from(byte) * 0x9E37)
    }

    /// A size that is at least one.
    pub(super) const fn next(&mut self) -> usize {
        // Xorshift: zero stays zero.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        let bits = self.0 % 9;
        1 + (self.0 >> 8 & ((1 << bits) - 1)) as usize
    }
}
