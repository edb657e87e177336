//! From claims to a grant: the claim, roles, templates, the default.

use super::*;
use crate::event::{Fields, FieldsBuilder, Pattern, Priority, Scalar};

fn settings(value: Value) -> AuthConfig {
    serde_json::from_value(value).unwrap()
}

fn roles() -> AuthConfig {
    settings(json!({
        "roles": {
            "viewer": {"subscribe": ["content.*"]},
            "editor": {"subscribe": ["settings.*"], "publish": ["content.*"], "max_priority": "high"},
            "tenant": {"subscribe": ["*"], "filter": {"tenantId": "$claim.org"}},
            "region": {"subscribe": ["user.*"], "filter": {"region": ["all", "$claim.place.region"], "level": 1}},
            "root": {"admin": true},
        },
    }))
}

fn grant(claims: Value) -> Arc<Grant> {
    Arc::clone(verify(&roles(), claims).unwrap().grant())
}

fn subscribes(grant: &Grant, pattern: &str) -> bool {
    grant.allows_subscription(&Pattern::parse(pattern).unwrap())
}

fn fields(values: &[(&str, Scalar)]) -> Fields {
    let mut fields = FieldsBuilder::default();
    for (path, value) in values {
        fields.push(path, value.clone(), false);
    }
    fields.build()
}

fn text(text: &str) -> Scalar {
    Scalar::String(text.into())
}

#[test]
fn a_token_with_neither_claim_gets_the_default_grant() {
    let grant = grant(json!({}));
    assert!(subscribes(&grant, "*"));
    assert!(grant.permits_delivery("system.error", &Fields::default()));
    assert!(!grant.is_admin());
    assert_eq!(
        grant.permits_publish("content.created", Priority::Low, &Fields::default()),
        Err(PublishDenied::Type)
    );
    let part = &grant.parts()[0];
    assert_eq!((grant.parts().len(), part.max_priority, part.filter.is_empty()), (1, Priority::Normal, true));
}

#[test]
fn the_default_grant_is_configurable_and_may_be_a_template() {
    let settings = || {
        settings(json!({"default_grant": {"publish": ["analytics.*"], "filter": {"owner": "$claim.sub"}}}))
    };
    let granted = verify(&settings(), json!({})).unwrap();
    let publish = |owner| {
        granted.grant().permits_publish(
            "analytics.new_activity",
            Priority::Low,
            &fields(&[("owner", text(owner))]),
        )
    };
    assert_eq!(publish("u1"), Ok(()));
    assert_eq!(publish("u2"), Err(PublishDenied::Filter));
    assert!(!subscribes(granted.grant(), "content.updated"));
}

#[test]
fn the_claim_beats_roles() {
    let grant = grant(json!({"role": "editor", "roles": ["root"], "tidings": {"subscribe": ["user.*"]}}));
    assert!(subscribes(&grant, "user.*"));
    assert!(!subscribes(&grant, "settings.*"));
    assert!(!grant.is_admin());
}

