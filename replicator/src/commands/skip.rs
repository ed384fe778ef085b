//! `concord skip`: pass over one transaction that cannot be applied.

use std::process::ExitCode;

use super::Outcome;
use super::running::Running;
use crate::cli::SkipArgs;
use crate::config::Config;

/// Passes over it, and says what that came to.
pub(crate) fn skip(args: &SkipArgs, config: &Config) -> Outcome {
    let running = Running::of(config)?;
    let done = running.skip(args.origin, args.sequence, args.gtid.as_deref(), args.suspend)?;
    println!("{}: {done}", config.region.name);
    Ok(ExitCode::SUCCESS)
}
