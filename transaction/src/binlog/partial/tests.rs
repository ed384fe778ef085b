//! Partial updates of a real server (`tests/events/partial_updates.sql` says how they were made), against what the server made
//! of the rows itself.

use super::*;
use crate::binlog::{Item, for_each_event, for_each_item, row_values};

const UPDATES: &[u8] = include_bytes!("../../../tests/events/partial_updates.bin");
const COMPRESSED: &[u8] = include_bytes!("../../../tests/events/partial_compressed.bin");

/// The values of an image; documents without the gaps that changes in place leave in them.
fn values(table: &TableMap, image: &[u8]) -> Vec<Option<Vec<u8>>> {
    let columns = table.columns.iter().zip(row_values(table, image).unwrap());
    let value = |(column, value): (&crate::binlog::Column, Option<&[u8]>)| {
        value.map(|value| match column.kind {
            ColumnType::Json(_) => json::without_gaps(value),
            _ => value.to_vec(),
        })
    };
    columns.map(value).collect()
}

/// Before and after images of each update, event by event.
type Images = Vec<(Vec<Option<Vec<u8>>>, Vec<Option<Vec<u8>>>)>;

fn images(table: &TableMap, event: Event<'_>) -> Images {
    let rows = RowsEvent::decode(event).unwrap();
    let changes = rows.changes(table).map(Result::unwrap);
    changes
        .map(|change| (values(table, change.before.unwrap()), values(table, change.after.unwrap())))
        .collect()
}

#[test]
fn what_a_server_changed_in_part_becomes_what_it_made_of_the_rows() {
    let mut tables = Tables::default();
    let mut changed: Option<Images> = None;
    let (mut events, mut differing) = (0, 0);
    for_each_event::<EventError>(UPDATES, true, &mut |event| {
        match event.header.kind {
            EventKind::TableMap => tables.note(event.body).map(drop)?,
            EventKind::PartialUpdateRows => {
                let whole = complete(event, true, &mut tables)?;
                let (whole, rest) = Event::split(&whole, true)?;
                assert!(rest.is_empty());
                let header = EventHeader { kind: EventKind::UpdateRows, ..event.header };
                assert_eq!(whole.header, EventHeader { event_len: whole.header.event_len, ..header });
                let fixed = event.body.len() - RowsEvent::decode(event)?.rows.len();
                assert_eq!(whole.body[..fixed], event.body[..fixed]);
                let table = tables.of(&RowsEvent::decode(whole)?)?;
                assert!(changed.replace(images(table, whole)).is_none());
                events += 1;
                differing += u32::from(whole.body != event.body);
            }
            EventKind::UpdateRows => {
                let table = tables.of(&RowsEvent::decode(event)?)?;
                let after: Vec<_> = changed.take().unwrap().into_iter().map(|(_, after)| after).collect();
                let before: Vec<_> = images(table, event).into_iter().map(|(before, _)| before).collect();
                assert_eq!(after, before, "{events}");
            }
            _ => {}
        }
        Ok(())
    })
    .unwrap();
    assert_eq!((events, differing, changed), (14, 14, None));
}

