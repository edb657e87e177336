//! Times, revocation and the cache, under a clock that the test moves.

use proptest::prelude::*;

use super::*;

fn at(secs: i64) -> UnixTime {
    UnixTime::from_secs(secs)
}

#[test]
fn a_token_is_good_until_exp_and_the_leeway_have_passed() {
    let mut authenticator = authenticator(&AuthConfig::default());
    let token = token(json!({"exp": NOW_S}));
    let last = UnixTime::from_millis(at(NOW_S + 30).as_millis() - 1);
    let identity = authenticator.verify(&token, last).unwrap();
    assert_eq!(identity.expires_at(), Some(NOW));
    assert_eq!(identity.deadline(), Some(at(NOW_S + 30)));
    assert_eq!(authenticator.verify(&token, at(NOW_S + 30)), Err(TokenError::Expired));
}

#[test]
fn a_token_is_good_from_nbf_less_the_leeway_on() {
    let mut authenticator = authenticator(&AuthConfig { leeway_s: 10, ..AuthConfig::default() });
    let token = token(json!({"nbf": NOW_S, "exp": NOW_S + 60}));
    assert_eq!(authenticator.verify(&token, at(NOW_S - 11)), Err(TokenError::NotYetValid));
    assert!(authenticator.verify(&token, at(NOW_S - 10)).is_ok());
}

#[test]
fn exp_is_required_unless_configured_otherwise() {
    assert_eq!(fault(verify(&AuthConfig::default(), json!({"exp": null}))), "exp");
    let identity =
        verify(&AuthConfig { require_exp: false, ..AuthConfig::default() }, json!({"exp": null})).unwrap();
    assert_eq!((identity.expires_at(), identity.deadline()), (None, None));
    let expired = verify(&AuthConfig { require_exp: false, ..AuthConfig::default() }, json!({"exp": 1}));
    assert_eq!(expired, Err(TokenError::Expired), "one that is there counts");
}

