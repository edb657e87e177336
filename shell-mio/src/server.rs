//! The server's loop: one thread, edge-triggered readiness, bounded work a turn.
//!
//! A turn takes in everything that has arrived before it writes, so that each connection gets one write
//! for all its frames. A connection gets one read and one write a turn and goes to the back of its list,
//! so that no peer can keep the others waiting. Nothing here parses, queues events, or keeps a timer.

mod clock;
mod event_loop;
mod keys;
mod listeners;
mod signals;
mod sockets;

use std::io;
use std::net::SocketAddr;
use std::panic::{self, PanicHookInfo};

use thiserror::Error;
use tidings_core::{HubError, Listener as Serves};

use crate::banner;
use crate::settings::Settings;
use event_loop::EventLoop;
use keys::{KeysError, Published};
use listeners::Listener;

/// Why the server ended.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The configuration names a key, a role or a type that is at fault.
    #[error("{0}")]
    Hub(#[from] HubError),
    /// There is no key to verify tokens with.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The system denies what a server needs.
    #[error("the system denies what the server needs: {0}")]
    System(#[from] io::Error),
}

/// Serves until the process is told to end.
///
/// # Errors
/// [`ServeError`] where it cannot begin or go on.
pub(crate) fn run(settings: &Settings) -> Result<(), ServeError> {
    panic::set_hook(Box::new(log_panic));
    raise_open_files(settings.server.shell.open_files);
    let listeners = bind(settings)?;
    let bound = listeners[0].local_addr()?;
    let operators = listeners.get(1).map(Listener::local_addr).transpose()?;
    let mut published = Published::of(settings)?;
    let keys = published.as_mut().map(Published::first).transpose()?;
    let mut event_loop = EventLoop::new(settings.clone(), keys, listeners)?;
    event_loop.hear_signals()?;
    if let Some(published) = published {
        published.refresh(event_loop.teller())?;
    }
    banner::print(settings, bound);
    tracing::info!(address = %bound, "listening on {bound}");
    if let Some(address) = operators {
        tracing::info!(%address, "listening for operators on {address}");
    }
    event_loop.run()
}

fn bind(settings: &Settings) -> Result<Vec<Listener>, ServeError> {
    let backlog = settings.server.shell.backlog;
    let listen = |address: SocketAddr, serves| {
        Listener::bind(address, serves, backlog).map_err(|error| ServeError::Listen { address, error })
    };
    let main = settings.server.listen.0;
    match &settings.server.ops.listen {
        None => Ok(vec![listen(main, Serves::All)?]),
        Some(operators) => Ok(vec![listen(main, Serves::Public)?, listen(operators.0, Serves::Operators)?]),
    }
}

/// Logs where the program panicked. Its message may hold what a peer sent, so only one that stands in the
/// program's text is shown.
fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("(not shown)");
    tracing::error!(place, message, "panicked");
}

/// Raises the number of files that the process may open; zero raises it as far as the system allows.
fn raise_open_files(wanted: u64) {
    let wanted = if wanted == 0 { u64::MAX } else { wanted };
    if let Err(error) = rlimit::increase_nofile_limit(wanted) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

#[cfg(test)]
mod tests;
