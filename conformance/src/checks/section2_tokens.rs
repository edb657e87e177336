//! §2 Tokens: algorithms, keys, times, and in-place refresh.

use std::time::Instant;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::client::Dial;
use crate::lab::{Context, Server};
use crate::outcome::{Outcome, Within as _, ensure, same};
use crate::runner::table;
use crate::tokens::{Token, keys, unix_now};

table! { 2:
    secret_takes_hs256_hs384_and_hs512
    another_secret_is_refused
    algorithm_is_the_key_s_and_not_the_token_s
    public_keys_take_rs_ps_es_and_eddsa
    jwks_is_chosen_by_kid_use_and_alg
    jwks_with_a_symmetric_key_is_refused_or_ignored
    none_is_refused
    unknown_crit_is_refused
    jku_x5u_and_jwk_are_ignored
    token_over_8_kib_is_refused
    exp_is_required
    exp_and_nbf_are_checked_with_a_leeway
    time_claim_that_is_no_number_is_refused
    sub_is_required
    configured_iss_and_aud_are_required_and_must_match
    unconfigured_iss_and_aud_are_ignored
    claim_that_stands_twice_makes_a_token_invalid
    expiry_closes_with_4419_within_a_second
    auth_swaps_the_token_in_place
    auth_before_expiry_keeps_the_connection
    auth_with_a_bad_token_or_another_sub_keeps_the_old
    auth_ends_subscriptions_that_are_no_longer_allowed
}

async fn accepted(server: &Server, token: &Token) -> Outcome {
    Dial::bearer(&token.sign()?).open(server).await.at(format!("{token:?}"))?;
    Ok(())
}

async fn refused(server: &Server, token: &Token) -> Outcome {
    Dial::bearer(&token.sign()?).closed_with(server, 4401).await.at(format!("{token:?}"))
}

async fn secret_takes_hs256_hs384_and_hs512(t: Context) -> Outcome {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let key = EncodingKey::from_secret(t.server.secret.as_bytes());
        accepted(&t.server, &t.server.token().signed_by(algorithm, key)).await?;
    }
    Ok(())
}

async fn another_secret_is_refused(t: Context) -> Outcome {
    refused(&t.server, &Token::new("another secret of at least 32 bytes!", "u1")).await
}

/// Public keys as TOML, beside the secret of all.
fn public_keys() -> String {
    let keys = [keys::RSA_PUBLIC, keys::EC256_PUBLIC, keys::EC384_PUBLIC, keys::ED25519_PUBLIC];
    let keys: Vec<String> = keys.iter().map(|key| format!("'''{key}'''")).collect();
    format!("[auth]\npublic_keys = [{}]\n", keys.join(", "))
}

async fn algorithm_is_the_key_s_and_not_the_token_s(t: Context) -> Outcome {
    // The classic swap: the public key's text as the secret of an HMAC.
    let server = t.with(&public_keys()).await?;
    for (public, algorithm) in [(keys::RSA_PUBLIC, Algorithm::HS256), (keys::EC256_PUBLIC, Algorithm::HS512)]
    {
        let key = EncodingKey::from_secret(public.as_bytes());
        refused(&server, &server.token().signed_by(algorithm, key)).await?;
    }
    // And a header that names another algorithm than the signature has.
    for algorithm in ["RS256", "ES256", "EdDSA", "HS512", "hs256", "HS1", ""] {
        refused(&server, &server.token().header("alg", json!(algorithm))).await?;
    }
    refused(&server, &server.token().header("alg", json!(["HS256"]))).await?;
    let key = EncodingKey::from_rsa_pem(keys::RSA.as_bytes())?;
    refused(&t.server, &t.server.token().signed_by(Algorithm::RS256, key)).await
}

