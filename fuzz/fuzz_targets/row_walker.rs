//! Table maps and the rows under them: each row is walked, each value decoded, shown, written as SQL and encoded again.
//!
//! The input is pieces of events (`events::assemble`), so that lengths and checksums are right whatever the fuzzer does.
#![no_main]

use concord_fuzz::{bounded, events, seeds};
use libfuzzer_sys::fuzz_target;
use transaction::binlog::{
    Column, EventError, EventKind, Item, RowsEvent, TableMap, Tables, Value, encode_value, for_each_event,
    for_each_item, partial, row_image, row_values,
};
use transaction::{Weights, key_of};

/// What rows of at most 4 KiB may take: SQL and text of a value are longer than its bytes by a factor.
const MEMORY_MAX: usize = 64 << 20;
/// No text of a value is longer than its bytes by this factor, but for what every value costs.
const TEXT_FACTOR: usize = 100;

fuzz_target!(
    init: seeds::write(seeds::BINLOGS.iter().map(|binlog| events::pieces(binlog))),
    |data: &[u8]| bounded::within(MEMORY_MAX, || walk(data))
);

fn walk(data: &[u8]) {
    // Compressed transactions are the concern of the target event_parser.
    let bytes = events::assemble(data, false);
    let mut tables = Tables::default();
    let _ = for_each_item::<EventError>(&bytes, false, &mut tables, &mut 0, &mut |item| {
        if let Item::Change { table, change, .. } = item {
            for image in [change.before, change.after].into_iter().flatten() {
                look(table, image)?;
            }
        }
        Ok(())
    });
    complete(&bytes);
}

fn look(table: &TableMap, image: &[u8]) -> Result<(), EventError> {
    let values = row_values(table, image)?;
    assert_eq!(values.len(), table.columns.len());
    // A value longer than its column can be walked over, but is not written.
    if let Some(again) = row_image(table, &values) {
        assert_eq!(row_values(table, &again)?, values);
    }
    for (column, bytes) in table.columns.iter().zip(&values) {
        let (Some(bytes), Ok(value)) = (bytes, Value::decode(column, *bytes)) else { continue };
        let room = TEXT_FACTOR * (bytes.len() + column.members.iter().map(Vec::len).sum::<usize>() + 1000);
        let (shown, literal, full) = (value.to_string(), value.sql_literal(column), value.full_text());
        assert!(shown.len() < 2000 && literal.len() < room && full.len() < room, "{literal}");
        encode(column, &value, full.as_bytes());
    }
    let _ = key_of(table, image, &Weights::default(), &mut Vec::new());
    Ok(())
}

/// What is shown in the server's own form is read back as the same value.
fn encode(column: &Column, value: &Value, full: &[u8]) {
    let exact = match value {
        Value::Int(_) | Value::UInt(_) | Value::Date(_) | Value::Time(_) | Value::DateTime(_) => true,
        // There are bytes for a zero below zero, which no server writes.
        Value::Decimal(text) => text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)),
        _ => false,
    };
    if let Some(bytes) = encode_value(column, full) {
        assert!(
            !exact || Value::decode(column, Some(&bytes)).as_ref() == Ok(value),
            "{value:?} became {bytes:?}"
        );
    }
}

/// Partial updates made whole are events that the walk takes.
fn complete(bytes: &[u8]) {
    let mut tables = Tables::default();
    let _ = for_each_event::<EventError>(bytes, false, &mut |event| {
        match event.header.kind {
            EventKind::TableMap => tables.note(event.body).map(drop)?,
            EventKind::PartialUpdateRows => {
                if let Ok(whole) = partial::complete(event, false, &mut tables) {
                    for_each_event::<EventError>(&whole, false, &mut |event| {
                        let rows = RowsEvent::decode(event)?;
                        let table = tables.of(&rows)?;
                        for change in rows.changes(table) {
                            let change = change.expect("what was made whole can be read");
                            for image in [change.before, change.after].into_iter().flatten() {
                                look(table, image)?;
                            }
                        }
                        Ok(())
                    })?;
                }
            }
            _ => {}
        }
        Ok(())
    });
}
