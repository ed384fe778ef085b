//! XA transactions: what is prepared counts from its XA COMMIT, and comes again after a restart.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use extractor::{ExtractError, Limits};
use support::{begin, extract, feed, feed_file, fresh, gtid_of, halt, resume_from, transaction};
use synthetic::{event, gtid, insert, plain_map, query, xid};
use transaction::binlog::{EventError, Item, Tables, for_each_item};
use transaction::record::{Body, Record};
use transaction::{Hlc, RecordKind, Sequence};

const A: &str = "X'61',X'',1";
const B: &str = "X'62',X'',1";

/// The event that ends a prepare, or a commit in one phase.
fn end(one_phase: bool) -> Vec<u8> {
    event(38, 1, &[u8::from(one_phase), 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'a'])
}

fn prepared(number: u64, xid: &str, rows: &[Vec<u8>], one_phase: bool) -> Vec<u8> {
    let (start, stop) = (format!("XA START {xid}"), format!("XA END {xid}"));
    [gtid(1, number, 100), query("", &start), rows.concat(), query("", &stop), end(one_phase)].concat()
}

fn finished(number: u64, commit_us: u64, verb: &str, xid: &str) -> Vec<u8> {
    [gtid(1, number, commit_us), query("", &format!("XA {verb} {xid}"))].concat()
}

fn plain(number: u64, commit_us: u64) -> Vec<u8> {
    [gtid(1, number, commit_us), query("", "BEGIN"), plain_map(), insert(9, 9), xid()].concat()
}

fn rows(n: std::ops::Range<i32>) -> Vec<Vec<u8>> {
    n.flat_map(|id| [plain_map(), insert(id, 1)]).collect()
}

/// How many rows the transaction has that a chain of records ends with.
fn rows_in(records: &[Vec<u8>]) -> usize {
    let (mut tables, mut index, mut count) = (Tables::default(), 0, 0);
    for raw in records {
        let record = Record::decode(raw).unwrap();
        let events = match &record.body {
            Body::Chunk { events, .. } => *events,
            Body::Transaction(body) => body.events,
            other => panic!("{other:?}"),
        };
        for_each_item::<EventError>(events, record.event_checksums, &mut tables, &mut index, &mut |item| {
            if matches!(item, Item::Begin(_)) {
                return Ok(());
            }
            assert!(matches!(item, Item::Change { .. }), "{item:?}");
            count += 1;
            Ok(())
        })
        .unwrap();
    }
    count
}

#[test]
fn what_the_server_writes_of_a_prepare_and_its_commit_becomes_one_transaction() {
    let (result, given) = extract(fresh(), include_bytes!("../../transaction/tests/events/xa.bin"));
    result.unwrap();
    assert_eq!(given.records.len(), 1);
    let (record, body) = transaction(&given.records[0]);
    assert_eq!((record.sequence, body.gtid.number), (Sequence(1), 31), "the GTID of the XA COMMIT");
    assert_eq!(rows_in(&given.records), 1);
    assert_eq!(given.writes.len(), 1, "the index has heard of it once");
}

#[test]
fn a_prepared_transaction_takes_number_and_stamp_when_it_commits() {
    let stream = [
        prepared(1, A, &rows(0..2), false),
        prepared(2, B, &rows(2..3), false),
        plain(3, 500),
        finished(4, 700, "COMMIT", B),
        finished(5, 600, "ROLLBACK", A),
        plain(6, 800),
    ]
    .concat();
    let (mut extractor, recorder) = begin(fresh());
    feed(&mut extractor, &stream).unwrap();
    assert_eq!(extractor.executed().to_string(), "01010101-0101-0101-0101-010101010101:1-6");
    let given = recorder.0.borrow();
    let told: Vec<_> = given
        .records
        .iter()
        .map(|raw| {
            let (record, body) = transaction(raw);
            (record.sequence.0, body.gtid.number, record.hlc, rows_in(std::slice::from_ref(raw)))
        })
        .collect();
    assert_eq!(told, [(1, 3, Hlc(500), 1), (2, 4, Hlc(700), 1), (3, 6, Hlc(800), 1)]);
}

#[test]
fn one_phase_is_a_transaction_like_any_other() {
    let (result, given) = extract(fresh(), &prepared(1, A, &rows(0..3), true));
    result.unwrap();
    assert_eq!((given.records.len(), rows_in(&given.records)), (1, 3));
}

