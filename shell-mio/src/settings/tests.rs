//! The layers of the settings: which one wins, and the place of every fault.

use std::path::PathBuf;

use super::*;

/// A folder of its own for one test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidings-settings-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.0.join(name), text).unwrap();
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sources(file: Option<PathBuf>, variables: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> Sources {
    Sources {
        file,
        variables: variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        flags: flags.iter().map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string())).collect(),
    }
}

fn faults(sources: &Sources) -> Vec<String> {
    load(sources).unwrap_err().iter().map(ToString::to_string).collect()
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PUBLIC_KEY: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/fixtures/keys/ed25519.pub.pem"));
const PRIVATE_KEY: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/fixtures/keys/ed25519.pem"));
/// The public key of RFC 8037, appendix A.2.
const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let folder = Folder::new("precedence");
    let file = folder.write(
        "tidings.toml",
        "listen = '127.0.0.1:1'\n[limits]\npatterns = 1\nfragments = 1\nsubscriptions = 1\n",
    );
    let variables = [
        ("TIDINGS_LISTEN", "127.0.0.1:2"),
        ("TIDINGS_LIMITS__PATTERNS", "2"),
        ("TIDINGS_LIMITS__FRAGMENTS", "2"),
        ("TIDINGS_LIMITS__RECENT", ""),
    ];
    let flags = [("--set", "limits.patterns", "3")];
    let settings = load(&sources(Some(file), &variables, &flags)).unwrap();
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:2");
    let limits = &settings.config.limits;
    assert_eq!((limits.patterns, limits.fragments, limits.subscriptions, limits.recent), (3, 2, 1, 200));
    let changed = settings.changed();
    let place = |name: &str| {
        let (_, _, place) = changed.iter().find(|(key, _, _)| *key == name).unwrap();
        place.rsplit('/').next().unwrap().to_owned()
    };
    assert_eq!(place("limits.patterns"), "--set");
    assert_eq!(place("limits.fragments"), "TIDINGS_LIMITS__FRAGMENTS");
    assert_eq!(place("limits.subscriptions"), "tidings.toml:5:1");
    assert_eq!(changed.len(), 4);
}

