//! The commands through the binary: what they print, and their exit codes.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What a run of the binary gave.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

/// Runs `tidings` with these words, these variables and this input, and none of our own variables.
fn tidings(words: &[&str], variables: &[(&str, &str)], input: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDINGS_") || name == "WEBSOCKET_PORT" {
            command.env_remove(name);
        }
    }
    let mut child = command
        .args(words)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file of its own for one test, removed at the end.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidings-cli-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn claims(token: &str) -> Value {
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = jsonwebtoken::DecodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims
}

#[test]
fn help_shows_examples_and_usage_errors_exit_with_2() {
    for command in ["serve", "token", "emit", "tail", "check", "schema", "completions"] {
        let run = tidings(&[command, "--help"], &[], "");
        assert_eq!(run.code, 0, "{command}");
        assert!(run.out.contains("Example"), "{command}: {}", run.out);
    }
    assert_eq!(tidings(&[], &[], "").code, 2);
    assert_eq!(tidings(&["fly"], &[], "").code, 2);
    assert!(tidings(&["--version"], &[], "").out.starts_with("tidings 0."));
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(tidings(&["completions", shell], &[], "").out.contains("retry-for"), "{shell}");
    }
}

#[test]
fn serve_without_a_key_refuses_and_says_what_to_set() {
    let run = tidings(&["serve", "--listen", "127.0.0.1:0"], &[], "");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("TIDINGS_JWT_SECRET") && run.err.contains("--dev"), "{}", run.err);
    assert_eq!(run.out, "");
}

#[test]
fn serve_lists_all_faults_before_it_starts() {
    let variables =
        [("TIDINGS_LIMITS__PATTERNS", "0"), ("TIDINGS_LISTN", "1"), ("TIDINGS_JWT_SECRET", "short")];
    let run = tidings(&["serve", "--set", "history.events=none"], &variables, "");
    assert_eq!(run.code, 2);
    for expected in [
        "TIDINGS_LIMITS__PATTERNS: limits.patterns = 0: 1 to 1024",
        "TIDINGS_LISTN: no such setting; did you mean TIDINGS_LISTEN?",
        "TIDINGS_JWT_SECRET: auth.jwt_secret = (hidden): 32 to 4096 bytes (it has 5)",
        "--set history.events: history.events = \"none\": 1 to 100000000",
    ] {
        assert!(run.err.contains(expected), "{expected}\nnot in\n{}", run.err);
    }
}

#[test]
fn a_server_for_development_refuses_an_open_address() {
    let run = tidings(&["serve", "--dev", "--listen", "0.0.0.0:0"], &[], "");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("--listen: listen = 0.0.0.0:0: a loopback address with --dev"), "{}", run.err);
}

#[test]
fn check_says_ok_and_what_differs_or_every_fault_with_its_place() {
    let good =
        File::new("good.toml", "[limits]\npatterns = 3\n[auth]\napi_keys = ['a-key-of-good-length']\n");
    let run = tidings(&["check", "--config", good.path()], &[("TIDINGS_JWT_SECRET", SECRET)], "");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.starts_with("ok\n"));
    assert!(run.out.contains("limits.patterns = 3") && run.out.contains("good.toml:2:1"), "{}", run.out);
    assert!(run.out.contains("auth.jwt_secret = \"(hidden)\""), "{}", run.out);
    assert!(!run.out.contains(SECRET) && !run.out.contains("good-length"), "{}", run.out);

    let bad = File::new("bad.toml", "[limits]\npaterns = 3\nfragments = 0\n");
    let run = tidings(&["check"], &[("TIDINGS_CONFIG", bad.path())], "");
    assert_eq!(run.code, 2);
    assert!(run.out.contains("bad.toml:2:1: limits.paterns: no such key; did you mean `limits.patterns`?"));
    assert!(run.out.contains("bad.toml:3:1: limits.fragments = 0: 1 to 1000000"), "{}", run.out);

    let unusable = File::new(
        "unusable.toml",
        "[heartbeat]\ntimeout_ms = 1000\n[auth.roles.editor]\nfilter = { tenantId = '$claim' }\n",
    );
    let run = tidings(&["check"], &[("TIDINGS_CONFIG", unusable.path())], "");
    assert_eq!(run.code, 2);
    assert!(
        run.out.contains("unusable.toml:2:1: heartbeat.timeout_ms = 1000: at least 30500"),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("unusable.toml:4:12: auth.roles.editor.filter.tenantId = $claim: "),
        "{}",
        run.out
    );
}

