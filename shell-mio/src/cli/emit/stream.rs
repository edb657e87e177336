//! A stream of events, one JSON object a line: sent as they come, together where they come fast. A line with a
//! fault is reported by its number and left out; the others keep their order.

use std::io::{BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::super::client::{Problem, Publisher, Refusal};
use super::super::{Failure, say};
use super::{Header, report};

/// Events that one request carries at most; below the server's default, which may be narrowed.
const BATCH_EVENTS: usize = 500;
const BATCH_BYTES: usize = 1024 * 1024;
/// The longest line. The server takes less by default; its answer says how much.
const LINE_BYTES: u64 = 16 * 1024 * 1024;
/// Lines read ahead of the server.
const READ_AHEAD: usize = 1024;

/// One event and the number of its line.
struct Line {
    number: u64,
    event: String,
}

/// What became of the stream.
#[derive(Default)]
struct Tally {
    published: u64,
    duplicates: u64,
    refused: u64,
}

/// Publishes every line of `input`; with a `header` of a type each line is the data of an event of that type.
pub(super) fn run(
    publisher: &mut Publisher,
    header: Option<&Header>,
    input: impl BufRead + Send + 'static,
) -> Result<(), Failure> {
    let (lines, waiting) = sync_channel(READ_AHEAD);
    thread::Builder::new()
        .name("tidings-stdin".to_owned())
        .spawn(move || read_lines(input, &lines))
        .map_err(|error| Failure::Failed(format!("no thread to read with: {error}")))?;
    let mut tally = Tally::default();
    while let Some(batch) = next_batch(publisher, header, &waiting, &mut tally)? {
        send(publisher, batch, &mut tally)?;
    }
    let Tally { published, duplicates, refused } = tally;
    if refused == 0 {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "{refused} refused, {published} published, {duplicates} of them duplicates"
    )))
}

/// A line and its number, or why there is none.
type NextLine = Result<(u64, Vec<u8>), String>;

/// Reads lines until the end; what cannot be read is an error for the other side to report.
fn read_lines(mut input: impl BufRead, lines: &SyncSender<NextLine>) {
    for number in 1.. {
        let mut line = Vec::new();
        let read = input.by_ref().take(LINE_BYTES + 1).read_until(b'\n', &mut line);
        let message = match read {
            Ok(0) => return,
            Ok(_) if LINE_BYTES < line.len() as u64 => {
                Err(format!("line {number}: longer than {LINE_BYTES} bytes"))
            }
            Ok(_) => Ok((number, line)),
            Err(error) => Err(format!("line {number}: {error}")),
        };
        let last = message.is_err();
        if lines.send(message).is_err() || last {
            return;
        }
    }
}

/// Waits for a line, then takes what else is there.
fn next_batch(
    publisher: &mut Publisher,
    header: Option<&Header>,
    waiting: &Receiver<NextLine>,
    tally: &mut Tally,
) -> Result<Option<Vec<Line>>, Failure> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < BATCH_EVENTS && bytes < BATCH_BYTES {
        let next = if batch.is_empty() { waiting.recv().ok() } else { waiting.try_recv().ok() };
        let (number, line) = match next {
            Some(Ok(line)) => line,
            Some(Err(why)) => return Err(Failure::Failed(why)),
            None => break,
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match event(publisher, header, &line) {
            Ok(event) => {
                bytes += event.len();
                batch.push(Line { number, event });
            }
            Err(why) => {
                tally.refused += 1;
                say(&format!("line {number}: {why}"));
            }
        }
    }
    Ok(if batch.is_empty() { None } else { Some(batch) })
}

/// The event of a line, with an id.
fn event(publisher: &mut Publisher, header: Option<&Header>, line: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8")?.trim();
    if let Some(header) = header {
        let data: &RawValue = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        return Ok(header.event(&publisher.new_id(), data));
    }
    with_id(text, || publisher.new_id())
}

/// The event in `text`; where it has no id one is put in front, and the rest stays as it is.
fn with_id(text: &str, id: impl FnOnce() -> String) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Id {
        id: Option<IgnoredAny>,
    }
    let has: Id = serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))?;
    let inside = text.strip_prefix('{').ok_or("not a JSON object")?;
    if has.id.is_some() {
        return Ok(text.to_owned());
    }
    let comma = if inside.trim_start().starts_with('}') { "" } else { "," };
    Ok(format!("{{\"id\":\"{}\"{comma}{inside}", id()))
}

/// Sends a batch; where the server finds faults, the events at fault are reported and the rest is sent again.
fn send(publisher: &mut Publisher, batch: Vec<Line>, tally: &mut Tally) -> Result<(), Failure> {
    let mut parts = vec![batch];
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let events: Vec<String> = part.iter().map(|line| line.event.clone()).collect();
        let problem = match publisher.publish(&events) {
            Ok(results) => {
                for result in results {
                    tally.published += 1;
                    tally.duplicates += u64::from(result.duplicate);
                    report(&result)?;
                }
                continue;
            }
            Err(Refusal::Failure(failure)) => return Err(at_line(failure, &part)),
            Err(Refusal::Problem(problem)) => problem,
        };
        if problem.status == 401 {
            return Err(Failure::Refused(problem.summary()));
        }
        if leave_out(&mut part, &problem, tally) {
            parts.push(part);
        } else if 1 < part.len() {
            // Too much for this server at once, or a fault that it does not name: halves find it.
            let second = part.split_off(part.len() / 2);
            parts.push(second);
            parts.push(part);
        } else {
            tally.refused += 1;
            say(&format!("line {}: {}", part[0].number, problem.summary()));
        }
    }
    Ok(())
}

/// Takes the events that the problem names out of `part`; whether there was one.
fn leave_out(part: &mut Vec<Line>, problem: &Problem, tally: &mut Tally) -> bool {
    let before = part.len();
    for fault in &problem.faults {
        if let Some(line) = part.get(fault.index) {
            say(&format!("line {}: {}: {}", line.number, fault.path, fault.message));
        }
    }
    let mut index = 0..;
    part.retain(|_| {
        let own = index.next();
        !problem.faults.iter().any(|fault| Some(fault.index) == own)
    });
    tally.refused += (before - part.len()) as u64;
    part.len() < before
}

fn at_line(failure: Failure, part: &[Line]) -> Failure {
    let first = part.first().map_or(0, |line| line.number);
    match failure {
        Failure::Failed(why) => {
            Failure::Failed(format!("from line {first} on nothing is known to be published: {why}"))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_added_and_nothing_else_is_touched() {
        let id = || "new".to_owned();
        assert_eq!(with_id(r#"{ "b":1, "a":1.0}"#, id), Ok(r#"{"id":"new", "b":1, "a":1.0}"#.to_owned()));
        assert_eq!(with_id("{}", id), Ok(r#"{"id":"new"}"#.to_owned()));
        assert_eq!(with_id(r#"{"id":"own"}"#, id), Ok(r#"{"id":"own"}"#.to_owned()));
        for wrong in ["", "[]", "1", "{", "null", r#"{"id":"a","id":"b"}"#, "{} {}"] {
            assert!(with_id(wrong, id).is_err(), "{wrong}");
        }
    }
}
