//! `tidings tail`: follows events, with the client machine of the core around one blocking socket.

mod link;
mod show;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use rustls::ClientConfig as TlsConfig;
use serde_json::{Map, Value};
use tidings_core::client::{
    About, Client, ClientConfig, ClientError, ClientInput, ClientOutput, ClientState, Subscribe, Token,
    TokenAnswer,
};
use tidings_core::event::{Pattern, Patterns};
use tidings_core::rng::Rng;
use tidings_core::time::{Instant, Now, UnixTime};

use super::target::{Target, TargetArgs, check_credential};
use super::token::filter;
use super::{Failure, say, tls};
use link::{Heard, Link};
use show::Show;

#[derive(Args, Debug)]
#[command(after_help = "\
Reconnects by itself and resumes where it was; what the server no longer has is told as a gap. On a \
terminal a line an event, coloured by priority (NO_COLOR turns that off); into a pipe JSON, one object a line:

  {\"type\":\"event\",\"offset\":124,\"lane\":\"normal\",\"event\":{…}}
  {\"type\":\"gap\",\"lane\":\"low\",\"after\":100,\"until\":110,\"reason\":\"expired\"}

Examples:
  tidings tail
  tidings tail settings.updated --filter '{\"settingKey\":[\"theme\",\"locale\"]}'
  tidings tail --recent 20 --url https://live.example.com --token \"$TOKEN\"
  tidings tail 'system.*' | jq .event.data

Exit codes: 0 ended as asked, 1 failed, 2 wrong usage, 3 refused by the server.")]
pub(super) struct TailArgs {
    /// Types to follow: content.updated, 'content.*' or '*' (the default)
    #[arg(value_name = "PATTERN", value_parser = pattern)]
    patterns: Vec<Pattern>,
    /// Only events whose data match: a JSON object of path to scalar or list of scalars
    #[arg(long, value_name = "JSON", value_parser = filter)]
    filter: Option<Map<String, Value>>,
    /// Begin with the newest N events that match, at most 200
    #[arg(long, value_name = "N", default_value_t = 0)]
    recent: u16,
    /// End after N events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// How events are shown
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text on a terminal, JSON elsewhere
    Auto,
    /// A line for people
    Text,
    /// An object a line
    Json,
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::parse(text).map_err(|error| error.to_string())
}

/// The longest wait without a look at the clock.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const NO_TOKEN: &str = "\
there is no token: give --token, or set TIDINGS_TOKEN.
`tidings token` makes one with the server's secret; `tidings serve --dev` prints one.";

pub(super) fn run(args: &TailArgs) -> Result<(), Failure> {
    let target = args.target.target()?;
    let token = target.token.clone().ok_or_else(|| Failure::Usage(NO_TOKEN.to_owned()))?;
    check_credential(&token)?;
    let tls = if target.secure { Some(tls::client_config()?) } else { None };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::Failed(format!("no randomness: {error}")))?;
    let mut rng = Rng::new(seed);
    let client_seed = std::array::from_fn(|_| rng.next_u64().to_le_bytes()[0]);
    let clock = Clock::now();
    let mut client = Client::new(ClientConfig::default(), client_seed, now(clock));
    let patterns = if args.patterns.is_empty() { vec![Pattern::Any] } else { args.patterns.clone() };
    let wanted = Subscribe {
        events: Patterns::new(patterns),
        filter: args.filter.clone().map(Value::Object),
        recent: args.recent,
    };
    client.subscribe(&wanted).map_err(|error| Failure::Usage(error.to_string()))?;
    client.handle(now(clock), ClientInput::Start);
    let tail = Tail {
        client,
        clock,
        rng,
        target,
        tls,
        token: Some(Token::new(&token)),
        link: None,
        show: Show::new(args.format),
        left: args.count,
        was_open: false,
        why: String::new(),
        said: String::new(),
    };
    tail.run()
}

struct Tail {
    client: Client,
    clock: Clock,
    rng: Rng,
    target: Target,
    tls: Option<Arc<TlsConfig>>,
    /// The token, until the client has asked for it: there is no second one.
    token: Option<Token>,
    link: Option<Link>,
    show: Show,
    /// Events until the end; none for ever.
    left: Option<u64>,
    was_open: bool,
    /// What is known about why there is no connection.
    why: String,
    /// What of it has been said.
    said: String,
}

fn now(clock: Clock) -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now {
        instant: Instant::from_micros(u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX)),
        unix: UnixTime::from_millis(i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)),
    }
}

