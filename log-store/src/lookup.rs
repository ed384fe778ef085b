//! Finding records by sequence number, HLC and kind.
//!
//! A segment's signpost gives the neighbourhood; the headers from there on are walked, their density checked at each step
//! (checksums are verified when a record is read).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use transaction::record::RecordHeader;
use transaction::{Hlc, RecordKind, RecordNumber, Sequence};

use crate::Error;
use crate::disk::{Access, DiskFile};
use crate::index::{Entry, Index, STRIDE, check_follows};
use crate::log::{self, Log, Span};
use crate::scan::{Place, Stop};
use crate::segment::{self, HEADER_LEN};
use crate::window::Window;

/// How many sealed segments' indexes are kept in memory, at about 32 KiB each.
const INDEXES_KEPT: usize = 8;

impl Log {
    /// The durable record that holds transaction `sequence`: its only record, or the end of its chain of chunks.
    ///
    /// `None` if it is not held: removed, still to come, or not durable yet.
    pub fn find_sequence(&self, sequence: Sequence) -> Result<Option<RecordNumber>, Error> {
        let holds = |s: &crate::index::Summary| s.first_sequence <= sequence && sequence <= s.last_sequence;
        let span = self
            .state
            .lock()
            .spans()
            .find(|(_, summary)| sequence.0 != 0 && holds(summary))
            .map(|(span, _)| span);
        let Some(span) = span else { return Ok(None) };
        let found = |header: &RecordHeader| {
            header.sequence == sequence && matches!(header.kind, RecordKind::Transaction | RecordKind::Repair)
        };
        self.first_in(span, |entry| entry.sequence_before < sequence, found)
    }

    /// The first durable record whose HLC is `hlc` or later; `None` if there is none yet. Repairs are not in
    /// order: of records from it on, some may have an earlier one.
    pub fn find_hlc(&self, hlc: Hlc) -> Result<Option<RecordNumber>, Error> {
        let state = self.state.lock();
        let span = state
            .spans()
            .find(|(_, summary)| summary.records > 0 && summary.hlc_max >= hlc)
            .map(|(span, _)| span);
        drop(state);
        let Some(span) = span else { return Ok(None) };
        self.first_in(span, |entry| entry.hlc_before < hlc, |header| header.hlc >= hlc)
    }

    /// The last durable record of a kind; `None` if none is held. Walks backwards, so it is quick for kinds that are frequent.
    pub fn find_last(&self, kind: RecordKind) -> Result<Option<RecordNumber>, Error> {
        let spans: Vec<Span> = self.state.lock().spans().map(|(span, _)| span).collect();
        let mut window = Window::new(STRIDE as usize);
        for span in spans.into_iter().rev().filter(|span| span.first < span.next) {
            let (file, path) = self.open_segment(span.first, span.first)?;
            window.clear();
            let mut part = span;
            while part.next > span.first {
                let entry = self.signpost(span.first, span.first, |entry| entry.number < part.next)?;
                let mut last = None;
                let mut walk = self.walk(&*file, &path, part, entry, &mut window);
                let begin = (walk.next, walk.offset);
                while let Some(header) = walk.step()? {
                    last = if header.kind == kind { Some(header.number) } else { last };
                }
                if last.is_some() {
                    return Ok(last);
                }
                (part.next, part.end) = begin;
            }
        }
        Ok(None)
    }

    /// The first record in a segment for which `found` holds; `before` tells the signposts that cannot lie beyond it.
    fn first_in(
        &self,
        span: Span,
        before: impl Fn(&Entry) -> bool,
        found: impl Fn(&RecordHeader) -> bool,
    ) -> Result<Option<RecordNumber>, Error> {
        let (file, path) = self.open_segment(span.first, span.first)?;
        let entry = self.signpost(span.first, span.first, before)?;
        let mut window = Window::new(STRIDE as usize);
        let mut walk = self.walk(&*file, &path, span, entry, &mut window);
        while let Some(header) = walk.step()? {
            if found(&header) {
                return Ok(Some(header.number));
            }
        }
        Ok(None)
    }

