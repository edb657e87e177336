//! Tokens of simulated users: who they are, what they allow, who signed them and for how long they last.

use std::collections::{BTreeMap, BTreeSet};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::draw::Draw;
use super::tuning::SECRETS;
use crate::model::Model;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// No claim: the default grant.
    Plain,
    /// Everything, by claim.
    All,
    /// One tenant's events, by claim.
    Tenant,
    /// A few categories, by claim.
    Narrow,
    /// Nothing to subscribe to.
    Nothing,
    /// Roles with templates.
    Editor,
    /// A role for one tenant.
    Viewer,
    /// Two roles at once.
    EditorAndOps,
    /// A role that nobody knows.
    Unmapped,
    /// An operator.
    Admin,
}

impl Grant {
    const DRAWN: [Self; 16] = [
        Self::Plain,
        Self::All,
        Self::All,
        Self::EditorAndOps,
        Self::Plain,
        Self::Plain,
        Self::All,
        Self::All,
        Self::Tenant,
        Self::Tenant,
        Self::Narrow,
        Self::Nothing,
        Self::Editor,
        Self::Viewer,
        Self::EditorAndOps,
        Self::Unmapped,
    ];

    pub(crate) fn draw(draw: &mut Draw<'_>) -> Self {
        *draw.pick(&Self::DRAWN)
    }

    fn claims(self, tenant: &str) -> Value {
        let claim = |value: Value| json!({"tidings": value});
        match self {
            Self::Plain => json!({}),
            Self::All => claim(json!({"subscribe": ["*"], "publish": ["*"], "maxPriority": "critical"})),
            Self::Tenant => claim(json!({
                "subscribe": ["*"], "publish": ["*"], "maxPriority": "high", "filter": {"tenantId": tenant},
            })),
            Self::Narrow => claim(json!({
                "subscribe": ["content.*", "system.error", "analytics.*"], "publish": ["analytics.*"],
            })),
            Self::Nothing => claim(json!({"subscribe": []})),
            Self::Editor => json!({"role": "editor", "org": tenant}),
            Self::Viewer => json!({"roles": ["viewer"], "org": tenant}),
            Self::EditorAndOps => json!({"roles": ["editor", "ops"], "org": tenant}),
            Self::Unmapped => json!({"role": "stranger"}),
            Self::Admin => claim(json!({"admin": true, "subscribe": ["*"]})),
        }
    }
}

/// What a token says.
#[derive(Clone, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) user: &'a str,
    pub(crate) grant: Grant,
    pub(crate) key: u8,
    pub(crate) issued_at: i64,
    /// Seconds from there; none where it does not expire.
    pub(crate) lasts: i64,
}

/// Signs tokens, and tells the model of each once.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    told: BTreeSet<String>,
    /// From when on a user's tokens are good again, in Unix seconds.
    revoked: BTreeMap<String, i64>,
}

/// The tenant that a user belongs to.
pub(crate) fn tenant(user: &str) -> &'static str {
    if user.bytes().last().is_some_and(|byte| byte % 2 == 0) { "t0" } else { "t1" }
}

impl Tokens {
    pub(crate) fn sign(&mut self, model: &mut Model, wish: &Wish<'_>) -> String {
        let Wish { user, grant, key, issued_at, lasts } = *wish;
        let revoked = self.revoked.get(user).copied().unwrap_or(i64::MIN);
        let issued_at = issued_at.max(revoked);
        let mut claims = grant.claims(tenant(user));
        claims["sub"] = user.into();
        claims["iat"] = issued_at.into();
        claims["exp"] = (issued_at + lasts).into();
        let secret = EncodingKey::from_secret(SECRETS[usize::from(key)].as_bytes());
        let token = jsonwebtoken::encode(&Header::default(), &claims, &secret)
            .expect("claims are JSON, and HS256 signs anything");
        if self.told.insert(token.clone()) {
            model.token(&token, &claims, key);
        }
        token
    }

    /// Tokens of `user` issued before `until` are refused somewhere; later ones are issued as if they were
    /// made then.
    pub(crate) fn revoke(&mut self, user: &str, until: i64) {
        let revoked = self.revoked.entry(user.to_owned()).or_insert(until);
        *revoked = until.max(*revoked);
    }
}
