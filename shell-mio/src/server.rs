//! The server's loop.

use std::io;
use std::net::TcpListener;

use thiserror::Error;

use crate::banner;
use crate::settings::Settings;

/// Why the server ended.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The loop is not part of this build.
    #[error("the event loop is missing from this build")]
    NoLoop,
}

/// Serves until the process is told to end.
///
/// # Errors
/// [`ServeError`] where it cannot begin or go on.
#[expect(clippy::needless_pass_by_value, reason = "the server owns its settings for its whole life")]
pub(crate) fn run(settings: Settings) -> Result<(), ServeError> {
    let address = settings.server.listen.0;
    let listen = TcpListener::bind(address).and_then(|listener| listener.local_addr());
    let bound = listen.map_err(|error| ServeError::Listen { address, error })?;
    banner::print(&settings, bound);
    Err(ServeError::NoLoop)
}
