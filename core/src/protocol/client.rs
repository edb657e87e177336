//! What a client may say: text to a legal message, or to the error that answers it.
//!
//! Unknown keys are ignored. An event inside `publish` stays raw; the catalog reads it.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde_json::value::RawValue;

use super::codes::ErrorCode;
use super::ids::{Offset, PerLane};
use crate::config::Secret;
use crate::event::{Filter, Pattern, Patterns};

/// Bounds on what one message may ask for.
#[derive(Clone, Copy, Debug)]
pub struct MessageLimits {
    /// Patterns in one subscription.
    pub patterns: usize,
    /// Keys in one filter.
    pub filter_keys: usize,
    /// Events that `recent` may ask for.
    pub recent: usize,
    /// Subscriptions in one `resume`.
    pub subscriptions: usize,
}

/// One message of a client, legal in itself.
#[derive(Debug)]
pub enum ClientMessage<'a> {
    /// Begin or replace a subscription.
    Subscribe {
        /// The client's name for it.
        id: Box<str>,
        /// Which event types.
        patterns: Patterns,
        /// Which of those events.
        filter: Filter,
        /// How many of the newest matching events the reply shall hold.
        recent: Option<usize>,
    },
    /// Take up where an earlier connection ended.
    Resume {
        /// The message's own id.
        id: Option<Box<str>>,
        /// The client's position.
        since: Since,
        /// All subscriptions, each legal or with its own error.
        subscriptions: Vec<ResumeEntry>,
    },
    /// End a subscription.
    Unsubscribe {
        /// Which one.
        id: Box<str>,
    },
    /// Swap the token in place.
    Auth {
        /// The message's own id.
        id: Option<Box<str>>,
        /// The new token.
        token: Secret,
    },
    /// Ask for a `pong`.
    Ping {
        /// The message's own id.
        id: Option<Box<str>>,
    },
    /// Publish an event.
    Publish {
        /// The message's own id.
        id: Option<Box<str>>,
        /// The event as sent.
        event: &'a RawValue,
    },
}

/// The position that a client resumes from. The epoch is text of the client's, not yet one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// The epoch the client was in.
    pub epoch: String,
    /// Per lane, what the client has.
    pub lanes: PerLane<Offset>,
}

/// One subscription of a `resume`.
#[derive(Debug)]
pub struct ResumeEntry {
    /// The client's name for it.
    pub id: Box<str>,
    /// What it asks for, or why that is not legal.
    pub wanted: Result<Resumed, (ErrorCode, String)>,
}

/// What a subscription of a `resume` asks for.
#[derive(Debug)]
pub struct Resumed {
    /// Where it began.
    pub from: Offset,
    /// Which event types.
    pub patterns: Patterns,
    /// Which of those events.
    pub filter: Filter,
}

/// A message that is not legal: what the `error` in reply says.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The message's id, where one could be read.
    pub id: Option<Box<str>>,
    /// What kind of fault.
    pub code: ErrorCode,
    /// What is wrong, for the developer of the client.
    pub message: String,
}

/// Every field that some message has, still raw.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    events: Option<&'a RawValue>,
    #[serde(borrow)]
    filter: Option<&'a RawValue>,
    #[serde(borrow)]
    recent: Option<&'a RawValue>,
    #[serde(borrow)]
    since: Option<&'a RawValue>,
    #[serde(borrow)]
    subscriptions: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<&'a RawValue>,
}

type Fault = (ErrorCode, String);

fn invalid(message: impl Into<String>) -> Fault {
    (ErrorCode::InvalidMessage, message.into())
}

impl<'a> ClientMessage<'a> {
    /// The id of a message that is answered without being read any further.
    #[must_use]
    pub fn id_of(text: &'a str) -> Option<Box<str>> {
        let fields: Fields<'a> = object(text).ok()?;
        read_id(fields.id).ok().flatten()
    }