#[test]
fn the_gtid_of_a_prepare_stays_out_of_the_position_until_its_end_so_that_the_server_sends_it_again() {
    let (mut extractor, recorder) = begin(fresh());
    feed(&mut extractor, &[prepared(1, A, &rows(0..2), false), plain(2, 500)].concat()).unwrap();
    extractor.write_position(1).unwrap();
    assert_eq!(extractor.executed().to_string(), "01010101-0101-0101-0101-010101010101:2");
    // Logged, but no position record after it: the restart reads the prepare and the commit again.
    feed(&mut extractor, &finished(3, 600, "COMMIT", A)).unwrap();
    let mut records = recorder.0.borrow().records.clone();
    let resume = resume_from(&records);
    assert!(!resume.executed.contains(gtid_of(1, 1)));
    let (mut again, recorder) = begin(resume);
    let stream = [prepared(1, A, &rows(0..2), false), finished(3, 600, "COMMIT", A), plain(4, 900)].concat();
    feed(&mut again, &stream).unwrap();
    records.extend(recorder.0.borrow().records.clone());
    let sequences: Vec<u64> = records
        .iter()
        .map(|raw| Record::decode(raw).unwrap())
        .filter(|record| record.kind() == RecordKind::Transaction)
        .map(|record| record.sequence.0)
        .collect();
    assert_eq!(sequences, [1, 2, 3]);
    assert_eq!(again.executed().to_string(), "01010101-0101-0101-0101-010101010101:1-4");
}

#[test]
fn a_restart_needs_the_binlog_file_of_the_first_transaction_that_is_prepared() {
    let (mut extractor, recorder) = begin(fresh());
    let mut needed_after = |file: &str, events: &[u8]| {
        feed_file(&mut extractor, file, events).unwrap();
        extractor.write_position(1).unwrap();
        let restart = recorder.0.borrow().restart.clone().unwrap();
        assert_eq!(restart.record.0, recorder.0.borrow().records.len() as u64);
        restart.file
    };
    assert_eq!(needed_after("binlog.000001", &plain(1, 400)), "binlog.000001");
    assert_eq!(needed_after("binlog.000002", &prepared(2, B, &rows(0..2), false)), "binlog.000002");
    assert_eq!(needed_after("binlog.000003", &prepared(3, A, &rows(2..4), false)), "binlog.000002");
    assert_eq!(needed_after("binlog.000004", &finished(4, 600, "COMMIT", B)), "binlog.000003");
    assert_eq!(needed_after("binlog.000005", &finished(5, 700, "ROLLBACK", A)), "binlog.000005");
}

#[test]
fn a_new_connection_forgets_what_was_prepared_since_it_comes_again() {
    let (mut extractor, recorder) = begin(fresh());
    feed(&mut extractor, &prepared(1, A, &rows(0..2), false)).unwrap();
    extractor.reconnect();
    let again = [prepared(1, A, &rows(0..2), false), finished(2, 600, "COMMIT", A)].concat();
    feed(&mut extractor, &again).unwrap();
    assert_eq!(rows_in(&recorder.0.borrow().records), 2);
}

#[test]
fn a_large_one_is_put_aside_and_becomes_a_chain() {
    for one_phase in [false, true] {
        let (extractor, recorder) = begin(fresh());
        let mut extractor = extractor.with_limits(Limits { chunk_len: 1_000, ..Limits::default() });
        feed(&mut extractor, &prepared(1, A, &rows(0..100), one_phase)).unwrap();
        if !one_phase {
            assert!(recorder.0.borrow().records.is_empty(), "nothing of it is logged before it commits");
            feed(&mut extractor, &finished(2, 600, "COMMIT", A)).unwrap();
        }
        let given = recorder.0.borrow();
        assert_eq!(given.spools, 1);
        assert!(given.records.len() > 5);
        assert_eq!(rows_in(&given.records), 100);
        let (_, body) = transaction(given.records.last().unwrap());
        assert_eq!(body.chunks as usize, given.records.len() - 1);
    }
}

#[test]
fn a_commit_of_what_was_prepared_before_the_log_began_halts_and_names_it() {
    let (error, given) = halt(fresh(), &finished(2, 600, "COMMIT", A));
    assert!(matches!(&error, ExtractError::XaUnknown { xid, .. } if xid == A), "{error}");
    assert!(given.records.is_empty());
    let (result, given) = extract(fresh(), &[finished(2, 600, "ROLLBACK", A), plain(3, 700)].concat());
    result.unwrap();
    assert_eq!(given.records.len(), 1, "a rollback of it is nothing");
}

#[test]
fn an_end_without_a_beginning_halts() {
    let stream = [gtid(1, 1, 100), query("", "BEGIN"), plain_map(), insert(1, 1), end(false)].concat();
    let (error, _) = halt(fresh(), &stream);
    assert!(matches!(error, ExtractError::Xa { .. }), "{error}");
}
