//! Tokens: texts as they come, and headers and claims of every kind under a good signature. Whoever is let in
//! fulfils every rule that a plain reading of the token finds, and no answer depends on what is remembered.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use tidings_core::auth::{Authenticator, Identity, TOKEN_MAX, TokenError};
use tidings_core::config::{AuthConfig, GrantConfig, Secret};
use tidings_core::event::Fields;
use tidings_core::map::Keyed;
use tidings_core::time::UnixTime;

use crate::model::matching::Grants;
use crate::token::SECRET;
use crate::world::EPOCH_MS;

/// Panics where the authenticator does, where a token that breaks a rule is accepted, where a token's text
/// shows in an error or an identity, and where asking twice gives another answer.
///
/// The first byte says what is configured and whether the rest is a token, or a line with its header and then
/// its claims, which are signed here.
pub fn token(bytes: &[u8]) {
    let [kind, rest @ ..] = bytes else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let signed = if kind & 1 == 0 { Some(text.to_owned()) } else { sign(text) };
    let Some(token) = signed else { return };
    let config = config(kind >> 1);
    let fresh = AuthConfig { cache_tokens: 0, ..config.clone() };
    let remembering = &mut authenticator(&config);
    for at_s in [0, 0, 3600, -3600, 0] {
        let now = UnixTime::from_millis(EPOCH_MS + at_s * 1000);
        let first = authenticator(&fresh).verify(&token, now);
        assert_eq!(remembering.verify(&token, now), first, "what is remembered changes nothing");
        assert_eq!(remembering.verify(&token, now), first, "asking twice changes nothing");
        match first {
            Ok(identity) => check_accepted(&token, &identity, &config, now),
            Err(error) => check_refused(&token, error),
        }
    }
}

fn authenticator(config: &AuthConfig) -> Authenticator {
    Authenticator::new(config, Keyed::new([1, 2])).expect("the configuration of a target is valid")
}

fn config(bits: u8) -> AuthConfig {
    let mut config = AuthConfig { jwt_secret: Some(Secret::new(SECRET)), ..AuthConfig::default() };
    config.require_exp = bits & 1 == 0;
    if bits & 2 != 0 {
        config.issuer = Some("us".to_owned());
    }
    if bits & 4 != 0 {
        config.audience = vec!["panel".to_owned(), "api".to_owned()].into();
    }
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let tenant = json!({"tenantId": "$claim.org"}).as_object().cloned().unwrap_or_default();
    let role = |subscribe, filter| GrantConfig { subscribe, filter, ..GrantConfig::default() };
    config.roles.insert("viewer".to_owned(), role(texts(&["*"]), tenant));
    config.roles.insert("ops".to_owned(), role(texts(&["system.*"]), serde_json::Map::new()));
    config
}

/// The token of a header and of claims, a line each, with the signature that the header asks for.
fn sign(text: &str) -> Option<String> {
    let (header, claims) = text.split_once('\n')?;
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = signature(&message, &serde_json::from_str(header).unwrap_or_default());
    Some(format!("{message}.{signature}"))
}

fn signature(message: &str, header: &Value) -> String {
    let algorithm = match header["alg"].as_str() {
        Some("HS512") => Algorithm::HS512,
        Some("HS384") => Algorithm::HS384,
        _ => Algorithm::HS256,
    };
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    crypto::sign(message.as_bytes(), &key, algorithm).expect("a secret signs anything")
}

/// A plain reading of a token that was accepted.
fn check_accepted(token: &str, identity: &Identity, config: &AuthConfig, now: UnixTime) {
    assert!(token.len() <= TOKEN_MAX);
    let (message, signed) = token.rsplit_once('.').expect("a token has three parts");
    let (head, body) = message.split_once('.').expect("a token has three parts");
    let read = |part| URL_SAFE_NO_PAD.decode(part).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let (header, claims): (Value, Value) = read(head).zip(read(body)).expect("a token is JSON");
    assert!(matches!(header["alg"].as_str(), Some("HS256" | "HS384" | "HS512")));
    assert!(header.get("crit").is_none());
    assert_eq!(signed, signature(message, &header));
    assert_eq!(claims["sub"], **identity.user());
    assert!((1..=256).contains(&identity.user().chars().count()));
    let time = |name: &str| {
        let claim = claims.get(name)?;
        Some(claim.as_f64().expect("a time is a number"))
    };
    #[expect(clippy::cast_precision_loss, reason = "a wall clock's seconds are far below 2^53")]
    let (now_s, leeway_s) = (now.as_millis() as f64 / 1000.0, f64::from(config.leeway_s));
    assert!(!config.require_exp || time("exp").is_some());
    assert!(time("exp").is_none_or(|exp| now_s < exp + leeway_s));
    assert!(time("nbf").is_none_or(|nbf| nbf <= now_s + leeway_s + 0.001));
    assert!(config.issuer.as_ref().is_none_or(|issuer| claims["iss"] == **issuer));
    let ours = |claim: &Value| config.audience.iter().any(|ours| claim == ours.as_str());
    let is_ours = ours(&claims["aud"]) || claims["aud"].as_array().is_some_and(|all| all.iter().any(ours));
    assert!(config.audience.is_empty() || is_ours);
    check_grant(identity, &Grants::of(&claims, config));
    check_hidden(signed, &format!("{identity:?}"));
}

/// What may be received is the same to the core and to the model.
fn check_grant(identity: &Identity, plain: &Grants) {
    for event in [
        json!({"type": "system.error", "source": "/a", "data": {"tenantId": "t1"}}),
        json!({"type": "content.created", "source": "/b", "subject": "s", "data": {"tenantId": ["t1"], "n": 1}}),
        json!({"type": "user.login", "source": "/a", "data": {"tenantId": "t2", "geo": {"city": "Bonn"}}}),
    ] {
        let fields = Fields::from_event(&event.to_string()).expect("an event is an object");
        let name = event["type"].as_str().expect("an event has a type");
        assert_eq!(identity.grant().permits_delivery(name, &fields), plain.permit(&event), "{event}");
    }
}

fn check_refused(token: &str, error: TokenError) {
    let told = format!("{error} {error:?} {}", error.reason());
    token.split('.').for_each(|part| check_hidden(part, &told));
}

/// No part of a token that could be told from a word stands in what is logged.
fn check_hidden(part: &str, told: &str) {
    let is_telling = 16 <= part.len() && part.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(!is_telling || !told.contains(part), "a token is shown: {told}");
}
