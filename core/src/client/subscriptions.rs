//! The application's subscriptions and the server's that carry them: equal ones share one, each sees
//! only what is above its own beginning, and what changes without a connection is told to the next.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use super::config::ClientConfig;
use super::io::{RecentEvent, Subscribe, SubscribeError, SubscriptionId};
use super::messages::{BadMessage, OffsetEvent, Request, ResumeEntry, ResumedSubscription, Subscribed};
use crate::event::{Fields, Filter, Patterns};
use crate::protocol::Offset;

/// A subscription of the application.
#[derive(Clone, Debug)]
struct Handle {
    id: SubscriptionId,
    /// It sees what is above; without meaning until its wire subscription lives.
    above: Offset,
    recent: u16,
}

/// How far a subscription of the server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be asked for.
    Unasked,
    /// The server could not serve it at the moment.
    Deferred,
    /// Asked for on this connection, without an answer.
    Asked,
    /// Begun at `from`; `told` where this connection knows it.
    Live { from: Offset, told: bool },
}

/// A subscription of the server, shared by handles that ask for the same.
#[derive(Clone, Debug)]
struct Wire {
    id: String,
    patterns: Patterns,
    filter: Filter,
    events: Vec<String>,
    filter_json: Option<serde_json::Value>,
    stage: Stage,
    handles: Vec<Handle>,
    bytes: usize,
}

impl Wire {
    fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live { .. })
    }

    fn recent(&self) -> u16 {
        self.handles.iter().map(|handle| handle.recent).max().unwrap_or(0)
    }

    fn ids(&self) -> Vec<SubscriptionId> {
        self.handles.iter().map(|handle| handle.id).collect()
    }
}

/// An id that the server has been told to forget.
#[derive(Clone, Debug)]
struct Leaving {
    id: String,
    deferred: bool,
}

/// A subscription of the application that has begun, with what it asked to begin with.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) subscription: SubscriptionId,
    pub(super) offset: Offset,
    pub(super) recent: Option<Vec<Arc<RecentEvent>>>,
}

/// A subscription that the server refused in a `resumed`.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) subscriptions: Vec<SubscriptionId>,
    pub(super) code: Box<str>,
    pub(super) message: Box<str>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    wires: Vec<Wire>,
    /// Ids that this connection knows and nobody wants: to be told, and told without an answer.
    unwanted: Vec<String>,
    leaving: Vec<Leaving>,
    next_handle: u64,
    next_wire: u64,
}

impl Subscriptions {
    /// Takes a subscription, and says above which offset it sees where it has begun by sharing another's:
    /// `newest`, the highest that the client knows, since what came before is not told again.
    pub(super) fn subscribe(
        &mut self,
        config: &ClientConfig,
        wanted: &Subscribe,
        newest: Offset,
    ) -> Result<(SubscriptionId, Option<Offset>), SubscribeError> {
        let filter = wanted.filter.as_ref().map(|filter| Filter::from_json(filter, config.filter_keys_max));
        let filter = filter.transpose()?.unwrap_or_default();
        if wanted.events.is_empty() {
            return Err(SubscribeError::NoEvents);
        }
        if config.patterns_max < wanted.events.iter().count() {
            return Err(SubscribeError::TooManyPatterns { max: config.patterns_max });
        }
        if Subscribe::RECENT_MAX < wanted.recent {
            return Err(SubscribeError::Recent);
        }
        if config.handles_max <= self.wires.iter().map(|wire| wire.handles.len()).sum() {
            return Err(SubscribeError::TooMany);
        }
        // The server gives `recent` with a first subscribe only; one that has been asked for cannot be joined.
        let joined = self.wires.iter().position(|wire| {
            let open = matches!(wire.stage, Stage::Unasked | Stage::Deferred);
            wire.patterns == wanted.events && wire.filter == filter && (wanted.recent == 0 || open)
        });
        let index = match joined {
            Some(index) => index,
            None => self.add_wire(config, wanted, filter)?,
        };
        let id = SubscriptionId(self.next_handle);
        self.next_handle += 1;
        let wire = &mut self.wires[index];
        let begun = if let Stage::Live { from, .. } = wire.stage { Some(from.max(newest)) } else { None };
        wire.handles.push(Handle { id, above: begun.unwrap_or_default(), recent: wanted.recent });
        Ok((id, begun))
    }

