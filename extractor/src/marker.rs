//! The row by which applied work is known.

use transaction::binlog::{ColumnType, EventError, TableMap, row_values};
use transaction::{Hlc, RegionName, Sequence};

/// Schema of Concord's own tables.
pub(crate) const SCHEMA: &str = "concord";
/// Table whose change marks a transaction as applied work.
pub(crate) const TABLE: &str = "marker";

/// What a changed marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    /// Whose transactions were applied.
    pub(crate) origin: RegionName,
    /// The last of them.
    pub(crate) sequence: Sequence,
    /// The newest stamp among them.
    pub(crate) hlc: Hlc,
    /// Row changes outside schema `concord` in this binlog transaction, if it is the last state of a marker there: an earlier
    /// one still has the number of the transaction before.
    pub(crate) row_changes: u64,
}

impl Marker {
    /// Reads the after image of a marker row, by column name.
    pub(crate) fn decode(table: &TableMap, image: &[u8]) -> Result<Self, EventError> {
        const BAD: EventError = EventError::Malformed {
            event: "rows",
            what: "concord.marker has not the columns that Concord gave it",
        };
        let values = row_values(table, image)?;
        let value = |name: &str| {
            let at = table.columns.iter().position(|column| column.name == name).ok_or(BAD)?;
            Ok::<_, EventError>((table.columns[at].kind, values[at].ok_or(BAD)?))
        };
        let number = |name: &str| match value(name)? {
            (ColumnType::Int(8), bytes) => bytes.try_into().map(u64::from_le_bytes).map_err(|_| BAD),
            _ => Err(BAD),
        };
        let origin = std::str::from_utf8(value("origin")?.1).map_err(|_| BAD)?;
        Ok(Self {
            origin: RegionName::new(origin).map_err(|_| BAD)?,
            sequence: Sequence(number("sequence")?),
            hlc: Hlc(number("hlc")?),
            row_changes: number("row_changes")?,
        })
    }
}
