//! Who may see what, read from JSON and compared in the plainest way: no index, no interning, no shared code
//! with the server.

use serde_json::{Map, Value};
use tidings_core::config::{ApiKeyConfig, AuthConfig};
use tidings_core::event::Priority;

/// What a subscription asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Definition {
    patterns: Vec<String>,
    filter: Map<String, Value>,
}

impl Definition {
    /// A definition as messages have it; a filter that is absent lets all pass.
    pub(crate) fn read(events: &Value, filter: &Value) -> Self {
        Self { patterns: texts(events), filter: filter.as_object().cloned().unwrap_or_default() }
    }

    /// Whether it lets an event through.
    pub(crate) fn matches(&self, event: &Value) -> bool {
        is_of(&self.patterns, event)
            && self.filter.iter().all(|(path, wanted)| passes(event, path, wanted, false))
    }
}

/// One whole of what a token allows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grant {
    subscribe: Vec<String>,
    publish: Vec<String>,
    filter: Map<String, Value>,
    /// The most urgent priority that may be published.
    most: Priority,
    admin: bool,
}

impl Grant {
    /// A grant as a claim has it, or as the configuration does, which names one of its keys otherwise.
    fn read(grant: &Value) -> Self {
        let most = grant["maxPriority"].as_str().or_else(|| grant["max_priority"].as_str());
        Self {
            subscribe: texts(&grant["subscribe"]),
            publish: texts(&grant["publish"]),
            filter: grant["filter"].as_object().cloned().unwrap_or_default(),
            most: most.and_then(Priority::from_name).unwrap_or(Priority::Normal),
            admin: grant["admin"] == true,
        }
    }

    fn forces(&self, event: &Value) -> bool {
        self.filter.iter().all(|(path, wanted)| passes(event, path, wanted, true))
    }

    fn permits(&self, event: &Value) -> bool {
        is_of(&self.subscribe, event) && self.forces(event)
    }

    fn allows(&self, event: &Value) -> bool {
        is_of(&self.publish, event) && self.forces(event) && self.most <= priority(event)
    }
}

/// Everything that a token allows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Grants(Vec<Grant>);

impl Grants {
    /// What `claims` allow under `config`: their own claim, else their roles, else the default.
    pub(crate) fn of(claims: &Value, config: &AuthConfig) -> Self {
        if !claims["tidings"].is_null() {
            return Self(vec![Grant::read(&claims["tidings"])]);
        }
        let named: Vec<&Value> =
            config.role_claims.iter().map(|name| &claims[name]).filter(|claim| !claim.is_null()).collect();
        if named.is_empty() {
            let default = serde_json::to_value(&config.default_grant).expect("a grant is JSON");
            return Self(vec![Grant::read(&default)]);
        }
        let names = named.into_iter().flat_map(|claim| match claim {
            Value::Array(names) => names.clone(),
            name => vec![name.clone()],
        });
        let roles = names.filter_map(|name| config.roles.get(name.as_str()?).cloned());
        let grants = roles.filter_map(|role| {
            let mut role = serde_json::to_value(role).expect("a grant is JSON");
            fill(&mut role["filter"], claims)?;
            Some(Grant::read(&role))
        });
        Self(grants.collect())
    }

    /// What an API key allows.
    pub(crate) fn of_key(key: &ApiKeyConfig) -> Self {
        let narrowed =
            key.publish != ["*"] || !key.filter.is_empty() || key.max_priority != Priority::Critical;
        let mut grant = serde_json::to_value(key).expect("a key's grant is JSON");
        grant["admin"] = key.admin.unwrap_or(!narrowed).into();
        Self(vec![Grant::read(&grant)])
    }

    /// Whether it opens what is marked admin.
    pub(crate) fn is_admin(&self) -> bool {
        self.0.iter().any(|grant| grant.admin)
    }

    /// Whether an event may be published.
    pub(crate) fn allow(&self, event: &Value) -> bool {
        self.0.iter().any(|grant| grant.allows(event))
    }

    /// Whether an event may be handed over.
    pub(crate) fn permit(&self, event: &Value) -> bool {
        self.0.iter().any(|grant| grant.permits(event))
    }

    /// Whether a subscription may name all its patterns.
    pub(crate) fn cover(&self, definition: &Definition) -> bool {
        let within = |wanted: &String, allowed: &String| {
            allowed == "*"
                || allowed == wanted
                || allowed.strip_suffix('*').is_some_and(|category| wanted.starts_with(category))
        };
        definition.patterns.iter().all(|wanted| {
            self.0.iter().any(|grant| grant.subscribe.iter().any(|allowed| within(wanted, allowed)))
        })
    }
}

