//! Where grants meet subscriptions: the index asks a grant what may be seen.

use std::sync::Arc;

use crate::auth::Grant;
use crate::event::{Fields, Filter};
use crate::subscription::Permit;

/// What a session's grant lets it see.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Allowed(pub(super) Arc<Grant>);

impl Permit for Allowed {
    fn permits(&self, type_name: &str, fields: &Fields) -> bool {
        self.0.permits_delivery(type_name, fields)
    }

    fn required(&self) -> Option<&Filter> {
        match self.0.parts() {
            [part] if !part.filter.is_empty() => Some(&part.filter),
            _ => None,
        }
    }
}