impl Tail {
    fn run(mut self) -> Result<(), Failure> {
        loop {
            while let Some(output) = self.client.poll_output() {
                self.act(output)?;
                if self.left == Some(0) {
                    self.client.handle(now(self.clock), ClientInput::Stop);
                    self.left = None;
                    self.close_politely();
                    return Ok(());
                }
            }
            let at = now(self.clock);
            let due = self.client.poll_timeout();
            if due.is_some_and(|due| due <= at.instant) {
                self.client.handle(at, ClientInput::Timeout);
                continue;
            }
            let wait = due.map_or(LONGEST_WAIT, |due| due.since(at.instant)).min(LONGEST_WAIT);
            match &mut self.link {
                None => thread::sleep(wait),
                Some(link) => {
                    let heard = link.next(at.instant, wait, &mut self.rng);
                    self.hear(heard);
                }
            }
        }
    }

    fn close_politely(&mut self) {
        while let Some(output) = self.client.poll_output() {
            if let (ClientOutput::Close { code }, Some(link)) = (output, &mut self.link) {
                link.close(code, &mut self.rng);
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        let at = now(self.clock);
        match heard {
            Heard::Nothing => {}
            Heard::Life => self.client.handle(at, ClientInput::Received),
            Heard::Text(text) => self.client.handle(at, ClientInput::Message(&text)),
            Heard::Closed { code, reason } => {
                self.link = None;
                self.why = match code {
                    Some(code) => format!("the server closed with {code} {reason}").trim_end().to_owned(),
                    None => reason.clone(),
                };
                self.client.handle(at, ClientInput::Closed { code, reason: &reason });
            }
        }
    }

    fn act(&mut self, output: ClientOutput) -> Result<(), Failure> {
        match output {
            ClientOutput::GetToken => {
                let answer = self.token.take().map_or(TokenAnswer::Unauthorized, TokenAnswer::Token);
                self.client.handle(now(self.clock), ClientInput::Token(answer));
            }
            ClientOutput::Open { token } => self.open(&token),
            ClientOutput::Send(text) => {
                if let Some(link) = &mut self.link {
                    link.send(&text.0, &mut self.rng);
                }
            }
            ClientOutput::Close { code } => {
                if let Some(mut link) = self.link.take() {
                    link.close(code, &mut self.rng);
                }
            }
            ClientOutput::State(state) => return self.state(state),
            ClientOutput::Recent { events, truncated, .. } => {
                if truncated {
                    say("tidings: there are more recent events than fit in an answer");
                }
                for recent in events {
                    if self.may_show() {
                        self.show.recent(recent.offset, &recent.event)?;
                    }
                }
            }
            ClientOutput::Event { offset, lane, event, .. } => {
                if self.may_show() {
                    self.show.event(offset, lane, &event)?;
                }
            }
            ClientOutput::Gap { lane, after, until, reason } => self.show.gap(lane, after, until, reason)?,
            ClientOutput::Error { about, error } => return self.error(about, &error),
            ClientOutput::Subscribed { .. } | ClientOutput::Published { .. } => {}
        }
        Ok(())
    }

    /// Counts an event; whether it is still one of those that were asked for.
    fn may_show(&mut self) -> bool {
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    fn open(&mut self, token: &Token) {
        let opened = Link::open(&self.target, self.tls.as_ref(), token, &mut self.rng);
        let at = now(self.clock);
        match opened {
            Ok(link) => {
                self.link = Some(link);
                self.client.handle(at, ClientInput::Connected);
            }
            Err(why) => {
                self.why = why;
                self.client.handle(at, ClientInput::ConnectFailed);
            }
        }
    }

    fn state(&mut self, state: ClientState) -> Result<(), Failure> {
        let why = if self.why.is_empty() { "the connection is lost" } else { &self.why };
        match state {
            ClientState::Open => {
                let how = if self.was_open { "again following" } else { "following" };
                say(&format!("tidings: {how} {}", self.target.authority()));
                self.was_open = true;
                self.why.clear();
                self.said.clear();
            }
            // A server that stays away is said to be away once.
            ClientState::Waiting if self.said != why => {
                say(&format!("tidings: {why}; connecting again"));
                self.said = why.to_owned();
            }
            ClientState::Unauthorized => {
                return Err(Failure::Refused(format!("{why}; the token is not accepted (any more)")));
            }
            ClientState::Closed => return Err(Failure::Failed(why.to_owned())),
            ClientState::Idle | ClientState::Connecting | ClientState::Waiting | ClientState::Offline => {}
        }
        Ok(())
    }

    fn error(&mut self, about: About, error: &ClientError) -> Result<(), Failure> {
        match about {
            About::Subscription(_) => Err(Failure::Refused(error.to_string())),
            // The state that follows says what becomes of it; what the server said of the token is known.
            About::Token => {
                if self.why.is_empty() {
                    self.why = error.to_string();
                }
                Ok(())
            }
            About::Client | About::Publish(_) => {
                self.why = error.to_string();
                say(&format!("tidings: {error}"));
                Ok(())
            }
        }
    }
}
