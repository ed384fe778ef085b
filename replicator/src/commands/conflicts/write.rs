//! `concord conflicts override`: one ordinary transaction in this region's MySQL.

use std::io::Write;
use std::process::ExitCode;

use applier::journal::Entry;
use mysql_async::prelude::*;
use mysql_async::{Conn, Row};

use super::replace::{Column, Wanted};
use super::{grid, list, replace};
use crate::cli::ConflictsOverrideArgs;
use crate::commands::{CommandError, Outcome};
use crate::config::{Config, connect};

/// What the session needs so that the journal's literals mean here what they meant there.
const SESSION: [&str; 4] = [
    "SET NAMES utf8mb4",
    "SET time_zone = '+00:00'",
    "SET sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'",
    "SET innodb_lock_wait_timeout = 10",
];

/// The row as it is now.
struct Present {
    /// Per column: how it reads (`None`: NULL), and whether it is as the conflict left it (`None`: not to be compared).
    columns: Vec<(Option<String>, Option<bool>)>,
}

/// Writes, or says what it would write.
pub(super) async fn execute(args: &ConflictsOverrideArgs, entry: &Entry, config: &Config) -> Outcome {
    judge(entry, config)?;
    let refused = |e: String| CommandError::Refused(e);
    let address = config.region.mysql.address();
    let (mut conn, _) = connect(&config.region.mysql)
        .await
        .map_err(|e| refused(format!("MySQL at {address}: {e}; is [region.mysql] right?")))?;
    let done = replace_row(&mut conn, args, entry).await;
    // Without a COMMIT before it, this rolls back.
    let _ = conn.disconnect().await;
    done
}

/// What makes an override impossible, whatever the row is.
fn judge(entry: &Entry, config: &Config) -> Result<(), CommandError> {
    let region = config.region.name;
    if !config.own().writes {
        return Err(CommandError::Refused(format!(
            "region {region} has writes = false, and a write there would halt it; give the row its value in a region that writes"
        )));
    }
    if !config.mesh.tables.carries(&entry.schema, &entry.table) {
        return Err(CommandError::Refused(format!(
            "{}.{} is not carried (include and exclude in [mesh]), so the write would stay in {region}; make it with a MySQL client",
            entry.schema, entry.table
        )));
    }
    Ok(())
}

async fn replace_row(conn: &mut Conn, args: &ConflictsOverrideArgs, entry: &Entry) -> Outcome {
    let failed = |e: mysql_async::Error| CommandError::Refused(explained(&e));
    for statement in SESSION {
        conn.query_drop(statement).await.map_err(failed)?;
    }
    let columns = read_columns(conn, entry).await.map_err(failed)?;
    if columns.is_empty() {
        return Err(CommandError::Refused(format!(
            "{}.{} does not exist here, or the account may not see it (`concord grants`)",
            entry.schema, entry.table
        )));
    }
    let wanted = replace::wanted(entry, args.with, &args.set, &columns).map_err(CommandError::Refused)?;
    conn.query_drop("START TRANSACTION").await.map_err(failed)?;
    let row: Option<Row> = conn.query_first(replace::look(entry, &columns)).await.map_err(failed)?;
    let present = row.map(|row| Present::of(row, columns.len())).transpose()?;
    let changed = has_changed(entry, present.as_ref());
    let statement = replace::statement(entry, &wanted, present.is_some());

    let mut out = std::io::stdout().lock();
    say(entry, &columns, present.as_ref(), &wanted, changed, &mut out)
        .map_err(|e| CommandError::Refused(format!("cannot write the answer: {e}; nothing was changed")))?;
    let Some(statement) = statement else {
        println!("There is nothing to do.");
        return Ok(ExitCode::SUCCESS);
    };
    if args.dry_run {
        println!("{statement};\nNothing was written (--dry-run).");
        return Ok(ExitCode::SUCCESS);
    }
    if changed && !args.yes {
        return Err(CommandError::Refused(
            "the row has changed since the conflict, and someone may have mended it already: nothing was written; look at it, \
             then add --yes to write all the same"
                .to_owned(),
        ));
    }
    conn.query_drop(&statement).await.map_err(failed)?;
    let rows = conn.affected_rows();
    conn.query_drop("COMMIT").await.map_err(|e| {
        CommandError::Refused(format!(
            "{}; it is not known whether the row was written: look with --dry-run",
            explained(&e)
        ))
    })?;
    match rows {
        0 => println!("The row was so already; nothing was written."),
        _ => println!("Written: {statement};\nIt goes to the other regions as a write of {}.", entry.region),
    }
    Ok(ExitCode::SUCCESS)
}

