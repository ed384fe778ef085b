//! What the extractor and the lanes of one region share.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use transaction::{Sequence, Weights};

use crate::recall::Lately;

/// How far the extractor has read this region's own binlog, and fed the history index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Number of the binlog file: the digits after its last dot.
    pub file: u64,
    /// Offset in it.
    pub offset: u64,
    /// The last local transaction before it.
    pub sequence: Sequence,
}

impl Passed {
    /// A place in the binlog, without a transaction.
    pub fn new(file: &str, offset: u64) -> Self {
        let number = file.rsplit('.').next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
        Self { file: number, offset, sequence: Sequence(0) }
    }

    /// Whether this place is at or beyond `other`.
    pub fn reaches(&self, other: &Passed) -> bool {
        (self.file, self.offset) >= (other.file, other.offset)
    }
}

/// The region's shared state: the history index, text weights, and how far the extractor is.
pub struct Shared {
    /// Histories of rows that are not yet causally stable.
    pub index: Mutex<conflict::Index>,
    /// How the region's server weighs text.
    pub weights: RwLock<Weights>,
    /// How far the extractor is; the index holds every local write before it.
    pub passed: watch::Sender<Passed>,
    /// Writes and DDL by table: the sink of the extractor enters local ones, the lane those that it applies.
    pub tables: Mutex<conflict::TableHistories>,
    /// Writes that were read back from the logs.
    pub lately: Mutex<Lately>,
    definitions: AtomicU64,
}

impl Shared {
    /// Shared state before anything was read.
    pub fn new(index: conflict::Index, weights: Weights) -> Self {
        Self {
            index: Mutex::new(index),
            weights: RwLock::new(weights),
            passed: watch::Sender::new(Passed::default()),
            tables: Mutex::default(),
            lately: Mutex::default(),
            definitions: AtomicU64::new(0),
        }
    }

    /// To be called when the extractor has read local DDL: definitions that were read before may be stale.
    pub fn definitions_changed(&self) {
        self.definitions.fetch_add(1, Ordering::SeqCst);
    }

    /// Changes with every local DDL.
    pub fn definitions_version(&self) -> u64 {
        self.definitions.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ordered_by_file_number_and_offset() {
        let at = |file, offset| Passed::new(file, offset);
        assert!(at("binlog.000010", 4).reaches(&at("binlog.000009", 999)));
        assert!(at("binlog.1000000", 4).reaches(&at("binlog.999999", 4)));
        assert!(!at("binlog.000001", 4).reaches(&at("binlog.000001", 5)));
    }
}
