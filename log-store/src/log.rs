//! The log of one origin: its state, its opening and its watermarks.

mod cut;
mod open;
mod state;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use transaction::{Hlc, RecordNumber, RegionName, Sequence};

use crate::disk::{Disk, Lock};
use crate::index::Index;
use crate::segment::{self, SegmentInfo};
use crate::{Error, Recovery};

pub(crate) use open::{folder_segments, load_index, write_index};
pub(crate) use state::{Active, Span, State};

type Hook = Arc<dyn Fn(RecordNumber) + Send + Sync>;

/// The durable log of one origin.
///
/// One thread appends, one syncs, any number read. Locks are taken in the order writer, syncer, state; the state lock is
/// held for memory only, never while waiting for the disk (except when a log is cut at its end, before anyone reads it).
pub struct Log {
    pub(crate) origin: RegionName,
    pub(crate) dir: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: LogOptions,
    /// Held while appending.
    pub(crate) writer: Mutex<()>,
    /// Held while waiting for a sync, so that a failed one is seen by whoever waited for it.
    pub(crate) syncer: Mutex<()>,
    /// Held while retention deletes.
    pub(crate) retention: Mutex<()>,
    pub(crate) state: Mutex<State>,
    /// Copy of the state's durable watermark, for readers that only look whether it moved.
    pub(crate) durable: AtomicU64,
    /// The indexes of sealed segments that were looked into last.
    pub(crate) indexes: Mutex<VecDeque<Arc<Index>>>,
    hooks: Mutex<Vec<Hook>>,
    recovery: Mutex<Recovery>,
    /// The data folder stays locked while any of its logs is in use.
    _lock: Option<Arc<dyn Lock>>,
}

/// How a log is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogOptions {
    pub(crate) segment_bytes: u64,
    pub(crate) drop_unfinished_chain: bool,
    pub(crate) read_only: bool,
}

/// Where a log ends, durable or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// As [`Log::last_appended`].
    pub last: RecordNumber,
    /// The last sequence number among the records held; 0 if there is none.
    pub last_sequence: Sequence,
    /// The highest HLC among the records held; 0 if there is none.
    pub hlc_max: Hlc,
    /// The first record of the chain of chunks that the log ends with, whose end is still to come.
    pub unfinished_chain: Option<RecordNumber>,
}

impl Log {
    /// The origin.
    pub fn origin(&self) -> RegionName {
        self.origin
    }

    /// The folder of the segments.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What was found at the end of the log when it was opened, and since done about it.
    pub fn recovery(&self) -> Recovery {
        self.recovery.lock().clone()
    }

    pub(crate) fn set_recovery(&self, recovery: Recovery) {
        *self.recovery.lock() = recovery;
    }

    /// The last record that survives a power failure. Readers see up to here.
    ///
    /// In a log without records it is one less than the number it will begin with if that is known, else 0.
    pub fn durable(&self) -> RecordNumber {
        RecordNumber(self.durable.load(Ordering::Acquire))
    }

    /// The last record appended, durable or not; without records as for [`Log::durable`].
    pub fn last_appended(&self) -> RecordNumber {
        self.state.lock().last()
    }

    /// The first record held; 0 if there is none.
    pub fn first(&self) -> RecordNumber {
        self.state.lock().first()
    }

    /// Where the log ends.
    pub fn tail(&self) -> Tail {
        let state = self.state.lock();
        Tail {
            last: state.last(),
            last_sequence: state.last_sequence,
            hlc_max: state.summaries().map(|summary| summary.hlc_max).max().unwrap_or_default(),
            unfinished_chain: state.unfinished_chain(),
        }
    }

    /// The segments, oldest first. The last one's contents include what is not durable yet.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let state = self.state.lock();
        let active = state.active.as_ref().map(|active| active.index.summary.first);
        let info = |summary: &crate::index::Summary| {
            summary.info(segment::path(&self.dir, summary.first), Some(summary.first) != active)
        };
        state.summaries().map(info).collect()
    }

    /// Length of all segments, of what is not durable yet as well.
    pub fn bytes(&self) -> u64 {
        self.state.lock().bytes()
    }

    /// Calls `hook` with the new watermark whenever [`Log::durable`] has moved, from the thread that moved it.
    ///
    /// Calls come in order and one at a time. The hook must be quick, must not append to or sync this log, and stays for
    /// the life of the log: it is meant to wake readers that wait elsewhere.
    pub fn on_durable(&self, hook: impl Fn(RecordNumber) + Send + Sync + 'static) {
        self.hooks.lock().push(Arc::new(hook));
    }

    /// Tells the hooks; the caller holds the syncer lock, which keeps the calls in order.
    pub(crate) fn notify(&self, durable: RecordNumber) {
        let hooks: Vec<Hook> = self.hooks.lock().clone();
        for hook in hooks {
            hook(durable);
        }
    }

    /// Stops the log for good and passes the error on.
    pub(crate) fn stop(&self, error: Error) -> Error {
        let mut state = self.state.lock();
        state.stopped.get_or_insert_with(|| error.to_string());
        error
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("origin", &self.origin).field("dir", &self.dir).finish_non_exhaustive()
    }
}
