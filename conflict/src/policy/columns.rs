//! The policy that merges rows column by column.

mod order;

use num_bigint::BigInt;
use transaction::binlog::{Column, ColumnType, EventError, TableMap, row_values};

use super::Policy;
use crate::fold::{FoldError, Rivals, Row, Version};
use crate::image::Image;
use crate::merge::{Cell, Merge, place_of, same_layout, same_name};
use crate::number;

/// Each column takes its last writer's value; the columns named here are merged otherwise.
///
/// An insert is a change from nothing: to a row that is there, it gives all its plain columns, and adds its numbers. NULL
/// counts as 0 for a counter and as the empty set; any value beats it as maximum or minimum. A repair gives the whole row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// Integers and DECIMALs: what each write adds to or takes from its before image is added up.
    pub counter: Vec<String>,
    /// Numbers, dates and times: the highest of the after images.
    pub max: Vec<String>,
    /// The lowest.
    pub min: Vec<String>,
    /// SETs: what was added is in; what was taken out is out, unless a concurrent write added it.
    pub set_union: Vec<String>,
}

/// How a column is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    LastWriter,
    Counter,
    Max,
    Min,
    SetUnion,
}

impl Role {
    /// Whether values of the column can be merged so.
    fn fits(self, column: &Column) -> bool {
        match self {
            Self::LastWriter => true,
            Self::Counter => number::is_number(column),
            Self::Max | Self::Min => order::is_ordered(column),
            Self::SetUnion => matches!(column.kind, ColumnType::Set(_)),
        }
    }

    fn wants(self) -> &'static str {
        match self {
            Self::LastWriter => "any type",
            Self::Counter => "an integer or a DECIMAL",
            Self::Max | Self::Min => "a number, a date or a time",
            Self::SetUnion => "a SET",
        }
    }
}

impl Columns {
    fn named(&self) -> impl Iterator<Item = (&'static str, Role, &str)> {
        let lists = [
            ("counter", Role::Counter, &self.counter),
            ("max", Role::Max, &self.max),
            ("min", Role::Min, &self.min),
            ("set_union", Role::SetUnion, &self.set_union),
        ];
        lists
            .into_iter()
            .flat_map(|(list, role, names)| names.iter().map(move |name| (list, role, name.as_str())))
    }

    fn role(&self, column: &Column) -> Role {
        let named = self.named().find(|(_, _, name)| same_name(name, &column.name));
        // A column that was given another type since the configuration was checked has its last writer's value.
        named.map(|(_, role, _)| role).filter(|role| role.fits(column)).unwrap_or(Role::LastWriter)
    }
}

impl Policy for Columns {
    fn name(&self) -> &'static str {
        "columns"
    }

    fn reads_images(&self) -> bool {
        true
    }

    fn check(&self, columns: &[Column]) -> Result<(), String> {
        for (list, role, name) in self.named() {
            let Some(column) = columns.iter().find(|column| same_name(&column.name, name)) else {
                return Err(format!("{list} names {name:?}, which is not a column of it"));
            };
            if !role.fits(column) {
                return Err(format!("{list} names {name:?}, which is not {}", role.wants()));
            }
        }
        Ok(())
    }

    fn step<'a>(&self, row: Row<'a>, next: Version<'a>, rivals: Rivals<'a>) -> Result<Row<'a>, FoldError> {
        let Some(after) = next.after()? else { return Ok(Row::As(next)) };
        if next.write().repair.is_some() {
            // It says what the row is, and several regions may say so at once: nothing to add up.
            return Ok(Row::As(next));
        }
        let mut merge = match row {
            Row::Halted => return Ok(row),
            Row::Merged(merge) => *merge,
            Row::As(version) => match version.after()? {
                Some(image) => Merge::of(image).map_err(|error| version.fail(error))?,
                None => return Ok(Row::As(next)),
            },
        };
        let added = |name: &str| added_by(rivals, name);
        match self.merge(&mut merge, next.before(), after, &added) {
            Ok(true) => Ok(Row::Merged(Box::new(merge))),
            Ok(false) => Ok(Row::As(next)),
            Err(Failure::Own(error)) => Err(next.fail(error)),
            Err(Failure::Other(error)) => Err(error),
        }
    }
}

/// What cannot be read: an image of the write that is being merged, or something else.
enum Failure {
    Own(EventError),
    Other(FoldError),
}

impl From<EventError> for Failure {
    fn from(error: EventError) -> Self {
        Self::Own(error)
    }
}