#[test]
fn a_token_says_what_was_asked_for_and_stands_alone_on_standard_output() {
    let variables = [("TIDINGS_JWT_SECRET", SECRET), ("TIDINGS_AUTH__ISSUER", "https://login.example")];
    let words = [
        "token",
        "--user",
        "alice",
        "--subscribe",
        "content.*",
        "--publish",
        "*",
        "--filter",
        r#"{"tenantId":"t1"}"#,
        "--max-priority",
        "high",
        "--admin",
        "--expires",
        "2h",
    ];
    let run = tidings(&words, &variables, "");
    assert_eq!((run.code, run.err.as_str(), run.out.lines().count()), (0, "", 1));
    let claims = claims(run.out.trim());
    assert_eq!((&claims["sub"], &claims["iss"]), (&json!("alice"), &json!("https://login.example")));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 7200);
    assert_eq!(
        claims["tidings"],
        json!({"subscribe":["content.*"],"publish":["*"],"filter":{"tenantId":"t1"},"maxPriority":"high","admin":true})
    );
}

#[test]
fn a_token_without_a_grant_leaves_it_to_the_server() {
    let run =
        tidings(&["token", "--expires", "never", "--role", "editor"], &[("TIDINGS_JWT_SECRET", SECRET)], "");
    let claims = claims(run.out.trim());
    assert_eq!(
        (&claims["tidings"], &claims["exp"], &claims["roles"]),
        (&Value::Null, &Value::Null, &json!(["editor"]))
    );
    let run = tidings(&["token"], &[], "");
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("TIDINGS_JWT_SECRET"));
    assert_eq!(tidings(&["token", "--subscribe", "Content"], &[], "").code, 2);
    assert_eq!(tidings(&["token", "--filter", "[]"], &[], "").code, 2);
    assert_eq!(tidings(&["token", "--secret", "short"], &[], "").code, 2);
}

#[test]
fn a_private_key_signs_by_its_own_algorithm() {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/fixtures/keys");
    for (key, algorithm) in [
        ("ed25519.pem", jsonwebtoken::Algorithm::EdDSA),
        ("p256.pem", jsonwebtoken::Algorithm::ES256),
        ("rsa.pem", jsonwebtoken::Algorithm::RS256),
    ] {
        let run = tidings(&["token", "--key", &format!("{keys}/{key}"), "--kid", "2026-01"], &[], "");
        assert_eq!(run.code, 0, "{key}: {run:?}");
        let header = jsonwebtoken::decode_header(run.out.trim()).unwrap();
        assert_eq!((header.alg, header.kid.as_deref()), (algorithm, Some("2026-01")));
    }
    assert_eq!(tidings(&["token", "--key", &format!("{keys}/rsa.pub.pem")], &[], "").code, 2);
}

#[test]
fn the_schema_has_the_types_of_the_application() {
    let schema = File::new("sold.json", r#"{"type":"object","required":["price"]}"#);
    let text = format!("[[events.types]]\nname = 'shop.sold'\nschema = '{}'\n", schema.path());
    let config = File::new("schema.toml", &text);
    let run = tidings(&["schema", "--config", config.path()], &[], "");
    let schema: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(schema["$defs"]["shop.sold"]["required"], json!(["price"]));
    assert!(schema["$defs"]["content.updated"].is_object());
}

/// A server that gives these answers, one a request.
fn server(answers: Vec<(u16, Value)>) -> (String, Receiver<(String, Value)>) {
    let mut answers = answers.into_iter();
    serve(move |_| answers.next().unwrap())
}

/// A server that answers by `answer` and passes on what it was asked.
fn serve(
    mut answer: impl FnMut(&Value) -> (u16, Value) + Send + 'static,
) -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            while let Some(request) = read_request(&mut stream) {
                let (status, body) = answer(&request.1);
                let _ = asked.send(request);
                let body = body.to_string();
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.get_mut().write_all((head + &body).as_bytes()).unwrap();
            }
        }
    });
    (url, requests)
}

