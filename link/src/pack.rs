//! Bulk payloads: a small head, then bytes that are compressed where that helps.

use transaction::RecordNumber;
use zstd::bulk::{Compressor, Decompressor};

use crate::contract::RecordBatch;
use crate::frame::BULK_MAX;

/// Length of the head of a batch, in bytes.
pub(crate) const BATCH_HEAD_LEN: usize = 32;

/// Length of the head of a part of an answer, in bytes.
pub(crate) const PART_HEAD_LEN: usize = 8;

/// Shorter bytes are not worth compressing.
const PACK_MIN: usize = 512;

/// Longer bytes are sent as they are, so that neither side holds a huge record twice, and so that a small frame
/// cannot unfold into more than this.
pub(crate) const PACK_MAX: usize = 16 << 20;

const RAW: u8 = 0;
const ZSTD: u8 = 1;

/// Bulk bytes that did not help to compress are followed by this many that are not tried.
const REST_AFTER_FAILURE: u32 = 15;

/// Why a bulk payload cannot be unfolded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PackError {
    #[error("a bulk frame whose head is cut short")]
    Short,
    #[error("a bulk frame in unknown encoding {0}")]
    Encoding(u8),
    #[error("a bulk frame that claims {claimed} bytes, more than the {max} that it may hold")]
    TooLong { claimed: u32, max: usize },
    #[error("a bulk frame of {found} bytes that claims {claimed}")]
    Length { found: usize, claimed: u32 },
    #[error("a bulk frame that does not decompress: {0}")]
    Zstd(String),
}

/// Compresses what goes out. One per connection, since it keeps its working memory and learns what does not help.
pub(crate) struct Packer {
    compressor: Option<Compressor<'static>>,
    rest: u32,
}

impl Packer {
    /// `compress` false sends everything as it is.
    pub(crate) fn new(compress: bool) -> Self {
        // Level 1: at the rates of a log the link, not the ratio, decides; without a compressor bytes go raw.
        let compressor = compress.then(|| Compressor::new(1).ok()).flatten();
        Self { compressor, rest: 0 }
    }

    /// The compressed bytes, if compression is worth its while.
    fn pack(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if !(PACK_MIN..=PACK_MAX).contains(&bytes.len()) {
            return None;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        let packed = self.compressor.as_mut()?.compress(bytes).ok()?;
        if packed.len() > bytes.len() / 8 * 7 {
            self.rest = REST_AFTER_FAILURE;
            return None;
        }
        Some(packed)
    }

    /// Head and, if compressed, body of a batch frame; without a body the batch's own bytes are it.
    pub(crate) fn batch(&mut self, batch: &RecordBatch) -> ([u8; BATCH_HEAD_LEN], Option<Vec<u8>>) {
        let packed = self.pack(&batch.bytes);
        let mut head = [0; BATCH_HEAD_LEN];
        head[0..8].copy_from_slice(&batch.first.0.to_le_bytes());
        head[8..16].copy_from_slice(&batch.durable.0.to_le_bytes());
        head[16..20].copy_from_slice(&batch.count.to_le_bytes());
        head[20..24].copy_from_slice(&(batch.bytes.len() as u32).to_le_bytes());
        head[24] = if packed.is_some() { ZSTD } else { RAW };
        (head, packed)
    }

    /// Head and, if compressed, body of a part frame.
    pub(crate) fn part(&mut self, part: &[u8]) -> ([u8; PART_HEAD_LEN], Option<Vec<u8>>) {
        let packed = self.pack(part);
        let mut head = [0; PART_HEAD_LEN];
        head[0..4].copy_from_slice(&(part.len() as u32).to_le_bytes());
        head[4] = if packed.is_some() { ZSTD } else { RAW };
        (head, packed)
    }
}

/// A bulk payload with its head read; the bytes are still folded, so that credit can be checked before they unfold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    payload: Vec<u8>,
    head_len: usize,
    encoding: u8,
    /// Length of the bytes when unfolded.
    pub(crate) len: u32,
}

impl Folded {
    fn new(payload: Vec<u8>, head_len: usize, len: u32, encoding: u8) -> Result<Self, PackError> {
        let max = match encoding {
            RAW => BULK_MAX as usize,
            ZSTD => PACK_MAX,
            other => return Err(PackError::Encoding(other)),
        };
        if len as usize > max {
            return Err(PackError::TooLong { claimed: len, max });
        }
        Ok(Self { payload, head_len, encoding, len })
    }

    /// The bytes, exactly as many as were claimed.
    pub(crate) fn unfold(mut self) -> Result<Vec<u8>, PackError> {
        let bytes = if self.encoding == RAW {
            self.payload.drain(..self.head_len);
            self.payload
        } else {
            let packed = self.payload.get(self.head_len..).unwrap_or_default();
            let zstd = |e: std::io::Error| PackError::Zstd(e.to_string());
            Decompressor::new().and_then(|mut d| d.decompress(packed, self.len as usize)).map_err(zstd)?
        };
        if bytes.len() != self.len as usize {
            return Err(PackError::Length { found: bytes.len(), claimed: self.len });
        }
        Ok(bytes)
    }
}

/// The head of a batch frame, and its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FoldedBatch {
    pub(crate) first: RecordNumber,
    pub(crate) durable: RecordNumber,
    pub(crate) count: u32,
    pub(crate) bytes: Folded,
}

