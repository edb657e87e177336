//! Tests of the hub as a whole that need to see inside it.

mod panics;
mod turns;

use serde::Deserialize as _;
use serde_json::json;

pub(super) use panics::sabotage;

use super::*;
use crate::config::{GrantConfig, Secret};
use crate::time::UnixTime;

#[test]
fn all_faults_of_a_configuration_are_told_at_once_and_each_key_once() {
    // given: a number out of range, a pattern that is none, a text that is no key and a wrong template
    let mut config = Config::default();
    config.limits.patterns = 0;
    let no_key = "no key, however long this text may be; it has no beginning".repeat(2);
    config.auth.public_keys = vec![Secret::new(&no_key)];
    let wrong = json!({"subscribe": ["?"], "filter": {"tenantId": "$claim"}});
    config.auth.roles.insert("editor".to_owned(), GrantConfig::deserialize(wrong).unwrap());
    // when
    let faults = check(&config);
    // then
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    let expected = [
        "auth.roles.editor.subscribe[0]",
        "limits.patterns",
        "auth.public_keys[0]",
        "auth.roles.editor.filter.tenantId",
    ];
    assert_eq!(keys, expected);
    // and: a hub is refused for the same
    let now = Now { instant: Instant::from_micros(0), unix: UnixTime::from_secs(0) };
    assert_eq!(Hub::new(config, [0; 32], now).unwrap_err(), HubError(faults));
    assert_eq!(check(&Config::default()), []);
}

#[test]
fn connections_that_are_gone_leave_nothing_behind_however_long_their_tokens_are_good() {
    let mut server = panics::Server::new();
    // given: many connections one after the other, each with a token for a day
    for _ in 0..100 {
        let conn = server.websocket(0);
        server.hub.handle(server.now, Input::Closed { conn });
    }
    // when: minutes pass
    let later = Duration::from_secs(301);
    let unix = UnixTime::from_millis(server.now.unix.as_millis() + 301_000);
    server.now = Now { instant: server.now.instant + later, unix };
    server.hub.handle(server.now, Input::Timeout);
    // then
    assert_eq!((server.hub.expiries.len(), server.hub.timers.len()), (0, 0));
}