fn read_request(stream: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).unwrap_or(0) == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).unwrap()))
}

fn published(ids: &[&str]) -> (u16, Value) {
    let result = |(at, id): (usize, &&str)| json!({"id": id, "offset": at + 7, "duplicate": false});
    (200, json!({"results": ids.iter().enumerate().map(result).collect::<Vec<_>>()}))
}

#[test]
fn emit_publishes_one_event_and_prints_its_result() {
    let (url, requests) = server(vec![published(&["e1"])]);
    let words = [
        "emit",
        "content.updated",
        "contentId=42",
        "title=Hello",
        "meta.a=1",
        "updatedAt:=now",
        "--url",
        &url,
        "--priority",
        "high",
        "--subject",
        "post/42",
        "--id",
        "e1",
    ];
    let run = tidings(&words, &[("TIDINGS_API_KEY", "sesame"), ("TIDINGS_TOKEN", "not this")], "");
    assert_eq!(
        (run.code, run.out.as_str()),
        (0, "{\"id\":\"e1\",\"offset\":7,\"duplicate\":false}\n"),
        "{run:?}"
    );
    let (head, body) = requests.recv().unwrap();
    assert!(head.starts_with("POST /v1/events HTTP/1.1\r\n"));
    assert!(head.to_ascii_lowercase().contains("authorization: bearer sesame\r\n"), "{head}");
    let event = &body[0];
    assert_eq!((&event["id"], &event["type"]), (&json!("e1"), &json!("content.updated")));
    assert_eq!((&event["priority"], &event["subject"]), (&json!("high"), &json!("post/42")));
    assert_eq!((&event["data"]["contentId"], &event["data"]["meta"]["a"]), (&json!("42"), &json!(1)));
    assert!(event["data"]["updatedAt"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn emit_takes_data_as_json_from_a_flag_or_from_standard_input() {
    let (url, requests) = server(vec![published(&["x"]), published(&["x"])]);
    let data = r#"{"userId":"u","n":1.0}"#;
    let run = tidings(&["emit", "a.b", "m.k=1", "--data", data, "--url", &url], &[], "");
    assert_eq!(run.code, 0, "{run:?}");
    let run = tidings(&["emit", "a.b", "--data", "-", "--url", &url], &[], data);
    assert_eq!(run.code, 0, "{run:?}");
    let sent: Vec<Value> = requests.iter().take(2).map(|(_, body)| body[0]["data"].clone()).collect();
    assert_eq!(sent, [json!({"userId": "u", "n": 1.0, "m": {"k": 1}}), json!({"userId": "u", "n": 1.0})]);
    for wrong in ["{", "nonsense"] {
        let run = tidings(&["emit", "a.b", "--data", wrong, "--url", &url], &[], "");
        assert_eq!(run.code, 2, "{run:?}");
    }
}

#[test]
fn emit_tries_again_with_the_same_id() {
    let busy = (503, json!({"title": "Overloaded", "code": "unavailable"}));
    let (url, requests) = server(vec![busy.clone(), busy, published(&["x"])]);
    let run = tidings(&["emit", "user.login", "userId=u", "--url", &url], &[], "");
    assert_eq!(run.code, 0, "{run:?}");
    let ids: Vec<Value> = requests.iter().take(3).map(|(_, body)| body[0]["id"].clone()).collect();
    assert!(ids[0].as_str().unwrap().len() > 20);
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");
}

#[test]
fn emit_tells_a_refusal_from_a_server_that_is_away() {
    let faults = json!([{"index": 0, "path": "$.data.title", "message": "is missing"}]);
    let problem =
        json!({"title": "Bad Request", "code": "invalid_event", "detail": "1 fault", "faults": faults});
    let (url, _requests) = server(vec![(400, problem)]);
    let run = tidings(&["emit", "content.updated", "--url", &url], &[], "");
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("invalid_event: 1 fault\n  $.data.title: is missing"), "{}", run.err);

    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = tidings(&["emit", "a.b", "--retry-for", "0s", "--url", &format!("http://{away}")], &[], "");
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(tidings(&["emit", "notatype"], &[], "").code, 2);
    assert_eq!(tidings(&["emit", "a.b", "x"], &[], "").code, 2);
    assert_eq!(tidings(&["emit", "a.b", "--url", "nowhere"], &[], "").code, 2);
}

#[test]
fn a_stream_reports_faults_by_line_and_publishes_the_rest_in_order() {
    // How many lines share a request depends on how fast they are read; what comes out must not.
    let (url, requests) = serve(|events| {
        let ids: Vec<&str> =
            events.as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
        match ids.iter().position(|id| *id == "c") {
            None => published(&ids),
            Some(index) => {
                let faults = json!([{"index": index, "path": "$.type", "message": "no such type"}]);
                (400, json!({"title": "Bad Request", "code": "invalid_event", "faults": faults}))
            }
        }
    });
    let input = "{\"id\":\"a\",\"data\":{}}\n\nnot json\n{\"id\":\"c\"}\n{\"id\":\"d\"}\n{\"id\":\"e\"}";
    let run = tidings(&["emit", "--stdin", "--url", &url], &[], input);
    assert_eq!(run.code, 3);
    assert!(run.err.contains("line 3: not a JSON object"), "{}", run.err);
    assert!(run.err.contains("line 4: $.type: no such type"), "{}", run.err);
    assert!(run.err.contains("2 refused, 3 published"), "{}", run.err);
    let ids = |lines: &str| -> Vec<String> {
        let ids = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].to_string());
        ids.collect()
    };
    assert_eq!(ids(&run.out), ["\"a\"", "\"d\"", "\"e\""]);
    drop(requests);
}

