//! Requests over HTTP.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidings_sim::targets;

fuzz_target!(|bytes: &[u8]| targets::http(bytes));
