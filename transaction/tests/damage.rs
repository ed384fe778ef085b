//! Damaged and arbitrary bytes behind right checksums: the parsers answer with an error or with something else, but they do
//! not panic, run on, or take more room than the bytes given them could fill.
#![allow(clippy::unwrap_used)]

mod synthetic;

use proptest::prelude::*;
use transaction::binlog::{
    Event, EventError, EventHeader, EventKind, GtidEvent, HEADER_LEN, Item, PayloadHeader, QueryEvent,
    RowsEvent, RowsKind, TableMap, Tables, Value, for_each_event, for_each_item, partial, row_values,
};

const FIXTURES: &[&[u8]] = &[
    include_bytes!("events/plain.bin"),
    include_bytes!("events/compressed.bin"),
    include_bytes!("events/tagged.bin"),
    include_bytes!("events/ddl.bin"),
    include_bytes!("events/minimal_delete.bin"),
    include_bytes!("events/minimal_update.bin"),
    include_bytes!("events/partial_json.bin"),
    include_bytes!("events/partial_updates.bin"),
    include_bytes!("events/partial_compressed.bin"),
    include_bytes!("events/minimal_metadata.bin"),
    include_bytes!("events/xa.bin"),
    include_bytes!("values/events.bin"),
];

/// Which of them are of compressed transactions.
const COMPRESSED: &[usize] = &[1, 8];

/// Every parser that takes a kind of event, over all events.
fn parse_each(events: &[u8], checksums: bool) {
    let _ = for_each_event::<EventError>(events, checksums, &mut |event| {
        match event.header.kind {
            EventKind::Gtid | EventKind::GtidTagged => {
                if let Ok(begun) = GtidEvent::decode(event) {
                    // What follows from it must be sayable too.
                    let mut set = transaction::GtidSet::new();
                    set.insert(begun.gtid);
                    assert_eq!(set.to_string().parse::<transaction::GtidSet>().unwrap(), set);
                }
            }
            EventKind::Query => {
                if let Ok(query) = QueryEvent::decode(event.body) {
                    query.classify();
                }
            }
            _ => {}
        }
        Ok(())
    });
}

/// Walks items and values, and returns how many row changes there were.
fn walk(events: &[u8], checksums: bool) -> (u32, Result<(), EventError>) {
    let (mut tables, mut next_index) = (Tables::default(), 0);
    let result = for_each_item::<EventError>(events, checksums, &mut tables, &mut next_index, &mut |item| {
        if let Item::Change { table, change, .. } = item {
            for image in [change.before, change.after].into_iter().flatten() {
                let values = row_values(table, image)?;
                assert_eq!(values.len(), table.columns.len());
                for (column, value) in table.columns.iter().zip(values) {
                    let _ = Value::decode(column, value);
                }
            }
        }
        Ok(())
    });
    (next_index, result)
}

/// Makes every partial update whole, and says how long what came of them is.
fn complete(events: &[u8], checksums: bool) -> usize {
    let (mut len, mut tables, mut rest) = (0, Tables::default(), events);
    while let Ok((event, after)) = Event::split(rest, checksums) {
        let whole = match event.header.kind {
            EventKind::TableMap => {
                let _ = tables.note(event.body);
                Ok(Vec::new())
            }
            EventKind::PartialUpdateRows => partial::complete(event, checksums, &mut tables),
            EventKind::TransactionPayload => partial::complete_payload(event, checksums, &mut tables),
            _ => Ok(Vec::new()),
        };
        len += whole.map_or(0, |whole| whole.len());
        rest = after;
    }
    len
}

/// The events of a fixture, bare: header and body without the checksum.
fn bare(mut events: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while !events.is_empty() {
        let (_, rest) = Event::split(events, true).unwrap();
        let whole = &events[..events.len() - rest.len()];
        out.push(whole[..whole.len() - 4].to_vec());
        events = rest;
    }
    out
}

/// The events inside the compressed transactions of a fixture.
fn decompressed(events: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for_each_event::<EventError>(events, true, &mut |event| {
        let mut bytes = event.header.timestamp.to_le_bytes().to_vec();
        bytes.push(event.header.kind as u8);
        bytes.extend(event.header.server_id.to_le_bytes());
        bytes.extend([0; 10]);
        bytes.extend(event.body);
        out.push(bytes);
        Ok(())
    })
    .unwrap();
    out
}

