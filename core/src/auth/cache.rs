//! Verified tokens, so that a reconnect or a second request costs a digest and not a signature.
//!
//! An entry answers only what does not depend on the moment; whoever asks checks times and revocations
//! again, so that a cached answer and a fresh one are always the same.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::bounded::Bounded;
use super::grant::Grant;
use super::token::Identity;
use crate::map::Keyed;

/// A token's name in the cache: its digest, so that no token stays in memory. Half of it is enough: a forged
/// token would have to meet the digest of one that was verified, and two that are made to meet each other
/// give whoever made them the identity that one of them has anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TokenDigest([u8; 16]);

impl TokenDigest {
    pub(super) fn of(token: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(half)
    }
}

/// What was verified before, by token.
pub(super) type Tokens = Bounded<TokenDigest, Arc<Identity>>;

/// One copy of each grant, shared by all that have it: most users have one of few.
#[derive(Debug)]
pub(super) struct Grants(Bounded<Arc<Grant>, ()>);

impl Grants {
    /// Grants that are recognised. One that is no longer merely gets a second copy.
    const CAPACITY: usize = 1024;

    pub(super) const fn new(keyed: Keyed) -> Self {
        Self(Bounded::new(Self::CAPACITY, keyed))
    }

    pub(super) fn intern(&mut self, grant: Arc<Grant>) -> Arc<Grant> {
        if let Some(known) = self.0.touch_key(&grant) {
            return known;
        }
        self.0.insert(Arc::clone(&grant), ());
        grant
    }
}
