//! What is local, what is applied, what is passed over.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use support::own::marker;
use support::{extract, fresh, gtid_of, name, transaction};
use synthetic::{gtid, insert, query, tagged_gtid, xid};
use transaction::binlog::{EventError, Item, Tables, for_each_item};
use transaction::{Hlc, Sequence};

/// A transaction of the synthetic server 1.
fn group(number: u64, commit_us: u64, rows: &[Vec<u8>]) -> Vec<u8> {
    [gtid(1, number, commit_us), query("", "BEGIN"), rows.concat(), xid()].concat()
}

#[test]
fn local_work_is_recorded_whole_and_stamped_after_the_applied_work_before_it() {
    let stream = [
        group(1, 100, &[insert(1, 1)]),
        group(2, 200, &[marker("us", 7, 5_000, 9), insert(2, 2), marker("us", 7, 5_000, 1)]),
        group(3, 300, &[insert(3, 3)]),
    ];
    let (result, given) = extract(fresh(), &stream.concat());
    result.unwrap();
    assert_eq!(given.records.len(), 2);
    let (first, body) = transaction(&given.records[0]);
    assert_eq!((first.number.0, first.sequence.0, first.hlc), (1, 1, Hlc(100)));
    assert_eq!((body.gtid, body.commit_us, body.chunks), (gtid_of(1, 1), 100, 0));
    assert_eq!(body.events, stream[0]);
    assert_eq!(body.context.get(name("us")), Sequence(0));
    let (second, body) = transaction(&given.records[1]);
    assert_eq!((second.number.0, second.sequence.0, second.hlc), (2, 2, Hlc(5_001)));
    assert_eq!(body.context.get(name("us")), Sequence(7));
    assert_eq!(body.events, stream[2]);
    // The index is told of each before the place beyond it.
    assert_eq!(given.writes, [(1, stream[0].len(), true), (2, stream[2].len(), true)]);
    let ends: Vec<u64> = stream
        .iter()
        .scan(4, |end, group| {
            *end += group.len() as u64;
            Some(*end)
        })
        .collect();
    assert_eq!(given.passed, [(ends[0], 1, 1), (ends[1], 1, 1), (ends[2], 2, 2)]);
}

#[test]
fn all_markers_of_a_transaction_count() {
    let stream = [
        group(1, 100, &[marker("us", 7, 50, 0), marker("ap", 3, 9_000, 0), marker("us", 8, 60, 0)]),
        group(2, 200, &[insert(1, 1)]),
    ];
    let (result, given) = extract(fresh(), &stream.concat());
    result.unwrap();
    let (record, body) = transaction(&given.records[0]);
    assert_eq!(body.context.to_string(), "ap:3,us:8");
    assert_eq!(record.hlc, Hlc(9_001));
}

#[test]
fn applied_work_with_the_tag_of_its_origin_is_applied_work() {
    let stream =
        [tagged_gtid(1, "us", 1, 5), query("", "BEGIN"), marker("us", 1, 5, 1), insert(1, 1), xid()].concat();
    let (result, given) = extract(fresh(), &stream);
    result.unwrap();
    assert!(given.records.is_empty() && given.writes.is_empty());
}

#[test]
fn a_tag_that_is_no_regions_name_is_a_clients_own_business() {
    let stream = [tagged_gtid(1, "batch", 1, 5), query("", "BEGIN"), insert(1, 1), xid()].concat();
    let (result, given) = extract(fresh(), &stream);
    result.unwrap();
    assert_eq!(transaction(&given.records[0]).1.gtid.source.tag.as_str(), "batch");
}

#[test]
fn real_applied_work_is_known_by_its_marker_and_a_long_tag_by_its_text() {
    let (result, given) = extract(fresh(), include_bytes!("../../transaction/tests/events/tagged.bin"));
    result.unwrap();
    assert_eq!(given.records.len(), 1);
    let (_, body) = transaction(&given.records[0]);
    assert_eq!(body.gtid.source.tag.as_str(), "a2345678901234567890123456789012");
    assert_eq!(body.context.to_string(), "us:7");
}

#[test]
fn own_book_keeping_and_empty_transactions_leave_no_record() {
    let (result, given) = extract(fresh(), include_bytes!("../../transaction/tests/events/own.bin"));
    result.unwrap();
    assert!(given.records.is_empty(), "{}", given.records.len());
    let own = synthetic::table_map(5, "concord", "region", &[("id", synthetic::Col::Int)]);
    let row = synthetic::image(&[synthetic::Val::Int(1)]);
    let own = [own, synthetic::rows(transaction::binlog::RowsKind::Write, 5, 1, &[row])].concat();
    let stream = [
        group(1, 100, &[own]),
        [gtid(1, 2, 5), query("", "BEGIN"), query("", "COMMIT")].concat(),
        [gtid(1, 3, 5), query("", "BEGIN"), query("", "ROLLBACK")].concat(),
    ];
    let (result, given) = extract(fresh(), &stream.concat());
    result.unwrap();
    assert!(given.records.is_empty());
    assert_eq!(given.passed.len(), 3);
}

