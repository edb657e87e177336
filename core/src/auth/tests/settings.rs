//! The section `[auth]`: its defaults, its forms, its faults.

use super::*;
use crate::event::Priority;

fn settings(value: Value) -> Result<Settings, serde_json::Error> {
    serde_json::from_value(value)
}

fn faults(value: Value) -> Vec<String> {
    let faults = Authenticator::new(settings(value).unwrap(), KeySet::empty(), keyed()).unwrap_err();
    faults.into_iter().map(|fault| fault.key).collect()
}

#[test]
fn an_empty_section_is_the_default() {
    assert_eq!(settings(json!({})).unwrap(), Settings::default());
    assert!(Authenticator::new(Settings::default(), KeySet::empty(), keyed()).is_ok());
}

#[test]
fn a_role_allows_the_least_where_it_says_nothing() {
    let settings = settings(json!({"roles": {"a": {}}, "default_grant": {"admin": true}})).unwrap();
    assert_eq!(settings.roles["a"], GrantSettings::default());
    assert_eq!(settings.default_grant, GrantSettings { admin: true, ..GrantSettings::default() });
    assert_eq!(settings.roles["a"].max_priority, Priority::Normal);
}

#[test]
fn unknown_keys_are_refused_everywhere() {
    for value in [
        json!({"jwt_secrets": "x"}),
        json!({"leewayS": 3}),
        json!({"roles": {"a": {"subscribes": []}}}),
        json!({"roles": {"a": {"maxPriority": "high"}}}),
        json!({"default_grant": {"x": 1}}),
        json!({"api_keys": [{"key": "0123456789abcdef", "subscribe": ["*"]}]}),
        json!({"api_keys": [{"name": "no key"}]}),
        json!({"api_keys": [7]}),
    ] {
        assert!(settings(value.clone()).is_err(), "{value}");
    }
}

#[test]
fn an_api_key_is_a_table_or_only_the_key_and_an_audience_a_list_or_one() {
    let settings = settings(json!({
        "audience": "tidings",
        "api_keys": ["0123456789abcdef", {"name": "cms", "key": "fedcba9876543210", "max_priority": "high"}],
    }))
    .unwrap();
    assert_eq!(settings.audience, ["tidings"]);
    assert_eq!(settings.api_keys[0], "0123456789abcdef".into());
    assert_eq!(
        settings.api_keys[1],
        ApiKeySettings {
            name: Some("cms".into()),
            max_priority: Priority::High,
            .."fedcba9876543210".into()
        }
    );
}

#[test]
fn every_fault_is_named_by_its_key() {
    assert_eq!(
        faults(json!({
            "leeway_s": 3601,
            "issuer": "",
            "audience": ["a", ""],
            "role_claims": [""],
            "cookie": "a b",
            "cache_tokens": 1_000_001,
            "max_revocations": 0,
            "roles": {
                "editor": {"subscribe": ["content.*", "content"], "publish": ["**"]},
                "tenant": {"filter": {"a": "$claim", "b": ["$claim.", "$claims.org", "$claim.a..b", "$claim.a"]}},
                "wrong": {"filter": {"a": {}}},
            },
            "default_grant": {"filter": {"a..b": 1}},
            "api_keys": ["short"],
        })),
        [
            "auth.leeway_s",
            "auth.issuer",
            "auth.audience[1]",
            "auth.role_claims[0]",
            "auth.cookie",
            "auth.cache_tokens",
            "auth.max_revocations",
            "auth.roles.editor.subscribe[1]",
            "auth.roles.editor.publish[0]",
            "auth.roles.tenant.filter.a",
            "auth.roles.tenant.filter.b",
            "auth.roles.tenant.filter.b",
            "auth.roles.tenant.filter.b",
            "auth.roles.wrong.filter",
            "auth.default_grant.filter",
            "auth.api_keys[0].key",
        ]
    );
}

#[test]
fn keys_come_from_the_settings_and_their_faults_too() {
    let good = Settings {
        jwt_secret: Some(SECRET.into()),
        public_keys: vec![fixture!("rsa.pub.pem").into(), fixture!("p256.pub.pem").into()],
        ..Settings::default()
    };
    assert_eq!(good.keys().unwrap().len(), 3);
    let bad = Settings {
        jwt_secret: Some("short".into()),
        public_keys: vec![fixture!("rsa.pub.pem").into(), fixture!("rsa.pem").into()],
        jwks: Some("{}".into()),
        ..Settings::default()
    };
    let keys: Vec<_> = bad.keys().unwrap_err().into_iter().map(|fault| fault.key).collect();
    assert_eq!(keys, ["auth.jwt_secret", "auth.public_keys[1]", "auth.jwks"]);
}

#[test]
fn how_a_token_may_come_is_known_to_who_reads_requests() {
    let settings = settings(json!({"query_token": false, "cookie": "session"})).unwrap();
    let authenticator = authenticator(settings);
    assert!(!authenticator.query_token());
    assert_eq!(authenticator.cookie(), Some("session"));
}
