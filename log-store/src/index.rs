//! The sparse index of a segment: a summary, and a signpost every 64 KiB.
//!
//! It is derived from the segment and holds nothing of its own, so it may be absent or damaged.

use std::path::PathBuf;

use transaction::record::RecordHeader;
use transaction::{Hlc, RecordKind, RecordNumber, STAMP_END, Sequence};
use xxhash_rust::xxh3::xxh3_64;

use crate::FORMAT_VERSION;
use crate::segment::{HEADER_LEN, SegmentInfo};

/// Distance of two signposts, in bytes; more where a record is longer.
pub(crate) const STRIDE: u64 = 64 * 1024;

const MAGIC: &[u8; 8] = b"CNCRDIDX";
const FIXED_LEN: usize = 80;
const ENTRY_LEN: usize = 32;

/// A signpost: where a record begins, and what lies before it in the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) number: RecordNumber,
    pub(crate) offset: u64,
    /// Highest sequence number before this record in the segment; 0 if none.
    pub(crate) sequence_before: Sequence,
    /// Highest HLC before this record in the segment; 0 if none.
    pub(crate) hlc_before: Hlc,
}

/// What a segment holds, in fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) first: RecordNumber,
    pub(crate) records: u64,
    /// Length of the file up to the end of the last record.
    pub(crate) bytes: u64,
    /// 0 if there is no transaction or repair.
    pub(crate) first_sequence: Sequence,
    pub(crate) last_sequence: Sequence,
    pub(crate) hlc_min: Hlc,
    pub(crate) hlc_max: Hlc,
    /// First record of the run of chunks that the segment ends with; 0 if its last record is no chunk.
    pub(crate) chunks_from: RecordNumber,
}

impl Summary {
    /// The number of the record after the last.
    pub(crate) fn next(&self) -> RecordNumber {
        RecordNumber(self.first.0 + self.records)
    }

    /// The number of the last record; one less than `first` if there is none.
    pub(crate) fn last(&self) -> RecordNumber {
        RecordNumber(self.next().0.saturating_sub(1))
    }

    pub(crate) fn info(&self, path: PathBuf, sealed: bool) -> SegmentInfo {
        let sequences = (self.last_sequence.0 > 0).then_some((self.first_sequence, self.last_sequence));
        let hlcs = (self.records > 0).then_some((self.hlc_min, self.hlc_max));
        let (first, records, bytes) = (self.first, self.records, self.bytes);
        SegmentInfo { path, first, records, bytes, sequences, hlcs, sealed }
    }
}

/// Summary and signposts of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) summary: Summary,
    pub(crate) entries: Vec<Entry>,
}

/// Why an intact record does not belong where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    Number { expected: RecordNumber, got: RecordNumber },
    Sequence { expected: Sequence, got: Sequence },
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number { expected, got } => {
                write!(f, "record {got} stands where record {expected} belongs")
            }
            Self::Sequence { expected, got } => {
                write!(f, "sequence number {got} stands where {expected} comes next")
            }
        }
    }
}

/// Judges whether an intact record may follow a log's end: `next` is its number unless any will do (0), `last_sequence`
/// the sequence number before it, 0 if not known. Returns the last sequence number after it.
pub(crate) fn check_follows(
    next: RecordNumber,
    last_sequence: Sequence,
    header: &RecordHeader,
) -> Result<Sequence, Misfit> {
    if header.number.0 == 0 || (next.0 != 0 && header.number != next) {
        return Err(Misfit::Number { expected: RecordNumber(next.0.max(1)), got: header.number });
    }
    if !matches!(header.kind, RecordKind::Transaction | RecordKind::Repair) {
        return Ok(last_sequence);
    }
    if header.sequence.0 == 0 || (last_sequence.0 != 0 && header.sequence != last_sequence.next()) {
        return Err(Misfit::Sequence { expected: last_sequence.next(), got: header.sequence });
    }
    Ok(header.sequence)
}

impl Index {
    /// The index of a segment without records.
    pub(crate) fn new(first: RecordNumber) -> Self {
        let none = Sequence(0);
        let summary = Summary {
            first,
            records: 0,
            bytes: HEADER_LEN,
            first_sequence: none,
            last_sequence: none,
            hlc_min: Hlc(0),
            hlc_max: Hlc(0),
            chunks_from: RecordNumber(0),
        };
        Self { summary, entries: Vec::new() }
    }

