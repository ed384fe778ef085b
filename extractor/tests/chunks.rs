//! Large transactions: a chain of chunks, whatever breaks in the middle of it.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use extractor::{Extractor, Limits, Place};
use support::own::marker;
use support::{Recorder, begin, feed, fresh, split, transaction};
use synthetic::{gtid, insert, query, xid};
use transaction::record::{Body, Record};
use transaction::{Hlc, RecordNumber, Sequence};

/// Chunks of two inserts.
const SMALL: usize = 250;

fn large(number: u64) -> Vec<u8> {
    let rows: Vec<u8> = (0..9).flat_map(|id| insert(id, 0)).collect();
    [gtid(1, number, 100), query("", "BEGIN"), rows, xid()].concat()
}

fn small_chunks() -> (Extractor<Recorder>, Recorder) {
    let (extractor, recorder) = begin(fresh());
    (extractor.with_limits(Limits { chunk_len: SMALL, ..Limits::default() }), recorder)
}

/// Indices of the chunks at the end of a log, and all events of the chain that its last record ends.
fn chain(records: &[Vec<u8>]) -> (Vec<u32>, Vec<u8>) {
    let (end, body) = transaction(records.last().unwrap());
    let mut events = Vec::new();
    let mut indices = Vec::new();
    for raw in &records[records.len() - 1 - body.chunks as usize..records.len() - 1] {
        let record = Record::decode(raw).unwrap();
        assert_eq!((record.sequence, record.hlc), (Sequence(0), end.hlc));
        let Body::Chunk { index, events: part } = record.body else { panic!("{:?}", record.kind()) };
        indices.push(index);
        events.extend(part);
    }
    events.extend(body.events);
    (indices, events)
}

#[test]
fn a_large_transaction_is_a_chain_of_chunks_that_join_to_its_events() {
    let (mut extractor, recorder) = small_chunks();
    feed(&mut extractor, &large(1)).unwrap();
    let given = recorder.0.borrow();
    let (indices, events) = chain(&given.records);
    assert!(indices.len() > 2, "{indices:?}");
    assert_eq!(indices, (0..indices.len() as u32).collect::<Vec<_>>());
    assert_eq!(events, large(1));
    let numbers: Vec<u64> = given.records.iter().map(|raw| Record::decode(raw).unwrap().number.0).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    // The index gets the same parts, the last one marked; the place beyond comes after all of them, once.
    assert_eq!(given.writes.iter().map(|(_, len, _)| len).sum::<usize>(), events.len());
    let last: Vec<bool> = given.writes.iter().map(|(_, _, last)| *last).collect();
    assert_eq!(last.iter().filter(|last| **last).count(), 1);
    assert_eq!(last.last(), Some(&true));
    assert_eq!(given.passed.len(), 1);
}

#[test]
fn memory_holds_no_more_than_a_chunk_and_an_event() {
    let (mut extractor, recorder) = small_chunks();
    feed(&mut extractor, &large(1)).unwrap();
    for raw in &recorder.0.borrow().records {
        assert!(raw.len() < SMALL + 400, "{}", raw.len());
    }
}

#[test]
fn a_large_applied_transaction_is_not_kept_at_all() {
    let (mut extractor, recorder) = small_chunks();
    let rows: Vec<u8> = (0..50).flat_map(|id| insert(id, 0)).collect();
    let stream = [gtid(1, 1, 100), query("", "BEGIN"), marker("us", 1, 1, 50), rows, xid()].concat();
    feed(&mut extractor, &stream).unwrap();
    let given = recorder.0.borrow();
    assert!(given.records.is_empty() && given.writes.is_empty());
}

#[test]
fn a_connection_lost_anywhere_in_a_large_transaction_gives_the_same_stamp_and_events_again() {
    let stream = [large(1), large(2)].concat();
    let (mut whole, reference) = small_chunks();
    feed(&mut whole, &stream).unwrap();
    let reference = reference.0.borrow();
    let (expected, expected_body) = transaction(reference.records.last().unwrap());
    for cut in 0..split(&stream, 0).len() {
        let (mut extractor, recorder) = small_chunks();
        let some: Vec<u8> = split(&stream, 0)[..cut].iter().flat_map(|(raw, _)| raw.to_vec()).collect();
        feed(&mut extractor, &some).unwrap();
        extractor.reconnect();
        assert_eq!(recorder.0.borrow().forgets, 1);
        let again: Vec<u8> = support::groups(&stream, extractor.executed())
            .into_iter()
            .flat_map(|(_, group)| group.to_vec())
            .collect();
        feed(&mut extractor, &again).unwrap();
        let given = recorder.0.borrow();
        let (record, body) = transaction(given.records.last().unwrap());
        assert_eq!((record.sequence, record.hlc), (expected.sequence, expected.hlc), "after {cut} events");
        assert_eq!(body, expected_body);
        let (indices, events) = chain(&given.records);
        assert_eq!(indices, (0..body.chunks).collect::<Vec<_>>());
        assert_eq!(events, large(2));
        // What is left of the chain that broke is directly before, and each transaction is there once.
        let ends = given.records.iter().map(|raw| Record::decode(raw).unwrap());
        let sequences: Vec<u64> =
            ends.filter(|record| record.sequence.0 > 0).map(|record| record.sequence.0).collect();
        assert_eq!(sequences, [1, 2]);
    }
}

#[test]
fn no_position_record_stands_inside_a_chain() {
    let (mut extractor, recorder) = small_chunks();
    for (at, (raw, offset)) in split(&large(1), 4).into_iter().enumerate() {
        let place = Place { file: "binlog.000001".into(), offset };
        // The clock runs on, so a position record is always due.
        extractor.on_event(raw, true, place, at as u64 * 10_000_000).unwrap();
        extractor.on_idle(at as u64 * 10_000_000 + 5_000_000).unwrap();
    }
    let given = recorder.0.borrow();
    let (position, chain_records) = given.records.split_last().unwrap();
    let (indices, events) = chain(chain_records);
    assert_eq!(indices.len() + 2, given.records.len());
    assert_eq!(events, large(1));
    let record = Record::decode(position).unwrap();
    assert_eq!((record.number, record.hlc), (RecordNumber(given.records.len() as u64), Hlc(100)));
    assert!(matches!(record.body, Body::Position(_)));
}
