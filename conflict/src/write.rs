//! A write as the index knows it: where it stands in the fold order and what it had seen.

use transaction::WriteId;

use crate::regions::{OWN_ORDER, Origin};

/// One row change in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Where it stands. Its images are in the log of `id.origin`, in transaction `id.sequence`.
    pub id: WriteId,
    /// Whether it leaves a row behind: false for a delete, and for the old key of a primary-key update.
    pub live: bool,
}

/// A place in the fold order: the derived order of the fields is the order in which a history is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) hlc: u64,
    pub(crate) origin: Origin,
    pub(crate) sequence: u64,
    pub(crate) index: u32,
}

impl Place {
    /// Before every write.
    pub(crate) const FIRST: Self = Self { hlc: 0, origin: 0, sequence: 0, index: 0 };

    /// Whether a writer at this place, which had seen `seen`, had seen the write at `other`.
    pub(crate) fn covers(&self, seen: &[u64], other: &Place) -> bool {
        let covered = seen[usize::from(other.origin)];
        if other.origin != self.origin {
            other.sequence <= covered
        } else if other.sequence == self.sequence {
            other.index < self.index
        } else if covered == OWN_ORDER {
            other.sequence < self.sequence
        } else {
            other.sequence <= covered
        }
    }
}