/// Puts claims where a role's filter names them; none where a claim is missing.
fn fill(filter: &mut Value, claims: &Value) -> Option<()> {
    let replace = |value: &mut Value| {
        let Some(claim) = value.as_str().and_then(|text| text.strip_prefix("$claim.")) else {
            return Some(());
        };
        let found = claim.split('.').try_fold(claims, |value, key| value.get(key))?;
        *value = found.clone();
        Some(())
    };
    for value in filter.as_object_mut()?.values_mut() {
        match value {
            Value::Array(values) => values.iter_mut().try_for_each(replace)?,
            value => replace(value)?,
        }
    }
    Some(())
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// The priority of an event: its own, else that of its type (PROTOCOL §1).
pub(crate) fn priority(event: &Value) -> Priority {
    if let Some(own) = event["priority"].as_str().and_then(Priority::from_name) {
        return own;
    }
    match event["type"].as_str().unwrap_or("") {
        "system.error" | "system.maintenance" => Priority::Critical,
        "user.password_changed" => Priority::High,
        kind if kind.starts_with("settings.") => Priority::High,
        kind if kind.starts_with("analytics.") => Priority::Low,
        "system.health_check" => Priority::Low,
        _ => Priority::Normal,
    }
}

fn is_of(patterns: &[String], event: &Value) -> bool {
    let kind = event["type"].as_str().unwrap_or("");
    patterns.iter().any(|pattern| {
        pattern == "*"
            || pattern == kind
            || pattern.strip_suffix('*').is_some_and(|category| kind.starts_with(category))
    })
}

/// Whether the event's value at `path` is one of those wanted. An array passes by one of its elements, save
/// where the filter is forced.
fn passes(event: &Value, path: &str, wanted: &Value, forced: bool) -> bool {
    let found = match path.strip_prefix('@') {
        Some(attribute) => event.get(attribute),
        None => path.split('.').try_fold(&event["data"], |value, key| value.as_object()?.get(key)),
    };
    let wanted = match wanted {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    let is_wanted = |value: &Value| wanted.iter().any(|wanted| equal(wanted, value));
    match found {
        None => false,
        Some(Value::Array(values)) => !forced && values.iter().any(is_wanted),
        Some(value) => is_wanted(value),
    }
}

/// Scalars by value: `1` is `1.0`.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

/// The key under which an event may replace an older one of its source, where its type is one of `rules`.
pub(crate) fn conflation_key(event: &Value, rules: &[(String, Vec<String>)]) -> Option<String> {
    let (_, paths) = rules.iter().find(|(kind, _)| event["type"] == **kind)?;
    let values: Vec<Option<&Value>> = paths
        .iter()
        .map(|path| path.split('.').try_fold(&event["data"], |value, key| value.get(key)))
        .collect();
    Some(format!("{} {} {values:?}", event["type"], event["source"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> Value {
        json!({"type": "user.login", "source": "/a", "data": {"userId": "u1", "n": 1, "tags": ["x", "y"],
            "geo": {"city": "Bonn"}}})
    }

    #[test]
    fn a_definition_needs_its_pattern_and_every_key_of_its_filter() {
        let matches = |events: Value, filter: Value| Definition::read(&events, &filter).matches(&event());
        assert!(matches(json!(["user.*"]), Value::Null));
        assert!(matches(json!(["system.error", "*"]), json!({"userId": ["u0", "u1"], "geo.city": "Bonn"})));
        assert!(matches(json!(["user.login"]), json!({"n": 1.0, "tags": "y", "@source": "/a"})));
        assert!(!matches(json!(["user.logout"]), Value::Null));
        assert!(!matches(json!(["*"]), json!({"userId": "u1", "missing": null})));
    }

    #[test]
    fn a_forced_filter_takes_no_array_for_its_element() {
        let config = AuthConfig::default();
        let grants = |filter: Value| {
            Grants::of(&json!({"tidings": {"subscribe": ["user.*"], "filter": filter}}), &config)
        };
        assert!(grants(json!({"userId": "u1"})).permit(&event()));
        assert!(!grants(json!({"tags": "x"})).permit(&event()));
        assert!(!grants(json!({})).permit(&json!({"type": "system.error"})));
    }

    #[test]
    fn who_publishes_keeps_to_patterns_filter_and_priority() {
        let allows = |mut claim: Value, priority: &str| {
            claim["filter"] = json!({"userId": "u1"});
            let mut event = event();
            event["priority"] = priority.into();
            Grants::of(&json!({"tidings": claim}), &AuthConfig::default()).allow(&event)
        };
        assert!(allows(json!({"publish": ["user.*"]}), "normal"));
        assert!(!allows(json!({"publish": ["user.*"]}), "high"));
        assert!(allows(json!({"publish": ["user.*"], "maxPriority": "high"}), "high"));
        assert!(!allows(json!({"publish": ["system.*"]}), "low"));
        assert_eq!(priority(&json!({"type": "system.health_check"})), Priority::Low);
        assert_eq!(priority(&json!({"type": "settings.updated"})), Priority::High);
    }

    #[test]
    fn a_role_whose_claim_is_missing_grants_nothing() {
        let mut config = AuthConfig::default();
        let role = json!({"subscribe": ["user.*"], "filter": {"userId": "$claim.org"}});
        config.roles.insert("one".to_owned(), serde_json::from_value(role).unwrap());
        assert!(Grants::of(&json!({"role": "one", "org": "u1"}), &config).permit(&event()));
        assert!(!Grants::of(&json!({"role": ["one", "none"]}), &config).permit(&event()));
        assert!(!Grants::of(&json!({"roles": ["none"]}), &config).permit(&event()));
        assert!(Grants::of(&json!({}), &config).permit(&event()));
    }
}
