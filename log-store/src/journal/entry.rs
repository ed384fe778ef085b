//! One entry of a journal: 48 bytes that say what it is, then its payload.

use xxhash_rust::xxh3::Xxh3;

/// Length of an entry's header, in bytes.
pub(super) const HEADER_LEN: usize = 48;

/// Longest payload, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 28;

/// The name of what an entry is about. Of all entries under one id, the last one counts.
pub type EntryId = [u8; 16];

/// What an entry says of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// It was found; the payload says what.
    Found,
    /// It came to nothing. No payload.
    Withdrawn,
}

/// What the header of an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) payload_len: usize,
    /// How many entries before it were written in one go with it.
    pub(super) place: u16,
    pub(super) kind: EntryKind,
    pub(super) number: u64,
    pub(super) time_us: u64,
    pub(super) id: EntryId,
}

impl Header {
    pub(super) fn entry_len(&self) -> usize {
        HEADER_LEN + self.payload_len
    }

    /// Number of the first of the entries that were written in one go with it.
    pub(super) fn batch(&self) -> u64 {
        self.number.saturating_sub(self.place.into())
    }

    /// Reads the fields of `head`, whose checksum is not looked at; `None` if no entry begins like that.
    fn decode(head: &[u8]) -> Option<Self> {
        let head: &[u8; HEADER_LEN] = head.get(..HEADER_LEN)?.try_into().ok()?;
        let kind = match head[4] {
            1 => EntryKind::Found,
            2 => EntryKind::Withdrawn,
            _ => return None,
        };
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| head[at + i]));
        let payload_len = u32::from_le_bytes(std::array::from_fn(|i| head[i])) as usize;
        let header = Self {
            payload_len,
            place: u16::from_le_bytes([head[6], head[7]]),
            kind,
            number: u64_at(16),
            time_us: u64_at(24),
            id: std::array::from_fn(|i| head[32 + i]),
        };
        let plausible =
            head[5] == 0 && payload_len <= PAYLOAD_BYTES_MAX && u64::from(header.place) < header.number;
        plausible.then_some(header)
    }
}

/// Appends an entry to `out`.
pub(super) fn encode(header: &Header, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.push(match header.kind {
        EntryKind::Found => 1,
        EntryKind::Withdrawn => 2,
    });
    out.push(0);
    out.extend_from_slice(&header.place.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&header.number.to_le_bytes());
    out.extend_from_slice(&header.time_us.to_le_bytes());
    out.extend_from_slice(&header.id);
    out.extend_from_slice(payload);
    let sum = checksum(&out[start..]);
    out[start + 8..start + 16].copy_from_slice(&sum.to_le_bytes());
}

/// XXH3 of a whole entry without its own eight bytes.
fn checksum(entry: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&entry[..8]);
    hash.update(&entry[16..]);
    hash.digest()
}

/// The header of the intact entry that `bytes` begins with; else why there is none.
pub(super) fn verify(bytes: &[u8]) -> Result<Header, &'static str> {
    if bytes.len() < HEADER_LEN {
        return Err("the file ends inside an entry's header");
    }
    let header = Header::decode(bytes).ok_or("no entry begins like that")?;
    let entry = bytes.get(..header.entry_len()).ok_or("the file ends inside an entry")?;
    if checksum(entry).to_le_bytes() != entry[8..16] {
        return Err("the entry fails its checksum");
    }
    Ok(header)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_and_any_cut_of_an_entry_is_noticed() {
        let header = Header {
            payload_len: 5,
            place: 2,
            kind: EntryKind::Found,
            number: 7,
            time_us: 1_700_000_000_000_000,
            id: *b"0123456789abcdef",
        };
        let mut bytes = Vec::new();
        encode(&header, b"hello", &mut bytes);
        assert_eq!(verify(&bytes), Ok(header));
        assert_eq!((header.batch(), header.entry_len()), (5, bytes.len()));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for cut in 0..bytes.len() {
            assert!(verify(&bytes[..cut]).is_err(), "cut {cut}");
        }
    }
}
