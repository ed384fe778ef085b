//! `concord log`: the transaction log as people read it.
//!
//! **What it is.** A look at the data folder, without a lock and without MySQL, so it works beside `concord run` and
//! when nothing else does. Output streams: a transaction of any size is shown in bounded memory.
//!
//! **What it is not.** It changes nothing, but for `repair`, which takes the lock. What it cannot decode it says so and ends with 1; it leaves nothing out
//! silently, but for position records, which `list` passes over (they carry no change).
//!
//! **Where to start.** `list.rs`, `show.rs`, `verify.rs` and `repair.rs` are the commands; `transactions.rs` reads records and
//! chains of chunks for them; `people.rs`, `sql.rs` and `json.rs` are the forms in which `show` can say a transaction.

mod failure;
mod json;
mod list;
mod people;
mod repair;
mod show;
mod sql;
pub(crate) mod time;
mod transactions;
mod verify;

use std::io::{BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use log_store::{Log, Store};
use transaction::RegionName;

use failure::Failure;

use super::{CommandError, Outcome};
use crate::cli::LogCommand;
use crate::config::Config;

/// Answers `concord log …`.
pub(crate) fn execute(command: &LogCommand, config: &Config) -> Outcome {
    match command {
        LogCommand::List(args) => look(config, |store, out, _| list::list(store, args, out)),
        LogCommand::Show(args) => look(config, |store, out, terminal| show::show(store, args, terminal, out)),
        LogCommand::Verify(args) => look(config, |store, out, _| verify::verify(store, args.origin, out)),
        LogCommand::Repair(args) => super::block_on(repair::execute(args, config)),
    }
}

/// Answers from the data folder as it is; `answer` is told whether a terminal reads it.
fn look(
    config: &Config,
    answer: impl FnOnce(&Store, &mut dyn Write, bool) -> Result<ExitCode, Failure>,
) -> Outcome {
    let stdout = std::io::stdout().lock();
    let terminal = stdout.is_terminal();
    let mut out = BufWriter::with_capacity(1 << 16, stdout);
    let answer = || -> Result<ExitCode, Failure> {
        let dir = &config.region.data_dir;
        if !dir.exists() {
            return Err(Failure::NoData { dir: dir.clone() });
        }
        let store = Store::open_read_only(dir)?;
        let code = answer(&store, &mut out, terminal)?;
        out.flush().map_err(Failure::Output)?;
        Ok(code)
    };
    match run(answer) {
        Ok(code) => Ok(code),
        Err(failure) => Err(CommandError::Refused(failure.to_string())),
    }
}

/// A reader who has seen enough (`concord log list | head`) is no failure.
fn run(answer: impl FnOnce() -> Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
    match answer() {
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        other => other,
    }
}

/// The log asked for: by default the region's own.
fn open(store: &Store, origin: Option<RegionName>) -> Result<Arc<Log>, Failure> {
    let origin = origin.unwrap_or(store.identity().region);
    let held = store.origins()?;
    if !held.contains(&origin) {
        let held: Vec<&str> = held.iter().map(RegionName::as_str).collect();
        return Err(Failure::NoLog { dir: store.dir().to_owned(), origin, held: held.join(", ") });
    }
    Ok(store.log(origin)?)
}

#[cfg(test)]
mod tests;
