//! One connection: its bytes both ways, what they mean, and when it must end.

use std::time::Duration;

use serde_json::Value;
use tidings_core::Instant;
use tidings_core::PerLane;

use super::decode::{self, Frame, Input, Unit};
use super::hub::{HubModel, TICK};
use super::matching::{Definition, Grants};
use super::session::{Context, Request, Session, Told, number, offsets};
use super::tokens::Tokens;
use super::truth::Truth;
use super::{HubId, Invariant, Moment, Violation};

/// How long a hub lets a connection linger whose last word is said.
const LINGER: Duration = Duration::from_secs(2);

/// What a connection speaks.
#[derive(Debug)]
enum Phase {
    /// No whole request has come.
    Silent,
    /// A request for a session has come, and its answer has not.
    Asked(Box<Session>, String),
    /// A session.
    Live(Box<Session>),
    /// Requests that begin no session, or a session refused.
    Plain,
}

/// A connection as the model has it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) hub: HubId,
    /// Its peer breaks rules: closing it for that is right.
    pub(super) rogue: bool,
    corrupted: bool,
    phase: Phase,
    said: Input,
    told: Input,
    /// The text of a stream of which no whole block has come.
    blocks: Vec<u8>,
    /// A message of the client in pieces.
    pieces: Vec<u8>,
    accepted: Instant,
    heard: Instant,
    /// When it was heard before that.
    heard_before: Instant,
    /// When the kernel last took bytes of what it could not take at once.
    took: Instant,
    /// When it last took any.
    wrote: Instant,
    /// The kernel's buffer is full.
    blocked: bool,
    /// What was last written had to wait for its turn.
    held: bool,
    /// The hub does not read from it.
    paused: bool,
    /// The hub had nothing more to say.
    pub(super) idle: bool,
    /// It was asked for bytes of which nothing was taken: a stream's blocks are encoded, and counted, by that.
    pub(super) polled: bool,
    /// What tokens allow that were given since the last look, whether the hub has taken them or not.
    pub(super) offered: Vec<Grants>,
    /// Since when its session must not be any more: its token has expired, or its key is not trusted.
    overdue: Option<Instant>,
    /// From which step on no frame of its may begin any more.
    mute: Option<u64>,
}

impl Link {
    pub(super) fn new(hub: HubId, rogue: bool, now: Instant) -> Self {
        Self {
            hub,
            rogue,
            corrupted: false,
            phase: Phase::Silent,
            said: Input::default(),
            told: Input::default(),
            blocks: Vec::new(),
            pieces: Vec::new(),
            accepted: now,
            heard: now,
            heard_before: now,
            took: now,
            wrote: now,
            blocked: false,
            held: false,
            paused: false,
            idle: true,
            polled: false,
            offered: Vec::new(),
            overdue: None,
            mute: None,
        }
    }

    pub(super) fn session(&self) -> Option<&Session> {
        match &self.phase {
            Phase::Live(session) => Some(session),
            _ => None,
        }
    }

    fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.phase {
            Phase::Live(session) | Phase::Asked(session, _) => Some(session),
            Phase::Silent | Phase::Plain => None,
        }
    }

    /// From here on its peer's bytes cannot be followed.
    pub(super) fn corrupt(&mut self) {
        (self.corrupted, self.rogue) = (true, true);
        if let Some(session) = self.session_mut() {
            session.opaque = true;
        }
    }

    /// Whether it ended with something that nobody saw.
    pub(super) fn is_unsaid(&self) -> bool {
        self.corrupted || self.polled || !self.idle || !self.told.rest().is_empty()
    }

    /// Whether a session ended without a last word, though its peer keeps to the rules and has taken everything.
    pub(super) fn is_cut_short(&self) -> bool {
        let open = self.session().is_some_and(|session| session.closed.is_none());
        open && !self.rogue && !self.blocked && !self.is_unsaid()
    }

    pub(super) fn appended(&mut self, at: Moment, event: &super::truth::Event) {
        if let Phase::Live(session) = &mut self.phase {
            session.appended(at, event);
        }
    }

    /// The kernel's buffer is full, or can take bytes again.
    pub(super) fn block(&mut self, blocked: bool) {
        self.blocked = blocked;
    }

    /// What a peer says that the hub does not read is not silence.
    pub(super) fn pause(&mut self, now: Instant, paused: bool) {
        (self.paused, self.heard) = (paused, now);
        if self.idle {
            self.heard_before = now;
        }
    }

    // What the client says

    pub(super) fn received(&mut self, at: Moment, hub: &mut HubModel, tokens: &Tokens, bytes: &[u8]) {
        if self.heard < at.now.instant {
            (self.heard_before, self.heard) = (self.heard, at.now.instant);
        }
        if self.corrupted || matches!(self.phase, Phase::Plain) {
            return;
        }
        self.said.push(bytes, at.step);
        if matches!(self.phase, Phase::Silent) {
            let Some(Unit { what: head, .. }) = self.said.head(at.step) else { return };
            self.phase = ask(at, hub, tokens, head);
        }
        while let Some(Unit { what: frame, .. }) = self.said.frame(at.step) {
            self.client_frame(at, hub, tokens, frame);
        }
    }

    fn client_frame(&mut self, at: Moment, hub: &mut HubModel, tokens: &Tokens, frame: Frame) {
        if frame.opcode == 9 {
            return self.request(at, hub, tokens, serde_json::json!({"type": "ping frame"}));
        }
        if let Some(session) = self.session_mut().filter(|_| frame.opcode == 8) {
            session.echo = frame.payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
        }
        if 2 < frame.opcode {
            return;
        }
        self.pieces.extend(frame.payload);
        if frame.fin {
            let text = std::mem::take(&mut self.pieces);
            let message = serde_json::from_slice(&text).unwrap_or(Value::Null);
            self.request(at, hub, tokens, message);
        }
    }

    fn request(&mut self, at: Moment, hub: &mut HubModel, tokens: &Tokens, message: Value) {
        let pass = message["token"].as_str().and_then(|token| tokens.pass(token, &hub.config));
        let evicted = PerLane::from_fn(|lane| hub.evicted(lane, at.now.instant).1);
        let end = hub.end;
        self.offered.extend(pass.iter().map(|pass| pass.grants.clone()));
        if let Some(session) = self.session_mut() {
            session.requests.push_back(Request { message, end, evicted, pass });
        }
    }

    // What the hub says

    pub(super) fn wrote(
        &mut self,
        at: Moment,
        truth: &Truth,
        hub: &mut HubModel,
        bytes: &[u8],
    ) -> Result<(), Violation> {
        hub.counts.bytes_sent += bytes.len() as u64;
        // The parts of a Close frame are no sign of life: what it says was decided before.
        let behind = !self.idle && self.wrote < at.now.instant && self.told.rest().first() != Some(&0x88);
        self.held = self.blocked || !self.idle;
        if self.held
            && let Some(session) = self.session_mut()
        {
            session.beat = None;
        }
        self.idle = false;
        self.told.push(bytes, at.step);
        let read = self.read(Context { at, truth, hub });
        self.wrote = at.now.instant;
        if behind {
            self.took = self.wrote;
        }
        read
    }

    fn read(&mut self, mut cx: Context<'_>) -> Result<(), Violation> {
        if let Phase::Asked(..) = self.phase {
            let Some(Unit { what: head, .. }) = self.told.head(cx.at.step) else { return Ok(()) };
            self.answered(&mut cx, &head)?;
        }
        if matches!(self.phase, Phase::Silent | Phase::Plain) {
            self.told = Input::default();
            return Ok(());
        }
        if self.session().is_some_and(|session| session.stream) {
            while let Some(chunk) = self.told.chunk(cx.at.step) {
                self.chunk(&mut cx, chunk)?;
            }
            return Ok(());
        }
        while let Some(frame) = self.told.frame(cx.at.step) {
            self.frame(&mut cx, frame)?;
        }
        Ok(())
    }

    /// The answer to the request for a session.
    fn answered(&mut self, cx: &mut Context<'_>, head: &str) -> Result<(), Violation> {
        let Phase::Asked(session, request) = std::mem::replace(&mut self.phase, Phase::Plain) else {
            return Ok(());
        };
        let status = head.split(' ').nth(1).unwrap_or("");
        if status != "101" && !(status == "200" && session.stream) {
            let good = session.pass.as_ref().is_some_and(|pass| is_good(pass, cx.hub, cx.at));
            if status == "401" && good {
                return Err(Violation::new(Invariant::Legal, "a good token was refused".to_owned()));
            }
            return Ok(());
        }
        self.phase = Phase::Live(session);
        if let Phase::Live(session) = &mut self.phase
            && session.stream
        {
            cx.hub.counts.streams += 1;
            let decoded = |name| decode::parameter(&request, name).map(decode::decoded).unwrap_or_default();
            let events = decoded("events").split(',').map(Value::from).collect();
            let filter = serde_json::from_str(&decoded("filter")).unwrap_or(Value::Null);
            session.welcomed = true;
            session.requests.clear();
            self.blocks.clear();
            session.requests.push_back(Request {
                message: serde_json::json!({"type": "stream", "events": events_or_all(events), "filter": filter,
                    "last": decode::field(&request, "last-event-id")}),
                end: cx.hub.end,
                evicted: PerLane::default(),
                pass: None,
            });
        }
        Ok(())
    }

    fn frame(&mut self, cx: &mut Context<'_>, frame: Unit<Frame>) -> Result<(), Violation> {
        let Unit { begun, what: Frame { opcode, fin, masked, payload } } = frame;
        let illegal = |text: String| Err(Violation::new(Invariant::Legal, text));
        if !fin || masked || !matches!(opcode, 1 | 8 | 9 | 10) {
            return illegal(format!("a frame of opcode {opcode}, final {fin}, masked {masked}"));
        }
        let (rogue, heard, took) = (self.rogue, self.heard, self.took);
        let Phase::Live(session) = &mut self.phase else { return Ok(()) };
        if let Some(code) = session.closed {
            return illegal(format!("a frame behind Close {code}"));
        }
        match opcode {
            8 => {
                let code = payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
                session.closed = Some(code);
                if session.echo == Some(code) {
                    return Ok(());
                }
                // What is heard in the moment of a close may have come after it was decided.
                let heard = if heard == cx.at.now.instant { self.heard_before } else { heard };
                let silent = cx.at.now.instant.since(heard);
                return check_close(session, cx, code, rogue, silent, took);
            }
            10 => {
                let front = session.requests.front().map(|request| request.message["type"] == "ping frame");
                if front == Some(true) {
                    session.requests.pop_front();
                } else if !session.opaque {
                    return illegal("a Pong to no Ping".to_owned());
                }
                return Ok(());
            }
            9 => return Ok(()),
            _ => {}
        }
        let Ok(text) = std::str::from_utf8(&payload) else {
            return illegal("a text that is not UTF-8".to_owned());
        };
        if text.starts_with(r#"{"type":"event""#) {
            // A frame is final from its first byte on, however long the peer takes for the rest.
            if let Some((since, mute)) = self.overdue.zip(self.mute)
                && mute < begun
            {
                let text = format!("an event to a session whose token is void since {since:?}");
                return Err(Violation::new(Invariant::Permitted, text));
            }
            let Ok(told) = serde_json::from_str::<Told<'_>>(text) else {
                return illegal(format!("no event: {text}"));
            };
            return session.event(cx, begun, &told);
        }
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            return illegal(format!("no JSON: {text}"));
        };
        match message["type"].as_str() {
            Some("welcome") => welcome(session, cx, &message),
            _ if !session.welcomed => illegal(format!("before `welcome`: {message}")),
            Some("gap") => session.gap(cx, &message),
            Some("heartbeat") => {
                cx.hub.counts.heartbeats += 1;
                session.position(cx, &offsets(&message["lanes"])?, "a heartbeat")?;
                beat(session, cx, self.held)
            }
            Some("reconnect") if cx.hub.draining => Ok(()),
            Some("reconnect") => illegal("`reconnect` of a hub that does not drain".to_owned()),
            _ => session.reply(cx, &message),
        }
    }

    fn chunk(&mut self, cx: &mut Context<'_>, chunk: Unit<Vec<u8>>) -> Result<(), Violation> {
        let Unit { begun, what } = chunk;
        let Phase::Live(session) = &mut self.phase else { return Ok(()) };
        if session.closed.is_some() {
            return Err(Violation::new(Invariant::Legal, "a chunk behind the last one".to_owned()));
        }
        if what.is_empty() {
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

    // Time

    /// Whether a deadline of this connection has passed without its being met.
    pub(super) fn check_deadlines(&mut self, at: Moment, hub: &HubModel) -> Result<(), Violation> {
        let now = at.now.instant;
        let (late, slack) = (hub.tolerance(), TICK);
        let blocked = self.blocked;
        let limits = &hub.config.limits;
        let handshake = Duration::from_millis(
            limits.handshake_ms.max(hub.config.http.head_ms).max(hub.config.http.idle_ms),
        );
        let session = match &mut self.phase {
            Phase::Silent if !self.corrupted && self.accepted + handshake + late + slack + LINGER < now => {
                return Err(Violation::new(
                    Invariant::Punctual,
                    "a connection that never asked is still there".to_owned(),
                ));
            }
            Phase::Silent | Phase::Plain => return Ok(()),
            Phase::Asked(session, _) | Phase::Live(session) => session,
        };
        if session.closed.is_some() {
            return Ok(());
        }
        let trusted = session.pass.as_ref().is_none_or(|pass| hub.keys.contains(&pass.key));
        let expired = session
            .pass
            .as_ref()
            .and_then(|pass| pass.deadline_ms)
            .is_some_and(|at_ms| at_ms <= at.now.unix.as_millis());
        if trusted && !expired {
            (self.overdue, self.mute) = (None, None);
        } else {
            let since = *self.overdue.get_or_insert(now);
            if since + Duration::from_secs(1) + late + slack < now {
                self.mute.get_or_insert(at.step);
            }
            let linger = if blocked || !self.idle { LINGER } else { Duration::ZERO };
            if since + Duration::from_secs(1) + late + slack + linger < now {
                let text = format!("a session whose token is void since {since:?} is still there");
                return Err(Violation::new(Invariant::Punctual, text));
            }
        }
        let taken = if self.idle { self.took } else { self.wrote };
        let alive = if session.stream { self.wrote } else { self.heard.max(taken) };
        let timeout = Duration::from_millis(hub.config.heartbeat.timeout_ms);
        // The reader of a stream never sends: only its backlog tells.
        let heard = !self.idle || !session.stream && !self.paused;
        if heard && alive + timeout + late + slack + LINGER < now {
            let text = format!("a peer silent since {alive:?} is still there");
            return Err(Violation::new(Invariant::Alive, text));
        }
        if blocked || !self.idle {
            session.beat = None;
        } else if let Some(last) = session.beat {
            let interval = Duration::from_millis(hub.config.heartbeat.interval_ms);
            if last + interval + late + slack < now {
                let text = format!("no heartbeat came since {last:?}");
                return Err(Violation::new(Invariant::Punctual, text));
            }
        }
        Ok(())
    }
}

fn events_or_all(events: Value) -> Value {
    if events == serde_json::json!([""]) { serde_json::json!(["*"]) } else { events }
}

/// What a request's head asks for.
fn ask(at: Moment, hub: &HubModel, tokens: &Tokens, head: String) -> Phase {
    let stream = head.starts_with("GET /v1/stream");
    let upgrade =
        decode::field(&head, "upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    if !stream && !upgrade {
        return Phase::Plain;
    }
    let pass = decode::token(&head).and_then(|token| tokens.pass(token, &hub.config));
    let pass = pass.filter(|pass| pass.is_current(at.now.unix) && hub.keys.contains(&pass.key));
    Phase::Asked(Box::new(Session::new(stream, pass)), head)
}

/// Whether a token must be taken now.
fn is_good(pass: &super::tokens::Pass, hub: &HubModel, at: Moment) -> bool {
    let revoked = hub.revoked.get(&pass.user);
    pass.is_current(at.now.unix)
        && hub.keys.contains(&pass.key)
        && !hub.distrusted.contains(&pass.key)
        && revoked.is_none_or(|until| pass.issued_s.is_some_and(|issued| until < &issued))
}

fn welcome(session: &mut Session, cx: &Context<'_>, message: &Value) -> Result<(), Violation> {
    let illegal = |text: &str| Err(Violation::new(Invariant::Legal, format!("{text}: {message}")));
    if std::mem::replace(&mut session.welcomed, true) {
        return illegal("a second welcome");
    }
    let Some(pass) = &session.pass else {
        return Err(Violation::new(
            Invariant::Permitted,
            format!("welcomed without a good token: {message}"),
        ));
    };
    let heartbeat = &cx.hub.config.heartbeat;
    let right = message["user"] == *pass.user
        && message["protocol"] == 1
        && message["epoch"] == *cx.truth.life(cx.hub.life).epoch
        && message["heartbeat"]["interval"] == heartbeat.interval_ms
        && message["heartbeat"]["timeout"] == heartbeat.timeout_ms
        && number(message, "offset")? <= cx.hub.end;
    if right { Ok(()) } else { illegal("a wrong welcome") }
}

/// Whether a session was closed with the right code, at the right time.
fn check_close(
    session: &Session,
    cx: &Context<'_>,
    code: u16,
    rogue: bool,
    silent: Duration,
    took: Instant,
) -> Result<(), Violation> {
    let wrong = |invariant, text: String| Err(Violation::new(invariant, format!("Close {code}: {text}")));
    let timeout = Duration::from_millis(cx.hub.config.heartbeat.timeout_ms);
    match code {
        // Which of its tokens is in force cannot be told.
        4401 | 4419 if session.opaque => Ok(()),
        4401 => {
            let good = session.pass.as_ref().is_some_and(|pass| is_good(pass, cx.hub, cx.at));
            if good { wrong(Invariant::Legal, "for a good token".to_owned()) } else { Ok(()) }
        }
        4408 if silent < timeout => wrong(Invariant::Alive, format!("for a peer silent for only {silent:?}")),
        4408 if cx.at.now.instant.since(took) < timeout => {
            wrong(Invariant::Alive, format!("for a peer that takes its backlog, last at {took:?}"))
        }
        4419 => {
            let deadline = session.pass.as_ref().and_then(|pass| pass.deadline_ms);
            if deadline.is_some_and(|deadline| deadline <= cx.at.now.unix.as_millis()) {
                return Ok(());
            }
            wrong(Invariant::Punctual, format!("before {deadline:?}"))
        }
        1012 if !cx.hub.draining => wrong(Invariant::Legal, "of a hub that does not drain".to_owned()),
        1011 => wrong(Invariant::Legal, "a fault of the hub".to_owned()),
        1002 | 1003 | 1007 | 1009 | 4400 if !rogue => {
            wrong(Invariant::Legal, "a peer that keeps to the rules".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether a heartbeat came an interval after the last one.
fn beat(session: &mut Session, cx: &Context<'_>, held: bool) -> Result<(), Violation> {
    let now = cx.at.now.instant;
    let last = std::mem::replace(&mut session.beat, (!held).then_some(now));
    let Some(last) = last.filter(|_| !held) else { return Ok(()) };
    let due = last + Duration::from_millis(cx.hub.config.heartbeat.interval_ms);
    let (late, slack) = (cx.hub.tolerance(), TICK);
    if now + late + slack < due || due + late + slack < now {
        let text = format!("a heartbeat came after that at {last:?}, due at {due:?}");
        return Err(Violation::new(Invariant::Punctual, text));
    }
    Ok(())
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
