//! A run as data: its settings, and everything that somebody does in it, each with its time.
//!
//! What a step does in detail is drawn from a stream named by the step's own key, so that a scenario without
//! some of its steps is still the same scenario for all others.

use std::fmt;
use std::time::Duration;

use tidings_core::Config;

use super::draw::Draw;
use super::generate::{self, Scale};

/// A kind of fault: each has a rate of its own and is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Bytes are split and joined on their way.
    Split,
    /// The kernel takes a part of what is written.
    PartialWrite,
    /// A reader takes nothing for a while, or for ever.
    Stall,
    /// The network goes silent in both directions.
    Silence,
    /// A connection is reset, at any byte.
    Reset,
    /// A peer sends nothing more, but still reads.
    HalfClose,
    /// A connection waits to be accepted.
    SlowAccept,
    /// Nobody answers an opening connection.
    ConnectFailure,
    /// Everyone's connection is reset at once.
    Storm,
    /// A hub dies and comes back with its history.
    Restart,
    /// All hubs come back without history, under a new epoch.
    NewEpoch,
    /// A hub is told to drain, or to stop.
    Drain,
    /// A hub's wall clock jumps.
    ClockJump,
    /// A hub's wall clock stands still.
    ClockStop,
    /// The shell calls its timers late.
    LateTimer,
    /// A token comes late.
    TokenLate,
    /// A token cannot be had, or there is none.
    TokenFailure,
    /// A token soon expires.
    TokenShort,
    /// A token with another grant.
    GrantChange,
    /// Hubs trust other keys.
    KeysReplaced,
    /// Something is published again under its id.
    Repeat,
    /// An id is published again with other content.
    Conflict,
    /// A batch with an event that is none.
    BadBatch,
    /// The log takes its time.
    AppendDelay,
    /// The log orders what it takes as it likes.
    AppendReorder,
    /// The log takes nothing.
    AppendFailure,
    /// A hub hears of what the log has taken later than others, and perhaps later than it answers for it.
    LogLag,
    /// A limit is hit on purpose.
    Limits,
    /// Frames or JSON are corrupted.
    Corruption,
    /// An operator disconnects users, or revokes their tokens.
    Disconnect,
    /// An application goes offline and comes back.
    Offline,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 31] = [
        Self::Split,
        Self::PartialWrite,
        Self::Stall,
        Self::Silence,
        Self::Reset,
        Self::HalfClose,
        Self::SlowAccept,
        Self::ConnectFailure,
        Self::Storm,
        Self::Restart,
        Self::NewEpoch,
        Self::Drain,
        Self::ClockJump,
        Self::ClockStop,
        Self::LateTimer,
        Self::TokenLate,
        Self::TokenFailure,
        Self::TokenShort,
        Self::GrantChange,
        Self::KeysReplaced,
        Self::Repeat,
        Self::Conflict,
        Self::BadBatch,
        Self::AppendDelay,
        Self::AppendReorder,
        Self::AppendFailure,
        Self::LogLag,
        Self::Limits,
        Self::Corruption,
        Self::Disconnect,
        Self::Offline,
    ];
}

/// A number for each kind of fault.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PerFault<T>(pub(crate) [T; Fault::ALL.len()]);

impl<T: Default + Copy> Default for PerFault<T> {
    fn default() -> Self {
        Self([T::default(); Fault::ALL.len()])
    }
}

impl<T: Copy> PerFault<T> {
    /// That of one kind.
    pub const fn of(&self, fault: Fault) -> T {
        self.0[fault as usize]
    }

    /// That of one kind, to change.
    pub const fn of_mut(&mut self, fault: Fault) -> &mut T {
        &mut self.0[fault as usize]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Fault, T)> {
        Fault::ALL.into_iter().zip(self.0)
    }
}

impl<T: Copy + Default + PartialEq + fmt::Debug> fmt::Debug for PerFault<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().filter(|(_, value)| *value != T::default())).finish()
    }
}

/// How many of each take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Population {
    /// Applications on the client machine.
    pub apps: u16,
    /// Readers of Server-Sent Events.
    pub readers: u16,
    /// Back ends that publish over HTTP.
    pub publishers: u16,
    /// Peers that speak the protocol by hand, and not always well.
    pub raws: u16,
}

