//! How much memory a connection and a hub may hold, from what the configuration says and nothing else.

use tidings_core::Config;
use tidings_core::hub::Held;

use super::{Invariant, Violation};

/// Bytes around what a setting bounds: structs, heads, and what stands around the events of an answer.
const AROUND: usize = 16 * 1024;
/// Bytes of a subscription beside its text, in a list that may have doubled.
const SUBSCRIPTION: usize = 512;
/// Bytes of an event's place in a list of events.
const LISTED_EVENT: usize = 64;
/// Bytes of a connection in an operator's list.
const LISTED_CONNECTION: usize = 1024;
/// Bytes of a handle in the queue of a lane.
const HANDLE: usize = 32;
/// Bytes of the metrics and of the schema, whichever is longer.
const DOCUMENT: usize = 512 * 1024;
/// Connections over the limit that a hub still tells so.
const OVERLOAD: usize = 256;
/// Bytes that history holds for a byte of a small event, at most.
const HELD_A_BYTE: usize = 16;

/// What a session takes at most, whose shell reads at most `read` bytes at once. Buffers double as they grow.
pub(super) fn of_session(config: &Config, read: usize) -> usize {
    let limits = &config.limits;
    let subscriptions = SUBSCRIPTION * limits.subscriptions + 2 * limits.subscriptions_bytes;
    // What is unsent is one reply over its bound: the longest answers a `recent` or a `resume`.
    let recent = limits.recent_bytes + LISTED_EVENT * limits.recent;
    let unsent = limits.unsent_bytes + recent.max(2 * limits.subscriptions_bytes) + limits.event_bytes;
    let received = limits.message_bytes + 2 * read;
    AROUND + subscriptions + 2 * (unsent + received) + 4 * HANDLE * limits.lane_queue
}

/// What a request and its answer take at most.
pub(super) fn of_request(config: &Config, read: usize) -> usize {
    let (http, limits) = (&config.http, &config.limits);
    let request = http.head_bytes + http.body_bytes + 2 * read;
    // A page ends with the first event that does not fit.
    let page = limits.recent_bytes + limits.event_bytes + LISTED_EVENT * http.page_max.max(limits.recent);
    let answer = page.max(LISTED_CONNECTION * limits.connections).max(DOCUMENT) + limits.unsent_bytes;
    AROUND + 2 * (request + answer)
}

/// Whether a hub as a whole keeps to its bounds.
pub(super) fn check_hub(config: &Config, held: Held) -> Result<(), Violation> {
    // A lane keeps its newest event, however large it is.
    let history = 4 * (config.history.bytes + HELD_A_BYTE * config.limits.event_bytes);
    let bounds = [
        ("connections", held.connections, config.limits.connections + OVERLOAD),
        ("events of history", held.history_events, 4 * config.history.events),
        ("bytes of history", held.history_bytes, history),
        ("keys of deduplication", held.dedup_keys, config.dedup.entries),
        ("appends", held.appends, config.dedup.entries),
    ];
    match bounds.iter().find(|(_, held, most)| most < held) {
        Some((name, held, most)) => {
            let text = format!("the hub holds {held} {name}, of {most} at most");
            Err(Violation::new(Invariant::Bounded, text))
        }
        None => Ok(()),
    }
}
