//! The settings of the server: those of the core and those of this shell, from flags over environment over a
//! TOML file over defaults. Every fault is found at once and names its place.

mod env;
mod file;
mod layers;
mod listen;

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;
use tidings_core::config::{Config, ConfigFault, FormError, Key, Origin, Secret};
use tidings_core::{settings, text_setting};

pub(crate) use env::env_name;
pub(crate) use layers::{Sources, all_keys, load};
pub(crate) use listen::Listen;

settings! {
    /// What the shell decides, beside the core's settings.
    pub(crate) struct Server in "" [
        /// The operator's own listener.
        ops: Ops,
        /// Logs.
        log: Log,
        /// Sockets and files.
        shell: Shell,
        /// Where keys are read from.
        auth: KeySources,
    ] {
        /// Address and port to listen on; a port alone means every address.
        listen: Listen = Listen::DEFAULT;
    }
}

settings! {
    /// The operator's own listener.
    pub(crate) struct Ops in "ops." {
        /// Moves `/metrics` and everything marked admin to a listener of its own.
        listen: Option<Listen> = None;
    }
}

settings! {
    /// Logs.
    pub(crate) struct Log in "log." {
        /// Form of a line: `text`, `json`, or `auto` for text on a terminal and JSON elsewhere.
        format: LogFormat = LogFormat::Auto;
        /// Least level that is logged: `off`, `error`, `warn`, `info`, `debug` or `trace`.
        level: LogLevel = LogLevel::Info;
        /// File to append to instead of standard error.
        file: Option<PathText> = None;
    }
}

settings! {
    /// Sockets and files.
    pub(crate) struct Shell in "shell." {
        /// Connections accepted in a turn of the loop.
        accept_batch: usize = 64, Count 1..=65_536;
        /// Connections the kernel holds until they are accepted.
        backlog: u32 = 1_024, Count 1..=65_535;
        /// Read from one socket in a turn of the loop, into one buffer for all.
        read_buffer_bytes: usize = 64 * 1024, Bytes 4_096..=16_777_216;
        /// Written to one socket in a turn of the loop.
        write_budget_bytes: usize = 64 * 1024, Bytes 1_024..=16_777_216;
        /// Unsent bytes in the kernel above which a socket takes no more; bounds how long a critical event waits.
        notsent_lowat_bytes: u32 = 16 * 1024, Bytes 1_024..=16_777_216;
        /// Open files, raised to at the start as far as the system allows; 0: as far as it allows.
        open_files: u64 = 0, Count 0..=1_073_741_816;
    }
}

settings! {
    /// Where keys are read from.
    pub(crate) struct KeySources in "auth." {
        /// Files with public keys as PEM; relative to the file that names them.
        public_key_files: Vec<PathText> = Vec::new();
        /// File with a JWKS; relative to the file that names it.
        jwks_file: Option<PathText> = None;
        /// Address that a JWKS is fetched from, and again every `auth.jwks_refresh_s`.
        jwks_url: Option<JwksUrl> = None;
        /// Between two fetches of the JWKS.
        jwks_refresh_s: u64 = 300, Seconds 10..=86_400;
    }
}

/// Makes an enum of names a setting.
macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $text:literal),* } $allowed:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),* }

        impl std::str::FromStr for $name {
            type Err = FormError;

            fn from_str(text: &str) -> Result<Self, FormError> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(FormError($allowed)),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),* })
            }
        }
    };
}

names! {
    /// Form of a log line.
    LogFormat { Auto = "auto", Text = "text", Json = "json" } "auto, text or json"
}

names! {
    /// Least level that is logged.
    LogLevel { Off = "off", Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace" }
    "off, error, warn, info, debug or trace"
}

/// The path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathText(pub(crate) PathBuf);

impl std::str::FromStr for PathText {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        if text.is_empty() || text.contains('\0') { Err(FormError("a path")) } else { Ok(Self(text.into())) }
    }
}

impl std::fmt::Display for PathText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

/// An `http` or `https` address. It has no user and password: they would not be sent, and would be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JwksUrl(String);

