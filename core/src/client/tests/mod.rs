//! The client's rules: singly, against a script of messages; and against a small server with a log, under
//! faults and virtual time.

mod model;
mod rules;
