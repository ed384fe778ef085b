//! What the applier needs of the transaction logs, as traits that the replicator fulfils.

use std::sync::Arc;

use transaction::binlog::{Item, TableMap, Tables, View, for_each_item};
use transaction::key::KeyError;
use transaction::record::{Body, Record};
use transaction::{KeyHash, RecordNumber, RegionName, Sequence, Weights, WriteId, key_of};

/// The logs of all origins that this region holds.
pub trait Logs: Send + Sync {
    /// Reads the log of `origin` from record `from` on.
    fn reader(&self, origin: RegionName, from: RecordNumber) -> Result<Box<dyn RecordReader>, String>;
    /// How rows in the log of `origin` are seen here; `None`: as they are.
    fn view(&self, _origin: RegionName) -> Option<Arc<dyn View>> {
        None
    }
    /// Whether rows of a table, by its names here, are less than their origins have.
    fn is_lossy(&self, _schema: &str, _table: &str) -> bool {
        false
    }
    /// The record that holds transaction `sequence` of `origin`, if the log has it.
    fn find(&self, origin: RegionName, sequence: Sequence) -> Result<Option<RecordNumber>, String>;
}

/// A place in one log.
pub trait RecordReader: Send {
    /// The next durable record, whole and verified; `None` if there is none yet.
    fn next(&mut self) -> Result<Option<&[u8]>, String>;
}

/// A row image with the layout of its table.
pub type Image = (Arc<TableMap>, Vec<u8>);

/// Reads the after image of an older write back from the logs, by its key. `None`: the log does not hold it durably yet.
pub fn read_image(
    logs: &dyn Logs,
    weights: &Weights,
    id: &WriteId,
    key: KeyHash,
) -> Result<Option<Image>, String> {
    let Some(number) = logs.find(id.origin, id.sequence)? else { return Ok(None) };
    let mut reader = logs.reader(id.origin, number)?;
    let Some(bytes) = reader.next()? else { return Ok(None) };
    let mut found = None;
    let record = Record::decode(bytes).map_err(|e| e.to_string())?;
    let Some(transaction) = record.transaction() else {
        return Err(format!("record {number} of {} should be transaction {}", id.origin, id.sequence));
    };
    let tables = Tables::through(logs.view(id.origin));
    let mut search = Search { tables, next_index: 0, id, key, weights, found: &mut found };
    if transaction.chunks > 0 {
        let missing =
            || format!("transaction {} of {}: a chunk of it is missing in the log", id.sequence, id.origin);
        let first = number.0.checked_sub(transaction.chunks.into()).ok_or_else(missing)?;
        let mut chunks = logs.reader(id.origin, RecordNumber(first))?;
        for place in 0..transaction.chunks {
            let bytes = chunks.next()?.ok_or_else(missing)?;
            let chunk = Record::decode(bytes).map_err(|e| e.to_string())?;
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
        None => Err(format!(
            "transaction {} of {} has no row change {} of that key",
            id.sequence, id.origin, id.index
        )),
    }
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
    fn walk(&mut self, events: &[u8], checksums: bool) -> Result<(), String> {
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
        .map_err(|e| e.to_string())
    }
}