    fn add_wire(
        &mut self,
        config: &ClientConfig,
        wanted: &Subscribe,
        filter: Filter,
    ) -> Result<usize, SubscribeError> {
        let id = format!("s{}", self.next_wire);
        let events: Vec<String> = wanted.events.iter().map(ToString::to_string).collect();
        let filter_json = wanted.filter.clone().filter(|_| !filter.is_empty());
        let entry = ResumeEntry { id: &id, from: Offset::MAX, events: &events, filter: filter_json.as_ref() };
        let bytes = serde_json::to_string(&entry).map_or(usize::MAX, |text| text.len());
        let held: usize = self.wires.iter().map(|wire| wire.bytes).sum();
        // Ids that leave count too, so a flapping application cannot let them pile up.
        let leaving = self.unwanted.len() + self.leaving.len();
        if config.subscriptions_max <= self.wires.len()
            || config.subscriptions_max.saturating_mul(2) <= self.wires.len() + leaving
            || config.subscription_bytes_max < held.saturating_add(bytes)
        {
            return Err(SubscribeError::TooMany);
        }
        self.next_wire += 1;
        let patterns = wanted.events.clone();
        let (stage, handles) = (Stage::Unasked, Vec::new());
        self.wires.push(Wire { id, patterns, filter, events, filter_json, stage, handles, bytes });
        Ok(self.wires.len() - 1)
    }

    pub(super) fn unsubscribe(&mut self, id: SubscriptionId) {
        let holds = |wire: &Wire| wire.handles.iter().position(|handle| handle.id == id);
        let found = self.wires.iter().enumerate().find_map(|(index, wire)| Some((index, holds(wire)?)));
        let Some((index, handle)) = found else { return };
        self.wires[index].handles.remove(handle);
        if self.wires[index].handles.is_empty() {
            self.drop_wire(index);
        }
    }

    fn drop_wire(&mut self, index: usize) {
        let wire = self.wires.remove(index);
        if matches!(wire.stage, Stage::Asked | Stage::Live { told: true, .. }) {
            self.unwanted.push(wire.id);
        }
    }

    pub(super) fn has_live(&self) -> bool {
        self.wires.iter().any(Wire::is_live)
    }

    /// The connection is gone, and with it what it knew.
    pub(super) fn disconnected(&mut self) {
        self.unwanted.clear();
        self.leaving.clear();
        for wire in &mut self.wires {
            wire.stage = match wire.stage {
                Stage::Live { from, .. } => Stage::Live { from, told: false },
                Stage::Unasked | Stage::Deferred | Stage::Asked => Stage::Unasked,
            };
        }
    }