async fn read_columns(conn: &mut Conn, entry: &Entry) -> Result<Vec<Column>, mysql_async::Error> {
    let query = "SELECT COLUMN_NAME, LOWER(DATA_TYPE), CHARACTER_SET_NAME, GENERATION_EXPRESSION <> '' \
                 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";
    let rows: Vec<(String, String, Option<String>, Option<bool>)> =
        conn.exec(query, (&entry.schema, &entry.table)).await?;
    Ok(rows
        .into_iter()
        .map(|(name, kind, charset, generated)| Column {
            name,
            kind,
            charset,
            generated: generated.unwrap_or_default(),
        })
        .collect())
}

impl Present {
    fn of(mut row: Row, columns: usize) -> Result<Self, CommandError> {
        let unreadable = |e| {
            CommandError::Refused(format!("the server's answer is not understood: {e:?}; please report this"))
        };
        let mut read = Vec::with_capacity(columns);
        for column in 0..columns {
            let shown: Option<Vec<u8>> = row.take_opt(2 * column).transpose().map_err(unreadable)?.flatten();
            let same: Option<bool> = row.take_opt(2 * column + 1).transpose().map_err(unreadable)?.flatten();
            read.push((shown.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()), same));
        }
        Ok(Self { columns: read })
    }
}

/// Whether the row is no longer as the conflict left it, as far as that can be compared.
fn has_changed(entry: &Entry, present: Option<&Present>) -> bool {
    match (present, &entry.result) {
        (Some(present), Some(_)) => present.columns.iter().any(|(_, same)| *same == Some(false)),
        (present, result) => present.is_some() != result.is_some(),
    }
}

/// The row as the conflict left it, as it is, and as it will be.
fn say(
    entry: &Entry,
    columns: &[Column],
    present: Option<&Present>,
    wanted: &Wanted,
    changed: bool,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    writeln!(out, "{}.{}, {}", entry.schema, entry.table, list::key(entry))?;
    let head = ["COLUMN", "AFTER THE CONFLICT", "NOW", "TO BE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (place, column) in columns.iter().enumerate() {
        let named = |(name, _): &&(String, Option<String>)| *name == column.name;
        let left = entry.result.as_ref().map(|row| row.iter().find(named).map(|(_, value)| value.as_deref()));
        let left = match left {
            None => "no row".to_owned(),
            Some(None) => "-".to_owned(),
            Some(Some(literal)) => grid::shown(literal),
        };
        let now = present.map_or("no row".to_owned(), |row| {
            grid::shown(row.columns.get(place).and_then(|(shown, _)| shown.as_deref()))
        });
        let to_be = match wanted {
            None => "no row".to_owned(),
            Some(values) => match values.iter().find(|(name, _)| *name == column.name) {
                Some((_, literal)) => grid::shown(Some(literal)),
                None if present.is_some() => now.clone(),
                None => "(its default)".to_owned(),
            },
        };
        let is_key = entry.key.iter().any(|(name, _)| *name == column.name);
        if !is_key && !column.generated {
            rows.push(vec![column.name.clone(), left, now, to_be]);
        }
    }
    grid::print(&rows, 2, out)?;
    if changed {
        writeln!(out, "The row has changed since the conflict.")?;
    }
    Ok(())
}

/// The server's words, with what to do.
fn explained(error: &mysql_async::Error) -> String {
    let mysql_async::Error::Server(server) = error else {
        return format!("MySQL: {error}; nothing was written");
    };
    let remedy = match server.code {
        1044 | 1142 | 1143 | 1227 => {
            "the account of [region.mysql] lacks a privilege; `concord grants` prints the statements"
        }
        1062 => {
            "another row has that value: give this one another with --set, or let that row make way first"
        }
        1451 | 1452 => "a foreign key forbids it: see to the parent or child row first",
        1205 | 1213 => "a client holds the row: try again",
        1290 | 1792 | 1836 => "the server takes no writes: is it the primary?",
        _ => "nothing was written",
    };
    format!("MySQL: ERROR {} ({}): {}; {remedy}", server.code, server.state, server.message)
}