impl FoldedBatch {
    pub(crate) fn read(payload: Vec<u8>) -> Result<Self, PackError> {
        let Some(head) = payload.first_chunk::<BATCH_HEAD_LEN>() else { return Err(PackError::Short) };
        let u32_at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let (first, durable, count) = (RecordNumber(u64_at(0)), RecordNumber(u64_at(8)), u32_at(16));
        let (len, encoding) = (u32_at(20), head[24]);
        Ok(Self { first, durable, count, bytes: Folded::new(payload, BATCH_HEAD_LEN, len, encoding)? })
    }

    /// The batch, not yet verified.
    pub(crate) fn unfold(self) -> Result<RecordBatch, PackError> {
        let Self { first, durable, count, bytes } = self;
        let last = RecordNumber(first.0.saturating_add(u64::from(count)).saturating_sub(1));
        Ok(RecordBatch { bytes: bytes.unfold()?, count, first, last, durable })
    }
}

/// Reads a part frame.
pub(crate) fn read_part(payload: Vec<u8>) -> Result<Folded, PackError> {
    let Some([l0, l1, l2, l3, encoding, ..]) = payload.first_chunk::<PART_HEAD_LEN>().copied() else {
        return Err(PackError::Short);
    };
    Folded::new(payload, PART_HEAD_LEN, u32::from_le_bytes([l0, l1, l2, l3]), encoding)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn travel(packer: &mut Packer, batch: &RecordBatch) -> (usize, RecordBatch) {
        let (head, packed) = packer.batch(batch);
        let payload = [&head, packed.as_ref().unwrap_or(&batch.bytes).as_slice()].concat();
        (payload.len(), FoldedBatch::read(payload).unwrap().unfold().unwrap())
    }

    fn batch(bytes: Vec<u8>) -> RecordBatch {
        let (first, last, durable) = (RecordNumber(5), RecordNumber(7), RecordNumber(9));
        RecordBatch { bytes, count: 3, first, last, durable }
    }

    #[test]
    fn what_compresses_well_is_compressed_and_what_does_not_is_left_alone_for_a_while() {
        let mut packer = Packer::new(true);
        let (len, back) = travel(&mut packer, &batch(vec![7; 100_000]));
        assert!(len < 1000 && back == batch(vec![7; 100_000]));
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        let noise: Vec<u8> = (0..10_000).map(|_| noise()).collect();
        assert_eq!(travel(&mut packer, &batch(noise)).0, 10_000 + BATCH_HEAD_LEN);
        assert_eq!(travel(&mut packer, &batch(vec![7; 100_000])).0, 100_000 + BATCH_HEAD_LEN);
        for _ in 1..REST_AFTER_FAILURE {
            travel(&mut packer, &batch(vec![7; 1000]));
        }
        assert!(travel(&mut packer, &batch(vec![7; 100_000])).0 < 1000);
    }

    #[test]
    fn heads_lie_byte_for_byte_as_the_protocol_says() {
        let (head, packed) = Packer::new(true).batch(&batch(vec![7; 100]));
        assert_eq!(packed, None);
        let expected = [
            5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(head, expected);
        let (head, packed) = Packer::new(true).part(&[7; 0x1234]);
        assert_eq!(head, [0x34, 0x12, 0, 0, 1, 0, 0, 0]);
        assert_eq!(zstd::bulk::decompress(&packed.unwrap(), 0x1234).unwrap(), [7; 0x1234]);
    }

    #[test]
    fn a_claim_beyond_the_limit_is_refused_before_anything_unfolds() {
        let mut head = [0; BATCH_HEAD_LEN];
        head[20..24].copy_from_slice(&(PACK_MAX as u32 + 1).to_le_bytes());
        head[24] = ZSTD;
        assert!(matches!(FoldedBatch::read(head.to_vec()), Err(PackError::TooLong { .. })));
        head[24] = 9;
        assert_eq!(FoldedBatch::read(head.to_vec()), Err(PackError::Encoding(9)));
        assert_eq!(FoldedBatch::read(head[..31].to_vec()), Err(PackError::Short));
    }

    #[test]
    fn more_or_fewer_bytes_than_claimed_are_refused() {
        let packed = zstd::bulk::compress(&[7; 10_000], 1).unwrap();
        for (claim, encoding, body) in [(9_999, ZSTD, &packed), (10_001, ZSTD, &packed), (7, RAW, &packed)] {
            let head = [&u32::to_le_bytes(claim)[..], &[encoding, 0, 0, 0]].concat();
            let part = read_part([&head, body.as_slice()].concat()).unwrap();
            assert!(part.unfold().is_err(), "{claim}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(payload in proptest::collection::vec(any::<u8>(), 0..200), encoding in 0_u8..3) {
            let mut batch = payload.clone();
            if let Some(byte) = batch.get_mut(24) {
                *byte = encoding;
            }
            let _ = FoldedBatch::read(batch).map(FoldedBatch::unfold);
            let mut part = payload;
            if let Some(byte) = part.get_mut(4) {
                *byte = encoding;
            }
            let _ = read_part(part).map(Folded::unfold);
        }

        #[test]
        fn parts_of_any_length_come_back_as_they_were(part in proptest::collection::vec(0_u8..4, 0..3000)) {
            let (head, packed) = Packer::new(true).part(&part);
            let payload = [&head, packed.as_ref().unwrap_or(&part).as_slice()].concat();
            prop_assert_eq!(read_part(payload).unwrap().unfold().unwrap(), part);
        }
    }
}
