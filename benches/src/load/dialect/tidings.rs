//! This project's server. Events are published over one WebSocket connection whose token allows it: what is
//! due goes out in one write, so that the publisher costs the server one read a turn.

use std::cell::RefCell;
use std::collections::HashMap;

use jsonwebtoken::{EncodingKey, Header};
use serde::Deserialize;
use serde_json::json;
use tidings_core::wire::client::text_into;

use super::{DIGITS, Dialect, Event, MASK, Role, post};
use crate::process::{Launch, Place};
use crate::scenario::{Algorithm, Run};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The pair of the core's tests.
const PRIVATE_KEY: &str = include_str!("../../../../core/tests/fixtures/keys/p256.pem");
const PUBLIC_KEY: &str = include_str!("../../../../core/tests/fixtures/keys/p256.pub.pem");
/// Of a publisher over HTTP.
const API_KEY: &str = "load-load-load-load-load-load-load";

pub(super) struct Tidings {
    algorithm: jsonwebtoken::Algorithm,
    key: EncodingKey,
    /// Whoever comes back has the token that it had; to sign anew would give another one with some algorithms.
    tokens: RefCell<HashMap<Role, String>>,
}

impl Tidings {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        let (algorithm, key) = match algorithm {
            Algorithm::Hs256 => (jsonwebtoken::Algorithm::HS256, EncodingKey::from_secret(SECRET.as_bytes())),
            Algorithm::Es256 => {
                let key = EncodingKey::from_ec_pem(PRIVATE_KEY.as_bytes()).expect("the fixture is a key");
                (jsonwebtoken::Algorithm::ES256, key)
            }
        };
        Self { algorithm, key, tokens: RefCell::default() }
    }

    fn token(&self, role: Role) -> String {
        let (user, grant) = match role {
            Role::Publisher => ("publisher".to_owned(), json!({"publish": ["*"], "maxPriority": "critical"})),
            Role::Subscriber(number) => (format!("u{number}"), json!({"subscribe": ["*"]})),
        };
        let claims = json!({"sub": user, "exp": 4_102_444_800_u64, "tidings": grant});
        jsonwebtoken::encode(&Header::new(self.algorithm), &claims, &self.key).unwrap_or_default()
    }

    fn event(event: &Event) -> String {
        let without = |pad: &str| {
            format!(
                concat!(
                    r#"{{"specversion":"1.0","id":"e{number:010}","source":"/load","type":"content.deleted","#,
                    r#""time":"2026-01-31T08:00:00Z","priority":"{lane}","data":{{"contentId":"c1","title":"t","#,
                    r##""type":"blog","deletedAt":"2026-01-31T08:00:00Z","g":"g{group}","n":"#n={number:0digits$}","##,
                    r#""pad":"{pad}"}}}}"#
                ),
                number = event.number,
                lane = event.lane.as_str(),
                group = event.group,
                digits = DIGITS,
                pad = pad
            )
        };
        let pad = event.bytes.saturating_sub(without("").len());
        without(&"x".repeat(pad))
    }
}

impl Dialect for Tidings {
    fn launch(&self, place: &Place, port: u16) -> Launch {
        let own = [
            ("TIDINGS_LISTEN", format!("127.0.0.1:{port}")),
            ("TIDINGS_JWT_SECRET", SECRET.to_owned()),
            ("TIDINGS_AUTH__PUBLIC_KEYS", json!([PUBLIC_KEY]).to_string()),
            ("TIDINGS_LOG__LEVEL", "warn".to_owned()),
            ("TIDINGS_API_KEYS", API_KEY.to_owned()),
            // The publisher sends as fast as it can.
            ("TIDINGS_LIMITS__MESSAGES_PER_S", "1000000".to_owned()),
            ("TIDINGS_LIMITS__MESSAGES_BURST", "1000000".to_owned()),
        ];
        Launch {
            program: place.tidings.clone().unwrap_or_else(|| super::super::process::beside("tidings")),
            arguments: vec!["serve".to_owned()],
            environment: own.into_iter().collect(),
            ..Launch::default()
        }
    }

    fn target(&self, role: Role) -> String {
        let mut tokens = self.tokens.borrow_mut();
        let token = tokens.entry(role).or_insert_with(|| self.token(role));
        format!("/ws?token={token}")
    }

    fn hello(&self, run: &Run, role: Role) -> Vec<u8> {
        let mut out = Vec::new();
        let Role::Subscriber(connection) = role else { return out };
        if run.groups == 1 {
            text_into(&mut out, MASK, r#"{"type":"subscribe","id":"s","events":["content.*"]}"#);
            return out;
        }
        for (index, group) in run.groups_of(connection).enumerate() {
            let id = if index + 1 == run.filters { "s".to_owned() } else { format!("s{index}") };
            let filter = json!({"g": format!("g{group}")});
            let message = json!({"type": "subscribe", "id": id, "events": ["content.*"], "filter": filter});
            text_into(&mut out, MASK, &message.to_string());
        }
        out
    }

    fn is_ready(&self, role: Role, message: &[u8]) -> bool {
        let word: &[u8] = match role {
            Role::Publisher => br#""type":"welcome""#,
            Role::Subscriber(_) => br#""type":"subscribed","id":"s","#,
        };
        let resumed: &[u8] = br#""type":"resumed","#;
        [word, resumed].iter().any(|word| memchr::memmem::find(message, word).is_some())
    }

    fn publish(&self, out: &mut Vec<u8>, event: &Event) {
        text_into(out, MASK, &format!(r#"{{"type":"publish","event":{}}}"#, Self::event(event)));
    }

    fn request(&self, out: &mut Vec<u8>, events: &[Event], keep_alive: bool) -> bool {
        let body = match events {
            [event] => Self::event(event),
            _ => format!("[{}]", events.iter().map(Self::event).collect::<Vec<_>>().join(",")),
        };
        post(out, "/v1/events", &format!("Authorization: Bearer {API_KEY}\r\n"), keep_alive, &body);
        true
    }

    fn resume(&self, greeting: &[u8]) -> Option<Vec<u8>> {
        #[derive(Deserialize)]
        struct Welcome {
            epoch: String,
            offset: u64,
        }
        let Welcome { epoch, offset } = serde_json::from_slice(greeting).ok()?;
        let lanes = json!({"critical": offset, "high": offset, "normal": offset, "low": offset});
        let message = json!({
            "type": "resume",
            "since": {"epoch": epoch, "lanes": lanes},
            "subscriptions": [{"id": "s", "from": offset, "events": ["content.*"]}],
        });
        let mut out = Vec::new();
        text_into(&mut out, MASK, &message.to_string());
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_back_has_the_token_that_it_had() {
        for algorithm in [Algorithm::Hs256, Algorithm::Es256] {
            let dialect = Tidings::new(algorithm);
            assert_eq!(dialect.target(Role::Subscriber(1)), dialect.target(Role::Subscriber(1)));
            assert_ne!(dialect.target(Role::Subscriber(1)), dialect.target(Role::Subscriber(2)));
        }
    }

    #[test]
    fn an_event_has_the_bytes_that_the_scenario_asks_for() {
        let run: Run = toml::from_str("name = 's'\nconnections = 1").unwrap();
        for number in [0, 7, 1_000_000] {
            assert_eq!(Tidings::event(&run.event(number)).len(), 300);
        }
    }
}
