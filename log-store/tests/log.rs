//! Appending, reading, finding and deleting.
#![allow(clippy::unwrap_used)]

mod records;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use log_store::disk::SimulatedDisk;
use log_store::{Error, Retention, Store};
use proptest::prelude::*;
use records::*;
use transaction::record::RecordError;
use transaction::{Hlc, RecordKind, RecordNumber, Sequence};

#[test]
fn readers_see_durable_records_only_and_go_on_across_segments() {
    let disk = SimulatedDisk::new();
    let log = log_on(&disk, "us");
    let mut reader = log.read_from(RecordNumber(0)).unwrap();
    assert!(reader.next_record().unwrap().is_none());
    let mut source = Writer::default();
    let mut first_unseen = 1;
    for round in 0..40 {
        let record = source.transaction(round * 20);
        log.append(&record).unwrap();
        // Beginning a new segment makes what came before it durable, and nothing more.
        while let Some(seen) = reader.next_record().unwrap() {
            assert_eq!(seen.header.number.0, first_unseen);
            first_unseen += 1;
        }
        assert!(first_unseen <= log.last_appended().0);
        if round % 3 == 0 {
            log.sync().unwrap();
            while let Some(seen) = reader.next_record().unwrap() {
                first_unseen = seen.header.number.0 + 1;
            }
            assert_eq!(first_unseen, log.last_appended().0 + 1);
        }
    }
    assert!(log.segments().len() > 5);
}

#[test]
fn a_record_longer_than_a_segment_gets_one_of_its_own() {
    let disk = SimulatedDisk::new();
    let log = log_on(&disk, "us");
    let mut source = Writer::default();
    let records: Vec<_> = [10, 300_000, 10, 10].iter().map(|len| source.transaction(*len)).collect();
    log.append(&records.concat()).unwrap();
    log.sync().unwrap();
    let firsts: Vec<_> = log.segments().iter().map(|segment| (segment.first.0, segment.records)).collect();
    assert_eq!(firsts, [(1, 1), (2, 1), (3, 2)]);
    assert_eq!(read_all(&log), records);
}

#[test]
fn a_batch_has_as_many_whole_records_as_fit_and_at_least_one() {
    let disk = SimulatedDisk::new();
    let log = log_on(&disk, "us");
    let mut source = Writer::default();
    let records: Vec<_> = [900, 10, 10, 10, 700].iter().map(|len| source.transaction(*len)).collect();
    log.append(&records.concat()).unwrap();
    log.sync().unwrap();
    let mut reader = log.read_from(RecordNumber(1)).unwrap();
    let mut out = b"kept".to_vec();
    assert_eq!(reader.next_batch(500, &mut out).unwrap(), 1);
    assert_eq!(out, [b"kept".as_slice(), &records[0]].concat());
    out.clear();
    assert_eq!(reader.next_batch(records[1].len() * 3, &mut out).unwrap(), 3);
    assert_eq!(out, records[1..4].concat());
    assert_eq!(reader.position(), RecordNumber(5));
    out.clear();
    assert_eq!(reader.next_batch(1, &mut out).unwrap(), 1);
    assert_eq!(reader.next_batch(1, &mut out).unwrap(), 0);
    assert_eq!(out, records[4]);
}

#[test]
fn what_does_not_follow_is_refused_without_effect() {
    let disk = SimulatedDisk::new();
    let log = log_on(&disk, "us");
    let mut source = Writer { next: 500, sequence: 70 };
    let first = source.transaction(10);
    log.append(&first).unwrap();
    log.sync().unwrap();
    let before = disk.read(&segment("us", 500)).unwrap();
    let next = source.clone().transaction(10);
    let gap = Writer { next: 502, sequence: 71 }.transaction(10);
    assert!(matches!(
        log.append(&gap),
        Err(Error::NotNext { expected: RecordNumber(501), got: RecordNumber(502), .. })
    ));
    assert!(matches!(log.append(&first), Err(Error::NotNext { .. })));
    let jump = Writer { next: 501, sequence: 72 }.transaction(10);
    let refused = log.append(&jump);
    assert!(matches!(refused, Err(Error::NotNextSequence { expected: Sequence(72), got: Sequence(73), .. })));
    let mut damaged = [next.clone(), source.clone().transaction(5)].concat();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert!(matches!(
        log.append(&damaged),
        Err(Error::BadRecord { source: RecordError::Checksum { .. }, .. })
    ));
    let cut = log.append(&next[..next.len() - 1]);
    assert!(matches!(cut, Err(Error::BadRecord { source: RecordError::Short { .. }, .. })));
    assert_eq!(disk.read(&segment("us", 500)).unwrap(), before);
    log.append(&next).unwrap();
    assert_eq!(log.sync().unwrap(), RecordNumber(501));
    assert_eq!(log.first(), RecordNumber(500));
}

