//! What is done about each kind of end that a crash, or a bad disk, may leave.
#![allow(clippy::unwrap_used)]

mod records;

use log_store::disk::SimulatedDisk;
use log_store::{Error, TornCause};
use records::*;
use transaction::RecordKind::{Chunk, Position, Transaction};
use transaction::RecordNumber;

/// A log of us with three durable records in one segment; returns where each ends.
fn three_records(disk: &SimulatedDisk) -> Vec<usize> {
    let log = log_on(disk, "us");
    let mut source = Writer::default();
    let mut end = 64;
    (0..3)
        .map(|_| {
            let record = source.transaction(100);
            log.append(&record).unwrap();
            log.sync().unwrap();
            end += record.len();
            end
        })
        .collect()
}

#[test]
fn a_file_cut_at_any_byte_keeps_every_whole_record() {
    let disk = SimulatedDisk::new();
    let ends = three_records(&disk);
    let path = segment("us", 1);
    let bytes = disk.read(&path).unwrap();
    for cut in 64..=bytes.len() {
        disk.overwrite(&path, bytes[..cut].to_vec());
        let log = log_on(&disk, "us");
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(log.durable().0 as usize, whole, "cut at {cut}");
        let torn = log.recovery().torn;
        let end = ends[..whole].last().copied().unwrap_or(64);
        assert_eq!(torn.as_ref().map_or(0, |torn| torn.bytes), (cut - end) as u64, "cut at {cut}");
        assert!(torn.is_none_or(|torn| torn.cause == TornCause::CutShort || cut - end < 4), "cut at {cut}");
        // Cut off for good, and ready to go on.
        assert_eq!(disk.read(&path).unwrap().len(), end);
        let mut source = Writer { next: whole as u64 + 1, sequence: whole as u64 };
        log.append(&source.transaction(10)).unwrap();
        log.sync().unwrap();
        assert_eq!(read_all(&log).len(), whole + 1);
    }
}

#[test]
fn a_segment_cut_inside_its_header_halts() {
    let disk = SimulatedDisk::new();
    three_records(&disk);
    let path = segment("us", 1);
    let bytes = disk.read(&path).unwrap();
    for cut in 0..64 {
        disk.overwrite(&path, bytes[..cut].to_vec());
        let error = store_on(&disk).unwrap().log(region("us")).unwrap_err();
        assert!(matches!(error, Error::Damaged(_)), "cut at {cut}: {error}");
    }
}

#[test]
fn a_zero_filled_tail_is_torn_whatever_its_length() {
    for zeros in [1, 47, 48, 500, 3_000_000] {
        let disk = SimulatedDisk::new();
        three_records(&disk);
        let path = segment("us", 1);
        let mut bytes = disk.read(&path).unwrap();
        bytes.resize(bytes.len() + zeros, 0);
        disk.overwrite(&path, bytes);
        let log = log_on(&disk, "us");
        assert_eq!(log.durable(), RecordNumber(3));
        let torn = log.recovery().torn.unwrap();
        assert_eq!((torn.bytes, torn.cause, torn.number), (zeros as u64, TornCause::Zeros, RecordNumber(4)));
    }
}

#[test]
fn any_flipped_bit_before_the_last_record_halts_and_names_the_place() {
    let disk = SimulatedDisk::new();
    let ends = three_records(&disk);
    let path = segment("us", 1);
    let bytes = disk.read(&path).unwrap();
    for bit in 64 * 8..ends[1] * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        disk.overwrite(&path, flipped.clone());
        let error = store_on(&disk).unwrap().log(region("us")).unwrap_err();
        let Error::Damaged(damage) = &error else { panic!("bit {bit}: {error}") };
        let record = if bit / 8 < ends[0] { (1, 64) } else { (2, ends[0] as u64) };
        assert_eq!((damage.number.0, damage.offset), record, "bit {bit}");
        assert_eq!(damage.path, path);
        assert!(error.to_string().contains("concord log verify --origin us"), "{error}");
        assert_eq!(disk.read(&path).unwrap(), flipped, "nothing was dropped");
    }
}

#[test]
fn any_flipped_bit_in_the_last_record_waits_for_a_decision() {
    let disk = SimulatedDisk::new();
    let ends = three_records(&disk);
    let path = segment("us", 1);
    let bytes = disk.read(&path).unwrap();
    for bit in ends[1] * 8..ends[2] * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        disk.overwrite(&path, flipped.clone());
        let log = log_on(&disk, "us");
        let last = log.recovery().damaged_last.unwrap_or_else(|| panic!("bit {bit}: {}", log.recovery()));
        assert_eq!((last.number.0, last.offset, last.bytes as usize), (3, ends[1] as u64, ends[2] - ends[1]));
        assert_eq!(log.durable(), RecordNumber(2));
        let third = Writer { next: 3, sequence: 2 }.transaction(100);
        assert!(matches!(log.append(&third), Err(Error::DamagedLastPending { .. })), "bit {bit}");
        assert_eq!(disk.read(&path).unwrap(), flipped, "nothing was dropped");
    }
}

