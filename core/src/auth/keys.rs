//! The keys that tokens are verified with. A key says which algorithms it allows; a token only chooses
//! among them, so a public key can never be taken for a secret.
//!
//! The library verifies one signature by one key and one algorithm; which key and which algorithm is
//! decided here.

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use sha2::{Digest as _, Sha256};
use std::fmt;
use thiserror::Error;

use super::token::TokenError;
use super::{jwks, pem};
use crate::config::{AuthConfig, ConfigFault};

/// Names a key by its content: the same key from a PEM file and from a JWKS has one fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyFingerprint([u8; 32]);

impl fmt::Debug for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The digest of a weak secret would let a reader of logs guess it.
        f.write_str("KeyFingerprint(..)")
    }
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The secret could be guessed.
    #[error("the secret has {0} bytes, at least {min} are needed", min = KeySet::SECRET_MIN)]
    SecretTooShort(usize),
    /// A PEM where a secret belongs: everybody who knows that public key could sign.
    #[error("the secret is a PEM text; public keys belong in `public_keys`")]
    SecretIsPem,
    /// The text is not PEM.
    #[error("not a PEM text: {0}")]
    Pem(&'static str),
    /// The server needs no private key and must not have one.
    #[error(
        "this is a private key; give the public one (`openssl pkey -in private.pem -pubout`) and keep this one off the server"
    )]
    PrivateKey,
    /// A certificate is not taken for its key.
    #[error("this is a certificate; give its public key (`openssl x509 -pubkey -noout -in certificate.pem`)")]
    Certificate,
    /// A key of a kind that no allowed algorithm uses.
    #[error("not a public key of RSA, P-256, P-384 or Ed25519")]
    Unsupported,
    /// An RSA key that the library would not verify with.
    #[error("the RSA key has {0} bits, 2048 to 8192 are needed")]
    RsaSize(usize),
    /// An RSA key with an exponent that makes it no key.
    #[error("the exponent of the RSA key is not an odd number above 1")]
    RsaExponent,
    /// The JWKS is not JSON, or a key stands twice in one of its objects.
    #[error("the JWKS is not JSON: {0}")]
    JwksJson(String),
    /// The JWKS has no array `keys`.
    #[error("the JWKS is not an object with an array `keys`")]
    JwksShape,
    /// A secret in a document that is public.
    #[error("key {0} of the JWKS is symmetric; a secret belongs in `jwt_secret` and in no JWKS")]
    JwksSymmetric(usize),
    /// A private key in a document that is public.
    #[error("key {0} of the JWKS is a private key; publish its public half only and replace it")]
    JwksPrivate(usize),
    /// No key of the JWKS can verify a token.
    #[error("the JWKS has no usable key: RSA, P-256, P-384 or Ed25519 for signatures")]
    JwksUnusable,
    /// More keys than the set holds.
    #[error("more than {max} keys", max = KeySet::KEYS_MAX)]
    TooMany,
}

/// One key, and the algorithms that it allows.
#[derive(Clone, Debug)]
struct Key {
    /// The name by which a token chooses it. A key without one is tried for every token of its algorithm.
    kid: Option<Box<str>>,
    algorithms: Box<[Algorithm]>,
    fingerprint: KeyFingerprint,
    decoding: DecodingKey,
}