#[test]
fn a_failed_write_or_sync_stops_the_log_and_what_was_durable_stays_readable() {
    for passing in 0..4 {
        let disk = SimulatedDisk::new();
        let log = log_on(&disk, "us");
        let mut source = Writer::default();
        let durable = source.transaction(10);
        log.append(&durable).unwrap();
        log.sync().unwrap();
        disk.fail_after(passing);
        let error = loop {
            let record = source.transaction(400);
            if let Err(error) = log.append(&record).and_then(|_| log.sync()) {
                break error;
            }
        };
        let text = error.to_string();
        assert!(text.contains("no space left") && text.contains("is it full?"), "{text}");
        let durable_then = log.durable();
        disk.heal();
        let again = [log.sync(), log.append(&source.transaction(1)), log.append(&durable)];
        for refused in again {
            let refused = refused.unwrap_err();
            assert!(matches!(&refused, Error::Stopped { cause, .. } if *cause == text), "{refused}");
        }
        assert_eq!(log.durable(), durable_then);
        assert_eq!(read_all(&log)[0], durable);
    }
}

#[test]
fn hooks_hear_every_move_of_the_durable_watermark_in_order() {
    let disk = SimulatedDisk::new();
    let log = log_on(&disk, "us");
    let heard = Arc::new(AtomicU64::new(0));
    let ear = heard.clone();
    log.on_durable(move |durable| assert!(ear.swap(durable.0, Ordering::SeqCst) < durable.0));
    let mut source = Writer::default();
    for _ in 0..30 {
        log.append(&source.transaction(300)).unwrap();
        assert_eq!(heard.load(Ordering::SeqCst), log.durable().0);
        log.append(&source.transaction(300)).unwrap();
        log.sync().unwrap();
        assert_eq!(heard.load(Ordering::SeqCst), log.last_appended().0);
    }
}

#[test]
fn threads_that_append_sync_and_read_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), identity(), small_segments()).unwrap();
    let log = store.log(region("us")).unwrap();
    const COUNT: u64 = 2_000;
    std::thread::scope(|scope| {
        let (wake, woken) = std::sync::mpsc::channel();
        log.on_durable(move |durable| wake.send(durable).unwrap_or_default());
        scope.spawn(|| {
            let mut source = Writer::default();
            for number in 0..COUNT {
                log.append(&source.transaction(number as usize % 300)).unwrap();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| while log.sync().unwrap().0 < COUNT {});
        }
        scope.spawn(|| {
            let mut reader = log.read_from(RecordNumber(1)).unwrap();
            let mut next = 1;
            for durable in woken {
                while let Some(record) = reader.next_record().unwrap() {
                    assert_eq!(record.header.number.0, next);
                    next += 1;
                }
                assert!(next > durable.0);
                if next > COUNT {
                    return;
                }
            }
        });
    });
    assert_eq!(log.durable().0, COUNT);
}

#[test]
fn retention_deletes_whole_segments_that_nobody_needs_and_the_policy_names() {
    let disk = SimulatedDisk::new();
    let log = log_on(&disk, "us");
    let mut source = Writer::default();
    for _ in 0..30 {
        log.append(&source.transaction(500)).unwrap();
    }
    log.sync().unwrap();
    let segments = log.segments();
    let all = RecordNumber(1_000);
    let floor = |number: u64| Retention { hlc_floor: Some(hlc_of(number)), bytes_max: None };

    assert_eq!(log.retain(all, Retention::default()).unwrap(), [], "no policy, no deletion");
    let last_of_first = segments[0].last().0;
    assert_eq!(
        log.retain(RecordNumber(last_of_first), floor(1_000)).unwrap(),
        [],
        "its last record is needed"
    );
    assert_eq!(log.retain(all, floor(last_of_first)).unwrap(), [], "its last record is not old enough");
    let mut old_reader = log.read_from(RecordNumber(1)).unwrap();
    old_reader.next_record().unwrap().unwrap();
    // Two that stand in the first segment and have read nothing of it.
    let mut idle_reader = log.read_from(RecordNumber(2)).unwrap();
    let mut held_reader = log.read_held_from(RecordNumber(2));
    assert_eq!(log.retain(RecordNumber(last_of_first + 1), floor(1_000)).unwrap(), segments[..1]);
    assert!(!disk.files().contains(&segments[0].path));
    // A reader that is in a removed file reads it to its end.
    for _ in 1..last_of_first {
        old_reader.next_record().unwrap().unwrap();
    }
    assert_eq!(old_reader.next_record().unwrap().unwrap().header.number.0, last_of_first + 1);
    assert!(matches!(idle_reader.next_record(), Err(Error::Removed { number: RecordNumber(2), .. })));
    for number in last_of_first + 1..last_of_first + 4 {
        assert_eq!(held_reader.next_record().unwrap().unwrap().header.number.0, number);
    }

    let keep_bytes: u64 = segments[segments.len() - 3..].iter().map(|segment| segment.bytes).sum();
    let by_size = Retention { hlc_floor: None, bytes_max: Some(keep_bytes) };
    assert_eq!(log.retain(all, by_size).unwrap(), segments[1..segments.len() - 3]);
    let removed = log.read_from(RecordNumber(2)).unwrap_err();
    let first = segments[segments.len() - 3].first;
    assert!(matches!(removed, Error::Removed { first: held, .. } if held == first), "{removed}");
    assert!(removed.to_string().contains(&format!("the first one held is {first}")), "{removed}");
    let everything = Retention { hlc_floor: Some(Hlc(u64::MAX)), bytes_max: Some(0) };
    log.retain(all, everything).unwrap();
    assert_eq!(log.segments().len(), 1, "the active segment stays");

    drop((log, old_reader, idle_reader, held_reader));
    let log = log_on(&disk, "us");
    assert_eq!(log.first(), segments[segments.len() - 1].first);
    assert_eq!(log.append(&source.transaction(1)).unwrap(), RecordNumber(31));
}

