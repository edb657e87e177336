//! A stream of Server-Sent Events: blocks in chunks, each with the position of its reader.

use tidings_core::PerLane;

use super::decode::Unit;
use super::link::{Link, Phase, leave};
use super::matching::Definition;
use super::session::{Context, Request, Session};
use super::{Invariant, Violation};

impl Link {
    pub(super) fn chunk(&mut self, cx: &mut Context<'_>, chunk: Unit<Vec<u8>>) -> Result<(), Violation> {
        let Unit { begun, what } = chunk;
        let Phase::Live(session) = &mut self.phase else { return Ok(()) };
        if session.closed.is_some() {
            return Err(Violation::new(Invariant::Legal, "a chunk behind the last one".to_owned()));
        }
        if what.is_empty() {
            leave(session, cx.hub);
            session.closed = Some(0);
            return Ok(());
        }
        self.blocks.extend(what);
        while let Some(end) = self.blocks.windows(2).position(|window| window == b"\n\n") {
            let block: Vec<u8> = self.blocks.drain(..end + 2).collect();
            let Phase::Live(session) = &mut self.phase else { return Ok(()) };
            block_of(session, cx, begun, &String::from_utf8_lossy(&block))?;
            // Whatever a block says, the next heartbeat comes within an interval.
            session.beat = (!self.held).then_some(cx.at.now.instant);
        }
        Ok(())
    }
}

/// A block of a stream of Server-Sent Events.
fn block_of(session: &mut Session, cx: &mut Context<'_>, begun: u64, text: &str) -> Result<(), Violation> {
    let illegal = |what: &str| Violation::new(Invariant::Legal, format!("{what}: {text}"));
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let id = of("id").ok_or_else(|| illegal("a block without id"))?;
    let ours = &cx.truth.life(cx.hub.life).epoch;
    let position = read_id(id).filter(|(epoch, _)| epoch == ours).map(|(_, position)| position);
    if let Some(request) = session.requests.pop_front() {
        begin_stream(session, cx, &request, position)?;
    }
    match (of("event"), of("data")) {
        (Some("gap"), Some(data)) => {
            let gap = serde_json::from_str(data).map_err(|_| illegal("a gap that is not JSON"))?;
            session.gap(cx, &gap)?;
        }
        (_, Some(data)) => {
            let told = serde_json::from_str(data).map_err(|_| illegal("no event"))?;
            session.event(cx, begun, &told)?;
        }
        _ => {}
    }
    // Until the last gap of a resume is told, ids stay where the reader was.
    if session.last_id.as_deref() == Some(id) && of("event") == Some("gap") {
        return Ok(());
    }
    session.last_id = None;
    let position = position.ok_or_else(|| illegal("an id that is no position of this log"))?;
    session.position(cx, &position, "an id")
}

/// An epoch and offsets, as an id has them.
fn read_id(id: &str) -> Option<(&str, PerLane<u64>)> {
    let (epoch, offsets) = id.split_once('.')?;
    let offsets: Vec<u64> = offsets.split('.').filter_map(|part| part.parse().ok()).collect();
    let [critical, high, normal, low] = offsets[..] else { return None };
    Some((epoch, PerLane { critical, high, normal, low }))
}

fn begin_stream(
    session: &mut Session,
    cx: &mut Context<'_>,
    request: &Request,
    first: Option<PerLane<u64>>,
) -> Result<(), Violation> {
    let definition = Definition::read(&request.message["events"], &request.message["filter"]);
    let last = request.message["last"].as_str().and_then(|id| Some((id, read_id(id)?)));
    let Some((id, (epoch, since))) = last else {
        let first =
            first.filter(|first| first.iter().all(|(_, offset)| (request.end..=cx.hub.end).contains(offset)));
        let Some(first) = first else {
            let text = format!("a new stream begins at the end, between {} and {}", request.end, cx.hub.end);
            return Err(Violation::new(Invariant::Legal, text));
        };
        session.begin_stream(cx, definition, first, 0);
        return Ok(());
    };
    cx.hub.counts.resumes += 1;
    session.last_id = Some(id.to_owned());
    if epoch == cx.truth.life(cx.hub.life).epoch && since.iter().all(|(_, offset)| *offset <= request.end) {
        session.begin_stream(cx, definition, since, 0);
    } else {
        session.begin_stream(cx, definition, PerLane::from_fn(|_| request.end), 4);
    }
    Ok(())
}