#[test]
fn a_damaged_last_record_is_replaced_by_a_peers_copy_or_dropped() {
    let disk = SimulatedDisk::new();
    three_records(&disk);
    let path = segment("us", 1);
    let good = disk.read(&path).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;

    disk.overwrite(&path, bad.clone());
    let log = log_on(&disk, "us");
    let wrong = Writer { next: 4, sequence: 3 }.transaction(100);
    assert!(matches!(log.replace_damaged_last(&wrong), Err(Error::NotNext { .. })));
    log.replace_damaged_last(&Writer { next: 3, sequence: 2 }.transaction(100)).unwrap();
    assert_eq!(disk.read(&path).unwrap(), good);
    assert_eq!(log.durable(), RecordNumber(3));
    log.append(&wrong).unwrap();
    drop(log);

    disk.overwrite(&path, bad);
    let log = log_on(&disk, "us");
    log.drop_damaged_last().unwrap();
    assert_eq!(log.durable(), RecordNumber(2));
    log.append(&Writer { next: 3, sequence: 2 }.transaction(7)).unwrap();
    log.sync().unwrap();
    assert_eq!(read_all(&log).len(), 3);
}

#[test]
fn an_open_chain_that_a_damaged_end_left_is_dropped_with_it_or_kept_with_its_replacement() {
    for replaced in [false, true] {
        let disk = SimulatedDisk::new();
        let mut source = Writer::default();
        let records: Vec<_> = [Transaction, Chunk, Chunk, Transaction]
            .map(|kind| source.record(kind, 900))
            .into_iter()
            .collect();
        let log = log_on(&disk, "eu");
        log.append(&records.concat()).unwrap();
        log.sync().unwrap();
        drop(log);
        let path =
            disk.files().into_iter().rfind(|path| path.extension().is_some_and(|e| e == "seg")).unwrap();
        let mut bytes = disk.read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        disk.overwrite(&path, bytes);
        let log = log_on(&disk, "eu");
        assert_eq!(log.durable(), RecordNumber(3), "the chunks wait for the decision as well");
        if replaced {
            log.replace_damaged_last(&records[3]).unwrap();
            assert_eq!(read_all(&log), records);
        } else {
            let recovery = log.drop_damaged_last().unwrap();
            assert_eq!(recovery.chain.unwrap().records, 2);
            assert_eq!(read_all(&log), records[..1]);
        }
    }
}

#[test]
fn an_unfinished_chain_goes_from_the_own_log_however_many_segments_it_spans_and_stays_in_a_copy() {
    for chunks in 1..12 {
        for own in [true, false] {
            let (disk, origin) = (SimulatedDisk::new(), if own { "eu" } else { "us" });
            let mut source = Writer::default();
            let mut records: Vec<_> = vec![source.transaction(500), source.record(Position, 5)];
            records.extend((0..chunks).map(|_| source.record(Chunk, 700)));
            let log = log_on(&disk, origin);
            log.append(&records.concat()).unwrap();
            log.sync().unwrap();
            assert_eq!(log.tail().unfinished_chain, Some(RecordNumber(3)));
            drop(log);
            let log = log_on(&disk, origin);
            let kept = if own { 2 } else { records.len() };
            assert_eq!(read_all(&log), records[..kept]);
            let dropped = log.recovery().chain;
            assert_eq!(dropped.map_or(0, |chain| chain.records), if own { chunks } else { 0 });
            let bytes: usize = records[kept..].iter().map(Vec::len).sum();
            assert_eq!(dropped.map_or(0, |chain| chain.bytes), bytes as u64);
            // The transaction is read again and takes the same numbers.
            let again = Writer { next: kept as u64 + 1, sequence: 1 }.transaction(3_000);
            log.append(&again).unwrap();
            log.sync().unwrap();
            drop(log);
            let log = log_on(&disk, origin);
            assert_eq!(read_all(&log).last().unwrap(), &again);
            assert!(log.recovery().is_clean());
        }
    }
}

