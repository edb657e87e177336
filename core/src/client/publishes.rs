//! Events on their way to the server: in order, bounded, sent again after a reconnection with the same
//! event id, so that the server's deduplication makes one of two.

use std::collections::VecDeque;

use super::config::ClientConfig;
use super::io::{PublishError, PublishId};
use super::messages::Request;
use crate::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unsent,
    Deferred,
    Sent,
}

#[derive(Clone, Debug)]
struct Pending {
    id: PublishId,
    text: String,
    stage: Stage,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Publishes {
    pending: VecDeque<Pending>,
    bytes: usize,
    sent: usize,
    next: u64,
    /// The server has refused one for the moment: one at a time until all are answered, since a server closes
    /// on too many refusals.
    slow: bool,
}

impl Publishes {
    pub(super) fn publish(
        &mut self,
        config: &ClientConfig,
        rng: &mut Rng,
        mut event: serde_json::Value,
    ) -> Result<PublishId, PublishError> {
        let object = event.as_object_mut().ok_or(PublishError::NotAnObject)?;
        // An `id` that is null is none (CloudEvents JSON §2.2).
        let event_id = object.entry("id").or_insert(serde_json::Value::Null);
        if event_id.is_null() {
            *event_id = rng.token(26).into();
        }
        let id = PublishId(self.next);
        let text = Request::Publish { id: &wire_id(id), event: &event }.encode();
        if config.event_bytes_max < text.len() {
            return Err(PublishError::TooLarge { max: config.event_bytes_max });
        }
        if config.publishes_max <= self.pending.len()
            || config.publish_bytes_max < self.bytes.saturating_add(text.len())
        {
            return Err(PublishError::TooMany);
        }
        self.next += 1;
        self.bytes += text.len();
        self.pending.push_back(Pending { id, text, stage: Stage::Unsent });
        Ok(id)
    }

    pub(super) fn next_message(&mut self, config: &ClientConfig) -> Option<String> {
        let most = if self.slow { 1 } else { config.publishes_in_flight.max(1) };
        if most <= self.sent {
            return None;
        }
        let unsent = self.pending.iter_mut().find(|one| one.stage == Stage::Unsent)?;
        unsent.stage = Stage::Sent;
        self.sent += 1;
        Some(unsent.text.clone())
    }

    /// The publish that an answer to `id` ends.
    pub(super) fn answered(&mut self, id: &str) -> Option<PublishId> {
        let index = self.find(id)?;
        let one = self.pending.remove(index)?;
        self.bytes -= one.text.len();
        if one.stage == Stage::Sent {
            self.sent -= 1;
        }
        self.slow &= !self.pending.is_empty();
        Some(one.id)
    }

    /// The server could not take what `id` names at the moment: whether it is to be sent again.
    pub(super) fn defer(&mut self, id: &str) -> bool {
        let one = self.find(id).and_then(|index| self.pending.get_mut(index));
        let Some(one) = one.filter(|one| one.stage == Stage::Sent) else { return false };
        one.stage = Stage::Deferred;
        self.sent -= 1;
        self.slow = true;
        true
    }

    pub(super) fn flush(&mut self) {
        let deferred = self.pending.iter_mut().filter(|one| one.stage == Stage::Deferred);
        deferred.for_each(|one| one.stage = Stage::Unsent);
    }

    pub(super) fn disconnected(&mut self) {
        self.pending.iter_mut().for_each(|one| one.stage = Stage::Unsent);
        self.sent = 0;
    }

    /// Gives up all of them.
    pub(super) fn take_all(&mut self) -> Vec<PublishId> {
        (self.bytes, self.sent, self.slow) = (0, 0, false);
        self.pending.drain(..).map(|one| one.id).collect()
    }

    fn find(&self, id: &str) -> Option<usize> {
        let number = PublishId(id.strip_prefix('p')?.parse().ok()?);
        self.pending.binary_search_by_key(&number, |one| one.id).ok()
    }
}

fn wire_id(id: PublishId) -> String {
    format!("p{}", id.0)
}
