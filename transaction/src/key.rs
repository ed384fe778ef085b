//! The identity of a row, as one region's index knows it.

/// 128-bit hash of a table and a primary key as the server compares it.
///
/// Region-local: never sent, since servers of different versions may weigh text differently. 128 bits, because a
/// collision would fold two rows into one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u128);

impl KeyHash {
    /// Hashes the canonical bytes of a key: the table's name and its key columns, each already made unambiguous.
    pub fn of(canonical: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(canonical))
    }
}
