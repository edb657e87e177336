//! The keys of a JWKS (RFC 7517) that verify signatures. The document is public, so a secret or a
//! private key in it is a fault; everything that is merely not for us is passed over.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::keys::{KeyError, PublicKey};
use super::pem;
use crate::event::parse_strict;

/// A key, its name, and the one algorithm that it is for where it says so.
pub(super) struct SignatureKey {
    pub(super) kid: Option<Box<str>>,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) key: PublicKey,
}

pub(super) fn signature_keys(json: &str) -> Result<Vec<SignatureKey>, KeyError> {
    let document = parse_strict(json).map_err(|fault| KeyError::JwksJson(fault.to_string()))?;
    let keys = document.get("keys").and_then(Value::as_array).ok_or(KeyError::JwksShape)?;
    let mut usable = Vec::new();
    for (index, jwk) in keys.iter().enumerate() {
        let jwk = jwk.as_object().ok_or(KeyError::JwksShape)?;
        if text(jwk, "kty") == Some("oct") {
            return Err(KeyError::JwksSymmetric(index));
        }
        if jwk.contains_key("d") {
            return Err(KeyError::JwksPrivate(index));
        }
        usable.extend(signature_key(jwk));
    }
    Ok(usable)
}

fn signature_key(jwk: &Map<String, Value>) -> Option<SignatureKey> {
    let for_signatures = jwk.get("use").is_none_or(|usage| usage == "sig");
    let for_verifying = jwk
        .get("key_ops")
        .is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")));
    if !for_signatures || !for_verifying {
        return None;
    }
    let kid = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?.into()),
    };
    let algorithm = match jwk.get("alg") {
        None => None,
        Some(algorithm) => Some(algorithm.as_str()?.parse().ok()?),
    };
    Some(SignatureKey { kid, algorithm, key: public_key(jwk)? })
}

fn public_key(jwk: &Map<String, Value>) -> Option<PublicKey> {
    let bytes = |name| URL_SAFE_NO_PAD.decode(text(jwk, name)?).ok();
    // RFC 7518 §6.2.1.2: a coordinate has the full length of the curve, so it is not padded here. With `x` of
    // that length, the length of the whole point says that `y` has it too.
    let point = |len: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        (x.len() == len).then(|| [&[0x04][..], &x, &y].concat())
    };
    match (text(jwk, "kty")?, text(jwk, "crv")) {
        ("RSA", _) => Some(PublicKey::Rsa { modulus: bytes("n")?, exponent: bytes("e")? }),
        ("EC", Some("P-256")) => pem::p256(point(32)?).ok(),
        ("EC", Some("P-384")) => pem::p384(point(48)?).ok(),
        ("OKP", Some("Ed25519")) => pem::ed25519(bytes("x")?).ok(),
        _ => None,
    }
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name)?.as_str()
}
