//! What the section `[auth]` gives, and what is wrong in it beyond its form.

use super::*;
use crate::config::Secret;

fn config(value: Value) -> AuthConfig {
    serde_json::from_value(value).unwrap()
}

fn faults(value: Value) -> Vec<String> {
    let faults = Authenticator::new(&config(value), keyed()).unwrap_err();
    faults.into_iter().map(|fault| fault.key).collect()
}

#[test]
fn the_defaults_have_no_key_and_verify_nothing() {
    let mut authenticator = Authenticator::new(&AuthConfig::default(), keyed()).unwrap();
    assert_eq!(authenticator.verify(&token(json!({})), NOW), Err(TokenError::Key));
}

#[test]
fn every_fault_of_form_and_of_sense_is_named_once_by_its_key() {
    assert_eq!(
        faults(json!({
            "leeway_s": 3601,
            "issuer": "",
            "audience": ["a", ""],
            "role_claims": [""],
            "cache_tokens": 1_000_001,
            "max_revocations": 0,
            "jwt_secret": "short",
            "public_keys": [fixture!("rsa.pem")],
            "roles": {
                "editor": {"subscribe": ["content.*", "content"], "publish": ["**"]},
                "tenant": {"filter": {"a": "$claim", "b": ["$claim.", "$claims.org", "$claim.a..b", "$claim.a"]}},
                "wrong": {"filter": {"a": {}}},
            },
            "default_grant": {"filter": {"a..b": 1}},
            "api_keys": ["s p", {"key": "k", "publish": ["content"], "filter": {"a": {}}}],
        })),
        [
            "auth.jwt_secret",
            "auth.leeway_s",
            "auth.issuer",
            "auth.audience[1]",
            "auth.role_claims[0]",
            "auth.roles.editor.subscribe[1]",
            "auth.roles.editor.publish[0]",
            "auth.roles.wrong.filter",
            "auth.default_grant.filter",
            "auth.api_keys[0]",
            "auth.api_keys[1].publish[0]",
            "auth.api_keys[1].filter",
            "auth.cache_tokens",
            "auth.max_revocations",
            "auth.public_keys[0]",
            "auth.roles.tenant.filter.a",
            "auth.roles.tenant.filter.b",
            "auth.roles.tenant.filter.b",
            "auth.roles.tenant.filter.b",
        ]
    );
}

#[test]
fn a_fault_says_what_belongs_there_and_shows_no_key() {
    let config = config(json!({
        "jwt_secret": fixture!("rsa.pub.pem"),
        "public_keys": [fixture!("rsa.pub.pem"), fixture!("rsa.pem")],
        "jwks": "{}",
        "roles": {"tenant": {"filter": {"tenantId": "$claims.org"}}},
    }));
    let faults = Authenticator::new(&config, keyed()).unwrap_err();
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    let begins = [
        "auth.jwt_secret = (hidden): the secret is a PEM text",
        "auth.public_keys[1]: this is a private key",
        "auth.jwks: the JWKS is not an object with an array `keys`",
        "auth.roles.tenant.filter.tenantId = $claims.org: `$claim.` and the dotted path of a claim",
    ];
    assert_eq!(lines.len(), begins.len(), "{lines:#?}");
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line}");
    }
}

#[test]
fn keys_come_from_the_configuration() {
    let config = AuthConfig {
        jwt_secret: Some(Secret::new(SECRET)),
        public_keys: [fixture!("rsa.pub.pem"), fixture!("p256.pub.pem")].map(Secret::new).into(),
        ..AuthConfig::default()
    };
    assert_eq!(KeySet::from_config(&config).unwrap().len(), 3);
    let mut authenticator = Authenticator::new(&config, keyed()).unwrap();
    assert!(authenticator.verify(&token(json!({})), NOW).is_ok());
}

#[test]
fn how_a_token_may_come_is_known_to_who_reads_requests() {
    let authenticator = authenticator(&config(json!({"query_token": false, "cookie": "session"})));
    assert!(!authenticator.query_token());
    assert_eq!(authenticator.cookie(), Some("session"));
    let defaults = super::authenticator(&AuthConfig::default());
    assert!(defaults.query_token());
    assert_eq!(defaults.cookie(), None);
}

#[test]
fn a_publisher_is_known_by_its_key_alone() {
    let authenticator = authenticator(&config(json!({"api_keys": [{"key": "a-key", "name": "cms"}]})));
    assert_eq!(authenticator.api_key("a-key").map(|key| &**key.name()), Some("cms"));
    assert_eq!(authenticator.api_key("cms"), None);
}
