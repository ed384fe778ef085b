//! One record of the log behind a right checksum: what decodes is encoded again, and must be the same.
#![no_main]

use concord_fuzz::{bounded, records, seeds};
use libfuzzer_sys::fuzz_target;
use transaction::Record;
use transaction::record::HEADER_LEN;

/// A decoded record borrows its events; what it owns is no larger than its bytes by more than a factor.
const MEMORY_MAX: usize = 8 << 20;

fuzz_target!(
    init: seeds::write(seeds::SEGMENTS.iter().flat_map(|segment| split(&segment[records::SEGMENT_HEADER_LEN..]))),
    |data: &[u8]| {
        let mut bytes = data.to_vec();
        records::seal(&mut bytes);
        bounded::within(MEMORY_MAX, || decode(&bytes));
    }
);

fn decode(bytes: &[u8]) {
    let Ok(record) = Record::decode(bytes) else { return };
    let _ = (record.claim(), record.kind());
    let mut again = Vec::new();
    record.encode(&mut again);
    assert_eq!(Record::decode(&again).as_ref(), Ok(&record));
}

/// Each record of a segment.
fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some(len) = bytes.first_chunk::<4>() {
        let (record, rest) =
            bytes.split_at((HEADER_LEN + u32::from_le_bytes(*len) as usize).min(bytes.len()));
        found.push(record.to_vec());
        bytes = rest;
    }
    found
}