/// Sets its length right and, with `checksum`, appends a right one.
fn sealed(mut event: Vec<u8>, checksum: bool) -> Vec<u8> {
    let len = event.len() + if checksum { 4 } else { 0 };
    event[9..13].copy_from_slice(&(len as u32).to_le_bytes());
    if checksum {
        let sum = crc32fast::hash(&event);
        event.extend(sum.to_le_bytes());
    }
    event
}

/// A payload event around bare events.
fn payload(events: &[u8], compress: bool) -> Vec<u8> {
    let data = if compress { zstd::stream::encode_all(events, 1).unwrap() } else { events.to_vec() };
    let mut body = Vec::new();
    for (field, value) in
        [(1, data.len() as u64), (2, if compress { 0 } else { 255 }), (3, events.len() as u64)]
    {
        let value = synthetic::lenenc(value);
        body.push(field);
        body.push(value.len() as u8);
        body.extend(value);
    }
    body.push(0);
    body.extend(data);
    synthetic::event(EventKind::TransactionPayload as u8, 1, &body)
}

/// One change to a list of bytes.
#[derive(Debug, Clone)]
enum Damage {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let interesting = prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(0xfc), Just(0xfe), Just(0x80)];
    prop_oneof![
        5 => (any::<prop::sample::Index>(), interesting).prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => any::<prop::sample::Index>().prop_map(Damage::Cut),
        1 => (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, b)| Damage::Insert(at, b)),
        1 => any::<prop::sample::Index>().prop_map(Damage::Remove),
    ]
}

