//! One block of a run. FORMAT.md, section 12, has the layout.

use xxhash_rust::xxh3::xxh3_64;

/// Length of a block in bytes.
pub(super) const BLOCK_LEN: usize = 4096;

/// Checksum, number of the run, number of the block, bytes used.
pub(super) const HEADER_LEN: usize = 24;

/// Key and length.
pub(super) const RECORD_HEADER_LEN: usize = 18;

/// A block whose checksum is right.
#[derive(Debug)]
pub(super) struct Block(Box<[u8]>);

/// A record in a block.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) key: u128,
    pub(super) bytes: &'a [u8],
    /// Where the next one begins.
    pub(super) end: usize,
}

impl Block {
    pub(super) fn verified(bytes: Box<[u8]>, run: u64, number: u32) -> Result<Self, &'static str> {
        let word = |at: usize| -> u64 {
            bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
        };
        if word(0) != xxh3_64(&bytes[8..]) {
            return Err("the checksum of the block is wrong");
        }
        if word(8) != run || word(16) as u32 != number {
            return Err("another block stands here");
        }
        Ok(Self(bytes))
    }

    /// The record that begins at an offset; `None` at the end of what is used.
    pub(super) fn record(&self, at: usize) -> Option<Record<'_>> {
        let used = u32::from_le_bytes(*self.0.get(20..24)?.first_chunk()?) as usize;
        let rest = self.0.get(at..used.min(BLOCK_LEN))?;
        let (key, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let len = usize::from(u16::from_le_bytes(*len));
        let bytes = rest.get(..len)?;
        Some(Record { key: u128::from_le_bytes(*key), bytes, end: at + RECORD_HEADER_LEN + len })
    }
}

/// Gives a block its header; the records stand behind it already, `used` bytes with the header.
pub(super) fn seal(block: &mut [u8], run: u64, number: u32, used: usize) {
    block[8..16].copy_from_slice(&run.to_le_bytes());
    block[16..20].copy_from_slice(&number.to_le_bytes());
    block[20..24].copy_from_slice(&(used as u32).to_le_bytes());
    let sum = xxh3_64(&block[8..]);
    block[..8].copy_from_slice(&sum.to_le_bytes());
}
