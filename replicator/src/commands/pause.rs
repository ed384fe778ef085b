//! `concord pause` and `concord resume`: stop applying, and go on. The logs go on being received meanwhile.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use transaction::RegionName;

use super::running::Running;
use super::{CommandError, Outcome};
use crate::cli::{PauseArgs, ResumeArgs};
use crate::config::Config;
use crate::status::Status;

/// How long a table may take to be suspended, which waits for the transaction that is being applied, and how long to catch up
/// without any progress.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the region is asked.
const PERIOD: Duration = Duration::from_millis(100);

/// Stops the application of one origin or all, or of one table.
pub(crate) fn pause(args: &PauseArgs, config: &Config) -> Outcome {
    let running = Running::of(config)?;
    if let Some(table) = &args.table {
        running.wish_for_table("/v1/tables/suspend", table, None)?;
        wait(&running, table, true)?;
        println!(
            "{} no longer applies {table}, until `concord resume --table {table}`; its writes are held back in the logs",
            config.region.name
        );
        return Ok(ExitCode::SUCCESS);
    }
    of_origins(&running, args.origin, true, config)
}

/// Goes on.
pub(crate) fn resume(args: &ResumeArgs, config: &Config) -> Outcome {
    let running = Running::of(config)?;
    if let Some(table) = &args.table {
        if find(&running.status()?, table).is_none() {
            return Err(CommandError::Refused(format!("{table} is not suspended in {}", config.region.name)));
        }
        running.wish_for_table("/v1/tables/resume", table, args.decide.as_deref())?;
        wait(&running, table, false)?;
        println!("{} applies {table} again; what was held back is applied", config.region.name);
        return Ok(ExitCode::SUCCESS);
    }
    of_origins(&running, args.origin, false, config)
}

fn of_origins(running: &Running, origin: Option<RegionName>, paused: bool, config: &Config) -> Outcome {
    let path = if paused { "/v1/pause" } else { "/v1/resume" };
    let region = config.region.name;
    for origin in running.wish(path, origin)? {
        if paused {
            println!("{region} no longer applies {origin}, until `concord resume` or a restart");
        } else {
            println!("{region} applies {origin}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How far a suspended table is, in all; `None` if it is not suspended.
fn find(status: &Status, table: &str) -> Option<u64> {
    let found = status.suspended_tables.iter().find(|suspended| suspended.table == table)?;
    Some(found.applied.values().map(|sequence| sequence.0).sum())
}

/// Waits until the table is suspended, or is no longer.
fn wait(running: &Running, table: &str, suspended: bool) -> Result<(), CommandError> {
    let (mut since, mut reached) = (Instant::now(), None);
    loop {
        let status = running.status()?;
        let found = find(&status, table);
        if found.is_some() == suspended {
            return Ok(());
        }
        if found != reached {
            (since, reached) = (Instant::now(), found);
        }
        if since.elapsed() > PATIENCE {
            let what = if suspended { "is not suspended yet" } else { "is still suspended" };
            return Err(CommandError::Refused(format!(
                "{table} {what} after {} s: see `concord status` and the process's log for the reason. A row that policy halt \
                 left open needs --decide",
                PATIENCE.as_secs()
            )));
        }
        std::thread::sleep(PERIOD);
    }
}
