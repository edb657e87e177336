//! `tidings emit`: publishes one event from the command line, or a stream of them from standard input.

mod pairs;
mod stream;

use std::io::{self, IsTerminal, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tidings_core::event::{Priority, is_type_name};
use tidings_core::time::UnixTime;

use super::client::{Published, Publisher, Refusal};
use super::target::TargetArgs;
use super::token::priority;
use super::{Failure, duration, print};

#[derive(Args, Debug)]
#[command(after_help = "\
Values: `key=value` is JSON where it can be read as JSON (1, true, [\"a\"]), else a text; a field that \
the type's schema declares as a text stays one (contentId=42). `key:=JSON` is always JSON, `key:=now` is the \
current time. `a.b=1` nests. Nothing is filled in silently.

Every event gets an id before it is sent, so a repeated request publishes it once.

Examples:
  tidings emit user.login userId=u1 timestamp:=now
  tidings emit project.created projectId=p1 name=Moon status=new createdAt:=now
  tidings emit system.error service=api message='disk full' timestamp:=now --priority critical
  tidings emit user.login --data '{\"userId\":\"u1\",\"timestamp\":\"2026-01-31T08:00:00Z\"}'
  tidings emit --stdin < events.jsonl          one event a line
  ./stats | tidings emit analytics.traffic_update --stdin     one `data` a line

Exit codes: 0 published, 1 not reached, 2 wrong usage, 3 refused by the server.")]
pub(super) struct EmitArgs {
    /// Type of the event, as in content.updated
    #[arg(value_name = "TYPE", required_unless_present = "stdin")]
    event_type: Option<String>,
    /// Data of the event: key=value, key:=JSON, key:=now
    #[arg(value_name = "KEY=VALUE", conflicts_with = "stdin")]
    pairs: Vec<String>,
    /// Data of the event as a JSON object; `-` reads it from standard input
    #[arg(long, value_name = "JSON", conflicts_with = "stdin")]
    data: Option<String>,
    /// Read one event a line from standard input; with TYPE, one `data` a line
    #[arg(long)]
    stdin: bool,
    /// Id of the event: the same id is published once
    #[arg(long, value_name = "ID", conflicts_with = "stdin")]
    id: Option<String>,
    /// Who says so, a URI reference
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// What the event is about
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// When it happened, RFC 3339
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// critical, high, normal or low
    #[arg(long, value_name = "PRIORITY", value_parser = priority)]
    priority: Option<Priority>,
    #[command(flatten)]
    target: TargetArgs,
    /// Key for publishing; goes before the token
    #[arg(long, value_name = "KEY", env = "TIDINGS_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// How long one request may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,
    /// How long to try again where the server is away or overloaded; 0s tries once
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    retry_for: Duration,
}

/// The attributes that all events of a command have in common.
#[derive(Debug, Serialize)]
struct Header {
    #[serde(rename = "type")]
    event_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
}

impl Header {
    /// The event with this id and data.
    fn event(&self, id: &str, data: &RawValue) -> String {
        #[derive(Serialize)]
        struct Event<'a> {
            id: &'a str,
            #[serde(flatten)]
            header: &'a Header,
        }
        let head = serde_json::to_string(&Event { id, header: self }).unwrap_or_default();
        // Data goes in as it was written: a flattened struct would lose its bytes.
        format!("{},\"data\":{}}}", head.strip_suffix('}').unwrap_or(&head), data.get())
    }
}

pub(super) fn run(args: &EmitArgs) -> Result<(), Failure> {
    let header = args.header()?;
    let target = args.target.target()?;
    let api_key = args.api_key.as_deref().filter(|key| !key.is_empty());
    let bearer = api_key.or(target.token.as_deref());
    let mut publisher = Publisher::new(&target, bearer, args.timeout, args.retry_for)?;
    let header = match header {
        Some(header) if !args.stdin => header,
        header => return stream::run(&mut publisher, header.as_ref(), io::BufReader::new(io::stdin())),
    };
    let data = args.data(&header.event_type)?;
    let id = args.id.clone().unwrap_or_else(|| publisher.new_id());
    match publisher.publish(&[header.event(&id, &data)]) {
        Ok(results) => results.iter().try_for_each(report),
        Err(Refusal::Failure(failure)) => Err(failure),
        Err(Refusal::Problem(problem)) => {
            let faults = problem.faults.iter().map(|fault| format!("\n  {}: {}", fault.path, fault.message));
            Err(Failure::Refused(problem.summary() + &faults.collect::<String>()))
        }
    }
}

/// Says what became of an event: for a person, or as JSON for a program.
fn report(result: &Published) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return print(&serde_json::to_string(result).unwrap_or_default());
    }
    let how = if result.duplicate { "was published before" } else { "published" };
    print(&format!("{how}: id {}, offset {}", result.id, result.offset))
}

impl EmitArgs {
    fn header(&self) -> Result<Option<Header>, Failure> {
        let Some(event_type) = self.event_type.clone() else {
            let only_for_one = [
                ("--source", self.source.is_some()),
                ("--subject", self.subject.is_some()),
                ("--time", self.time.is_some()),
                ("--priority", self.priority.is_some()),
            ];
            return match only_for_one.iter().find(|(_, given)| *given) {
                Some((flag, _)) => {
                    Err(Failure::Usage(format!("{flag} needs TYPE: each line is a whole event")))
                }
                None => Ok(None),
            };
        };
        if !is_type_name(&event_type) {
            let why = format!("`{event_type}` is not an event type as in content.updated");
            return Err(Failure::Usage(why));
        }
        let (source, subject) = (self.source.clone(), self.subject.clone());
        Ok(Some(Header { event_type, source, subject, time: self.time.clone(), priority: self.priority }))
    }

    /// The data of the one event: `--data`, with the pairs on top.
    fn data(&self, event_type: &str) -> Result<Box<RawValue>, Failure> {
        let wrong = |error: serde_json::Error| Failure::Usage(format!("--data: not a JSON object: {error}"));
        let text = match self.data.as_deref() {
            Some("-") => read_stdin()?,
            Some(text) => text.to_owned(),
            None => "{}".to_owned(),
        };
        if self.pairs.is_empty() {
            return RawValue::from_string(text.trim().to_owned()).map_err(wrong);
        }
        let mut data: Map<String, Value> = serde_json::from_str(&text).map_err(wrong)?;
        for pair in &self.pairs {
            pairs::add(&mut data, pair, event_type, now()).map_err(Failure::Usage)?;
        }
        serde_json::value::to_raw_value(&data).map_err(wrong)
    }
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin().read_to_string(&mut text);
    read.map_err(|error| Failure::Failed(format!("standard input: {error}"))).map(|_| text)
}

/// The wall clock.
fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_its_data_as_it_was_written() {
        let header = Header {
            event_type: "a.b".to_owned(),
            source: None,
            subject: Some("}".to_owned()),
            time: None,
            priority: Some(Priority::Low),
        };
        let data = RawValue::from_string(r#"{"b": 1.0, "a":{}}"#.to_owned()).unwrap();
        assert_eq!(
            header.event("i", &data),
            r#"{"id":"i","type":"a.b","subject":"}","priority":"low","data":{"b": 1.0, "a":{}}}"#
        );
    }
}
