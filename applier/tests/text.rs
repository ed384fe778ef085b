//! Every `BINLOG` text stands alone: a rows event without its table map in the same text crashes the server.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use std::sync::Arc;

use applier::text::{RowsText, format_description};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use support::table;
use synthetic::{Col, Val, image, table_map};
use transaction::binlog::{
    Event, EventError, EventKind, Item, RowsEvent, RowsKind, TableMap, Tables, for_each_item,
};

/// A row change: kind, flags, timestamp, and its images joined.
type Change = (RowsKind, u16, u32, Option<Vec<u8>>, Option<Vec<u8>>, String);

/// The events of a statement.
fn events(statement: &str) -> Vec<u8> {
    let text = statement.strip_prefix("BINLOG '").and_then(|rest| rest.strip_suffix('\'')).unwrap();
    BASE64_STANDARD.decode(text).unwrap()
}

/// Fails unless the text stands alone; returns how many rows events it has.
fn assert_stands_alone(events: &[u8]) -> usize {
    let (mut rest, mut map, mut count, mut last_flags) = (events, None, 0, 0);
    while !rest.is_empty() {
        let (event, after) = Event::split(rest, false).unwrap();
        match event.header.kind {
            EventKind::TableMap => {
                assert_eq!(map, None, "a table map that no rows event follows");
                map = Some(TableMap::decode(event.body).unwrap().table_id);
            }
            EventKind::WriteRows | EventKind::UpdateRows | EventKind::DeleteRows => {
                let rows = RowsEvent::decode(event).unwrap();
                assert_eq!(
                    map.take(),
                    Some(rows.table_id),
                    "a rows event that does not follow its table map"
                );
                last_flags = rows.flags;
                count += 1;
            }
            other => panic!("{other:?} in a text"),
        }
        rest = after;
    }
    assert_eq!(map, None, "a table map at the end");
    assert_eq!(last_flags & 1, 1, "the last rows event does not end its statement");
    count
}

fn changes(events: &[u8]) -> Vec<Change> {
    let mut out = Vec::new();
    for_each_item::<EventError>(events, false, &mut Tables::default(), &mut 0, &mut |item| {
        let Item::Change { table, flags, timestamp, change, .. } = item else { panic!() };
        let kind = match (change.before, change.after) {
            (None, _) => RowsKind::Write,
            (_, None) => RowsKind::Delete,
            _ => RowsKind::Update,
        };
        let (before, after) = (change.before.map(<[u8]>::to_vec), change.after.map(<[u8]>::to_vec));
        out.push((kind, flags & !1, timestamp, before, after, table.full_name()));
        Ok(())
    })
    .unwrap();
    out
}

fn tables() -> Vec<Arc<TableMap>> {
    vec![
        table(&synthetic::plain_map()),
        table(&table_map(77, "r", "text", &[("id", Col::Int), ("t", Col::Text(46))])),
        // The same table once more, as another transaction's map: another value, equal in content.
        table(&synthetic::plain_map()),
    ]
}

fn row(table: usize, id: i32, len: usize) -> Vec<u8> {
    match table {
        1 => image(&[Val::Int(id), Val::Text(&"x".repeat(len))]),
        _ if len == 0 => image(&[Val::Int(id), Val::Null]),
        _ => image(&[Val::Int(id), Val::Int(len as i32)]),
    }
}

fn kind() -> impl Strategy<Value = RowsKind> {
    prop::sample::select(vec![RowsKind::Write, RowsKind::Update, RowsKind::Delete])
}

