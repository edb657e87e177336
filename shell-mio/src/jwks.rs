//! Fetching a JWKS over HTTP: from the configured address only, bounded in size and time, without redirects.
//! What the text is worth is for the core to say.

use std::io::Read;
use std::time::Duration;

use thiserror::Error;

use crate::cli::tls;
use crate::settings::JwksUrl;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest set that is read.
const BYTES_MAX: u64 = 1024 * 1024;

/// A set could not be fetched.
#[derive(Debug, Error)]
pub(crate) enum JwksError {
    /// No connection, no answer, or a redirect.
    #[error("auth.jwks_url {url}: {error}")]
    Request {
        /// The address.
        url: JwksUrl,
        /// What went wrong.
        error: Box<ureq::Error>,
    },
    /// An answer with another status than 200.
    #[error("auth.jwks_url {url}: the answer has status {status}")]
    Status {
        /// The address.
        url: JwksUrl,
        /// The status.
        status: u16,
    },
    /// An answer that is no text, too long, or broken off.
    #[error("auth.jwks_url {url}: the answer is not a text of at most {BYTES_MAX} bytes")]
    Body {
        /// The address.
        url: JwksUrl,
    },
    /// TLS cannot begin.
    #[error("{0}")]
    Tls(String),
}

/// Fetches the text of the set at `url`; blocks for at most 10 s.
pub(crate) fn fetch(url: &JwksUrl) -> Result<String, JwksError> {
    let tls = tls::http_config().map_err(|failure| JwksError::Tls(failure.to_string()))?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(TIMEOUT))
        .tls_config(tls)
        .user_agent(concat!("tidings/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let request = agent.get(url.to_string()).header("Accept", "application/json");
    let response =
        request.call().map_err(|error| JwksError::Request { url: url.clone(), error: error.into() })?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(JwksError::Status { url: url.clone(), status });
    }
    let mut text = String::new();
    let read = response.into_body().into_reader().take(BYTES_MAX + 1).read_to_string(&mut text);
    if read.is_err() || BYTES_MAX < text.len() as u64 {
        return Err(JwksError::Body { url: url.clone() });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    fn fetch_from(answer: &'static str, body: String) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url: JwksUrl = format!("http://{}/jwks.json", listener.local_addr().unwrap()).parse().unwrap();
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /jwks.json HTTP/1.1\r\n"));
            let _ =
                stream.write_all(format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n{body}").as_bytes());
        });
        let fetched = fetch(&url).map_err(|error| error.to_string());
        server.join().unwrap();
        fetched
    }

    #[test]
    fn a_set_is_fetched_and_nothing_else_is_taken_for_one() {
        assert_eq!(fetch_from("200 OK", "{\"keys\":[]}".to_owned()), Ok("{\"keys\":[]}".to_owned()));
        assert!(fetch_from("404 Not Found", String::new()).unwrap_err().ends_with("status 404"));
        let redirect = fetch_from("302 Found\r\nLocation: http://127.0.0.1:1/", String::new());
        assert!(redirect.unwrap_err().ends_with("status 302"));
        assert!(fetch_from("200 OK", "x".repeat(2 << 20)).unwrap_err().contains("at most"));
    }
}