/// How the network behaves where no fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The shortest way, in microseconds.
    pub latency_min: u64,
    /// The longest way, in microseconds.
    pub latency_max: u64,
    /// Bytes that arrive together at most; few of them are a slow way down.
    pub chunk: usize,
    /// Bytes that the kernel holds for a peer that does not read.
    pub send_buffer: usize,
}

/// In which order and how often the shell asks; any is legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollStyle {
    /// Connections are served in a drawn order.
    pub permute: bool,
    /// Outputs are taken once a turn instead of after each input.
    pub batch: bool,
    /// The shell believes what a commit says instead of polling until there is nothing.
    pub trust_commit: bool,
    /// Of a thousand inputs so many are followed by a poll that is dropped.
    pub idle_polls: u32,
    /// Of a thousand inputs so many are followed by a timeout that nobody asked for.
    pub idle_timeouts: u32,
    /// Bytes asked for at once, each time one of these.
    pub budgets: Vec<usize>,
    /// The longest that a turn waits for more, in microseconds.
    pub turn_delay: u64,
}

/// How the log behaves where no fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogProfile {
    /// The widest hole between two offsets.
    pub hole_max: u64,
    /// Events that a hub finds when it starts over.
    pub retained: usize,
    /// The longest until an append is taken, in microseconds.
    pub delay_max: u64,
}

/// Everything about a run that holds for the whole of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configuration of every hub.
    pub config: Config,
    /// Hubs over one log.
    pub hubs: u16,
    /// Users; several connections may be of one.
    pub users: u16,
    /// Who takes part.
    pub population: Population,
    /// How often which fault strikes, of a thousand occasions.
    pub faults: PerFault<u32>,
    /// The network.
    pub network: Network,
    /// The shell.
    pub poll: PollStyle,
    /// The log.
    pub log: LogProfile,
    /// Which kinds of events are published, as bits.
    pub mix: u16,
    /// Subscriptions have filters, in so many of a thousand cases.
    pub filters: u32,
    /// The largest padding of an event, in bytes.
    pub padding: usize,
    /// When the faults stop.
    pub length: Duration,
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// An application.
    App(u16),
    /// A reader of Server-Sent Events.
    Reader(u16),
    /// A publisher over HTTP.
    Publisher(u16),
    /// A peer that speaks by hand.
    Raw(u16),
    /// The operator.
    Operator,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An application begins.
    Start(u16),
    /// An application ends.
    Stop(u16),
    /// An application subscribes.
    Subscribe(u16),
    /// An application ends one of its subscriptions.
    Unsubscribe(u16),
    /// An application publishes over its connection.
    PublishFrom(u16),
    /// An application loses its network for so many milliseconds.
    Offline(u16, u32),
    /// An application's page becomes visible.
    Visible(u16),
    /// An application gets another token, with another grant.
    Regrant(u16),
    /// A reader begins anew.
    Read(u16),
    /// A publisher publishes.
    Publish(u16),
    /// A publisher repeats something.
    Repeat(u16),
    /// A publisher gives an id to something else.
    Conflict(u16),
    /// A publisher sends a batch with a fault.
    BadBatch(u16),
    /// A peer says something by hand.
    Speak(u16),
    /// A peer does what it must not.
    Misbehave(u16),
    /// A peer floods the server.
    Flood(u16),
    /// The operator asks for something.
    Operate,
    /// The operator disconnects somebody.
    Disconnect,
    /// A reader takes nothing for so many milliseconds; for ever where there is no number.
    Stall(Who, Option<u32>),
    /// Nothing passes in either direction.
    Silence(Who),
    /// A connection breaks once so many more bytes have been received.
    Reset(Who, u32),
    /// A peer sends nothing more.
    HalfClose(Who),
    /// The next frame of an application is corrupted.
    Corrupt(u16),
    /// All connections break.
    Storm,
    /// A hub dies, with or without its last words, and comes back after so many milliseconds.
    Crash(u16, bool, u32),
    /// All hubs die, and come back without history.
    Forget,
    /// A hub is told to drain.
    Drain(u16),
    /// A hub is told to stop.
    Halt(u16),
    /// A hub's wall clock jumps by so many milliseconds.
    ClockJump(u16, i64),
    /// A hub's wall clock stands still for so many milliseconds.
    ClockStop(u16, u32),
    /// All hubs trust these keys, as bits.
    Keys(u8),
    /// The log takes nothing for so many milliseconds.
    LogDown(u32),
    /// A hub's shell is late by up to so many milliseconds from here on.
    Lateness(u16, u32),
    /// A hub hears of what the log takes so many milliseconds later from here on.
    Lag(u16, u32),
}

