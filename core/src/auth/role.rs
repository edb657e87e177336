//! Roles: which claims name them, what each grants, and how a template takes values from the claims.
//!
//! It fails closed: a role that is not configured, and a template whose claim is missing, grant nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::grant::{Grant, GrantPart, claim_at};
use crate::config::{AuthConfig, ConfigFault, GrantConfig, read_filter, read_patterns};
use crate::event::{Filter, Patterns, Priority};

/// What a text in a filter begins with where it stands for a claim.
const CLAIM: &str = "$claim";

/// What tokens are granted that have no `tidings` claim.
#[derive(Debug)]
pub(super) struct Roles {
    claims: Box<[String]>,
    roles: BTreeMap<String, Template>,
    default: Template,
}

#[derive(Debug)]
struct Template {
    subscribe: Patterns,
    publish: Patterns,
    filter: FilterTemplate,
    max_priority: Priority,
    admin: bool,
}

#[derive(Debug)]
enum FilterTemplate {
    Fixed(Filter),
    /// Has at least one value that stands for a claim.
    OfClaims(Map<String, Value>),
}

impl Roles {
    pub(super) fn new(config: &AuthConfig, faults: &mut Vec<ConfigFault>) -> Self {
        let roles = config
            .roles
            .iter()
            .map(|(name, grant)| (name.clone(), Template::new(&format!("auth.roles.{name}"), grant, faults)));
        Self {
            roles: roles.collect(),
            claims: config.role_claims.clone().into(),
            default: Template::new("auth.default_grant", &config.default_grant, faults),
        }
    }

    /// What a token with these claims is granted: the union of its roles, each a whole; the default grant
    /// where it has no role claim at all.
    pub(super) fn grant(&self, claims: &Map<String, Value>) -> Grant {
        let mut named = self.claims.iter().filter_map(|path| claim_at(claims, path)).peekable();
        if named.peek().is_none() {
            return union([&self.default], claims);
        }
        let names = named.flat_map(|claim| match claim {
            Value::Array(names) => names.as_slice(),
            name => std::slice::from_ref(name),
        });
        union(names.filter_map(|name| self.roles.get(name.as_str()?)), claims)
    }
}

fn union<'a>(templates: impl IntoIterator<Item = &'a Template>, claims: &Map<String, Value>) -> Grant {
    let (mut parts, mut admin) = (Vec::new(), false);
    for template in templates {
        let Some(filter) = template.filter.fill(claims) else { continue };
        admin |= template.admin;
        parts.push(GrantPart {
            subscribe: template.subscribe.clone(),
            publish: template.publish.clone(),
            filter,
            max_priority: template.max_priority,
        });
    }
    Grant::new(parts, admin)
}

impl Template {
    fn new(key: &str, config: &GrantConfig, faults: &mut Vec<ConfigFault>) -> Self {
        Self {
            subscribe: read_patterns(&config.subscribe, &format!("{key}.subscribe"), faults),
            publish: read_patterns(&config.publish, &format!("{key}.publish"), faults),
            filter: FilterTemplate::new(&format!("{key}.filter"), &config.filter, faults),
            max_priority: config.max_priority,
            admin: config.admin,
        }
    }
}

impl FilterTemplate {
    fn new(key: &str, filter: &Map<String, Value>, faults: &mut Vec<ConfigFault>) -> Self {
        let fixed = read_filter(filter, key, faults);
        let mut templates = false;
        for (path, value) in filter {
            for text in alternatives(value).iter().filter_map(Value::as_str) {
                match claim_of(text) {
                    ClaimOf::Literal => {}
                    ClaimOf::Path(_) => templates = true,
                    ClaimOf::Fault => {
                        let allowed = "`$claim.` and the dotted path of a claim, as in `$claim.org`";
                        faults.push(ConfigFault::new(&format!("{key}.{path}"), &text, allowed));
                    }
                }
            }
        }
        if templates { Self::OfClaims(filter.clone()) } else { Self::Fixed(fixed) }
    }

    /// The filter for a token with these claims; none where a claim is missing or no scalar.
    fn fill(&self, claims: &Map<String, Value>) -> Option<Filter> {
        let template = match self {
            Self::Fixed(filter) => return Some(filter.clone()),
            Self::OfClaims(template) => template,
        };
        let mut filled = Map::new();
        for (path, value) in template {
            let value = match value {
                Value::Array(values) => {
                    Value::Array(values.iter().map(|value| fill(value, claims)).collect::<Option<_>>()?)
                }
                value => fill(value, claims)?,
            };
            filled.insert(path.clone(), value);
        }
        Filter::from_json(&Value::Object(filled), GrantConfig::FILTER_KEYS_MAX).ok()
    }
}

fn fill(value: &Value, claims: &Map<String, Value>) -> Option<Value> {
    let ClaimOf::Path(path) = value.as_str().map_or(ClaimOf::Literal, claim_of) else {
        return Some(value.clone());
    };
    let claim = claim_at(claims, path)?;
    // A claim that is `null` says that there is none; as a value it would match what belongs to nobody.
    matches!(claim, Value::Bool(_) | Value::Number(_) | Value::String(_)).then(|| claim.clone())
}

/// What a text in a filter stands for.
pub(super) enum ClaimOf<'a> {
    /// Itself.
    Literal,
    /// The claim at that path.
    Path(&'a str),
    /// It begins as a template and is none.
    Fault,
}

pub(super) fn claim_of(text: &str) -> ClaimOf<'_> {
    let Some(rest) = text.strip_prefix(CLAIM) else { return ClaimOf::Literal };
    match rest.strip_prefix('.') {
        Some(path) if path.split('.').all(|key| !key.is_empty()) => ClaimOf::Path(path),
        _ => ClaimOf::Fault,
    }
}

/// The values of which a filter asks for one.
pub(super) fn alternatives(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}
