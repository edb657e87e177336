//! One connection: its bytes both ways, and what they mean.

use std::time::Duration;

use serde_json::Value;
use tidings_core::{Config, Instant, PerLane};

use super::closing::{PeerSeen, check_close};
use super::deadlines::beat;
use super::decode::{self, Frame, Input, Unit};
use super::exchange::Exchange;
use super::hub::HubModel;
use super::ledger::Ledger;
use super::pace::Pace;
use super::replies::check_expiry;
use super::session::{Context, Request, Session, Told, number, offsets};
use super::tokens::Tokens;
use super::truth::Truth;
use super::{HubId, Invariant, Moment, Violation, memory};

/// What a hub knows that hears a peer.
pub(super) struct Hearing<'a> {
    pub(super) at: Moment,
    pub(super) hub: &'a mut HubModel,
    pub(super) tokens: &'a Tokens,
    pub(super) ledger: &'a mut Ledger,
}

/// What a connection speaks.
#[derive(Debug)]
pub(super) enum Phase {
    /// No whole request has come.
    Silent,
    /// A request for a session has come, and its answer has not.
    Asked(Box<Session>, String),
    /// A session.
    Live(Box<Session>),
    /// Requests that begin no session.
    Plain(Exchange),
    /// A session that was corrupted before its request had come: what it is owed nobody knows, what it gets counts.
    Blind,
    /// A session refused, or what cannot be followed.
    Over,
}

