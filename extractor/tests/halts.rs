//! What stops the extractor, and that each stop names the transaction and the place.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use extractor::{ExtractError, Limits};
use support::own::marker;
use support::{begin, feed, fresh, gtid_of, halt};
use synthetic::{event, gtid, insert, query, tagged_gtid, xid};
use transaction::Sequence;
use transaction::binlog::EventError;

fn group(number: u64, rows: &[Vec<u8>]) -> Vec<u8> {
    [gtid(1, number, 100), query("", "BEGIN"), rows.concat(), xid()].concat()
}

/// Every halt is told to a person, who must find the transaction.
fn assert_names(error: &ExtractError, gtid: &str) {
    let text = error.to_string();
    assert!(text.contains(gtid) && text.contains("binlog.000001:"), "{text}");
}

const SERVER: &str = "01010101-0101-0101-0101-010101010101";

#[test]
fn statement_dml_halts() {
    let (error, given) = halt(fresh(), include_bytes!("../../transaction/tests/events/statement.bin"));
    let ExtractError::StatementDml { statement, .. } = &error else { panic!("{error}") };
    assert_eq!(error.code(), "statement-format-dml");
    assert_eq!(statement, "INSERT INTO bare VALUES (77, 'text')");
    assert!(error.to_string().contains("binlog_format = ROW"), "{error}");
    assert!(given.records.is_empty());
}

#[test]
fn a_transaction_without_gtid_halts() {
    let (error, _) = halt(fresh(), &event(34, 1, &[0; 60]));
    assert!(matches!(error, ExtractError::Anonymous { .. }), "{error}");
    assert_eq!(error.code(), "transaction-without-gtid");
}

#[test]
fn an_unknown_statement_halts() {
    let (error, _) = halt(fresh(), &[gtid(1, 1, 1), query("r", "FROBNICATE t")].concat());
    assert!(matches!(error, ExtractError::UnknownStatement { .. }), "{error}");
    assert_eq!(error.code(), "event-unknown");
    assert_names(&error, &format!("{SERVER}:1"));
}

#[test]
fn an_unknown_event_type_halts() {
    let (mut extractor, _) = begin(fresh());
    let place = extractor::Place { file: "binlog.000001".into(), offset: 9 };
    let error = extractor.on_event(&event(77, 1, &[]), true, place, 0).unwrap_err();
    assert!(matches!(error, ExtractError::Event { source: EventError::UnknownType(77), .. }), "{error}");
    assert_eq!(error.code(), "event-unknown");
}

#[test]
fn rows_that_end_in_a_rollback_halt() {
    let stream = [gtid(1, 1, 1), query("", "BEGIN"), insert(1, 1), query("", "ROLLBACK")].concat();
    let (error, given) = halt(fresh(), &stream);
    assert!(matches!(error, ExtractError::UnknownStatement { .. }), "{error}");
    assert!(given.records.is_empty());
}

#[test]
fn a_write_in_a_region_that_must_not_write_halts() {
    let mut resume = fresh();
    resume.may_write = false;
    let applied = group(1, &[marker("us", 1, 1, 1), insert(1, 1)]);
    let (error, given) = halt(resume, &[applied, group(2, &[insert(1, 1)])].concat());
    assert!(matches!(error, ExtractError::WriteForbidden { .. }), "{error}");
    assert_eq!(error.code(), "local-write-forbidden");
    assert_names(&error, &format!("{SERVER}:2"));
    assert!(given.records.is_empty());
    assert_eq!(given.passed.len(), 1, "the applied one is no write of this region");
}

#[test]
fn a_marker_of_another_origin_than_the_tag_halts() {
    let stream =
        [tagged_gtid(1, "us", 1, 1), query("", "BEGIN"), marker("ap", 1, 1, 1), insert(1, 1), xid()].concat();
    let (error, _) = halt(fresh(), &stream);
    assert!(
        matches!(error, ExtractError::TagDisagrees { what: "a marker of another origin", .. }),
        "{error}"
    );
    assert_eq!(error.code(), "origin-tag-misused");
    assert_names(&error, &format!("{SERVER}:us:1"));
}

#[test]
fn a_regions_tag_without_its_marker_halts() {
    let stream = [tagged_gtid(1, "us", 1, 1), query("", "BEGIN"), insert(1, 1), xid()].concat();
    let (error, given) = halt(fresh(), &stream);
    assert!(matches!(error, ExtractError::TagDisagrees { what: "no marker", .. }), "{error}");
    assert!(given.records.is_empty());
}

#[test]
fn a_marker_after_other_rows_halts() {
    let (error, given) = halt(fresh(), &group(1, &[insert(1, 1), marker("us", 1, 1, 1)]));
    assert!(matches!(error, ExtractError::MarkerLate { .. }), "{error}");
    assert_eq!(error.code(), "own-schema-written");
    assert_names(&error, &format!("{SERVER}:1"));
    assert!(given.records.is_empty());
}

