//! The simulator: hubs, client machines, publishers and operators over a bad network in one thread under
//! virtual time, with the [model](crate::model) beside them.
//!
//! A [`Scenario`] is data, and [`run`] is a function of it. Faults come first, with safety checked at every
//! step; then they stop, and within a bounded time everyone must have everything.

mod actor;
mod app;
mod draw;
mod engine;
mod generate;
mod host;
mod life;
mod log;
mod minimize;
mod network;
mod operator;
mod outcome;
mod publisher;
mod queue;
mod raw;
mod reader;
mod scenario;
mod scene;
mod tokens;
mod trace;
mod tuning;
mod wishes;

pub use draw::{Draw, Stream};
pub use engine::run;
pub use minimize::minimize;
pub use outcome::{Counts, Outcome};
pub use scenario::{
    Action, Fault, LogProfile, Network, PerFault, PollStyle, Population, Scenario, Settings, Step, Who,
};
pub use trace::Sink;
