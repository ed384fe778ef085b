//! What the applier needs of the transaction logs, as traits that the replicator fulfils.

use std::sync::Arc;

use transaction::binlog::{Item, TableMap, Tables, View, for_each_item};
use transaction::key::KeyError;
use transaction::record::{Body, Record};
use transaction::{Halt, KeyHash, RecordNumber, RegionName, Sequence, Weights, WriteId, key_of};

use crate::code;

/// The logs of all origins that this region holds.
pub trait Logs: Send + Sync {
    /// Reads the log of `origin` from record `from` on.
    fn reader(&self, origin: RegionName, from: RecordNumber) -> Result<Box<dyn RecordReader>, Halt>;
    /// How rows in the log of `origin` are seen here; `None`: as they are.
    fn view(&self, _origin: RegionName) -> Option<Arc<dyn View>> {
        None
    }
    /// Whether rows of a table, by its names here, are less than their origins have.
    fn is_lossy(&self, _schema: &str, _table: &str) -> bool {
        false
    }
    /// The record that holds transaction `sequence` of `origin`, if the log has it.
    fn find(&self, origin: RegionName, sequence: Sequence) -> Result<Option<RecordNumber>, Halt>;
}

/// A place in one log.
pub trait RecordReader: Send {
    /// The next durable record, whole and verified; `None` if there is none yet.
    fn next(&mut self) -> Result<Option<&[u8]>, Halt>;
}

/// A row image with the layout of its table.
pub type Image = (Arc<TableMap>, Vec<u8>);

/// Reads the after image of an older write back from the logs, by its key. `None`: the log does not hold it durably yet.
pub fn read_image(
    logs: &dyn Logs,
    weights: &Weights,
    id: &WriteId,
    key: KeyHash,
) -> Result<Option<Image>, Halt> {
    let Some(number) = logs.find(id.origin, id.sequence)? else { return Ok(None) };
    let mut reader = logs.reader(id.origin, number)?;
    let Some(bytes) = reader.next()? else { return Ok(None) };
    let mut found = None;
    let record = Record::decode(bytes).map_err(code::of_record)?;
    let Some(transaction) = record.transaction() else {
        return Err(misplaced(number, id));
    };
    let tables = Tables::through(logs.view(id.origin));
    let mut search = Search { tables, next_index: 0, id, key, weights, found: &mut found };
    if transaction.chunks > 0 {
        let missing = || missing_chunk(id);
        let first = number.0.checked_sub(transaction.chunks.into()).ok_or_else(missing)?;
        let mut chunks = logs.reader(id.origin, RecordNumber(first))?;
        for place in 0..transaction.chunks {
            let bytes = chunks.next()?.ok_or_else(missing)?;
            let chunk = Record::decode(bytes).map_err(code::of_record)?;
            match chunk.body {
                Body::Chunk { index, events } if index == place => {
                    search.walk(events, chunk.event_checksums)?
                }
                _ => return Err(missing()),
            }
        }
    }
    search.walk(transaction.events, record.event_checksums)?;
    match found {
        Some(image) => Ok(Some(image)),
        None => Err(missing_change(id)),
    }
}

pub(crate) fn misplaced(number: RecordNumber, id: &WriteId) -> Halt {
    let WriteId { origin, sequence, .. } = id;
    code::LOG_INCOMPLETE.halt(format_args!("record {number} of {origin} should be transaction {sequence}"))
}

pub(crate) fn missing_chunk(id: &WriteId) -> Halt {
    let WriteId { origin, sequence, .. } = id;
    code::LOG_INCOMPLETE
        .halt(format_args!("transaction {sequence} of {origin}: a chunk of it is missing in the log"))
}

pub(crate) fn missing_change(id: &WriteId) -> Halt {
    let WriteId { origin, sequence, index, .. } = id;
    code::LOG_INCOMPLETE
        .halt(format_args!("transaction {sequence} of {origin} has no row change {index} of that key"))
}

struct Search<'a> {
    tables: Tables,
    next_index: u32,
    id: &'a WriteId,
    key: KeyHash,
    weights: &'a Weights,
    found: &'a mut Option<Image>,
}

impl Search<'_> {
    fn walk(&mut self, events: &[u8], checksums: bool) -> Result<(), Halt> {
        let mut scratch = Vec::new();
        for_each_item::<KeyError>(events, checksums, &mut self.tables, &mut self.next_index, &mut |item| {
            if let Item::Change { table, index, change, .. } = item
                && index == self.id.index
                && let Some(after) = change.after
                && key_of(table, after, self.weights, &mut scratch)? == self.key
            {
                *self.found = Some((table.clone(), after.to_vec()));
            }
            Ok(())
        })
        .map_err(code::of_key)
    }
}
