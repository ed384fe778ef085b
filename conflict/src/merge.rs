//! A row of several writes, column by column.

use std::sync::Arc;

use num_bigint::BigInt;
use transaction::binlog::{Column, EventError, TableMap, row_values};

use crate::image::{Image, encode};
use crate::number;

/// A row during a merge.
#[derive(Debug, Clone)]
pub struct Merge {
    pub(crate) table: Arc<TableMap>,
    /// One per column of the layout.
    pub(crate) cells: Vec<Cell>,
}

/// A value during a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// As it stands in an image, without its length; `None` is NULL.
    Bytes(Option<Vec<u8>>),
    /// A number that may be beyond what its column holds: whether it fits is judged at the end only, since a later write may
    /// bring it back. DECIMALs are in units of their last digit.
    Number(BigInt),
}

impl Merge {
    /// The row of one image.
    pub(crate) fn of(image: &Image) -> Result<Self, EventError> {
        let values = row_values(&image.table, &image.bytes)?;
        let cells = values.into_iter().map(|value| Cell::Bytes(value.map(<[u8]>::to_vec))).collect();
        Ok(Self { table: image.table.clone(), cells })
    }

    /// Makes the row have all columns of `other` too, which is the layout of a later write, unset ones being NULL; false if
    /// the layouts have nothing that holds both: a column of one name has two types, or each lacks a column of the other.
    pub(crate) fn take_in(&mut self, other: &Arc<TableMap>) -> bool {
        if same_layout(&self.table, other) {
            return true;
        }
        if self.table.absent().next().is_some() || other.absent().next().is_some() {
            return false;
        }
        if holds(&self.table, other) {
            return true;
        }
        if !holds(other, &self.table) {
            return false;
        }
        let mut cells = vec![Cell::Bytes(None); other.columns.len()];
        for (column, cell) in self.table.columns.iter().zip(std::mem::take(&mut self.cells)) {
            if let Some(place) = place_of(other, &column.name) {
                cells[place] = cell;
            }
        }
        self.table = other.clone();
        self.cells = cells;
        true
    }

    /// The row as an image; `None` if a value does not fit its column.
    pub(crate) fn finish(self) -> Option<Image> {
        let Self { table, cells } = self;
        let mut values = Vec::with_capacity(cells.len());
        for (column, cell) in table.columns.iter().zip(cells) {
            values.push(match cell {
                Cell::Bytes(bytes) => bytes,
                Cell::Number(number) => Some(number::write(column, &number)?),
            });
        }
        let bytes = encode(&table, &values);
        Some(Image { table, bytes })
    }
}

/// The place of a column; names are compared as the server does.
pub(crate) fn place_of(table: &TableMap, name: &str) -> Option<usize> {
    table.columns.iter().position(|column| same_name(&column.name, name))
}

/// Whether two column names are one to the server.
pub(crate) fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || one.to_lowercase() == other.to_lowercase()
}

/// Whether values of one layout can stand in the other as they are, place by place.
pub(crate) fn same_layout(one: &Arc<TableMap>, other: &Arc<TableMap>) -> bool {
    Arc::ptr_eq(one, other) || (one.columns == other.columns && one.present == other.present)
}

/// Whether `table` has every column of `part`, of the same type.
fn holds(table: &TableMap, part: &TableMap) -> bool {
    part.columns.iter().all(|column| {
        place_of(table, &column.name).is_some_and(|place| same_type(&table.columns[place], column))
    })
}

fn same_type(one: &Column, other: &Column) -> bool {
    (one.kind, one.unsigned, one.collation, &one.members)
        == (other.kind, other.unsigned, other.collation, &other.members)
}
