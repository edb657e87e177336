//! A token from its text to an identity: header, signature, claims, in this order, and times last.
//!
//! Header and claims are read by our own strict rules; the library is asked for nothing but the
//! signature. No message here holds any part of a token.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use thiserror::Error;

use super::grant::Grant;
use super::keys::{KeySet, Verified};
use super::role::Roles;
use crate::config::{Audience, AuthConfig};
use crate::event::parse_strict;
use crate::time::UnixTime;

/// Bytes that a token may have.
pub const TOKEN_MAX: usize = 8 * 1024;
/// Characters that `sub` may have.
pub const USER_MAX: usize = 256;

/// Why a token is refused. On a connection each of them is close 4401, over HTTP 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// There is none.
    #[error("no token")]
    Missing,
    /// The field that may have it stands in a request twice.
    #[error("the Authorization field is repeated")]
    Repeated,
    /// It is over [`TOKEN_MAX`].
    #[error("the token is over {TOKEN_MAX} bytes")]
    TooLong,
    /// It is not three parts of base64url, with JSON objects in the first two in which no key stands twice.
    #[error("the token is malformed")]
    Malformed,
    /// Its header has `crit`: none of the extensions that could be critical is understood.
    #[error("the token's header has `crit`")]
    Critical,
    /// Its algorithm is not one of the key's.
    #[error("the token's algorithm is not one of the configured keys'")]
    Algorithm,
    /// Its `kid` names no key, or there is no key at all.
    #[error("the token names a key that is not configured")]
    Key,
    /// The signature is not that of a configured key.
    #[error("the token's signature is wrong")]
    Signature,
    /// `exp` and the leeway have passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is further away than the leeway.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A claim is missing or wrong.
    #[error("the token's claim `{claim}` {problem}")]
    Claim {
        /// The claim's name.
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The user's tokens were revoked after this one was issued.
    #[error("the token has been revoked")]
    Revoked,
}

impl TokenError {
    /// A stable name for metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Repeated => "repeated",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Critical => "critical",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Claim { .. } => "claim",
            Self::Revoked => "revoked",
        }
    }
}

/// Who a verified token speaks for, and what it allows. The token itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    user: Arc<str>,
    grant: Arc<Grant>,
    expires_at: Option<UnixTime>,
    not_before: Option<UnixTime>,
    issued_at: Option<UnixTime>,
    leeway_s: u32,
    verified: Verified,
}

impl Identity {
    /// The claim `sub`: 1 to 256 characters.
    #[must_use]
    pub const fn user(&self) -> &Arc<str> {
        &self.user
    }

    /// What is allowed.
    #[must_use]
    pub const fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// The claim `exp`, without leeway. Times beyond the year 9999 are its end.
    #[must_use]
    pub const fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }

    /// The claim `iat`.
    #[must_use]
    pub const fn issued_at(&self) -> Option<UnixTime> {
        self.issued_at
    }

    /// When the token stops being good: `exp` plus the leeway. From this moment on it is expired.
    #[must_use]
    pub fn deadline(&self) -> Option<UnixTime> {
        self.expires_at.map(|at| later(at, self.leeway_s))
    }

    /// The same identity, with a grant that is shared.
    pub(super) fn with_grant(self, share: impl FnOnce(Arc<Grant>) -> Arc<Grant>) -> Self {
        Self { grant: share(self.grant), ..self }
    }

    pub(super) const fn verified(&self) -> Verified {
        self.verified
    }

    /// Whether the token's times hold at `now`.
    pub(super) fn check_times(&self, now: UnixTime) -> Result<(), TokenError> {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            return Err(TokenError::Expired);
        }
        if self.not_before.is_some_and(|begin| later(now, self.leeway_s) < begin) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

fn later(at: UnixTime, secs: u32) -> UnixTime {
    UnixTime::from_millis(at.as_millis().saturating_add(i64::from(secs) * 1000))
}

/// What claims must say beyond being well-formed, and what they grant.
#[derive(Debug)]
pub(super) struct ClaimRules {
    pub(super) leeway_s: u32,
    pub(super) require_exp: bool,
    pub(super) issuer: Option<String>,
    pub(super) audience: Audience,
    pub(super) roles: Roles,
}

impl ClaimRules {
    pub(super) fn new(config: &AuthConfig, roles: Roles) -> Self {
        Self {
            leeway_s: config.leeway_s,
            require_exp: config.require_exp,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            roles,
        }
    }
}

/// Whether the text has a length that a token can have, before anything is computed from it.
pub(super) const fn check_len(token: &str) -> Result<(), TokenError> {
    match token.len() {
        0 => Err(TokenError::Missing),
        1..=TOKEN_MAX => Ok(()),
        _ => Err(TokenError::TooLong),
    }
}