#[test]
fn damage_before_an_unfinished_chain_halts_and_nothing_is_dropped() {
    let disk = SimulatedDisk::new();
    let mut source = Writer::default();
    let log = log_on(&disk, "eu");
    let mut records = vec![source.transaction(100), source.transaction(100)];
    records.extend((0..6).map(|_| source.record(Chunk, 700)));
    log.append(&records.concat()).unwrap();
    log.sync().unwrap();
    drop(log);
    let path = segment("eu", 1);
    let mut bytes = disk.read(&path).unwrap();
    bytes[64 + records[0].len() + 60] ^= 1;
    disk.overwrite(&path, bytes);
    let files = || disk.files().into_iter().map(|path| (disk.read(&path), path)).collect::<Vec<_>>();
    let before = files();
    let error = store_on(&disk).unwrap().log(region("eu")).unwrap_err();
    assert!(matches!(&error, Error::Damaged(damage) if damage.number == RecordNumber(2)), "{error}");
    assert_eq!(files(), before);
}

/// A log of us of several segments; returns the first records of the segments.
fn several_segments(disk: &SimulatedDisk) -> Vec<u64> {
    let log = log_on(disk, "us");
    let mut source = Writer::default();
    for _ in 0..20 {
        log.append(&source.transaction(500)).unwrap();
    }
    log.sync().unwrap();
    log.segments().iter().map(|segment| segment.first.0).collect()
}

#[test]
fn damage_in_a_sealed_segment_is_found_by_reading_and_by_verifying_and_named() {
    let disk = SimulatedDisk::new();
    let firsts = several_segments(&disk);
    let path = segment("us", firsts[1]);
    let mut bytes = disk.read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    disk.overwrite(&path, bytes);
    let store = store_on(&disk).unwrap();
    let log = store.log(region("us")).unwrap();
    let mut reader = log.read_from(RecordNumber(1)).unwrap();
    let error = loop {
        match reader.next_record() {
            Ok(record) => assert!(record.unwrap().header.number.0 < firsts[2] - 1),
            Err(error) => break error,
        }
    };
    let Error::Damaged(damage) = error else { panic!("{error}") };
    assert_eq!((damage.number.0, &damage.path), (firsts[2] - 1, &path));
    let mut calls = 0;
    let report =
        log.verify(&mut |progress| calls += usize::from(progress.bytes <= progress.bytes_total)).unwrap();
    assert_eq!(report.damages, vec![*damage.clone()]);
    assert_eq!(calls, firsts.len());
    assert_eq!(store.verify(region("us"), &mut |_| {}).unwrap().damages, vec![*damage]);
}

#[test]
fn a_missing_segment_halts_and_names_the_first_record_that_is_gone() {
    let disk = SimulatedDisk::new();
    let firsts = several_segments(&disk);
    use log_store::disk::Disk;
    disk.remove(&segment("us", firsts[1])).unwrap();
    let error = store_on(&disk).unwrap().log(region("us")).unwrap_err();
    let Error::Damaged(damage) = &error else { panic!("{error}") };
    assert_eq!(damage.number.0, firsts[1]);
    assert!(error.to_string().contains("files are missing"), "{error}");
    let report = store_on(&disk).unwrap().verify(region("us"), &mut |_| {}).unwrap();
    assert_eq!(report.damages.len(), 1);
}

#[test]
fn an_absent_damaged_or_foreign_index_is_built_anew_from_its_segment() {
    let disk = SimulatedDisk::new();
    let firsts = several_segments(&disk);
    let index = |first: u64| segment("us", first).with_extension("index");
    let good = disk.read(&index(firsts[1])).unwrap();
    let foreign = disk.read(&index(firsts[0])).unwrap();
    for bad in [None, Some(Vec::new()), Some(good[..50].to_vec()), Some(foreign)] {
        use log_store::disk::Disk;
        match bad {
            Some(bytes) => disk.overwrite(&index(firsts[1]), bytes),
            None => disk.remove(&index(firsts[1])).unwrap(),
        }
        let log = log_on(&disk, "us");
        assert_eq!(read_all(&log).len(), 20);
        assert_eq!(disk.read(&index(firsts[1])).unwrap(), good);
    }
}

#[test]
fn a_record_of_a_newer_kind_halts_with_the_advice_to_upgrade() {
    let disk = SimulatedDisk::new();
    let ends = three_records(&disk);
    let path = segment("us", 1);
    let mut bytes = disk.read(&path).unwrap();
    let record = &mut bytes[ends[1]..];
    record[4] = 200;
    let mut sum = xxhash_rust::xxh3::Xxh3::new();
    sum.update(&record[..8]);
    sum.update(&record[16..]);
    let sum = sum.digest().to_le_bytes();
    record[8..16].copy_from_slice(&sum);
    disk.overwrite(&path, bytes);
    let error = store_on(&disk).unwrap().log(region("us")).unwrap_err();
    assert!(matches!(error, Error::NewerRecord { .. }), "{error}");
    assert!(error.to_string().contains("upgrade"), "{error}");
}
