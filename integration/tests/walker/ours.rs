//! The row events of a binlog file as `transaction::binlog` reads them.

use std::collections::HashMap;
use std::sync::Arc;
use transaction::binlog::{
    Column, Event, EventError, EventKind, RowsEvent, TableMap, Tables, Value, for_each_event, row_values,
};

/// Length of the magic number before the first event.
pub(crate) const MAGIC_LEN: usize = 4;
/// The flag of the last row event of a statement.
const STATEMENT_ENDS: u16 = 1;

/// One row event.
pub(crate) struct Rows {
    pub(crate) kind: EventKind,
    pub(crate) table_id: u64,
    /// Its table, with the columns that its images have.
    pub(crate) table: Arc<TableMap>,
    pub(crate) ends_statement: bool,
    /// Its row changes; empty for a partial update.
    pub(crate) changes: Vec<Change>,
}

/// One row change: the images that its kind of event has.
pub(crate) struct Change {
    pub(crate) before: Option<Vec<Value>>,
    pub(crate) after: Option<Vec<Value>>,
}

impl Rows {
    /// Whether it holds JSON differences, which this test leaves out.
    pub(crate) fn is_partial(&self) -> bool {
        self.kind == EventKind::PartialUpdateRows
    }

    /// The columns that its images have, each with its place.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.table.columns.iter().enumerate().filter(|(place, _)| self.table.has(*place))
    }
}

/// All row events of a file, those in compressed transactions too.
pub(crate) fn read(file: &[u8]) -> Result<Vec<Rows>, EventError> {
    let mut found = Vec::new();
    let mut tables = Tables::default();
    let mut maps = HashMap::new();
    let events = file.get(MAGIC_LEN..).unwrap_or_default();
    for_each_event::<EventError>(events, true, &mut |event| {
        match event.header.kind {
            EventKind::TableMap => {
                let map = tables.note(event.body)?.clone();
                maps.insert(map.table_id, map);
            }
            EventKind::WriteRows | EventKind::UpdateRows | EventKind::DeleteRows => {
                found.push(rows(event, &mut tables)?);
            }
            EventKind::PartialUpdateRows => found.push(partial(event, &maps)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

fn rows(event: Event<'_>, tables: &mut Tables) -> Result<Rows, EventError> {
    let rows = RowsEvent::decode(event)?;
    let table = Arc::clone(tables.of(&rows)?);
    let values = |image: Option<&[u8]>| {
        let decoded = |image| {
            let values = row_values(&table, image)?;
            table.columns.iter().zip(values).map(|(column, value)| Value::decode(column, value)).collect()
        };
        image.map(decoded).transpose()
    };
    let mut changes = Vec::new();
    for change in rows.changes(&table) {
        let change = change?;
        changes.push(Change { before: values(change.before)?, after: values(change.after)? });
    }
    let ends_statement = rows.flags & STATEMENT_ENDS != 0;
    Ok(Rows { kind: event.header.kind, table_id: rows.table_id, table, ends_statement, changes })
}

fn partial(event: Event<'_>, maps: &HashMap<u64, Arc<TableMap>>) -> Result<Rows, EventError> {
    let &[a, b, c, d, e, f, flags, _, ..] = event.body else {
        return Err(EventError::Malformed { event: "Partial_update_rows", what: "it has no head" });
    };
    let table_id = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
    let table = maps.get(&table_id).ok_or(EventError::NoTableMap(table_id))?;
    Ok(Rows {
        kind: event.header.kind,
        table_id,
        table: Arc::clone(table),
        ends_statement: u16::from(flags) & STATEMENT_ENDS != 0,
        changes: Vec::new(),
    })
}
