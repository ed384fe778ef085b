//! Rows pass only between tables that are equal, column by column.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use applier::definitions::Definition;
use synthetic::{Col, table_map};
use transaction::binlog::{ColumnType, TableMap};

fn map() -> TableMap {
    let columns = [("id", Col::Int), ("b", Col::Big), ("t", Col::Text(255))];
    TableMap::clone(&support::table(&table_map(1, "r", "t", &columns)))
}

/// The target's table as the origin has it.
fn equal(map: &TableMap) -> Definition {
    Definition {
        columns: map.columns.clone(),
        primary_key: map.primary_key.iter().map(|(at, _)| map.columns[*at].name.clone()).collect(),
        engine: "InnoDB".into(),
        ..Definition::default()
    }
}

#[test]
fn equal_tables_pass_and_whether_a_column_may_be_null_does_not_matter() {
    let map = map();
    assert_eq!(equal(&map).compare(&map), Ok(()));
    let mut nullable = equal(&map);
    nullable.columns[1].nullable = !nullable.columns[1].nullable;
    assert_eq!(nullable.compare(&map), Ok(()));
}

#[test]
fn every_difference_is_refused_and_said() {
    type Change = fn(&mut Definition);
    let cases: [(Change, &str); 11] = [
        (|d| d.columns[1].name = "x".into(), "column 2 is `x` here and `b` at the origin"),
        (|d| d.columns.swap(1, 2), "column 2 is `t` here and `b` at the origin"),
        (|d| d.columns[1].kind = ColumnType::Int(4), "column `b` is Int(4) unsigned"),
        (|d| d.columns[1].unsigned = false, "column `b` is Int(8) with"),
        (|d| d.columns[2].kind = ColumnType::VarChar(100), "column `t` is VarChar(100)"),
        (|d| d.columns[2].collation = 46, "collation id 46 here"),
        (|d| d.columns[2].members = vec![b"m".to_vec()], "of (m) here"),
        (|d| d.columns.truncate(2), "2 columns here, 3 at the origin"),
        (
            |d| {
                let more = d.columns[0].clone();
                d.columns.push(more);
            },
            "4 columns here, 3 at the origin",
        ),
        (|d| d.primary_key = vec!["b".into()], "primary key is (b) here and (id) at the origin"),
        (|d| d.primary_key.clear(), "primary key is () here and (id) at the origin"),
    ];
    let map = map();
    for (change, want) in cases {
        let mut here = equal(&map);
        change(&mut here);
        let drift = here.compare(&map).unwrap_err();
        assert!(drift.difference.contains(want), "{want:?} is not in {:?}", drift.difference);
        assert!(drift.to_string().contains("table r.t"), "{drift}");
    }
}

#[test]
fn the_order_of_a_keys_columns_matters() {
    let mut map = map();
    map.primary_key = vec![(1, 0), (0, 0)];
    let mut here = equal(&map);
    assert_eq!(here.compare(&map), Ok(()));
    here.primary_key.reverse();
    assert!(here.compare(&map).unwrap_err().difference.contains("(id, b) here and (b, id)"));
}

#[test]
fn only_virtual_columns_may_be_missing_in_row_images() {
    let mut map = map();
    map.present = vec![0b101];
    let mut here = equal(&map);
    let drift = here.compare(&map).unwrap_err();
    assert!(drift.difference.contains("column `b` is not in the origin's row images"), "{drift}");
    assert!(drift.difference.contains("binlog_row_image"), "{drift}");
    here.virtual_columns = vec![1];
    assert_eq!(here.compare(&map), Ok(()));
}

#[test]
fn real_rows_with_a_virtual_column_and_a_key_in_another_order_fit_their_table() {
    let events = include_bytes!("../../transaction/tests/events/plain.bin");
    let mut pair = None;
    let mut tables = transaction::binlog::Tables::default();
    transaction::binlog::for_each_item::<transaction::binlog::EventError>(
        events,
        true,
        &mut tables,
        &mut 0,
        &mut |item| {
            if let transaction::binlog::Item::Change { table, .. } = item
                && table.table == "pair"
            {
                pair = Some(TableMap::clone(table));
            }
            Ok(())
        },
    )
    .unwrap();
    let pair = pair.unwrap();
    let here = equal(&pair);
    assert_eq!(here.primary_key, ["b", "a"]);
    // The server wrote the virtual column too; the bits beyond the last column are set.
    assert_eq!((pair.absent().count(), pair.present.as_slice()), (0, &[0xff][..]));
    assert_eq!(here.compare(&pair), Ok(()));
}
