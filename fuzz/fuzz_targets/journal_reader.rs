//! A file of the conflict journal as it may lie on disk after anything: opened, read, and written on.
//!
//! The first byte chooses: bit 0, every entry gets a right checksum; bit 1, the file's header too.
#![no_main]

use concord_fuzz::{bounded, records, seeds};
use libfuzzer_sys::fuzz_target;
use log_store::disk::{Disk, SimulatedDisk};
use log_store::{Found, Identity, JournalOptions, Options, Store};
use std::path::Path;
use std::sync::Arc;
use transaction::RegionName;

const MEMORY_MAX: usize = 8 << 20;
const ENTRIES: u8 = 1;
const HEADER: u8 = 2;

fuzz_target!(
    init: seeds::write(seeds::JOURNALS.iter().flat_map(|file| {
        [[&[ENTRIES | HEADER], *file].concat(), [&[HEADER], *file].concat()]
    })),
    |data: &[u8]| {
        let Some((mode, data)) = data.split_first() else { return };
        bounded::within(MEMORY_MAX, || read(*mode, data));
    }
);

fn read(mode: u8, data: &[u8]) {
    let mut file = data.to_vec();
    if mode & HEADER != 0 {
        records::seal_journal_header(&mut file);
    }
    // An entry is sealed as a record is.
    if mode & ENTRIES != 0
        && let Some(rest) = file.get_mut(records::JOURNAL_HEADER_LEN..)
    {
        records::seal(rest);
    }
    let word = file.get(16..24).and_then(|word| word.try_into().ok());
    let first = word.map_or(1, u64::from_le_bytes).max(1);
    let disk = SimulatedDisk::new();
    let identity =
        Identity { mesh: "shop".into(), region: RegionName::new("eu").expect("eu is a region's name") };
    let store = Store::open_on(Arc::new(disk.clone()), "/data", identity, Options::default());
    let store = store.expect("an empty folder can be opened");
    disk.create_dir(Path::new("/data/conflict-journal")).expect("a folder can be made");
    disk.overwrite(Path::new(&format!("/data/conflict-journal/{first:020}.journal")), file);
    let Ok(mut reader) = store.read_journal() else { return };
    let mut count = 0;
    while let Ok(Some(_)) = reader.next_older() {
        count += 1;
        assert!(count <= data.len(), "more entries than bytes");
    }
    let Ok(journal) = store.journal(JournalOptions { file_bytes: 1000 }) else { return };
    let found = Found { id: [7; 16], time_us: 1, payload: b"one more", digest: 7 };
    if journal.write(&[found]).is_ok() {
        let newest = journal.read().and_then(|mut reader| reader.next_older());
        assert!(newest.is_ok_and(|newest| newest.is_some()), "what was written on is not there");
    }
}
