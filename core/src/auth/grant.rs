//! What a token or an API key allows: a union of parts, each a whole with its own forced filter.
//!
//! Nothing is combined across parts: what one part lets through by its patterns, only that part's own
//! filter and cap may judge.

use serde_json::{Map, Value};
use thiserror::Error;

use super::token::TokenError;
use crate::config::GrantConfig;
use crate::event::{Fields, Filter, Pattern, Patterns, Priority};

/// One whole of a grant: the `tidings` claim, one role, or an API key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrantPart {
    /// What may be received.
    pub subscribe: Patterns,
    /// What may be published.
    pub publish: Patterns,
    /// What every event received or published must satisfy, by [`Filter::matches_forced`].
    pub filter: Filter,
    /// The most urgent priority that may be published.
    pub max_priority: Priority,
}

/// Everything that one identity may do. Equal grants compare equal, so that they can be shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grant {
    parts: Box<[GrantPart]>,
    admin: bool,
}

/// Why an event may not be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PublishDenied {
    /// No part speaks of this type.
    #[error("the grant does not allow publishing this type")]
    Type,
    /// The parts that speak of this type have filters which the event does not satisfy.
    #[error("the event does not satisfy the filter that the grant forces")]
    Filter,
    /// The event is more urgent than the grant allows.
    #[error("the grant allows no priority above `{max}`")]
    Priority {
        /// The most urgent priority that this event could have.
        max: Priority,
    },
}

impl Grant {
    /// The union of `parts`. Parts that allow nothing, and repeats, are left out.
    #[must_use]
    pub fn new(parts: Vec<GrantPart>, admin: bool) -> Self {
        let mut kept: Vec<GrantPart> = Vec::with_capacity(parts.len());
        for part in parts {
            let allows_nothing = part.subscribe.is_empty() && part.publish.is_empty();
            if !allows_nothing && !kept.contains(&part) {
                kept.push(part);
            }
        }
        Self { parts: kept.into(), admin }
    }

    /// Whether a subscription may name `pattern`: all of it lies within one part.
    #[must_use]
    pub fn allows_subscription(&self, pattern: &Pattern) -> bool {
        self.parts.iter().any(|part| part.subscribe.covers(pattern))
    }

    /// Whether an event may be handed over: one part speaks of its type and that part's filter passes.
    #[must_use]
    pub fn permits_delivery(&self, type_name: &str, fields: &Fields) -> bool {
        self.parts.iter().any(|part| part.subscribe.matches(type_name) && part.filter.matches_forced(fields))
    }

    /// Whether an event may be published.
    ///
    /// # Errors
    /// [`PublishDenied`] with what the part that came nearest to allowing it objects to.
    pub fn permits_publish(
        &self,
        type_name: &str,
        priority: Priority,
        fields: &Fields,
    ) -> Result<(), PublishDenied> {
        let mut denied = PublishDenied::Type;
        for part in self.parts.iter().filter(|part| part.publish.matches(type_name)) {
            if !part.filter.matches_forced(fields) {
                if denied == PublishDenied::Type {
                    denied = PublishDenied::Filter;
                }
                continue;
            }
            if priority.within(part.max_priority) {
                return Ok(());
            }
            let max = match denied {
                PublishDenied::Priority { max } => max.min(part.max_priority),
                PublishDenied::Type | PublishDenied::Filter => part.max_priority,
            };
            denied = PublishDenied::Priority { max };
        }
        Err(denied)
    }

    /// Whether the operator's requests are allowed.
    #[must_use]
    pub const fn is_admin(&self) -> bool {
        self.admin
    }

    /// All parts.
    #[must_use]
    pub const fn parts(&self) -> &[GrantPart] {
        &self.parts
    }

