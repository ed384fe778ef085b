//! The walk over the row changes and statements of a transaction.

use std::sync::Arc;

use super::rows::{RowChange, RowsEvent, Tables};
use super::table_map::TableMap;
use super::{EventError, EventKind, QueryEvent, Statement, for_each_event};

/// One thing that a transaction does.
#[derive(Debug)]
pub enum Item<'a> {
    /// Changes a row.
    Change {
        /// Layout of its table.
        table: &'a Arc<TableMap>,
        /// Flags of the rows event (see [`RowsEvent::flags`]).
        flags: u16,
        /// Seconds since 1970, of the event.
        timestamp: u32,
        /// Place among the transaction's row changes, from 0; all schemas count.
        index: u32,
        /// The images.
        change: RowChange<'a>,
    },
    /// Begins its rows, with the session that wrote them.
    Begin(QueryEvent<'a>),
    /// Runs a statement that is not transaction control: DDL.
    Statement {
        /// It, with its session.
        query: QueryEvent<'a>,
        /// Seconds since 1970, of the event.
        timestamp: u32,
    },
}

/// Calls `visit` for each row change and each statement in `events`, in binlog order.
///
/// `tables` and `next_index` live as long as the transaction: for a chain of chunks, pass them on from chunk to chunk. If
/// `tables` has a view ([`Tables::through`]), changes are as it shows them; their indexes count those it leaves out.
pub fn for_each_item<E: From<EventError>>(
    events: &[u8],
    checksums: bool,
    tables: &mut Tables,
    next_index: &mut u32,
    visit: &mut dyn FnMut(Item<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for_each_event::<E>(events, checksums, &mut |event| {
        match event.header.kind {
            EventKind::TableMap => {
                tables.note(event.body)?;
            }
            EventKind::WriteRows
            | EventKind::UpdateRows
            | EventKind::DeleteRows
            | EventKind::PartialUpdateRows => {
                let rows = RowsEvent::decode(event)?;
                let (flags, timestamp) = (rows.flags, event.header.timestamp);
                let table = tables.of(&rows)?.clone();
                let view = tables.seen(&table)?;
                for change in rows.changes(&table) {
                    let (index, change) = (*next_index, change?);
                    *next_index += 1;
                    let Some(view) = &view else {
                        visit(Item::Change { table: &table, flags, timestamp, index, change })?;
                        continue;
                    };
                    let (before, after) = view.change(&change)?;
                    if before.is_some() || after.is_some() {
                        let change = RowChange { before: before.as_deref(), after: after.as_deref() };
                        visit(Item::Change { table: view.table(), flags, timestamp, index, change })?;
                    }
                }
            }
            EventKind::Query => {
                let query = QueryEvent::decode(event.body)?;
                let kind = query.classify();
                if matches!(kind, Statement::Begin | Statement::XaStart) {
                    visit(Item::Begin(query))?;
                } else if !kind.is_control() {
                    visit(Item::Statement { query, timestamp: event.header.timestamp })?;
                }
            }
            EventKind::Gtid
            | EventKind::GtidTagged
            | EventKind::Xid
            | EventKind::XaPrepare
            | EventKind::RowsQuery => {}
            other => return Err(EventError::UnknownType(other as u8).into()),
        }
        Ok(())
    })
}
