//! Tokens of simulated users.

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

/// The secret that a world's hub verifies tokens with.
pub const SECRET: &str = "a secret of the simulation, 32 bytes and more";

/// A token with these claims, signed with [`SECRET`].
#[must_use]
pub fn sign(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).expect("claims are JSON, and HS256 signs anything")
}

/// `claims` with `sub`, and with `exp` an hour after `now_s`, where they do not say otherwise. A claim that is
/// `null` is left out.
pub(crate) fn complete(claims: &Value, now_s: i64) -> Value {
    let mut all = json!({"sub": "ann", "exp": now_s + 3600});
    let (Some(all_claims), Some(given)) = (all.as_object_mut(), claims.as_object()) else { return all };
    all_claims.extend(given.clone());
    all_claims.retain(|_, value| !value.is_null());
    all
}