impl std::str::FromStr for JwksUrl {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        const FORM: FormError =
            FormError("an address as in `https://login.example.com/jwks.json`, without user and password");
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(FORM)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
        if authority.is_empty() || authority.contains('@') || !graphic {
            return Err(FORM);
        }
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

text_setting!(LogFormat LogLevel PathText JwksUrl);

/// One fault and where it stands: `tidings.toml:3:9`, a variable's name, a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where the value was given.
    pub(crate) place: String,
    /// What is wrong with it.
    pub(crate) fault: ConfigFault,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A variable that names no key, and a file that cannot be read, are both place and key.
        if self.place != self.fault.key {
            write!(f, "{}: ", self.place)?;
        }
        self.fault.fmt(f)
    }
}

/// Everything that the server is started with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The core's settings.
    pub(crate) config: Config,
    /// The shell's settings.
    pub(crate) server: Server,
    /// Whether this is a server for development: open to any origin, and to this machine only.
    pub(crate) dev: bool,
    /// What was given, by key: its place.
    places: layers::Places,
}

impl Settings {
    /// Every setting that differs from its default, with its place; secrets hidden.
    pub(crate) fn changed(&self) -> Vec<(&'static str, Value, String)> {
        fn add(
            keys: &'static [Key],
            settings: &impl Serialize,
            settings_changed: &mut Vec<(&'static str, Value)>,
        ) {
            let tree = serde_json::to_value(settings).unwrap_or_default();
            for (name, value) in tidings_core::config::flatten(keys, &tree) {
                match keys.iter().find(|key| key.name == name) {
                    Some(key) if key.default() != value => settings_changed.push((key.name, value)),
                    _ => {}
                }
            }
        }
        let mut changed = Vec::new();
        add(Server::KEYS, &self.server, &mut changed);
        add(Config::KEYS, &self.config, &mut changed);
        changed.into_iter().map(|(name, value)| (name, value, self.places.of(name))).collect()
    }

    /// Whether there is anything that tokens could be verified with.
    pub(crate) fn has_keys(&self) -> bool {
        let auth = &self.config.auth;
        auth.jwt_secret.is_some()
            || !auth.public_keys.is_empty()
            || auth.jwks.is_some()
            || self.server.auth.jwks_url.is_some()
    }

    /// Makes the settings those of a server for development, with `secret` where none is configured.
    ///
    /// # Errors
    /// Where it would be reachable from other machines.
    pub(crate) fn for_development(mut self, secret: Secret) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let listeners = [("listen", Some(self.server.listen)), ("ops.listen", self.server.ops.listen)];
        for (key, listen) in listeners {
            let Some(listen) = listen else { continue };
            if !self.places.given(key) {
                continue;
            }
            if !listen.0.ip().is_loopback() {
                let allowed = "a loopback address with --dev, as in `127.0.0.1:8080`";
                let fault = ConfigFault::new(key, &listen, allowed);
                faults.push(Fault { place: self.places.of(key), fault });
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        if !self.places.given("listen") {
            self.server.listen = self.server.listen.on_loopback();
        }
        self.config.auth.jwt_secret.get_or_insert(secret);
        if self.config.auth.cookie.is_none() {
            self.config.origins = vec![Origin::any()];
        }
        self.config.page.enabled = true;
        self.dev = true;
        Ok(self)
    }
}

/// What is allowed and probably not meant.
pub(crate) fn warnings(settings: &Settings) -> Vec<String> {
    let auth = &settings.config.auth;
    let mut warnings = Vec::new();
    if !settings.has_keys() {
        warnings.push("no key to verify tokens with: `serve` refuses to start without --dev".to_owned());
    }
    if settings.config.origins.iter().any(Origin::is_any) {
        warnings.push("origins has `*`: pages of any site may connect with a token they hold".to_owned());
    }
    for (index, key) in auth.api_keys.iter().enumerate() {
        if key.key.expose().len() < 16 {
            warnings.push(format!("auth.api_keys[{index}] has less than 16 characters and can be guessed"));
        }
    }
    warnings
}

#[cfg(test)]
mod tests;
