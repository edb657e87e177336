//! Authentication: keys, tokens, grants, API keys, origins, revocation. Everything that decides who a
//! peer is and what it may do; nothing of how the token got here.
//!
//! It fails closed throughout, and its only clock is the `now` of each call.

mod api_key;
mod bounded;
mod cache;
mod grant;
mod jwks;
mod keys;
mod origin;
mod pem;
mod revocation;
mod role;
mod token;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use api_key::ApiKey;
pub use grant::{Grant, GrantPart, PublishDenied};
pub use keys::{KeyError, KeySet};
pub use origin::Origins;
pub use token::{Identity, TOKEN_MAX, TokenError, USER_MAX};

use crate::config::{AuthConfig, ConfigFault, CookieName};
use crate::map::Keyed;
use crate::time::UnixTime;
use api_key::ApiKeys;
use cache::{Grants, TokenDigest, Tokens};
use revocation::Revocations;
use role::Roles;
use token::ClaimRules;

/// Verifies tokens and API keys.
///
/// ```
/// use tidings_core::auth::{Authenticator, TokenError};
/// use tidings_core::config::{AuthConfig, Secret};
/// use tidings_core::{map::Keyed, time::UnixTime};
///
/// let secret = Secret::new("a secret of thirty-two bytes, or more");
/// let config = AuthConfig { jwt_secret: Some(secret), ..AuthConfig::default() };
/// let mut authenticator = Authenticator::new(&config, Keyed::new([1, 2])).unwrap();
/// let refused = authenticator.verify("not.a.token", UnixTime::from_secs(1_790_000_000));
/// assert_eq!(refused, Err(TokenError::Malformed));
/// ```
#[derive(Debug)]
pub struct Authenticator {
    keys: KeySet,
    rules: ClaimRules,
    api_keys: ApiKeys,
    query_token: bool,
    cookie: Option<CookieName>,
    cache: Tokens,
    grants: Grants,
    revocations: Revocations,
    cache_hits: u64,
    cache_misses: u64,
}

impl Authenticator {
    /// An authenticator by `config`, with the keys that stand there. Without keys no token is good until
    /// [`Self::replace_keys`].
    ///
    /// # Errors
    /// Everything that is wrong: what [`AuthConfig::check`] finds, and keys, templates and names that have
    /// their form and yet cannot be used.
    pub fn new(config: &AuthConfig, keyed: Keyed) -> Result<Self, Vec<ConfigFault>> {
        let (mut faults, mut unusable) = (Vec::new(), Vec::new());
        config.check(&mut faults);
        let keys = KeySet::from_config(config).unwrap_or_else(|faults| {
            unusable = faults;
            KeySet::empty()
        });
        let roles = Roles::new(config, &mut unusable);
        let api_keys = ApiKeys::new(&config.api_keys, &mut unusable);
        ConfigFault::add_new(&mut faults, unusable);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            keys,
            rules: ClaimRules::new(config, roles),
            api_keys,
            query_token: config.query_token,
            cookie: config.cookie.clone(),
            cache: Tokens::new(config.cache_tokens, keyed),
            grants: Grants::new(keyed),
            revocations: Revocations::new(config.max_revocations, keyed),
            cache_hits: 0,
            cache_misses: 0,
        })
    }

    /// Verifies a token: signature and claims, once while it is remembered; times and revocation, always.
    ///
    /// # Errors
    /// The first rule that the token breaks.
    pub fn verify(&mut self, token: &str, now: UnixTime) -> Result<Arc<Identity>, TokenError> {
        token::check_len(token)?;
        let digest = TokenDigest::of(token);
        if let Some(identity) = self.cache.touch(&digest).cloned() {
            self.cache_hits += 1;
            if let Err(refused) = self.check_moment(&identity, now) {
                self.cache.remove(&digest);
                return Err(refused);
            }
            return Ok(identity);
        }
        self.cache_misses += 1;
        let identity = token::verify(token, &self.keys, &self.rules)?;
        self.check_moment(&identity, now)?;
        let identity = Arc::new(identity.with_grant(|grant| self.grants.intern(grant)));
        self.cache.insert(digest, Arc::clone(&identity));
        Ok(identity)
    }

    /// Replaces the keys that tokens are verified with, and forgets every token verified with the old
    /// ones. Whoever holds identities asks [`Self::still_trusted`] about them.
    pub fn replace_keys(&mut self, keys: KeySet) {
        self.keys = keys;
        self.cache.clear();
    }

    /// Whether an identity given earlier would be given again, its times aside: its key is in the set and
    /// still allows the algorithm it was used with, and no revocation covers it. So live connections are
    /// verified anew without keeping their tokens. The name of a key does not matter here, only the key.
    #[must_use]
    pub fn still_trusted(&self, identity: &Identity) -> bool {
        self.keys.allows(identity.verified()) && !self.revocations.covers(identity)
    }

    /// Refuses all tokens of `user` issued before `now`, and those that do not say when they were issued.
    /// Where the table of revocations is full, gives the user whose revocation is forgotten for this one,
    /// so that it can be logged.
    pub fn revoke(&mut self, user: &str, now: UnixTime) -> Option<Arc<str>> {
        self.revocations.revoke(user, now)
    }

    /// The publisher whose API key this is. Takes equally long whichever key it is, or none.
    #[must_use]
    pub fn api_key(&self, presented: &str) -> Option<&ApiKey> {
        self.api_keys.find(presented)
    }

    /// Whether a token may come as query parameter.
    #[must_use]
    pub const fn query_token(&self) -> bool {
        self.query_token
    }

    /// The cookie in which a token may come.
    #[must_use]
    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_ref().map(CookieName::as_str)
    }

    /// Tokens that were remembered when they came again.
    #[must_use]
    pub const fn cache_hits(&self) -> u64 {
        self.cache_hits
    }

    /// Tokens whose signature had to be verified.
    #[must_use]
    pub const fn cache_misses(&self) -> u64 {
        self.cache_misses
    }

    fn check_moment(&self, identity: &Identity, now: UnixTime) -> Result<(), TokenError> {
        identity.check_times(now)?;
        if self.revocations.covers(identity) { Err(TokenError::Revoked) } else { Ok(()) }
    }
}
