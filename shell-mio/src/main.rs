//! The command line of Tidings.
fn main() {}
