//! Sockudo, a server of the Pusher protocol: subscribers over WebSocket, publishers over signed HTTP requests.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use serde_json::json;
use tidings_core::wire::client::text_into;

use super::{Dialect, Event, MASK, Role, post};
use crate::process::{Launch, Place};
use crate::scenario::Run;

const APP: &str = "load";
const KEY: &str = "load-key";
const SECRET: &str = "load-secret";
/// More than any scenario needs.
const UNLIMITED: &str = "100000000";

pub(super) struct Sockudo;

impl Sockudo {
    /// A signed request: method, path and sorted parameters under the application's secret.
    fn signed(out: &mut Vec<u8>, path: &str, body: &str, seconds: u64, keep_alive: bool) {
        let path = format!("/apps/{APP}/{path}");
        let parameters = format!(
            "auth_key={KEY}&auth_timestamp={seconds}&auth_version=1.0&body_md5={:x}",
            md5::compute(body)
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let signature = hmac::sign(&key, format!("POST\n{path}\n{parameters}").as_bytes());
        let signature: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        post(out, &format!("{path}?{parameters}&auth_signature={signature}"), "", keep_alive, body);
    }
}

impl Dialect for Sockudo {
    fn launch(&self, _: &Place, port: u16) -> Launch {
        let own = [
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", port.to_string()),
            ("SOCKUDO_DEFAULT_APP_ID", APP.to_owned()),
            ("SOCKUDO_DEFAULT_APP_KEY", KEY.to_owned()),
            ("SOCKUDO_DEFAULT_APP_SECRET", SECRET.to_owned()),
            ("SOCKUDO_DEFAULT_APP_MAX_CONNECTIONS", "1000000".to_owned()),
            ("SOCKUDO_DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SECOND", UNLIMITED.to_owned()),
            ("RATE_LIMITER_ENABLED", "false".to_owned()),
            ("METRICS_ENABLED", "false".to_owned()),
            ("RUST_LOG", "error".to_owned()),
        ];
        Launch {
            program: PathBuf::from("sockudo"),
            environment: own.into_iter().collect(),
            ..Launch::default()
        }
    }

    fn target(&self, _: Role) -> String {
        format!("/app/{KEY}?protocol=7&client=load&version=1")
    }

    fn hello(&self, _: &Run, _: Role) -> Vec<u8> {
        let mut out = Vec::new();
        text_into(&mut out, MASK, r#"{"event":"pusher:subscribe","data":{"channel":"all"}}"#);
        out
    }

    fn is_ready(&self, _: Role, message: &[u8]) -> bool {
        memchr::memmem::find(message, b"subscription_succeeded").is_some()
    }

    fn publish(&self, out: &mut Vec<u8>, event: &Event) {
        self.request(out, std::slice::from_ref(event), true);
    }

    fn answer(&self, out: &mut Vec<u8>, _: Role, message: &[u8]) {
        if message.starts_with(br#"{"event":"pusher:ping""#) {
            text_into(out, MASK, r#"{"event":"pusher:pong","data":{}}"#);
        }
    }

    fn publishes_over_http(&self) -> bool {
        true
    }

    fn keeps_publishers(&self) -> bool {
        false
    }

    fn request(&self, out: &mut Vec<u8>, events: &[Event], keep_alive: bool) -> bool {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        match events {
            [event] => {
                let body = json!({"name": "e", "channels": ["all"], "data": event.bare()}).to_string();
                Self::signed(out, "events", &body, seconds, keep_alive);
            }
            _ => {
                let each = |event: &Event| json!({"name": "e", "channel": "all", "data": event.bare()});
                let batch: Vec<_> = events.iter().map(each).collect();
                Self::signed(out, "batch_events", &json!({"batch": batch}).to_string(), seconds, keep_alive);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_signed_over_method_path_and_sorted_parameters() {
        let mut out = Vec::new();
        Sockudo::signed(&mut out, "events", "{}", 1_700_000_000, true);
        let text = String::from_utf8(out).unwrap();
        let line = text.lines().next().unwrap();
        assert_eq!(
            line,
            "POST /apps/load/events?auth_key=load-key&auth_timestamp=1700000000&auth_version=1.0\
             &body_md5=99914b932bd37a50b983c5e7c90ae93b&auth_signature=\
             5aa322ef79a879696b2db5a9d2f656f224f490b50b445a2a0615bd76c61717b2 HTTP/1.1"
        );
        assert!(text.ends_with("Content-Length: 2\r\n\r\n{}"));
    }
}