impl Action {
    /// The fault that it is, where it is one.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        Some(match self {
            Self::Offline(..) => Fault::Offline,
            Self::Regrant(_) => Fault::GrantChange,
            Self::Repeat(_) => Fault::Repeat,
            Self::Conflict(_) => Fault::Conflict,
            Self::BadBatch(_) => Fault::BadBatch,
            Self::Misbehave(_) | Self::Corrupt(_) => Fault::Corruption,
            Self::Flood(_) => Fault::Limits,
            Self::Disconnect => Fault::Disconnect,
            Self::Stall(..) => Fault::Stall,
            Self::Silence(_) => Fault::Silence,
            Self::Reset(..) => Fault::Reset,
            Self::HalfClose(_) => Fault::HalfClose,
            Self::Storm => Fault::Storm,
            Self::Crash(..) => Fault::Restart,
            Self::Forget => Fault::NewEpoch,
            Self::Drain(_) | Self::Halt(_) => Fault::Drain,
            Self::ClockJump(..) => Fault::ClockJump,
            Self::ClockStop(..) => Fault::ClockStop,
            Self::Keys(_) => Fault::KeysReplaced,
            Self::LogDown(_) => Fault::AppendFailure,
            Self::Lateness(..) => Fault::LateTimer,
            Self::Lag(..) => Fault::LogLag,
            _ => return None,
        })
    }

    /// Who does it, or whom it is done to.
    #[must_use]
    pub const fn who(&self) -> Option<Who> {
        Some(match *self {
            Self::Start(app)
            | Self::Stop(app)
            | Self::Subscribe(app)
            | Self::Unsubscribe(app)
            | Self::PublishFrom(app)
            | Self::Offline(app, _)
            | Self::Visible(app)
            | Self::Regrant(app)
            | Self::Corrupt(app) => Who::App(app),
            Self::Read(reader) => Who::Reader(reader),
            Self::Publish(publisher)
            | Self::Repeat(publisher)
            | Self::Conflict(publisher)
            | Self::BadBatch(publisher) => Who::Publisher(publisher),
            Self::Speak(raw) | Self::Misbehave(raw) | Self::Flood(raw) => Who::Raw(raw),
            Self::Stall(who, _) | Self::Silence(who) | Self::Reset(who, _) | Self::HalfClose(who) => who,
            Self::Operate | Self::Disconnect => Who::Operator,
            _ => return None,
        })
    }
}

/// Something that is done at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Microseconds after the beginning.
    pub at: u64,
    /// Names the stream that its details come from, and what it publishes.
    pub key: u32,
    /// What.
    pub action: Action,
}

/// A run as data.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides what neither the settings nor the steps say.
    pub seed: u64,
    /// What holds for the whole run.
    pub settings: Settings,
    /// What is done, in the order of time.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// The scenario of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        generate::scenario(seed, &mut Draw::new(seed, super::draw::Stream::Scenario, 0), Scale::Any)
    }

    /// The scenario of a seed, stretched to so many hours.
    #[must_use]
    pub fn of_hours(seed: u64, hours: u32) -> Self {
        let length = Duration::from_secs(u64::from(hours) * 3600);
        generate::scenario(seed, &mut Draw::new(seed, super::draw::Stream::Scenario, 0), Scale::Long(length))
    }

    /// The scenario that the generator makes when these bytes are its choices: a small one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut draw = Draw::tape(bytes);
        let seed = draw.number();
        generate::scenario(seed, &mut draw, Scale::Small)
    }
}