async fn public_keys_take_rs_ps_es_and_eddsa(t: Context) -> Outcome {
    let server = t.with(&public_keys()).await?;
    let rsa = EncodingKey::from_rsa_pem(keys::RSA.as_bytes())?;
    for algorithm in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ] {
        accepted(&server, &server.token().signed_by(algorithm, rsa.clone())).await?;
    }
    let others = [
        (Algorithm::ES256, EncodingKey::from_ec_pem(keys::EC256.as_bytes())?),
        (Algorithm::ES384, EncodingKey::from_ec_pem(keys::EC384.as_bytes())?),
        (Algorithm::EdDSA, EncodingKey::from_ed_pem(keys::ED25519.as_bytes())?),
    ];
    for (algorithm, key) in others {
        accepted(&server, &server.token().signed_by(algorithm, key)).await?;
    }
    accepted(&server, &server.token()).await
}

async fn jwks_is_chosen_by_kid_use_and_alg(t: Context) -> Outcome {
    let server = t.with(&format!("[auth]\njwks = '''{}'''\n", keys::JWKS)).await?;
    let rsa = EncodingKey::from_rsa_pem(keys::RSA.as_bytes())?;
    let ec = EncodingKey::from_ec_pem(keys::EC256.as_bytes())?;
    let ed = EncodingKey::from_ed_pem(keys::ED25519.as_bytes())?;
    let token = |algorithm, key: &EncodingKey, kid: &str| {
        server.token().signed_by(algorithm, key.clone()).header("kid", json!(kid))
    };
    accepted(&server, &token(Algorithm::RS256, &rsa, "rsa-any")).await?;
    accepted(&server, &token(Algorithm::PS384, &rsa, "rsa-any")).await?;
    accepted(&server, &token(Algorithm::RS256, &rsa, "rsa-rs256")).await?;
    accepted(&server, &token(Algorithm::ES256, &ec, "ec256")).await?;
    accepted(&server, &token(Algorithm::EdDSA, &ed, "ed")).await?;
    refused(&server, &token(Algorithm::RS512, &rsa, "rsa-rs256")).await.at("alg is honoured")?;
    refused(&server, &token(Algorithm::RS256, &rsa, "rsa-enc")).await.at("use is honoured")?;
    refused(&server, &token(Algorithm::ES256, &ec, "ec384")).await.at("kid decides")?;
    refused(&server, &token(Algorithm::RS256, &rsa, "foreign")).await.at("foreign kid")
}

async fn jwks_with_a_symmetric_key_is_refused_or_ignored(t: Context) -> Outcome {
    let weak = "a symmetric key in a public key set";
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, weak);
    let set = json!({"keys": [{"kty": "oct", "k": encoded, "kid": "sym", "alg": "HS256"}]});
    // Refusing to start is as good as ignoring the key.
    let Ok(server) = t.with(&format!("[auth]\njwks = '''{set}'''\n")).await else {
        t.with("").await?;
        return Ok(());
    };
    let key = EncodingKey::from_secret(weak.as_bytes());
    refused(&server, &server.token().signed_by(Algorithm::HS256, key).header("kid", json!("sym"))).await
}

async fn none_is_refused(t: Context) -> Outcome {
    for name in ["none", "None", "NONE", "nOnE"] {
        let token = t.server.token().full().header("alg", json!(name));
        Dial::bearer(&token.unsigned()).closed_with(&t.server, 4401).await.at(name)?;
        Dial::bearer(token.unsigned().trim_end_matches('.')).closed_with(&t.server, 4401).await.at(name)?;
        refused(&t.server, &token).await?;
    }
    Dial::bearer(&t.server.token().unsigned()).closed_with(&t.server, 4401).await
}

async fn unknown_crit_is_refused(t: Context) -> Outcome {
    for crit in [json!(["exp"]), json!(["urn:x"]), json!([]), json!("x")] {
        refused(&t.server, &t.server.token().header("crit", crit)).await?;
    }
    Ok(())
}

async fn jku_x5u_and_jwk_are_ignored(t: Context) -> Outcome {
    let url = json!("http://127.0.0.1:9/keys.json");
    accepted(&t.server, &t.server.token().header("jku", url.clone()).header("x5u", url)).await?;
    // A key that the token brings along is never used.
    let own = "the attacker's own secret of 32 bytes and more";
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, own);
    let jwk = json!({"kty": "oct", "k": encoded, "alg": "HS256"});
    refused(&t.server, &Token::new(own, "u1").header("jwk", jwk)).await
}