#[test]
fn a_crash_during_retention_never_leaves_a_hole() {
    for passing in 0..40 {
        let disk = SimulatedDisk::new();
        let log = log_on(&disk, "us");
        let mut source = Writer::default();
        for _ in 0..30 {
            log.append(&source.transaction(500)).unwrap();
        }
        log.sync().unwrap();
        disk.fail_after(passing);
        let _ = log.retain(RecordNumber(20), Retention { hlc_floor: None, bytes_max: Some(0) });
        for seed in 0..20 {
            let log = log_on(&disk.crash(seed), "us");
            let held = read_all(&log).len() as u64;
            assert_eq!(log.first().0 + held, 31, "{passing} {seed}");
            assert!(log.first().0 <= 20);
        }
    }
}

#[test]
fn a_log_that_retention_emptied_of_its_front_still_finds_what_it_holds() {
    let disk = SimulatedDisk::new();
    let log = log_on(&disk, "us");
    let mut source = Writer::default();
    for _ in 0..30 {
        log.append(&source.transaction(500)).unwrap();
    }
    log.sync().unwrap();
    log.retain(RecordNumber(16), Retention { hlc_floor: Some(Hlc(u64::MAX)), bytes_max: None }).unwrap();
    let first = log.first().0;
    assert!(first > 10);
    assert_eq!(log.find_sequence(Sequence(first - 1)).unwrap(), None);
    assert_eq!(log.find_sequence(Sequence(first)).unwrap(), Some(RecordNumber(first)));
    assert_eq!(log.find_hlc(Hlc(0)).unwrap(), Some(RecordNumber(first)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_look_up_says_what_a_walk_over_all_records_says(
        shapes in proptest::collection::vec((0u8..6, 0usize..6_000), 1..120),
        segment_bytes in prop_oneof![Just(3_000u64), Just(150_000), Just(1_000_000)],
        reopened: bool,
    ) {
        let disk = SimulatedDisk::new();
        let options = log_store::Options { segment_bytes, drop_unfinished_chain: false };
        let open = || Store::open_on(Arc::new(disk.clone()), "/data", identity(), options).unwrap();
        let mut store = open();
        let mut log = store.log(region("eu")).unwrap();
        let mut source = Writer { next: 9, sequence: 4 };
        for (kind, len) in shapes {
            use RecordKind::*;
            let kind = [Transaction, Chunk, Position, Incarnation, Repair, Prepare][kind as usize];
            log.append(&source.record(kind, len)).unwrap();
        }
        log.sync().unwrap();
        if reopened {
            drop((store, log));
            store = open();
            log = store.log(region("eu")).unwrap();
        }
        let mut headers = Vec::new();
        let mut reader = log.read_from(RecordNumber(0)).unwrap();
        while let Some(record) = reader.next_record().unwrap() {
            headers.push(record.header);
        }
        prop_assert_eq!(headers.len() as u64, source.next - 9);
        for sequence in 0..=source.sequence + 1 {
            let walked = headers.iter().find(|h| sequence > 0 && h.sequence.0 == sequence).map(|h| h.number);
            prop_assert_eq!(log.find_sequence(Sequence(sequence)).unwrap(), walked);
        }
        for number in 8..=source.next {
            for hlc in [hlc_of(number), Hlc(hlc_of(number).0 + 1)] {
                let walked = headers.iter().find(|h| h.hlc >= hlc).map(|h| h.number);
                prop_assert_eq!(log.find_hlc(hlc).unwrap(), walked);
            }
        }
        for number in 9..source.next {
            let mut reader = log.read_from(RecordNumber(number)).unwrap();
            prop_assert_eq!(reader.next_record().unwrap().unwrap().header.number.0, number);
        }
        for kind in 1..=6 {
            let walked = headers.iter().rfind(|h| h.kind as u8 == kind);
            if let Some(header) = walked {
                prop_assert_eq!(log.find_last(header.kind).unwrap(), Some(header.number));
            }
        }
        drop(store);
    }
}
