//! Sorted runs: one claim each.
#![allow(clippy::unwrap_used)]

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use log_store::disk::{Access, DirEntry, Disk, DiskFile, Lock, LockError, SimulatedDisk};
use log_store::{Error, Identity, Options, RUN_RECORD_BYTES_MAX, Run, RunOptions, RunWriter, Runs, Store};
use proptest::prelude::*;

const OPTIONS: RunOptions = RunOptions { cache_bytes: 64 << 10, filter_bytes_max: 1 << 20 };

fn runs_on(disk: Arc<dyn Disk>, options: RunOptions) -> Result<Runs, Error> {
    let identity = Identity { mesh: "shop".to_owned(), region: "eu".parse().unwrap() };
    let store = Store::open_on(disk, "/data", identity, Options::default())?;
    Runs::open(&store, options)
}

fn fill(mut writer: RunWriter, records: &[(u128, Vec<u8>)]) -> Run {
    for (key, record) in records {
        writer.push(*key, record).unwrap();
    }
    writer.finish().unwrap()
}

/// The records from a place on.
fn read(run: &Run, from: u64) -> Result<Vec<(u128, Vec<u8>)>, Error> {
    let mut found = Vec::new();
    run.read(from, &mut |_, key, record| {
        found.push((key, record.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Keys spread as hashes are.
fn key(number: u64) -> u128 {
    let half = |salt: u64| (number ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ number << 17;
    u128::from(half(1)) << 64 | u128::from(half(7 << 40))
}

fn spread(count: u64, step: u64) -> Vec<(u128, Vec<u8>)> {
    let mut records: Vec<_> =
        (0..count).map(|number| (key(number * step), number.to_le_bytes().to_vec())).collect();
    records.sort();
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_record_is_found_and_read_in_the_order_in_which_it_came(
        mut keys in prop::collection::vec(prop_oneof![0..40_u128, any::<u128>()], 1..150),
        lens in prop::collection::vec(prop_oneof![20 => 0..60_usize, 1 => Just(RUN_RECORD_BYTES_MAX)], 150),
        cache_bytes in prop_oneof![Just(0_usize), Just(1 << 20)],
        filter_bytes_max in prop_oneof![Just(0_usize), Just(1 << 20)],
    ) {
        keys.sort_unstable();
        let records: Vec<(u128, Vec<u8>)> =
            keys.iter().enumerate().map(|(at, key)| (*key, vec![at as u8; lens[at]])).collect();
        let options = RunOptions { cache_bytes, filter_bytes_max };
        let runs = runs_on(Arc::new(SimulatedDisk::new()), options).unwrap();
        let run = fill(runs.begin(records.len() as u64).unwrap(), &records);
        prop_assert_eq!(&read(&run, 0).unwrap(), &records);
        for key in keys.iter().copied().chain([0, 20, u128::MAX]) {
            let expected: Vec<_> = records.iter().skip_while(|(other, _)| *other < key).cloned().collect();
            let is_there = expected.first().is_some_and(|(first, _)| *first == key);
            match run.find(key).unwrap() {
                Some(place) => prop_assert_eq!(read(&run, place).unwrap(), expected),
                None => prop_assert!(!is_there),
            }
        }
        // Step by step, as a merge reads.
        let (mut place, mut stepped) = (0, Vec::new());
        while stepped.len() < records.len() {
            run.read(place, &mut |next, key, record| {
                stepped.push((key, record.to_vec()));
                place = next;
                ControlFlow::Break(())
            }).unwrap();
        }
        prop_assert_eq!(stepped, records);
    }
}

#[test]
fn a_look_for_a_key_that_a_run_does_not_have_costs_no_read_of_the_disk() {
    const COUNT: u64 = 50_000;
    let disk = Arc::new(Counting::default());
    let runs = runs_on(disk.clone(), OPTIONS).unwrap();
    let run = fill(runs.begin(COUNT).unwrap(), &spread(COUNT, 2));
    let before = disk.reads.load(Ordering::Relaxed);
    for number in 0..COUNT {
        assert!(run.find(key(2 * number + 1)).unwrap().is_none());
    }
    let absent = disk.reads.load(Ordering::Relaxed) - before;
    assert!(absent < COUNT / 40, "{absent} reads for {COUNT} keys that are not there");
    // One that is there costs at most two, and the next look at its neighbours none.
    let first = key(0);
    assert!(run.find(first).unwrap().is_some());
    let before = disk.reads.load(Ordering::Relaxed);
    for _ in 0..1_000 {
        assert!(run.find(first).unwrap().is_some());
    }
    assert_eq!(disk.reads.load(Ordering::Relaxed), before);
}

#[test]
fn memory_stays_within_what_is_allowed() {
    const COUNT: u64 = 50_000;
    let options = RunOptions { cache_bytes: 128 << 10, filter_bytes_max: 100_000 };
    let runs = runs_on(Arc::new(SimulatedDisk::new()), options).unwrap();
    let records = spread(COUNT, 1);
    let all: Vec<Run> = (0..4).map(|_| fill(runs.begin(COUNT).unwrap(), &records)).collect();
    for run in &all {
        assert_eq!(read(run, 0).unwrap().len() as u64, COUNT);
        assert!((0..COUNT).all(|number| run.find(key(number)).unwrap().is_some()));
    }
    // One of them has a filter.
    let taken: Vec<usize> = all.iter().map(Run::bytes).collect();
    assert!(taken[0] > 60_000 && taken[1..].iter().all(|taken| *taken < 5_000), "{taken:?}");
    assert!(runs.bytes() < 140 << 10, "{}", runs.bytes());
    // Its room is given back with it.
    drop(all);
    assert!(fill(runs.begin(COUNT).unwrap(), &records).bytes() > 60_000);
}

#[test]
fn files_go_with_their_runs_and_those_of_an_earlier_process_at_the_start() {
    let disk = SimulatedDisk::new();
    let kept = |disk: &SimulatedDisk| -> usize {
        disk.files().iter().filter(|path| path.to_string_lossy().ends_with(".run")).count()
    };
    let runs = runs_on(Arc::new(disk.clone()), OPTIONS).unwrap();
    let run = fill(runs.begin(3).unwrap(), &spread(3, 1));
    let mut unfinished = runs.begin(1).unwrap();
    unfinished.push(1, b"one").unwrap();
    assert_eq!(kept(&disk), 2);
    drop(unfinished);
    assert_eq!(kept(&disk), 1);
    let crashed = disk.crash(7);
    drop((run, runs));
    assert_eq!(kept(&disk), 0);
    crashed.overwrite(Path::new("/data/history-runs/00000000000000000009.run"), vec![1; 5_000]);
    runs_on(Arc::new(crashed.clone()), OPTIONS).unwrap();
    assert_eq!(kept(&crashed), 0);
}

#[test]
fn a_changed_byte_anywhere_is_named_and_never_read() {
    let disk = SimulatedDisk::new();
    let records = spread(300, 1);
    let no_cache = RunOptions { cache_bytes: 0, ..OPTIONS };
    let runs = runs_on(Arc::new(disk.clone()), no_cache).unwrap();
    let run = fill(runs.begin(300).unwrap(), &records);
    let path = run.path().to_owned();
    let whole = disk.read(&path).unwrap();
    for at in (0..whole.len()).step_by(37) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        disk.overwrite(&path, changed);
        // The block before stays cached, which is what one block of room means.
        let other = if at < 4096 { whole.len() as u64 / 4096 - 1 } else { 0 };
        run.read(other << 16, &mut |_, _, _| ControlFlow::Break(())).unwrap();
        match read(&run, 0).unwrap_err() {
            Error::RunDamaged { path: named, offset, .. } => {
                assert_eq!((named, offset), (path.clone(), at as u64 / 4096 * 4096));
            }
            other => panic!("{other}"),
        }
    }
    // Blocks that changed places are seen as well.
    let mut swapped = whole.clone();
    swapped[..4096].copy_from_slice(&whole[4096..8192]);
    disk.overwrite(&path, swapped);
    run.read(1 << 16, &mut |_, _, _| ControlFlow::Break(())).unwrap();
    assert_eq!(run.find(records[0].0).unwrap_err().code(), "history-run-damaged");
    disk.overwrite(&path, whole[..whole.len() - 1].to_vec());
    assert_eq!(read(&run, 0).unwrap_err().code(), "log-io");
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing_behind() {
    let disk = SimulatedDisk::new();
    let runs = runs_on(Arc::new(disk.clone()), OPTIONS).unwrap();
    let mut writer = runs.begin(100_000).unwrap();
    disk.fail_after(0);
    let records = spread(100_000, 1);
    let error = records.iter().find_map(|(key, record)| writer.push(*key, record).err()).unwrap();
    assert!(error.to_string().contains("history-runs/"), "{error}");
    disk.heal();
    drop(writer);
    assert!(!disk.files().iter().any(|path| path.to_string_lossy().ends_with(".run")));
}

/// A disk that counts what is read.
#[derive(Debug, Default)]
struct Counting {
    disk: SimulatedDisk,
    reads: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountingFile(Arc<dyn DiskFile>, Arc<AtomicU64>);

impl Counting {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(CountingFile(file, self.reads.clone()))
    }
}

impl Disk for Counting {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.create(path)?))
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.open(path, access)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        self.disk.lock(path)
    }
}

impl DiskFile for CountingFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
    fn truncate(&self, size: u64) -> io::Result<()> {
        self.0.truncate(size)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}
