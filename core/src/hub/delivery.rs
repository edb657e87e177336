//! Egress: from the log to the lanes, and from the lanes to the bytes that a socket can take.

use std::sync::Arc;

use super::connection::{Connection, Phase, Transport};
use super::shared::State;
use super::{Hub, shared};
use crate::event::Priority;
use crate::history::{Entry, History, Record};
use crate::lanes::{Counts, Gap, Looked, Settled, Source, Staged};
use crate::output::Output;
use crate::protocol::{ConnId, Epoch, GapReason, Offset, PerLane, ServerMessage, event_payload};
use crate::stats::Stats;
use crate::time::Now;
use crate::wire::http::sse;
use crate::wire::{Frame, text_into};

/// Bytes of a stream that are encoded ahead. Server-Sent Events carry the position in each block, so their
/// bytes are a connection's own and are final once encoded.
const STREAM_AHEAD: usize = 16 * 1024;

impl Source for History {
    fn first(&self, lane: Priority) -> u64 {
        self.lane(lane).first()
    }

    fn end(&self, lane: Priority) -> u64 {
        self.lane(lane).end()
    }

    fn evicted(&self, lane: Priority) -> Offset {
        self.lane(lane).evicted()
    }

    fn log_end(&self) -> Offset {
        Self::end(self)
    }

    fn seq_above(&self, lane: Priority, offset: Offset) -> u64 {
        self.lane(lane).seq_above(offset)
    }

    fn offset(&self, lane: Priority, seq: u64) -> Offset {
        entry(self, lane, seq).offset
    }

    fn frame(&self, lane: Priority, seq: u64) -> &Frame {
        &entry(self, lane, seq).frame
    }

    fn conflation(&self, lane: Priority, seq: u64) -> Option<&str> {
        entry(self, lane, seq).record.event.conflation()
    }
}

fn entry(history: &History, lane: Priority, seq: u64) -> &Entry {
    history.lane(lane).get(seq).expect("lanes drop what history has evicted before they look at it")
}

/// What a connection can write next: a few slices, in order. Dropping it without a commit changes nothing.
#[derive(Debug)]
pub struct Transmit<'a> {
    hub: &'a mut Hub,
    conn: ConnId,
    staged: Staged,
    lens: Lens,
}

/// How many bytes each part of a transmit has.
#[derive(Clone, Copy, Debug)]
struct Lens {
    rest: usize,
    replies: usize,
    events: usize,
}

impl Lens {
    const fn all(self) -> usize {
        self.rest + self.replies + self.events
    }
}

impl Transmit<'_> {
    /// The bytes in order: the rest of a frame begun earlier, replies and control frames, then events. Some
    /// may be empty, not all of them are.
    #[must_use]
    pub fn slices(&self) -> [&[u8]; 3] {
        let Some(connection) = self.hub.connections.get(self.conn) else { return [&[]; 3] };
        let [rest, events] = self.hub.lanes.slices(connection.lanes, self.staged);
        [rest, connection.outbox.bytes(), events]
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.lens.all()
    }

    /// Whether there is nothing to write; never so for what a poll gave.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes note that the socket took the first `written` bytes. Says whether there is more to send, what
    /// was not taken included; where there is not, the next [`Output::Transmit`] says when there is.
    pub fn commit(self, written: usize) -> bool {
        assert!(written <= self.len(), "no more is committed than was given");
        self.hub.commit(self.conn, self.staged, self.lens, written)
    }
}

