//! Row changes, without decoding more than their lengths.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::input::Input;
use super::table_map::TableMap;
use super::view::{TableView, View};
use super::{Event, EventError, EventKind};

/// What a rows event does to its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowsKind {
    /// Inserts: after images.
    Write,
    /// Updates: before and after images.
    Update,
    /// Deletes: before images.
    Delete,
}

/// A rows event.
#[derive(Debug, Clone, Copy)]
pub struct RowsEvent<'a> {
    /// Which table map it belongs to.
    pub table_id: u64,
    /// Insert, update or delete.
    pub kind: RowsKind,
    /// Flags: 0x1 end of statement, 0x2 no foreign-key checks, 0x4 no unique checks.
    pub flags: u16,
    /// Documents in its after images may be differences: only [`partial`](super::partial) reads these.
    pub(super) partial: bool,
    width: usize,
    present: &'a [u8],
    present_after: &'a [u8],
    pub(super) rows: &'a [u8],
}

/// One row's change. An image is the row's null bitmap followed by its values, as the server wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowChange<'a> {
    /// The row before; `None` for an insert.
    pub before: Option<&'a [u8]>,
    /// The row after; `None` for a delete.
    pub after: Option<&'a [u8]>,
}

impl<'a> RowsEvent<'a> {
    /// Reads an event of kind `WriteRows`, `UpdateRows` or `DeleteRows` (version 2).
    ///
    /// `PartialUpdateRows` is read too, so that [`Tables::of`] can refuse it by the name of its table.
    pub fn decode(event: Event<'a>) -> Result<Self, EventError> {
        let mut input = Input::new(event.body, event.header.kind.name());
        let table_id = input.uint(6)?;
        let kind = match event.header.kind {
            EventKind::WriteRows => RowsKind::Write,
            EventKind::UpdateRows | EventKind::PartialUpdateRows => RowsKind::Update,
            EventKind::DeleteRows => RowsKind::Delete,
            other => return Err(EventError::UnknownType(other as u8)),
        };
        let flags = input.uint(2)? as u16;
        let extra_len =
            input.uint(2)?.checked_sub(2).ok_or_else(|| input.malformed("its extra data has no length"))?;
        input.take(extra_len as usize)?;
        let width = input.lenenc()?;
        let width = usize::try_from(width).map_err(|_| input.malformed("its width is too large"))?;
        let bitmap_len = width.div_ceil(8);
        let present = input.take(bitmap_len)?;
        let present_after = if kind == RowsKind::Update { input.take(bitmap_len)? } else { present };
        let partial = event.header.kind == EventKind::PartialUpdateRows;
        Ok(Self { table_id, kind, flags, partial, width, present, present_after, rows: input.rest })
    }

    /// The row changes, in order; `table` is from [`Tables::of`].
    pub fn changes<'t>(&self, table: &'t TableMap) -> RowChanges<'a, 't> {
        RowChanges { kind: self.kind, rows: self.rows, table }
    }
}

/// Iterator over the row changes of one event.
pub struct RowChanges<'a, 't> {
    kind: RowsKind,
    rows: &'a [u8],
    table: &'t TableMap,
}

impl<'a> RowChanges<'a, '_> {
    fn image(&mut self) -> Result<&'a [u8], EventError> {
        let len = image_len(self.table, self.rows)?;
        if len == 0 {
            // Images without a column would never use the bytes up.
            return Err(EventError::Malformed { event: "rows", what: "its rows have no columns" });
        }
        let (image, rest) = self.rows.split_at(len);
        self.rows = rest;
        Ok(image)
    }

    fn change(&mut self) -> Result<RowChange<'a>, EventError> {
        Ok(match self.kind {
            RowsKind::Write => RowChange { before: None, after: Some(self.image()?) },
            RowsKind::Delete => RowChange { before: Some(self.image()?), after: None },
            RowsKind::Update => RowChange { before: Some(self.image()?), after: Some(self.image()?) },
        })
    }
}

impl<'a> Iterator for RowChanges<'a, '_> {
    type Item = Result<RowChange<'a>, EventError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.rows.is_empty() {
            return None;
        }
        let change = self.change();
        if change.is_err() {
            self.rows = &[];
        }
        Some(change)
    }
}

fn cut() -> EventError {
    EventError::Malformed { event: "rows", what: "a row ends early" }
}

/// Length of the image at the start of `bytes`.
pub(super) fn image_len(table: &TableMap, bytes: &[u8]) -> Result<usize, EventError> {
    walk_columns(table, bytes, table.columns.len(), |_, _| {})
}

/// Calls `visit` for each column of an image with where its value lies, length field left out; `None` is NULL, or a
/// column that the image does not have.
pub(super) fn walk_image(
    table: &TableMap,
    image: &[u8],
    visit: impl FnMut(usize, Option<Range<usize>>),
) -> Result<(), EventError> {
    walk_columns(table, image, table.columns.len(), visit).map(drop)
}

/// The same for the first `count` columns; returns where the last of them ends.
fn walk_columns(
    table: &TableMap,
    image: &[u8],
    count: usize,
    mut visit: impl FnMut(usize, Option<Range<usize>>),
) -> Result<usize, EventError> {
    let nulls = image.get(..table.nulls_len()).ok_or_else(cut)?;
    let mut at = nulls.len();
    let mut bit = 0;
    for (place, column) in table.columns.iter().enumerate().take(count) {
        if !table.has(place) {
            visit(place, None);
            continue;
        }
        let null = nulls[bit / 8] >> (bit % 8) & 1 == 1;
        bit += 1;
        if null {
            visit(place, None);
            continue;
        }
        let (prefix, len) = image.get(at..).and_then(|rest| column.kind.value_len(rest)).ok_or_else(cut)?;
        visit(place, Some(at + prefix..at + prefix + len));
        at += prefix + len;
    }
    Ok(at)
}

