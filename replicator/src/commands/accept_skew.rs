//! `concord accept-skew`: do not wait for a clock that was ahead.

use std::process::ExitCode;

use super::Outcome;
use super::running::Running;
use crate::cli::AcceptSkewArgs;
use crate::config::Config;

/// Has the stamps applied, and says what that means.
pub(crate) fn execute(args: &AcceptSkewArgs, config: &Config) -> Outcome {
    let done = Running::of(config)?.accept_skew(args.origin)?;
    println!("{}: {done}", config.region.name);
    Ok(ExitCode::SUCCESS)
}
