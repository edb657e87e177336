//! Writes the seeds of the fuzz corpora, which the fuzzer grows from: what the conformance suite says to a
//! server, in the forms of the targets. Run after a target's form has changed:
//! `cargo run -p tidings-sim --example seeds`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tidings_sim::sim::{Draw, Stream};
use tidings_sim::{EPOCH_MS, events, sign};

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, seeds) in [
        ("connection", connection()),
        ("http", http()),
        ("token", token()),
        ("filter", filter()),
        ("inputs", inputs()),
        ("client", client()),
    ] {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}

fn events() -> [Value; 5] {
    let tenant = |event| events::with(event, "tenantId", "t1");
    [events::critical(1), events::high(2), tenant(events::normal(3)), events::low(4), events::health("db", 5)]
}

/// What a WebSocket client says, a line each.
const MESSAGES: [&str; 9] = [
    r#"{"type":"subscribe","id":"s1","events":["content.*","settings.updated"],"filter":{"settingKey":"theme"},"recent":50}"#,
    r#"{"type":"resume","since":{"epoch":"e","lanes":{"critical":7,"high":5,"normal":124,"low":90}},"subscriptions":[{"id":"s1","from":98,"events":["*"],"filter":{"@source":["/a",1,null,true]}}]}"#,
    r#"{"type":"unsubscribe","id":"s1"}"#,
    r#"{"type":"auth","id":"a","token":"x.y.z"}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"publish","id":"p1","event":{"id":"e1","type":"system.error","data":{"service":"a","message":"m","timestamp":"2026-01-31T08:09:10Z"}}}"#,
    r#"{"type":"subscribe","id":"s2","events":["*"]}"#,
    r#"{"type":"subscribe","id":"s3","events":["a.b","nope"],"filter":{"a..b":{}}}"#,
    r#"{"type":"ping","type":"pong"}"#,
];

fn connection() -> Vec<Vec<u8>> {
    let raw = |text: &str| [b"\x00\x00", text.as_bytes()].concat();
    let body = events()[0].to_string();
    let post = |fields: &str, body: &str| {
        raw(&format!(
            "POST /v1/events HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer api-key-of-the-fuzz-targets\r\n{fields}\r\n{body}"
        ))
    };
    let mut seeds = vec![
        raw(
            "GET /healthz HTTP/1.1\r\nHost: sim\r\n\r\nGET /readyz HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n",
        ),
        raw(
            "GET / HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        ),
        raw(
            "OPTIONS /v1/events HTTP/1.1\r\nHost: sim\r\nOrigin: http://sim\r\nAccess-Control-Request-Method: POST\r\n\r\n",
        ),
        post(&format!("Content-Length: {}\r\n", body.len()), &body),
        post("Transfer-Encoding: chunked\r\n", &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())),
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Expect: 100-continue\r\nContent-Length: 2\r\n", "{}"),
    ];
    let frames: [&[u8]; 6] = [
        b"\x89\x80\x00\x00\x00\x00\x8a\x80\x00\x00\x00\x00\x88\x82\x00\x00\x00\x00\x03\xe8",
        b"\x01\x83\x00\x00\x00\x00{\"t\x80\x8b\x00\x00\x00\x00ype\":\"ping\"}",
        b"\x82\x81\x00\x00\x00\x00x",
        b"\x81\x82\x00\x00\x00\x00\xc3\x28",
        b"\x81\x02hi",
        b"\x81\xfe\x00\x7e\x00\x00\x00\x00",
    ];
    seeds.extend(frames.map(|frames| [b"\x01\x00", frames].concat()));
    seeds.extend(MESSAGES.map(|message| [b"\x05\x00", message.as_bytes()].concat()));
    let publishes = events().map(|event| json!({"type": "publish", "id": "p", "event": event}).to_string());
    for kind in [b"\x02\x07", b"\x05\x09"] {
        seeds.push([kind, MESSAGES.join("\n").as_bytes()].concat());
        seeds.push([kind, MESSAGES[6].as_bytes(), b"\n", publishes.join("\n").as_bytes()].concat());
    }
    seeds
}