#[test]
fn own_tables_are_made_without_a_record_also_on_a_server_without_tags() {
    let make = "CREATE TABLE IF NOT EXISTS concord.repair (id INT UNSIGNED NOT NULL PRIMARY KEY)";
    let stream = [
        [gtid(1, 1, 5), query("concord", "CREATE DATABASE IF NOT EXISTS concord")].concat(),
        [gtid(1, 2, 5), query("concord", make)].concat(),
        [tagged_gtid(1, "_concord", 1, 5), query("", make)].concat(),
    ];
    let (result, given) = extract(fresh(), &stream.concat());
    result.unwrap();
    assert!(given.records.is_empty() && given.writes.is_empty());
    assert_eq!(given.passed.len(), 3);
}

#[test]
fn account_and_maintenance_statements_leave_no_record() {
    let (result, given) = extract(fresh(), include_bytes!("../../transaction/tests/events/accounts.bin"));
    result.unwrap();
    assert!(given.records.is_empty());
    assert_eq!(given.passed.len(), 7);
}

#[test]
fn ddl_is_recorded_and_create_table_select_together_with_its_rows() {
    let (result, given) = extract(fresh(), include_bytes!("../../transaction/tests/events/ddl.bin"));
    result.unwrap();
    let items: Vec<Vec<String>> = given
        .records
        .iter()
        .map(|record| {
            let (_, body) = transaction(record);
            let mut items = Vec::new();
            for_each_item::<EventError>(body.events, true, &mut Tables::default(), &mut 0, &mut |item| {
                match item {
                    Item::Begin(_) => {}
                    Item::Change { table, .. } => items.push(table.full_name()),
                    Item::Statement { query, .. } => {
                        items.push(String::from_utf8_lossy(query.statement).chars().take(12).collect());
                    }
                }
                Ok(())
            })
            .unwrap();
            items
        })
        .collect();
    assert_eq!(items[0], ["CREATE TABLE"]);
    assert_eq!(items[1][0], "CREATE TABLE");
    assert!(items[1].len() > 1 && items[1][1..].iter().all(|item| item == "r.copied"), "{:?}", items[1]);
    assert_eq!(items[2], ["ALTER TABLE "]);
    assert_eq!(items[3], ["TRUNCATE TAB"]);
    assert_eq!(items[4], ["DROP TABLE `"]);
    assert_eq!(items.len(), 5);
}

#[test]
fn a_temporary_table_dropped_in_mid_transaction_does_not_end_it() {
    let drop = query("r", "DROP TEMPORARY TABLE IF EXISTS `x`");
    let stream = group(1, 100, &[insert(1, 1), drop, insert(2, 2)]);
    let (result, given) = extract(fresh(), &stream);
    result.unwrap();
    assert_eq!(transaction(&given.records[0]).1.events, stream);
}

#[test]
fn compressed_transactions_are_recorded_as_sent_and_stamped_like_others() {
    let compressed = include_bytes!("../../transaction/tests/events/compressed.bin");
    let plain = include_bytes!("../../transaction/tests/events/plain.bin");
    let ((one, compressed_given), (two, plain_given)) =
        (extract(fresh(), compressed), extract(fresh(), plain));
    one.unwrap();
    two.unwrap();
    assert_eq!(compressed_given.records.len(), 4);
    assert_eq!(plain_given.records.len(), 4);
    let sent: Vec<u8> =
        compressed_given.records.iter().flat_map(|record| transaction(record).1.events.to_vec()).collect();
    assert_eq!(sent, compressed);
}

#[test]
fn events_without_checksums_are_recorded_as_such() {
    let stream = include_bytes!("../../transaction/tests/events/unchecked.bin");
    let (mut extractor, recorder) = support::begin(fresh());
    let mut rest = &stream[..];
    while !rest.is_empty() {
        let after = transaction::binlog::Event::split(rest, false).unwrap().1;
        let raw = &rest[..rest.len() - after.len()];
        extractor.on_event(raw, false, extractor::Place::default(), 0).unwrap();
        rest = after;
    }
    let given = recorder.0.borrow();
    let (record, body) = transaction(&given.records[0]);
    assert!(!record.event_checksums);
    assert_eq!(body.events, stream);
}
