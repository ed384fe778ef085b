//! One write in memory.

use transaction::KeyHash;

use crate::transactions::TRANSACTION_BITS;

/// The write leaves a row behind.
pub(crate) const LIVE: u32 = 1 << TRANSACTION_BITS;
/// The write covers every write before it in its history, as this index holds it.
pub(crate) const COVERS_ALL: u32 = LIVE << 1;
/// Pruning has come by this node in its transaction's list.
pub(crate) const WALKED: u32 = LIVE << 2;
/// The write has left its history; the node waits for pruning to come by.
pub(crate) const SPENT: u32 = LIVE << 3;

/// A write, linked into its history and into its transaction's list. 36 bytes, aligned to four.
///
/// A history is a ring: from the newest write `older` leads down to the oldest, and `newer` of the newest is the oldest. So
/// both ends are at hand from the one number that the hash table keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    key: [u8; 16],
    pub(crate) older: u32,
    pub(crate) newer: u32,
    /// Next in the transaction's list.
    pub(crate) sibling: u32,
    pub(crate) index: u32,
    /// The transaction's number, and the flags above it.
    packed: u32,
}

impl Node {
    pub(crate) fn new(key: KeyHash, index: u32, transaction: u32, sibling: u32, flags: u32) -> Self {
        use crate::slab::NONE;
        Self {
            key: key.0.to_ne_bytes(),
            older: NONE,
            newer: NONE,
            sibling,
            index,
            packed: transaction | flags,
        }
    }

    pub(crate) fn key(&self) -> KeyHash {
        KeyHash(u128::from_ne_bytes(self.key))
    }

    pub(crate) fn transaction(&self) -> u32 {
        self.packed & (LIVE - 1)
    }

    pub(crate) fn is(&self, flag: u32) -> bool {
        self.packed & flag != 0
    }

    pub(crate) fn mark(&mut self, flag: u32) {
        self.packed |= flag;
    }

    pub(crate) fn clear(&mut self, flag: u32) {
        self.packed &= !flag;
    }
}