/// Damages the body of an event.
fn apply(event: &mut Vec<u8>, damages: &[Damage]) {
    for damage in damages {
        if event.len() <= HEADER_LEN {
            return;
        }
        let place = |at: &prop::sample::Index| HEADER_LEN + at.index(event.len() - HEADER_LEN);
        match damage {
            Damage::Set(at, byte) => {
                let at = place(at);
                event[at] = *byte;
            }
            Damage::Cut(at) => {
                let at = place(at);
                event.truncate(at);
            }
            Damage::Insert(at, bytes) => {
                let at = place(at);
                event.splice(at..at, bytes.iter().copied());
            }
            Damage::Remove(at) => {
                let at = place(at);
                event.remove(at);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn damaged_events_neither_panic_nor_run_on(
        fixture in 0..FIXTURES.len(), which: prop::sample::Index, damages in prop::collection::vec(damage(), 1..4),
    ) {
        let mut events = bare(FIXTURES[fixture]);
        let which = which.index(events.len());
        apply(&mut events[which], &damages);
        let whole: Vec<u8> = events.into_iter().flat_map(|event| sealed(event, true)).collect();
        parse_each(&whole, true);
        let whole_len = complete(&whole, true);
        if !COMPRESSED.contains(&fixture) {
            prop_assert!(whole_len <= 3 * whole.len());
            // A row takes a byte at least.
            prop_assert!((walk(&whole, true).0 as usize) < whole.len());
        }
    }

    #[test]
    fn damaged_events_inside_a_compressed_transaction_neither_panic_nor_run_on(
        fixture in prop::sample::select(COMPRESSED), which: prop::sample::Index, damages in prop::collection::vec(damage(), 1..4),
        compress: bool,
    ) {
        let mut events = decompressed(FIXTURES[fixture]);
        let which = which.index(events.len());
        apply(&mut events[which], &damages);
        let inner: Vec<u8> = events.into_iter().flat_map(|event| sealed(event, false)).collect();
        let outer = payload(&inner, compress);
        parse_each(&outer, true);
        complete(&outer, true);
        prop_assert!((walk(&outer, true).0 as usize) < inner.len());
    }

    #[test]
    fn arbitrary_bodies_neither_panic_nor_take_more_room_than_they_have(
        kind in prop::sample::select(vec![2u8, 19, 29, 30, 31, 32, 33, 39, 40, 42]), body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let event = synthetic::event(kind, 1, &body);
        parse_each(&event, true);
        complete(&event, true);
        let _ = walk(&event, true);
        if let Ok(map) = TableMap::decode(&body) {
            prop_assert!(map.columns.len() <= body.len());
            let members: usize = map.columns.iter().map(|column| column.members.len()).sum();
            prop_assert!(members + map.primary_key.len() <= body.len());
        }
        let _ = (PayloadHeader::decode(&body), EventHeader::decode(&body));
    }

    #[test]
    fn arbitrary_rows_under_a_real_table_map_neither_panic_nor_run_on(
        kind in prop::sample::select(vec![RowsKind::Write, RowsKind::Update, RowsKind::Delete]),
        rows in prop::collection::vec(any::<u8>(), 0..200), present: u8,
    ) {
        // The map of `bare`, which has no primary key, so that its images may lack any column.
        let map = bare(FIXTURES[0]).into_iter().find(|e| e[4] == 19 && e.windows(4).any(|four| four == b"bare")).unwrap();
        let mut body = map[HEADER_LEN..HEADER_LEN + 6].to_vec();
        body.extend([1, 0, 2, 0, 2, present]);
        let code = match kind {
            RowsKind::Write => 30,
            RowsKind::Update => { body.push(present); 31 }
            RowsKind::Delete => 32,
        };
        body.extend(&rows);
        let whole = [sealed(map, true), synthetic::event(code, 1, &body)].concat();
        let (changes, result) = walk(&whole, true);
        prop_assert!(changes as usize <= rows.len());
        if present & 3 == 0 {
            prop_assert_eq!(result.is_err(), !rows.is_empty());
        }
    }
}

#[test]
fn what_this_builds_undamaged_is_read() {
    for fixture in FIXTURES {
        let whole: Vec<u8> = bare(fixture).into_iter().flat_map(|event| sealed(event, true)).collect();
        assert_eq!(whole, *fixture);
    }
    for compress in [false, true] {
        let inner: Vec<u8> =
            decompressed(FIXTURES[1]).into_iter().flat_map(|event| sealed(event, false)).collect();
        assert_eq!(walk(&payload(&inner, compress), true), walk(FIXTURES[1], true));
    }
    let synthetic = [
        synthetic::gtid(1, 5, 77),
        synthetic::query("", "BEGIN"),
        synthetic::marker("us", 5, 6),
        synthetic::insert(1, 2),
        synthetic::xid(),
    ];
    assert_eq!(walk(&synthetic.concat(), true), (2, Ok(())));
    for (tag, number, commit_us) in [("us", 1, 3), ("a2345678901234567890123456789012", 1 << 40, 1 << 54)] {
        let event = synthetic::tagged_gtid(1, tag, number, commit_us);
        let begun = GtidEvent::decode(Event::split(&event, true).unwrap().0).unwrap();
        assert_eq!((begun.gtid.source.tag.as_str(), begun.gtid.number), (tag, number));
        assert_eq!(begun.immediate_commit_us, commit_us);
    }
}

#[test]
fn a_gtid_number_that_no_server_gives_is_refused() {
    for number in [0, i64::MAX as u64, u64::MAX] {
        let event = synthetic::gtid(1, number, 1);
        let error = GtidEvent::decode(Event::split(&event, true).unwrap().0).unwrap_err();
        assert!(error.to_string().contains("out of range"), "{error}");
    }
}

#[test]
fn images_without_any_column_are_refused_and_do_not_run_on() {
    let map = synthetic::event(19, 1, &[1, 0, 0, 0, 0, 0, 1, 0, 1, b'r', 0, 1, b'e', 0, 0, 0]);
    let rows = synthetic::event(30, 1, &[1, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 5]);
    let events = [map, rows].concat();
    let mut taken = 0;
    let mut tables = Tables::default();
    let result = for_each_event::<EventError>(&events, true, &mut |event| {
        if event.header.kind == EventKind::TableMap {
            tables.note(event.body)?;
            return Ok(());
        }
        let rows = RowsEvent::decode(event)?;
        let table = tables.of(&rows)?;
        for change in rows.changes(table).take(1000) {
            change?;
            taken += 1;
        }
        Ok(())
    });
    assert!(result.is_err() && taken == 0, "{taken}");
}

#[test]
fn a_short_stream_that_claims_to_be_huge_is_refused_at_its_end() {
    let mut inner = sealed(decompressed(FIXTURES[1])[0].clone(), false);
    inner[9..13].copy_from_slice(&(1u32 << 29).to_le_bytes());
    let outer = {
        let data = zstd::stream::encode_all(&inner[..], 1).unwrap();
        let len = synthetic::lenenc(data.len() as u64);
        let mut body = vec![2, 1, 0, 3, 9, 0xfe];
        body.extend((1u64 << 40).to_le_bytes());
        body.extend([1, len.len() as u8]);
        body.extend(len);
        body.push(0);
        body.extend(data);
        synthetic::event(40, 1, &body)
    };
    let error = walk(&outer, true).1.unwrap_err();
    assert!(error.to_string().contains("ends inside an event"), "{error}");
}