    /// Reads one text frame.
    ///
    /// # Errors
    /// [`Rejected`] with the code that PROTOCOL §7 names for the fault.
    pub fn parse(text: &'a str, limits: &MessageLimits) -> Result<Self, Rejected> {
        let reject = |id, (code, message)| Rejected { id, code, message };
        let fields: Fields<'a> = match object(text) {
            Ok(fields) => fields,
            Err(error) if error.is_data() => {
                return Err(reject(None, invalid("a message is one JSON object with each key once")));
            }
            Err(error) => return Err(reject(None, (ErrorCode::InvalidJson, error.to_string()))),
        };
        let id = read_id(fields.id).map_err(|fault| reject(None, fault))?;
        fields.message(id.clone(), limits).map_err(|fault| reject(id, fault))
    }
}

impl<'a> Fields<'a> {
    fn message(&self, id: Option<Box<str>>, limits: &MessageLimits) -> Result<ClientMessage<'a>, Fault> {
        let kind: String = required(self.kind, "type", "a string")?;
        let named = |id: Option<Box<str>>| id.ok_or_else(|| invalid("`id` is required"));
        match &*kind {
            "subscribe" => Ok(ClientMessage::Subscribe {
                id: named(id)?,
                patterns: self.patterns(limits)?,
                filter: self.filter(limits)?,
                recent: self.recent(limits)?,
            }),
            "resume" => Ok(ClientMessage::Resume {
                id,
                since: self.since()?,
                subscriptions: self.resume_entries(limits)?,
            }),
            "unsubscribe" => Ok(ClientMessage::Unsubscribe { id: named(id)? }),
            "auth" => Ok(ClientMessage::Auth { id, token: required(self.token, "token", "a string")? }),
            "ping" => Ok(ClientMessage::Ping { id }),
            "publish" => {
                let event = self.event.ok_or_else(|| invalid("`event` is required"))?;
                Ok(ClientMessage::Publish { id, event })
            }
            other => {
                let shown: String = other.chars().take(64).collect();
                Err((ErrorCode::UnknownType, format!("no message of type {shown:?}")))
            }
        }
    }

    fn patterns(&self, limits: &MessageLimits) -> Result<Patterns, Fault> {
        let texts: Vec<String> = required(self.events, "events", "an array of event types or patterns")?;
        if texts.is_empty() {
            return Err(invalid("`events` names no event type"));
        }
        if limits.patterns < texts.len() {
            return Err(invalid(format!("`events` has more than {} patterns", limits.patterns)));
        }
        let patterns: Result<Vec<_>, _> = texts.iter().map(|text| Pattern::parse(text)).collect();
        patterns.map(Patterns::new).map_err(|error| (ErrorCode::InvalidEventType, error.to_string()))
    }

    fn filter(&self, limits: &MessageLimits) -> Result<Filter, Fault> {
        let Some(raw) = present(self.filter) else { return Ok(Filter::default()) };
        Filter::parse(raw, limits.filter_keys).map_err(|error| (ErrorCode::InvalidFilter, error.to_string()))
    }

    fn recent(&self, limits: &MessageLimits) -> Result<Option<usize>, Fault> {
        let Some(raw) = present(self.recent) else { return Ok(None) };
        match serde_json::from_str::<usize>(raw) {
            Ok(count) if count <= limits.recent => Ok(Some(count)),
            _ => Err(invalid(format!("`recent` must be a number from 0 to {}", limits.recent))),
        }
    }

    fn since(&self) -> Result<Since, Fault> {
        #[derive(Deserialize)]
        struct Position<'a> {
            epoch: String,
            #[serde(borrow)]
            lanes: &'a RawValue,
        }
        let read = || {
            let Position { epoch, lanes } = object(self.since?.get()).ok()?;
            Some(Since { epoch, lanes: object(lanes.get()).ok()? })
        };
        read().ok_or_else(|| invalid("`since` must be {epoch, lanes: {critical, high, normal, low}}"))
    }

    fn resume_entries(&self, limits: &MessageLimits) -> Result<Vec<ResumeEntry>, Fault> {
        let raws: Vec<&'a RawValue> = match self.subscriptions {
            Some(raw) => {
                serde_json::from_str(raw.get()).map_err(|_| invalid("`subscriptions` must be an array"))?
            }
            None => return Err(invalid("`subscriptions` is required")),
        };
        if limits.subscriptions < raws.len() {
            let message = format!("more than {} subscriptions", limits.subscriptions);
            return Err((ErrorCode::TooManySubscriptions, message));
        }
        let mut entries: Vec<ResumeEntry> = Vec::with_capacity(raws.len());
        for raw in raws {
            let fields: Fields<'a> =
                object(raw.get()).map_err(|_| invalid("a subscription is an object with each key once"))?;
            let id = read_id(fields.id)?.ok_or_else(|| invalid("a subscription needs an `id`"))?;
            if entries.iter().any(|entry| entry.id == id) {
                return Err(invalid(format!("subscription {id:?} stands twice")));
            }
            let wanted = fields.resumed(limits);
            entries.push(ResumeEntry { id, wanted });
        }
        Ok(entries)
    }

    fn resumed(&self, limits: &MessageLimits) -> Result<Resumed, Fault> {
        Ok(Resumed {
            from: required::<Offset>(self.from, "from", "the offset at which the subscription began")?,
            patterns: self.patterns(limits)?,
            filter: self.filter(limits)?,
        })
    }
}

