//! The rows of `concord.repair`: what Concord itself changed in an applied transaction, and where that stands in the fold
//! order.
//!
//! A lane inserts them and deletes them again before COMMIT, so that the binlog has them and the table stays empty.

use transaction::binlog::{
    ColumnType, Event, EventError, EventKind, RowsEvent, TableMap, Tables, row_values,
};
use transaction::{Hlc, RegionName, RepairPlace, Sequence, WriteId};

use crate::marker::SCHEMA;

/// Table that repairs pass through.
pub(crate) const TABLE: &str = "repair";

const BAD_COLUMNS: &str = "the table has not the columns that Concord gave it";
const BAD_EVENTS: &str = "its events are not one table map and one row change of a table with a primary key";

/// The repairs of one applied transaction, in order.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    places: Vec<RepairPlace>,
    events: Vec<u8>,
}

impl Repairs {
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where each stands in the fold order, and the events of all; `first` is the first one's own.
    pub(crate) fn into_parts(mut self, first: WriteId) -> (Vec<RepairPlace>, Vec<u8>) {
        for (place, index) in self.places.iter_mut().zip(first.index..) {
            if place.level == 0 {
                // A merge stands for itself, which the lane could not name before it was numbered.
                place.root = WriteId { index, ..first };
            }
        }
        (self.places, self.events)
    }

    /// Adds the repair of an inserted row. `len_max`: most bytes that one record takes. The error is the reason.
    pub(crate) fn push(
        &mut self,
        table: &TableMap,
        image: &[u8],
        len_max: usize,
    ) -> Result<(), &'static str> {
        let row = Row::decode(table, image)?;
        if row.id as usize != self.places.len() {
            return Err("its id is not the place of the repair in its transaction");
        }
        check_events(row.events).map_err(|_: EventError| BAD_EVENTS)?;
        const PLACE_LEN: usize = 64;
        if self.events.len() + row.events.len() + PLACE_LEN * (self.places.len() + 1) > len_max {
            return Err("the repairs of this transaction are longer than a record may be");
        }
        self.places.push(row.place);
        self.events.extend_from_slice(row.events);
        Ok(())
    }
}

struct Row<'a> {
    id: u32,
    place: RepairPlace,
    events: &'a [u8],
}

impl<'a> Row<'a> {
    /// Reads an image by column name.
    fn decode(table: &TableMap, image: &'a [u8]) -> Result<Self, &'static str> {
        let values = row_values(table, image).map_err(|_| BAD_COLUMNS)?;
        let value = |name: &str| {
            let at = table.columns.iter().position(|column| column.name == name).ok_or(BAD_COLUMNS)?;
            Ok::<_, &str>((table.columns[at].kind, values[at].ok_or(BAD_COLUMNS)?))
        };
        let number = |name: &str, len: u8| match value(name)? {
            (ColumnType::Int(found), bytes) if found == len && bytes.len() == usize::from(len) => {
                Ok(bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte)))
            }
            _ => Err(BAD_COLUMNS),
        };
        let small = |name: &str| u32::try_from(number(name, 4)?).map_err(|_| BAD_COLUMNS);
        let origin = std::str::from_utf8(value("root_origin")?.1).map_err(|_| BAD_COLUMNS)?;
        let root = WriteId {
            hlc: Hlc(number("root_hlc", 8)?),
            origin: RegionName::new(origin).map_err(|_| "its root_origin is no region's name")?,
            sequence: Sequence(number("root_sequence", 8)?),
            index: small("root_index")?,
        };
        let level = u8::try_from(number("level", 1)?).map_err(|_| BAD_COLUMNS)?;
        match value("events")? {
            (ColumnType::Blob(_), events) => {
                Ok(Self { id: small("id")?, place: RepairPlace { root, level }, events })
            }
            _ => Err(BAD_COLUMNS),
        }
    }
}

/// Peers are sent these bytes: one table map and one row change of a table that is not Concord's own.
fn check_events(events: &[u8]) -> Result<(), EventError> {
    const BAD: EventError = EventError::Malformed { event: "rows", what: BAD_EVENTS };
    let (map, rest) = Event::split(events, false)?;
    let (rows, rest) = Event::split(rest, false)?;
    if map.header.kind != EventKind::TableMap || !rest.is_empty() {
        return Err(BAD);
    }
    let mut tables = Tables::default();
    tables.note(map.body)?;
    let rows = RowsEvent::decode(rows)?;
    let table = tables.of(&rows)?;
    if table.schema == SCHEMA || table.primary_key.is_empty() {
        return Err(BAD);
    }
    let mut changes = rows.changes(table);
    match (changes.next(), changes.next()) {
        (Some(Ok(_)), None) => Ok(()),
        _ => Err(BAD),
    }
}
