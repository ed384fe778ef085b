//! Damaged logs that are mended from another copy.
#![allow(clippy::unwrap_used)]

mod records;

use std::collections::BTreeMap;
use std::path::PathBuf;

use log_store::disk::{Disk, SimulatedDisk};
use log_store::{Error, MendError, MendReport, RecordSource};
use records::*;
use transaction::RecordNumber;

/// A copy in memory that gives `batch` records at a time.
#[derive(Clone, Default)]
struct Copy {
    records: BTreeMap<u64, Vec<u8>>,
    batch: usize,
}

impl RecordSource for Copy {
    type Error = String;

    fn records(&mut self, from: RecordNumber) -> Result<Option<Vec<u8>>, String> {
        if self.records.keys().next().is_some_and(|first| *first > from.0) {
            return Err(format!("record {from} was removed by retention"));
        }
        let found: Vec<u8> =
            self.records.range(from.0..).take(self.batch).flat_map(|(_, r)| r.clone()).collect();
        Ok((!found.is_empty()).then_some(found))
    }
}

/// A log of `origin` with 20 records in several segments: its files, its copy, and where segments begin.
fn good(disk: &SimulatedDisk, origin: &str) -> (BTreeMap<PathBuf, Vec<u8>>, Copy, Vec<u64>) {
    good_of(20, disk, origin)
}

/// The same with so many records.
fn good_of(count: u64, disk: &SimulatedDisk, origin: &str) -> (BTreeMap<PathBuf, Vec<u8>>, Copy, Vec<u64>) {
    let log = log_on(disk, origin);
    let mut source = Writer::default();
    let mut copy = Copy { batch: 3, ..Copy::default() };
    for number in 1..=count {
        let record = source.transaction(400 + 13 * number as usize);
        log.append(&record).unwrap();
        copy.records.insert(number, record);
    }
    log.sync().unwrap();
    let firsts = log.segments().iter().map(|segment| segment.first.0).collect();
    (files(disk, origin), copy, firsts)
}

/// The segments of a log, by path.
fn files(disk: &SimulatedDisk, origin: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let of_log = |path: &PathBuf| {
        path.starts_with(format!("/data/{origin}")) && path.extension().is_some_and(|e| e == "seg")
    };
    disk.files().into_iter().filter(of_log).map(|path| (path.clone(), disk.read(&path).unwrap())).collect()
}

fn mend(disk: &SimulatedDisk, origin: &str, copy: &Copy) -> Result<MendReport, MendError<String>> {
    store_on(disk).unwrap().mend(region(origin), &mut copy.clone(), &mut |_| {})
}

#[test]
fn whatever_bit_is_flipped_the_files_are_afterwards_what_they_were() {
    let disk = SimulatedDisk::new();
    let (good, copy, firsts) = good(&disk, "us");
    assert!(firsts.len() > 3);
    assert_eq!(mend(&disk, "us", &copy).unwrap(), MendReport::default());
    for (path, bytes) in &good {
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            disk.overwrite(path, bad);
            let report = mend(&disk, "us", &copy).unwrap();
            assert_eq!(report.segments.iter().collect::<Vec<_>>(), [path], "byte {at}");
            assert!(report.records <= 1, "byte {at}: {report:?}");
            assert!(files(&disk, "us") == good, "byte {at} of {}", path.display());
        }
    }
}

#[test]
fn every_single_bit_of_a_small_log_is_mended() {
    let disk = SimulatedDisk::new();
    let (good, copy, firsts) = good_of(5, &disk, "us");
    assert_eq!(firsts.len(), 2);
    for (path, bytes) in &good {
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            disk.overwrite(path, bad);
            mend(&disk, "us", &copy).unwrap();
            assert!(files(&disk, "us") == good, "bit {bit} of {}", path.display());
        }
    }
}