    /// Reads the claim `tidings`. What it leaves out is allowed the least.
    pub(super) fn from_claim(claim: &Value) -> Result<Self, TokenError> {
        const fn fault(claim: &'static str, problem: &'static str) -> TokenError {
            TokenError::Claim { claim, problem }
        }
        let object = claim.as_object().ok_or(fault("tidings", "is not an object"))?;
        let mut part = GrantPart {
            subscribe: Patterns::default(),
            publish: Patterns::default(),
            filter: Filter::default(),
            max_priority: Priority::Normal,
        };
        let mut admin = false;
        for (key, value) in object {
            match key.as_str() {
                "subscribe" => {
                    part.subscribe = patterns(value)
                        .ok_or(fault("tidings.subscribe", "is not an array of event patterns"))?;
                }
                "publish" => {
                    part.publish = patterns(value)
                        .ok_or(fault("tidings.publish", "is not an array of event patterns"))?;
                }
                "filter" => {
                    part.filter = Filter::from_json(value, GrantConfig::FILTER_KEYS_MAX)
                        .map_err(|_| fault("tidings.filter", "is not a filter"))?;
                }
                "maxPriority" => {
                    part.max_priority = value
                        .as_str()
                        .and_then(Priority::from_name)
                        .ok_or(fault("tidings.maxPriority", "is not a priority"))?;
                }
                "admin" => {
                    admin = value.as_bool().ok_or(fault("tidings.admin", "is not true or false"))?;
                }
                _ => return Err(fault("tidings", "has an unknown key")),
            }
        }
        Ok(Self::new(vec![part], admin))
    }
}

fn patterns(value: &Value) -> Option<Patterns> {
    let parse = |pattern: &Value| Pattern::parse(pattern.as_str()?).ok();
    value.as_array()?.iter().map(parse).collect::<Option<Vec<_>>>().map(Patterns::new)
}

