//! `concord pause` and `concord resume`: stop applying, and go on. The logs go on being received meanwhile.

use std::process::ExitCode;

use super::Outcome;
use super::running::Running;
use crate::cli::OriginArgs;
use crate::config::Config;

/// Pauses, or with `paused` false resumes, the application of one origin or all.
pub(crate) fn execute(args: &OriginArgs, paused: bool, config: &Config) -> Outcome {
    let running = Running::of(config)?;
    let path = if paused { "/v1/pause" } else { "/v1/resume" };
    let origins = running.wish(path, args.origin)?;
    let region = config.region.name;
    for origin in origins {
        if paused {
            println!("{region} no longer applies {origin}, until `concord resume` or a restart");
        } else {
            println!("{region} applies {origin}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
