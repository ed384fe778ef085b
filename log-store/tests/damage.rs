//! Whatever becomes of a log's bytes, what is read of it is what was written, and what is not read is accounted for.
#![allow(clippy::unwrap_used)]

mod records;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use log_store::Error;
use log_store::disk::SimulatedDisk;
use records::*;

/// Files of a log of eu with records in several segments, and the records. The small ones at the end share a segment.
fn written(disk: &SimulatedDisk) -> (BTreeMap<PathBuf, Vec<u8>>, Vec<Vec<u8>>) {
    let log = log_on(disk, "eu");
    let mut source = Writer::default();
    let records: Vec<_> =
        [700, 700, 700, 700, 60, 40].into_iter().map(|len| source.transaction(len)).collect();
    for record in &records {
        log.append(record).unwrap();
    }
    log.sync().unwrap();
    assert_eq!(log.segments().len(), 2);
    drop(log);
    let of_log = |path: &PathBuf| path.starts_with("/data/eu");
    let paths: Vec<PathBuf> = disk.files().into_iter().filter(of_log).collect();
    assert!(paths.iter().any(|path| path.extension().is_some_and(|kind| kind == "index")));
    (paths.into_iter().map(|path| (path.clone(), disk.read(&path).unwrap())).collect(), records)
}

/// Puts every file back to what it was, and takes away what was made beside them.
fn restore(disk: &SimulatedDisk, files: &BTreeMap<PathBuf, Vec<u8>>) {
    use log_store::disk::Disk;
    for path in disk.files().into_iter().filter(|path| path.starts_with("/data/eu")) {
        if !files.contains_key(&path) {
            disk.remove(&path).unwrap();
        }
    }
    for (path, bytes) in files {
        if disk.read(path).as_ref() != Some(bytes) {
            disk.overwrite(path, bytes.clone());
        }
    }
}

/// What was done about damage.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// All records are read: an index was made anew.
    Whole,
    /// So many are read, and nothing says that there were more.
    Short(usize),
    /// So many are read, and a torn tail was dropped after them.
    Torn(usize),
    /// So many are read, and the record after them waits for what the peers hold.
    Pending(usize),
    /// The log is refused at its opening or while it is read, with this file and offset; so many were read before.
    Halted(usize, PathBuf, u64),
}

/// Opens the log and reads it.
fn outcome(disk: &SimulatedDisk, records: &[Vec<u8>]) -> Outcome {
    let halted = |read: usize, error: Error| match error {
        Error::Damaged(damage) => Outcome::Halted(read, damage.path, damage.offset),
        Error::NewerFormat { path, .. } => Outcome::Halted(read, path, 0),
        other => panic!("another error: {other}"),
    };
    let log = match store_on(disk).unwrap().log(region("eu")) {
        Ok(log) => log,
        Err(error) => return halted(0, error),
    };
    let mut reader = log.read_from(transaction::RecordNumber(1)).unwrap();
    let mut read = 0;
    loop {
        match reader.next_record() {
            Ok(Some(record)) => assert!(record.bytes == records[read], "record {} is another one", read + 1),
            Ok(None) => break,
            Err(error) => return halted(read, error),
        }
        read += 1;
    }
    let recovery = log.recovery();
    match (&recovery.torn, &recovery.damaged_last) {
        (None, None) if read == records.len() => Outcome::Whole,
        (None, None) => Outcome::Short(read),
        (Some(torn), None) => {
            assert_eq!(torn.number.0 as usize, read + 1);
            Outcome::Torn(read)
        }
        (None, Some(last)) => {
            assert_eq!(last.number.0 as usize, read + 1);
            Outcome::Pending(read)
        }
        both => panic!("a torn tail and a damaged last record at once: {both:?}"),
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "seg")
}

#[test]
fn a_flipped_bit_anywhere_is_a_halt_at_its_place_or_a_last_record_for_the_peers_or_an_index_made_anew() {
    let disk = SimulatedDisk::new();
    let (files, records) = written(&disk);
    let last = files.keys().rfind(|path| is_segment(path)).unwrap();
    let last_record = files[last].len() - records.last().unwrap().len();
    for (path, bytes) in &files {
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.overwrite(path, flipped);
            let place = format!("bit {bit} of {}", path.display());
            match outcome(&disk, &records) {
                Outcome::Whole => assert!(!is_segment(path), "{place} went unseen"),
                Outcome::Pending(read) => {
                    assert_eq!(read, records.len() - 1, "{place}");
                    assert!(path == last && bit / 8 >= last_record, "{place}");
                }
                Outcome::Halted(_, named, offset) => {
                    assert_eq!(&named, path, "{place}");
                    assert!(offset as usize <= bit / 8, "{place}: offset {offset}");
                }
                other => panic!("{place}: {other:?}"),
            }
            restore(&disk, &files);
        }
    }
}

#[test]
fn a_file_cut_at_any_length_is_a_torn_tail_or_a_halt_that_names_it() {
    let disk = SimulatedDisk::new();
    let (files, records) = written(&disk);
    let last = files.keys().rfind(|path| is_segment(path)).unwrap();
    for (path, bytes) in &files {
        for len in 0..bytes.len() {
            disk.overwrite(path, bytes[..len].to_vec());
            let place = format!("{} cut to {len} bytes", path.display());
            match outcome(&disk, &records) {
                Outcome::Whole => assert!(!is_segment(path), "{place}"),
                // Between two records, it is as if the later ones had never come.
                Outcome::Short(read) => {
                    let later: usize = records[read..].iter().map(Vec::len).sum();
                    assert!(path == last && len + later == bytes.len(), "{place}");
                }
                Outcome::Torn(_) => assert_eq!(path, last, "{place}"),
                // What a cut between two records took is missed where the next file begins.
                Outcome::Halted(_, named, 0) if &named == last && path != last => {
                    let ends =
                        (0..records.len()).map(|count| records[..count].iter().map(Vec::len).sum::<usize>());
                    assert!(ends.into_iter().any(|end| len == 64 + end), "{place}");
                }
                Outcome::Halted(_, named, offset) => {
                    assert_eq!(&named, path, "{place}");
                    assert!(offset as usize <= len, "{place}: offset {offset}");
                }
                pending @ Outcome::Pending(_) => panic!("{place}: {pending:?}"),
            }
            restore(&disk, &files);
        }
    }
}
