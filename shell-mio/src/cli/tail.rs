//! `tidings tail`
use super::Failure;
use clap::Args;
#[derive(Args, Debug)]
pub(super) struct TailArgs {}
pub(super) fn run(_: &TailArgs) -> Result<(), Failure> {
    Ok(())
}