impl Hub {
    /// The next bytes to write on a connection, about `budget` of them, or none where there is nothing to
    /// write at the moment. Events are chosen here, as late as possible.
    ///
    /// What is committed counts as taken at the time of the last input: a shell that has waited gives one
    /// before it writes, [`Input::Timeout`](crate::Input::Timeout) if there is no other. One whose socket takes
    /// nothing commits zero bytes, so that the hub knows of the backlog.
    #[must_use]
    pub fn poll_transmit(&mut self, conn: ConnId, budget: usize) -> Option<Transmit<'_>> {
        let (settled, staged) = match self.connections.get(conn)?.state {
            State::Http | State::Closing => (Settled::Ready, Staged::NOTHING),
            State::Stream => (self.encode_stream(conn, budget.min(STREAM_AHEAD)), Staged::NOTHING),
            State::WebSocket => self.stage(conn, budget),
        };
        let connection = self.connections.get_mut(conn)?;
        let [rest, events] = self.lanes.slices(connection.lanes, staged);
        let lens = Lens { rest: rest.len(), replies: connection.outbox.len(), events: events.len() };
        if lens.all() == 0 {
            connection.pending = false;
            connection.taken(self.now.instant, 0, settled != Settled::Ready);
            let paced = connection.pace.is_some();
            if settled != Settled::Ready {
                self.wake(conn);
            } else if paced {
                self.arm(conn);
            }
            self.go_on_closing(conn);
            return None;
        }
        Some(Transmit { hub: self, conn, staged, lens })
    }

    /// Chooses events in the room that replies leave. Where they leave none, lanes are not even looked at:
    /// gaps would pile up behind a peer that takes less than history loses.
    fn stage(&mut self, conn: ConnId, budget: usize) -> (Settled, Staged) {
        let Some(connection) = self.connections.get(conn) else { return (Settled::Ready, Staged::NOTHING) };
        let replies = connection.outbox.len();
        let Some(room) = self.room(connection, budget.saturating_sub(replies)) else {
            return (Settled::Ready, Staged::NOTHING);
        };
        let settled = self.settle(conn);
        // What was settled may be told of in replies.
        (settled, self.choose(conn, replies + room))
    }

    /// Bytes of events that may go where there is room for so many, by the connection's pace; none where not one
    /// event may.
    fn room(&self, connection: &Connection, room: usize) -> Option<usize> {
        let paced = connection.pace.as_ref().map_or(Some(room), |pace| pace.room(self.now.instant));
        paced.map(|paced| paced.min(room)).filter(|room| 0 < *room)
    }

    /// Chooses events up to `budget` bytes, replies included.
    fn choose(&mut self, conn: ConnId, budget: usize) -> Staged {
        let Self { connections, lanes, history, stats, now, .. } = self;
        let Some(connection) = connections.get(conn) else { return Staged::NOTHING };
        let room = budget.saturating_sub(connection.outbox.len());
        if room == 0 {
            return Staged::NOTHING;
        }
        let handed = |lane, seq, times| count(stats, history, *now, lane, seq, times);
        lanes.stage(connection.lanes, &*history, room, handed)
    }

    /// Tells the shell, once, that a connection has something to send.
    pub(super) fn wake(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(conn) {
            wake(connection, &mut self.outputs);
        }
    }

    /// Takes an event into history and queues it for everyone whom it concerns. Nothing is written here.
    pub(super) fn appended(&mut self, offset: Offset, record: &Arc<Record>) {
        let event = &record.event;
        let lane = event.priority();
        let type_id = event.type_id();
        let frame = Frame::text(&event_payload(offset, lane, event.json()));
        self.stats.published[type_id.index()][lane] += 1;
        self.log_seen(record, offset);
        let appended = self.now.instant;
        let seq = self.history.append(Entry { offset, record: Arc::clone(record), frame, appended });
        let Self { index, connections, lanes, history, outputs, catalog, .. } = self;
        index.matching(catalog.name(type_id), record.event.fields(), |members| {
            for member in members {
                if offset <= member.from {
                    continue;
                }
                let Some(connection) = connections.at_mut(member.slot) else { continue };
                lanes.push(&mut connection.lanes, lane, seq, &*history);
                wake(connection, outputs);
            }
        });
    }

    /// Catches up, and tells of what history has lost.
    fn settle(&mut self, conn: ConnId) -> Settled {
        let mut gaps = std::mem::take(&mut self.gaps);
        let Self { connections, lanes, history, index, catalog, .. } = self;
        let settled = match connections.get_mut(conn) {
            Some(Connection { phase: Phase::Live(session), lanes: id, .. }) => {
                let session = &**session;
                let look = |lane, seq| {
                    let entry = entry(history, lane, seq);
                    let event = &entry.record.event;
                    let name = catalog.name(event.type_id());
                    let mut cost = 0;
                    let matches = session.subscriptions.iter().any(|subscription| {
                        cost += 1;
                        subscription.from < entry.offset
                            && index.definition_matches(subscription.place.definition(), name, event.fields())
                    });
                    Looked { matches, cost }
                };
                lanes.settle(id, &*history, look, &mut gaps)
            }
            _ => Settled::Ready,
        };
        if !gaps.is_empty() {
            self.stats.gaps_expired += gaps.len() as u64;
            self.tell_gaps(conn, &gaps);
            gaps.clear();
        }
        self.gaps = gaps;
        settled
    }

    /// Tells of gaps in the form of the connection's transport.
    fn tell_gaps(&mut self, conn: ConnId, gaps: &[Gap]) {
        let message = |Gap { lane, after, until }: Gap| ServerMessage::Gap {
            lane,
            after: Some(after),
            until,
            reason: GapReason::Expired,
        };
        if !self.is_stream(conn) {
            return gaps.iter().for_each(|gap| self.send(conn, &message(*gap)));
        }
        let Some(connection) = self.connections.get(conn) else { return };
        // A block's id covers no gap that stands behind it: a stream may break between the two.
        let mut position = self.lanes.position(connection.lanes, &self.history);
        gaps.iter().for_each(|gap| position[gap.lane] = gap.after);
        for gap in gaps {
            position[gap.lane] = gap.until;
            let id = self.stream_id(&position);
            self.stream_block_at(conn, &id, Some("gap"), Some(&message(*gap).to_json()));
        }
    }

    /// Appends a reply to a WebSocket connection's outbox.
    pub(super) fn send(&mut self, conn: ConnId, message: &ServerMessage<'_>) {
        self.send_json(conn, &message.to_json());
    }

    pub(super) fn send_json(&mut self, conn: ConnId, json: &str) {
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.outbox.append(|out| text_into(out, json));
            wake(connection, &mut self.outputs);
        }
    }

    fn is_stream(&self, conn: ConnId) -> bool {
        self.connections.get(conn).is_some_and(|connection| connection.state == State::Stream)
    }

    /// Encodes the next events of a stream, once everything encoded before is written.
    fn encode_stream(&mut self, conn: ConnId, budget: usize) -> Settled {
        let Some(connection) = self.connections.get(conn).filter(|connection| connection.outbox.is_empty())
        else {
            return Settled::Ready;
        };
        let Some(room) = self.room(connection, budget) else { return Settled::Ready };
        let settled = self.settle(conn);
        let Some(connection) = self.connections.get(conn) else { return settled };
        let lanes = connection.lanes;
        let staged = self.choose(conn, room);
        let chosen: Vec<(Priority, u64)> = self.lanes.chosen(staged).collect();
        let mut position = self.lanes.position(lanes, &self.history);
        for (lane, seq) in chosen {
            let entry = entry(&self.history, lane, seq);
            position[lane] = entry.offset;
            let frame = entry.frame.clone();
            let payload = String::from_utf8_lossy(frame.payload()).into_owned();
            let id = self.stream_id(&position);
            self.stream_block_at(conn, &id, None, Some(&payload));
        }
        let all = self.lanes.slices(lanes, staged).iter().map(|slice| slice.len()).sum();
        self.commit_lanes(conn, staged, all);
        settled
    }

    /// Appends one block with the stream's position as its id.
    pub(super) fn stream_block(&mut self, conn: ConnId, event: Option<&str>, data: Option<&str>) {
        let Some(connection) = self.connections.get(conn) else { return };
        let id = self.stream_id(&self.lanes.position(connection.lanes, &self.history));
        self.stream_block_at(conn, &id, event, data);
    }

    fn stream_id(&self, position: &PerLane<Offset>) -> String {
        write_position(self.history.epoch().map_or("", Epoch::as_str), position)
    }

    /// Appends one block with an id of its own.
    pub(super) fn stream_block_at(
        &mut self,
        conn: ConnId,
        id: &str,
        event: Option<&str>,
        data: Option<&str>,
    ) {
        let mut block = Vec::with_capacity(id.len() + data.map_or(0, str::len) + 32);
        sse::block(&mut block, Some(id), event, data);
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let Some(Transport::Stream(framing)) = connection.session().map(|session| &session.transport) else {
            return;
        };
        let framing = *framing;
        connection.outbox.append(|out| framing.part(out, &block));
        wake(connection, &mut self.outputs);
    }

    fn commit(&mut self, conn: ConnId, staged: Staged, lens: Lens, written: usize) -> bool {
        self.stats.bytes_sent += written as u64;
        let of_rest = written.min(lens.rest);
        let of_replies = (written - of_rest).min(lens.replies);
        let of_lanes = written - of_replies;
        if 0 < of_lanes {
            self.commit_lanes(conn, staged, of_lanes);
        }
        if 0 < of_replies {
            self.replies_taken(conn, of_replies);
        }
        let Some(connection) = self.connections.get_mut(conn) else { return false };
        let more = !connection.outbox.is_empty() || !connection.lanes.is_idle();
        connection.pending = more;
        connection.taken(self.now.instant, written, more);
        more
    }

    /// Goes on with what waited for the socket to take replies.
    fn replies_taken(&mut self, conn: ConnId, count: usize) {
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.outbox.consume(count);
        }
        self.unblock(conn);
        self.go_on_closing(conn);
        // Of an exchange the next deadline may be an earlier one than that of the response.
        if self.exchange_mut(conn).is_some() {
            self.arm(conn);
        }
    }

    fn commit_lanes(&mut self, conn: ConnId, staged: Staged, written: usize) -> Counts {
        let Self { connections, lanes, history, stats, now, .. } = self;
        let Some(connection) = connections.get_mut(conn) else { return Counts::default() };
        if let Some(pace) = &mut connection.pace {
            pace.used(now.instant, written);
        }
        let handed = |lane, seq, times| count(stats, history, *now, lane, seq, times);
        lanes.commit(&mut connection.lanes, &*history, staged, written, handed)
    }

    /// Counts what was handed over since the last input, before time moves on and history forgets it.
    pub(super) fn count_delivered(&mut self) {
        let Self { lanes, history, stats, now, .. } = self;
        lanes.tell(|lane, seq, times| count(stats, history, *now, lane, seq, times));
    }
}

/// Counts an event that was handed over `times` times.
fn count(stats: &mut Stats, history: &History, now: Now, lane: Priority, seq: u64, times: u32) {
    let record = &entry(history, lane, seq).record;
    stats.delivered[record.event.type_id().index()][lane] += u64::from(times);
    stats.latency.record(now.instant.since(record.accepted), u64::from(times));
}

/// A position as an event stream's id has it: `epoch.critical.high.normal.low`.
pub(super) fn write_position(epoch: &str, position: &PerLane<Offset>) -> String {
    let PerLane { critical, high, normal, low } = position;
    format!("{epoch}.{critical}.{high}.{normal}.{low}")
}

/// Tells the shell, once, that a connection has something to send.
pub(super) fn wake(connection: &mut Connection, outputs: &mut shared::Outputs) {
    if !connection.pending {
        connection.pending = true;
        outputs.push_back(Output::Transmit(connection.id));
    }
}