async fn token_over_8_kib_is_refused(t: Context) -> Outcome {
    let pad = |length: usize| t.server.token().claim("pad", json!("x".repeat(length))).sign();
    let mut length = 5_000;
    while pad(length)?.len() <= 8 * 1024 - 2 {
        length += 1;
    }
    Dial::bearer(&pad(length - 1)?).open(&t.server).await.at("a token of just under 8 KiB")?;
    Dial::bearer(&pad(length + 2)?).closed_with(&t.server, 4401).await.at("a token of just over 8 KiB")
}

async fn exp_is_required(t: Context) -> Outcome {
    refused(&t.server, &t.server.token().without("exp")).await
}

async fn exp_and_nbf_are_checked_with_a_leeway(t: Context) -> Outcome {
    let token = || t.server.token();
    accepted(&t.server, &token().expires_in(-10)).await?;
    refused(&t.server, &token().expires_in(-45)).await?;
    accepted(&t.server, &token().claim("nbf", json!(unix_now() + 10))).await?;
    refused(&t.server, &token().claim("nbf", json!(unix_now() + 60))).await?;
    let strict = t.with("[auth]\nleeway_s = 0\n").await?;
    refused(&strict, &strict.token().expires_in(-2)).await?;
    refused(&strict, &strict.token().claim("nbf", json!(unix_now() + 10))).await?;
    accepted(&strict, &strict.token()).await
}

async fn time_claim_that_is_no_number_is_refused(t: Context) -> Outcome {
    let later = (unix_now() + 600).to_string();
    for name in ["exp", "nbf", "iat"] {
        for value in [json!(later), Value::Null, json!([1]), json!({}), json!(true)] {
            refused(&t.server, &t.server.token().claim(name, value)).await?;
        }
    }
    Ok(())
}

async fn sub_is_required(t: Context) -> Outcome {
    refused(&t.server, &t.server.token().without("sub")).await?;
    for sub in [json!(""), json!(7), Value::Null] {
        refused(&t.server, &t.server.token().claim("sub", sub)).await?;
    }
    Ok(())
}

async fn configured_iss_and_aud_are_required_and_must_match(t: Context) -> Outcome {
    let server = t.with("[auth]\nissuer = \"https://id.example\"\naudience = [\"panel\"]\n").await?;
    let issued = || server.token().claim("iss", json!("https://id.example"));
    accepted(&server, &issued().claim("aud", json!("panel"))).await?;
    accepted(&server, &issued().claim("aud", json!(["other", "panel"]))).await?;
    refused(&server, &issued()).await?;
    refused(&server, &issued().claim("aud", json!("other"))).await?;
    refused(&server, &server.token().claim("aud", json!("panel"))).await?;
    refused(&server, &issued().claim("aud", json!("panel")).claim("iss", json!("https://evil.example"))).await
}

async fn unconfigured_iss_and_aud_are_ignored(t: Context) -> Outcome {
    accepted(&t.server, &t.server.token().claim("iss", json!("anyone")).claim("aud", json!(["anything"])))
        .await
}

