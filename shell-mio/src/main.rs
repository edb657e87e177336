//! The command line of Tidings.
mod settings;
fn main() {}
