//! The rows of `concord.suspension`: tables that this region does not apply for now, and how far it is with each.

use transaction::binlog::{ColumnType, RowChange, TableMap, row_values};
use transaction::{RegionName, Sequence, Suspended};

/// Table that holds them: a row per suspended table and origin.
pub(crate) const TABLE: &str = "suspension";

const BAD_COLUMNS: &str = "the table has not the columns that Concord gave it";

/// What one transaction changes of it, in order.
#[derive(Debug, Default)]
pub(crate) struct Suspensions(Vec<Change>);

#[derive(Debug)]
struct Change {
    schema: String,
    table: String,
    /// Up to where it is applied; `None`: it is no longer suspended.
    applied: Option<(RegionName, Sequence)>,
}

impl Suspensions {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a row change in. The error is the reason.
    pub(crate) fn push(&mut self, table: &TableMap, change: &RowChange<'_>) -> Result<(), &'static str> {
        let Some(image) = change.after.or(change.before) else { return Ok(()) };
        let values = row_values(table, image).map_err(|_| BAD_COLUMNS)?;
        let value = |name: &str| {
            let at = table.columns.iter().position(|column| column.name == name).ok_or(BAD_COLUMNS)?;
            Ok::<_, &str>((table.columns[at].kind, values[at].ok_or(BAD_COLUMNS)?))
        };
        let text = |name: &str| {
            let bytes = value(name)?.1;
            String::from_utf8(bytes.to_vec()).map_err(|_| BAD_COLUMNS)
        };
        let (schema, name) = (text("table_schema")?, text("table_name")?);
        let origin = RegionName::new(&text("origin")?).map_err(|_| "its origin is no region's name")?;
        let sequence = match value("sequence")? {
            (ColumnType::Int(8), bytes) => {
                bytes.try_into().map(u64::from_le_bytes).map(Sequence).map_err(|_| BAD_COLUMNS)?
            }
            _ => return Err(BAD_COLUMNS),
        };
        let applied = change.after.map(|_| (origin, sequence));
        self.0.push(Change { schema, table: name, applied });
        Ok(())
    }

    /// Makes the changes.
    pub(crate) fn apply(self, suspended: &mut Suspended) {
        for Change { schema, table, applied } in self.0 {
            match applied {
                Some((origin, sequence)) => suspended.set(&schema, &table, origin, sequence),
                // The rows of a table go together.
                None => suspended.remove(&schema, &table),
            }
        }
    }
}
