//! Appending and making durable.

use std::sync::atomic::Ordering;

use transaction::RecordNumber;
use transaction::record::{self, RecordHeader};

use crate::Error;
use crate::index::{Index, check_follows};
use crate::log::{Active, Log, write_index};
use crate::segment::{self, HEADER_LEN};

impl Log {
    /// Appends one or more whole encoded records and returns the number of the last one.
    ///
    /// The records are verified first: checksums, dense record numbers, dense sequence numbers. If anything is wrong with
    /// any of them, nothing is written. An empty log may begin at any number from 1 on. What was appended is not durable
    /// before [`Log::sync`], and not to be read before. A failed write stops the log: every later call fails with
    /// [`Error::Stopped`].
    pub fn append(&self, records: &[u8]) -> Result<RecordNumber, Error> {
        if self.options.read_only {
            return Err(Error::ReadOnly { origin: self.origin });
        }
        let _writer = self.writer.lock();
        let headers = self.check_batch(records)?;
        let (mut headers, mut rest) = (headers.as_slice(), records);
        while let Some(first) = headers.first() {
            let Some(offset) = self.room_for(first) else {
                self.begin_segment(first.number)?;
                continue;
            };
            // As many as fit, and at least the first: a record longer than a segment gets one of its own.
            let (mut count, mut len) = (1, first.record_len());
            for header in &headers[1..] {
                if offset + (len + header.record_len()) as u64 > self.options.segment_bytes {
                    break;
                }
                (count, len) = (count + 1, len + header.record_len());
            }
            self.write_run(offset, &headers[..count], &rest[..len])?;
            (headers, rest) = (&headers[count..], &rest[len..]);
        }
        Ok(self.last_appended())
    }

    /// Makes everything appended so far durable (fdatasync) and returns the durable watermark.
    ///
    /// Group commit: threads that call this together wait for one another, and whoever finds its records durable already
    /// returns without a sync of its own. A failed sync stops the log, since what the disk holds is then unknown.
    pub fn sync(&self) -> Result<RecordNumber, Error> {
        if self.options.read_only {
            return Err(Error::ReadOnly { origin: self.origin });
        }
        let wanted = {
            let state = self.state.lock();
            state.check_writable(self.origin)?;
            state.last()
        };
        let _turn = self.syncer.lock();
        let (file, first, last, bytes) = {
            let state = self.state.lock();
            state.check_writable(self.origin)?;
            match &state.active {
                Some(active) if state.durable < wanted => {
                    let summary = &active.index.summary;
                    (active.file.clone(), summary.first, summary.last(), summary.bytes)
                }
                _ => return Ok(state.durable),
            }
        };
        if let Err(error) = file.sync() {
            return Err(self.stop(Error::io("sync", segment::path(&self.dir, first))(error)));
        }
        let mut state = self.state.lock();
        // No new segment can have begun meanwhile, since that takes the syncer lock as well.
        if let Some(active) = state.active.as_mut() {
            active.durable_bytes = bytes;
        }
        state.durable = last;
        self.durable.store(last.0, Ordering::Release);
        drop(state);
        self.notify(last);
        Ok(last)
    }

    /// Verifies all records of a batch against one another and the log's end.
    fn check_batch(&self, records: &[u8]) -> Result<Vec<RecordHeader>, Error> {
        let (mut next, mut last_sequence) = {
            let state = self.state.lock();
            state.check_writable(self.origin)?;
            (state.next(), state.last_sequence)
        };
        let mut headers = Vec::new();
        let mut rest = records;
        while !rest.is_empty() {
            let header =
                record::verify(rest).map_err(|source| Error::BadRecord { origin: self.origin, source })?;
            last_sequence = check_follows(next, last_sequence, &header)
                .map_err(|misfit| self.misfit(header.number, misfit))?;
            next = header.number.next();
            rest = &rest[header.record_len()..];
            headers.push(header);
        }
        Ok(headers)
    }

    /// Where in the active segment a record goes; `None` if it needs a new segment.
    fn room_for(&self, header: &RecordHeader) -> Option<u64> {
        let state = self.state.lock();
        let summary = &state.active.as_ref()?.index.summary;
        let fits = match summary.records {
            // An empty log may begin at another number than its first file was made for.
            0 => summary.first == header.number,
            _ => summary.bytes + header.record_len() as u64 <= self.options.segment_bytes,
        };
        fits.then_some(summary.bytes)
    }

    fn write_run(&self, offset: u64, run: &[RecordHeader], bytes: &[u8]) -> Result<(), Error> {
        let Some((file, first)) = ({
            let state = self.state.lock();
            state.active.as_ref().map(|active| (active.file.clone(), active.index.summary.first))
        }) else {
            return Ok(());
        };
        if let Err(error) = file.write_all_at(bytes, offset) {
            return Err(self.stop(Error::io("write", segment::path(&self.dir, first))(error)));
        }
        let mut state = self.state.lock();
        if let Some(active) = state.active.as_mut() {
            for header in run {
                active.index.note(header);
            }
            let last = active.index.summary.last_sequence;
            if last.0 != 0 {
                state.last_sequence = last;
            }
        }
        Ok(())
    }

    /// Seals the active segment, if there is one, and begins another. The old one is durable before the new one appears,
    /// so that only the last segment of a log can ever be torn.
    fn begin_segment(&self, first: RecordNumber) -> Result<(), Error> {
        let _turn = self.syncer.lock();
        let old = {
            let state = self.state.lock();
            state.check_writable(self.origin)?;
            state.active.as_ref().map(|active| (active.file.clone(), active.index.summary))
        };
        let made = match &old {
            Some((_, summary)) if summary.records == 0 => self.remove_segment(summary.first),
            Some((file, summary)) => {
                file.sync().map_err(Error::io("sync", segment::path(&self.dir, summary.first)))
            }
            None => Ok(()),
        }
        .and_then(|()| segment::create(&*self.disk, &self.dir, self.origin, first));
        let file = made.map_err(|error| self.stop(error))?;

        let index = Index::new(first);
        let mut state = self.state.lock();
        let old = state.active.replace(Active { file, index, durable_bytes: HEADER_LEN });
        let sealed = old.map(|active| active.index).filter(|index| index.summary.records > 0);
        state.sealed.extend(sealed.as_ref().map(|index| index.summary));
        let durable = RecordNumber(first.0 - 1);
        let moved = sealed.is_some() && state.durable < durable;
        state.durable = durable;
        self.durable.store(durable.0, Ordering::Release);
        drop(state);
        if let Some(index) = sealed {
            write_index(&*self.disk, &segment::index_path(&self.dir, index.summary.first), &index);
        }
        if moved {
            self.notify(durable);
        }
        Ok(())
    }
}
