//! Changes of Concord's own tables, as a lane makes them.

use transaction::binlog::{EventKind, RowsKind};
use transaction::{Hlc, RepairPlace, Sequence, WriteId};

use super::name;
use crate::synthetic::{Col, Val, event, image, plain_map, rows, table_map};

/// Table map and change of a row of `concord.marker`, which says so many row changes.
pub fn marker(origin: &str, sequence: u64, hlc: u64, row_changes: u64) -> Vec<u8> {
    changed_marker(RowsKind::Update, &[(origin, sequence, hlc, row_changes)])
}

/// Table map and one rows event for several markers.
pub fn changed_marker(kind: RowsKind, markers: &[(&str, u64, u64, u64)]) -> Vec<u8> {
    let columns = [
        ("lane", Col::Int),
        ("origin", Col::Text(65)),
        ("sequence", Col::Big),
        ("record", Col::Big),
        ("hlc", Col::Big),
        ("changes", Col::Big),
        ("row_changes", Col::Big),
    ];
    let row = |changes, (origin, sequence, hlc, row_changes): (&str, u64, u64, u64)| {
        image(&[
            Val::Int(0),
            Val::Text(origin),
            Val::Big(sequence),
            Val::Big(sequence * 2),
            Val::Big(hlc),
            Val::Big(changes),
            Val::Big(row_changes),
        ])
    };
    let mut images = Vec::new();
    for marker in markers {
        if kind == RowsKind::Update {
            images.push(row(1, *marker));
        }
        images.push(row(2, *marker));
    }
    let map = table_map(2, "concord", "marker", &columns);
    [map, rows(kind, 2, columns.len(), &images)].concat()
}

/// The same event without its checksum.
pub fn unchecked(events: &[u8]) -> Vec<u8> {
    let (mut rest, mut out) = (events, Vec::new());
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[9..13].try_into().unwrap());
        let (event, after) = rest.split_at(len as usize);
        out.extend_from_slice(&event[..9]);
        out.extend_from_slice(&(len - 4).to_le_bytes());
        out.extend_from_slice(&event[13..event.len() - 4]);
        rest = after;
    }
    out
}

/// The place of a repair of the given level, of the write 0 of transaction `sequence` of `origin`.
pub fn place(origin: &str, sequence: u64, level: u8) -> RepairPlace {
    let root =
        WriteId { hlc: Hlc(sequence * 10), origin: name(origin), sequence: Sequence(sequence), index: 0 };
    RepairPlace { root, level }
}

/// Events of a repair: a delete of a row of `r.t`.
pub fn deletion(id: i32) -> Vec<u8> {
    let row = image(&[Val::Int(id), Val::Int(0)]);
    unchecked(&[plain_map(), rows(RowsKind::Delete, 1, 2, &[row])].concat())
}

/// The map of `concord.repair`.
pub fn repair_map() -> Vec<u8> {
    let names = ["id", "root_hlc", "root_origin", "root_sequence", "root_index", "level", "events"];
    let mut body = [3, 0, 0, 0, 0, 0, 1, 0].to_vec();
    for name in ["concord", "repair"] {
        body.push(name.len() as u8);
        body.extend(name.as_bytes());
        body.push(0);
    }
    body.extend([7, 3, 8, 15, 8, 3, 1, 252]);
    // Most bytes of the name, bytes of the blob's length.
    body.extend([3, 32, 0, 4]);
    body.push(0);
    // All numbers are unsigned.
    body.extend([1, 1, 0b1111_1000]);
    let names: Vec<u8> =
        names.iter().flat_map(|name| [&[name.len() as u8][..], name.as_bytes()].concat()).collect();
    body.extend([4, names.len() as u8]);
    body.extend(names);
    body.extend([8, 1, 0]);
    event(EventKind::TableMap as u8, 1, &body)
}

/// A row of `concord.repair`.
pub fn repair_row(id: u32, place: RepairPlace, events: &[u8]) -> Vec<u8> {
    let RepairPlace { root, level } = place;
    let mut row = vec![0];
    row.extend(id.to_le_bytes());
    row.extend(root.hlc.0.to_le_bytes());
    row.push(root.origin.as_str().len() as u8);
    row.extend(root.origin.as_str().as_bytes());
    row.extend(root.sequence.0.to_le_bytes());
    row.extend(root.index.to_le_bytes());
    row.push(level);
    row.extend((events.len() as u32).to_le_bytes());
    row.extend(events);
    row
}

/// Table map and one rows event of `concord.repair`.
pub fn repair_rows(kind: RowsKind, images: &[Vec<u8>]) -> Vec<u8> {
    [repair_map(), rows(kind, 3, 7, images)].concat()
}

/// Repairs as a lane writes them: put in and taken out again.
pub fn repairs(list: &[(RepairPlace, Vec<u8>)]) -> Vec<u8> {
    let images: Vec<Vec<u8>> =
        list.iter().enumerate().map(|(id, (place, events))| repair_row(id as u32, *place, events)).collect();
    [repair_rows(RowsKind::Write, &images), repair_rows(RowsKind::Delete, &images)].concat()
}
