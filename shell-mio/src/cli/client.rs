//! Publishing over HTTP: one request, repeated with the same ids until the server has taken it or the time for
//! trying is over.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tidings_core::rng::Rng;

use super::target::{Target, check_credential};
use super::{Failure, say, tls};

/// The longest answer that is read.
const ANSWER_BYTES: u64 = 4 * 1024 * 1024;
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_LAST: Duration = Duration::from_secs(5);

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
pub(super) struct Published {
    /// The event's id.
    pub(super) id: String,
    /// Its place in the log.
    pub(super) offset: u64,
    /// Whether the log had it already.
    #[serde(default)]
    pub(super) duplicate: bool,
}

#[derive(Deserialize)]
struct Results {
    results: Vec<Published>,
}

/// RFC 9457, with our `code` and `faults`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    #[serde(skip)]
    pub(super) status: u16,
    title: String,
    detail: String,
    code: String,
    /// What is wrong, by event and path.
    #[serde(alias = "errors")]
    pub(super) faults: Vec<ProblemFault>,
}

/// One thing that is wrong with one event of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProblemFault {
    /// The event's place in the request.
    pub(super) index: usize,
    /// Where in the event.
    pub(super) path: String,
    /// What is wrong there.
    pub(super) message: String,
}

impl Problem {
    /// The problem in one line.
    pub(super) fn summary(&self) -> String {
        let text = if self.detail.is_empty() { &self.title } else { &self.detail };
        let mut line = format!("the server refused: {}", self.status);
        if !self.code.is_empty() {
            line += &format!(" {}", self.code);
        }
        if !text.is_empty() {
            line += &format!(": {text}");
        }
        if self.status == 401 {
            line += " (give --token or --api-key, or set TIDINGS_TOKEN or TIDINGS_API_KEY)";
        }
        line
    }
}

/// Why a request was not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The server answered, and its answer will not change.
    Problem(Box<Problem>),
    /// It could not be reached, or not in time.
    Failure(Failure),
}

/// Publishes to one server.
pub(super) struct Publisher {
    agent: ureq::Agent,
    url: String,
    authorization: Option<String>,
    retry_for: Duration,
    rng: Rng,
}

enum Attempt {
    Done(Vec<Published>),
    Refused(Box<Problem>),
    /// Try again, after the time that the server named.
    Again(String, Option<Duration>),
    /// No use in trying again.
    Never(String),
}

impl Publisher {
    /// A publisher to `target` as the bearer of `bearer`, which gives up after `retry_for`.
    pub(super) fn new(
        target: &Target,
        bearer: Option<&str>,
        timeout: Duration,
        retry_for: Duration,
    ) -> Result<Self, Failure> {
        bearer.map_or(Ok(()), check_credential)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Failure::Failed(format!("no randomness: {error}")))?;
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(timeout))
            .user_agent(concat!("tidings/", env!("CARGO_PKG_VERSION")));
        if target.secure {
            config = config.tls_config(tls::http_config()?);
        }
        if target.is_local() {
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().into(),
            url: target.http("/v1/events"),
            authorization: bearer.map(|bearer| format!("Bearer {bearer}")),
            retry_for,
            rng: Rng::new(seed),
        })
    }

    /// An id for an event, so that a repeated request publishes it once.
    pub(super) fn new_id(&mut self) -> String {
        self.rng.token(26)
    }

    /// Publishes events that are already JSON. All of them have ids, so repeating is safe.
    pub(super) fn publish(&mut self, events: &[String]) -> Result<Vec<Published>, Refusal> {
        let body = format!("[{}]", events.join(","));
        let begin = Instant::now();
        let mut backoff = BACKOFF_FIRST;
        let mut said = false;
        loop {
            let (why, after) = match self.attempt(&body) {
                Attempt::Done(results) if results.len() == events.len() => return Ok(results),
                Attempt::Done(_) => {
                    let text = "the server's answer has another number of results than there were events";
                    return Err(Refusal::Failure(Failure::Failed(text.to_owned())));
                }
                Attempt::Refused(problem) => return Err(Refusal::Problem(problem)),
                Attempt::Never(why) => return Err(Refusal::Failure(Failure::Failed(why))),
                Attempt::Again(why, after) => (why, after),
            };
            let jitter = self.rng.below(u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX));
            let pause = Duration::from_millis(jitter).max(after.unwrap_or_default());
            if self.retry_for < begin.elapsed() + pause {
                return Err(Refusal::Failure(Failure::Failed(why)));
            }
            if !said {
                say(&format!("tidings: {why}; trying again for {} s", self.retry_for.as_secs()));
                said = true;
            }
            std::thread::sleep(pause);
            backoff = (backoff * 2).min(BACKOFF_LAST);
        }
    }

    fn attempt(&self, body: &str) -> Attempt {
        let mut request = self.agent.post(&self.url).header("Content-Type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let response = match request.send(body) {
            Ok(response) => response,
            Err(error) => return without_answer(&self.url, &error),
        };
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let mut text = String::new();
        if let Err(error) = response.into_body().into_reader().take(ANSWER_BYTES).read_to_string(&mut text) {
            return Attempt::Again(format!("{}: the answer broke off: {error}", self.url), None);
        }
        if status == 200 {
            return match serde_json::from_str::<Results>(&text) {
                Ok(answer) => Attempt::Done(answer.results),
                Err(_) => Attempt::Never(format!("{}: the answer is not that of a Tidings server", self.url)),
            };
        }
        let problem: Problem = serde_json::from_str(&text).unwrap_or_default();
        let problem = Problem { status, ..problem };
        match status {
            408 | 429 | 502 | 503 | 504 => Attempt::Again(problem.summary(), after),
            400..=499 => Attempt::Refused(Box::new(problem)),
            _ => Attempt::Never(problem.summary()),
        }
    }
}

fn without_answer(url: &str, error: &ureq::Error) -> Attempt {
    let why = format!("{url}: {error}");
    match error {
        // A certificate that is not trusted will not be trusted in a second.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Attempt::Never(why),
        ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::ConnectionFailed
        | ureq::Error::HostNotFound
        | ureq::Error::Protocol(_) => Attempt::Again(why, None),
        _ => Attempt::Never(why),
    }
}