/// The value at `path` in the claims: the claim of that whole name, which may have dots in it as a
/// namespaced claim does, else what is found by walking down its keys.
pub(super) fn claim_at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut keys = path.split('.');
    let first = claims.get(keys.next()?)?;
    keys.try_fold(first, |value, key| value.as_object()?.get(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::{FieldsBuilder, Scalar};

    fn tenant(id: &str) -> Fields {
        let mut fields = FieldsBuilder::default();
        fields.push("tenantId", Scalar::String(id.into()), false);
        fields.build()
    }

    fn grant(claims: &[Value]) -> Grant {
        let grants: Vec<_> = claims.iter().map(|claim| Grant::from_claim(claim).unwrap()).collect();
        let admin = grants.iter().any(Grant::is_admin);
        Grant::new(grants.into_iter().flat_map(|grant| grant.parts.into_vec()).collect(), admin)
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn a_claim_without_fields_allows_nothing() {
        let grant = Grant::from_claim(&json!({})).unwrap();
        assert_eq!(grant, Grant::default());
        assert!(!grant.is_admin());
        assert!(!grant.allows_subscription(&pattern("content.updated")));
        assert_eq!(
            grant.permits_publish("content.updated", Priority::Low, &tenant("t1")),
            Err(PublishDenied::Type)
        );
    }

    #[test]
    fn the_priority_is_normal_at_most_unless_the_claim_says_more() {
        let capped = grant(&[json!({"publish": ["*"]})]);
        assert_eq!(capped.permits_publish("content.updated", Priority::Normal, &tenant("t1")), Ok(()));
        assert_eq!(
            capped.permits_publish("content.updated", Priority::High, &tenant("t1")),
            Err(PublishDenied::Priority { max: Priority::Normal })
        );
    }

    #[test]
    fn a_malformed_claim_or_an_unknown_key_is_refused() {
        for claim in [
            json!(null),
            json!([]),
            json!("*"),
            json!({"subscribe": "*"}),
            json!({"subscribe": [1]}),
            json!({"subscribe": ["content"]}),
            json!({"publish": ["**"]}),
            json!({"publish": null}),
            json!({"filter": []}),
            json!({"filter": {"a": {}}}),
            json!({"filter": {"a..b": 1}}),
            json!({"maxPriority": "urgent"}),
            json!({"maxPriority": 1}),
            json!({"max_priority": "high"}),
            json!({"admin": "true"}),
            json!({"admin": 1}),
            json!({"subscribe": ["*"], "tenant": "t1"}),
        ] {
            let fault = Grant::from_claim(&claim).unwrap_err();
            assert_eq!(fault.reason(), "claim", "{claim}");
        }
    }

    #[test]
    fn a_union_does_not_lend_one_parts_patterns_to_anothers_filter() {
        // given: content of tenant t1, settings of tenant t2
        let grant = grant(&[
            json!({"subscribe": ["content.*"], "publish": ["content.*"], "filter": {"tenantId": "t1"}, "maxPriority": "high"}),
            json!({"subscribe": ["settings.*"], "publish": ["settings.*", "content.created"], "filter": {"tenantId": "t2"}}),
        ]);
        // then: each filter guards its own patterns only
        assert!(grant.permits_delivery("content.updated", &tenant("t1")));
        assert!(!grant.permits_delivery("content.updated", &tenant("t2")));
        assert!(grant.permits_delivery("settings.updated", &tenant("t2")));
        assert!(!grant.permits_delivery("settings.updated", &tenant("t1")));
        // and no pattern is made of two parts
        assert!(grant.allows_subscription(&pattern("content.*")));
        assert!(!grant.allows_subscription(&pattern("*")));
        // and the caps do not mix either
        let publish = |name, priority, id| grant.permits_publish(name, priority, &tenant(id));
        assert_eq!(publish("content.created", Priority::High, "t1"), Ok(()));
        assert_eq!(
            publish("content.created", Priority::High, "t2"),
            Err(PublishDenied::Priority { max: Priority::Normal })
        );
        assert_eq!(publish("content.created", Priority::Low, "t3"), Err(PublishDenied::Filter));
        assert_eq!(publish("user.login", Priority::Low, "t1"), Err(PublishDenied::Type));
    }

    #[test]
    fn the_cap_named_is_the_highest_that_the_event_could_have() {
        for caps in [["normal", "high"], ["high", "normal"]] {
            let parts = caps.map(|cap| json!({"publish": ["*"], "maxPriority": cap}));
            assert_eq!(
                grant(&parts).permits_publish("system.error", Priority::Critical, &tenant("t1")),
                Err(PublishDenied::Priority { max: Priority::High })
            );
        }
    }

    #[test]
    fn a_forced_filter_takes_the_scalar_itself_and_not_an_array_that_contains_it() {
        let grant = grant(&[json!({"subscribe": ["*"], "publish": ["*"], "filter": {"tenantId": "t1"}})]);
        let mut fields = FieldsBuilder::default();
        fields.push("tenantId", Scalar::String("t1".into()), true);
        let listed = fields.build();
        assert!(!grant.permits_delivery("content.updated", &listed));
        assert_eq!(
            grant.permits_publish("content.updated", Priority::Low, &listed),
            Err(PublishDenied::Filter)
        );
        assert!(!grant.permits_delivery("content.updated", &Fields::default()));
    }

    #[test]
    fn equal_grants_compare_equal_however_they_were_written() {
        let a = grant(&[
            json!({"subscribe": ["user.*", "content.*"]}),
            json!({}),
            json!({"subscribe": ["user.*"]}),
        ]);
        let b = grant(&[
            json!({"subscribe": ["content.*", "user.*", "user.*"]}),
            json!({"subscribe": ["user.*"]}),
        ]);
        assert_eq!(a, b);
        assert_eq!(a.parts().len(), 2);
    }

    #[test]
    fn a_claim_is_found_by_its_whole_name_before_its_path() {
        let claims = json!({"https://a.example/org": 1, "a": {"b": {"c": 2}}, "a.b": 3});
        let claims = claims.as_object().unwrap();
        assert_eq!(claim_at(claims, "https://a.example/org"), Some(&json!(1)));
        assert_eq!(claim_at(claims, "a.b.c"), Some(&json!(2)));
        assert_eq!(claim_at(claims, "a.b"), Some(&json!(3)));
        assert_eq!(claim_at(claims, "a.b.c.d"), None);
        assert_eq!(claim_at(claims, ""), None);
    }
}
