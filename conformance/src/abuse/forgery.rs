//! Attacks by lying: positions that never were, tokens that nobody signed, and text meant for the log.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{Arena, Attack, log_is_clean};
use crate::client::{Client, Dial, Position};
use crate::http::{Connection, Request};
use crate::outcome::Outcome;
use crate::tokens::{Token, keys};

pub(super) fn table() -> Vec<Attack> {
    let mut injection = Attack::new("log_injection", |arena| Box::pin(arena.swarm(10, inject)));
    injection.after = |server| log_is_clean(server, FORGED);
    vec![
        Attack::new("forged_and_stale_positions", |arena| Box::pin(arena.swarm(10, positions))),
        Attack::new("forged_last_event_ids", |arena| Box::pin(arena.swarm(10, last_event_ids))),
        Attack {
            name: "hostile_tokens",
            settings: concat!(
                "[auth]\npublic_keys = ['''",
                include_str!("../../keys/rsa.pub.pem"),
                "''', '''",
                include_str!("../../keys/ec256.pub.pem"),
                "''']\n"
            ),
            run: |arena| Box::pin(arena.swarm(10, tokens)),
            after: |_| Ok(()),
        },
        injection,
    ]
}

async fn positions(arena: Arena, number: usize) -> Outcome {
    let mut client = Client::full(&arena.server).await?;
    let epoch = client.epoch().to_owned();
    let end = (1_u64 << 53) - 1;
    let since = match number % 7 {
        0 => Position::everywhere(&epoch, 0).json(),
        1 => Position::everywhere(&epoch, end).json(),
        2 => Position::everywhere("another", 1).json(),
        3 => Position::everywhere(&"e".repeat(100_000), 1).json(),
        4 => json!({"epoch": epoch, "lanes": {"critical": -1, "high": 1.5, "normal": 1e300, "low": "x"}}),
        5 => json!({"epoch": epoch, "lanes": {"critical": u64::MAX, "high": 0, "normal": 0, "low": 0}}),
        _ => json!({"epoch": [epoch], "lanes": []}),
    };
    let subscriptions: Vec<Value> = (0..128)
        .map(|id| json!({"id": format!("s{id}"), "from": if number.is_multiple_of(2) { 0 } else { end }, "events": ["*"]}))
        .collect();
    client.request(json!({"type": "resume", "since": since, "subscriptions": subscriptions})).await?;
    // A little of the replay, and then gone.
    for _ in 0..20 {
        client.next().await?;
    }
    Ok(())
}

async fn last_event_ids(arena: Arena, number: usize) -> Outcome {
    let epoch = Client::full(&arena.server).await?.epoch().to_owned();
    let id = match number % 6 {
        0 => format!("{epoch}.0.0.0.0"),
        1 => format!("{epoch}.{0}.{0}.{0}.{0}", (1_u64 << 53) - 1),
        2 => format!("{epoch}.-1.0.0.18446744073709551616"),
        3 => ".".repeat(10_000),
        4 => format!("{}.1.1.1.1", "e".repeat(10_000)),
        _ => "9".repeat(10_000),
    };
    let request =
        Request::get("/v1/stream?events=*").bearer(&arena.server.full_token()?).header("Last-Event-ID", &id);
    let mut connection = Connection::open(&arena.server).await?;
    connection.send(&request.encode(&arena.server)).await?;
    connection.head().await?;
    for _ in 0..20 {
        connection.chunk().await?;
    }
    Ok(())
}

/// Every token here must be refused; one that is not would show in the checks of §2.
fn hostile(arena: &Arena, number: usize) -> Outcome<String> {
    let token = || arena.server.token().admin();
    let secret = |text: &str| EncodingKey::from_secret(text.as_bytes());
    match number % 12 {
        0 => token().signed_by(Algorithm::HS256, secret(keys::RSA_PUBLIC)).sign(),
        1 => token().signed_by(Algorithm::HS384, secret(keys::EC256_PUBLIC)).sign(),
        2 => Ok(token().header("alg", json!("none")).unsigned()),
        3 => token().header("alg", json!("RS256")).sign(),
        4 => token().header("kid", json!("../../../dev/null")).claim("exp", json!("never")).sign(),
        5 => token().claim("sub", json!({"$ne": null})).claim("tidings", json!([[]])).sign(),
        6 => token().header("crit", json!(["exp"])).header("jku", json!("http://127.0.0.1:9/")).sign(),
        7 => token().claim("pad", json!("x".repeat(1 << 20))).sign(),
        8 => token().claim("exp", json!(1e308)).claim("nbf", json!(-1e308)).sign(),
        9 => token().sign_claims(&"[".repeat(4_000)),
        10 => Ok(format!("{}.{}.{}", "A".repeat(2_000), "A".repeat(2_000), "A".repeat(2_000))),
        _ => Token::new("a secret that is not the server's own", "admin")
            .header("kid", json!("x".repeat(3_000)))
            .sign(),
    }
}

async fn tokens(arena: Arena, _: usize) -> Outcome {
    for kind in 0..12 {
        let token = hostile(&arena, kind)?;
        let _refused = Dial::query(&token).upgrade(&arena.server).await;
        let _refused = Request::get("/v1/stats").bearer(&token).send(&arena.server).await;
        if token.len() < 100_000 {
            let mut client = Client::full(&arena.server).await?;
            client.request(json!({"type": "auth", "token": token})).await?;
        }
        arena.attempt();
    }
    Ok(())
}

/// How a forged line begins.
const FORGED: &str = "FORGED";

/// Puts line ends and terminal sequences wherever text of a peer could reach the log.
async fn inject(arena: Arena, number: usize) -> Outcome {
    let poison = "x\r\nFORGED level=info\n\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{2028}FORGED";
    let encoded = crate::http::escape(poison);
    let server = &arena.server;
    match number % 6 {
        0 => {
            let user = Token::new(&server.secret, poison).full().sign()?;
            let mut client = Dial::query(&user).open(server).await?;
            for kind in [poison, "subscribe", "publish"] {
                client
                    .request(json!({"type": kind, "events": [poison], "event": {"type": poison, poison: 1}}))
                    .await?;
            }
        }
        1 => {
            let request =
                Request::new("GET", &format!("/{encoded}?{encoded}")).header("User-Agent", "x\u{1b}[2J");
            request.send(server).await?;
        }
        2 => {
            let mut connection = Connection::open(server).await?;
            connection.send(format!("GET /{poison} HTTP/1.1\r\nHost: {poison}\r\n\r\n").as_bytes()).await?;
            connection.rest().await?;
        }
        3 => {
            let token =
                Token::new(&server.secret, "u1").header("kid", json!(poison)).header("alg", json!(poison));
            Dial::query(&token.sign()?).upgrade(server).await?;
        }
        4 => {
            let event = json!({"type": "system.error", "source": "/x", "id": poison,
                "data": {"service": poison, "message": poison, "timestamp": crate::events::TIME}});
            Request::publish(&event).bearer(&server.api_key).send(server).await?;
        }
        _ => {
            Dial::new("/").origin("http://x\tFORGED").upgrade(server).await?;
            server.admin("DELETE", &format!("/v1/connections?user={encoded}&revoke=true")).await?;
        }
    }
    Ok(())
}
