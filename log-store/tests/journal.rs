//! The conflict journal: what was written is there after any crash, the last word counts, and damage is named.
//!
//! `CONCORD_WRITE_FIXTURE=DIR cargo test -p log-store --test journal` writes the journal of the present version into DIR.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log_store::disk::SimulatedDisk;
use log_store::{
    EntryId, Error, Found, Identity, Journal, JournalOptions, JournalRetention, Options, Standing, Store,
};
use proptest::prelude::*;

const SMALL: JournalOptions = JournalOptions { file_bytes: 1_000 };

fn identity() -> Identity {
    Identity { mesh: "shop".into(), region: "eu".parse().unwrap() }
}

fn store(disk: &SimulatedDisk) -> Store {
    Store::open_on(Arc::new(disk.clone()), "/data", identity(), Options::default()).unwrap()
}

fn open(disk: &SimulatedDisk) -> Result<Journal, Error> {
    store(disk).journal(SMALL)
}

fn id(number: u64) -> EntryId {
    let mut id = [0xAB; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id
}

fn payload(number: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (number * 31 + at * 7) as u8).collect()
}

/// Writes entries under these numbers in one go, each with a payload of its own; says how many were written.
fn write(journal: &Journal, numbers: &[u64], len: usize) -> Result<usize, Error> {
    let payloads: Vec<_> = numbers.iter().map(|number| payload(*number, len)).collect();
    let entries: Vec<_> = numbers
        .iter()
        .zip(&payloads)
        .map(|(number, payload)| Found { id: id(*number), time_us: *number, payload, digest: len as u64 })
        .collect();
    journal.write(&entries).map(|written| written.len())
}

fn all(mut reader: log_store::JournalReader) -> Result<Vec<Standing>, Error> {
    let mut standing = Vec::new();
    while let Some(entry) = reader.next_older()? {
        standing.push(entry);
    }
    Ok(standing)
}

/// The numbers whose ids stand, oldest first, as someone sees them who only looks.
fn standing(disk: &SimulatedDisk) -> Result<Vec<u64>, Error> {
    let store = Store::open_read_only_on(Arc::new(disk.clone()), "/data").unwrap();
    let mut found = all(store.read_journal()?)?;
    found.reverse();
    assert!(found.is_sorted_by_key(|entry| entry.number));
    Ok(found.iter().map(|entry| entry.time_us).collect())
}

fn files(disk: &SimulatedDisk) -> Vec<PathBuf> {
    disk.files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "journal")).collect()
}

#[test]
fn what_is_written_is_read_newest_first_across_files_and_lives() {
    let disk = SimulatedDisk::new();
    for life in 0..4 {
        let journal = open(&disk).unwrap();
        for number in life * 10..life * 10 + 10 {
            assert_eq!(write(&journal, &[number], 200).unwrap(), 1);
        }
    }
    assert!(files(&disk).len() > 5, "{:?}", files(&disk));
    assert_eq!(standing(&disk).unwrap(), (0..40).collect::<Vec<_>>());
    let journal = open(&disk).unwrap();
    let newest = journal.read().unwrap().next_older().unwrap().unwrap();
    assert_eq!((newest.id, newest.number, newest.payload), (id(39), 40, payload(39, 200)));
}

#[test]
fn the_last_word_about_an_id_counts() {
    let disk = SimulatedDisk::new();
    let journal = open(&disk).unwrap();
    write(&journal, &[1, 2, 3], 300).unwrap();
    assert_eq!(write(&journal, &[2, 4, 4], 300).unwrap(), 1, "of what stands nothing is written again");
    journal.withdraw(&[id(2), id(3), id(77)], 5).unwrap();
    assert_eq!(standing(&disk).unwrap(), [1, 4]);
    assert_eq!(write(&journal, &[3], 300).unwrap(), 1, "found again");
    assert_eq!(standing(&disk).unwrap(), [1, 4, 3]);
    assert_eq!(write(&journal, &[4], 200).unwrap(), 0, "it stood before");
    assert_eq!(standing(&disk).unwrap(), [1, 3, 4], "with another digest it is written again");
    assert_eq!(journal.read().unwrap().next_older().unwrap().unwrap().payload, payload(4, 200));
    drop(journal);
    // A process knows only what it has written itself; readers show the last one.
    let journal = open(&disk).unwrap();
    assert_eq!(write(&journal, &[1], 300).unwrap(), 1);
    assert_eq!(standing(&disk).unwrap(), [3, 4, 1]);
}