#[test]
fn short_names_lists_and_tables_come_from_the_environment() {
    let variables = [
        ("TIDINGS_JWT_SECRET", SECRET),
        ("TIDINGS_API_KEYS", "one, two"),
        ("TIDINGS_ORIGINS", r#"["https://a.example","https://b.example"]"#),
        ("TIDINGS_AUTH__ROLES", r#"{"editor":{"subscribe":["content.*"]}}"#),
        ("TIDINGS_PAGE__ENABLED", "yes"),
        ("TIDINGS_URL", "http://elsewhere"),
    ];
    let settings = load(&sources(None, &variables, &[])).unwrap();
    let auth = &settings.config.auth;
    assert_eq!(auth.jwt_secret.as_ref().unwrap().expose(), SECRET);
    assert_eq!(auth.api_keys.iter().map(|key| key.key.expose()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(auth.roles["editor"].subscribe, ["content.*"]);
    assert_eq!(settings.config.origins.len(), 2);
    assert!(settings.config.page.enabled && settings.has_keys());
    assert!(!format!("{settings:?} {:?}", settings.changed()).contains(SECRET));
}

#[test]
fn the_port_variable_sets_the_port_alone() {
    let port = ("WEBSOCKET_PORT", "9001");
    let listen = |sources: &Sources| load(sources).unwrap().server.listen.to_string();
    assert_eq!(listen(&sources(None, &[port], &[])), "0.0.0.0:9001");
    assert_eq!(listen(&sources(None, &[port, ("TIDINGS_LISTEN", "[::1]:2")], &[])), "[::1]:2");
    assert_eq!(listen(&sources(None, &[port], &[("--listen", "listen", "[::1]:3")])), "[::1]:3");
    let folder = Folder::new("port");
    let file = folder.write("t.toml", "listen = '[::1]:80'");
    assert_eq!(listen(&sources(Some(file), &[port], &[])), "[::1]:9001");
    assert_eq!(
        faults(&sources(None, &[("WEBSOCKET_PORT", "http")], &[])),
        ["WEBSOCKET_PORT: listen = http: a port: 0 to 65535"]
    );
}

#[test]
fn a_port_in_the_file_needs_no_quotes() {
    let folder = Folder::new("number");
    let file = folder.write("t.toml", "listen = 9002\nops.listen = 9003\n");
    let server = load(&sources(Some(file.clone()), &[], &[])).unwrap().server;
    let ops = server.ops.listen.unwrap();
    assert_eq!((server.listen.to_string(), ops.to_string()), ("0.0.0.0:9002".into(), "0.0.0.0:9003".into()));
    let port = ("WEBSOCKET_PORT", "9001");
    assert_eq!(load(&sources(Some(file), &[port], &[])).unwrap().server.listen.to_string(), "0.0.0.0:9001");
}

#[test]
fn no_fault_shows_the_password_of_an_address() {
    for address in ["https://u:hush@login.example/jwks.json", "u:hush@login.example", "ftp://:hush@a/"] {
        let found = faults(&sources(None, &[("TIDINGS_AUTH__JWKS_URL", address)], &[]));
        assert!(found[0].contains("auth.jwks_url = (hidden): an address as in"), "{found:?}");
    }
    let at = "https://login.example/keys/@me";
    let settings = load(&sources(None, &[("TIDINGS_AUTH__JWKS_URL", at)], &[])).unwrap();
    assert_eq!(settings.server.auth.jwks_url.unwrap().to_string(), at);
}

#[test]
fn every_fault_names_its_place() {
    let folder = Folder::new("places");
    let text = "lisen = 1\n\n[limits]\npatterns = 0\n\n[[events.types]]\nname = 'a.b'\nschema = 'gone.json'\n\
                [[events.types]]\nname = 'A'\nschema = {}\n[auth.roles]\nx = { subscribe = ['*', '?'] }\n[http]\nage = 1\n";
    let file = folder.write("t.toml", text);
    let prefix = format!("{}:", file.display());
    let variables = [("TIDINGS_LIMIT__PATTERNS", "1"), ("TIDINGS_HISTORY__AGE_MS", "soon")];
    let flags = [("--set heartbeat", "heartbeat", "1"), ("--listen", "listen", "nowhere")];
    let found = faults(&sources(Some(file), &variables, &flags));
    for expected in [
        "1:1: lisen: no such key; did you mean `listen`?",
        "4:1: limits.patterns = 0: 1 to 1024",
        "8:1: events.types[0].schema = gone.json: a file with a JSON Schema (No such file or directory (os error 2))",
        "10:1: events.types[1].name = A: an event type as in `category.name`",
        "13:25: auth.roles.x.subscribe[1] = ?: an event type, `category.*` or `*`",
    ] {
        let expected = format!("{prefix}{expected}");
        assert!(found.contains(&expected), "{expected}\nnot in {found:#?}");
    }
    for expected in [
        "TIDINGS_LIMIT__PATTERNS: no such setting; did you mean TIDINGS_LIMITS__PATTERNS?",
        "TIDINGS_HISTORY__AGE_MS: history.age_ms = \"soon\": 1000 to 31622400000 ms",
        "--listen: listen = \"nowhere\": an address as in `127.0.0.1:8080`, `[::]:8080` or `8080`",
    ] {
        assert!(found.iter().any(|fault| fault == expected), "{expected}\nnot in {found:#?}");
    }
    assert_eq!(found.len(), 10, "{found:#?}");
}

#[test]
fn values_that_contradict_each_other_are_placed_where_one_was_given() {
    let variables = [("TIDINGS_HEARTBEAT__INTERVAL_MS", "90000"), ("TIDINGS_HEARTBEAT__TIMEOUT_MS", "70000")];
    let found = faults(&sources(None, &variables, &[]));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("TIDINGS_HEARTBEAT__TIMEOUT_MS: heartbeat.timeout_ms = 70000: at least 90500")
    );
}

#[test]
fn an_error_of_syntax_has_line_and_column() {
    let folder = Folder::new("syntax");
    let file = folder.write("t.toml", "[limits]\npatterns = = 1\n");
    let found = faults(&sources(Some(file), &[], &[]));
    assert!(found[0].contains("t.toml:2:12: "), "{found:?}");
    let found = faults(&sources(Some(folder.0.join("none.toml")), &[], &[]));
    assert!(found[0].contains("none.toml: cannot be read: "), "{found:?}");
}

#[test]
fn keys_and_schemas_are_read_from_files_beside_the_one_that_names_them() {
    let folder = Folder::new("files");
    folder.write("key.pem", PUBLIC_KEY);
    folder.write("set.json", JWKS);
    folder.write("sold.json", r#"{"type":"object"}"#);
    let secret = folder.write("secret", &format!("{SECRET}\n"));
    let file = folder.write(
        "t.toml",
        "auth = { public_key_files = ['key.pem'], jwks_file = 'set.json' }\n\
         [[events.types]]\nname = 'shop.sold'\npriority = 'high'\nschema = 'sold.json'\n",
    );
    let variables = [("TIDINGS_JWT_SECRET_FILE", secret.to_str().unwrap())];
    let settings = load(&sources(Some(file), &variables, &[])).unwrap();
    let auth = &settings.config.auth;
    assert_eq!(auth.jwt_secret.as_ref().unwrap().expose(), SECRET);
    assert!(auth.public_keys[0].expose().contains("BEGIN PUBLIC KEY"));
    assert_eq!(auth.jwks.as_ref().map(Secret::expose), Some(JWKS));
    assert_eq!(settings.config.events.types[0].schema, serde_json::json!({"type": "object"}));
}

#[test]
fn what_cannot_be_used_is_placed_where_it_was_given_beside_what_is_out_of_range() {
    let folder = Folder::new("unusable");
    folder.write("good.pem", PUBLIC_KEY);
    folder.write("bad.pem", PRIVATE_KEY);
    folder.write("set.json", "{}");
    let text = "[drain]\ndeadline_ms = 10\n\
                [auth]\npublic_key_files = ['gone.pem', 'good.pem', 'bad.pem']\njwks_file = 'set.json'\n\
                roles = { editor = { filter = { tenantId = '$claim' } } }\n";
    let file = folder.write("t.toml", text);
    let prefix = format!("{}:", file.display());
    let no_key = "nothing ".repeat(10);
    let found = faults(&sources(Some(file), &[("TIDINGS_AUTH__PUBLIC_KEYS", &no_key)], &[]));
    for expected in [
        "2:1: drain.deadline_ms = 10: at least 5000",
        "4:21: auth.public_key_files[0] = gone.pem: a readable file",
        "4:45: auth.public_key_files[2]: this is a private key",
        "5:1: auth.jwks_file: the JWKS is not an object with an array `keys`",
        "6:33: auth.roles.editor.filter.tenantId = $claim: `$claim.` and the dotted path of a claim",
    ] {
        let expected = format!("{prefix}{expected}");
        assert!(found.iter().any(|fault| fault.starts_with(&expected)), "{expected}\nnot in {found:#?}");
    }
    let of_variable = "TIDINGS_AUTH__PUBLIC_KEYS: auth.public_keys[0]: not a PEM text";
    assert!(found.iter().any(|fault| fault.starts_with(of_variable)), "{found:#?}");
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn no_fault_shows_what_may_be_a_secret() {
    let folder = Folder::new("secrets");
    let text = "jwt_secret = 'sesame'\nauth = 'sesame'\n";
    let sections = folder.write("sections.toml", text);
    let text = format!(
        "[auth]\njwt_secret = ['sesame']\npublic_keys = '''{PRIVATE_KEY}'''\njwks = {{ keys = [{{ k = 'sesame' }}] }}\n\
         api_keys = [{{ key = 'sesame', publish = 'sesame' }}]\npublic_key_files = ['''{PRIVATE_KEY}''']\n"
    );
    let keys = folder.write("keys.toml", &text);
    let variables = [
        ("TIDINGS_JWT_SECRET_FILE", "sesame"),
        ("TIDINGS_AUTH__PUBLIC_KEYS", &format!("[{PRIVATE_KEY}")),
        ("TIDINGS_AUTH__JWKS", "sesame"),
        ("TIDINGS_API_KEYS", "[sesame"),
        ("TIDINGS_AUTH__ISSUER", PRIVATE_KEY),
    ];
    let secret = PRIVATE_KEY.lines().nth(1).unwrap();
    let sources =
        [sources(Some(sections), &[], &[]), sources(Some(keys), &[], &[]), sources(None, &variables, &[])];
    for (sources, count) in sources.iter().zip([2, 4, 3]) {
        let found = faults(sources);
        assert_eq!(found.len(), count, "{found:#?}");
        let found = found.concat();
        assert!(!found.contains("sesame") && !found.contains(secret), "{found}");
    }
}

#[test]
fn a_short_api_key_is_allowed_and_warned_of() {
    let load =
        |keys| load(&sources(None, &[("TIDINGS_JWT_SECRET", SECRET), ("TIDINGS_API_KEYS", keys)], &[]));
    assert_eq!(warnings(&load("a-key-of-good-length").unwrap()), [""; 0]);
    let short = warnings(&load("k").unwrap());
    assert!(short[0].starts_with("auth.api_keys[0] has less than 16 characters"), "{short:?}");
}

#[test]
fn a_setting_given_by_two_variables_is_a_fault() {
    let found =
        faults(&sources(None, &[("TIDINGS_JWT_SECRET", SECRET), ("TIDINGS_AUTH__JWT_SECRET", SECRET)], &[]));
    assert_eq!(found.len(), 1);
    assert!(found[0].ends_with("set by two variables") && !found[0].contains(SECRET), "{found:?}");
}

#[test]
fn a_server_for_development_stays_on_this_machine() {
    let dev = |sources: &Sources| load(sources).unwrap().for_development(Secret::new(SECRET));
    let settings = dev(&sources(None, &[("WEBSOCKET_PORT", "9001")], &[])).unwrap();
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:9001");
    assert!(settings.config.page.enabled && settings.dev && settings.config.origins[0].is_any());
    let refused = dev(&sources(None, &[], &[("--listen", "listen", "0.0.0.0:1")])).unwrap_err();
    assert!(refused[0].to_string().starts_with("--listen: listen = 0.0.0.0:1: a loopback address"));
    let own = "another secret of the operator, long enough";
    let settings =
        dev(&sources(None, &[("TIDINGS_JWT_SECRET", own), ("TIDINGS_LISTEN", "[::1]:1")], &[])).unwrap();
    assert_eq!(settings.config.auth.jwt_secret.unwrap().expose(), own);
    assert_eq!(settings.server.listen.to_string(), "[::1]:1");
}