/// What a public key consists of, whatever it was written in.
pub(super) enum PublicKey {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point, 65 bytes.
    P256(Vec<u8>),
    /// An uncompressed point, 97 bytes.
    P384(Vec<u8>),
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

/// What a signature was verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) key: KeyFingerprint,
    pub(super) algorithm: Algorithm,
}

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The keys that tokens are verified with.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// Bytes that a secret must have at least.
    pub const SECRET_MIN: usize = 32;
    /// Keys that a set holds at most.
    pub const KEYS_MAX: usize = 64;
    /// Keys that are tried for one token that names none. Bounds what a forged token costs.
    pub const TRIED_MAX: usize = 8;

    /// A set without keys: no token is good.
    #[must_use]
    pub const fn empty() -> Self {
        Self { keys: Vec::new() }
    }

    /// The keys that a configuration holds. A shell that gets more from elsewhere adds them.
    ///
    /// # Errors
    /// Every key that cannot be used.
    pub fn from_config(config: &AuthConfig) -> Result<Self, Vec<ConfigFault>> {
        let (mut keys, mut faults) = (Self::empty(), Vec::new());
        if let Some(secret) = &config.jwt_secret
            && let Err(error) = keys.add_secret(secret.expose().as_bytes())
        {
            faults.push(ConfigFault::hidden("auth.jwt_secret", error.to_string()));
        }
        let mut note = |key: &str, added: Result<(), KeyError>| {
            // The text is not shown: where it is a private key, it must not be.
            faults.extend(added.err().map(|error| ConfigFault::new(key, &"", error.to_string())));
        };
        for (index, pem) in config.public_keys.iter().enumerate() {
            note(&format!("auth.public_keys[{index}]"), keys.add_pem(pem.expose()));
        }
        if let Some(jwks) = &config.jwks {
            note("auth.jwks", keys.add_jwks(jwks.expose()));
        }
        if faults.is_empty() { Ok(keys) } else { Err(faults) }
    }

    /// Whether no token can be good.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Adds a secret, for HS256, HS384 and HS512.
    ///
    /// # Errors
    /// Where it is shorter than [`Self::SECRET_MIN`] bytes, or is the text of a PEM file.
    pub fn add_secret(&mut self, secret: &[u8]) -> Result<(), KeyError> {
        if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Err(KeyError::SecretIsPem);
        }
        if secret.len() < Self::SECRET_MIN {
            return Err(KeyError::SecretTooShort(secret.len()));
        }
        let fingerprint = fingerprint(b"hmac", &[secret]);
        let decoding = DecodingKey::from_secret(secret);
        self.push(Key { kid: None, algorithms: HMAC.into(), fingerprint, decoding })
    }

    /// Adds every public key of a PEM text: RSA for RS and PS, P-256 for ES256, P-384 for ES384, Ed25519
    /// for EdDSA. Where one is at fault, none is added.
    ///
    /// # Errors
    /// Where the text is not PEM, or holds anything else than public keys of these kinds.
    pub fn add_pem(&mut self, pem: &str) -> Result<(), KeyError> {
        let mut extended = self.clone();
        for key in pem::public_keys(pem)? {
            extended.push(Key::public(key, None, None)?)?;
        }
        *self = extended;
        Ok(())
    }

    /// Adds the keys of a JWKS (RFC 7517). A key that is not for signatures, or of a kind or with an
    /// algorithm that is not supported, is passed over. Where the document is at fault, none is added.
    ///
    /// # Errors
    /// Where it is not a JWKS, has a symmetric or a private key in it, or no usable key at all.
    pub fn add_jwks(&mut self, json: &str) -> Result<(), KeyError> {
        let mut extended = self.clone();
        for jwk in jwks::signature_keys(json)? {
            // RFC 7517 §5: what is out of the supported range is passed over, not an error.
            if let Ok(key) = Key::public(jwk.key, jwk.kid, jwk.algorithm) {
                extended.push(key)?;
            }
        }
        if extended.len() == self.len() {
            return Err(KeyError::JwksUnusable);
        }
        *self = extended;
        Ok(())
    }

    /// Whether what a signature was verified with is in the set still, with that algorithm.
    pub(super) fn allows(&self, verified: Verified) -> bool {
        let same = |key: &&Key| key.fingerprint == verified.key;
        self.keys.iter().filter(same).any(|key| key.algorithms.contains(&verified.algorithm))
    }

    /// Verifies the signature of `message`. The algorithm and the key are those of the token's header,
    /// and count only where a key of the set agrees.
    pub(super) fn verify(
        &self,
        algorithm: &str,
        kid: Option<&str>,
        message: &[u8],
        signature: &str,
    ) -> Result<Verified, TokenError> {
        let algorithm: Algorithm = algorithm.parse().map_err(|_| TokenError::Algorithm)?;
        for key in self.candidates(algorithm, kid)?.into_iter().take(Self::TRIED_MAX) {
            let verified = crypto::verify(signature, message, &key.decoding, algorithm)
                .map_err(|_| TokenError::Malformed)?;
            if verified {
                return Ok(Verified { key: key.fingerprint, algorithm });
            }
        }
        Err(TokenError::Signature)
    }

    /// The keys that a token may mean: those of its `kid`; where none has it, those without a name; where
    /// it has no `kid`, all. Of these, those that allow its algorithm.
    fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Vec<&Key>, TokenError> {
        if self.is_empty() {
            return Err(TokenError::Key);
        }
        let of_algorithm = |key: &&Key| key.algorithms.contains(&algorithm);
        if !self.keys.iter().any(|key| of_algorithm(&key)) {
            return Err(TokenError::Algorithm);
        }
        let Some(kid) = kid else {
            return Ok(self.keys.iter().filter(of_algorithm).collect());
        };
        let named: Vec<_> = self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).collect();
        if named.is_empty() {
            let nameless = self.keys.iter().filter(|key| key.kid.is_none());
            let nameless: Vec<_> = nameless.filter(of_algorithm).collect();
            return if nameless.is_empty() { Err(TokenError::Key) } else { Ok(nameless) };
        }
        let named: Vec<_> = named.into_iter().filter(of_algorithm).collect();
        if named.is_empty() { Err(TokenError::Algorithm) } else { Ok(named) }
    }

    fn push(&mut self, key: Key) -> Result<(), KeyError> {
        let known = |other: &Key| {
            (&other.kid, &other.algorithms, other.fingerprint) == (&key.kid, &key.algorithms, key.fingerprint)
        };
        if self.keys.iter().any(known) {
            return Ok(());
        }
        if self.keys.len() == Self::KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        self.keys.push(key);
        Ok(())
    }
}