#[test]
fn a_store_without_a_journal_reads_as_empty_and_a_reader_writes_none() {
    let disk = SimulatedDisk::new();
    drop(store(&disk));
    assert_eq!(standing(&disk).unwrap(), [0u64; 0]);
    let read_only = Store::open_read_only_on(Arc::new(disk.clone()), "/data").unwrap();
    assert!(matches!(read_only.journal(SMALL), Err(Error::JournalReadOnly { .. })));
}

#[test]
fn the_journal_is_no_log() {
    let disk = SimulatedDisk::new();
    write(&open(&disk).unwrap(), &[1], 10).unwrap();
    assert_eq!(store(&disk).origins().unwrap(), []);
}

#[test]
fn the_store_stays_locked_while_its_journal_is_open() {
    let disk = SimulatedDisk::new();
    let journal = open(&disk).unwrap();
    let second = Store::open_on(Arc::new(disk.clone()), "/data", identity(), Options::default());
    assert!(matches!(second, Err(Error::Locked { .. })));
    drop(journal);
    store(&disk);
}

/// Offsets at which the entries of the only file begin, and its end.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut at = vec![40];
    while at[at.len() - 1] < bytes.len() {
        let start = at[at.len() - 1];
        let len = u32::from_le_bytes(bytes[start..start + 4].try_into().unwrap()) as usize;
        at.push(start + 48 + len);
    }
    at
}

#[test]
fn the_file_may_be_cut_anywhere_and_holds_the_whole_entries_before() {
    let disk = SimulatedDisk::new();
    let journal = open(&disk).unwrap();
    write(&journal, &[1, 2], 30).unwrap();
    write(&journal, &[3], 0).unwrap();
    journal.withdraw(&[id(1)], 4).unwrap();
    drop(journal);
    let path = files(&disk)[0].clone();
    let whole = disk.read(&path).unwrap();
    let boundaries = boundaries(&whole);
    assert_eq!(boundaries.len(), 5);
    let expected: [&[u64]; 5] = [&[], &[1], &[1, 2], &[1, 2, 3], &[2, 3]];
    for cut in 40..=whole.len() {
        for zeros in [0, 100] {
            let mut bytes = whole[..cut].to_vec();
            bytes.extend(std::iter::repeat_n(0, zeros));
            disk.overwrite(&path, bytes);
            let entries = boundaries.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!(standing(&disk).unwrap(), expected[entries], "cut {cut}");
            let journal = open(&disk).unwrap();
            assert_eq!(journal.torn_bytes(), cut - boundaries[entries] + zeros, "cut {cut}");
            write(&journal, &[9], 5).unwrap();
            assert_eq!(standing(&disk).unwrap(), [expected[entries], &[9]].concat(), "cut {cut}");
        }
    }
}

#[test]
fn damage_that_is_no_torn_tail_is_refused_with_file_and_offset() {
    let disk = SimulatedDisk::new();
    let journal = open(&disk).unwrap();
    for number in 1..=3 {
        write(&journal, &[number], 30).unwrap();
    }
    drop(journal);
    let path = files(&disk)[0].clone();
    let whole = disk.read(&path).unwrap();
    let boundaries = boundaries(&whole);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        disk.overwrite(&path, bytes.clone());
        let entry = boundaries.iter().rposition(|start| *start <= at);
        let offset = entry.map_or(0, |entry| boundaries[entry]);
        if entry == Some(2) {
            // Nothing follows the last entry, so it may be one that was never acknowledged.
            assert_eq!(standing(&disk).unwrap(), [1, 2], "byte {at}");
            assert_eq!(open(&disk).unwrap().torn_bytes(), whole.len() - offset);
            continue;
        }
        for error in [standing(&disk).unwrap_err(), open(&disk).unwrap_err()] {
            match &error {
                Error::JournalDamaged { path: named, offset: found, .. } => {
                    assert_eq!((named, *found), (&path, offset as u64), "byte {at}");
                }
                other => panic!("byte {at}: {other}"),
            }
            let said = error.to_string();
            assert!(said.contains("move it away") && said.contains(".journal"), "{said}");
        }
        assert_eq!(disk.read(&path).unwrap(), bytes, "nothing was changed");
    }
}

#[test]
fn pages_of_one_batch_that_reached_the_disk_out_of_order_are_a_torn_tail() {
    let disk = SimulatedDisk::new();
    let journal = open(&disk).unwrap();
    write(&journal, &[1], 30).unwrap();
    write(&journal, &[2, 3, 4], 30).unwrap();
    drop(journal);
    let path = files(&disk)[0].clone();
    let mut bytes = disk.read(&path).unwrap();
    let start = boundaries(&bytes)[1];
    bytes[start..start + 70].fill(0);
    disk.overwrite(&path, bytes);
    assert_eq!(standing(&disk).unwrap(), [1]);
    assert!(open(&disk).unwrap().torn_bytes() > 0);
    assert_eq!(standing(&disk).unwrap(), [1]);
}