/// The values of a row image in column order, without their length fields; `None` is NULL, or a column that the
/// image does not have ([`TableMap::has`] tells).
pub fn row_values<'a>(table: &TableMap, image: &'a [u8]) -> Result<Vec<Option<&'a [u8]>>, EventError> {
    let mut values = Vec::with_capacity(table.columns.len());
    walk_image(table, image, |_, range| values.push(range.map(|range| &image[range])))?;
    Ok(values)
}

/// Room for the values of a key's columns.
pub(crate) type KeyValues<'a> = [Option<&'a [u8]>; KEY_COLUMNS_MAX];

/// The values of a key's columns, in key order and in `room`; no column behind the key's last is looked at. `columns` are
/// places with prefix lengths. Fails if there are more than [`KEY_COLUMNS_MAX`]; a column that the image does not have is
/// `None`, as NULL is.
pub(crate) fn key_values<'a, 'r>(
    table: &TableMap,
    image: &'a [u8],
    columns: &[(usize, u32)],
    room: &'r mut KeyValues<'a>,
) -> Result<&'r [Option<&'a [u8]>], EventError> {
    let Some(values) = room.get_mut(..columns.len()) else {
        return Err(EventError::Malformed { event: "Table_map", what: "a key has more than 16 columns" });
    };
    values.fill(None);
    let count = columns.iter().map(|(place, _)| place + 1).max().unwrap_or(0);
    walk_columns(table, image, count, |at, range| {
        for (value, (place, _)) in values.iter_mut().zip(columns) {
            if *place == at {
                *value = range.clone().map(|range| &image[range]);
            }
        }
    })?;
    Ok(values)
}

/// Most columns of a key (MySQL 8.4 Reference Manual, "Multiple-Column Indexes").
pub(crate) const KEY_COLUMNS_MAX: usize = 16;

/// The table maps in force, by table id; a map that comes again unchanged is not parsed again.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    maps: HashMap<u64, Arc<TableMap>>,
    view: Option<Arc<dyn View>>,
    /// By table id.
    seen: HashMap<u64, Seen>,
}

/// A map that a view was asked about, and how it is seen.
type Seen = (Arc<TableMap>, Option<Arc<dyn TableView>>);

impl Tables {
    /// None yet; [`for_each_item`](super::for_each_item) will show what `view` shows of them.
    pub fn through(view: Option<Arc<dyn View>>) -> Self {
        Self { view, ..Self::default() }
    }

    /// How a table of these is seen.
    pub(super) fn seen(&mut self, map: &Arc<TableMap>) -> Result<Option<Arc<dyn TableView>>, EventError> {
        let Some(view) = &self.view else { return Ok(None) };
        match self.seen.get(&map.table_id) {
            Some((known, seen)) if Arc::ptr_eq(known, map) => Ok(seen.clone()),
            _ => {
                let seen = view.of(map)?;
                self.seen.insert(map.table_id, (map.clone(), seen.clone()));
                Ok(seen)
            }
        }
    }

    /// Takes note of a `Table_map` event.
    pub fn note(&mut self, body: &[u8]) -> Result<&Arc<TableMap>, EventError> {
        let table_id = TableMap::peek_id(body)?;
        Ok(match self.maps.entry(table_id) {
            Entry::Occupied(known) if known.get().body_after_id == body[6..] => known.into_mut(),
            entry => entry.insert(Arc::new(TableMap::decode(body)?)).into_mut(),
        })
    }

    /// Forgets old maps; to be called between transactions only.
    ///
    /// A reopened table gets a new id, so the old ones would pile up without bound.
    pub fn trim(&mut self) {
        if self.maps.len() > 4096 {
            self.maps.clear();
            self.seen.clear();
        }
    }

    /// The map for a rows event, with the columns that the event's images have.
    ///
    /// Fails if before and after image differ in their columns: that is no full image, whatever the table. Fails also for
    /// partial updates, which [`partial::complete`](super::partial::complete) makes whole where events enter Concord.
    pub fn of(&mut self, rows: &RowsEvent<'_>) -> Result<&Arc<TableMap>, EventError> {
        let map = self.layout(rows)?;
        if rows.partial {
            return Err(EventError::PartialUpdate { table: map.full_name() });
        }
        Ok(map)
    }

    /// The same, for partial updates too.
    pub(super) fn layout(&mut self, rows: &RowsEvent<'_>) -> Result<&Arc<TableMap>, EventError> {
        let map = self.maps.get_mut(&rows.table_id).ok_or(EventError::NoTableMap(rows.table_id))?;
        if rows.present != rows.present_after {
            return Err(EventError::PartialImage { table: map.full_name() });
        }
        if rows.width != map.columns.len() {
            return Err(EventError::Malformed {
                event: "rows",
                what: "its width is not that of its table map",
            });
        }
        if rows.present != map.present {
            let mut narrowed = TableMap::clone(map);
            narrowed.present = rows.present.to_vec();
            if narrowed.primary_key.iter().any(|(place, _)| !narrowed.has(*place)) {
                return Err(EventError::PartialImage { table: map.full_name() });
            }
            *map = Arc::new(narrowed);
        }
        Ok(map)
    }
}
