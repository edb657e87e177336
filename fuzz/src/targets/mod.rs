//! What a fuzzer runs: each target is a function of bytes that panics where a rule is broken.
//!
//! The fuzzer itself is in `fuzz/targets/`, apart from the workspace; what it has found is kept in
//! `fuzz/corpus/`, a folder a target, and replayed by a plain test. Inputs are text where they can be, so that
//! a finding can be read and a seed written by hand.

mod client;
mod connection;
mod filter;
mod http;
mod inputs;
mod shared;
mod token;

pub use client::client;
pub use connection::connection;
pub use filter::filter;
pub use http::http;
pub use inputs::inputs;
pub use token::token;

/// Panics where bytes break a rule.
pub type Target = fn(&[u8]);

/// All targets by the names of their corpora.
pub const ALL: [(&str, Target); 6] = [
    ("connection", connection),
    ("http", http),
    ("token", token),
    ("filter", filter),
    ("inputs", inputs),
    ("client", client),
];