#[test]
fn damage_in_a_closed_file_is_named_and_the_others_are_still_read() {
    let disk = SimulatedDisk::new();
    let journal = open(&disk).unwrap();
    for number in 1..=12 {
        write(&journal, &[number], 250).unwrap();
    }
    let path = files(&disk)[1].clone();
    let mut bytes = disk.read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    disk.overwrite(&path, bytes);
    let mut reader = journal.read().unwrap();
    let (mut seen, mut damage) = (BTreeSet::new(), Vec::new());
    loop {
        match reader.next_older() {
            Ok(None) => break,
            Ok(Some(entry)) => assert!(seen.insert(entry.time_us)),
            Err(error) => damage.push(error.to_string()),
        }
    }
    assert_eq!(seen, (1..=12).filter(|number| *number != 6).collect());
    assert!(damage.len() == 1 && damage[0].contains(path.to_str().unwrap()), "{damage:?}");
    // It may be moved away.
    use log_store::disk::Disk;
    disk.remove(&path).unwrap();
    assert_eq!(standing(&disk).unwrap(), [1, 2, 3, 7, 8, 9, 10, 11, 12]);
    drop((reader, journal));
    write(&open(&disk).unwrap(), &[13], 250).unwrap();
    assert_eq!(standing(&disk).unwrap(), [1, 2, 3, 7, 8, 9, 10, 11, 12, 13]);
}

