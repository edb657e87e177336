//! What the hub keeps of one connection: little while it is quiet, the rest only while it is needed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::Identity;
use crate::input::Peer;
use crate::lanes::LanesId;
use crate::protocol::{ConnId, Offset};
use crate::subscription::Place;
use crate::time::Instant;
use crate::wire::Reader;
use crate::wire::http::{Phase as ReadPhase, ReplyTo, RequestReader, StreamFraming};

use super::pace::Pace;
use super::publish::PublishId;
use super::request::Accepted;
use super::scan::Scan;
use super::shared::State;

/// One connection, whatever it speaks.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) peer: Peer,
    pub(super) phase: Phase,
    /// What the phase is counted as. It stands here so that a delivery need not fetch the session.
    pub(super) state: State,
    pub(super) outbox: Outbox,
    pub(super) lanes: LanesId,
    /// The shell has been told to poll and has not yet been given nothing.
    pub(super) pending: bool,
    /// The shell has been told not to read.
    pub(super) paused: bool,
    /// The peer sends nothing more.
    pub(super) ended: bool,
    /// The shell has been told to send FIN.
    pub(super) finished: bool,
    /// When the last byte arrived.
    pub(super) heard: Instant,
    /// When the kernel last took a byte of a backlog.
    pub(super) took: Instant,
    /// Since when every write has left something behind.
    pub(super) behind: Option<Instant>,
    /// How fast it takes events, where its client has said so.
    pub(super) pace: Option<Box<Pace>>,
    /// The tick of the timer entry that counts; others of this connection are stale.
    pub(super) armed: u64,
}

/// What a connection is doing.
#[derive(Debug)]
pub(super) enum Phase {
    /// Requests and responses.
    Http(Box<Exchange>),
    /// A user's connection, over WebSocket or Server-Sent Events.
    Live(Box<Session>),
    /// Everything is said; what is still unsent is sent, what still arrives is dropped.
    Closing(Closing),
}

/// How a connection ends.
#[derive(Debug)]
pub(super) struct Closing {
    /// When the socket is closed whatever the peer does.
    pub(super) deadline: Instant,
    /// Whether the peer, too, has said that it closes.
    pub(super) answered: bool,
    /// Reads what arrives where that is WebSocket frames, of which a Close would be the answer.
    pub(super) reader: Option<Reader>,
}

/// The HTTP side of a connection.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) reader: RequestReader,
    /// What arrived behind the request that is being worked on.
    pub(super) inbox: Vec<u8>,
    pub(super) step: Step,
    /// The `Origin` to allow in the response, once the head that names it is read.
    pub(super) origin: Option<Box<str>>,
    /// When the current step began.
    pub(super) since: Instant,
    /// Under which address it counts as not yet authenticated.
    pub(super) counted: Option<AddressKey>,
    /// Why it is refused as soon as its first request has been read.
    pub(super) overload: bool,
}

impl Exchange {
    /// Whether no request has begun that is still to be answered.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.step, Step::Request) && self.reader.phase() == ReadPhase::Idle
    }

    /// Whether a whole request is being answered.
    pub(super) const fn is_working(&self) -> bool {
        matches!(self.step, Step::Busy(..) | Step::Respond)
    }
}

/// What an exchange waits for.
#[derive(Debug)]
pub(super) enum Step {
    /// A request.
    Request,
    /// The body of an authorised request.
    Body(Box<Accepted>),
    /// Work that goes over several turns.
    Busy(ReplyTo, Box<Busy>),
    /// The peer to take the response.
    Respond,
}

/// An address as connections are counted: IPv4 whole, IPv6 by its /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AddressKey(u64, bool);

impl AddressKey {
    pub(super) fn new(address: std::net::IpAddr) -> Self {
        match address.to_canonical() {
            std::net::IpAddr::V4(v4) => Self(u64::from(v4.to_bits()), false),
            std::net::IpAddr::V6(v6) => Self(u64::try_from(v6.to_bits() >> 64).unwrap_or(0), true),
        }
    }
}

/// Work that goes over several turns; what the peer sends meanwhile waits.
#[derive(Debug)]
pub(super) enum Busy {
    /// Events are being appended; a message's own id is kept for the answer.
    Publish(PublishId, Option<Box<str>>),
    /// Nothing: the step between taking work up and putting it back.
    Nothing,
    /// History is being searched.
    Scan(Scan),
}

/// A user's connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) identity: Arc<Identity>,
    pub(super) transport: Transport,
    pub(super) subscriptions: Vec<Subscription>,
    /// The tag that the next subscription gets.
    pub(super) next_tag: u32,
    /// Bytes of the subscriptions, serialised.
    pub(super) subscriptions_bytes: usize,
    /// Whether it has subscribed or resumed.
    pub(super) began: bool,
    pub(super) born: Instant,
    pub(super) next_heartbeat: Instant,
    /// The tick of the token's timer entry that counts; others of this session are stale.
    pub(super) expiry_armed: u64,
    /// When it closes with 1012, once told to reconnect.
    pub(super) leave: Option<Instant>,
    pub(super) rate: Rate,
    pub(super) strikes: Option<Box<Strikes>>,
    /// What arrived while busy, or while too much was unsent.
    pub(super) inbox: Vec<u8>,
    pub(super) busy: Option<Box<(Instant, Busy)>>,
}

/// How a session's bytes are framed.
#[derive(Debug)]
pub(super) enum Transport {
    /// RFC 6455.
    WebSocket(Reader),
    /// An event stream over HTTP.
    Stream(StreamFraming),
}

/// One subscription of a session.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: Box<str>,
    pub(super) from: Offset,
    pub(super) bytes: u32,
    /// Names it to the index, whatever becomes of its neighbours in the list.
    pub(super) tag: u32,
    pub(super) place: Place,
}