#[test]
fn a_malformed_claim_is_refused_and_no_role_helps() {
    for claim in [json!({"subscribes": ["*"]}), json!([]), json!({"admin": 1})] {
        let refused = verify(&roles(), json!({"role": "editor", "tidings": claim}));
        assert!(fault(refused).starts_with("tidings"));
    }
    let claims = r#"{"sub":"u1","exp":1790000060,"tidings":null}"#;
    assert_eq!(fault(authenticator(&roles()).verify(&hs256(r#"{"alg":"HS256"}"#, claims), NOW)), "tidings");
}

#[test]
fn roles_come_as_text_or_array_and_are_a_union() {
    for claims in [
        json!({"roles": ["viewer", "editor"]}),
        json!({"role": "viewer", "roles": "editor"}),
        json!({"role": ["editor", "viewer", "editor"]}),
    ] {
        let grant = grant(claims);
        assert!(subscribes(&grant, "content.*") && subscribes(&grant, "settings.*"));
        assert!(!subscribes(&grant, "user.*"));
        assert_eq!(grant.parts().len(), 2);
        assert_eq!(grant.permits_publish("content.created", Priority::High, &Fields::default()), Ok(()));
    }
}

#[test]
fn a_role_that_is_not_mapped_grants_nothing_and_not_the_default() {
    for claims in [
        json!({"role": "stranger"}),
        json!({"roles": []}),
        json!({"role": 7}),
        json!({"role": {"viewer": true}}),
        json!({"roles": [["viewer"], 1, "Viewer", "viewer "]}),
    ] {
        assert_eq!(*grant(claims.clone()), Grant::default(), "{claims}");
    }
    let claims = r#"{"sub":"u1","exp":1790000060,"role":null}"#;
    let identity = authenticator(&roles()).verify(&hs256(r#"{"alg":"HS256"}"#, claims), NOW).unwrap();
    assert_eq!(**identity.grant(), Grant::default());
    assert_eq!(grant(json!({"roles": ["stranger", "viewer"]})).parts().len(), 1);
}

#[test]
fn the_names_of_role_claims_are_configurable_and_may_be_paths() {
    let settings = |claims: Value| {
        settings(json!({"role_claims": claims, "roles": {"viewer": {"subscribe": ["content.*"]}}}))
    };
    let nested =
        verify(&settings(json!(["realm_access.roles"])), json!({"realm_access": {"roles": ["viewer"]}}));
    assert!(!subscribes(nested.unwrap().grant(), "*"));
    let namespaced =
        verify(&settings(json!(["https://x.example/roles"])), json!({"https://x.example/roles": ["viewer"]}));
    assert!(subscribes(namespaced.unwrap().grant(), "content.*"));
    let unread = verify(&settings(json!(["groups"])), json!({"role": "viewer"}));
    assert!(subscribes(unread.unwrap().grant(), "*"), "only the configured claims are role claims");
}

#[test]
fn a_template_takes_its_value_from_the_claims() {
    let grant = grant(json!({"role": "tenant", "org": "t1"}));
    assert!(grant.permits_delivery("content.updated", &fields(&[("tenantId", text("t1"))])));
    assert!(!grant.permits_delivery("content.updated", &fields(&[("tenantId", text("t2"))])));
    assert!(!grant.permits_delivery("content.updated", &fields(&[("tenantId", text("$claim.org"))])));
    assert!(!grant.permits_delivery("content.updated", &Fields::default()));
}

#[test]
fn a_template_may_stand_in_an_array_and_name_a_path() {
    let grant = grant(json!({"role": "region", "place": {"region": "north"}}));
    let level = Scalar::from_json(&json!(1.0)).unwrap();
    let delivers = |region| {
        grant.permits_delivery("user.login", &fields(&[("region", text(region)), ("level", level.clone())]))
    };
    assert!(delivers("north") && delivers("all"));
    assert!(!delivers("south"));
}

#[test]
fn a_template_whose_claim_is_missing_grants_nothing_and_takes_no_other_role_with_it() {
    for org in [json!(null), json!(["t1"]), json!({"id": "t1"})] {
        assert_eq!(*grant(json!({"role": "tenant", "org": org})), Grant::default(), "{org}");
    }
    let claims = r#"{"sub":"u1","exp":1790000060,"role":"tenant","org":null}"#;
    let identity = authenticator(&roles()).verify(&hs256(r#"{"alg":"HS256"}"#, claims), NOW).unwrap();
    assert_eq!(**identity.grant(), Grant::default());
    let both = grant(json!({"roles": ["tenant", "viewer"]}));
    assert!(subscribes(&both, "content.*") && !subscribes(&both, "*"));
    assert_eq!(*grant(json!({"role": "region", "place": "north"})), Grant::default());
}

#[test]
fn a_claims_text_that_looks_like_a_template_is_a_text() {
    let grant = grant(json!({"role": "tenant", "org": "$claim.sub"}));
    assert!(grant.permits_delivery("content.updated", &fields(&[("tenantId", text("$claim.sub"))])));
    assert!(!grant.permits_delivery("content.updated", &fields(&[("tenantId", text("u1"))])));
}

#[test]
fn each_role_of_a_union_keeps_its_own_filter() {
    let grant = grant(json!({"roles": ["tenant", "viewer"], "org": "t1"}));
    let foreign = fields(&[("tenantId", text("t2"))]);
    assert!(grant.permits_delivery("content.updated", &foreign), "by viewer, which has no filter");
    assert!(!grant.permits_delivery("user.login", &foreign), "tenant alone speaks of it");
}

#[test]
fn admin_is_of_the_union() {
    assert!(grant(json!({"roles": ["viewer", "root"]})).is_admin());
    assert!(grant(json!({"tidings": {"admin": true}})).is_admin());
    assert!(!grant(json!({"role": "viewer"})).is_admin());
}
