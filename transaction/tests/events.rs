//! Events that a real server wrote (`events/statements.sql` says how): what is read from them, and what is refused.
#![allow(clippy::unwrap_used)]

use transaction::binlog::{
    Event, EventError, EventKind, GtidEvent, Item, Tables, for_each_event, for_each_item, row_values,
};

const PLAIN: &[u8] = include_bytes!("events/plain.bin");
const COMPRESSED: &[u8] = include_bytes!("events/compressed.bin");
const TAGGED: &[u8] = include_bytes!("events/tagged.bin");

/// Every item in words: table, images, index; or the statement.
fn items(events: &[u8], checksums: bool) -> Result<Vec<String>, EventError> {
    let (mut out, mut tables, mut next_index) = (Vec::new(), Tables::default(), 0);
    for_each_item::<EventError>(events, checksums, &mut tables, &mut next_index, &mut |item| {
        out.push(match item {
            Item::Change { table, flags, index, change, .. } => {
                let values = |image| row_values(table, image).map(|values| format!("{values:?}"));
                let (before, after) =
                    (change.before.map(values).transpose()?, change.after.map(values).transpose()?);
                format!("{index} {} {flags} {before:?} {after:?}", table.full_name())
            }
            Item::Begin(_) => return Ok(()),
            Item::Statement { query, .. } => String::from_utf8_lossy(query.statement).into_owned(),
        });
        Ok(())
    })?;
    Ok(out)
}

/// The events of a fixture, each whole.
fn split(mut events: &[u8], checksums: bool) -> Vec<(EventKind, &[u8])> {
    let mut out = Vec::new();
    while !events.is_empty() {
        let (event, rest) = Event::split(events, checksums).unwrap();
        out.push((event.header.kind, &events[..events.len() - rest.len()]));
        events = rest;
    }
    out
}

/// The GTIDs of a fixture, as the server prints them, without the server's UUID; and their commit times.
fn gtids(events: &[u8]) -> Vec<(String, u64)> {
    split(events, true)
        .into_iter()
        .filter(|(kind, _)| matches!(kind, EventKind::Gtid | EventKind::GtidTagged))
        .map(|(_, raw)| {
            let begun = GtidEvent::decode(Event::split(raw, true).unwrap().0).unwrap();
            let text = begun.gtid.to_string();
            (text[36..].to_owned(), begun.immediate_commit_us)
        })
        .collect()
}

/// `2026-01-01` to `2100-01-01`, microseconds: the server's clock when the fixtures were recorded lies in it.
const PLAUSIBLE_US: std::ops::Range<u64> = 1_767_225_600_000_000..4_102_444_800_000_000;

/// The event with a body changed by `change`, its length and checksum set right again.
fn rewritten(raw: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut event = raw[..raw.len() - 4].to_vec();
    change(&mut event);
    let len = event.len() as u32 + 4;
    event[9..13].copy_from_slice(&len.to_le_bytes());
    let sum = crc32fast::hash(&event);
    event.extend(sum.to_le_bytes());
    event
}

#[test]
fn the_row_changes_of_a_session_come_in_its_order() {
    let items = items(PLAIN, true).unwrap();
    let shape: Vec<(String, bool, bool)> = items
        .iter()
        .map(|item| {
            let mut words = item.split(' ');
            let table = words.nth(1).unwrap().to_owned();
            let rest: String = words.skip(1).collect::<Vec<_>>().join(" ");
            (table, !rest.starts_with("None"), !rest.ends_with("None"))
        })
        .collect();
    let (insert, update, delete) = ((false, true), (true, true), (true, false));
    let expected = [
        ("r.item", insert, 3),
        ("r.item", update, 2),
        ("r.pair", insert, 2),
        ("r.item", delete, 1),
        ("r.item", update, 2),
        // What ROLLBACK TO undid is not there.
        ("r.bare", insert, 2),
        ("r.pair", update, 1),
        ("r.bare", update, 2),
        ("r.pair", delete, 2),
    ];
    let expected: Vec<(String, bool, bool)> = expected
        .iter()
        .flat_map(|(table, (before, after), count)| {
            std::iter::repeat_n((table.to_string(), *before, *after), *count)
        })
        .collect();
    assert_eq!(shape, expected);
}

#[test]
fn a_compressed_transaction_holds_the_same_items_as_an_uncompressed_one() {
    assert!(
        split(COMPRESSED, true)
            .iter()
            .all(|(kind, _)| matches!(kind, EventKind::Gtid | EventKind::TransactionPayload))
    );
    assert_eq!(items(COMPRESSED, true).unwrap(), items(PLAIN, true).unwrap());
}

#[test]
fn events_without_checksums_are_read() {
    let items = items(include_bytes!("events/unchecked.bin"), false).unwrap();
    assert_eq!(items.len(), 1);
}

#[test]
fn tagged_and_untagged_gtids_are_read_with_their_commit_times() {
    let untagged = gtids(PLAIN);
    assert_eq!(untagged.len(), 4);
    assert!(untagged.windows(2).all(|pair| pair[0].1 < pair[1].1));
    assert_eq!(untagged[0].0, ":7");
    let tagged = gtids(TAGGED);
    assert_eq!(
        (tagged[0].0.as_str(), tagged[1].0.as_str()),
        (":us:1", ":a2345678901234567890123456789012:1")
    );
    for (_, commit_us) in untagged.iter().chain(&tagged) {
        assert!(PLAUSIBLE_US.contains(commit_us), "{commit_us}");
    }
}

