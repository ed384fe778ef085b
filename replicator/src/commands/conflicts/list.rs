//! `concord conflicts list`.

use std::io::{self, Write};
use std::process::ExitCode;

use applier::journal::Entry;
use log_store::Store;
use transaction::binlog::utc_text;

use super::grid;
use crate::cli::ConflictsListArgs;
use crate::commands::CommandError;
use crate::commands::log::time;
use crate::conflicts::{self, Filter};

/// How many digits of an id a line has.
const ID_DIGITS: usize = 12;

/// Prints a line per conflict, oldest first; ends with 1 if some could not be read.
pub(super) fn list(
    store: &Store,
    args: &ConflictsListArgs,
    out: &mut dyn Write,
) -> Result<(io::Result<()>, ExitCode), CommandError> {
    let refused = |e: &dyn std::fmt::Display| CommandError::Refused(e.to_string());
    let filter = Filter {
        table: args.table.clone(),
        kind: args.kind,
        since_us: args.since.as_deref().map(time::parse).transpose().map_err(|e| refused(&e))?,
        until_us: args.until.as_deref().map(time::parse).transpose().map_err(|e| refused(&e))?,
        region: args.region,
        limit: args.limit,
    };
    let reader = store.read_journal().map_err(|e| refused(&e))?;
    let (entries, trouble) = conflicts::list(reader, &filter);
    let written = if args.json { lines(&entries, out) } else { table(&entries, out) };
    match trouble {
        None => Ok((written, ExitCode::SUCCESS)),
        Some(trouble) => {
            let flushed = written.and_then(|()| out.flush());
            flushed.map_err(|e| refused(&format!("cannot write the answer: {e}")))?;
            Err(refused(&format!("there may be more conflicts: {trouble}")))
        }
    }
}

fn lines(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    for entry in entries {
        serde_json::to_writer(&mut *out, entry)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn table(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let head = ["ID", "FOUND (UTC)", "TABLE", "KEY", "KIND", "ARRIVED FROM", "MET ONE OF", "WINNER", "RULE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(row));
    grid::print(&rows, 0, out)
}

fn row(entry: &Entry) -> Vec<String> {
    let winner = match entry.detect_only {
        true => "(only detected)".to_owned(),
        false => entry.winner.to_string(),
    };
    vec![
        entry.id.get(..ID_DIGITS).unwrap_or(&entry.id).to_owned(),
        utc_text(entry.found_us),
        format!("{}.{}", entry.schema, entry.table),
        key(entry),
        entry.kind.to_string(),
        entry.incoming.origin.to_string(),
        entry.existing.origin.to_string(),
        winner,
        entry.policy.clone(),
    ]
}

/// The primary key in a few characters.
pub(super) fn key(entry: &Entry) -> String {
    let part = |(column, literal): &(String, String)| format!("{column} = {}", grid::shown(Some(literal)));
    entry.key.iter().map(part).collect::<Vec<_>>().join(", ")
}
