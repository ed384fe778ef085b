//! Repairs in applied work: one record of the region's own log.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use extractor::{ExtractError, Limits};
use support::own::{deletion, marker, place, repair_row, repair_rows, repairs};
use support::{begin, extract, feed, fresh, gtid_of, halt, name, resume_from, transaction};
use synthetic::{gtid, insert, query, tagged_gtid, xid};
use transaction::binlog::{EventError, Item, RowsKind, Tables, for_each_item, row_values};
use transaction::record::{Body, Record};
use transaction::{Hlc, RepairPlace, Sequence, WriteId};

fn group(number: u64, commit_us: u64, rows: &[Vec<u8>]) -> Vec<u8> {
    [gtid(1, number, commit_us), query("", "BEGIN"), rows.concat(), xid()].concat()
}

/// Applied work of us up to transaction 7 that inserts a row and holds two repairs.
fn repaired(number: u64) -> Vec<u8> {
    let list = [(place("us", 6, 1), deletion(1)), (place("ap", 2, 3), deletion(2))];
    let rows = [marker("us", 7, 5_000, 9), insert(3, 3), repairs(&list), marker("us", 7, 5_000, 1)];
    group(number, 200, &rows)
}

#[test]
fn repairs_of_an_applied_transaction_are_one_record_stamped_after_what_it_applied() {
    let stream = [group(1, 100, &[insert(1, 1)]), repaired(2), group(3, 300, &[insert(4, 4)])];
    let (result, given) = extract(fresh(), &stream.concat());
    result.unwrap();
    assert_eq!(given.records.len(), 3);
    let record = Record::decode(&given.records[1]).unwrap();
    // After all that was seen.
    assert_eq!((record.number.0, record.sequence, record.hlc), (2, Sequence(2), Hlc(5_001)));
    assert!(!record.event_checksums);
    let Body::Repair { places, transaction: body } = &record.body else { panic!("{:?}", record.kind()) };
    assert_eq!(places, &[place("us", 6, 1), place("ap", 2, 3)]);
    assert_eq!((body.gtid, body.commit_us, body.chunks), (gtid_of(1, 2), 200, 0));
    assert_eq!(body.context.get(name("us")), Sequence(7));
    let events = [deletion(1), deletion(2)].concat();
    assert_eq!(body.events, events);
    let mut deleted = Vec::new();
    for_each_item::<EventError>(&events, false, &mut Tables::default(), &mut 0, &mut |item| {
        if let Item::Change { table, index, change, .. } = item {
            deleted.push((table.full_name(), index, change.after.is_none()));
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(deleted, [("r.t".into(), 0, true), ("r.t".into(), 1, true)]);
    // The next local transaction has the next number and comes after all.
    let (next, _) = transaction(&given.records[2]);
    assert_eq!((next.sequence, next.hlc), (Sequence(3), Hlc(5_002)));
    // The index is told before the place beyond.
    assert_eq!(given.repairs, [(2, places.clone(), events)]);
    assert_eq!(given.passed.iter().map(|(_, sequence, _)| *sequence).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_merge_stands_for_itself() {
    let list = [(place("us", 6, 1), deletion(1)), (place("us", 6, 0), deletion(2))];
    let rows = [marker("us", 7, 5_000, 9), repairs(&list), marker("us", 7, 5_000, 0)];
    let (result, given) = extract(fresh(), &group(1, 200, &rows));
    result.unwrap();
    let record = Record::decode(&given.records[0]).unwrap();
    let Body::Repair { places, .. } = &record.body else { panic!("{:?}", record.kind()) };
    let own = WriteId { hlc: record.hlc, origin: name("eu"), sequence: record.sequence, index: 1 };
    assert_eq!(places, &[place("us", 6, 1), RepairPlace { root: own, level: 0 }]);
}

#[test]
fn real_repairs_are_read_as_the_server_wrote_them() {
    let (error, given) = halt(fresh(), include_bytes!("events/repair.bin"));
    let record = Record::decode(&given.records[0]).unwrap();
    let Body::Repair { places, transaction: body } = &record.body else { panic!("{:?}", record.kind()) };
    let told: Vec<String> = places
        .iter()
        .map(|RepairPlace { root, level }| {
            format!("{} {} {} {} {level}", root.hlc, root.origin, root.sequence, root.index)
        })
        .collect();
    assert_eq!(told, ["1699999999999995 us 6 0 1", "1699999999999995 us 6 1 1"]);
    assert_eq!((record.hlc, body.gtid.source.tag.as_str()), (Hlc(body.commit_us), "us"));
    let mut changes = Vec::new();
    for_each_item::<EventError>(body.events, false, &mut Tables::default(), &mut 0, &mut |item| {
        if matches!(item, Item::Begin(_)) {
            return Ok(());
        }
        let Item::Change { table, change, .. } = item else { panic!("{item:?}") };
        let id = |row| row_values(table, row).unwrap()[0].unwrap().to_vec();
        changes.push((table.full_name(), change.before.map(id), change.after.map(id)));
        Ok(())
    })
    .unwrap();
    let id = |id: i32| Some(id.to_le_bytes().to_vec());
    assert_eq!(changes, [("r.t".into(), id(1), None), ("r.t".into(), id(2), id(2))]);
    // The second transaction of the file is no lane's.
    assert!(matches!(error, ExtractError::Repair { what: "no marker comes before it", .. }), "{error}");
    assert_eq!((given.records.len(), given.passed.len()), (1, 1));
}

#[test]
fn a_region_where_clients_must_not_write_makes_repairs() {
    let mut resume = fresh();
    resume.may_write = false;
    let (result, given) = extract(resume, &repaired(1));
    result.unwrap();
    assert_eq!(given.records.len(), 1);
}

#[test]
fn repairs_come_also_with_the_tag_of_the_origin_and_in_several_events() {
    let first = repair_rows(RowsKind::Write, &[repair_row(0, place("us", 6, 1), &deletion(1))]);
    let second = repair_rows(RowsKind::Write, &[repair_row(1, place("us", 6, 2), &deletion(2))]);
    let rows = [marker("us", 7, 5, 0), first, second, marker("us", 7, 5, 0)].concat();
    let stream = [tagged_gtid(1, "us", 1, 5), query("", "BEGIN"), rows, xid()].concat();
    let (result, given) = extract(fresh(), &stream);
    result.unwrap();
    assert_eq!(given.repairs.len(), 1);
    assert_eq!(given.repairs[0].1, [place("us", 6, 1), place("us", 6, 2)]);
}

#[test]
fn the_position_counts_repairs() {
    let (mut extractor, recorder) = begin(fresh());
    feed(&mut extractor, &repaired(1)).unwrap();
    extractor.write_position(1).unwrap();
    let records = &recorder.0.borrow().records;
    let position = Record::decode(&records[1]).unwrap();
    let Body::Position(body) = &position.body else { panic!("{:?}", position.kind()) };
    assert_eq!((body.last_sequence, position.hlc), (Sequence(1), Hlc(5_001)));
    assert_eq!(resume_from(records).stamper.last_sequence, Sequence(1));
}

#[test]
fn a_log_that_fails_at_a_repair_loses_no_number() {
    let (mut extractor, recorder) = begin(fresh());
    recorder.0.borrow_mut().broken = true;
    feed(&mut extractor, &repaired(1)).unwrap_err();
    assert!(recorder.0.borrow().passed.is_empty());
    extractor.reconnect();
    feed(&mut extractor, &repaired(1)).unwrap();
    let record = &recorder.0.borrow().records[0];
    assert_eq!(Record::decode(record).unwrap().sequence, Sequence(1));
}

/// The reason why rows of `concord.repair` are refused in applied work.
fn refused(rows: Vec<u8>) -> &'static str {
    let (error, given) = halt(fresh(), &group(1, 1, &[marker("us", 1, 1, 0), rows]));
    let text = error.to_string();
    assert!(
        text.contains("01010101-0101-0101-0101-010101010101:1 ") && text.contains("binlog.000001:"),
        "{text}"
    );
    assert!(given.records.is_empty() && given.repairs.is_empty());
    let ExtractError::Repair { what, .. } = error else { panic!("{error}") };
    what
}

#[test]
fn a_repair_outside_of_applied_work_halts() {
    let own = repairs(&[(place("us", 6, 1), deletion(1))]);
    for rows in [vec![own.clone()], vec![insert(1, 1), own.clone()], vec![own, marker("us", 1, 1, 0)]] {
        let (error, given) = halt(fresh(), &group(1, 1, &rows));
        assert!(matches!(error, ExtractError::Repair { what: "no marker comes before it", .. }), "{error}");
        assert!(given.records.is_empty());
    }
}

#[test]
fn repairs_that_no_lane_writes_halt() {
    let write = |id, place, events: &[u8]| repair_rows(RowsKind::Write, &[repair_row(id, place, events)]);
    let good = place("us", 6, 1);
    let row = repair_row(0, good, &deletion(1));
    let update = repair_rows(RowsKind::Update, &[row.clone(), row]);
    assert_eq!(refused(update), "it was changed in place");
    assert!(refused(write(1, good, &deletion(1))).contains("id"));
    let two = [deletion(1), deletion(2)].concat();
    let own_table = support::own::unchecked(&marker("us", 1, 1, 0));
    let map = support::own::unchecked(&synthetic::plain_map());
    for events in [&[][..], b"x", &two, &own_table, &insert(1, 1), &map] {
        let what = refused(write(0, good, events));
        assert!(what.contains("one table map and one row change"), "{what}: {events:?}");
    }
}

#[test]
fn repairs_beyond_what_a_record_takes_halt() {
    let (extractor, recorder) = begin(fresh());
    let mut extractor = extractor.with_limits(Limits { event_len_max: 400, ..Limits::default() });
    let rows: Vec<Vec<u8>> = (0..9)
        .map(|id| repair_rows(RowsKind::Write, &[repair_row(id, place("us", 6, 1), &deletion(1))]))
        .collect();
    let error = feed(&mut extractor, &group(1, 1, &[marker("us", 1, 1, 0), rows.concat()])).unwrap_err();
    let ExtractError::Repair { what, .. } = error else { panic!("{error}") };
    assert!(what.contains("longer than a record"), "{what}");
    assert!(recorder.0.borrow().records.is_empty());
}