#[test]
fn a_column_that_did_not_change_keeps_each_of_its_bits() {
    // The last partial update is of `n` alone: its documents are empty lists of differences.
    let mut tables = Tables::default();
    let mut last = None;
    for_each_event::<EventError>(UPDATES, true, &mut |event| {
        match event.header.kind {
            EventKind::TableMap => tables.note(event.body).map(drop)?,
            EventKind::PartialUpdateRows => last = Some(complete(event, false, &mut tables)?),
            _ => {}
        }
        Ok(())
    })
    .unwrap();
    let last = last.unwrap();
    let (event, _) = Event::split(&last, false).unwrap();
    let rows = RowsEvent::decode(event).unwrap();
    let table = tables.of(&rows).unwrap();
    let json = table.columns.iter().position(|column| column.name == "a").unwrap();
    let mut count = 0;
    for change in rows.changes(table) {
        let change = change.unwrap();
        let [before, after] =
            [change.before, change.after].map(|image| row_values(table, image.unwrap()).unwrap());
        assert_eq!(before[json], after[json]);
        assert_ne!(before, after);
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn a_compressed_transaction_keeps_all_but_its_partial_updates() {
    let mut whole = Vec::new();
    let (mut rest, mut tables) = (COMPRESSED, Tables::default());
    while !rest.is_empty() {
        let (event, after) = Event::split(rest, true).unwrap();
        if event.header.kind == EventKind::TransactionPayload {
            whole.extend(complete_payload(event, true, &mut tables).unwrap());
        } else {
            whole.extend(&rest[..rest.len() - after.len()]);
        }
        rest = after;
    }
    let kinds = |events| {
        let mut kinds = Vec::new();
        for_each_event::<EventError>(events, true, &mut |event| {
            let EventHeader { kind, timestamp, server_id, flags, .. } = event.header;
            kinds.push((
                if kind == EventKind::PartialUpdateRows { EventKind::UpdateRows } else { kind },
                timestamp,
                server_id,
                flags,
            ));
            Ok(())
        })
        .unwrap();
        kinds
    };
    assert_eq!(kinds(&whole), kinds(COMPRESSED));
    assert!(kinds(COMPRESSED).iter().any(|(kind, ..)| *kind == EventKind::RowsQuery));
    let mut changes = Vec::new();
    for_each_item::<EventError>(&whole, true, &mut Tables::default(), &mut 0, &mut |item| {
        if let Item::Change { table, change, .. } = item {
            changes.push((values(table, change.before.unwrap()), values(table, change.after.unwrap())));
        }
        Ok(())
    })
    .unwrap();
    // The last five are of the whole update; rows 1 and 2 are in it as the partial ones before left them.
    let (partial, last) = changes.split_at(changes.len() - 5);
    assert_eq!(partial.len(), 2 + 4 + 1);
    assert_eq!((&last[0].0, &last[1].0), (&partial[6].1, &partial[1].1));
    assert_ne!(partial[6].0, partial[6].1);
}

/// The map of `doc`, and the first partial update of it.
fn first() -> (Tables, Vec<u8>) {
    let (mut tables, mut first) = (Tables::default(), None);
    for_each_event::<EventError>(UPDATES, true, &mut |event| {
        match event.header.kind {
            EventKind::TableMap if first.is_none() => tables.note(event.body).map(drop)?,
            EventKind::PartialUpdateRows if first.is_none() => {
                let mut bytes = begin(event.header, event.header.kind);
                bytes.extend_from_slice(event.body);
                first = Some(end(bytes, false)?);
            }
            _ => {}
        }
        Ok(())
    })
    .unwrap();
    (tables, first.unwrap())
}

fn refused(change: impl FnOnce(&mut Vec<u8>)) -> EventError {
    let (mut tables, mut event) = first();
    change(&mut event);
    let event = end(event, false).unwrap();
    complete(Event::split(&event, false).unwrap().0, false, &mut tables).unwrap_err()
}

/// Where the value options of the first row stand.
fn options_at() -> usize {
    let (mut tables, event) = first();
    let rows = RowsEvent::decode(Event::split(&event, false).unwrap().0).unwrap();
    event.len() - rows.rows.len() + image_len(tables.layout(&rows).unwrap(), rows.rows).unwrap()
}

#[test]
fn what_cannot_be_made_whole_is_refused_by_table_and_column() {
    let at = options_at();
    assert!(refused(|event| event[at] = 2).to_string().contains("value options that are not known"));
    // A path that leads nowhere.
    let path = |event: &[u8]| event.windows(3).rposition(|three| three == b"$.n").unwrap();
    let error = refused(|event| {
        let at = path(event);
        event[at + 2] = b'?';
    });
    assert!(
        matches!(&error, EventError::PartialJson { table, column, .. } if table == "r.doc" && column == "a"),
        "{error}"
    );
    assert!(error.to_string().contains("set binlog_row_value_options = ''"), "{error}");
    // A row before it in which `a` is NULL: its bit is set, its value is gone.
    let error = refused(|event| {
        let rows = 19 + 6 + 2 + 2 + 1 + 1 + 1;
        let id_end = rows + 1 + 4;
        let len = u32::from_le_bytes(event[id_end..id_end + 4].try_into().unwrap()) as usize;
        event.drain(id_end..id_end + 4 + len);
        event[rows] |= 2;
    });
    assert!(error.to_string().contains("the row before it has no document"), "{error}");
    // Images that lack a column.
    let error = refused(|event| event[19 + 6 + 2 + 2 + 1] &= !2);
    assert_eq!(error, EventError::PartialImage { table: "r.doc".into() });
}

#[test]
fn a_partial_update_among_whole_rows_is_refused_by_its_table() {
    let error = for_each_item::<EventError>(UPDATES, true, &mut Tables::default(), &mut 0, &mut |_| Ok(()));
    assert_eq!(error, Err(EventError::PartialUpdate { table: "r.doc".into() }));
}
