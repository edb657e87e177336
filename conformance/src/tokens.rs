//! Tokens: good ones, and the ones that no library would build.
//!
//! Header and claims are JSON that a check may bend at will; only the signature comes from a library.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Map, Value, json};

use crate::outcome::Outcome;

/// Key pairs made for these checks and used nowhere else.
pub(crate) mod keys {
    pub(crate) const RSA: &str = include_str!("../keys/rsa.pem");
    pub(crate) const RSA_PUBLIC: &str = include_str!("../keys/rsa.pub.pem");
    pub(crate) const EC256: &str = include_str!("../keys/ec256.pem");
    pub(crate) const EC256_PUBLIC: &str = include_str!("../keys/ec256.pub.pem");
    pub(crate) const EC384: &str = include_str!("../keys/ec384.pem");
    pub(crate) const EC384_PUBLIC: &str = include_str!("../keys/ec384.pub.pem");
    pub(crate) const ED25519: &str = include_str!("../keys/ed25519.pem");
    pub(crate) const ED25519_PUBLIC: &str = include_str!("../keys/ed25519.pub.pem");
    /// The same public keys: `rsa-any`, `rsa-rs256` (`alg`), `rsa-enc` (`use: enc`), `ec256`, `ec384`, `ed`.
    pub(crate) const JWKS: &str = include_str!("../keys/jwks.json");
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> i64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(passed.as_secs()).unwrap_or(i64::MAX)
}

/// A token in the making: HS256, an hour to live, and a `sub`, until told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Token {
    /// A token of `user`, signed with `secret`.
    pub(crate) fn new(secret: &str, user: &str) -> Self {
        let mut claims = Map::new();
        claims.insert("sub".into(), json!(user));
        claims.insert("exp".into(), json!(unix_now() + 3600));
        let mut header = Map::new();
        header.insert("alg".into(), json!("HS256"));
        header.insert("typ".into(), json!("JWT"));
        Self { header, claims, algorithm: Algorithm::HS256, key: EncodingKey::from_secret(secret.as_bytes()) }
    }

    /// Signs with another key and algorithm, and says so in `alg`.
    pub(crate) fn signed_by(mut self, algorithm: Algorithm, key: EncodingKey) -> Self {
        self.header.insert("alg".into(), json!(format!("{algorithm:?}")));
        self.algorithm = algorithm;
        self.key = key;
        self
    }

    /// Sets a field of the header without changing how the token is signed.
    pub(crate) fn header(mut self, name: &str, value: Value) -> Self {
        self.header.insert(name.into(), value);
        self
    }

    /// Sets a claim.
    pub(crate) fn claim(mut self, name: &str, value: Value) -> Self {
        self.claims.insert(name.into(), value);
        self
    }

    /// Takes a claim out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets the claim `tidings`.
    pub(crate) fn grant(self, grant: Value) -> Self {
        self.claim("tidings", grant)
    }

    /// Allows everything but administration.
    pub(crate) fn full(self) -> Self {
        self.grant(json!({"subscribe": ["*"], "publish": ["*"], "maxPriority": "critical"}))
    }

    /// Allows everything.
    pub(crate) fn admin(self) -> Self {
        self.grant(json!({"subscribe": ["*"], "publish": ["*"], "maxPriority": "critical", "admin": true}))
    }

    /// Ends so many seconds from now.
    pub(crate) fn expires_in(self, seconds: i64) -> Self {
        self.claim("exp", json!(unix_now() + seconds))
    }

    /// The token's text.
    pub(crate) fn sign(&self) -> Outcome<String> {
        self.sign_claims(&Value::Object(self.claims.clone()).to_string())
    }

    /// The token's text with these claims, given as text, in place of its own.
    pub(crate) fn sign_claims(&self, claims: &str) -> Outcome<String> {
        let message = self.message(claims);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm)?;
        Ok(format!("{message}.{signature}"))
    }

    /// The token's text with an empty signature.
    pub(crate) fn unsigned(&self) -> String {
        format!("{}.", self.message(&Value::Object(self.claims.clone()).to_string()))
    }

    fn message(&self, claims: &str) -> String {
        let header = Value::Object(self.header.clone()).to_string();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation, decode};

    const SECRET: &str = "a secret of at least thirty-two bytes";

    #[test]
    fn a_signed_token_is_one_that_a_library_accepts() {
        let token = Token::new(SECRET, "u1").full().sign().unwrap();
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let read = decode::<Value>(&token, &key, &Validation::new(Algorithm::HS256)).unwrap();
        assert_eq!(read.claims["sub"], "u1");
        assert_eq!(read.claims["tidings"]["publish"][0], "*");
    }

    #[test]
    fn every_test_key_signs() {
        let pairs = [
            (Algorithm::RS256, EncodingKey::from_rsa_pem(keys::RSA.as_bytes()).unwrap()),
            (Algorithm::ES256, EncodingKey::from_ec_pem(keys::EC256.as_bytes()).unwrap()),
            (Algorithm::ES384, EncodingKey::from_ec_pem(keys::EC384.as_bytes()).unwrap()),
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(keys::ED25519.as_bytes()).unwrap()),
        ];
        for (algorithm, key) in pairs {
            let token = Token::new(SECRET, "u1").signed_by(algorithm, key).sign().unwrap();
            assert_eq!(token.split('.').count(), 3, "{algorithm:?}");
        }
    }
}