fn http() -> Vec<Vec<u8>> {
    let publish = |who: &str, fields: &str, body: &str| format!("{who}POST /v1/events\n{fields}\n{body}");
    let json = "Content-Type: application/json\n";
    let [critical, high, normal, low, _] = events();
    let twice = events::attribute(critical.clone(), "id", "one").to_string();
    let requests = [
        publish("k", json, &critical.to_string()),
        publish("k", "Content-Type: application/cloudevents+json\n", &high.to_string()),
        publish("k", "Content-Type: application/cloudevents-batch+json\n", &json!([normal, low]).to_string()),
        publish("k", json, &json!([normal, {"type": "user.login", "data": {}}]).to_string()),
        publish(
            "k",
            "Content-Type: application/json\nce-specversion: 1.0\nce-type: system.error\nce-id: b1\nce-source: /a\nce-subject: s\n",
            &critical["data"].to_string(),
        ),
        [
            publish("k", json, &twice),
            publish("k", json, &twice),
            "aGET /v1/events?after=0&limit=2".to_owned(),
        ]
        .join("\0"),
        [
            publish("t", json, &normal.to_string()),
            "tGET /v1/events?events=user.*&filter=%7B%22tenantId%22%3A%22t1%22%7D".to_owned(),
        ]
        .join("\0"),
        publish("n", json, &low.to_string()),
        publish("p", json, &low.to_string()),
        publish("-", json, &low.to_string()),
        "aGET /v1/stream?events=content.*&filter={}\nLast-Event-ID: e.1.2.3.4".to_owned(),
        ["aGET /v1/stats", "aGET /v1/connections", "aGET /metrics", "aGET /v1/schema"].join("\0"),
        ["aDELETE /v1/connections", "aDELETE /v1/connections?user=eve&revoke=true"].join("\0"),
        ["-GET /healthz", "-GET /readyz", "-GET /", "-HEAD /healthz", "-PUT /v1/events", "-GET /none"]
            .join("\0"),
        "-OPTIONS /v1/events\nOrigin: http://sim\nAccess-Control-Request-Method: POST".to_owned(),
        "kPOST /v1/events\nContent-Encoding: gzip\nContent-Type: text/plain\n\n{}".to_owned(),
    ];
    requests.map(String::into_bytes).to_vec()
}

fn token() -> Vec<Vec<u8>> {
    let exp = EPOCH_MS / 1000 + 600;
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let claims = [
        json!({"sub": "ann", "exp": exp}),
        json!({"sub": "ann", "exp": exp, "nbf": exp - 500, "iat": exp - 600, "iss": "us", "aud": ["panel", "x"]}),
        json!({"sub": "ann", "exp": exp, "tidings": {"subscribe": ["content.*"], "publish": ["analytics.*"],
            "filter": {"tenantId": ["t1", 1, null]}, "maxPriority": "high", "admin": true}}),
        json!({"sub": "ann", "exp": exp, "role": "viewer", "roles": ["ops", "none"], "org": "t1"}),
        json!({"sub": "", "exp": "soon", "tidings": {"unknown": 1}}),
        json!({"sub": "ann", "iss": "us", "aud": "api"}),
    ];
    let mut seeds = Vec::new();
    for (claims, bits) in claims.iter().zip([0u8, 6, 0, 0, 0, 7]) {
        seeds.push([&[bits << 1], sign(claims).as_bytes()].concat());
        seeds.push([&[bits << 1 | 1], header.as_bytes(), b"\n", claims.to_string().as_bytes()].concat());
    }
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS512","kid":"k"}"#,
        r#"{"alg":"HS384","crit":["exp"]}"#,
        r#"{"alg":"RS256","jwk":{}}"#,
    ] {
        seeds.push([b"\x01", header.as_bytes(), b"\n", claims[0].to_string().as_bytes()].concat());
    }
    seeds.push(b"\x01{\"alg\":\"HS256\"}\n{\"sub\":\"a\",\"sub\":\"b\"}".to_vec());
    seeds
}

