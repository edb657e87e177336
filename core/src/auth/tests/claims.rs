//! Header and claims: what a token must say, and what is ignored.

use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"{"sub":"u1","exp":1790000060}"#;

fn of(header: &str, claims: &str) -> Result<Arc<Identity>, TokenError> {
    authenticator(&AuthConfig::default()).verify(&hs256(header, claims), NOW)
}

#[test]
fn no_token_is_missing_and_a_text_that_is_none_is_malformed() {
    let mut authenticator = authenticator(&AuthConfig::default());
    assert_eq!(authenticator.verify("", NOW), Err(TokenError::Missing));
    for text in
        [".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", "\u{0}", "😀.😀.😀", "Bearer x.y.z"]
    {
        assert_eq!(authenticator.verify(text, NOW), Err(TokenError::Malformed), "{text}");
    }
}

#[test]
fn a_token_is_at_most_8_kib() {
    let padded = |len| {
        let mut claims = json!({"sub": "u1", "exp": NOW_S + 60, "pad": ""});
        let mut token = String::new();
        for pad in 0.. {
            claims["pad"] = "x".repeat(len * 3 / 4 - 120 + pad).into();
            token = hs256(r#"{"alg":"HS256"}"#, &claims.to_string());
            if len <= token.len() {
                break;
            }
        }
        token
    };
    let (fits, over) = (padded(TOKEN_MAX - 1), padded(TOKEN_MAX + 1));
    assert!(fits.len() <= TOKEN_MAX && TOKEN_MAX < over.len());
    let mut authenticator = authenticator(&AuthConfig::default());
    assert!(authenticator.verify(&fits, NOW).is_ok());
    assert_eq!(authenticator.verify(&over, NOW), Err(TokenError::TooLong));
    assert_eq!(authenticator.verify(&"a".repeat(1 << 20), NOW), Err(TokenError::TooLong));
}

#[test]
fn headers_that_bring_a_key_are_ignored() {
    let header = r#"{"alg":"HS256","jku":"https://evil.example/jwks","x5u":1,"jwk":{"kty":"oct","k":"AA"},"x5c":[],"typ":7}"#;
    assert!(of(header, GOOD).is_ok());
}

#[test]
fn any_crit_is_refused() {
    for crit in [r#"["exp"]"#, r#"["b64"]"#, "[]", "null", "1"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit}}}"#);
        assert_eq!(of(&header, GOOD), Err(TokenError::Critical), "{crit}");
    }
}

#[test]
fn alg_and_kid_are_strings_and_alg_is_there() {
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","kid":1}"#,
        r#"{"alg":"HS256","kid":null}"#,
        r#"["HS256"]"#,
        "HS256",
        "",
    ] {
        assert_eq!(of(header, GOOD), Err(TokenError::Malformed), "{header}");
    }
}

