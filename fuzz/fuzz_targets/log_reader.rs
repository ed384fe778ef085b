//! A segment and its index as they may lie on disk after anything: opening, recovery, reading, searching and verification.
//!
//! The first byte chooses: bit 0, every record gets a right checksum; bit 1, the segment's header too; bit 2, the second half of the
//! input is the index beside it; bit 3, an empty segment follows, so that this one must be whole.
#![no_main]

use concord_fuzz::{bounded, records, seeds};
use libfuzzer_sys::fuzz_target;
use log_store::disk::{Disk, SimulatedDisk};
use log_store::{Identity, Options, Store};
use std::path::Path;
use std::sync::Arc;
use transaction::{Record, RecordNumber, RegionName, Sequence};

/// A reader's windows, and what the files take.
const MEMORY_MAX: usize = 32 << 20;
const RECORDS: u8 = 1;
const HEADER: u8 = 2;
const INDEX: u8 = 4;
const FOLLOWED: u8 = 8;

fuzz_target!(
    init: seeds::write(seeds::SEGMENTS.iter().flat_map(|segment| {
        let indexed = [&segment[..seeds::INDEX.len().min(segment.len())], seeds::INDEX].concat();
        let sealed = RECORDS | HEADER;
        [[&[sealed], *segment].concat(), [&[sealed | FOLLOWED], *segment].concat(), [&[INDEX], indexed.as_slice()].concat()]
    })),
    |data: &[u8]| {
        let Some((mode, data)) = data.split_first() else { return };
        bounded::within(MEMORY_MAX, || read(*mode, data));
    }
);

fn read(mode: u8, data: &[u8]) {
    let (segment, index) = if mode & INDEX == 0 {
        (data, None)
    } else {
        let (segment, index) = data.split_at(data.len() / 2);
        (segment, Some(index))
    };
    let mut segment = segment.to_vec();
    if mode & HEADER != 0 {
        records::seal_segment_header(&mut segment);
    }
    if mode & RECORDS != 0
        && let Some(rest) = segment.get_mut(records::SEGMENT_HEADER_LEN..)
    {
        records::seal(rest);
    }
    // The name of the file is what its header says, or else little of it would ever be read.
    let word = segment.get(16..24).and_then(|word| word.try_into().ok());
    let first = word.map_or(1, u64::from_le_bytes).max(1);
    let disk = SimulatedDisk::new();
    let eu = RegionName::new("eu").expect("eu is a region's name");
    let identity = Identity { mesh: "shop".into(), region: eu };
    let store = Store::open_on(Arc::new(disk.clone()), "/data", identity, Options::default());
    let store = store.expect("an empty folder can be opened");
    disk.create_dir(Path::new("/data/eu")).expect("a folder can be made");
    let path = format!("/data/eu/{first:020}");
    if let Some(index) = index {
        disk.overwrite(Path::new(&format!("{path}.index")), index.to_vec());
    }
    if mode & FOLLOWED != 0 {
        let next = first.saturating_add(mode.into());
        let mut header = segment.get(..records::SEGMENT_HEADER_LEN).unwrap_or_default().to_vec();
        if let Some(word) = header.get_mut(16..24) {
            word.copy_from_slice(&next.to_le_bytes());
        }
        records::seal_segment_header(&mut header);
        disk.overwrite(Path::new(&format!("/data/eu/{next:020}.seg")), header);
    }
    disk.overwrite(Path::new(&format!("{path}.seg")), segment);
    let _ = store.verify(eu, &mut |_| {});
    let Ok(log) = store.log(eu) else { return };
    if log.recovery().damaged_last.is_some() {
        let _ = log.drop_damaged_last();
    }
    let Ok(mut reader) = log.read_from(RecordNumber(0)) else { return };
    let mut count = 0;
    while let Ok(Some(record)) = reader.next_record() {
        let _ = Record::decode(record.bytes);
        count += 1;
        assert!(count * transaction::record::HEADER_LEN <= data.len(), "more records than bytes");
    }
    for wanted in [1, first, first.saturating_add(1), u64::MAX] {
        let _ = log.find_sequence(Sequence(wanted));
    }
    let _ = (log.tail(), log.segments(), log.verify(&mut |_| {}));
}
