//! Outputs that wait to be polled, in order and bounded.

use std::collections::VecDeque;

use super::config::ClientConfig;
use super::io::{ClientOutput, ClientState, SubscriptionId};

#[derive(Clone, Debug)]
pub(super) struct Outbox {
    queue: VecDeque<ClientOutput>,
    bytes: usize,
    /// What the shell knows the state to be.
    told: ClientState,
}

impl Outbox {
    pub(super) const fn new() -> Self {
        Self { queue: VecDeque::new(), bytes: 0, told: ClientState::Idle }
    }

    /// Whether a message must not be taken: what one message gives may exceed the bound, a second may not.
    pub(super) fn is_full(&self, config: &ClientConfig) -> bool {
        config.outputs_max <= self.queue.len() || config.output_bytes_max <= self.bytes
    }

    pub(super) fn push(&mut self, output: ClientOutput) {
        self.bytes += size(&output);
        self.queue.push_back(output);
    }

    /// Queues the state; one that waits is overtaken by it, so that at most one does.
    pub(super) fn state(&mut self, state: ClientState) {
        let last = self.queue.iter().rev().find_map(|output| match output {
            ClientOutput::State(state) => Some(*state),
            _ => None,
        });
        if last.unwrap_or(self.told) == state {
            return;
        }
        if last.is_some() {
            self.queue.retain(|output| !matches!(output, ClientOutput::State(_)));
        }
        if self.told != state {
            self.queue.push_back(ClientOutput::State(state));
        }
    }

    /// Takes back the beginning of a subscription that has ended, so that a flapping one leaves no trace.
    pub(super) fn forget(&mut self, ended: SubscriptionId) {
        self.queue.retain(|output| match output {
            ClientOutput::Subscribed { subscription, .. } => *subscription != ended,
            ClientOutput::Recent { subscription, .. } if *subscription == ended => {
                self.bytes -= size(output);
                false
            }
            _ => true,
        });
    }

    pub(super) fn pop(&mut self) -> Option<ClientOutput> {
        let output = self.queue.pop_front()?;
        self.bytes -= size(&output);
        if let ClientOutput::State(state) = output {
            self.told = state;
        }
        Some(output)
    }
}

fn size(output: &ClientOutput) -> usize {
    match output {
        ClientOutput::Event { event, .. } => event.get().len(),
        ClientOutput::Recent { events, .. } => events.iter().map(|one| one.event.get().len()).sum(),
        _ => 0,
    }
}
