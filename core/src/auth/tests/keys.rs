//! Algorithms are those of the configured keys, never the token's choice.

use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::config::{ApiKeyConfig, Secret};

/// A good token of that algorithm, with a `kid` where given.
fn signed(key: &EncodingKey, algorithm: Algorithm, kid: Option<&str>) -> String {
    let header = match kid {
        Some(kid) => json!({"alg": format!("{algorithm:?}"), "kid": kid}),
        None => json!({"alg": format!("{algorithm:?}")}),
    };
    let claims = json!({"sub": "u1", "exp": NOW_S + 60});
    sign(&header.to_string(), &claims.to_string(), key, algorithm)
}

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(fixture!("rsa.pem").as_bytes()).unwrap()
}

fn rsa_other() -> EncodingKey {
    EncodingKey::from_rsa_pem(fixture!("rsa-other.pem").as_bytes()).unwrap()
}

fn p256() -> EncodingKey {
    EncodingKey::from_ec_pem(fixture!("p256.pem").as_bytes()).unwrap()
}

fn p384() -> EncodingKey {
    EncodingKey::from_ec_pem(fixture!("p384.pem").as_bytes()).unwrap()
}

fn ed25519() -> EncodingKey {
    EncodingKey::from_ed_pem(fixture!("ed25519.pem").as_bytes()).unwrap()
}

fn pem(texts: &[&str]) -> KeySet {
    let mut keys = KeySet::empty();
    for text in texts {
        keys.add_pem(text).unwrap();
    }
    keys
}