#[test]
fn a_segment_cut_anywhere_or_gone_is_made_anew_and_only_the_lost_records_are_taken() {
    let disk = SimulatedDisk::new();
    let (good, copy, firsts) = good(&disk, "us");
    let whole: Vec<Vec<u8>> = copy.records.values().cloned().collect();
    for first in &firsts[..firsts.len() - 1] {
        let path = segment("us", *first);
        for len in 0..good[&path].len() {
            disk.overwrite(&path, good[&path][..len].to_vec());
            mend(&disk, "us", &copy).unwrap();
            assert_eq!(read_all(&log_on(&disk, "us")), whole, "{len} bytes of segment {first}");
            for (path, bytes) in &good {
                disk.overwrite(path, bytes.clone());
            }
            let strange: Vec<_> =
                files(&disk, "us").into_keys().filter(|path| !good.contains_key(path)).collect();
            strange.iter().for_each(|path| disk.remove(path).unwrap());
        }
        if *first > 1 {
            disk.remove(&path).unwrap();
            let report = mend(&disk, "us", &copy).unwrap();
            assert_eq!(report.segments, [path]);
            assert!(files(&disk, "us") == good, "segment {first}");
        }
    }
}

#[test]
fn the_end_of_a_copy_is_left_to_the_link_and_that_of_the_own_log_is_taken_back() {
    for (origin, kept) in [("us", 19), ("eu", 20)] {
        let disk = SimulatedDisk::new();
        let (good, copy, firsts) = good(&disk, origin);
        // The last file ends inside its last record but one, and that one is damaged before.
        let path = segment(origin, *firsts.last().unwrap());
        let (last, before) = (copy.records[&20].len(), copy.records[&19].len());
        let mut bytes = good[&path].clone();
        let end = bytes.len() - last;
        bytes[end - before + 60] ^= 1;
        bytes.truncate(end);
        disk.overwrite(&path, bytes);
        mend(&disk, origin, &copy).unwrap();
        let log = log_on(&disk, origin);
        assert!(log.recovery().is_clean());
        assert_eq!(log.durable(), RecordNumber(kept));
        assert!(
            files(&disk, origin)[&path] == good[&path][..if kept == 20 { good[&path].len() } else { end }]
        );
    }
}

#[test]
fn a_copy_that_lacks_the_record_or_holds_another_one_changes_nothing() {
    let disk = SimulatedDisk::new();
    let (good, copy, firsts) = good(&disk, "us");
    let path = segment("us", firsts[1]);
    let mut bad = good.clone();
    // The second record of the segment.
    bad.get_mut(&path).unwrap()[64 + copy.records[&firsts[1]].len() + 50] ^= 1;
    disk.overwrite(&path, bad[&path].clone());

    let mut short = copy.clone();
    short.records.split_off(&(firsts[1] + 1));
    let error = mend(&disk, "us", &short).unwrap_err();
    assert!(
        matches!(&error, MendError::Store(Error::NoCopy { number, .. }) if number.0 == firsts[1] + 1),
        "{error}"
    );
    let mut pruned = copy.clone();
    pruned.records = pruned.records.split_off(&(firsts[1] + 2));
    assert!(matches!(mend(&disk, "us", &pruned).unwrap_err(), MendError::Source(_)));
    let mut other = copy.clone();
    other.records.insert(firsts[1], Writer { next: firsts[1], sequence: firsts[1] - 1 }.transaction(7));
    let error = mend(&disk, "us", &other).unwrap_err();
    assert!(
        matches!(&error, MendError::Store(Error::CopiesDiffer { number, .. }) if number.0 == firsts[1]),
        "{error}"
    );
    assert!(files(&disk, "us") == bad);
    mend(&disk, "us", &copy).unwrap();
    assert!(files(&disk, "us") == good);
}

#[test]
fn a_damaged_last_record_that_no_copy_holds_still_waits_for_a_decision() {
    let disk = SimulatedDisk::new();
    let (good, copy, firsts) = good(&disk, "us");
    let path = segment("us", *firsts.last().unwrap());
    let mut bytes = good[&path].clone();
    *bytes.last_mut().unwrap() ^= 1;
    disk.overwrite(&path, bytes.clone());
    let mut short = copy.clone();
    short.records.remove(&20);
    mend(&disk, "us", &short).unwrap();
    assert!(files(&disk, "us")[&path] == bytes);
    assert_eq!(log_on(&disk, "us").recovery().damaged_last.unwrap().number, RecordNumber(20));
}

#[test]
fn a_log_that_is_open_is_not_mended() {
    let disk = SimulatedDisk::new();
    let (_, copy, _) = good(&disk, "us");
    let store = store_on(&disk).unwrap();
    let _open = store.log(region("us")).unwrap();
    let refused = store.mend(region("us"), &mut copy.clone(), &mut |_| {});
    assert!(matches!(refused, Err(MendError::Store(Error::ReadOnly { .. }))));
}
