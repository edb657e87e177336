//! `tidings schema`: the JSON Schema of all event types, those of the configuration included.

use clap::Args;

use super::{ConfigArgs, Failure, print};
use crate::settings::load;

#[derive(Args, Debug)]
#[command(after_help = "\
The server gives the same at /v1/schema.

Example:
  tidings schema --config tidings.toml > events.schema.json")]
pub(super) struct SchemaArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &SchemaArgs) -> Result<(), Failure> {
    let settings = load(&args.config.sources())?;
    let catalog = settings.config.catalog().map_err(|fault| Failure::Usage(fault.to_string()))?;
    print(&format!("{:#}", catalog.schema()))
}
