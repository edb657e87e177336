//! Keys that a login publishes, as the binary fetches them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::harness::Server;

/// The public key of RFC 8037, appendix A.2.
const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[test]
fn published_keys_are_fetched_once_at_the_start() {
    // given: a login that counts how often it is asked
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            asked.fetch_add(1, Ordering::SeqCst);
            let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{JWKS}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    // when
    let server = Server::start(&[("AUTH__JWKS_URL", &url)]);
    assert_eq!(server.get("/readyz").0, 200);
    // then: what another fetch put beside it would stay when the login takes a key back
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
