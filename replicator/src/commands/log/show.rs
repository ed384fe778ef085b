//! `concord log show`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use log_store::{Log, Store};
use transaction::binlog::{EventError, Item, QueryEvent, RowChange, TableMap, Value, row_values};
use transaction::record::{Body, Record};
use transaction::{Gtid, RecordNumber, RegionName, RepairPlace, Sequence};

use super::failure::{Failure, Stop};
use super::transactions::{Stamps, Written, for_each_change, stamps_of};
use super::{json, open, people, sql};
use crate::cli::LogShowArgs;

/// A form in which a transaction can be said, piece by piece.
pub(super) trait Form {
    /// What stands before the changes.
    fn begin(&mut self, origin: RegionName, stamps: &Stamps, out: &mut dyn Write) -> Written;
    /// One row change.
    fn change(&mut self, change: &Change<'_>, out: &mut dyn Write) -> Written;
    /// One statement, such as DDL.
    fn statement(&mut self, statement: &QueryEvent<'_>, out: &mut dyn Write) -> Written;
    /// What stands after the changes.
    fn end(&mut self, out: &mut dyn Write) -> Written;
}

/// One row change, decoded.
pub(super) struct Change<'a> {
    pub(super) table: &'a TableMap,
    /// Flags of the rows event: 0x2 no foreign-key checks, 0x4 no unique checks.
    pub(super) flags: u16,
    /// Place in the transaction, from 0.
    pub(super) index: u32,
    /// The row before; `None` for an insert.
    pub(super) before: Option<Vec<Value>>,
    /// The row after; `None` for a delete.
    pub(super) after: Option<Vec<Value>>,
    /// For each column, whether its bytes differ before and after.
    pub(super) changed: Vec<bool>,
    /// Of a repair, where it stands in its row's history.
    pub(super) repair: Option<RepairPlace>,
}

impl<'a> Change<'a> {
    fn decode(
        table: &'a TableMap,
        flags: u16,
        index: u32,
        change: RowChange<'_>,
    ) -> Result<Self, EventError> {
        let raw =
            |image: Option<&'_ [u8]>| image.map(|image| row_values(table, image).map(owned)).transpose();
        let (before, after) = (raw(change.before)?, raw(change.after)?);
        let changed = match (&before, &after) {
            (Some(before), Some(after)) => before.iter().zip(after).map(|(old, new)| old != new).collect(),
            _ => vec![true; table.columns.len()],
        };
        let values = |row: Option<Vec<Option<Vec<u8>>>>| {
            let decoded = |row: Vec<Option<Vec<u8>>>| {
                table
                    .columns
                    .iter()
                    .zip(row)
                    .map(|(column, bytes)| Value::decode(column, bytes.as_deref()))
                    .collect()
            };
            row.map(decoded).transpose()
        };
        let (before, after) = (values(before)?, values(after)?);
        Ok(Self { table, flags, index, before, after, changed, repair: None })
    }
}

fn owned(row: Vec<Option<&[u8]>>) -> Vec<Option<Vec<u8>>> {
    row.into_iter().map(|bytes| bytes.map(<[u8]>::to_vec)).collect()
}

/// Shows one transaction.
pub(super) fn show(
    store: &Store,
    args: &LogShowArgs,
    terminal: bool,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let (log, stamps) = match (args.sequence, &args.gtid) {
        (Some(sequence), _) => by_sequence(open(store, args.origin)?, Sequence(sequence))?,
        (None, Some(gtid)) => by_gtid(store, args.origin, gtid)?,
        (None, None) => {
            return Err(Failure::Argument("name a transaction by sequence number or --gtid".to_owned()));
        }
    };
    if stamps.first_record() < log.first() {
        return Err(Failure::NotFound(format!(
            "the first records of transaction {} are no longer held; a peer may still have them",
            stamps.sequence
        )));
    }
    let color = terminal && std::env::var_os("NO_COLOR").is_none();
    let mut form: Box<dyn Form> = match (args.sql, args.json) {
        (true, _) => Box::new(sql::Sql::default()),
        (_, true) => Box::new(json::Json::default()),
        _ => Box::new(people::People::new(color)),
    };
    form.begin(log.origin(), &stamps, out).map_err(Failure::Output)?;
    for_each_change(&log, &stamps, &mut |item| {
        match item {
            Item::Begin(_) => {}
            Item::Change { table, flags, index, change, .. } => {
                let repair = stamps.repairs.get(index as usize).copied();
                form.change(&Change { repair, ..Change::decode(table, flags, index, change)? }, out)?;
            }
            Item::Statement { query: statement, .. } => form.statement(&statement, out)?,
        }
        Ok::<(), Stop>(())
    })?;
    form.end(out).map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

fn by_sequence(log: Arc<Log>, sequence: Sequence) -> Result<(Arc<Log>, Stamps), Failure> {
    match stamps_of(&log, sequence)? {
        Some(stamps) => Ok((log, stamps)),
        None => {
            let held = log.segments().iter().find_map(|segment| segment.sequences).map(|(first, _)| first);
            let held = held.map_or("it holds no transaction".to_owned(), |first| {
                format!("it holds {first} to {}", log.tail().last_sequence)
            });
            Err(Failure::NotFound(format!(
                "no transaction {sequence} in the log of {}: {held}",
                log.origin()
            )))
        }
    }
}

/// There is no index by GTID, so the logs are read from their beginning, the region's own first.
fn by_gtid(store: &Store, origin: Option<RegionName>, text: &str) -> Result<(Arc<Log>, Stamps), Failure> {
    let gtid: Gtid = text.parse().map_err(|e| {
        Failure::Argument(format!("{e}; write it as 3e11fa47-71ca-11e1-9e33-c80aa9429562:23, with a tag before the number if it has one"))
    })?;
    let mut logs = vec![open(store, origin)?];
    if origin.is_none() {
        let own = logs[0].origin();
        for other in store.origins()?.into_iter().filter(|other| *other != own) {
            logs.push(store.log(other)?);
        }
    }
    for log in &logs {
        let mut reader = log.read_from(RecordNumber(0))?;
        while let Some(raw) = reader.next_record()? {
            let record = Record::decode(raw.bytes)?;
            let found = match &record.body {
                Body::Transaction(body) | Body::Repair { transaction: body, .. } => body.gtid == gtid,
                Body::Prepare { gtid: prepared, .. } => *prepared == gtid,
                _ => false,
            };
            if let (true, Some(stamps)) = (found, Stamps::of(&record)) {
                return Ok((log.clone(), stamps));
            }
        }
    }
    let searched: Vec<String> = logs.iter().map(|log| log.origin().to_string()).collect();
    Err(Failure::NotFound(format!(
        "no transaction with GTID {gtid} in the log of {}; applied work keeps its number only in its origin's log, and \
         retention may have removed it",
        searched.join(", ")
    )))
}