#[test]
fn a_key_that_stands_twice_makes_a_token_invalid() {
    assert_eq!(of(r#"{"alg":"HS256","alg":"HS256"}"#, GOOD), Err(TokenError::Malformed));
    assert_eq!(of(r#"{"alg":"none","alg":"HS256"}"#, GOOD), Err(TokenError::Malformed));
    for claims in [
        r#"{"sub":"u1","sub":"u1","exp":1790000060}"#,
        r#"{"sub":"u1","\u0073ub":"admin","exp":1790000060}"#,
        r#"{"sub":"u1","exp":1790000060,"tidings":{"admin":false,"admin":true}}"#,
        r#"{"sub":"u1","exp":1790000060,"x":[{"y":{"z":1,"z":1}}]}"#,
    ] {
        assert_eq!(of(r#"{"alg":"HS256"}"#, claims), Err(TokenError::Malformed), "{claims}");
    }
}

#[test]
fn claims_that_are_no_object_are_malformed() {
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    for claims in ["", "null", "[]", r#""u1""#, "{", r#"{"sub":"u1","exp":1e999}"#, &deep] {
        assert_eq!(of(r#"{"alg":"HS256"}"#, claims), Err(TokenError::Malformed), "{claims}");
    }
}

#[test]
fn base64_with_padding_or_stray_bits_is_malformed() {
    // given: a header whose last base64 character has bits to spare
    let good = hs256(r#"{"alg":"HS256"} "#, GOOD);
    let mut authenticator = authenticator(&AuthConfig::default());
    assert!(authenticator.verify(&good, NOW).is_ok());
    let (header, rest) = good.split_once('.').unwrap();
    let (start, last) = header.split_at(header.len() - 1);
    assert_eq!(last, "A");
    // then: what other readers take for the same header is none
    for header in [format!("{header}=="), format!("{header}="), format!("{start}B"), format!("{start}+")] {
        let refused = authenticator.verify(&format!("{header}.{rest}"), NOW);
        assert_eq!(refused, Err(TokenError::Malformed), "{header}");
    }
}

#[test]
fn sub_is_required_and_has_1_to_256_characters() {
    let name = "ü".repeat(256);
    assert_eq!(&**verify(&AuthConfig::default(), json!({"sub": name})).unwrap().user(), name);
    for sub in [json!(null), json!(""), json!(1), json!(["u1"]), json!("ü".repeat(257))] {
        assert_eq!(fault(verify(&AuthConfig::default(), json!({"sub": sub}))), "sub", "{sub}");
    }
    assert_eq!(fault(of(r#"{"alg":"HS256"}"#, r#"{"sub":null,"exp":1790000060}"#)), "sub");
}

#[test]
fn a_configured_issuer_is_required_and_must_match() {
    let configured = || AuthConfig { issuer: Some("https://id.example".into()), ..AuthConfig::default() };
    assert!(verify(&configured(), json!({"iss": "https://id.example"})).is_ok());
    for iss in [json!(null), json!(""), json!("https://id.example/"), json!(["https://id.example"]), json!(1)]
    {
        assert_eq!(fault(verify(&configured(), json!({"iss": iss}))), "iss", "{iss}");
    }
    for iss in [json!("anyone"), json!(1), json!({})] {
        assert!(verify(&AuthConfig::default(), json!({"iss": iss})).is_ok(), "ignored where not configured");
    }
}

#[test]
fn a_configured_audience_is_required_and_one_must_match() {
    let configured =
        || AuthConfig { audience: vec!["tidings".into(), "events".into()].into(), ..AuthConfig::default() };
    for aud in [json!("events"), json!(["other", "tidings"])] {
        assert!(verify(&configured(), json!({"aud": aud})).is_ok(), "{aud}");
    }
    for aud in [
        json!(null),
        json!("other"),
        json!([]),
        json!(["other"]),
        json!(["tidings", 1]),
        json!({"tidings": 1}),
    ] {
        assert_eq!(fault(verify(&configured(), json!({"aud": aud}))), "aud", "{aud}");
    }
    for aud in [json!("anyone"), json!(["x"]), json!(1)] {
        assert!(verify(&AuthConfig::default(), json!({"aud": aud})).is_ok(), "ignored where not configured");
    }
}

#[test]
fn no_message_holds_a_part_of_the_token() {
    let mut authenticator =
        authenticator(&AuthConfig { issuer: Some("https://id.example".into()), ..AuthConfig::default() });
    for claims in [
        json!({"sub": "marker", "iss": "marker"}),
        json!({"sub": ["marker"]}),
        json!({"iss": "https://id.example", "tidings": {"marker": 1}}),
        json!({"iss": "https://id.example", "tidings": {"subscribe": ["marker"]}}),
        json!({"iss": "https://id.example", "exp": "marker"}),
    ] {
        let refused = authenticator.verify(&token(claims), NOW).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("marker"), "{refused}");
    }
}

proptest! {
    #[test]
    fn no_text_panics_and_none_is_a_token(text in "\\PC{0,80}") {
        prop_assert!(authenticator(&AuthConfig::default()).verify(&text, NOW).is_err());
    }

    #[test]
    fn no_signed_text_panics(header in "[\\[\\]{}a-z\":,0-9.]{0,30}", claims in "[\\[\\]{}a-z\":,0-9.e-]{0,40}") {
        let mut authenticator = authenticator(&AuthConfig::default());
        let header = authenticator.verify(&hs256(&header, GOOD), NOW);
        let claims = authenticator.verify(&hs256(r#"{"alg":"HS256"}"#, &claims), NOW);
        prop_assert!(header.is_err() && claims.is_err());
    }
}