impl Columns {
    /// Merges a write into the row; false if their layouts have nothing in common.
    fn merge(
        &self,
        row: &mut Merge,
        before: Option<&Image>,
        after: &Image,
        added: &dyn Fn(&str) -> Result<u64, FoldError>,
    ) -> Result<bool, Failure> {
        if before.is_some_and(|before| !same_layout(&before.table, &after.table))
            || !row.take_in(&after.table)
        {
            return Ok(false);
        }
        let found = before.map(|before| row_values(&before.table, &before.bytes)).transpose()?;
        let left = row_values(&after.table, &after.bytes)?;
        for (place, column) in after.table.columns.iter().enumerate() {
            let Some(cell) = place_of(&row.table, &column.name).and_then(|place| row.cells.get_mut(place))
            else {
                continue;
            };
            // `None` for an insert, which found nothing.
            let change = Change { before: found.as_ref().map(|found| found[place]), after: left[place] };
            let taken = match self.role(column) {
                Role::LastWriter => change.is_any().then(|| Cell::Bytes(change.after.map(<[u8]>::to_vec))),
                Role::Counter => change.counted(column, cell)?,
                Role::Max => change.outermost(column, cell, std::cmp::Ordering::Greater)?,
                Role::Min => change.outermost(column, cell, std::cmp::Ordering::Less)?,
                Role::SetUnion => change.gathered(cell, &|| added(&column.name)).map_err(Failure::Other)?,
            };
            if let Some(taken) = taken {
                *cell = taken;
            }
        }
        Ok(true)
    }
}

/// What a write did to one column.
#[derive(Debug, Clone, Copy)]
struct Change<'a> {
    before: Option<Option<&'a [u8]>>,
    after: Option<&'a [u8]>,
}

impl Change<'_> {
    fn is_any(&self) -> bool {
        self.before != Some(self.after)
    }

    /// The sum of the row's number and the difference that the write made; `None` leaves the row's.
    fn counted(&self, column: &Column, cell: &Cell) -> Result<Option<Cell>, EventError> {
        let number = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => Ok(number::read(column, bytes)?.unwrap_or_default()),
            None => Ok(BigInt::default()),
        };
        if !self.is_any() {
            return Ok(None);
        }
        let Some(after) = self.after else {
            // Set to NULL, which adds nothing up; an insert of NULL adds nothing to what is there.
            return Ok(self.before.map(|_| Cell::Bytes(None)));
        };
        let sum = match cell {
            Cell::Number(sum) => sum.clone(),
            Cell::Bytes(bytes) => number(bytes.as_deref())?,
        };
        Ok(Some(Cell::Number(sum + number(Some(after))? - number(self.before.flatten())?)))
    }

    /// The after value if it lies further out in this direction than the row's, or there is no value yet.
    fn outermost(
        &self,
        column: &Column,
        cell: &Cell,
        direction: std::cmp::Ordering,
    ) -> Result<Option<Cell>, EventError> {
        let (Cell::Bytes(here), Some(after)) = (cell, self.after) else { return Ok(None) };
        let further = match here {
            None => true,
            Some(here) => order::compare(column, after, here)? == direction,
        };
        Ok(further.then(|| Cell::Bytes(Some(after.to_vec()))))
    }

    /// The row's set with what the write added, and without what it took out; `added` are the members that concurrent
    /// writes before it added.
    fn gathered(
        &self,
        cell: &Cell,
        added: &dyn Fn() -> Result<u64, FoldError>,
    ) -> Result<Option<Cell>, FoldError> {
        let Cell::Bytes(here) = cell else { return Ok(None) };
        if !self.is_any() {
            return Ok(None);
        }
        let (before, after) = (mask(self.before.flatten()), mask(self.after));
        let mut out = before & !after;
        if out != 0 {
            out &= !added()?;
        }
        let set = (mask(here.as_deref()) | (after & !before)) & !out;
        Ok(match self.after.or(here.as_deref()) {
            // An insert of NULL adds nothing to what is there.
            _ if self.after.is_none() && self.before.is_none() => None,
            None => Some(Cell::Bytes(None)),
            Some(_) if set == 0 && self.after.is_none() => Some(Cell::Bytes(None)),
            Some(like) => Some(Cell::Bytes(Some(set.to_le_bytes()[..like.len().min(8)].to_vec()))),
        })
    }
}

fn mask(bytes: Option<&[u8]>) -> u64 {
    bytes.unwrap_or_default().iter().rev().fold(0, |mask, byte| mask << 8 | u64::from(*byte))
}

/// Members of the SET column `name` that some of these writes added.
fn added_by(rivals: Rivals<'_>, name: &str) -> Result<u64, FoldError> {
    let mut added = 0;
    for version in rivals.iter() {
        let Some(after) = version.after()?.filter(|_| version.write().repair.is_none()) else { continue };
        let read = |image: &Image| -> Result<u64, FoldError> {
            let values = row_values(&image.table, &image.bytes).map_err(|error| version.fail(error))?;
            let place = set_place(&image.table, name);
            Ok(place.map_or(0, |place| mask(values[place])))
        };
        let before = version.before().map(read).transpose()?.unwrap_or(0);
        added |= read(after)? & !before;
    }
    Ok(added)
}

fn set_place(table: &TableMap, name: &str) -> Option<usize> {
    place_of(table, name).filter(|place| matches!(table.columns[*place].kind, ColumnType::Set(_)))
}
