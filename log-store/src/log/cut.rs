//! Cutting a log at its end: unfinished chains, and a damaged last record.

use std::sync::atomic::Ordering;

use transaction::RecordNumber;
use transaction::record;

use super::{Active, Log, State};
use crate::disk::{self, Access};
use crate::index::{Misfit, check_follows};
use crate::recovery::DroppedChain;
use crate::scan::{Place, Scan};
use crate::segment::{self, HEADER_LEN};
use crate::{Error, Recovery};

impl Log {
    /// Drops the damaged last record that [`Recovery::damaged_last`] told of, after every peer was asked and none has it.
    ///
    /// Without one, this does nothing. Returns what is now known of the recovery; the log then takes appends again.
    pub fn drop_damaged_last(&self) -> Result<Recovery, Error> {
        self.settle_damaged_last(None)
    }

    /// Replaces the damaged last record by `record`, the same record as a peer holds it: encoded, whole, alone.
    pub fn replace_damaged_last(&self, record: &[u8]) -> Result<Recovery, Error> {
        self.settle_damaged_last(Some(record))
    }

    fn settle_damaged_last(&self, replacement: Option<&[u8]>) -> Result<Recovery, Error> {
        if self.options.read_only {
            return Err(Error::ReadOnly { origin: self.origin });
        }
        let _writer = self.writer.lock();
        let _turn = self.syncer.lock();
        let mut state = self.state.lock();
        let Some(last) = state.damaged_last.clone() else { return Ok(self.recovery()) };
        let header = match replacement {
            Some(bytes) => {
                let header = record::verify(bytes)
                    .map_err(|source| Error::BadRecord { origin: self.origin, source })?;
                check_follows(last.number, state.last_sequence, &header)
                    .map_err(|misfit| self.misfit(header.number, misfit))?;
                Some((header, &bytes[..header.record_len()]))
            }
            None => None,
        };
        let Some(active) = state.active.as_mut() else { return Ok(self.recovery()) };
        let done = active.file.truncate(last.offset).and_then(|()| {
            if let Some((_, bytes)) = header {
                active.file.write_all_at(bytes, last.offset)?;
            }
            active.file.sync()
        });
        if let Err(error) = done {
            drop(state);
            return Err(self.stop(Error::io("mend the end of", &last.path)(error)));
        }
        if let Some((header, _)) = header {
            active.index.note(&header);
        }
        active.durable_bytes = active.index.summary.bytes;
        state.damaged_last = None;
        state.last_sequence = state.held_sequence();
        state.durable = state.last();
        tracing::warn!(origin = %self.origin, number = %last.number, replaced = header.is_some(), "settled the damaged last record");
        if let Err(error) = self.apply_chain_rule(&mut state) {
            drop(state);
            return Err(self.stop(error));
        }
        let durable = state.durable;
        self.durable.store(durable.0, Ordering::Release);
        drop(state);
        self.notify(durable);
        Ok(self.recovery())
    }

    /// Drops an unfinished chain of chunks at the end, if this log is to.
    pub(super) fn apply_chain_rule(&self, state: &mut State) -> Result<(), Error> {
        if self.options.read_only || !self.options.drop_unfinished_chain || state.damaged_last.is_some() {
            return Ok(());
        }
        let Some(first) = state.unfinished_chain() else { return Ok(()) };
        let dropped = self.cut_from(state, first)?;
        let mut recovery = self.recovery();
        recovery.chain = Some(dropped);
        self.set_recovery(recovery);
        Ok(())
    }

    /// Removes record `from` and all that follow, last file first, so that a crash midway leaves a whole log.
    fn cut_from(&self, state: &mut State, from: RecordNumber) -> Result<DroppedChain, Error> {
        let records = state.last().0 + 1 - from.0;
        let bytes_before: u64 = state.summaries().map(|summary| summary.bytes - HEADER_LEN).sum();
        // What stays of the segment where the cut is has to be whole, before anything is removed.
        let Some(kept) = state.summaries().rev().find(|summary| summary.first <= from).copied() else {
            return Ok(DroppedChain { first: from, records: 0, bytes: 0 });
        };
        let path = segment::path(&self.dir, kept.first);
        let file = self.disk.open(&path, Access::Write).map_err(Error::io("open", &path))?;
        let place = Place { file: &*file, path: &path, origin: self.origin, first: kept.first };
        let Scan { index, stop } = place.scan(kept.bytes, Some(from), &mut |_| {})?;
        if let Some(stop) = stop {
            return Err(place.stopped(&index, &stop));
        }

        for later in state.summaries().rev().take_while(|summary| summary.first > kept.first) {
            self.remove_segment(later.first)?;
        }
        // This segment is to be appended to again, so an index file beside it would soon be wrong.
        disk::remove_if_there(&*self.disk, &segment::index_path(&self.dir, kept.first))?;
        file.truncate(index.summary.bytes).map_err(Error::io("truncate", &path))?;
        file.sync().map_err(Error::io("sync", &path))?;
        state.sealed.retain(|summary| summary.first < kept.first);
        let durable_bytes = index.summary.bytes;
        state.active = Some(Active { file, index, durable_bytes });
        self.indexes.lock().clear();
        state.durable = state.last();
        state.last_sequence = state.held_sequence();
        let bytes_after: u64 = state.summaries().map(|summary| summary.bytes - HEADER_LEN).sum();
        Ok(DroppedChain { first: from, records, bytes: bytes_before - bytes_after })
    }

    /// Removes a segment and its index, durably.
    pub(crate) fn remove_segment(&self, first: RecordNumber) -> Result<(), Error> {
        disk::remove_if_there(&*self.disk, &segment::index_path(&self.dir, first))?;
        disk::remove_if_there(&*self.disk, &segment::path(&self.dir, first))?;
        self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))
    }

    /// The error for a record that does not belong where it was to be put.
    pub(crate) fn misfit(&self, number: RecordNumber, misfit: Misfit) -> Error {
        let origin = self.origin;
        match misfit {
            Misfit::Number { expected, got } => Error::NotNext { origin, expected, got },
            Misfit::Sequence { expected, got } => Error::NotNextSequence { origin, number, expected, got },
        }
    }
}
