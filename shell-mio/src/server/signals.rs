//! Signals as readable events of the loop.

use std::io;

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals as Source;

/// What the process was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// SIGTERM: leave without losing anyone.
    Leave,
    /// SIGINT: end now.
    End,
}

/// The signals that the loop hears.
pub(super) struct Signals(Source);

impl Signals {
    pub(super) fn register(registry: &Registry, token: Token) -> io::Result<Self> {
        let mut source = Source::new([SIGTERM, SIGINT])?;
        registry.register(&mut source, token, Interest::READABLE)?;
        Ok(Self(source))
    }

    /// What has been asked since the last look.
    pub(super) fn pending(&mut self) -> Vec<Asked> {
        self.0.pending().map(|signal| if signal == SIGTERM { Asked::Leave } else { Asked::End }).collect()
    }
}
