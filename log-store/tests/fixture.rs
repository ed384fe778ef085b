//! Files of every released version open for ever, and this version still writes what it promised.
//!
//! `CONCORD_WRITE_FIXTURE=DIR cargo test -p log-store --test fixture` writes the store of the present version into DIR. A
//! fixture of a released version is never written again: a new version of the format gets a folder of its own.
#![allow(clippy::unwrap_used)]

mod records;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use log_store::{FORMAT_VERSION, Options, Store};
use records::*;
use transaction::RecordKind::{self, *};
use transaction::record::Body;
use transaction::{Record, RecordNumber, Sequence};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("v{FORMAT_VERSION}"))
}

/// The records of eu (its own log, from 1) and of us (a copy, from record 40 and transaction 21).
fn content() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let records = |mut source: Writer, kinds: &[(RecordKind, usize)]| -> Vec<Vec<u8>> {
        kinds.iter().map(|(kind, len)| source.record(*kind, *len)).collect()
    };
    let eu = [
        (Incarnation, 0),
        (Position, 12),
        (Transaction, 700),
        (Chunk, 900),
        (Chunk, 900),
        (Transaction, 40),
        (Prepare, 300),
        (Transaction, 0),
        (Repair, 200),
        (Position, 36),
    ];
    let us = [(Transaction, 100), (Repair, 0), (Chunk, 20)];
    BTreeMap::from([
        ("eu", records(Writer::default(), &eu)),
        ("us", records(Writer { next: 40, sequence: 20 }, &us)),
    ])
}

fn write(dir: &Path) {
    let store = Store::open(dir, identity(), Options { segment_bytes: 1_500, ..Options::default() }).unwrap();
    for (origin, records) in content() {
        let log = store.log(region(origin)).unwrap();
        for record in records {
            log.append(&record).unwrap();
        }
        log.sync().unwrap();
    }
}

/// Every file below a folder but the lock, by its path in it.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let (path, name) = entry.map(|e| (e.path(), e.file_name().into_string().unwrap())).unwrap();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else if name != "LOCK" {
            found.insert(name, std::fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn the_fixture_of_version_1_opens_and_holds_what_was_written_then() {
    let store = Store::open_read_only(fixture()).unwrap();
    assert_eq!(store.identity(), &identity());
    assert_eq!(store.origins().unwrap(), [region("eu"), region("us")]);
    for (origin, records) in content() {
        let log = store.log(region(origin)).unwrap();
        assert!(log.recovery().is_clean());
        assert_eq!(read_all(&log), records);
        let report = log.verify(&mut |_| {}).unwrap();
        assert_eq!(
            (report.records as usize, report.stale_indexes, report.damages),
            (records.len(), 0, vec![])
        );
    }
    let eu = store.log(region("eu")).unwrap();
    assert!(eu.segments().len() > 2);
    assert_eq!(eu.find_sequence(Sequence(4)).unwrap(), Some(RecordNumber(9)));
    let mut reader = eu.read_from(RecordNumber(9)).unwrap();
    let repair = Record::decode(reader.next_record().unwrap().unwrap().bytes).unwrap();
    let Body::Repair { transaction, .. } = repair.body else { panic!("{repair:?}") };
    assert_eq!(transaction.context.to_string(), "us:9");
    let us = store.log(region("us")).unwrap();
    assert_eq!(us.tail().unfinished_chain, Some(RecordNumber(42)));
}

#[test]
fn this_version_writes_the_fixture_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    if let Some(target) = std::env::var_os("CONCORD_WRITE_FIXTURE") {
        write(Path::new(&target));
    }
    let (now, then) = (files(dir.path()), files(&fixture()));
    assert_eq!(now.keys().collect::<Vec<_>>(), then.keys().collect::<Vec<_>>());
    for (name, bytes) in &now {
        assert!(then[name] == *bytes, "{name} differs from the fixture");
    }
}
