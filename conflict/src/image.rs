//! What a policy may look at: the images of a row's writes.

use std::fmt;
use std::sync::Arc;

use transaction::WriteId;
use transaction::binlog::{ColumnType, TableMap};

/// A row image as the binlog has it, with the layout of its table.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    /// The layout.
    pub table: Arc<TableMap>,
    /// Null bitmap and values.
    pub bytes: Vec<u8>,
}

/// The images of the writes to one key, read back from the logs.
///
/// One index may name two writes, of two keys (a primary-key update); what is asked for is the one of the key at hand. The
/// old key's half has no after image, the new key's half no before image: to its key it is an insert.
pub trait Images {
    /// The row as the write found it; `None` for an insert.
    fn before(&self, write: &WriteId) -> Option<&Image>;
    /// The row as the write left it; `None` for a delete.
    fn after(&self, write: &WriteId) -> Option<&Image>;
}

/// No images at all: enough for a policy that reads none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoImages;

impl Images for NoImages {
    fn before(&self, _write: &WriteId) -> Option<&Image> {
        None
    }

    fn after(&self, _write: &WriteId) -> Option<&Image> {
        None
    }
}

/// Puts a row image together from values without their length fields, one per column of `table`.
pub(crate) fn encode(table: &TableMap, values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let present = || table.columns.iter().zip(values).enumerate().filter(|(place, _)| table.has(*place));
    let mut bytes = vec![0; present().count().div_ceil(8)];
    for (bit, (_, (_, value))) in present().enumerate() {
        if value.is_none() {
            bytes[bit / 8] |= 1 << (bit % 8);
        }
    }
    for (_, (column, value)) in present() {
        if let Some(value) = value {
            let prefix = match column.kind {
                ColumnType::Char(max) | ColumnType::VarChar(max) => {
                    if max > 255 {
                        2
                    } else {
                        1
                    }
                }
                ColumnType::Blob(prefix)
                | ColumnType::Json(prefix)
                | ColumnType::Geometry(prefix)
                | ColumnType::Vector(prefix) => usize::from(prefix),
                _ => 0,
            };
            bytes.extend_from_slice(&value.len().to_le_bytes()[..prefix]);
            bytes.extend_from_slice(value);
        }
    }
    // Bits beyond the last column are ones in what the server writes; it does not read them.
    bytes
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image of {} ({} bytes)", self.table.full_name(), self.bytes.len())
    }
}
