//! Walking a segment from its first record to where it ends or breaks.

use std::path::Path;

use transaction::record::RecordError;
use transaction::{RecordNumber, RegionName, Sequence};

use crate::disk::DiskFile;
use crate::index::{Index, Misfit, Summary, check_follows};
use crate::window::{WINDOW_LEN, Window};
use crate::{Damage, Error};

/// A segment file and what its name says.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a dyn DiskFile,
    pub(crate) path: &'a Path,
    pub(crate) origin: RegionName,
    pub(crate) first: RecordNumber,
}

/// What a walk found.
pub(crate) struct Scan {
    /// Index of everything before the stop.
    pub(crate) index: Index,
    /// Where and why it stopped early.
    pub(crate) stop: Option<Stop>,
}

/// Why a walk stopped at `index.summary.bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// No intact record.
    Broken(RecordError),
    /// An intact record that does not belong there.
    Misfit(Misfit),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(error) => error.fmt(f),
            Self::Misfit(misfit) => misfit.fmt(f),
        }
    }
}

impl Place<'_> {
    /// The error for damage in this segment.
    pub(crate) fn damage(&self, offset: u64, number: RecordNumber, reason: String) -> Damage {
        Damage { origin: self.origin, path: self.path.to_owned(), offset, number, reason }
    }

    /// Walks and verifies the records in the first `size` bytes of the file, up to `until` (exclusive) if given, saying
    /// after each window's worth how many bytes are behind.
    pub(crate) fn scan(
        &self,
        size: u64,
        until: Option<RecordNumber>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Scan, Error> {
        let mut window = Window::new(WINDOW_LEN);
        let mut index = Index::new(self.first);
        let mut reported = 0;
        while index.summary.bytes < size && until.is_none_or(|until| index.summary.next() < until) {
            let offset = index.summary.bytes;
            let header = match window.record(self.file, offset, size).map_err(Error::io("read", self.path))? {
                Ok(header) => header,
                Err(error) => return Ok(Scan { index, stop: Some(Stop::Broken(error)) }),
            };
            if let Err(misfit) = check_follows(index.summary.next(), index.summary.last_sequence, &header) {
                return Ok(Scan { index, stop: Some(Stop::Misfit(misfit)) });
            }
            index.note(&header);
            if index.summary.bytes - reported >= WINDOW_LEN as u64 {
                reported = index.summary.bytes;
                progress(reported);
            }
        }
        Ok(Scan { index, stop: None })
    }

    /// Walks a segment that has to be whole, and returns its index.
    pub(crate) fn scan_sealed(&self, size: u64) -> Result<Index, Error> {
        let Scan { index, stop } = self.scan(size, None, &mut |_| {})?;
        match stop {
            None => Ok(index),
            Some(stop) => Err(self.stopped(&index, &stop)),
        }
    }

    /// The error for a walk that stopped where it had to go on.
    pub(crate) fn stopped(&self, index: &Index, stop: &Stop) -> Error {
        self.stopped_at(index.summary.bytes, index.summary.next(), stop)
    }

    /// The same, for record `number` at `offset`.
    pub(crate) fn stopped_at(&self, offset: u64, number: RecordNumber, stop: &Stop) -> Error {
        match stop {
            Stop::Broken(source @ RecordError::UnknownKind { .. }) => {
                Error::NewerRecord { path: self.path.to_owned(), offset, source: source.clone() }
            }
            other => Error::Damaged(Box::new(self.damage(offset, number, other.to_string()))),
        }
    }
}

/// Judges whether a segment goes on where the one before it ends. `last_sequence` is the last sequence number before it, 0
/// if not known.
pub(crate) fn check_joins(
    before: &Summary,
    last_sequence: Sequence,
    origin: RegionName,
    path: &Path,
    summary: &Summary,
) -> Result<(), Damage> {
    let damage = |number, reason| Damage { origin, path: path.to_owned(), offset: 0, number, reason };
    if summary.first != before.next() {
        let reason = format!("the segment before it ends at record {}: files are missing", before.last());
        return Err(damage(before.next(), reason));
    }
    let got = summary.first_sequence;
    if last_sequence.0 != 0 && got.0 != 0 && got != last_sequence.next() {
        let misfit = Misfit::Sequence { expected: last_sequence.next(), got };
        return Err(damage(summary.first, format!("in this segment, {misfit}")));
    }
    Ok(())
}