    /// What a resume takes along: all that have a beginning. Counts as told.
    pub(super) fn resume(&mut self) -> Vec<ResumeEntry<'_>> {
        let live = self.wires.iter_mut().filter_map(|wire| {
            let Stage::Live { from, told } = &mut wire.stage else { return None };
            *told = true;
            let filter = wire.filter_json.as_ref();
            Some(ResumeEntry { id: &wire.id, from: *from, events: &wire.events, filter })
        });
        live.collect()
    }

    pub(super) fn next_unsubscribe(&mut self) -> Option<String> {
        let id = self.unwanted.pop()?;
        let text = Request::Unsubscribe { id: &id }.encode();
        self.leaving.push(Leaving { id, deferred: false });
        Some(text)
    }

    pub(super) fn next_subscribe(&mut self) -> Option<String> {
        let wire = self.wires.iter_mut().find(|wire| wire.stage == Stage::Unasked)?;
        wire.stage = Stage::Asked;
        let (recent, filter) = (wire.recent(), wire.filter_json.as_ref());
        Some(Request::Subscribe { id: &wire.id, events: &wire.events, filter, recent }.encode())
    }

    /// The server has begun a subscription. Where another that lives asks for the same, its handles move
    /// over there.
    pub(super) fn subscribed(&mut self, message: &Subscribed<'_>) -> Vec<Begun> {
        let asked = |wire: &Wire| wire.id == *message.id && wire.stage == Stage::Asked;
        let Some(index) = self.wires.iter().position(asked) else { return Vec::new() };
        let offset = message.offset;
        let recent: Vec<_> = message.recent.iter().map(own).collect();
        let wire = &mut self.wires[index];
        wire.stage = Stage::Live { from: offset, told: true };
        let mut begun = Vec::with_capacity(wire.handles.len());
        for handle in &mut wire.handles {
            handle.above = offset;
            let wanted = usize::from(handle.recent);
            let newest = || recent[recent.len().saturating_sub(wanted)..].to_vec();
            let recent = (0 < wanted).then(newest);
            begun.push(Begun { subscription: handle.id, offset, recent });
        }
        self.merge(index);
        begun
    }

    fn merge(&mut self, index: usize) {
        let this = &self.wires[index];
        let twin = self.wires.iter().position(|wire| {
            wire.id != this.id
                && wire.is_live()
                && wire.patterns == this.patterns
                && wire.filter == this.filter
        });
        if let Some(twin) = twin {
            let handles = std::mem::take(&mut self.wires[index].handles);
            self.wires[twin].handles.extend(handles);
            self.drop_wire(index);
        }
    }

    /// The server has taken over what a resume told it. `anew` where offsets have begun anew, so that what
    /// a handle saw before says nothing. A message at fault changes nothing.
    pub(super) fn resumed(
        &mut self,
        answers: &[ResumedSubscription<'_>],
        anew: bool,
    ) -> Result<Vec<Refused>, BadMessage> {
        let answer = |wire: &Wire| answers.iter().find(|answer| *answer.id == *wire.id);
        let is_told = |wire: &&Wire| matches!(wire.stage, Stage::Live { told: true, .. });
        let is_answer = |answer: &ResumedSubscription<'_>| answer.error.is_some() || answer.offset.is_some();
        if !self.wires.iter().filter(is_told).all(|wire| answer(wire).is_some_and(is_answer)) {
            return Err("a resumed says nothing of a subscription".into());
        }
        let mut refused = Vec::new();
        self.wires.retain_mut(|wire| {
            let Some(answer) = answer(wire) else { return true };
            if let Some(fault) = &answer.error {
                let (code, message) = ((*fault.code).into(), (*fault.message).into());
                refused.push(Refused { subscriptions: wire.ids(), code, message });
                return false;
            }
            if let (Stage::Live { from, .. }, Some(offset)) = (&mut wire.stage, answer.offset) {
                *from = offset;
                for handle in &mut wire.handles {
                    handle.above = if anew { offset } else { handle.above.max(offset) };
                }
            }
            true
        });
        Ok(refused)
    }

    pub(super) fn unsubscribed(&mut self, id: &str) {
        self.leaving.retain(|leaving| leaving.id != id);
    }

    /// The server refused what `id` names: the handles that end by it.
    pub(super) fn refused(&mut self, id: &str) -> Vec<SubscriptionId> {
        self.unsubscribed(id);
        self.unwanted.retain(|unwanted| unwanted != id);
        let Some(index) = self.wires.iter().position(|wire| wire.id == id) else { return Vec::new() };
        self.wires.remove(index).ids()
    }

    /// The server could not serve what `id` names at the moment: whether it is to be asked again.
    pub(super) fn defer(&mut self, id: &str) -> bool {
        if let Some(leaving) = self.leaving.iter_mut().find(|leaving| leaving.id == id) {
            leaving.deferred = true;
            return true;
        }
        let asked = |wire: &&mut Wire| wire.id == id && wire.stage == Stage::Asked;
        let wire = self.wires.iter_mut().find(asked);
        wire.map(|wire| wire.stage = Stage::Deferred).is_some()
    }

    /// Asks again for what was deferred.
    pub(super) fn flush(&mut self) {
        for leaving in self.leaving.extract_if(.., |leaving| leaving.deferred) {
            self.unwanted.push(leaving.id);
        }
        for wire in self.wires.iter_mut().filter(|wire| wire.stage == Stage::Deferred) {
            wire.stage = Stage::Unasked;
        }
    }

    /// The handles that an event is for.
    pub(super) fn matching(&self, offset: Offset, event: &str) -> Result<Vec<SubscriptionId>, BadMessage> {
        let head: EventHead<'_> = serde_json::from_str(event)?;
        // Most subscriptions have no filter, and then the data need not be read.
        let mut fields = None;
        let mut ids = Vec::new();
        for wire in &self.wires {
            if !wire.is_live() || !wire.patterns.matches(&head.kind) {
                continue;
            }
            if !wire.filter.is_empty() {
                if fields.is_none() {
                    fields =
                        Some(Fields::from_event(event).ok_or("an event is an object with each key once")?);
                }
                if !fields.as_ref().is_some_and(|fields| wire.filter.matches(fields)) {
                    continue;
                }
            }
            let seeing = wire.handles.iter().filter(|handle| handle.above < offset);
            ids.extend(seeing.map(|handle| handle.id));
        }
        Ok(ids)
    }
}

#[derive(Deserialize)]
struct EventHead<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

fn own(event: &OffsetEvent<'_>) -> Arc<RecentEvent> {
    Arc::new(RecentEvent { offset: event.offset, event: event.event.to_owned() })
}
