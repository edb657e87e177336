//! Public keys out of PEM texts (RFC 7468). Only public keys get through: a private key on the server is
//! a fault to report, not a key to use.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};

use super::keys::{KeyError, PublicKey};

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// The `SubjectPublicKeyInfo` of these three has one encoding each, up to the key's own bytes.
const P256_PREFIX: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const P384_PREFIX: &[u8] =
    b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";
const ED25519_PREFIX: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// Every public key of the text, at least one.
pub(super) fn public_keys(text: &str) -> Result<Vec<PublicKey>, KeyError> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let block = Block::parse(&rest[begin..])?;
        keys.push(block.public_key()?);
        rest = &rest[begin + block.text.len()..];
    }
    if keys.is_empty() { Err(KeyError::Pem("it has no `-----BEGIN`")) } else { Ok(keys) }
}

struct Block<'a> {
    label: &'a str,
    /// From the first dash to the last.
    text: &'a str,
    der: Vec<u8>,
}

impl<'a> Block<'a> {
    /// The block with which `text` begins.
    fn parse(text: &'a str) -> Result<Self, KeyError> {
        const UNFINISHED: KeyError = KeyError::Pem("a block has no end");
        let head = text.strip_prefix(BEGIN).and_then(|rest| rest.split_once(DASHES));
        let (label, body) = head.ok_or(UNFINISHED)?;
        let end = format!("-----END {label}-----");
        let (body, _) = body.split_once(&end).ok_or(UNFINISHED)?;
        let len = BEGIN.len() + label.len() + DASHES.len() + body.len() + end.len();
        let text = text.get(..len).ok_or(UNFINISHED)?;
        let base64: String = body.split_ascii_whitespace().collect();
        // What an encrypted private key has before its base64 is not base64; its label is judged first.
        let der = STANDARD.decode(base64).unwrap_or_default();
        Ok(Self { label, text, der })
    }

    fn public_key(&self) -> Result<PublicKey, KeyError> {
        match self.label {
            label if label.ends_with("PRIVATE KEY") => Err(KeyError::PrivateKey),
            label if label.ends_with("CERTIFICATE") => Err(KeyError::Certificate),
            "PUBLIC KEY" | "RSA PUBLIC KEY" if self.der.is_empty() => {
                Err(KeyError::Pem("a block is not base64"))
            }
            "PUBLIC KEY" => self.subject_public_key(),
            "RSA PUBLIC KEY" => self.rsa(),
            _ => Err(KeyError::Unsupported),
        }
    }

    fn subject_public_key(&self) -> Result<PublicKey, KeyError> {
        if let Some(point) = self.der.strip_prefix(P256_PREFIX) {
            return p256(point.to_vec());
        }
        if let Some(point) = self.der.strip_prefix(P384_PREFIX) {
            return p384(point.to_vec());
        }
        if let Some(bytes) = self.der.strip_prefix(ED25519_PREFIX) {
            return ed25519(bytes.to_vec());
        }
        self.rsa()
    }

    /// Modulus and exponent, read by the library.
    fn rsa(&self) -> Result<PublicKey, KeyError> {
        let key = DecodingKey::from_rsa_pem(self.text.as_bytes()).map_err(|_| KeyError::Unsupported)?;
        let jwk = Jwk::from_decoding_key(&key, None).map_err(|_| KeyError::Unsupported)?;
        let AlgorithmParameters::RSA(rsa) = jwk.algorithm else {
            return Err(KeyError::Unsupported);
        };
        let decode = |text| URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Unsupported);
        Ok(PublicKey::Rsa { modulus: decode(rsa.n)?, exponent: decode(rsa.e)? })
    }
}

pub(super) fn p256(point: Vec<u8>) -> Result<PublicKey, KeyError> {
    if is_point(&point, 65) { Ok(PublicKey::P256(point)) } else { Err(KeyError::Unsupported) }
}

pub(super) fn p384(point: Vec<u8>) -> Result<PublicKey, KeyError> {
    if is_point(&point, 97) { Ok(PublicKey::P384(point)) } else { Err(KeyError::Unsupported) }
}

pub(super) fn ed25519(bytes: Vec<u8>) -> Result<PublicKey, KeyError> {
    if bytes.len() == 32 { Ok(PublicKey::Ed25519(bytes)) } else { Err(KeyError::Unsupported) }
}

fn is_point(point: &[u8], len: usize) -> bool {
    point.len() == len && point.first() == Some(&0x04)
}
