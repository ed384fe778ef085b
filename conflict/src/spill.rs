//! Histories that outgrow memory: sorted runs on a disk, behind a trait, so that this crate stays pure.
//!
//! When the index holds more than it may, the writes of the older half of its transactions move to a new *run*: records sorted
//! by key, those of one key from the newest write to the oldest, each with all that a fold needs. A look at a key merges what
//! memory holds of its history with what the runs hold. Runs are derived data: whoever keeps them deletes them at start,
//! and the index is built anew from the logs.
//!
//! A run is never changed. Runs are merged, and what may leave a history is left out, by writing another run in their place
//! (`rewrite.rs`), a portion with every call of [`crate::Index::prune`].

mod cursor;
mod entry;
mod input;
mod known;
mod moving;
mod part;
mod rewrite;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

pub(crate) use cursor::SpilledCursor;
pub(crate) use entry::Entry;
pub(crate) use known::Known;
pub(crate) use part::{Part, PartWriter};
pub(crate) use rewrite::{Judgement, Rewrite};
use transaction::KeyHash;

use crate::Error;

/// Where runs are kept. All methods may be called from several threads at once.
pub trait Runs: fmt::Debug + Send + Sync {
    /// Begins a run of at most `records_max` records.
    fn begin(&self, records_max: u64) -> Result<Box<dyn RunWriter>, Error>;

    /// Bytes of memory held for reading, what the runs hold themselves ([`Run::bytes`]) excepted.
    fn bytes(&self) -> usize;
}

/// A run that is being written. Dropped unfinished, it leaves nothing behind.
pub trait RunWriter: fmt::Debug + Send + Sync {
    /// Appends a record of at most [`RECORD_BYTES_MAX`] bytes. Keys come in ascending order; the records of one key keep the
    /// order in which they come.
    fn push(&mut self, key: KeyHash, record: &[u8]) -> Result<(), Error>;

    /// Ends the run. It need not survive a crash.
    fn finish(self: Box<Self>) -> Result<Arc<dyn Run>, Error>;
}

/// A sorted run. Dropped, it is deleted.
pub trait Run: fmt::Debug + Send + Sync {
    /// The place of the first record of `key`, if it has any. For most keys without one it must not take a read of the disk.
    fn find(&self, key: KeyHash) -> Result<Option<RunPlace>, Error>;

    /// Hands the records from a place on to `visit`, each with the place of the next one, until it breaks or they end.
    fn read(&self, from: RunPlace, visit: &mut Visit<'_>) -> Result<(), Error>;

    /// What names it to people: a file.
    fn name(&self) -> String;

    /// Bytes of memory held for it.
    fn bytes(&self) -> usize;

    /// Bytes it takes on the disk.
    fn disk_bytes(&self) -> u64;
}

/// Called with the place of the next record, the key and the record.
pub type Visit<'a> = dyn FnMut(RunPlace, KeyHash, &[u8]) -> ControlFlow<()> + 'a;

/// A place in a run, whose meaning is the run's own; the first record is at the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunPlace(pub u64);

/// No record is longer, whatever the number of regions.
pub const RECORD_BYTES_MAX: usize = 3_072;

/// When an index moves writes to runs, and when it looks at them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpillLimits {
    /// The index moves its older half to a run when it may need more bytes of memory than this.
    pub bytes: usize,
    /// Runs are merged up to so many writes in one.
    pub run_writes_max: u64,
    /// Whether a run is written anew as soon as anything in it may leave. Otherwise this waits until enough of it may, so that
    /// no write is copied more than a few times; until then [`crate::Index::floor`] is lower than it need be.
    pub eager: bool,
}

impl SpillLimits {
    /// The usual limits for an index of so many bytes.
    pub fn within(bytes: usize) -> Self {
        // A filter takes some 10 bits per write; that of one run, an eighth of the index.
        Self { bytes, run_writes_max: (bytes / 10) as u64, eager: false }
    }
}

/// What an index has outside its memory.
#[derive(Debug)]
pub(crate) struct Spill {
    /// `None`: the index stays in memory, whatever it needs.
    pub(crate) runs: Option<Arc<dyn Runs>>,
    pub(crate) limits: SpillLimits,
    /// Whether it is a batch's: all of it moves at once, and its transactions stay registered.
    pub(crate) is_overlay: bool,
    /// Oldest writes first.
    pub(crate) parts: Vec<Part>,
    pub(crate) rewrite: Option<Box<Rewrite>>,
    /// Per origin, the transactions with writes in parts.
    pub(crate) known: Vec<Known>,
    /// The number that the index gave to its last move: the revision of keys that only runs hold.
    pub(crate) revision: u32,
    /// The index's revision when a batch last brought runs; 0 for never.
    pub(crate) adopted: u32,
    /// Bytes that the index may need before it moves anything again.
    pub(crate) next_at: usize,
    /// Number of the next part.
    pub(crate) next_part: u64,
    /// Why writes could not be moved. They are in memory, but whoever was adding some gave up in the middle: histories may
    /// lack writes that are committed, and no answer can be trusted.
    failed: Option<Error>,
}

impl Spill {
    pub(crate) fn none(regions: usize) -> Self {
        let limits = SpillLimits { bytes: usize::MAX, run_writes_max: 0, eager: false };
        let known = (0..regions).map(|_| Known::default()).collect();
        Self {
            runs: None,
            limits,
            is_overlay: false,
            parts: Vec::new(),
            rewrite: None,
            known,
            revision: 0,
            adopted: 0,
            next_at: usize::MAX,
            next_part: 0,
            failed: None,
        }
    }

    /// Refuses to go on after a failure.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn fail(&mut self, error: &Error) {
        self.failed.get_or_insert_with(|| error.clone());
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(|part| part.run.bytes() + size_of::<Part>()).sum();
        let known: usize = self.known.iter().map(Known::bytes).sum();
        self.runs.as_ref().map_or(0, |runs| runs.bytes()) + parts + known
    }
}
