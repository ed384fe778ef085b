//! Applied work changed exactly the rows that its marker says.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use extractor::ExtractError;
use support::own::{changed_marker, deletion, marker, place, repairs};
use support::{extract, fresh, halt, name};
use synthetic::{Val, gtid, image, insert, plain_map, query, rows, tagged_gtid, xid};
use transaction::binlog::RowsKind;

fn group(number: u64, rows: &[Vec<u8>]) -> Vec<u8> {
    [gtid(1, number, 100), query("", "BEGIN"), rows.concat(), xid()].concat()
}

/// Events of 2 inserts, 3 deletes and 1 update.
fn six() -> Vec<u8> {
    let row = |id| image(&[Val::Int(id), Val::Int(0)]);
    let several = |kind, ids: &[i32]| {
        let images: Vec<Vec<u8>> = ids.iter().map(|id| row(*id)).collect();
        [plain_map(), rows(kind, 1, 2, &images)].concat()
    };
    [
        several(RowsKind::Write, &[1, 2]),
        several(RowsKind::Delete, &[3, 4, 5]),
        several(RowsKind::Update, &[6, 6]),
    ]
    .concat()
}

#[test]
fn the_last_state_of_the_marker_counts() {
    // At the marker's first change, it still has the number of the transaction before.
    let stream = [
        group(1, &[marker("us", 1, 1, 0), insert(1, 1), marker("us", 1, 1, 1)]),
        group(2, &[marker("us", 2, 2, 1), six(), marker("us", 2, 2, 6)]),
        group(3, &[marker("us", 3, 3, 6), marker("us", 3, 3, 0)]),
    ];
    let (result, given) = extract(fresh(), &stream.concat());
    result.unwrap();
    assert_eq!(given.passed.len(), 3);
}

#[test]
fn another_number_of_rows_halts_and_names_both() {
    for (said, rows) in [(5, six()), (7, six()), (1, Vec::new()), (0, insert(1, 1))] {
        let found = if rows.is_empty() {
            0
        } else if rows == six() {
            6
        } else {
            1
        };
        let stream = group(4, &[marker("us", 2, 2, found), rows, marker("us", 2, 2, said)]);
        let (error, given) = halt(fresh(), &stream);
        let text = error.to_string();
        let ExtractError::RowCount { origin, said: told, found: counted, .. } = error else {
            panic!("{text}")
        };
        assert_eq!((origin, told, counted), (name("us"), said, found));
        assert!(
            text.contains("01010101-0101-0101-0101-010101010101:4") && text.contains("binlog.000001:"),
            "{text}"
        );
        assert!(
            text.contains(&format!("says {said} row changes")) && text.contains(&format!("has {found}.")),
            "{text}"
        );
        assert!(given.passed.is_empty(), "nothing is applied as far as the contexts say");
    }
}

#[test]
fn rows_of_concords_own_tables_do_not_count() {
    let own = repairs(&[(place("us", 1, 1), deletion(1)), (place("us", 1, 1), deletion(2))]);
    let stream = group(1, &[marker("us", 2, 2, 0), insert(1, 1), own, marker("us", 2, 2, 1)]);
    extract(fresh(), &stream).0.unwrap();
}

#[test]
fn book_keeping_of_the_markers_passes() {
    // The first meeting sets a marker; a process that starts takes all of them over; a seed removes them.
    let set = changed_marker(RowsKind::Write, &[("us", 7, 50, 0)]);
    let taken = changed_marker(RowsKind::Update, &[("ap", 3, 9, 0), ("us", 7, 50, 0)]);
    let removed = changed_marker(RowsKind::Delete, &[("us", 7, 50, 4)]);
    let tagged = [tagged_gtid(1, extractor::OWN_TAG, 4, 1), query("", "BEGIN"), set.clone(), xid()].concat();
    let stream = [group(1, &[set]), group(2, &[taken]), group(3, &[removed]), tagged];
    let (result, given) = extract(fresh(), &stream.concat());
    result.unwrap();
    assert!(given.records.is_empty());
    assert_eq!(given.passed.len(), 4);
}

#[test]
fn a_clients_rows_are_not_counted() {
    let stream = [
        group(1, &[marker("us", 1, 1, 0), insert(1, 1), marker("us", 1, 1, 1)]),
        group(2, &[insert(2, 2), insert(3, 3)]),
    ];
    let (result, given) = extract(fresh(), &stream.concat());
    result.unwrap();
    assert_eq!(given.records.len(), 1);
}