fn filter() -> Vec<Vec<u8>> {
    let seeds = [
        "*\ncontent.*\nuser.login\nContent.*\na.b.c".to_owned(),
        "+*\t{}\n+user.* system.error\t{\"userId\":\"u3\"}\n?{\"type\":\"user.login\",\"data\":{\"userId\":\"u3\"}}".to_owned(),
        "+*\t{\"tags\":[\"a\",1,null]}\t{\"t\":1}\n+*\t{\"tags\":\"a\"}\n-0\n?{\"type\":\"a.b\",\"data\":{\"t\":1.0,\"tags\":[\"b\",\"a\"]}}".to_owned(),
        "+a.*\t{\"x.y\":true,\"@source\":\"/a\",\"@subject\":\"s\"}\n+a.b\t{}\t{\"x.y\":[true]}\n?{\"type\":\"a.b\",\"source\":\"/a\",\"subject\":\"s\",\"data\":{\"x\":{\"y\":true}}}".to_owned(),
        "+*\t{\"n\":[0,-0.0,1e3,1e300,18446744073709551615]}\n?{\"type\":\"a.b\",\"data\":{\"n\":[1000,1E+300]}}".to_owned(),
        "+*\t{\"a\":{},\"b..c\":1}\n+*\t{\"a\":1,\"a\":2}\n+*\t{\"a\":[]}".to_owned(),
    ];
    seeds.map(String::into_bytes).to_vec()
}

/// Choices of the simulator's generator, of many lengths.
fn inputs() -> Vec<Vec<u8>> {
    let choices = |seed: u64| {
        let mut draw = Draw::new(seed, Stream::Scenario, 0);
        (0..2u64 << seed.min(6)).flat_map(|_| draw.number().to_le_bytes()).collect()
    };
    (0..12).map(choices).collect()
}

fn client() -> Vec<Vec<u8>> {
    let welcome = r#"m{"type":"welcome","protocol":1,"connection":"c_1","user":"ann","epoch":"e1","offset":5,"heartbeat":{"interval":30000,"timeout":60000},"expiresAt":1790003600}"#;
    let open = format!("s\ntx.y.z\nc\n{welcome}");
    let subscribed = r#"+{"events":["user.*"],"filter":{"userId":"u1"},"recent":2}
m{"type":"subscribed","id":"$id","offset":5,"recent":[{"offset":3,"event":{"type":"user.login","data":{"userId":"u1"}}}]}"#;
    let event = r#"m{"type":"event","offset":7,"lane":"normal","event":{"type":"user.login","data":{"userId":"u1"}}}"#;
    let again = format!("w30000\nc\n{welcome}");
    let seeds = [
        format!(
            "{open}\n{subscribed}\n{event}\n{event}\nm{}",
            json!({"type": "gap", "lane": "low", "after": 5, "until": 9, "reason": "expired"})
        ),
        format!(
            "{open}\n{subscribed}\n{event}\nd1006\n{again}\nm{}",
            json!({"type": "resumed", "recovered": true,
            "position": {"epoch": "e1", "lanes": {"critical": 5, "high": 5, "normal": 7, "low": 5}}, "subscriptions": [{"id": "s1", "offset": 5}]})
        ),
        format!(
            "{open}\n{subscribed}\nd4419\ntnew\n{again}\nm{}",
            json!({"type": "resumed", "recovered": false,
            "position": {"epoch": "e2", "lanes": {"critical": 1, "high": 1, "normal": 1, "low": 1}}, "subscriptions": [{"id": "s1", "error": {"code": "forbidden", "message": "no"}}]})
        ),
        format!(
            "{open}\np{{\"type\":\"user.login\",\"data\":{{}}}}\nm{}",
            json!({"type": "published", "id": "$id", "eventId": "e", "offset": 9, "duplicate": false})
        ),
        format!(
            "{open}\n{subscribed}\n-0\nm{}\nv\nw5000\nn\no\nx",
            json!({"type": "unsubscribed", "id": "$id"})
        ),
        format!(
            "{open}\nm{}\nm{}\nw90000",
            json!({"type": "heartbeat", "lanes": {"critical": 8, "high": 8, "normal": 8, "low": 8}}),
            json!({"type": "reconnect", "after": 1500})
        ),
        format!(
            "{open}\ntnewer\nm{}\nj1790003590000\nw1000\ng\nu",
            json!({"type": "authenticated", "id": "$id", "expiresAt": 1_790_007_200})
        ),
        format!("{open}\n{subscribed}\nq\n{}\nq", [event; 20].join("\n")),
        format!(
            "{open}\n+{{\"events\":[\"*\"]}}\nm{}\nw3000",
            json!({"type": "error", "id": "$id", "code": "rate_limited", "message": "slow"})
        ),
        format!("s\ntx\nf\nw500\nc\nd4401\nu\nty\nd4403\nn\ns\no\n{welcome}"),
        format!("{open}\nm{{}}\nd1002\ns\nd4400\nx\ns"),
    ];
    seeds.map(String::into_bytes).to_vec()
}