/// Verifies everything about a token that does not depend on when it is asked.
pub(super) fn verify(token: &str, keys: &KeySet, rules: &ClaimRules) -> Result<Identity, TokenError> {
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
    let header = Header::parse(header)?;
    let verified = keys.verify(&header.alg, header.kid.as_deref(), message.as_bytes(), signature)?;
    identity(&object(payload)?, verified, rules)
}

fn object(part: &str) -> Result<Map<String, Value>, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    let json = str::from_utf8(&json).map_err(|_| TokenError::Malformed)?;
    match parse_strict(json) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(TokenError::Malformed),
    }
}

/// What counts of a header. `jku`, `x5u` and `jwk` would let a token bring its own key: they are not read.
struct Header {
    alg: String,
    kid: Option<String>,
}

impl Header {
    fn parse(part: &str) -> Result<Self, TokenError> {
        let mut header = object(part)?;
        if header.contains_key("crit") {
            return Err(TokenError::Critical);
        }
        let mut text = |name| match header.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(TokenError::Malformed),
        };
        Ok(Self { alg: text("alg")?.ok_or(TokenError::Malformed)?, kid: text("kid")? })
    }
}

fn identity(
    claims: &Map<String, Value>,
    verified: Verified,
    rules: &ClaimRules,
) -> Result<Identity, TokenError> {
    let user = claims.get("sub").ok_or(fault("sub", "is missing"))?;
    let user = user.as_str().ok_or(fault("sub", "is not a string"))?;
    if user.is_empty() || USER_MAX < user.chars().count() {
        return Err(fault("sub", "is empty or over 256 characters"));
    }
    let expires_at = time(claims, "exp")?;
    if expires_at.is_none() && rules.require_exp {
        return Err(fault("exp", "is missing"));
    }
    let (not_before, issued_at) = (time(claims, "nbf")?, time(claims, "iat")?);
    if let Some(issuer) = &rules.issuer {
        check_issuer(claims, issuer)?;
    }
    if !rules.audience.is_empty() {
        check_audience(claims, &rules.audience)?;
    }
    let grant = match claims.get("tidings") {
        Some(claim) => Grant::from_claim(claim)?,
        None => rules.roles.grant(claims),
    };
    Ok(Identity {
        user: user.into(),
        grant: Arc::new(grant),
        expires_at,
        not_before,
        issued_at,
        leeway_s: rules.leeway_s,
        verified,
    })
}

const fn fault(claim: &'static str, problem: &'static str) -> TokenError {
    TokenError::Claim { claim, problem }
}

/// RFC 7519 §2, `NumericDate`: seconds, whole or not. Held within ±9999 years, where every sum with a
/// leeway and every form of it is exact.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, TokenError> {
    const END_S: i64 = 253_402_300_799;
    let Some(value) = claims.get(name) else { return Ok(None) };
    let Value::Number(number) = value else { return Err(fault(name, "is not a number")) };
    if let Some(secs) = number.as_i64() {
        return Ok(Some(UnixTime::from_secs(secs.clamp(-END_S, END_S))));
    }
    let secs = number.as_f64().filter(|secs| secs.is_finite()).ok_or(fault(name, "is not a number"))?;
    #[expect(clippy::cast_precision_loss, reason = "the bounds are below 2^53")]
    let millis = (secs.clamp(-END_S as f64, END_S as f64) * 1000.0).floor();
    #[expect(clippy::cast_possible_truncation, reason = "integral and in range, by the line above")]
    Ok(Some(UnixTime::from_millis(millis as i64)))
}

fn check_issuer(claims: &Map<String, Value>, issuer: &str) -> Result<(), TokenError> {
    match claims.get("iss") {
        None => Err(fault("iss", "is missing")),
        Some(Value::String(claimed)) if claimed == issuer => Ok(()),
        Some(_) => Err(fault("iss", "is not the configured issuer")),
    }
}

/// RFC 7519 §4.1.3: one string, or an array of strings of which one is meant for us.
fn check_audience(claims: &Map<String, Value>, audience: &[String]) -> Result<(), TokenError> {
    let claimed = match claims.get("aud") {
        None => return Err(fault("aud", "is missing")),
        Some(Value::Array(many)) => many.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    if !claimed.iter().all(Value::is_string) {
        return Err(fault("aud", "is not a string or an array of strings"));
    }
    let ours = |claimed: &Value| audience.iter().any(|ours| claimed == ours.as_str());
    if claimed.iter().any(ours) { Ok(()) } else { Err(fault("aud", "is not a configured audience")) }
}
