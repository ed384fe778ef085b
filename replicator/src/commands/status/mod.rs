//! `concord status`: how far each origin has come here, for people, or as JSON.

mod table;

use std::process::ExitCode;

use super::running::Running;
use super::{CommandError, Outcome};
use crate::cli::StatusArgs;
use crate::config::Config;

/// Asks the running region and prints what it says.
pub(crate) fn execute(args: &StatusArgs, config: &Config) -> Outcome {
    let status = Running::of(config)?.status()?;
    if args.json {
        let text = serde_json::to_string_pretty(&status).map_err(|error| {
            CommandError::Refused(format!("the status cannot be written as JSON: {error}"))
        })?;
        println!("{text}");
    } else {
        print!("{}", table::render(&status));
    }
    Ok(ExitCode::SUCCESS)
}