#[test]
fn a_different_gtid_where_the_log_has_one_halts() {
    let mut resume = fresh();
    resume.logged.push_back((Sequence(1), gtid_of(1, 5)));
    let (error, given) = halt(resume, &group(6, &[insert(1, 1)]));
    let ExtractError::HistoryDiffers { sequence, logged, found, .. } = &error else { panic!("{error}") };
    assert_eq!(*sequence, Sequence(1));
    assert_eq!([logged, found], [&gtid_of(1, 5).to_string(), &gtid_of(1, 6).to_string()]);
    assert!(given.records.is_empty() && given.writes.is_empty());
}

#[test]
fn another_sequence_number_where_the_log_has_one_halts_without_a_chunk_of_it() {
    let mut resume = fresh();
    resume.logged.push_back((Sequence(9), gtid_of(1, 5)));
    let (extractor, recorder) = begin(resume);
    let mut extractor = extractor.with_limits(Limits { chunk_len: 50, ..Limits::default() });
    let error = feed(&mut extractor, &group(5, &[insert(1, 1), insert(2, 2)])).unwrap_err();
    assert!(matches!(error, ExtractError::HistoryDiffers { .. }), "{error}");
    assert_eq!(error.code(), "binlog-history-differs");
    assert!(recorder.0.borrow().records.is_empty());
}

#[test]
fn partial_images_and_missing_metadata_halt() {
    for (stream, want) in [
        (&include_bytes!("../../transaction/tests/events/minimal_update.bin")[..], "binlog_row_image = FULL"),
        (include_bytes!("../../transaction/tests/events/minimal_metadata.bin"), "binlog_row_metadata = FULL"),
    ] {
        let (error, _) = halt(fresh(), stream);
        assert!(error.to_string().contains(want), "{error}");
        assert!(error.to_string().contains("binlog.000001:"), "{error}");
    }
}

#[test]
fn damage_in_a_compressed_transaction_halts_with_its_gtid_and_place() {
    let stream = include_bytes!("../../transaction/tests/events/compressed.bin");
    let mut events = support::split(stream, 0);
    let gtid_event = events.remove(0).0;
    let payload = events.remove(0).0;
    let body = &payload[19..payload.len() - 14];
    let (error, _) = halt(fresh(), &[gtid_event, &event(40, 1, body)].concat());
    assert!(matches!(error, ExtractError::Event { source: EventError::Payload(_), .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(":17") || text.contains("transaction "), "{text}");
    assert!(text.contains("binlog.000001:") && !text.contains("transaction none"), "{text}");
}

#[test]
fn bytes_after_an_event_halt() {
    let (mut extractor, _) = begin(fresh());
    let two = [gtid(1, 1, 1), xid()].concat();
    let error = extractor.on_event(&two, true, extractor::Place::default(), 0).unwrap_err();
    assert!(error.to_string().contains("bytes follow it"), "{error}");
}

#[test]
fn events_out_of_order_halt() {
    for stream in [xid(), insert(1, 1), [gtid(1, 1, 1), gtid(1, 2, 1)].concat()] {
        let (error, _) = halt(fresh(), &stream);
        assert!(matches!(error, ExtractError::Order { .. }), "{error}");
        assert_eq!(error.code(), "event-unknown");
    }
}

#[test]
fn an_event_that_no_target_could_take_halts_with_its_table() {
    let (extractor, recorder) = begin(fresh());
    let mut extractor = extractor.with_limits(Limits { event_len_max: 100, ..Limits::default() });
    let map = synthetic::plain_map();
    let many: Vec<Vec<u8>> =
        (0..20).map(|id| synthetic::image(&[synthetic::Val::Int(id), synthetic::Val::Int(0)])).collect();
    let rows = synthetic::rows(transaction::binlog::RowsKind::Write, 1, 2, &many);
    let error = feed(&mut extractor, &group(1, &[map, rows])).unwrap_err();
    let ExtractError::TooLarge { event: "Write_rows", table, .. } = &error else { panic!("{error}") };
    assert_eq!(error.code(), "event-too-large");
    assert_eq!(table, "r.t");
    assert!(recorder.0.borrow().records.is_empty());
}

#[test]
fn after_a_halt_in_mid_transaction_a_reconnect_gives_the_same_stamp_again() {
    let (extractor, recorder) = begin(fresh());
    let mut extractor = extractor.with_limits(Limits { chunk_len: 50, ..Limits::default() });
    let whole = group(1, &[insert(1, 1), insert(2, 2), insert(3, 3)]);
    // A chunk is in the log when the next event fails.
    let broken = [&whole[..whole.len() - xid().len()], &query("r", "FROBNICATE t")].concat();
    feed(&mut extractor, &broken).unwrap_err();
    assert!(!recorder.0.borrow().records.is_empty());
    extractor.reconnect();
    recorder.0.borrow_mut().records.clear();
    // Nor does a log that fails lose a number.
    recorder.0.borrow_mut().broken = true;
    feed(&mut extractor, &group(1, &[])).unwrap();
    let error = feed(&mut extractor, &group(2, &[insert(1, 1)])).unwrap_err();
    assert_eq!(error.code(), support::DISK_FULL, "what the log says goes on as it is");
    extractor.reconnect();
    recorder.0.borrow_mut().records.clear();
    feed(&mut extractor, &group(2, &[insert(1, 1)])).unwrap();
    let given = recorder.0.borrow();
    let (record, _) = support::transaction(given.records.last().unwrap());
    assert_eq!(record.sequence, Sequence(1));
}
