//! The writes of one transaction, as the history index takes them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use applier::Shared;
use applier::code::of_history;
use applier::ddl::{self, DdlPolicies, Verdict};
use applier::effect::Carries;
use conflict::{DdlWrite, Index, TableHistories};
use transaction::binlog::{Item, TableMap, Tables, View, for_each_item};
use transaction::key::{KeyError, Need, keys_of_change};
use transaction::{Context, DdlStatement, Halt, Hlc, RegionName, RepairPlace, Sequence, Suspended};

use super::found::{FoundWrites, Write};

/// Writes by schema and table.
type ByTable = BTreeMap<(String, String), Vec<Write>>;

/// Collects the writes of a transaction's events: all at once, or chunk by chunk.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    tables: Tables,
    next_index: u32,
    found: FoundWrites,
    /// Of tables that are to be told apart, by schema and table.
    apart: ByTable,
    /// Which tables it writes to, some of them more than once.
    touched: Vec<Arc<TableMap>>,
    /// The DDL in it.
    statements: Vec<DdlStatement>,
}

/// What of a log counts.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) carries: Carries,
    pub(crate) ddl: DdlPolicies,
}

/// What a transaction is beside its writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamps<'a> {
    pub(crate) origin: RegionName,
    pub(crate) sequence: Sequence,
    pub(crate) hlc: Hlc,
    pub(crate) context: &'a Context,
    /// Tables that its origin had suspended.
    pub(crate) suspended: &'a Suspended,
    /// The places of repairs; empty for a transaction.
    pub(crate) repairs: &'a [RepairPlace],
}

/// Why events are not taken for the index.
#[derive(Debug)]
pub(crate) enum Untaken {
    /// They cannot be read.
    Unreadable(KeyError),
    /// Their writes cannot be put aside.
    Unspilled(Halt),
}

impl Untaken {
    /// As the extractor says it, of its server's binlog.
    pub(crate) fn in_binlog(self) -> Halt {
        match self {
            Self::Unreadable(KeyError::Event(error)) => extractor::code::of_event(&error).halt(error),
            Self::Unreadable(error) => extractor::code::EVENT_UNKNOWN.halt(error),
            Self::Unspilled(halt) => halt,
        }
    }

    /// As the applier says it, of a log.
    pub(crate) fn in_log(self) -> Halt {
        match self {
            Self::Unreadable(error) => applier::code::of_key(error),
            Self::Unspilled(halt) => halt,
        }
    }
}

impl Writes {
    /// Of a log that is seen through a view.
    pub(crate) fn through(view: Option<Arc<dyn View>>) -> Self {
        Self { tables: Tables::through(view), ..Self::default() }
    }

    /// The same; what does not fit in memory goes into a file in `dir`.
    pub(crate) fn spilling(self, dir: Option<&Path>) -> Self {
        Self { found: FoundWrites::spilling(dir), ..self }
    }