/// Reads an object; the library alone would take an array of a struct's fields for one, too.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<T> {
    if text.trim_ascii_start().starts_with('[') {
        serde_json::from_str::<IgnoredAny>(text)?;
        return Err(serde_json::Error::custom("an array is no object"));
    }
    serde_json::from_str(text)
}

/// The raw text, where the field is there and not `null`.
fn present(raw: Option<&RawValue>) -> Option<&str> {
    raw.map(RawValue::get).filter(|text| *text != "null")
}

fn required<T: DeserializeOwned>(raw: Option<&RawValue>, name: &str, form: &str) -> Result<T, Fault> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .ok_or_else(|| invalid(format!("`{name}` must be {form}")))
}

fn read_id(raw: Option<&RawValue>) -> Result<Option<Box<str>>, Fault> {
    let Some(raw) = present(raw) else { return Ok(None) };
    let id: String = serde_json::from_str(raw).map_err(|_| invalid("`id` must be a string"))?;
    if (1..=64).contains(&id.chars().count()) {
        Ok(Some(id.into()))
    } else {
        Err(invalid("`id` must have 1 to 64 characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: MessageLimits =
        MessageLimits { patterns: 2, filter_keys: 2, recent: 200, subscriptions: 2 };

    fn code(text: &str) -> (Option<String>, ErrorCode) {
        let rejected = ClientMessage::parse(text, &LIMITS).unwrap_err();
        (rejected.id.map(String::from), rejected.code)
    }

    #[test]
    fn each_fault_has_the_code_that_the_protocol_names() {
        use ErrorCode::*;
        let cases = [
            ("{", InvalidJson),
            ("", InvalidJson),
            ("{} x", InvalidJson),
            ("[]", InvalidMessage),
            ("[", InvalidJson),
            (" [\"ping\",null,null,null,null,null,null,null,null,null]", InvalidMessage),
            ("7", InvalidMessage),
            ("{}", InvalidMessage),
            (r#"{"type":7}"#, InvalidMessage),
            (r#"{"type":"ping","type":"ping"}"#, InvalidMessage),
            (r#"{"type":"dance"}"#, UnknownType),
            (r#"{"type":"ping","id":""}"#, InvalidMessage),
            (r#"{"type":"subscribe","events":["*"]}"#, InvalidMessage),
            (r#"{"type":"subscribe","id":"a","events":[]}"#, InvalidMessage),
            (r#"{"type":"subscribe","id":"a","events":["*","a.b","c.d"]}"#, InvalidMessage),
            (r#"{"type":"subscribe","id":"a","events":["nope"]}"#, InvalidEventType),
            (r#"{"type":"subscribe","id":"a","events":["*"],"filter":[]}"#, InvalidFilter),
            (r#"{"type":"subscribe","id":"a","events":["*"],"filter":{"a":1,"a":2}}"#, InvalidFilter),
            (r#"{"type":"subscribe","id":"a","events":["*"],"filter":{"a":1e400}}"#, InvalidFilter),
            (r#"{"type":"subscribe","id":"a","events":["*"],"recent":201}"#, InvalidMessage),
            (r#"{"type":"subscribe","id":"a","events":["*"],"recent":-1}"#, InvalidMessage),
            (r#"{"type":"resume","subscriptions":[]}"#, InvalidMessage),
            (
                r#"{"type":"resume","since":["e",{"critical":1,"high":2,"normal":3,"low":4}],"subscriptions":[]}"#,
                InvalidMessage,
            ),
            (
                r#"{"type":"resume","since":{"epoch":"e","lanes":[1,2,3,4]},"subscriptions":[]}"#,
                InvalidMessage,
            ),
            (
                r#"{"type":"resume","since":{"epoch":"e","lanes":{"critical":1,"high":2,"normal":3,"low":4}},
                "subscriptions":[[null,"a",["*"],null,null,null,null,null,null,1]]}"#,
                InvalidMessage,
            ),
            (r#"{"type":"auth"}"#, InvalidMessage),
            (r#"{"type":"publish"}"#, InvalidMessage),
        ];
        for (text, expected) in cases {
            assert_eq!(code(text).1, expected, "{text}");
        }
    }

    #[test]
    fn no_debug_form_shows_a_token() {
        let message = ClientMessage::parse(r#"{"type":"auth","token":"eyJ.top.secret"}"#, &LIMITS).unwrap();
        let ClientMessage::Auth { token, .. } = &message else { panic!("not auth") };
        assert_eq!(token.expose(), "eyJ.top.secret");
        assert!(!format!("{message:?}").contains("eyJ"));
    }

    #[test]
    fn an_error_repeats_the_id_where_one_can_be_read() {
        assert_eq!(code(r#"{"type":"dance","id":"x"}"#).0.as_deref(), Some("x"));
        assert_eq!(code(r#"{"type":"dance","id":5}"#).0, None);
    }

    #[test]
    fn one_bad_subscription_does_not_spoil_a_resume() {
        let text = r#"{"type":"resume","since":{"epoch":"e","lanes":{"critical":1,"high":2,"normal":3,"low":4}},
            "subscriptions":[{"id":"a","from":1,"events":["*"]},{"id":"b","from":1,"events":["x"]}]}"#;
        let Ok(ClientMessage::Resume { since, subscriptions, .. }) = ClientMessage::parse(text, &LIMITS)
        else {
            panic!("not a resume");
        };
        assert_eq!(since.lanes.low.get(), 4);
        assert!(subscriptions[0].wanted.is_ok());
        assert_eq!(subscriptions[1].wanted.as_ref().unwrap_err().0, ErrorCode::InvalidEventType);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = ClientMessage::parse(&text, &LIMITS);
        }

        #[test]
        fn no_json_panics(kind in "subscribe|resume|auth|publish|ping", value in "null|1|\"a\"|\\[\\]|\\{\\}|\\[\"\\*\"\\]|1e999") {
            for key in ["id", "events", "filter", "recent", "since", "subscriptions", "token", "event"] {
                let _ = ClientMessage::parse(&format!(r#"{{"type":"{kind}","id":"a","{key}":{value}}}"#), &LIMITS);
            }
        }
    }
}