#[test]
fn a_stream_of_data_gets_its_type_and_ids_from_the_command() {
    let (url, requests) = serve(|events| published(&vec!["x"; events.as_array().unwrap().len()]));
    let run = tidings(&["emit", "shop.sold", "--stdin", "--url", &url], &[], "{\"price\":1.0}\n");
    assert_eq!(run.code, 0, "{run:?}");
    let event = requests.recv().unwrap().1[0].clone();
    assert_eq!((&event["type"], &event["data"]), (&json!("shop.sold"), &json!({"price": 1.0})));
    assert!(event["id"].is_string());
}

#[test]
fn what_can_never_work_is_refused_and_not_tried_again() {
    for token in ["a b", "a\nb", "ü"] {
        for command in [&["tail"][..], &["emit", "user.login"]] {
            let run = tidings(command, &[("TIDINGS_TOKEN", token)], "");
            assert_eq!(run.code, 2, "{run:?}");
            assert!(run.err.contains("the token or key is none"), "{}", run.err);
        }
    }
    let words = ["token", "--kid", "k", "--secret", SECRET];
    assert_eq!(tidings(&words, &[], "").code, 2);
}

#[test]
fn a_port_that_is_taken_ends_serve_with_1_and_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _holder = TcpListener::bind(taken).unwrap();
    let run = tidings(&["serve", "--dev", "--listen", &taken.to_string()], &[], "");
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(
        run.err.contains(&format!("tidings: cannot listen on {taken}: Address already in use")),
        "{}",
        run.err
    );
}

#[test]
fn a_server_for_development_prints_what_works_as_it_stands() {
    // given
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(["serve", "--dev", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut line = |begin: &str| lines.find(|line| line.starts_with(begin)).unwrap();
    let page = line("Live page").split_whitespace().last().unwrap().to_owned();
    let watch = line("Watch");
    let curl = [line("Publish").trim_start_matches("Publish"), &line(" ")].join("\n");
    let shell = |script: &str| {
        let output = Command::new("sh").args(["-c", script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // when, then: the line of curl publishes
    let published = shell(&curl);
    assert!(published.contains("\"offset\":1"), "{published}");
    // and: the live page is there
    assert!(shell(&format!("curl -s '{page}'")).starts_with("<!"));
    // and: the line that watches does
    let tail = format!("{} tail --recent 1 --count 1", env!("CARGO_BIN_EXE_tidings"));
    let watch = watch.trim_start_matches("Watch").trim_end_matches('\\');
    assert!(shell(&format!("{watch} {tail}")).contains("\"contentId\":\"p1\""));
    child.kill().unwrap();
    child.wait().unwrap();
}