#[test]
fn retention_takes_whole_files_that_are_too_old_or_too_much() {
    let disk = SimulatedDisk::new();
    let journal = open(&disk).unwrap();
    for number in 1..=12 {
        write(&journal, &[number * 10], 250).unwrap();
    }
    let kept = |policy: JournalRetention| {
        journal.retain(policy).unwrap();
        standing(&disk).unwrap().iter().map(|time| time / 10).collect::<Vec<_>>()
    };
    let none = JournalRetention::default();
    let older = |floor| JournalRetention { time_floor_us: Some(floor), ..none };
    assert_eq!(kept(none).len(), 12);
    assert_eq!(kept(older(30)).len(), 12, "the first file has one of that time");
    assert_eq!(kept(older(31)), (4..=12).collect::<Vec<_>>());
    assert_eq!(kept(JournalRetention { bytes_max: Some(2_000), ..none }), (7..=12).collect::<Vec<_>>());
    assert_eq!(kept(JournalRetention { bytes_max: Some(1), ..none }), (10..=12).collect::<Vec<_>>());
    assert_eq!(kept(older(120)), (10..=12).collect::<Vec<_>>(), "the file in use has one that is young");
    assert_eq!(kept(older(121)), [0u64; 0]);
    assert_eq!(files(&disk).len(), 1);
    drop(journal);
    let journal = open(&disk).unwrap();
    write(&journal, &[2_000], 10).unwrap();
    assert_eq!(journal.read().unwrap().next_older().unwrap().unwrap().number, 13);
}

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    for changes in 0..4 {
        let disk = SimulatedDisk::new();
        let journal = open(&disk).unwrap();
        write(&journal, &[1], 10).unwrap();
        disk.fail_after(changes);
        let failed = (2..9).map(|number| write(&journal, &[number], 10)).find_map(Result::err).unwrap();
        assert!(matches!(failed, Error::Io { .. }), "{failed}");
        disk.heal();
        let stopped = write(&journal, &[10], 10).unwrap_err();
        assert!(
            matches!(&stopped, Error::JournalStopped { cause } if *cause == failed.to_string()),
            "{stopped}"
        );
        assert!(journal.withdraw(&[id(1)], 1).is_err());
        drop(journal);
        write(&open(&disk).unwrap(), &[10], 10).unwrap();
        let found = standing(&disk).unwrap();
        assert!(found.starts_with(&[1]) && found.ends_with(&[10]), "{found:?}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<u64>, usize),
    Withdraw(Vec<u64>),
    Retain(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let numbers = || proptest::collection::vec(0u64..60, 1..6);
    prop_oneof![
        5 => (numbers(), 0usize..300).prop_map(|(numbers, len)| Step::Write(numbers, len)),
        1 => (numbers(), 900usize..3_000).prop_map(|(numbers, len)| Step::Write(numbers, len)),
        2 => numbers().prop_map(Step::Withdraw),
        1 => (0u64..20_000).prop_map(Step::Retain),
    ]
}

/// Some steps, until the disk freezes; then the process dies, and perhaps the power fails as well.
type Life = (Vec<Step>, u64, u64, bool);

fn life() -> impl Strategy<Value = Life> {
    (proptest::collection::vec(step(), 1..20), 0u64..80, any::<u64>(), any::<bool>())
}

fn live(lives: &[Life]) -> Result<(), TestCaseError> {
    let mut disk = SimulatedDisk::new();
    drop(store(&disk));
    // Whether an id stands, for the ids that no failed step was about.
    let mut known: BTreeMap<u64, bool> = BTreeMap::new();
    let mut retained = false;
    for (steps, frozen_after, crash_seed, power_fails) in lives {
        let journal = open(&disk).unwrap();
        disk.fail_after(*frozen_after);
        for step in steps {
            let (numbers, stands, done) = match step {
                Step::Write(numbers, len) => {
                    (numbers.as_slice(), true, write(&journal, numbers, *len).map(|_| ()))
                }
                Step::Withdraw(numbers) => {
                    let ids: Vec<_> = numbers.iter().map(|number| id(*number)).collect();
                    (numbers.as_slice(), false, journal.withdraw(&ids, 1))
                }
                Step::Retain(bytes) => {
                    retained = true;
                    let policy = JournalRetention { bytes_max: Some(*bytes), ..Default::default() };
                    (&[][..], false, journal.retain(policy).map(|_| ()))
                }
            };
            match done {
                Ok(()) => known.extend(numbers.iter().map(|number| (*number, stands))),
                Err(error) => {
                    prop_assert!(matches!(error, Error::Io { .. }), "{}", error);
                    numbers.iter().for_each(|number| {
                        known.remove(number);
                    });
                    break;
                }
            }
        }
        drop(journal);
        if *power_fails {
            disk = disk.crash(*crash_seed);
        }
        disk.heal();
        let before = standing(&disk).unwrap();
        drop(open(&disk).unwrap());
        let held = standing(&disk).unwrap();
        prop_assert_eq!(&before, &held, "who only looks sees what recovery leaves");
        for (number, stands) in &known {
            let found = held.contains(number);
            // Retention may take what stands, and with it or before it what says that it came to nothing.
            prop_assert!(found == *stands || retained, "{}: {} for {}", number, found, stands);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_crashes_what_was_acknowledged_is_there(lives in proptest::collection::vec(life(), 1..4)) {
        live(&lives)?;
    }
}

/// What the fixture of version 1 holds.
fn write_fixture(dir: &Path) {
    let store = Store::open(dir, identity(), Options::default()).unwrap();
    let journal = store.journal(JournalOptions { file_bytes: 400 }).unwrap();
    write(&journal, &[1, 2], 100).unwrap();
    journal.withdraw(&[id(1)], 3).unwrap();
    write(&journal, &[4], 20).unwrap();
}

#[test]
fn the_fixture_of_version_1_is_read_and_written_byte_by_byte() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/journal-v1");
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    if let Some(target) = std::env::var_os("CONCORD_WRITE_FIXTURE") {
        write_fixture(Path::new(&target));
    }
    let store = Store::open_read_only(&fixture).unwrap();
    let found: Vec<_> = all(store.read_journal().unwrap()).unwrap();
    assert_eq!(found.iter().map(|entry| entry.time_us).collect::<Vec<_>>(), [4, 2]);
    assert_eq!((found[1].id, &found[1].payload), (id(2), &payload(2, 100)));
    for name in ["00000000000000000001.journal", "00000000000000000004.journal"] {
        let bytes = |dir: &Path| std::fs::read(dir.join("conflict-journal").join(name)).unwrap();
        assert!(bytes(dir.path()) == bytes(&fixture), "{name}");
    }
}

#[test]
fn a_file_with_a_number_that_has_no_next_is_damaged() {
    let disk = SimulatedDisk::new();
    write(&open(&disk).unwrap(), &[1], 30).unwrap();
    let path = files(&disk)[0].clone();
    let mut bytes = disk.read(&path).unwrap()[..40].to_vec();
    bytes[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
    let sum = xxhash_rust::xxh3::xxh3_64(&bytes[..32]);
    bytes[32..40].copy_from_slice(&sum.to_le_bytes());
    bytes.push(7);
    disk.overwrite(&path.with_file_name(format!("{}.journal", u64::MAX)), bytes);
    assert!(matches!(open(&disk).unwrap_err(), Error::JournalDamaged { offset: 0, .. }));
}
