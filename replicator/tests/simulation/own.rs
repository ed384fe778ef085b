//! Changes of Concord's own tables, as the simulated server writes them into its binlog.

use transaction::RepairPlace;
use transaction::binlog::{EventKind, RowsKind};

use super::synthetic::{Col, Val, event, image, rows, table_map};

/// Table map and change of a row of `concord.marker`, which says so many row changes.
pub(crate) fn marker(origin: &str, lane: u16, sequence: u64, hlc: u64, row_changes: u64) -> Vec<u8> {
    let columns = [
        ("lane", Col::Int),
        ("origin", Col::Text(65)),
        ("sequence", Col::Big),
        ("record", Col::Big),
        ("hlc", Col::Big),
        ("changes", Col::Big),
        ("row_changes", Col::Big),
    ];
    let row = |changes| {
        image(&[
            Val::Int(lane.into()),
            Val::Text(origin),
            Val::Big(sequence),
            Val::Big(sequence * 2),
            Val::Big(hlc),
            Val::Big(changes),
            Val::Big(row_changes),
        ])
    };
    let map = table_map(2, "concord", "marker", &columns);
    [map, rows(RowsKind::Update, 2, columns.len(), &[row(1), row(2)])].concat()
}

/// The map of `concord.repair`.
fn repair_map() -> Vec<u8> {
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
pub(crate) fn repair_row(id: u32, place: RepairPlace, events: &[u8]) -> Vec<u8> {
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
pub(crate) fn repair_rows(kind: RowsKind, images: &[Vec<u8>]) -> Vec<u8> {
    [repair_map(), rows(kind, 3, 7, images)].concat()
}
