//! Log records and segments from a fuzzer's bytes, with checksums that are right.

use transaction::record::HEADER_LEN;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Length of a segment's header, in bytes; its last eight are the checksum of the others.
pub const SEGMENT_HEADER_LEN: usize = 64;

/// Gives every record in `bytes` a right checksum, and the last one the length of what is left.
pub fn seal(mut bytes: &mut [u8]) {
    while let Some(len) = bytes.first_chunk::<4>() {
        if bytes.len() < HEADER_LEN {
            return;
        }
        let room = bytes.len() - HEADER_LEN;
        let body_len = (u32::from_le_bytes(*len) as usize).min(room);
        let (record, rest) = bytes.split_at_mut(HEADER_LEN + body_len);
        record[..4].copy_from_slice(&(body_len as u32).to_le_bytes());
        let mut hash = Xxh3::new();
        hash.update(&record[..8]);
        hash.update(&record[16..]);
        let sum = hash.digest();
        record[8..16].copy_from_slice(&sum.to_le_bytes());
        bytes = rest;
    }
}

/// Length of the header of a journal's file, in bytes; its last eight are the checksum of the others.
pub const JOURNAL_HEADER_LEN: usize = 40;

/// Gives the header of a journal's file a right checksum.
pub fn seal_journal_header(file: &mut [u8]) {
    if let Some((header, _)) = file.split_first_chunk_mut::<JOURNAL_HEADER_LEN>() {
        let sum = xxh3_64(&header[..32]);
        header[32..].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Gives a segment's header a right checksum.
pub fn seal_segment_header(segment: &mut [u8]) {
    if let Some((header, _)) = segment.split_first_chunk_mut::<SEGMENT_HEADER_LEN>() {
        let sum = xxh3_64(&header[..56]);
        header[56..].copy_from_slice(&sum.to_le_bytes());
    }
}
