//! The folder, its owner and its lock, on a real file system.
#![allow(clippy::unwrap_used)]

mod records;

use log_store::{Error, Identity, Options, Store};
use records::*;
use transaction::RecordNumber;

#[test]
fn a_second_opening_is_refused_and_names_the_folder_and_the_holder() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), identity(), Options::default()).unwrap();
    let log = store.log(region("eu")).unwrap();
    let refused = || Store::open(dir.path(), identity(), Options::default()).unwrap_err();
    let text = refused().to_string();
    assert!(text.contains(&dir.path().display().to_string()), "{text}");
    assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
    drop(store);
    assert!(matches!(refused(), Error::Locked { .. }), "a log that is still in use keeps the folder locked");
    drop(log);
    Store::open(dir.path(), identity(), Options::default()).unwrap();
}

#[test]
fn a_folder_of_another_region_or_mesh_is_refused_with_both_names() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), identity(), Options::default()).unwrap());
    for (mesh, name, what) in [("shop", "us", "region \"eu\""), ("bank", "eu", "mesh \"shop\"")] {
        let other = Identity { mesh: mesh.into(), region: region(name) };
        let text = Store::open(dir.path(), other, Options::default()).unwrap_err().to_string();
        assert!(text.contains(what) && (text.contains("\"us\"") || text.contains("\"bank\"")), "{text}");
    }
}

#[test]
fn a_newer_format_is_refused_with_both_versions_for_the_store_and_for_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let identity_path = dir.path().join("FORMAT");
    let store = Store::open(dir.path(), identity(), Options::default()).unwrap();
    let log = store.log(region("us")).unwrap();
    log.append(&Writer::default().transaction(1)).unwrap();
    let segment = log.segments()[0].path.clone();
    drop((store, log));
    let text = std::fs::read_to_string(&identity_path).unwrap();
    std::fs::write(&identity_path, text.replace("format: 1", "format: 2")).unwrap();
    for error in [
        Store::open(dir.path(), identity(), Options::default()).unwrap_err(),
        Store::open_read_only(dir.path()).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("version 2") && text.contains("up to 1") && text.contains("upgrade"), "{text}");
    }
    std::fs::write(&identity_path, text).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    // As a newer version would write it: the checksum covers the version.
    bytes[8] = 2;
    let sum = xxhash_rust::xxh3::xxh3_64(&bytes[..56]);
    bytes[56..64].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(&segment, bytes).unwrap();
    let store = Store::open(dir.path(), identity(), Options::default()).unwrap();
    assert!(matches!(store.log(region("us")).unwrap_err(), Error::NewerFormat { found: 2, known: 1, .. }));
    store.log(region("ap")).unwrap();
}

#[test]
fn logs_without_an_identity_file_are_not_adopted() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("us")).unwrap();
    let error = Store::open(dir.path(), identity(), Options::default()).unwrap_err();
    assert!(matches!(error, Error::BadIdentity { .. }), "{error}");
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open_read_only(empty.path()).unwrap_err(), Error::BadIdentity { .. }));
}

#[test]
fn a_read_only_opening_sees_a_live_store_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), identity(), small_segments()).unwrap();
    let log = store.log(region("eu")).unwrap();
    let mut source = Writer::default();
    for _ in 0..10 {
        log.append(&source.transaction(500)).unwrap();
    }
    log.append(&source.record(transaction::RecordKind::Chunk, 10)).unwrap();
    // Half a record, as if the writer were in the middle of one.
    let active = log.segments().pop().unwrap().path;
    let mut bytes = std::fs::read(&active).unwrap();
    bytes.extend_from_slice(&source.transaction(100)[..60]);
    std::fs::write(&active, &bytes).unwrap();

    let looker = Store::open_read_only(dir.path()).unwrap();
    assert_eq!(looker.identity(), &identity());
    assert_eq!(looker.origins().unwrap(), [region("eu")]);
    let view = looker.log(region("eu")).unwrap();
    assert_eq!(view.durable(), RecordNumber(11), "the open chain is shown, too");
    assert_eq!(read_all(&view).len(), 11);
    assert!(matches!(view.append(&[]).unwrap_err(), Error::ReadOnly { .. }));
    assert!(matches!(view.sync().unwrap_err(), Error::ReadOnly { .. }));
    assert!(matches!(view.retain(RecordNumber(9), Default::default()).unwrap_err(), Error::ReadOnly { .. }));
    let missing = looker.log(region("us")).unwrap_err();
    assert!(matches!(missing, Error::NoSuchLog { .. }), "{missing}");
    assert!(!dir.path().join("us").exists());
    assert_eq!(std::fs::read(&active).unwrap(), bytes);
    let report = looker.verify(region("eu"), &mut |_| {}).unwrap();
    assert_eq!((report.records, report.torn_bytes, report.damages.len()), (11, 60, 0));
}