/// A connection as the model has it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) hub: HubId,
    /// Its peer breaks rules: closing it for that is right.
    pub(super) rogue: bool,
    pub(super) corrupted: bool,
    pub(super) phase: Phase,
    said: Input,
    told: Input,
    /// The text of a stream of which no whole block has come.
    pub(super) blocks: Vec<u8>,
    /// A message of the client in pieces.
    pieces: Vec<u8>,
    pub(super) accepted: Instant,
    pub(super) heard: Instant,
    /// When it was heard before that.
    heard_before: Instant,
    /// When the kernel last took bytes of what it could not take at once.
    pub(super) took: Instant,
    /// The same, as it was when the hub last began a frame: whatever is said in the next was decided later.
    took_before: Instant,
    /// When it last took any.
    pub(super) wrote: Instant,
    /// The kernel's buffer is full.
    pub(super) blocked: bool,
    /// What was last written had to wait for its turn.
    pub(super) held: bool,
    /// The hub does not read from it.
    pub(super) paused: bool,
    /// The hub had nothing more to say.
    pub(super) idle: bool,
    /// It has said since that it has.
    pub(super) wants: bool,
    /// It was asked for bytes of which nothing was taken: a stream's blocks are encoded, and counted, by that.
    pub(super) polled: bool,
    /// Since when its session must not be any more: its token has expired, or its key is not trusted.
    pub(super) overdue: Option<Instant>,
    /// From which step on no frame of its may begin any more.
    pub(super) mute: Option<u64>,
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
            took_before: now,
            wrote: now,
            blocked: false,
            held: false,
            paused: false,
            idle: true,
            wants: false,
            polled: false,
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
            Phase::Silent | Phase::Plain(_) | Phase::Blind | Phase::Over => None,
        }
    }

    /// From here on its peer's bytes cannot be followed.
    pub(super) fn corrupt(&mut self, hub: &mut HubModel, ledger: &mut Ledger) {
        (self.corrupted, self.rogue, ledger.blind) = (true, true, true);
        match self.session_mut() {
            Some(session) => session.lose_sight(),
            None => hub.blind = true,
        }
    }

    /// The connection is over.
    pub(super) fn end(&mut self, at: Moment, hub: &mut HubModel) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Asked(session, _) | Phase::Live(session) => leave(&session, hub),
            Phase::Plain(exchange) => exchange.end(at, hub),
            Phase::Silent | Phase::Blind | Phase::Over => {}
        }
    }

    /// How much memory it may hold, whose shell reads at most `read` bytes at once.
    pub(super) fn memory_max(&self, config: &Config, read: usize) -> usize {
        let session = memory::of_session(config, read);
        match self.phase {
            Phase::Live(_) | Phase::Blind => session,
            _ => session.max(memory::of_request(config, read)),
        }
    }

    /// The hub had nothing more to say. Says whether it has looked for it: its pace may forbid that.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        (self.idle, self.wants, self.polled) = (true, false, false);
        self.session().is_some_and(|session| session.pace.is_none_or(|pace| pace.allows(now)))
    }

    /// Everything that the hub has said since it had nothing is known: where it does not ask to be polled again, it has
    /// looked at everything.
    pub(super) fn rest(&mut self) {
        let rests = self.idle && !self.wants;
        if let Some(session) = self.session_mut().filter(|_| rests) {
            session.is_idle();
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

    pub(super) fn appended(&mut self, at: Moment, event: &super::truth::Event, queue: usize) {
        if let Phase::Live(session) = &mut self.phase {
            session.appended(at, event, queue);
        }
    }

    /// The kernel's buffer is full, or can take bytes again.
    pub(super) fn block(&mut self, blocked: bool) {
        self.blocked = blocked;
    }

    /// The hub gives up its silent peer. What the peer says until it is told so comes too late.
    pub(super) fn give_up(&mut self, now: Instant) {
        let silent = silence(now, self.heard, self.heard_before);
        let seen = [if self.paused { Duration::ZERO } else { silent }, now.since(self.took)];
        if let Some(session) = self.session_mut() {
            session.given_up = Some(seen);
        }
    }

    /// What a peer says that the hub does not read is not silence.
    pub(super) fn pause(&mut self, now: Instant, paused: bool) {
        (self.paused, self.heard) = (paused, now);
        if self.idle {
            self.heard_before = now;
        }
    }

    // What the client says

    pub(super) fn received(&mut self, cx: &mut Hearing<'_>, bytes: &[u8]) {
        let Moment { now, step } = cx.at;
        if self.heard < now.instant {
            (self.heard_before, self.heard) = (self.heard, now.instant);
        }
        if self.corrupted || matches!(self.phase, Phase::Over) {
            return;
        }
        self.said.push(bytes, step);
        if matches!(self.phase, Phase::Silent) {
            let Some(head) = self.said.next_head() else { return };
            self.phase = ask(cx, head);
            if let Phase::Asked(..) = self.phase {
                let _ = self.said.head(step);
            }
        }
        if let Phase::Plain(exchange) = &mut self.phase {
            while let Some((head, body)) = self.said.whole(step) {
                exchange.ask(cx, &head, &body);
            }
            return;
        }
        while let Some(Unit { what: frame, .. }) = self.said.frame(step) {
            self.client_frame(cx, frame);
        }
    }

    fn client_frame(&mut self, cx: &mut Hearing<'_>, frame: Frame) {
        if frame.opcode == 9 {
            return self.request(cx, serde_json::json!({"type": "ping frame"}));
        }
        if let Some(session) = self.session_mut().filter(|_| frame.opcode == 8) {
            let code = frame.payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
            session.echo = Some(code.unwrap_or(1000));
        }
        if 2 < frame.opcode {
            return;
        }
        self.pieces.extend(frame.payload);
        if frame.fin {
            let text = std::mem::take(&mut self.pieces);
            let message = serde_json::from_slice(&text).unwrap_or(Value::Null);
            self.request(cx, message);
        }
    }

    fn request(&mut self, cx: &mut Hearing<'_>, message: Value) {
        let Hearing { at, hub, tokens, ledger } = cx;
        let pass = message["token"].as_str().and_then(|token| tokens.pass(token, &hub.config));
        let pass = pass.filter(|pass| !hub.is_void(pass));
        let evicted = PerLane::from_fn(|lane| hub.evicted(lane, at.now.instant).1);
        let end = hub.end;
        let Some(session) = self.session_mut() else { return };
        if let Some(user) = session.user.as_ref().filter(|_| message["type"] == "publish") {
            ledger.ask(user, &message["event"], false);
        }
        session.requests.push_back(Request { message, end, evicted, pass });
    }

    // What the hub says

    pub(super) fn wrote(
        &mut self,
        at: Moment,
        (truth, hub, ledger): (&Truth, &mut HubModel, &mut Ledger),
        bytes: &[u8],
    ) -> Result<(), Violation> {
        hub.counts.bytes_sent += bytes.len() as u64;
        // The parts of a Close frame are no sign of life: what it says was decided before.
        let behind = !self.idle && self.wrote < at.now.instant && self.told.rest().first() != Some(&0x88);
        let held = self.blocked || !self.idle;
        if let Some(session) = self.session_mut() {
            session.beat = session.beat.filter(|_| !held);
            if let Some(pace) = &mut session.pace {
                pace.went(at.now.instant, bytes.len());
            }
        }
        self.held = held;
        self.idle = false;
        let goes_on = !self.told.rest().is_empty();
        self.told.push(bytes, at.step);
        let read = self.read(Context { at, truth, hub, ledger });
        self.wrote = at.now.instant;
        if behind {
            self.took = self.wrote;
        }
        if !goes_on || self.told.begins(at.step) {
            self.took_before = self.took;
        }
        read
    }

    fn read(&mut self, mut cx: Context<'_>) -> Result<(), Violation> {
        if let Phase::Asked(..) = self.phase {
            let Some(Unit { what: head, .. }) = self.told.head(cx.at.step) else { return Ok(()) };
            self.answered(&mut cx, &head)?;
        }
        if let Phase::Plain(exchange) = &mut self.phase {
            while let Some((head, body)) = self.told.whole(cx.at.step) {
                exchange.answer(&mut cx, &head, &body)?;
            }
            return Ok(());
        }
        if self.corrupted && matches!(self.phase, Phase::Silent | Phase::Blind) {
            self.count(&mut cx);
            return Ok(());
        }
        if matches!(self.phase, Phase::Silent | Phase::Over) {
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

    /// Counts what goes to a peer that nobody could follow from the beginning.
    fn count(&mut self, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Silent) {
            let Some(Unit { what: head, .. }) = self.told.head(cx.at.step) else { return };
            let stream = decode::field(&head, "content-type") == Some("text/event-stream");
            cx.hub.counts.streams += u64::from(stream);
            self.phase = if status(&head) == "101" { Phase::Blind } else { Phase::Over };
        }
        while matches!(self.phase, Phase::Blind)
            && let Some(Unit { what: frame, .. }) = self.told.frame(cx.at.step)
        {
            if let Ok(told) = serde_json::from_slice::<Told<'_>>(&frame.payload) {
                cx.hub.counts.delivered[told.lane] += 1;
            }
        }
    }

    /// The answer to the request for a session.
    fn answered(&mut self, cx: &mut Context<'_>, head: &str) -> Result<(), Violation> {
        let Phase::Asked(session, request) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return Ok(());
        };
        let status = status(head);
        if status != "101" && !(status == "200" && session.stream) {
            leave(&session, cx.hub);
            let good = session.pass.as_ref().is_some_and(|pass| cx.hub.takes(pass, cx.at));
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
        let Unit { begun, what: Frame { opcode, fin, masked, payload, len } } = frame;
        let illegal = |text: String| Err(Violation::new(Invariant::Legal, text));
        if !fin || masked || !matches!(opcode, 1 | 8 | 9 | 10) {
            return illegal(format!("a frame of opcode {opcode}, final {fin}, masked {masked}"));
        }
        let (rogue, corrupted, heard, took) = (self.rogue, self.corrupted, self.heard, self.took_before);
        let Phase::Live(session) = &mut self.phase else { return Ok(()) };
        if let Some(code) = session.closed {
            return illegal(format!("a frame behind Close {code}"));
        }
        match opcode {
            8 => {
                let code = payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
                leave(session, cx.hub);
                session.closed = Some(code);
                if session.echo == Some(code) {
                    return Ok(());
                }
                let now = cx.at.now.instant;
                let seen = [silence(now, heard, self.heard_before), now.since(took)];
                let [silent, untaken] = session.given_up.unwrap_or(seen);
                return check_close(session, cx, code, PeerSeen { rogue, corrupted, silent, untaken });
            }
            10 => {
                let front = session.requests.front().map(|request| request.message["type"] == "ping frame");
                if front == Some(true) {
                    session.requests.pop_front();
                    session.served += 1;
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
            return session.event(cx, begun, &Told { len, ..told });
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
            Some("reconnect") if cx.hub.draining.is_some() => {
                session.stays = Duration::from_millis(number(&message, "after")?);
                Ok(())
            }
            Some("reconnect") => illegal("`reconnect` of a hub that does not drain".to_owned()),
            _ => session.reply(cx, &message),
        }
    }
}

/// The status of a response, by its head.
fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or("")
}

fn events_or_all(events: Value) -> Value {
    if events == serde_json::json!([""]) { serde_json::json!(["*"]) } else { events }
}

/// What a request's head asks for.
fn ask(cx: &mut Hearing<'_>, head: String) -> Phase {
    let Hearing { at, hub, tokens, .. } = cx;
    let stream = head.starts_with("GET /v1/stream");
    let upgrade =
        decode::field(&head, "upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    if !stream && !upgrade {
        return Phase::Plain(Exchange::default());
    }
    let pass = decode::token(&head).and_then(|token| tokens.pass(token, &hub.config));
    let pass = pass
        .filter(|pass| pass.is_current(at.now.unix) && hub.keys.contains(&pass.key) && !hub.is_void(pass));
    if let Some(pass) = &pass {
        hub.enter(&pass.user, at.now.instant);
    }
    let mut session = Session::new(stream, pass, at.now.instant);
    let pace = decode::parameter(&head, "pace").and_then(|pace| pace.parse().ok());
    session.pace = pace.map(|pace| Pace::new(pace, at.now.instant));
    Phase::Asked(Box::new(session), head)
}

/// A session that is not closed yet is over.
pub(super) fn leave(session: &Session, hub: &mut HubModel) {
    if session.closed.is_none()
        && let Some(user) = &session.user
    {
        hub.leave(user);
    }
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
    check_expiry(pass, message)?;
    session.name = message["connection"].as_str().map(str::to_owned);
    let heartbeat = &cx.hub.config.heartbeat;
    let right = message["user"] == *pass.user
        && message["protocol"] == 1
        && message["epoch"] == *cx.truth.life(cx.hub.life).epoch
        && message["heartbeat"]["interval"] == heartbeat.interval_ms
        && message["heartbeat"]["timeout"] == heartbeat.timeout_ms
        && number(message, "offset")? <= cx.hub.end;
    if right { Ok(()) } else { illegal("a wrong welcome") }
}

/// For how long a peer was silent that is closed. What is heard in that moment may have come after it was decided.
fn silence(now: Instant, heard: Instant, before: Instant) -> Duration {
    now.since(if heard == now { before } else { heard })
}
