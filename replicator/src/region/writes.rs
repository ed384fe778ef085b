//! The writes of one transaction, as the history index takes them.

use std::sync::Arc;

use applier::Shared;
use applier::effect::Carries;
use transaction::KeyHash;
use transaction::binlog::{Item, TableMap, Tables, for_each_item};
use transaction::key::{KeyError, Need, keys_of_change};

/// Collects key, index, and whether the row lives, from a transaction's events: all at once, or chunk by chunk.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    tables: Tables,
    next_index: u32,
    found: Vec<(KeyHash, u32, bool)>,
}

impl Writes {
    /// Adds the writes of carried tables in `events`. If weights are missing, they are returned, all of them at once, and
    /// nothing was added. Local DDL makes known definitions stale. `narrow` is told each table whose images lack columns.
    pub(crate) fn collect(
        &mut self,
        events: &[u8],
        checksums: bool,
        shared: &Shared,
        carries: &Carries,
        narrow: &mut dyn FnMut(&Arc<TableMap>),
    ) -> Result<Vec<Need>, String> {
        let start = (self.found.len(), self.next_index);
        let (mut needs, mut scratch) = (Vec::new(), Vec::new());
        let weights = shared.weights.read();
        let Self { tables, next_index, found } = self;
        for_each_item::<KeyError>(events, checksums, tables, next_index, &mut |item| {
            let (table, index, change) = match item {
                Item::Statement(_) => {
                    shared.definitions_changed();
                    return Ok(());
                }
                Item::Change { table, index, change, .. } => (table, index, change),
            };
            if !carries(&table.schema, &table.table) {
                return Ok(());
            }
            if table.absent().next().is_some() {
                narrow(table);
            }
            let (old, new) = keys_of_change(table, &change, &weights, &mut scratch, &mut needs)?;
            if let Some(old) = old.filter(|old| Some(*old) != new) {
                found.push((old, index, false));
            }
            if let Some(new) = new {
                found.push((new, index, true));
            }
            Ok(())
        })
        .map_err(|e| e.to_string())?;
        if !needs.is_empty() {
            self.found.truncate(start.0);
            self.next_index = start.1;
        }
        Ok(needs)
    }

    /// Forgets what was collected of a transaction that has not ended.
    pub(crate) fn forget(&mut self) {
        self.next_index = 0;
        self.found.clear();
    }

    /// The writes; the next transaction begins.
    pub(crate) fn finish(&mut self) -> Vec<(KeyHash, u32, bool)> {
        self.next_index = 0;
        self.tables.trim();
        std::mem::take(&mut self.found)
    }
}