fn push(text: &mut RowsText, table: &Arc<TableMap>, change: &Change) {
    let (kind, flags, timestamp, before, after, _) = change;
    let images: Vec<&[u8]> = [before, after].into_iter().flatten().map(Vec::as_slice).collect();
    text.push(table, *kind, *flags, *timestamp, &images);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_text_stands_alone_and_says_what_was_put_in(
        pushes in prop::collection::vec((0usize..3, kind(), 0u16..8, 0u32..3, any::<i32>(), 0usize..100, prop::bool::weighted(0.1)), 1..60),
    ) {
        let tables = tables();
        let mut text = RowsText::default();
        let (mut put, mut collected) = (Vec::new(), Vec::new());
        for (at, (place, kind, flags, timestamp, id, len, take)) in pushes.iter().enumerate() {
            let image = || Some(row(*place, *id, *len));
            let (before, after) = match kind {
                RowsKind::Write => (None, image()),
                RowsKind::Delete => (image(), None),
                RowsKind::Update => (image(), Some(row(*place, *id, (*len + 1) % 100))),
            };
            // Of the flags, only the checks are passed on.
            let change = (*kind, flags & 6, *timestamp, before, after, tables[*place].full_name());
            let given = (*kind, *flags, *timestamp, change.3.clone(), change.4.clone(), String::new());
            push(&mut text, &tables[*place], &given);
            prop_assert!(!text.is_empty());
            put.push(change);
            if *take || at + 1 == pushes.len() {
                let (statement, count) = text.take_statement();
                let events = events(&statement);
                assert_stands_alone(&events);
                let said = changes(&events);
                prop_assert_eq!(said.len() as u64, count);
                collected.extend(said);
                prop_assert_eq!((text.is_empty(), text.len()), (true, 0));
            }
        }
        prop_assert_eq!(collected, put);
    }
}

#[test]
fn changes_of_one_table_and_kind_share_an_event() {
    let table = table(&synthetic::plain_map());
    let mut text = RowsText::default();
    for id in 0..100 {
        text.push(&table, RowsKind::Write, 0, 5, &[&row(0, id, 1)]);
    }
    text.push(&table, RowsKind::Delete, 0, 5, &[&row(0, 1, 1)]);
    let (statement, count) = text.take_statement();
    assert_eq!((assert_stands_alone(&events(&statement)), count), (2, 101));
}

#[test]
fn a_rows_event_is_closed_when_it_is_long() {
    let table = &tables()[1];
    let mut text = RowsText::default();
    for id in 0..8000 {
        text.push(table, RowsKind::Write, 0, 5, &[&row(1, id, 99)]);
    }
    let (statement, count) = text.take_statement();
    let events = events(&statement);
    assert!(assert_stands_alone(&events) > 2);
    assert_eq!((changes(&events).len() as u64, count), (8000, 8000));
}

#[test]
fn a_table_of_more_columns_than_a_byte_counts_is_said_right() {
    let mut wide = TableMap::clone(&table(&synthetic::plain_map()));
    let column = wide.columns[1].clone();
    wide.columns.resize(300, column);
    wide.present = transaction::binlog::full_bitmap(300);
    let mut text = RowsText::default();
    let image = vec![0xff; 38];
    text.push(&Arc::new(wide), RowsKind::Delete, 0, 5, &[&image]);
    let events = events(&text.take_statement().0);
    let (_, rest) = Event::split(&events, false).unwrap();
    let body = Event::split(rest, false).unwrap().0.body;
    assert_eq!(body[10..13], [0xfc, 44, 1], "300 as a length-encoded integer");
    assert_eq!(&body[13..], [transaction::binlog::full_bitmap(300), image].concat());
}

#[test]
fn rows_without_their_virtual_columns_are_sent_on_as_they_came() {
    let mut narrow = TableMap::clone(&table(&synthetic::plain_map()));
    narrow.present = vec![1];
    let mut text = RowsText::default();
    let image = [&[0u8][..], &7i32.to_le_bytes()].concat();
    text.push(&Arc::new(narrow), RowsKind::Update, 0, 5, &[&image, &image]);
    let events = events(&text.take_statement().0);
    assert_stands_alone(&events);
    assert_eq!(
        changes(&events),
        [(RowsKind::Update, 0, 5, Some(image.clone()), Some(image), "r.t".to_owned())]
    );
}

#[test]
fn the_first_text_of_a_session_is_one_format_description_without_checksums() {
    let events = events(&format_description());
    let (event, rest) = Event::split(&events, false).unwrap();
    assert_eq!((event.header.kind, rest.len()), (EventKind::FormatDescription, 0));
    // Version 4, header length 19 after version text and time, algorithm 0 before the four bytes of the checksum.
    assert_eq!((event.body[0], event.body[56]), (4, 19));
    assert_eq!(event.body[event.body.len() - 5..], [0; 5]);
}
