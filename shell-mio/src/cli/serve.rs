//! `tidings serve`: gathers the settings, opens the log, runs the server.

use clap::Args;
use tidings_core::config::Secret;

use super::{ConfigArgs, Failure};
use crate::settings::{Settings, load};
use crate::{logging, server};

const NO_KEYS: &str = "\
there is no key to verify tokens with. Set one of
  TIDINGS_JWT_SECRET            the secret that your login signs tokens with (HS256, at least 32 bytes)
  auth.public_key_files         PEM files with public keys (RS, PS, ES, EdDSA)
  auth.jwks_url                 where your login publishes its keys
or try the server with `tidings serve --dev`, which makes a secret for the run.";

#[derive(Args, Debug)]
#[command(after_help = "\
Settings come from flags over environment over the file over defaults. Every key has a variable: \
limits.message_bytes is TIDINGS_LIMITS__MESSAGE_BYTES. `tidings check` shows what is in force.

Examples:
  tidings serve --dev
  TIDINGS_JWT_SECRET=… TIDINGS_API_KEYS=… tidings serve
  WEBSOCKET_PORT=8080 tidings serve --config /etc/tidings.toml

SIGTERM drains: clients are told to reconnect, then the process exits with 0.")]
pub(super) struct ServeArgs {
    /// For development: a secret for the run, any origin, this machine only, the live page
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    config: ConfigArgs,
    /// Address and port to listen on, or a port alone
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Least level that is logged: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Form of a log line: auto, text or json
    #[arg(long, value_name = "FORM")]
    log_format: Option<String>,
}

impl ServeArgs {
    fn settings(&self) -> Result<Settings, Failure> {
        let mut sources = self.config.sources();
        sources.flag("--listen", "listen", self.listen.as_deref());
        sources.flag("--log-level", "log.level", self.log_level.as_deref());
        sources.flag("--log-format", "log.format", self.log_format.as_deref());
        let settings = load(&sources)?;
        if self.dev {
            return Ok(settings.for_development(Secret::new(&random_text(40)?))?);
        }
        if settings.has_keys() { Ok(settings) } else { Err(Failure::Usage(NO_KEYS.to_owned())) }
    }
}

pub(super) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let settings = args.settings()?;
    let _logging =
        logging::start(&settings.server.log).map_err(|error| Failure::Failed(error.to_string()))?;
    let served = server::run(&settings);
    match logging::dropped() {
        0 => {}
        lines => tracing::warn!(lines, "lines of the log were lost"),
    }
    served.map_err(|error| Failure::Failed(error.to_string()))
}

/// `len` unpredictable characters of `a-z2-7`, from the system.
pub(crate) fn random_text(len: usize) -> Result<String, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::Failed(format!("no randomness: {error}")))?;
    Ok(tidings_core::rng::Rng::new(seed).token(len))
}
