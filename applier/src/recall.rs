//! Reads a write back from the logs, with both of its images and what its transaction had seen.

mod lately;

use std::sync::Arc;

use conflict::Image;
use transaction::binlog::{Item, TableMap, Tables, for_each_item};
use transaction::key::KeyError;
use transaction::key::Need;
use transaction::record::{Body, Record};
use transaction::{Context, Gtid, Halt, KeyHash, RecordNumber, Weights, WriteId, key_of};

use crate::code;
use crate::logs::{Logs, misplaced, missing_change, missing_chunk};

pub use lately::Lately;

/// A write, as its origin's log has it.
#[derive(Debug, Clone)]
pub struct Recalled {
    /// The row before, under the write's key; `None` for an insert.
    pub before: Option<Image>,
    /// The row after, under the write's key; `None` for a delete.
    pub after: Option<Image>,
    /// What its transaction had seen.
    pub context: Context,
    /// Its transaction at the origin.
    pub gtid: Gtid,
    /// Commit time at the origin, microseconds.
    pub commit_us: u64,
}

/// Why a write could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum Recall {
    /// Weights to ask the server for; then try again.
    #[error("text weights are missing")]
    Needs(Vec<Need>),
    /// The log does not hold it durably yet.
    #[error("it is not durable yet")]
    NotDurable,
    /// A person must act.
    #[error(transparent)]
    Halt(#[from] Halt),
}

impl From<KeyError> for Recall {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Need(need) => Self::Needs(vec![need]),
            other => Self::Halt(code::of_key(other)),
        }
    }
}

/// Reads the write `id` of the row `key` back.
///
/// Both images are under `key`: of a primary-key update only one is.
pub fn recall(logs: &dyn Logs, weights: &Weights, id: &WriteId, key: KeyHash) -> Result<Recalled, Recall> {
    let Some(number) = logs.find(id.origin, id.sequence)? else { return Err(Recall::NotDurable) };
    let mut reader = logs.reader(id.origin, number)?;
    let Some(bytes) = reader.next()? else { return Err(Recall::NotDurable) };
    let record = Record::decode(bytes).map_err(code::of_record)?;
    let Some(transaction) = record.transaction() else {
        return Err(misplaced(number, id).into());
    };
    let tables = Tables::through(logs.view(id.origin));
    let mut search = Search { tables, next_index: 0, id, key, weights, before: None, after: None };
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
                _ => return Err(missing().into()),
            }
        }
    }
    search.walk(transaction.events, record.event_checksums)?;
    let Search { before, after, .. } = search;
    if before.is_none() && after.is_none() {
        return Err(missing_change(id).into());
    }
    let context = transaction.context.clone();
    Ok(Recalled { before, after, context, gtid: transaction.gtid, commit_us: transaction.commit_us })
}

struct Search<'a> {
    tables: Tables,
    next_index: u32,
    id: &'a WriteId,
    key: KeyHash,
    weights: &'a Weights,
    before: Option<Image>,
    after: Option<Image>,
}

impl Search<'_> {
    fn walk(&mut self, events: &[u8], checksums: bool) -> Result<(), KeyError> {
        let (mut scratch, mut found) = (Vec::new(), (None, None));
        let Self { tables, next_index, id, key, weights, .. } = self;
        for_each_item::<KeyError>(events, checksums, tables, next_index, &mut |item| {
            let Item::Change { table, index, change, .. } = item else { return Ok(()) };
            if index != id.index {
                return Ok(());
            }
            let mut of_key = |table: &Arc<TableMap>, image: Option<&[u8]>| match image {
                Some(image) if key_of(table, image, weights, &mut scratch)? == *key => {
                    Ok::<_, KeyError>(Some(Image { table: table.clone(), bytes: image.to_vec() }))
                }
                _ => Ok(None),
            };
            found = (of_key(table, change.before)?, of_key(table, change.after)?);
            Ok(())
        })?;
        self.before = found.0.or(self.before.take());
        self.after = found.1.or(self.after.take());
        Ok(())
    }
}