    /// Adds the writes of carried tables in `events`. If weights are missing, they are returned, all of them at once, and
    /// nothing was added. Local DDL makes known definitions stale. `narrow` is told each table whose images lack columns.
    /// `apart`: which tables are suspended, here or where the transaction is from.
    pub(crate) fn collect(
        &mut self,
        events: &[u8],
        checksums: bool,
        shared: &Shared,
        scope: &Scope,
        apart: &[&Suspended],
        narrow: &mut dyn FnMut(&Arc<TableMap>),
    ) -> Result<Vec<Need>, Untaken> {
        let start = (self.found.recent.len(), self.next_index);
        let apart_before: Vec<(String, String, usize)> = self
            .apart
            .iter()
            .map(|((schema, table), kept)| (schema.clone(), table.clone(), kept.len()))
            .collect();
        let (mut needs, mut scratch) = (Vec::new(), Vec::new());
        let weights = shared.weights.read();
        let Self { tables, next_index, found, apart: kept_apart, touched, statements } = self;
        for_each_item::<KeyError>(events, checksums, tables, next_index, &mut |item| {
            let (table, index, change) = match item {
                Item::Begin(_) => return Ok(()),
                Item::Statement { query, timestamp } => {
                    shared.definitions_changed();
                    // What is not replicated is each region's own affair.
                    if let Verdict::Replicate(found) =
                        ddl::judge(&query, timestamp, &scope.carries, &scope.ddl)
                    {
                        statements.push(found);
                    }
                    return Ok(());
                }
                Item::Change { table, index, change, .. } => (table, index, change),
            };
            if !(scope.carries)(&table.schema, &table.table) {
                return Ok(());
            }
            if touched.last().is_none_or(|last| !Arc::ptr_eq(last, table)) {
                touched.push(table.clone());
            }
            if table.absent().next().is_some() {
                narrow(table);
            }
            let (old, new) = match keys_of_change(table, &change, &weights, &mut scratch, &mut needs) {
                Ok(keys) => keys,
                // No region applies its rows, so nothing can be concurrent with them.
                Err(error) if error.is_of_table() => return Ok(()),
                Err(error) => return Err(error),
            };
            let is_apart = apart.iter().any(|suspended| suspended.get(&table.schema, &table.table).is_some());
            let found = match is_apart {
                true => kept_apart.entry((table.schema.clone(), table.table.clone())).or_default(),
                false => &mut found.recent,
            };
            if let Some(old) = old.filter(|old| Some(*old) != new) {
                found.push((old, index, false));
            }
            if let Some(new) = new {
                found.push((new, index, true));
            }
            Ok(())
        })
        .map_err(Untaken::Unreadable)?;
        if !needs.is_empty() {
            self.found.recent.truncate(start.0);
            self.next_index = start.1;
            for ((schema, table), kept) in &mut self.apart {
                let before = apart_before.iter().find(|(s, t, _)| (s, t) == (&*schema, &*table));
                kept.truncate(before.map_or(0, |(_, _, len)| *len));
            }
        }
        if needs.is_empty() {
            self.found.spill().map_err(Untaken::Unspilled)?;
        }
        Ok(needs)
    }

    /// Inserts the writes into the index; the next transaction begins. `held_back`: tables that this region had not
    /// applied further than that, so that writes of others beyond it do not count.
    pub(crate) fn insert_into(
        &mut self,
        index: &mut Index,
        tables: &mut TableHistories,
        stamps: &Stamps<'_>,
        held_back: &Suspended,
    ) -> Result<(), Halt> {
        let Stamps { origin, sequence, hlc, context, suspended, repairs } = *stamps;
        let is_held = |schema: &str, table: &str| {
            held_back.get(schema, table).is_some_and(|here| sequence > here.applied.get(origin))
        };
        for table in self.touched.drain(..).filter(|table| !is_held(&table.schema, &table.table)) {
            tables.wrote(&table.schema, &table.table, origin, sequence);
        }
        for statement in self.statements.drain(..) {
            if !statement.tables().any(|table| is_held(&table.schema, &table.name)) {
                tables.ran(DdlWrite::new(origin, sequence, &statement));
            }
        }
        let mut failed = None;
        let (found, apart) = self.finish(&mut failed);
        let inserted = index.insert(origin, sequence, hlc, context, repairs, found).map_err(of_history)?;
        if let Some(halt) = failed {
            return Err(halt);
        }
        if !inserted {
            return Ok(());
        }
        for ((schema, table), writes) in apart {
            if is_held(&schema, &table) {
                continue;
            }
            let context = suspended.of_table(&schema, &table, context);
            let context = context.as_ref().unwrap_or(stamps.context);
            index.insert_also(origin, sequence, hlc, context, repairs, writes).map_err(of_history)?;
        }
        Ok(())
    }

    fn finish<'a>(
        &mut self,
        failed: &'a mut Option<Halt>,
    ) -> (impl Iterator<Item = Write> + use<'a>, ByTable) {
        self.next_index = 0;
        self.tables.trim();
        (self.found.take(failed), std::mem::take(&mut self.apart))
    }

    /// Forgets a transaction whose end never came.
    pub(crate) fn forget(&mut self) {
        self.next_index = 0;
        self.found.clear();
        self.apart.clear();
        self.touched.clear();
        self.statements.clear();
    }
}
