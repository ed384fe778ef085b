//! A history as plain data.

use crate::Write;

/// The history of one key, or as much of it as matters to a fold and to whoever reports a conflict.
///
/// Left out are writes before the start which every write after the start, and every write of the batch, covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The writes in fold order; never empty.
    pub writes: Vec<Chapter>,
    /// Where a fold may start: the newest write that covers all before it, so that it is taken as it is.
    pub start: usize,
}

/// One write of a [`Story`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    /// The write.
    pub write: Write,
    /// Whether it is one of the batch that is being applied.
    pub from_batch: bool,
    /// The earlier writes, by their places in [`Story::writes`], that it is concurrent with. Some may be before the start.
    pub concurrent: Vec<usize>,
}

impl Story {
    /// The newest write in fold order.
    pub fn newest(&self) -> Option<&Write> {
        self.writes.last().map(|chapter| &chapter.write)
    }
}