    /// Takes note of the next record, which has passed [`check_follows`].
    pub(crate) fn note(&mut self, header: &RecordHeader) {
        let summary = &mut self.summary;
        if self.entries.last().is_none_or(|entry| summary.bytes - entry.offset >= STRIDE) {
            self.entries.push(Entry {
                number: header.number,
                offset: summary.bytes,
                sequence_before: summary.last_sequence,
                hlc_before: summary.hlc_max,
            });
        }
        summary.hlc_min = if summary.records == 0 { header.hlc } else { summary.hlc_min.min(header.hlc) };
        summary.hlc_max = summary.hlc_max.max(header.hlc);
        if matches!(header.kind, RecordKind::Transaction | RecordKind::Repair) {
            if summary.first_sequence.0 == 0 {
                summary.first_sequence = header.sequence;
            }
            summary.last_sequence = header.sequence;
        }
        match header.kind {
            RecordKind::Chunk if summary.chunks_from.0 > 0 => {}
            RecordKind::Chunk => summary.chunks_from = header.number,
            _ => summary.chunks_from = RecordNumber(0),
        }
        summary.records += 1;
        summary.bytes += header.record_len() as u64;
    }

    /// The last signpost that does not lie beyond what is sought; `before` says what does.
    pub(crate) fn seek(&self, before: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let beyond = self.entries.partition_point(before);
        self.entries.get(beyond.saturating_sub(1)).copied()
    }

    /// The bytes of the index file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let summary = &self.summary;
        let mut out = Vec::with_capacity(FIXED_LEN + self.entries.len() * ENTRY_LEN + 8);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        let numbers = [
            summary.first.0,
            summary.records,
            summary.bytes,
            summary.first_sequence.0,
            summary.last_sequence.0,
            summary.hlc_min.0,
            summary.hlc_max.0,
            summary.chunks_from.0,
        ];
        let entries =
            self.entries.iter().flat_map(|e| [e.number.0, e.offset, e.sequence_before.0, e.hlc_before.0]);
        for number in numbers.into_iter().chain(entries) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&xxh3_64(&out).to_le_bytes());
        out
    }

    /// Reads an index file; `None` if it is not one of this version, whole and intact.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.split_last_chunk::<8>()?;
        if xxh3_64(content).to_le_bytes() != *sum || !content.starts_with(MAGIC) {
            return None;
        }
        let (head, rest) = content.split_at_checked(16)?;
        let version = u32::from_le_bytes(head[8..12].try_into().ok()?);
        let count = u32::from_le_bytes(head[12..16].try_into().ok()?) as usize;
        if version != FORMAT_VERSION || content.len() != FIXED_LEN + count.checked_mul(ENTRY_LEN)? {
            return None;
        }
        let mut numbers =
            rest.chunks_exact(8).map_while(|chunk| chunk.try_into().ok().map(u64::from_le_bytes));
        // No field of an index that was built from records is beyond: see FORMAT.md, section 4.
        let mut next = || numbers.next().filter(|number| *number < STAMP_END);
        let summary = Summary {
            first: RecordNumber(next()?),
            records: next()?,
            bytes: next()?,
            first_sequence: Sequence(next()?),
            last_sequence: Sequence(next()?),
            hlc_min: Hlc(next()?),
            hlc_max: Hlc(next()?),
            chunks_from: RecordNumber(next()?),
        };
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(Entry {
                number: RecordNumber(next()?),
                offset: next()?,
                sequence_before: Sequence(next()?),
                hlc_before: Hlc(next()?),
            });
        }
        Some(Self { summary, entries })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Index {
        let mut index = Index::new(RecordNumber(10));
        let entry =
            Entry { number: RecordNumber(10), offset: 64, sequence_before: Sequence(0), hlc_before: Hlc(0) };
        index.entries = vec![entry, Entry { number: RecordNumber(20), offset: 70_000, ..entry }];
        index
    }

    #[test]
    fn an_index_with_any_flipped_bit_or_cut_is_not_believed() {
        let bytes = sample().encode();
        assert_eq!(Index::decode(&bytes).unwrap(), sample());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Index::decode(&flipped), None, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(Index::decode(&bytes[..cut]), None, "cut {cut}");
        }
    }

    proptest! {
        #[test]
        fn decoding_foreign_bytes_never_panics(mut bytes: Vec<u8>, count: u32) {
            let _ = Index::decode(&bytes);
            // The same behind a right checksum, so that the fields are reached.
            bytes.splice(0..0, MAGIC.iter().copied().chain(FORMAT_VERSION.to_le_bytes()).chain(count.to_le_bytes()));
            bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
            let _ = Index::decode(&bytes);
        }
    }
}