#[test]
fn a_time_claim_that_is_not_a_number_makes_the_token_invalid() {
    let lax = || AuthConfig { require_exp: false, ..AuthConfig::default() };
    for name in ["exp", "nbf", "iat"] {
        for value in ["\"1790000060\"", "true", "null", "[1790000060]", "{}", "\"\""] {
            let claims = match name {
                "exp" => format!(r#"{{"sub":"u1","exp":{value}}}"#),
                _ => format!(r#"{{"sub":"u1","exp":1790000060,"{name}":{value}}}"#),
            };
            let result = authenticator(&lax()).verify(&hs256(r#"{"alg":"HS256"}"#, &claims), NOW);
            assert_eq!(fault(result), name, "{value}");
        }
    }
}

#[test]
fn times_may_be_fractions_negative_or_absurdly_large() {
    let exp = |exp: Value| verify(&AuthConfig { leeway_s: 0, ..AuthConfig::default() }, json!({"exp": exp}));
    assert_eq!(
        exp(json!(NOW_S as f64 + 0.5)).unwrap().expires_at(),
        Some(UnixTime::from_millis(NOW_S * 1000 + 500))
    );
    let end = Some(at(253_402_300_799));
    for large in [json!(1e300), json!(u64::MAX), json!(i64::MAX), json!(1e18)] {
        assert_eq!(exp(large.clone()).unwrap().expires_at(), end, "{large}");
    }
    for small in [json!(-1), json!(-0.5), json!(-1e300), json!(i64::MIN), json!(0)] {
        assert_eq!(exp(small.clone()), Err(TokenError::Expired), "{small}");
    }
    let nbf = |nbf: Value| verify(&AuthConfig::default(), json!({"nbf": nbf}));
    assert_eq!(nbf(json!(1e300)), Err(TokenError::NotYetValid));
    assert!(nbf(json!(-1e300)).is_ok());
}

#[test]
fn no_clock_makes_times_overflow() {
    let mut authenticator = authenticator(&AuthConfig { leeway_s: 3600, ..AuthConfig::default() });
    let token = token(json!({"exp": 1e300, "nbf": -1e300}));
    assert!(authenticator.verify(&token, UnixTime::from_millis(i64::MIN)).is_err());
    assert_eq!(authenticator.verify(&token, UnixTime::from_millis(i64::MAX)), Err(TokenError::Expired));
}

#[test]
fn revoking_refuses_the_users_tokens_issued_before() {
    // given: a token cached, one newer, one of another user, one without `iat`
    let mut authenticator = authenticator(&AuthConfig::default());
    let old = token(json!({"iat": NOW_S - 1}));
    let new = token(json!({"iat": NOW_S}));
    let other = token(json!({"sub": "u2", "iat": NOW_S - 1}));
    let undated = token(json!({}));
    let identities: Vec<_> =
        [&old, &new, &other, &undated].map(|token| authenticator.verify(token, NOW).unwrap()).into();
    // when
    assert_eq!(authenticator.revoke("u1", NOW), None);
    // then
    let verified = [&old, &new, &other, &undated].map(|token| authenticator.verify(token, NOW).map(|_| ()));
    assert_eq!(verified, [Err(TokenError::Revoked), Ok(()), Ok(()), Err(TokenError::Revoked)]);
    let trusted: Vec<_> = identities.iter().map(|identity| authenticator.still_trusted(identity)).collect();
    assert_eq!(trusted, [false, true, true, false]);
}

#[test]
fn a_clock_that_goes_back_takes_no_revocation_back() {
    let mut authenticator = authenticator(&AuthConfig::default());
    authenticator.revoke("u1", NOW);
    authenticator.revoke("u1", at(NOW_S - 3600));
    let old = token(json!({"iat": NOW_S - 1}));
    assert_eq!(authenticator.verify(&old, NOW), Err(TokenError::Revoked));
}

#[test]
fn the_table_of_revocations_is_bounded_and_forgets_the_oldest() {
    let mut authenticator = authenticator(&AuthConfig { max_revocations: 2, ..AuthConfig::default() });
    assert_eq!(authenticator.revoke("u1", NOW), None);
    assert_eq!(authenticator.revoke("u2", NOW), None);
    assert_eq!(authenticator.revoke("u1", NOW), None, "renewed");
    assert_eq!(authenticator.revoke("u3", NOW).as_deref(), Some("u2"));
    for (user, expected) in [("u1", false), ("u2", true), ("u3", false)] {
        let token = token(json!({"sub": user, "iat": NOW_S - 1}));
        assert_eq!(authenticator.verify(&token, NOW).is_ok(), expected, "{user}");
    }
    // The longest name that a token can have takes a place; one that none can have takes none.
    assert_eq!(authenticator.revoke(&"x".repeat(USER_MAX), NOW).as_deref(), Some("u1"));
    assert_eq!(authenticator.revoke(&"x".repeat(USER_MAX + 1), NOW), None);
    assert_eq!(authenticator.revoke("", NOW), None);
}

#[test]
fn a_token_verified_again_is_the_same_identity_and_grants_are_shared() {
    let mut authenticator = authenticator(&AuthConfig::default());
    let (a, b) = (token(json!({})), token(json!({"sub": "u2"})));
    let first = authenticator.verify(&a, NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &authenticator.verify(&a, NOW).unwrap()));
    assert!(Arc::ptr_eq(first.grant(), authenticator.verify(&b, NOW).unwrap().grant()));
}

#[test]
fn every_token_is_counted_as_remembered_or_as_verified() {
    let mut authenticator = authenticator(&AuthConfig::default());
    let (a, b) = (token(json!({})), token(json!({"sub": "u2"})));
    let mut counts = Vec::new();
    for token in [&a, &a, &b, &a, "no.token.this", "no.token.this"] {
        let _ = authenticator.verify(token, NOW);
        counts.push((authenticator.cache_hits(), authenticator.cache_misses()));
    }
    assert_eq!(
        counts,
        [(0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (2, 4)],
        "what was refused is not remembered"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Verify(usize, i64),
    Revoke(usize, i64),
    Keys(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0_usize..6, -120_i64..120).prop_map(|(token, now)| Step::Verify(token, now)),
        1 => (0_usize..2, -120_i64..120).prop_map(|(user, now)| Step::Revoke(user, now)),
        1 => any::<bool>().prop_map(Step::Keys),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_cache_of_any_size_is_never_noticed(size in 0_usize..4, steps in steps()) {
        let tokens = [
            token(json!({"iat": NOW_S - 50})),
            token(json!({"iat": NOW_S, "exp": NOW_S + 20, "nbf": NOW_S - 20})),
            token(json!({"sub": "u2", "exp": NOW_S - 40})),
            token(json!({"sub": "u2", "iat": NOW_S + 10, "nbf": NOW_S + 20})),
            token(json!({"exp": "never"})),
            "no.token.this".to_owned(),
        ];
        let mut cached = authenticator(&AuthConfig { cache_tokens: size, ..AuthConfig::default() });
        let mut fresh = authenticator(&AuthConfig { cache_tokens: 0, ..AuthConfig::default() });
        for step in steps {
            match step {
                Step::Verify(index, now) => {
                    let now = at(NOW_S + now);
                    let result = fresh.verify(&tokens[index], now);
                    prop_assert_eq!(cached.verify(&tokens[index], now), result.clone());
                    if let Ok(identity) = result {
                        prop_assert!(identity.deadline().is_none_or(|deadline| now < deadline));
                        prop_assert_eq!(cached.still_trusted(&identity), true);
                    }
                }
                Step::Revoke(user, now) => {
                    for authenticator in [&mut cached, &mut fresh] {
                        authenticator.revoke(["u1", "u2"][user], at(NOW_S + now));
                    }
                }
                Step::Keys(good) => {
                    for authenticator in [&mut cached, &mut fresh] {
                        authenticator.replace_keys(if good { secret_keys() } else { KeySet::empty() });
                    }
                }
            }
        }
    }
}