async fn claim_that_stands_twice_makes_a_token_invalid(t: Context) -> Outcome {
    let exp = unix_now() + 600;
    for claims in [
        format!(r#"{{"sub":"u1","sub":"u1","exp":{exp}}}"#),
        format!(r#"{{"sub":"u1","exp":{exp},"\u0065xp":{exp}}}"#),
        format!(r#"{{"sub":"u1","exp":{exp},"other":1,"other":1}}"#),
        format!(r#"{{"sub":"u1","exp":{exp},"tidings":{{"admin":false,"admin":true}}}}"#),
    ] {
        let token = t.server.token().sign_claims(&claims)?;
        Dial::bearer(&token).closed_with(&t.server, 4401).await.at(&claims)?;
    }
    let token = t.server.token().sign_claims(&format!(r#"{{"sub":"u1","exp":{exp},"other":1}}"#))?;
    Dial::bearer(&token).open(&t.server).await?;
    Ok(())
}

async fn expiry_closes_with_4419_within_a_second(t: Context) -> Outcome {
    let server = t.with("[auth]\nleeway_s = 1\n").await?;
    let exp = unix_now() + 1;
    let mut client = Dial::query(&server.token().claim("exp", json!(exp)).sign()?).open(&server).await?;
    client.follow("nothing").await?;
    client.closed_with(4419).await?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
    let late = now - (u32::try_from(exp + 1).map(f64::from)?);
    // Half a second for a busy machine.
    ensure!((0.0..1.5).contains(&late), "closed {late:.2} s after exp plus leeway");
    Ok(())
}

async fn auth_swaps_the_token_in_place(t: Context) -> Outcome {
    let token = t.server.token();
    let mut client = Dial::query(&token.sign()?).open(&t.server).await?;
    client
        .error(json!({"type": "publish", "event": crate::events::sample("user.login")}), "forbidden")
        .await?;
    let exp = unix_now() + 1234;
    let fresh = token.full().claim("exp", json!(exp)).sign()?;
    let reply = client.request(json!({"type": "auth", "id": "a", "token": fresh})).await?;
    same!(reply, json!({"type": "authenticated", "id": "a", "expiresAt": exp}), "reply");
    let reply =
        client.request(json!({"type": "publish", "event": crate::events::sample("user.login")})).await?;
    same!(reply["type"], "published", "publish under the new grant: {reply}");
    Ok(())
}

async fn auth_before_expiry_keeps_the_connection(t: Context) -> Outcome {
    let server = t.with("[auth]\nleeway_s = 0\n").await?;
    let token = server.token();
    let old = token.clone().expires_in(3);
    let started = Instant::now();
    let mut client = Dial::query(&old.sign()?).open(&server).await?;
    let reply = client.request(json!({"type": "auth", "token": token.sign()?})).await?;
    same!(reply["type"], "authenticated", "reply {reply}");
    // Another connection with the old token shows when its time has come.
    let mut witness = Dial::query(&old.sign()?).open(&server).await?;
    witness.closed_with(4419).await?;
    ensure!(started.elapsed().as_secs() < 10, "the witness was closed late");
    client.alive().await
}

async fn auth_with_a_bad_token_or_another_sub_keeps_the_old(t: Context) -> Outcome {
    let mut client = crate::client::Client::full(&t.server).await?;
    let other = t.server.full_token()?;
    let expired = t.server.token().full().expires_in(-3600).sign()?;
    for token in [other, expired, "nonsense".into(), String::new()] {
        client.error(json!({"type": "auth", "token": token}), "invalid_token").await?;
    }
    let reply =
        client.request(json!({"type": "publish", "event": crate::events::sample("user.login")})).await?;
    same!(reply["type"], "published", "publish under the old grant: {reply}");
    Ok(())
}

async fn auth_ends_subscriptions_that_are_no_longer_allowed(t: Context) -> Outcome {
    let token = t.server.token();
    let mark = crate::events::unique("mark");
    let mut client = Dial::query(&token.clone().full().sign()?).open(&t.server).await?;
    client.subscribe("kept", &["settings.updated"], json!({"settingKey": mark})).await?;
    client.subscribe("lost", &["content.*"], json!({"@subject": mark})).await?;
    let narrow = token.grant(json!({"subscribe": ["settings.*"]})).sign()?;
    client.send(&json!({"type": "auth", "id": "a", "token": narrow})).await?;
    let two = [client.next().await?, client.next().await?];
    let error = two.iter().find(|message| message["type"] == "error");
    same!(error.map(|error| &error["id"]), Some(&json!("lost")), "the ended subscription in {two:?}");
    same!(error.map(|error| &error["code"]), Some(&json!("forbidden")), "code in {two:?}");
    ensure!(two.iter().any(|message| message["type"] == "authenticated"), "no reply in {two:?}");
    let mut gone = crate::events::sample("content.deleted");
    gone["subject"] = json!(mark);
    gone["priority"] = json!("high");
    t.server.publish(&gone).await?;
    t.server.publish(&crate::events::marked(&mark, "high", 1)).await?;
    same!(client.values(1).await?, [json!(1)], "events after the grant shrank");
    client.error(json!({"type": "unsubscribe", "id": "lost"}), "not_subscribed").await?;
    Ok(())
}