impl Connection {
    /// Takes note that the kernel took `written` bytes, and whether more is left for it. That is a sign of life only
    /// where something was left at an earlier moment, since a buffer with room takes bytes for a peer that is gone
    /// too; a stream's reader has no other.
    pub(super) fn taken(&mut self, now: Instant, written: usize, more: bool) {
        if 0 < written && self.behind.is_some_and(|since| since < now) {
            self.took = now;
        }
        self.behind = more.then(|| self.behind.unwrap_or(now));
        if !more && self.state == State::Stream {
            self.heard = now;
        }
    }

    pub(super) fn session(&self) -> Option<&Session> {
        match &self.phase {
            Phase::Live(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.phase {
            Phase::Live(session) => Some(session),
            _ => None,
        }
    }
}

impl Session {
    pub(super) const fn is_stream(&self) -> bool {
        matches!(self.transport, Transport::Stream(_))
    }

    pub(super) fn subscription(&self, id: &str) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| *subscription.id == *id)
    }

    /// Takes a subscription out of the list.
    pub(super) fn take(&mut self, id: &str) -> Option<Subscription> {
        let index = self.subscriptions.iter().position(|subscription| *subscription.id == *id)?;
        let taken = self.subscriptions.swap_remove(index);
        self.subscriptions_bytes -= taken.bytes as usize;
        Some(taken)
    }
}

/// A leaky bucket as one timestamp (the generic cell rate algorithm).
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate(Instant);

impl Rate {
    pub(super) const fn new(now: Instant) -> Self {
        Self(now)
    }

    /// Takes `cost` messages out of the bucket, or says that there are not so many.
    pub(super) fn take(&mut self, now: Instant, per_second: u32, burst: u32, cost: u32) -> bool {
        let each = Duration::from_micros(1_000_000 / u64::from(per_second.max(1)));
        let next = self.0.max(now) + each * cost;
        if now + each * burst < next {
            return false;
        }
        self.0 = next;
        true
    }

    /// Charges work that is done already; later messages pay for it.
    pub(super) fn charge(&mut self, now: Instant, per_second: u32, cost: u32) {
        let each = Duration::from_micros(1_000_000 / u64::from(per_second.max(1)));
        self.0 = self.0.max(now) + each * cost;
    }
}

/// When a client misbehaved of late.
#[derive(Debug, Default)]
pub(super) struct Strikes {
    /// Faulty messages.
    pub(super) faults: Window,
    /// Messages over the rate.
    pub(super) rate: Window,
}

/// Counts what happened within the last while.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Instant>);

impl Window {
    /// Counts one more; true where it is the `limit`-th within `span`.
    pub(super) fn strike(&mut self, now: Instant, span: Duration, limit: u32) -> bool {
        while self.0.front().is_some_and(|at| span <= now.since(*at)) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        limit as usize <= self.0.len()
    }
}

/// Bytes chosen and final: replies and control frames, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox(Option<Box<(Vec<u8>, usize)>>);

impl Outbox {
    /// The bytes yet unsent.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |(bytes, sent)| bytes.get(*sent..).unwrap_or(&[]))
    }

    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.0.as_deref().map_or(0, |(bytes, _)| bytes.capacity() + size_of::<(Vec<u8>, usize)>())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Appends what `write` writes.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let (bytes, sent) = &mut **self.0.get_or_insert_default();
        if 4096 < *sent && bytes.len() < *sent * 2 {
            bytes.drain(..*sent);
            *sent = 0;
        }
        write(bytes);
        if bytes.len() == *sent {
            self.0 = None;
        }
    }

    /// Puts the rest of a frame begun before everything else.
    pub(super) fn prepend(&mut self, rest: &[u8]) {
        let mut bytes = rest.to_vec();
        bytes.extend_from_slice(self.bytes());
        self.0 = Some(Box::new((bytes, 0)));
    }

    /// Drops the first `count` bytes, which the kernel took. An empty outbox holds no memory.
    pub(super) fn consume(&mut self, count: usize) {
        if let Some(held) = &mut self.0 {
            held.1 += count;
            if held.0.len() <= held.1 {
                self.0 = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut rate = Rate::new(at(0));
        let taken = (0..300).filter(|_| rate.take(at(0), 100, 200, 1)).count();
        assert_eq!(taken, 200);
        assert!(!rate.take(at(9), 100, 200, 1));
        assert!(rate.take(at(10), 100, 200, 1));
        let later = (0..300).filter(|_| rate.take(at(60_000), 100, 200, 1)).count();
        assert_eq!(later, 200);
    }

    #[test]
    fn the_tenth_strike_within_the_span_counts() {
        let mut window = Window::default();
        assert!((0..9).all(|n| !window.strike(at(n), Duration::from_secs(60), 10)));
        assert!(!window.strike(at(60_005), Duration::from_secs(60), 10));
        assert!((0..9).any(|_| window.strike(at(60_006), Duration::from_secs(60), 10)));
    }

    #[test]
    fn an_outbox_is_a_queue_of_bytes_that_holds_nothing_when_empty() {
        let mut outbox = Outbox::default();
        outbox.append(|bytes| bytes.extend_from_slice(b"abc"));
        outbox.consume(2);
        outbox.append(|bytes| bytes.extend_from_slice(b"d"));
        assert_eq!(outbox.bytes(), b"cd");
        outbox.consume(2);
        assert!(outbox.is_empty() && outbox.0.is_none());
    }

    #[test]
    fn ipv6_is_counted_by_its_64() {
        let key = |text: &str| AddressKey::new(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
    }
}
