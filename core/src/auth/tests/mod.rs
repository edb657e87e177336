//! The rules of PROTOCOL §2 on tokens, one test a sentence, the hostile cases with them.

mod claims;
mod config;
mod grants;
mod keys;
mod time;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW_S: i64 = 1_790_000_000;
const NOW: UnixTime = UnixTime::from_secs(NOW_S);

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys/", $name))
    };
}
use fixture;

fn keyed() -> Keyed {
    Keyed::new([1, 2])
}

fn secret_keys() -> KeySet {
    let mut keys = KeySet::empty();
    keys.add_secret(SECRET.as_bytes()).unwrap();
    keys
}

fn authenticator(config: &AuthConfig) -> Authenticator {
    let mut authenticator = Authenticator::new(config, keyed()).unwrap();
    authenticator.replace_keys(secret_keys());
    authenticator
}

fn with_keys(keys: KeySet) -> Authenticator {
    let mut authenticator = Authenticator::new(&AuthConfig::default(), keyed()).unwrap();
    authenticator.replace_keys(keys);
    authenticator
}

/// A token of exactly these texts, signed rightly.
fn sign(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// A token with these header and claims texts, signed with the secret.
fn hs256(header: &str, claims: &str) -> String {
    sign(header, claims, &EncodingKey::from_secret(SECRET.as_bytes()), Algorithm::HS256)
}

/// A good token with `claims` on top of `sub` and `exp`; a claim that is `null` is left out.
#[expect(
    clippy::needless_pass_by_value,
    reason = "`json!` makes a value, and the tests read better without `&`"
)]
fn token(claims: Value) -> String {
    let mut all = json!({"sub": "u1", "exp": NOW_S + 60});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    hs256(r#"{"alg":"HS256","typ":"JWT"}"#, &all.to_string())
}

fn verify(config: &AuthConfig, claims: Value) -> Result<Arc<Identity>, TokenError> {
    authenticator(config).verify(&token(claims), NOW)
}

/// The claim that is at fault.
fn fault(result: Result<Arc<Identity>, TokenError>) -> &'static str {
    match result {
        Err(TokenError::Claim { claim, .. }) => claim,
        other => panic!("not a fault of a claim: {other:?}"),
    }
}
