//! Revocations: from when on a user's older tokens are refused.
//!
//! The table is bounded. A token may live as long as its issuer likes, so no entry is ever surely
//! needless; when the table is full the one made longest ago goes.

use std::sync::Arc;

use super::bounded::Bounded;
use super::token::{Identity, USER_MAX};
use crate::map::Keyed;
use crate::time::UnixTime;

#[derive(Debug)]
pub(super) struct Revocations(Bounded<Arc<str>, UnixTime>);

impl Revocations {
    pub(super) const fn new(capacity: usize, keyed: Keyed) -> Self {
        Self(Bounded::new(capacity, keyed))
    }

    /// Refuses the tokens of `user` issued before `now`. A clock that has gone back takes nothing back.
    /// Gives the user whose revocation was forgotten for this one.
    pub(super) fn revoke(&mut self, user: &str, now: UnixTime) -> Option<Arc<str>> {
        if user.is_empty() || USER_MAX < user.chars().count() {
            return None;
        }
        let since = self.0.get(user).map_or(now, |since| now.max(*since));
        self.0.insert(user.into(), since)
    }

    /// Whether the token is older than a revocation of its user. One that does not say when it was
    /// issued is taken for older.
    pub(super) fn covers(&self, identity: &Identity) -> bool {
        let Some(since) = self.0.get(&**identity.user()) else { return false };
        identity.issued_at().is_none_or(|issued_at| issued_at < *since)
    }
}
