//! What a log knows of itself in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use transaction::{RecordNumber, RegionName, Sequence};

use crate::disk::DiskFile;
use crate::index::{Index, Summary};
use crate::{DamagedLast, Error};

/// The segment that is appended to.
pub(crate) struct Active {
    pub(crate) file: Arc<dyn DiskFile>,
    /// Of everything appended, durable or not.
    pub(crate) index: Index,
    /// Length of the file that is durable, in bytes.
    pub(crate) durable_bytes: u64,
}

/// Segments, watermarks, and why the log stopped, if it did.
#[derive(Default)]
pub(crate) struct State {
    /// Oldest first; every one of them holds records.
    pub(crate) sealed: VecDeque<Summary>,
    pub(crate) active: Option<Active>,
    /// The last sequence number appended; 0 if not known.
    pub(crate) last_sequence: Sequence,
    pub(crate) durable: RecordNumber,
    pub(crate) stopped: Option<String>,
    pub(crate) damaged_last: Option<DamagedLast>,
}

/// The part of a segment that can be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// First record of the segment.
    pub(crate) first: RecordNumber,
    /// The record after the last that can be read.
    pub(crate) next: RecordNumber,
    /// Offset at which the readable part ends.
    pub(crate) end: u64,
}

impl State {
    /// All segments, oldest first.
    pub(crate) fn summaries(&self) -> impl DoubleEndedIterator<Item = &Summary> {
        self.sealed.iter().chain(self.active.iter().map(|active| &active.index.summary))
    }

    /// Length of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.summaries().map(|summary| summary.bytes).sum()
    }

    /// The last record appended; 0 if none.
    pub(crate) fn last(&self) -> RecordNumber {
        self.summaries().next_back().map_or(RecordNumber(0), Summary::last)
    }

    /// The first record held; 0 if none.
    pub(crate) fn first(&self) -> RecordNumber {
        self.summaries().find(|summary| summary.records > 0).map_or(RecordNumber(0), |summary| summary.first)
    }

    /// The number that an append has to begin with; 0 if the log holds nothing and any will do.
    pub(crate) fn next(&self) -> RecordNumber {
        if self.first().0 == 0 { RecordNumber(0) } else { self.last().next() }
    }

    /// The readable part of every segment, oldest first.
    pub(crate) fn spans(&self) -> impl DoubleEndedIterator<Item = (Span, &Summary)> {
        let sealed = self.sealed.iter().map(|summary| {
            (Span { first: summary.first, next: summary.next(), end: summary.bytes }, summary)
        });
        let active = self.active.iter().map(|active| {
            let summary = &active.index.summary;
            let next = self.durable.next().max(summary.first);
            (Span { first: summary.first, next, end: active.durable_bytes }, summary)
        });
        sealed.chain(active)
    }

    /// The first record of the run of chunks that the log ends with.
    pub(crate) fn unfinished_chain(&self) -> Option<RecordNumber> {
        let mut start = None;
        for summary in self.summaries().rev().filter(|summary| summary.records > 0) {
            if summary.chunks_from.0 == 0 {
                break;
            }
            start = Some(summary.chunks_from);
            if summary.chunks_from != summary.first {
                break;
            }
        }
        start
    }

    /// The last sequence number among the records held; 0 if there is none.
    pub(crate) fn held_sequence(&self) -> Sequence {
        let known = self.summaries().rev().find(|summary| summary.last_sequence.0 != 0);
        known.map_or(Sequence(0), |summary| summary.last_sequence)
    }

    /// Refuses to write when an earlier failure or an undecided last record forbids it.
    pub(crate) fn check_writable(&self, origin: RegionName) -> Result<(), Error> {
        if let Some(cause) = &self.stopped {
            return Err(Error::Stopped { origin, cause: cause.clone() });
        }
        match &self.damaged_last {
            Some(last) => Err(Error::DamagedLastPending { origin, number: last.number }),
            None => Ok(()),
        }
    }
}