impl Key {
    /// The key with all algorithms of its kind, or with `only` that one.
    fn public(key: PublicKey, kid: Option<Box<str>>, only: Option<Algorithm>) -> Result<Self, KeyError> {
        let (algorithms, fingerprint, decoding) = match key {
            PublicKey::Rsa { modulus, exponent } => {
                let (n, e) = (check_modulus(&modulus)?, check_exponent(&exponent)?);
                (RSA, fingerprint(b"rsa", &[n, e]), DecodingKey::from_rsa_raw_components(n, e))
            }
            PublicKey::P256(point) => {
                let decoding = DecodingKey::from_ec_der(&point);
                (&[Algorithm::ES256][..], fingerprint(b"p256", &[&point]), decoding)
            }
            PublicKey::P384(point) => {
                let decoding = DecodingKey::from_ec_der(&point);
                (&[Algorithm::ES384][..], fingerprint(b"p384", &[&point]), decoding)
            }
            PublicKey::Ed25519(bytes) => {
                let decoding = DecodingKey::from_ed_der(&bytes);
                (&[Algorithm::EdDSA][..], fingerprint(b"ed25519", &[&bytes]), decoding)
            }
        };
        let algorithms: Box<[_]> = match only {
            None => algorithms.into(),
            Some(only) if algorithms.contains(&only) => Box::new([only]),
            Some(_) => return Err(KeyError::Unsupported),
        };
        Ok(Self { kid, algorithms, fingerprint, decoding })
    }
}

/// The modulus without leading zeros, where its length is one that the library verifies with.
fn check_modulus(modulus: &[u8]) -> Result<&[u8], KeyError> {
    let modulus = without_leading_zeros(modulus);
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = modulus.len() * 8 - unused;
    if (2048..=8192).contains(&bits) { Ok(modulus) } else { Err(KeyError::RsaSize(bits)) }
}

/// The exponent without leading zeros. With an exponent of 1 every text would be its own signature.
fn check_exponent(exponent: &[u8]) -> Result<&[u8], KeyError> {
    let exponent = without_leading_zeros(exponent);
    let odd = exponent.last().is_some_and(|byte| byte % 2 == 1);
    if odd && exponent != [1] { Ok(exponent) } else { Err(KeyError::RsaExponent) }
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn fingerprint(kind: &[u8], parts: &[&[u8]]) -> KeyFingerprint {
    let mut digest = Sha256::new();
    for part in [kind].iter().chain(parts) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    KeyFingerprint(digest.finalize().into())
}