    /// The segment that holds a durable record, and how much of it can be read; `None` if it is not durable yet.
    pub(crate) fn span_of(&self, number: RecordNumber) -> Result<Option<Span>, Error> {
        let state = self.state.lock();
        let first = state.first();
        if number < first {
            return Err(Error::Removed { origin: self.origin, number, first });
        }
        // Readers are mostly near the end.
        Ok(state.spans().rev().map(|(span, _)| span).find(|span| (span.first..span.next).contains(&number)))
    }

    /// Opens a segment for reading on behalf of record `wanted`.
    pub(crate) fn open_segment(
        &self,
        first: RecordNumber,
        wanted: RecordNumber,
    ) -> Result<(Arc<dyn DiskFile>, PathBuf), Error> {
        let path = segment::path(&self.dir, first);
        let file = self
            .disk
            .open(&path, Access::Read)
            .map_err(|error| self.gone(wanted, Error::io("open", &path)(error)))?;
        segment::check_header(&*file, &path, self.origin, first)?;
        Ok((file, path))
    }

    /// The last signpost of a segment that satisfies `before`, or its first.
    pub(crate) fn signpost(
        &self,
        first: RecordNumber,
        wanted: RecordNumber,
        before: impl Fn(&Entry) -> bool,
    ) -> Result<Option<Entry>, Error> {
        {
            let state = self.state.lock();
            if let Some(active) = state.active.as_ref().filter(|active| active.index.summary.first == first) {
                return Ok(active.index.seek(before));
            }
        }
        let kept = {
            let mut indexes = self.indexes.lock();
            let at = indexes.iter().position(|index| index.summary.first == first);
            let index = at.and_then(|at| indexes.remove(at));
            indexes.extend(index.clone());
            index
        };
        let index: Arc<Index> = match kept {
            Some(index) => index,
            None => {
                let keep = !self.options.read_only;
                let loaded = log::load_index(&*self.disk, &self.dir, self.origin, first, keep);
                let index = Arc::new(loaded.map_err(|error| self.gone(wanted, error))?);
                let mut indexes = self.indexes.lock();
                if indexes.len() >= INDEXES_KEPT {
                    indexes.pop_front();
                }
                indexes.push_back(index.clone());
                index
            }
        };
        Ok(index.seek(before))
    }

    /// A walk over headers from a signpost to the end of what can be read.
    pub(crate) fn walk<'a>(
        &self,
        file: &'a dyn DiskFile,
        path: &'a Path,
        span: Span,
        entry: Option<Entry>,
        window: &'a mut Window,
    ) -> Walk<'a> {
        let place = Place { file, path, origin: self.origin, first: span.first };
        let (next, offset) = entry.map_or((span.first, HEADER_LEN), |entry| (entry.number, entry.offset));
        Walk { place, window, span, next, offset }
    }

    /// Says "removed" for a file that retention took away between looking and opening.
    fn gone(&self, wanted: RecordNumber, error: Error) -> Error {
        let first = self.first();
        match &error {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound && wanted < first => {
                Error::Removed { origin: self.origin, number: wanted, first }
            }
            _ => error,
        }
    }
}

/// Steps from header to header.
pub(crate) struct Walk<'a> {
    place: Place<'a>,
    window: &'a mut Window,
    span: Span,
    /// Number of the next record.
    pub(crate) next: RecordNumber,
    /// Where it begins.
    pub(crate) offset: u64,
}

impl Walk<'_> {
    /// The next header, not verified but for its number; `None` at the end of what can be read.
    pub(crate) fn step(&mut self) -> Result<Option<RecordHeader>, Error> {
        if self.next >= self.span.next {
            return Ok(None);
        }
        let read = self.window.header(self.place.file, self.offset, self.span.end);
        let stop = match read.map_err(Error::io("read", self.place.path))? {
            Ok(header) => match check_follows(self.next, Sequence(0), &header) {
                Ok(_) => {
                    self.next = self.next.next();
                    self.offset += header.record_len() as u64;
                    return Ok(Some(header));
                }
                Err(misfit) => Stop::Misfit(misfit),
            },
            Err(error) => Stop::Broken(error),
        };
        Err(self.place.stopped_at(self.offset, self.next, &stop))
    }
}
