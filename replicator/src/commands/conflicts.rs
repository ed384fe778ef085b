//! `concord conflicts`: the conflict journal as people read it, and the way to decide otherwise.
//!
//! **What it is.** `list` and `show` look at the data folder, without a lock and without MySQL, so they work beside
//! `concord run` and when nothing else does. `override` looks there too, and then writes to this region's MySQL as any client
//! would: one transaction, which the extractor reads and the other regions receive.
//!
//! **What it is not.** It writes nothing to the journal, to schema `concord` or to the logs. It knows only what *this*
//! region found.
//!
//! **Where to start.** `list.rs` and `show.rs`; `why.rs` has the sentences that explain a decision. `replace.rs` decides what
//! an override writes, `write.rs` does it.

mod grid;
mod list;
mod replace;
mod show;
mod why;
mod write;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use applier::journal::Entry;
use log_store::Store;

use super::{CommandError, Outcome};
use crate::cli::ConflictsCommand;
use crate::config::Config;
use crate::conflicts::{LookError, find};

/// Answers `concord conflicts …`.
pub(crate) fn execute(command: &ConflictsCommand, config: &Config) -> Outcome {
    let dir = &config.region.data_dir;
    if !dir.exists() {
        return Err(CommandError::Refused(format!(
            "{} does not exist: nothing has run here yet, or region.data_dir names another folder than `concord run` uses",
            dir.display()
        )));
    }
    let store = Store::open_read_only(dir).map_err(|e| CommandError::Refused(e.to_string()))?;
    if let ConflictsCommand::Override(args) = command {
        let entry = entry(&store, &args.id)?;
        return super::block_on(write::execute(args, &entry, config));
    }
    let mut out = BufWriter::new(io::stdout().lock());
    answer(command, &store, &mut out)
}

/// What `list` and `show` print.
fn answer(command: &ConflictsCommand, store: &Store, out: &mut dyn Write) -> Outcome {
    let (written, code) = match command {
        ConflictsCommand::List(args) => list::list(store, args, out)?,
        ConflictsCommand::Show(args) => (show::show(&entry(store, &args.id)?, args, out), ExitCode::SUCCESS),
        ConflictsCommand::Override(_) => (Ok(()), ExitCode::SUCCESS),
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(code),
        // A reader who has seen enough (`concord conflicts list | head`) is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(CommandError::Refused(format!("cannot write the answer: {error}"))),
    }
}

fn entry(store: &Store, id: &str) -> Result<Entry, CommandError> {
    let found = store.read_journal().map_err(LookError::from).and_then(|reader| find(reader, id));
    found.map_err(|e| CommandError::Refused(e.to_string()))
}

#[cfg(test)]
mod tests;
