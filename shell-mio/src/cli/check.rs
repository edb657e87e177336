//! `tidings check`: every fault of the configuration with its place, or what is in force.

use clap::Args;

use super::{ConfigArgs, Failure, print};
use crate::settings::{load, warnings};

#[derive(Args, Debug)]
#[command(after_help = "\
Prints `ok` and every setting that differs from its default with its place, secrets hidden; or every \
fault. Exit code 2 where there is a fault.

Example:
  tidings check --config tidings.toml")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let settings = match load(&args.config.sources()) {
        Ok(settings) => settings,
        Err(faults) => {
            for fault in &faults {
                print(&fault.to_string())?;
            }
            let count = faults.len();
            let noun = if count == 1 { "fault" } else { "faults" };
            return Err(Failure::Usage(format!("{count} {noun} in the configuration")));
        }
    };
    print("ok")?;
    let changed = settings.changed();
    let width =
        changed.iter().map(|(name, value, _)| name.len() + value.to_string().len()).max().unwrap_or(0);
    for (name, value, place) in &changed {
        let padding = width.min(60).saturating_sub(name.len() + value.to_string().len());
        print(&format!("{name} = {value}{:padding$}  # {place}", ""))?;
    }
    for warning in warnings(&settings) {
        print(&format!("warning: {warning}"))?;
    }
    Ok(())
}
