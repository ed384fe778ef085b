//! How much an index holds, and may need.

use crate::Index;
use crate::index::Slot;
use crate::node::Node;
use crate::spill::Known;

/// How much an index holds.
///
/// Writes that may leave a history count until pruning has come by, which of runs may take a while; at rest, nothing counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows with a history. A row counts once for memory and once for each run that has writes of it.
    pub keys: usize,
    /// Writes in histories.
    pub writes: usize,
    /// Transactions remembered for them.
    pub transactions: usize,
    /// Bytes of memory held, reserves and what runs take of it included.
    pub bytes: usize,
    /// Of these, what runs take: filters, signposts and blocks that were read.
    pub bytes_for_runs: usize,
    /// Runs on the disk.
    pub runs: usize,
    /// Writes in them.
    pub writes_in_runs: u64,
    /// Bytes they take on the disk.
    pub disk_bytes: u64,
}

impl Index {
    /// How much is held.
    pub fn stats(&self) -> Stats {
        let queues = (self.ready.capacity() * size_of::<u32>()) + self.queued.len() * size_of::<u64>();
        let memory = self.keys.allocation_size() + self.nodes.bytes() + self.transactions.bytes() + queues;
        let parts = &self.spill.parts;
        let (keys, writes_in_runs) =
            parts.iter().fold((0, 0), |(keys, writes), part| (keys + part.keys, writes + part.writes));
        let known: usize = self.spill.known.iter().map(Known::len).sum();
        let bytes_for_runs = self.spill.bytes();
        Stats {
            keys: self.keys.len() + keys as usize,
            writes: self.writes + writes_in_runs as usize,
            transactions: self.transactions.len() + known,
            bytes: memory + bytes_for_runs,
            bytes_for_runs,
            runs: parts.len(),
            writes_in_runs,
            disk_bytes: parts.iter().map(|part| part.run.disk_bytes()).sum(),
        }
    }

    /// Bytes that what is held in memory may need at most, growing tables included.
    pub(crate) fn bytes_needed(&self) -> usize {
        // A table is at its loosest right after it has grown: one more than 7/16 full, with one byte of control each.
        // The half that moves to a run is sorted by 16 bytes a key, which a growing list may hold twice.
        let key = (size_of::<Slot>() + 1) * 16 / 7 + 1 + 16;
        let node = size_of::<Node>() + 2 * size_of::<u32>();
        self.keys.len() * key + self.nodes.len() * node + self.transactions.bytes_needed()
    }
}