/// The public half as a JWK with more members.
fn jwk(key: &EncodingKey, algorithm: Algorithm, members: &Value) -> Value {
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(key, algorithm).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk.as_object_mut().unwrap().remove("alg");
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

fn jwks(keys: &[Value]) -> Result<KeySet, KeyError> {
    let mut set = KeySet::empty();
    set.add_jwks(&json!({"keys": keys}).to_string())?;
    Ok(set)
}

fn verify(keys: &KeySet, token: &str) -> Result<(), TokenError> {
    with_keys(keys.clone()).verify(token, NOW).map(|_| ())
}

#[test]
fn every_algorithm_verifies_with_its_kind_of_key() {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    for algorithm in [HS256, HS384, HS512] {
        assert_eq!(verify(&secret_keys(), &signed(&secret, algorithm, None)), Ok(()), "{algorithm:?}");
    }
    let public = fixture!("rsa.pub.pem");
    for algorithm in [RS256, RS384, RS512, PS256, PS384, PS512] {
        assert_eq!(verify(&pem(&[public]), &signed(&rsa(), algorithm, None)), Ok(()), "{algorithm:?}");
    }
    assert_eq!(verify(&pem(&[fixture!("p256.pub.pem")]), &signed(&p256(), ES256, None)), Ok(()));
    assert_eq!(verify(&pem(&[fixture!("p384.pub.pem")]), &signed(&p384(), ES384, None)), Ok(()));
    assert_eq!(verify(&pem(&[fixture!("ed25519.pub.pem")]), &signed(&ed25519(), EdDSA, None)), Ok(()));
}

#[test]
fn every_algorithm_verifies_with_a_jwks_too() {
    let keys = jwks(&[
        jwk(&rsa(), Algorithm::RS256, &json!({"kid": "r"})),
        jwk(&p256(), Algorithm::ES256, &json!({"kid": "e"})),
        jwk(&p384(), Algorithm::ES384, &json!({"kid": "f"})),
        jwk(&ed25519(), Algorithm::EdDSA, &json!({"kid": "d"})),
    ])
    .unwrap();
    assert_eq!(verify(&keys, &signed(&rsa(), Algorithm::PS512, Some("r"))), Ok(()));
    assert_eq!(verify(&keys, &signed(&p256(), Algorithm::ES256, Some("e"))), Ok(()));
    assert_eq!(verify(&keys, &signed(&p384(), Algorithm::ES384, Some("f"))), Ok(()));
    assert_eq!(verify(&keys, &signed(&ed25519(), Algorithm::EdDSA, Some("d"))), Ok(()));
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    // given: everybody knows the public key, as PEM and as DER
    let text = fixture!("rsa.pub.pem");
    for secret in [text.as_bytes(), text.trim().as_bytes()] {
        let forged = signed(&EncodingKey::from_secret(secret), Algorithm::HS256, None);
        // then: nobody can sign with it, even beside a real secret
        assert_eq!(verify(&pem(&[text]), &forged), Err(TokenError::Algorithm));
        let mut both = secret_keys();
        both.add_pem(text).unwrap();
        assert_eq!(verify(&both, &forged), Err(TokenError::Signature));
    }
    // and: it cannot be configured as one by mistake
    assert_eq!(KeySet::empty().add_secret(text.as_bytes()), Err(KeyError::SecretIsPem));
}

#[test]
fn none_and_unknown_algorithms_are_refused() {
    let claims = json!({"sub": "u1", "exp": NOW_S + 60}).to_string();
    for alg in ["none", "None", "NONE", "", "hs256", "HS1", "ES512", "RSA-OAEP", "dir"] {
        let good = hs256(&json!({"alg": alg}).to_string(), &claims);
        let (unsigned, _) = good.rsplit_once('.').unwrap();
        assert_eq!(verify(&secret_keys(), &good), Err(TokenError::Algorithm), "{alg}");
        assert_eq!(verify(&secret_keys(), &format!("{unsigned}.")), Err(TokenError::Algorithm), "{alg}");
    }
    // An empty signature is no signature.
    let good = hs256(r#"{"alg":"HS256"}"#, &claims);
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    assert_eq!(verify(&secret_keys(), &format!("{unsigned}.")), Err(TokenError::Signature));
}

#[test]
fn an_algorithm_of_another_key_or_curve_is_refused() {
    let keys = pem(&[fixture!("p256.pub.pem")]);
    assert_eq!(verify(&keys, &signed(&p384(), Algorithm::ES384, None)), Err(TokenError::Algorithm));
    assert_eq!(verify(&keys, &signed(&rsa(), Algorithm::RS256, None)), Err(TokenError::Algorithm));
    assert_eq!(verify(&KeySet::empty(), &signed(&rsa(), Algorithm::RS256, None)), Err(TokenError::Key));
}

#[test]
fn a_signature_by_another_key_is_refused() {
    let keys = pem(&[fixture!("rsa.pub.pem")]);
    assert_eq!(verify(&keys, &signed(&rsa_other(), Algorithm::RS256, None)), Err(TokenError::Signature));
    let other = EncodingKey::from_secret(b"another secret of thirty-two byt");
    assert_eq!(verify(&secret_keys(), &signed(&other, Algorithm::HS256, None)), Err(TokenError::Signature));
}

#[test]
fn a_changed_token_is_refused() {
    let good = signed(&EncodingKey::from_secret(SECRET.as_bytes()), Algorithm::HS256, None);
    assert_eq!(verify(&secret_keys(), &good), Ok(()));
    for at in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(verify(&secret_keys(), &String::from_utf8(changed).unwrap()).is_err(), "byte {at}");
    }
    for changed in [format!("{good}="), format!(" {good}"), format!("{good}\n"), format!("{good}.")] {
        assert!(verify(&secret_keys(), &changed).is_err(), "{changed:?}");
    }
}

#[test]
fn a_secret_has_at_least_32_bytes() {
    assert_eq!(KeySet::empty().add_secret(&[7; 31]), Err(KeyError::SecretTooShort(31)));
    assert_eq!(KeySet::empty().add_secret(&[7; 32]), Ok(()));
}

#[test]
fn kid_selects_in_a_jwks() {
    let keys = jwks(&[
        jwk(&rsa(), Algorithm::RS256, &json!({"kid": "a"})),
        jwk(&rsa_other(), Algorithm::RS256, &json!({"kid": "b"})),
    ])
    .unwrap();
    assert_eq!(verify(&keys, &signed(&rsa(), Algorithm::RS256, Some("a"))), Ok(()));
    assert_eq!(verify(&keys, &signed(&rsa_other(), Algorithm::RS256, Some("b"))), Ok(()));
    // Signed by a key of the set, but not by the one it names.
    assert_eq!(verify(&keys, &signed(&rsa(), Algorithm::RS256, Some("b"))), Err(TokenError::Signature));
    assert_eq!(verify(&keys, &signed(&rsa(), Algorithm::RS256, Some("c"))), Err(TokenError::Key));
    assert_eq!(verify(&keys, &signed(&rsa(), Algorithm::RS256, Some("A"))), Err(TokenError::Key));
    // Without a name every key of the algorithm is tried.
    assert_eq!(verify(&keys, &signed(&rsa_other(), Algorithm::RS256, None)), Ok(()));
}

#[test]
fn a_key_without_a_name_is_tried_for_a_token_that_names_one() {
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    assert_eq!(verify(&secret_keys(), &signed(&secret, Algorithm::HS256, Some("any"))), Ok(()));
}

#[test]
fn a_token_without_a_name_is_tried_with_so_many_keys_only() {
    let mut keys = KeySet::empty();
    for index in 0..KeySet::TRIED_MAX {
        keys.add_secret(format!("{index:032}").as_bytes()).unwrap();
    }
    keys.add_secret(SECRET.as_bytes()).unwrap();
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    assert_eq!(verify(&keys, &signed(&secret, Algorithm::HS256, None)), Err(TokenError::Signature));
}

#[test]
fn a_set_holds_so_many_keys_only() {
    let mut keys = KeySet::empty();
    for index in 0..KeySet::KEYS_MAX {
        keys.add_secret(format!("{index:032}").as_bytes()).unwrap();
    }
    assert_eq!(keys.add_secret(b"00000000000000000000000000000000"), Ok(()), "known already");
    assert_eq!(keys.add_secret(SECRET.as_bytes()), Err(KeyError::TooMany));
    assert_eq!(keys.len(), KeySet::KEYS_MAX);
}

#[test]
fn use_and_alg_of_a_jwk_are_honoured() {
    let only = |members: Value| jwks(&[jwk(&rsa(), Algorithm::RS256, &members)]);
    let ps256 = only(json!({"kid": "a", "use": "sig", "alg": "PS256"})).unwrap();
    assert_eq!(verify(&ps256, &signed(&rsa(), Algorithm::PS256, Some("a"))), Ok(()));
    assert_eq!(verify(&ps256, &signed(&rsa(), Algorithm::RS256, Some("a"))), Err(TokenError::Algorithm));
    assert!(only(json!({"key_ops": ["verify"]})).is_ok());
    for members in [
        json!({"use": "enc"}),
        json!({"use": null}),
        json!({"key_ops": ["encrypt"]}),
        json!({"key_ops": "verify"}),
        json!({"alg": "RSA-OAEP"}),
        json!({"alg": "HS256"}),
        json!({"alg": "ES256"}),
        json!({"alg": 1}),
        json!({"kid": 1}),
    ] {
        assert_eq!(only(members.clone()).unwrap_err(), KeyError::JwksUnusable, "{members}");
    }
}

#[test]
fn an_algorithm_that_only_another_named_key_allows_is_refused() {
    let keys = jwks(&[
        jwk(&rsa(), Algorithm::RS256, &json!({"kid": "a", "alg": "RS256"})),
        jwk(&rsa_other(), Algorithm::RS256, &json!({"kid": "b", "alg": "PS256"})),
    ])
    .unwrap();
    assert_eq!(verify(&keys, &signed(&rsa(), Algorithm::PS256, Some("a"))), Err(TokenError::Algorithm));
}

#[test]
fn secrets_and_private_keys_in_a_jwks_are_refused_whole() {
    let good = jwk(&rsa(), Algorithm::RS256, &json!({}));
    let symmetric = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    assert_eq!(jwks(&[good.clone(), symmetric]).unwrap_err(), KeyError::JwksSymmetric(1));
    let private = jwk(&p256(), Algorithm::ES256, &json!({"d": "AA"}));
    assert_eq!(jwks(&[good, private]).unwrap_err(), KeyError::JwksPrivate(1));
}

#[test]
fn keys_of_unknown_kinds_in_a_jwks_are_passed_over() {
    let good = jwk(&ed25519(), Algorithm::EdDSA, &json!({}));
    let others = [
        json!({"kty": "quantum", "x": "AA"}),
        json!({}),
        json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
        json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        jwk(&rsa(), Algorithm::RS256, &json!({"e": "AQ"})),
        jwk(&rsa(), Algorithm::RS256, &json!({"e": "not base64!"})),
    ];
    for other in &others {
        assert_eq!(jwks(std::slice::from_ref(other)).unwrap_err(), KeyError::JwksUnusable, "{other}");
    }
    let keys = jwks(&[others.to_vec(), vec![good]].concat()).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(verify(&keys, &signed(&ed25519(), Algorithm::EdDSA, None)), Ok(()));
}

#[test]
fn a_coordinate_of_another_length_than_the_curves_makes_no_key() {
    // Given a key whose two coordinates are cut a byte too early,
    let mut shifted = jwk(&p256(), Algorithm::ES256, &json!({}));
    let [x, y] = ["x", "y"].map(|name| URL_SAFE_NO_PAD.decode(shifted[name].as_str().unwrap()).unwrap());
    let (point, pad) = ([x, y].concat(), [0]);
    let mut with = |x: &[u8], y: &[u8]| {
        shifted["x"] = json!(URL_SAFE_NO_PAD.encode(x));
        shifted["y"] = json!(URL_SAFE_NO_PAD.encode(y));
        jwks(std::slice::from_ref(&shifted)).map(|keys| keys.len())
    };
    assert_eq!(with(&point[..32], &point[32..]), Ok(1));
    // then it is none, though the point is the same; and so for one that is too long or too short.
    let long = [&pad[..], &point[32..]].concat();
    for (x, y) in [(&point[..31], &point[31..]), (&point[..32], &long), (&point[..32], &point[33..])] {
        assert_eq!(with(x, y), Err(KeyError::JwksUnusable));
    }
}

#[test]
fn an_rsa_key_has_from_2048_to_8192_bits_leading_zeros_aside() {
    let of = |modulus: &[u8]| {
        jwks(&[json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB"})])
            .map(|keys| keys.len())
    };
    let number = |first: u8, len: usize| [vec![first], vec![1; len - 1]].concat();
    for good in [number(0x80, 256), number(0xff, 1024), [vec![0], number(0x80, 256)].concat()] {
        assert_eq!(of(&good), Ok(1));
    }
    for bad in [number(0x7f, 256), number(0x01, 1025), [vec![0; 9], number(0x80, 255)].concat()] {
        assert_eq!(of(&bad), Err(KeyError::JwksUnusable));
    }
}

#[test]
fn what_is_no_jwks_is_refused_and_changes_nothing() {
    let mut keys = secret_keys();
    for text in
        ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[]}"#, r#"{"keys":[],"keys":[]}"#]
    {
        assert!(keys.add_jwks(text).is_err(), "{text}");
    }
    assert_eq!(keys.len(), 1);
}

#[test]
fn a_private_key_or_a_certificate_is_refused_with_a_clear_error() {
    for text in
        [fixture!("rsa.pem"), fixture!("rsa-pkcs1.pem"), fixture!("p256.pem"), fixture!("ed25519.pem")]
    {
        assert_eq!(KeySet::empty().add_pem(text), Err(KeyError::PrivateKey));
    }
    assert_eq!(KeySet::empty().add_pem(fixture!("certificate.pem")), Err(KeyError::Certificate));
}

#[test]
fn a_pem_of_another_kind_is_refused() {
    for text in [fixture!("p521.pub.pem"), fixture!("k256.pub.pem")] {
        assert_eq!(KeySet::empty().add_pem(text), Err(KeyError::Unsupported));
    }
    assert_eq!(KeySet::empty().add_pem(fixture!("rsa1024.pub.pem")), Err(KeyError::RsaSize(1024)));
    let begin = "-----BEGIN PUBLIC KEY-----\n";
    for text in [
        "",
        "key",
        begin,
        &format!("{begin}!!\n-----END PUBLIC KEY-----"),
        "-----BEGIN X-----\n-----END X-----",
    ] {
        assert!(KeySet::empty().add_pem(text).is_err(), "{text}");
    }
}

/// The PEM text of a public key, with what `change` makes of the bytes in it.
fn changed(text: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = STANDARD.decode(base64).unwrap();
    change(&mut der);
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", STANDARD.encode(der))
}

#[test]
fn a_public_key_of_a_curve_is_a_whole_uncompressed_point() {
    for text in [fixture!("p256.pub.pem"), fixture!("p384.pub.pem"), fixture!("ed25519.pub.pem")] {
        let add = |change: fn(&mut Vec<u8>)| KeySet::empty().add_pem(&changed(text, change));
        assert_eq!(add(|_| ()), Ok(()));
        assert_eq!(add(|der| der.push(0)), Err(KeyError::Unsupported), "a byte more");
        assert_eq!(add(|der| der.truncate(der.len() - 1)), Err(KeyError::Unsupported), "a byte less");
    }
    for (text, coordinate) in [(fixture!("p256.pub.pem"), 32), (fixture!("p384.pub.pem"), 48)] {
        let compressed = changed(text, |der| {
            let form = der.len() - 2 * coordinate - 1;
            der[form] = 0x02;
        });
        assert_eq!(KeySet::empty().add_pem(&compressed), Err(KeyError::Unsupported));
    }
}

#[test]
fn a_pem_block_that_is_not_base64_is_called_so() {
    for label in ["PUBLIC KEY", "RSA PUBLIC KEY"] {
        let text = format!("-----BEGIN {label}-----\n!!\n-----END {label}-----");
        assert_eq!(KeySet::empty().add_pem(&text), Err(KeyError::Pem("a block is not base64")));
    }
}

#[test]
fn one_pem_text_may_hold_several_keys_and_is_taken_whole_or_not_at_all() {
    let two = format!("# old\n{}\n# new\n{}", fixture!("rsa.pub.pem"), fixture!("p256.pub.pem"));
    let keys = pem(&[&two]);
    assert_eq!(keys.len(), 2);
    assert_eq!(verify(&keys, &signed(&rsa(), Algorithm::RS256, None)), Ok(()));
    assert_eq!(verify(&keys, &signed(&p256(), Algorithm::ES256, None)), Ok(()));
    let mut keys = KeySet::empty();
    assert!(keys.add_pem(&format!("{two}{}", fixture!("p384.pem"))).is_err());
    assert!(keys.is_empty());
}

#[test]
fn a_key_has_one_fingerprint_whatever_it_was_written_in() {
    let token = signed(&rsa(), Algorithm::RS256, None);
    let identity = with_keys(pem(&[fixture!("rsa.pub.pem")])).verify(&token, NOW).unwrap();
    let verified = identity.verified();
    assert!(pem(&[fixture!("rsa-pkcs1.pub.pem")]).allows(verified));
    assert!(jwks(&[jwk(&rsa(), Algorithm::RS256, &json!({"kid": "a"}))]).unwrap().allows(verified));
    assert!(!pem(&[fixture!("rsa-other.pub.pem")]).allows(verified));
}

#[test]
fn replaced_keys_end_the_trust_in_tokens_and_identities() {
    // given: a token verified, remembered, and its identity kept by a connection
    let token = signed(&rsa(), Algorithm::RS256, None);
    let mut authenticator = with_keys(pem(&[fixture!("rsa.pub.pem")]));
    let identity = authenticator.verify(&token, NOW).unwrap();
    assert!(authenticator.still_trusted(&identity));
    // when, then: a set with the key still in it keeps both
    authenticator.replace_keys(pem(&[fixture!("rsa-other.pub.pem"), fixture!("rsa-pkcs1.pub.pem")]));
    assert!(authenticator.still_trusted(&identity));
    assert!(authenticator.verify(&token, NOW).is_ok());
    // and a set that no longer allows its algorithm, or has it no more, ends both
    let restricted = jwks(&[jwk(&rsa(), Algorithm::RS256, &json!({"alg": "PS256"}))]).unwrap();
    for keys in [restricted, pem(&[fixture!("rsa-other.pub.pem")]), KeySet::empty()] {
        authenticator.replace_keys(keys);
        assert!(!authenticator.still_trusted(&identity));
        assert!(authenticator.verify(&token, NOW).is_err());
    }
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let config = AuthConfig {
        jwt_secret: Some(Secret::new(SECRET)),
        api_keys: vec![ApiKeyConfig::new(Secret::new("an-api-key-of-some-length"))],
        ..AuthConfig::default()
    };
    let mut printed = format!("{config:?} {:?}", KeySet::from_config(&config).unwrap());
    let mut authenticator = Authenticator::new(&config, keyed()).unwrap();
    let identity = authenticator.verify(&token(json!({})), NOW).unwrap();
    printed += &format!("{identity:?} {authenticator:?}");
    let bytes = format!("{:?}", SECRET.as_bytes());
    for secret in [SECRET, "an-api-key-of-some-length", bytes.trim_matches(['[', ']'])] {
        assert!(!printed.contains(secret));
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_key_panic(text in "\\PC{0,60}", tail in "[A-Za-z0-9+/=\n]{0,80}") {
        let mut keys = KeySet::empty();
        let _ = keys.add_pem(&text);
        let _ = keys.add_jwks(&text);
        let _ = keys.add_pem(&format!("-----BEGIN PUBLIC KEY-----{tail}-----END PUBLIC KEY-----"));
        let _ = keys.add_pem(&format!("-----BEGIN RSA PUBLIC KEY-----{tail}-----END RSA PUBLIC KEY-----"));
        let _ = keys.add_jwks(&json!({"keys": [{"kty": "RSA", "n": tail, "e": text}]}).to_string());
    }
}