#[test]
fn a_wrong_uncompressed_length_is_refused() {
    let (_, payload) = split(COMPRESSED, true)[1];
    // Field 3 of the payload's header: its length of 3 bytes, then a length-encoded integer.
    let at = payload.windows(3).position(|three| three == [3, 3, 0xfc]).unwrap() + 3;
    assert_eq!(items(payload, true).map(|_| ()), Ok(()));
    // The last event of it is an Xid of 27 bytes: without that, whole events are left over.
    for delta in [-1i32, 1, 19, 1000, -300, -27] {
        let wrong = rewritten(payload, |event| {
            let len = i32::from(u16::from_le_bytes([event[at], event[at + 1]])) + delta;
            event[at..at + 2].copy_from_slice(&(len as u16).to_le_bytes());
        });
        let error = items(&wrong, true).unwrap_err();
        assert!(matches!(error, EventError::Payload(_)), "{delta}: {error}");
    }
}

#[test]
fn a_damaged_or_cut_compressed_transaction_is_refused() {
    let (_, payload) = split(COMPRESSED, true)[1];
    let header_len = payload.windows(4).position(|magic| magic == [0x28, 0xb5, 0x2f, 0xfd]).unwrap();
    for cut in 1..40 {
        let cut = rewritten(payload, |event| event.truncate(event.len() - cut));
        assert!(matches!(items(&cut, true), Err(EventError::Payload(_))));
    }
    let unknown = rewritten(payload, |event| {
        // Field 2, the algorithm.
        let at = event[19..header_len].windows(3).position(|three| three == [2, 1, 0]).unwrap() + 19 + 2;
        event[at] = 9;
    });
    let error = items(&unknown, true).unwrap_err();
    assert!(error.to_string().contains("algorithm 9 is not known"), "{error}");
}

#[test]
fn a_compressed_transaction_inside_another_is_refused() {
    let (_, payload) = split(COMPRESSED, true)[1];
    // Without its checksum, as inner events are.
    let mut inner = payload[..payload.len() - 4].to_vec();
    let len = inner.len() as u32;
    inner[9..13].copy_from_slice(&len.to_le_bytes());
    let outer = rewritten(&payload[..23], |event| {
        event.truncate(19);
        event.extend([2, 3, 0xfc, 255, 0]);
        event.extend([1, 3, 0xfc]);
        event.extend((len as u16).to_le_bytes());
        event.push(0);
        event.extend(&inner);
    });
    assert_eq!(items(&outer, true).unwrap_err(), EventError::UnknownType(40));
}

#[test]
fn a_flipped_bit_anywhere_fails_the_checksum() {
    for (kind, raw) in split(PLAIN, true).into_iter().chain(split(TAGGED, true)) {
        for at in (0..raw.len()).filter(|at| !matches!(at, 4 | 9..13)) {
            let mut damaged = raw.to_vec();
            damaged[at] ^= 0x10;
            let error = Event::split(&damaged, true).map(|_| ()).unwrap_err();
            assert_eq!(error, EventError::Checksum { event: kind.name() }, "byte {at}");
        }
    }
}

#[test]
fn what_a_session_left_out_is_refused_by_name() {
    let error = items(include_bytes!("events/minimal_update.bin"), true).unwrap_err();
    assert_eq!(error, EventError::PartialImage { table: "r.item".into() });
    assert!(error.to_string().contains("binlog_row_image = FULL"), "{error}");

    let error = items(include_bytes!("events/partial_json.bin"), true).unwrap_err();
    assert_eq!(error, EventError::PartialUpdate { table: "r.item".into() });

    let error = items(include_bytes!("events/minimal_metadata.bin"), true).unwrap_err();
    assert_eq!(error, EventError::MinimalMetadata { table: "r.bare".into() });
    assert!(error.to_string().contains("binlog_row_metadata = FULL"), "{error}");
}

#[test]
fn a_minimal_delete_shows_which_columns_it_lacks() {
    // The binlog does not say whether they are virtual: who knows the table's definition must ask.
    let mut tables = Tables::default();
    let mut absent = Vec::new();
    let events = include_bytes!("events/minimal_delete.bin");
    for_each_item::<EventError>(events, true, &mut tables, &mut 0, &mut |item| {
        if let Item::Change { table, change, .. } = item {
            absent.extend(table.absent().map(str::to_owned));
            let values = row_values(table, change.before.unwrap())?;
            assert_eq!(values, [Some(&100i32.to_le_bytes()[..]), None, None, None]);
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(absent, ["name", "note", "doc"]);
}

#[test]
fn a_rows_event_without_its_table_map_is_refused() {
    let raw: Vec<u8> = split(PLAIN, true)
        .into_iter()
        .filter(|(kind, _)| *kind != EventKind::TableMap)
        .flat_map(|(_, raw)| raw.to_vec())
        .collect();
    assert!(matches!(items(&raw, true), Err(EventError::NoTableMap(_))));
}

#[test]
fn an_event_of_unknown_type_is_refused() {
    let mut unknown = split(PLAIN, true)[0].1.to_vec();
    unknown[4] = 99;
    assert_eq!(items(&unknown, true).unwrap_err(), EventError::UnknownType(99));
    let known = for_each_event::<EventError>(&unknown, true, &mut |_| Ok(()));
    assert_eq!(known, Err(EventError::UnknownType(99)));
}

#[test]
fn create_table_select_is_a_statement_and_its_rows() {
    let items = items(include_bytes!("events/ddl.bin"), true).unwrap();
    let at = items.iter().position(|item| item.contains("START TRANSACTION")).unwrap();
    assert!(items[at].starts_with("CREATE TABLE `copied`"));
    assert!(items[at + 1].contains("r.copied"), "{}", items[at + 1]);
}
