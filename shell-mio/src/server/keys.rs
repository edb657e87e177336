//! Keys that a login publishes at an address: fetched at the start, and again as long as the server runs.
//!
//! What is fetched joins the keys of the settings and takes the place of what was fetched before. A fetch that
//! fails changes nothing.

use std::thread;
use std::time::Duration;

use thiserror::Error;
use tidings_core::auth::{KeyError, KeySet};

use super::event_loop::{Teller, Word};
use crate::jwks::{self, JwksError};
use crate::settings::{JwksUrl, Settings};

/// After a fetch that failed, where the next one is not due sooner.
const RETRY: Duration = Duration::from_secs(10);
/// How often keys are fetched at the start before the server runs without them or not at all.
const FIRST_TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Keys could not be had.
#[derive(Debug, Error)]
pub(crate) enum KeysError {
    /// The set could not be fetched.
    #[error(transparent)]
    Fetch(#[from] JwksError),
    /// What was fetched cannot be used.
    #[error("auth.jwks_url {url}: {error}")]
    Unusable {
        /// The address.
        url: JwksUrl,
        /// What is wrong with it.
        error: KeyError,
    },
    /// The settings have a key that cannot be used.
    #[error("auth: {0}")]
    Settings(KeyError),
}

/// The keys of the settings, and where more are fetched from.
#[derive(Debug)]
pub(super) struct Published {
    url: JwksUrl,
    own: KeySet,
    every: Duration,
    /// The text that was fetched last.
    text: String,
}

impl Published {
    /// What the settings name, if they name an address.
    pub(super) fn of(settings: &Settings) -> Result<Option<Self>, KeysError> {
        let Some(url) = settings.server.auth.jwks_url.clone() else { return Ok(None) };
        let every = Duration::from_secs(settings.server.auth.jwks_refresh_s);
        let own = own_keys(settings).map_err(KeysError::Settings)?;
        Ok(Some(Self { url, own, every, text: String::new() }))
    }

    /// The keys to begin with: those of the settings alone where no others can be fetched.
    ///
    /// # Errors
    /// Where there would be no key at all: every client would be refused, and would not come back.
    pub(super) fn first(&mut self) -> Result<KeySet, KeysError> {
        let mut tries = 1;
        loop {
            match self.fetch() {
                Ok(keys) => return Ok(keys.unwrap_or_else(|| self.own.clone())),
                Err(error) if !self.own.is_empty() => {
                    tracing::warn!(%error, "the published keys are missing until they can be fetched");
                    return Ok(self.own.clone());
                }
                Err(error) if tries == FIRST_TRIES => return Err(error),
                Err(error) => tracing::warn!(%error, "the published keys cannot be fetched; trying again"),
            }
            tries += 1;
            thread::sleep(FIRST_PAUSE);
        }
    }

    /// Fetches again and again on a thread of its own, and tells the loop what has changed.
    pub(super) fn refresh(mut self, teller: Teller) -> std::io::Result<()> {
        let mut pause = if self.text.is_empty() { self.every.min(RETRY) } else { self.every };
        let fetching = move || {
            loop {
                thread::sleep(pause);
                pause = self.every;
                match self.fetch() {
                    Ok(None) => {}
                    Ok(Some(keys)) => {
                        tracing::info!(keys = keys.len(), "the published keys have changed");
                        if !teller.tell(Word::Keys(keys)) {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the published keys cannot be fetched; those there are stay");
                        pause = self.every.min(RETRY);
                    }
                }
            }
        };
        thread::Builder::new().name("tidings-keys".to_owned()).spawn(fetching).map(drop)
    }

    /// All keys, where they differ from those fetched last.
    fn fetch(&mut self) -> Result<Option<KeySet>, KeysError> {
        let text = jwks::fetch(&self.url)?;
        if text == self.text {
            return Ok(None);
        }
        let mut keys = self.own.clone();
        let unusable = |error| KeysError::Unusable { url: self.url.clone(), error };
        keys.add_jwks(&text).map_err(unusable)?;
        self.text = text;
        Ok(Some(keys))
    }
}

/// The keys that the settings hold themselves.
fn own_keys(settings: &Settings) -> Result<KeySet, KeyError> {
    let auth = &settings.config.auth;
    let mut keys = KeySet::empty();
    if let Some(secret) = &auth.jwt_secret {
        keys.add_secret(secret.expose().as_bytes())?;
    }
    for pem in &auth.public_keys {
        keys.add_pem(pem.expose())?;
    }
    if let Some(jwks) = &auth.jwks {
        keys.add_jwks(jwks.expose())?;
    }
    Ok(keys)
}
