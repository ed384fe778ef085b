//! The policy of tables or rows that one region owns.

use transaction::RegionName;
use transaction::binlog::{Column, ColumnType, Value, row_values};

use super::Policy;
use crate::fold::{FoldError, Rivals, Row, Version};
use crate::merge::{place_of, same_name};

/// The owner's writes win over concurrent ones of others; among others, and among the owner's, the newest wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegionOwned {
    /// One region owns all rows.
    Fixed(RegionName),
    /// This column, a text or an ENUM, names the region that owns the row. A name that no region has owns nothing.
    ///
    /// A write is judged by the row that it found: who moves a row to another owner must be its owner before.
    Column(String),
}

impl RegionOwned {
    /// Whether the write was made by whoever owned the row then; an insert by whom it gives the row to.
    fn is_owners(&self, version: &Version<'_>) -> Result<bool, FoldError> {
        let origin = version.write().id.origin;
        let name = match self {
            Self::Fixed(owner) => return Ok(*owner == origin),
            Self::Column(name) => name,
        };
        let image = match version.before() {
            Some(image) => Some(image),
            None => version.after()?,
        };
        let Some(image) = image else {
            return Err(FoldError::NoImage { write: version.write().id, which: "before" });
        };
        let Some(place) = place_of(&image.table, name) else { return Ok(false) };
        let values = row_values(&image.table, &image.bytes).map_err(|error| version.fail(error))?;
        let column = &image.table.columns[place];
        let value = Value::decode(column, values[place]).map_err(|error| version.fail(error))?;
        Ok(match value {
            Value::Text(text) | Value::Enum { label: text, .. } => text.eq_ignore_ascii_case(origin.as_str()),
            _ => false,
        })
    }
}

impl Policy for RegionOwned {
    fn name(&self) -> &'static str {
        "region-owned"
    }

    fn reads_images(&self) -> bool {
        matches!(self, Self::Column(_))
    }

    fn check(&self, columns: &[Column]) -> Result<(), String> {
        let Self::Column(name) = self else { return Ok(()) };
        let Some(column) = columns.iter().find(|column| same_name(&column.name, name)) else {
            return Err(format!("owner_column {name:?} is not a column of it"));
        };
        let text = matches!(column.kind, ColumnType::Char(_) | ColumnType::VarChar(_) | ColumnType::Blob(_))
            && column.collation != BINARY;
        if text || matches!(column.kind, ColumnType::Enum(_)) {
            Ok(())
        } else {
            Err(format!("owner_column {name:?} is neither a text nor an ENUM, so it cannot name a region"))
        }
    }

    fn step<'a>(&self, row: Row<'a>, next: Version<'a>, rivals: Rivals<'a>) -> Result<Row<'a>, FoldError> {
        if !self.is_owners(&next)? {
            for rival in rivals.iter() {
                if self.is_owners(&rival)? {
                    return Ok(row);
                }
            }
        }
        Ok(Row::As(next))
    }
}

/// The collation of binary strings.
const BINARY: u16 = 63;
