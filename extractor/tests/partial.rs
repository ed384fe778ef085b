//! Partial JSON updates: nothing behind the extractor knows of them.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use extractor::{ExtractError, Limits, Place};
use support::{Given, begin, extract, feed, fresh, halt, split, transaction};
use transaction::binlog::{
    Event, EventError, EventKind, Item, Tables, for_each_event, for_each_item, partial,
};

const UPDATES: &[u8] = include_bytes!("../../transaction/tests/events/partial_updates.bin");
const COMPRESSED: &[u8] = include_bytes!("../../transaction/tests/events/partial_compressed.bin");

fn kinds(events: &[u8]) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    for_each_event::<EventError>(events, true, &mut |event| {
        kinds.push(event.header.kind);
        Ok(())
    })
    .unwrap();
    kinds
}

fn whole(kinds: Vec<EventKind>) -> Vec<EventKind> {
    let whole = |kind| if kind == EventKind::PartialUpdateRows { EventKind::UpdateRows } else { kind };
    kinds.into_iter().map(whole).collect()
}

/// All that the log has, and how many rows it changes.
fn logged(given: &Given) -> (Vec<u8>, u32) {
    let events: Vec<u8> =
        given.records.iter().flat_map(|record| transaction(record).1.events.to_vec()).collect();
    let mut count = 0;
    let counted =
        for_each_item::<EventError>(&events, true, &mut Tables::default(), &mut count, &mut |item| {
            if matches!(item, Item::Begin(_)) {
                return Ok(());
            }
            assert!(matches!(item, Item::Change { .. }), "{item:?}");
            Ok(())
        });
    counted.unwrap();
    (events, count)
}

#[test]
fn partial_updates_are_recorded_as_updates_of_whole_rows() {
    let (result, given) = extract(fresh(), UPDATES);
    result.unwrap();
    let (events, changes) = logged(&given);
    assert_eq!(kinds(&events), whole(kinds(UPDATES)));
    assert!(kinds(UPDATES).contains(&EventKind::PartialUpdateRows));
    assert!(changes > 30, "{changes}");
    // The history is given the same events.
    assert_eq!(given.writes.iter().map(|(_, len, _)| len).sum::<usize>(), events.len());
}

#[test]
fn partial_updates_in_a_compressed_transaction_leave_it_compressed() {
    let (result, given) = extract(fresh(), COMPRESSED);
    result.unwrap();
    let (events, changes) = logged(&given);
    assert_eq!(kinds(&events), whole(kinds(COMPRESSED)));
    assert_eq!(changes, 2 + 4 + 1 + 5);
    let outer = |stream| -> Vec<EventKind> {
        split(stream, 0).iter().map(|(raw, _)| Event::split(raw, true).unwrap().0.header.kind).collect()
    };
    assert_eq!(outer(&events), outer(COMPRESSED));
    assert!(outer(&events).contains(&EventKind::TransactionPayload));
    // The second transaction has none, and is recorded as it was sent.
    let (first, second) = (split(COMPRESSED, 0)[1].0, split(COMPRESSED, 0)[3].0);
    assert!(events.ends_with(second));
    assert!(!events.windows(first.len()).any(|part| part == first));
}

#[test]
fn partial_updates_without_checksums_are_made_whole_without_them() {
    let (mut extractor, recorder) = begin(fresh());
    for (raw, offset) in split(UPDATES, 0) {
        let mut bare = raw[..raw.len() - 4].to_vec();
        bare[9..13].copy_from_slice(&(raw.len() as u32 - 4).to_le_bytes());
        extractor.on_event(&bare, false, Place { file: "binlog.000001".into(), offset }, 0).unwrap();
    }
    let (mut tables, mut changes) = (Tables::default(), 0);
    for record in &recorder.0.borrow().records {
        let (record, body) = transaction(record);
        assert!(!record.event_checksums);
        for_each_item::<EventError>(body.events, false, &mut tables, &mut changes, &mut |_| Ok(())).unwrap();
    }
    let (_, with) = logged(&extract(fresh(), UPDATES).1);
    assert_eq!(changes, with);
}

#[test]
fn an_update_that_is_too_long_when_whole_halts_with_its_table() {
    // The first partial update is short, and its row long.
    let (mut tables, mut lens) = (Tables::default(), None);
    for_each_event::<EventError>(UPDATES, true, &mut |event| {
        match event.header.kind {
            EventKind::TableMap => tables.note(event.body).map(drop)?,
            EventKind::PartialUpdateRows if lens.is_none() => {
                let whole = partial::complete(event, true, &mut tables)?;
                lens = Some((event.body.len(), Event::split(&whole, true)?.0.body.len()));
            }
            _ => {}
        }
        Ok(())
    })
    .unwrap();
    let (short, long) = lens.unwrap();
    assert!(short < long);
    let (extractor, _) = begin(fresh());
    let mut extractor = extractor.with_limits(Limits { event_len_max: long - 1, ..Limits::default() });
    let error = feed(&mut extractor, UPDATES).unwrap_err();
    let ExtractError::TooLarge { table, len, .. } = &error else { panic!("{error}") };
    assert_eq!((table.as_str(), *len), ("r.doc", long));
}

#[test]
fn an_update_that_does_not_fit_its_row_halts_with_table_column_gtid_and_place() {
    let mut stream = Vec::new();
    for (raw, _) in split(UPDATES, 0) {
        let mut event = raw[..raw.len() - 4].to_vec();
        if let Some(at) = event.windows(3).rposition(|three| three == b"$.n").filter(|_| event[4] == 39) {
            event[at + 2] = b'?';
        }
        let sum = crc32fast::hash(&event);
        stream.extend(event);
        stream.extend(sum.to_le_bytes());
    }
    let (error, given) = halt(fresh(), &stream);
    let text = error.to_string();
    for want in ["r.doc", "column a", "binlog_row_value_options = ''", "binlog.000001:", "transaction "] {
        assert!(text.contains(want), "{want}: {text}");
    }
    assert!(given.records.is_empty() && !text.contains("transaction none"), "{text}");
}
