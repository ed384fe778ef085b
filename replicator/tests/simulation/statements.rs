//! What a lane's statements say, as the simulated server reads them.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use transaction::binlog::{Event, EventKind, RowsEvent, TableMap, Tables};
use transaction::{Hlc, RegionName, RepairPlace, Sequence, WriteId};

use super::own;
use super::suspension;

/// A row change of a `BINLOG` text.
pub(crate) struct Change {
    pub(crate) map: Arc<TableMap>,
    pub(crate) flags: u16,
    pub(crate) before: Option<Vec<u8>>,
    pub(crate) after: Option<Vec<u8>>,
}

/// A statement.
pub(crate) enum Statement {
    Binlog(Vec<Change>),
    InsertRepair(Vec<u8>),
    DeleteRepairs,
    Suspension(suspension::Change),
}

/// Reads a statement; the error is what a real server would choke on.
pub(crate) fn read(text: &str) -> Result<Statement, String> {
    if let Some(base64) = text.strip_prefix("BINLOG '").and_then(|rest| rest.strip_suffix('\'')) {
        let events = BASE64_STANDARD.decode(base64).map_err(|e| e.to_string())?;
        return changes(&events).map(Statement::Binlog);
    }
    if let Some(values) = text.strip_prefix("INSERT INTO concord.repair VALUES (") {
        return repair(values).map(Statement::InsertRepair).ok_or_else(|| format!("malformed: {text}"));
    }
    if let Some(change) = suspension::read(text) {
        return Ok(Statement::Suspension(change));
    }
    match text {
        "DELETE FROM concord.repair" => Ok(Statement::DeleteRepairs),
        _ => Err(format!("a statement that the simulation does not know: {text}")),
    }
}

/// Every rows event needs its table map before it in the same text: one that lacks it crashes a real server.
fn changes(events: &[u8]) -> Result<Vec<Change>, String> {
    let (mut rest, mut tables, mut changes) = (events, Tables::default(), Vec::new());
    while !rest.is_empty() {
        let (event, after) = Event::split(rest, false).map_err(|e| e.to_string())?;
        rest = after;
        match event.header.kind {
            EventKind::TableMap => {
                tables.note(event.body).map_err(|e| e.to_string())?;
            }
            EventKind::WriteRows | EventKind::UpdateRows | EventKind::DeleteRows => {
                let rows = RowsEvent::decode(event).map_err(|e| e.to_string())?;
                let map = tables.of(&rows).map_err(|e| e.to_string())?.clone();
                for change in rows.changes(&map) {
                    let change = change.map_err(|e| e.to_string())?;
                    changes.push(Change {
                        map: map.clone(),
                        flags: rows.flags,
                        before: change.before.map(<[u8]>::to_vec),
                        after: change.after.map(<[u8]>::to_vec),
                    });
                }
            }
            other => return Err(format!("a {} event in a BINLOG text", other.name())),
        }
    }
    Ok(changes)
}

/// The row image of `id, root_hlc, 'root_origin', root_sequence, root_index, level, x'events')`.
fn repair(values: &str) -> Option<Vec<u8>> {
    let fields: Vec<&str> = values.strip_suffix(')')?.split(", ").collect();
    let [id, hlc, origin, sequence, index, level, events] = fields.try_into().ok()?;
    let origin = origin.strip_prefix('\'')?.strip_suffix('\'')?;
    let hex = events.strip_prefix("x'")?.strip_suffix('\'')?;
    let events: Option<Vec<u8>> =
        (0..hex.len() / 2).map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()).collect();
    let root = WriteId {
        hlc: Hlc(hlc.parse().ok()?),
        origin: RegionName::new(origin).ok()?,
        sequence: Sequence(sequence.parse().ok()?),
        index: index.parse().ok()?,
    };
    let place = RepairPlace { root, level: level.parse().ok()? };
    Some(own::repair_row(id.parse().ok()?, place, &events?))
}
