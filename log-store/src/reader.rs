//! Reading a log forward.

use std::path::PathBuf;
use std::sync::Arc;

use transaction::RecordNumber;
use transaction::record::RecordHeader;

use crate::Error;
use crate::disk::DiskFile;
use crate::index::check_follows;
use crate::log::{Log, Span};
use crate::scan::{Place, Stop};
use crate::segment::{self, HEADER_LEN};
use crate::window::{WINDOW_LEN, Window};

/// Reads the durable records of a log in order, across segments, and goes on when more become durable.
///
/// Memory: 256 KiB, more only while a longer record is held. Every record is verified. A reader keeps the file it is in
/// open, so retention may remove that file under it without harm.
pub struct LogReader {
    log: Arc<Log>,
    /// The next record; 0 for "the first there is".
    next: RecordNumber,
    /// Whether to go on behind what retention took, instead of saying that it is gone.
    held_only: bool,
    open: Option<OpenSegment>,
    window: Window,
    /// Header of the next record, when it is verified and in the window.
    peeked: Option<RecordHeader>,
}

struct OpenSegment {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    span: Span,
    offset: u64,
}

/// A whole encoded record, verified.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// Its fixed part.
    pub header: RecordHeader,
    /// All of it, header included, for [`transaction::Record::decode`].
    pub bytes: &'a [u8],
}

impl Log {
    /// A reader that begins with record `number`; 0 means the first that the log holds, now or once it holds any.
    ///
    /// A number beyond the end is fine: its turn comes. One below [`Log::first`] is [`Error::Removed`].
    pub fn read_from(self: &Arc<Self>, number: RecordNumber) -> Result<LogReader, Error> {
        let first = self.first();
        if number.0 != 0 && number < first {
            return Err(Error::Removed { origin: self.origin, number, first });
        }
        Ok(LogReader { held_only: false, ..self.read_held_from(number) })
    }

    /// The same for whoever can tell by other means whether he misses something: instead of [`Error::Removed`], before the
    /// first record or later, the reader goes on with the first record that is held.
    pub fn read_held_from(self: &Arc<Self>, number: RecordNumber) -> LogReader {
        let window = Window::new(WINDOW_LEN);
        LogReader { log: self.clone(), next: number, held_only: true, open: None, window, peeked: None }
    }
}

impl LogReader {
    /// The number of the record that comes next; 0 if the reader began at "the first" and has seen none.
    pub fn position(&self) -> RecordNumber {
        self.next
    }

    /// The next durable record, or `None` if there is none yet.
    pub fn next_record(&mut self) -> Result<Option<RawRecord<'_>>, Error> {
        let Some(header) = self.peek()? else { return Ok(None) };
        let offset = self.pass(&header);
        let bytes = self.window.held(offset, header.record_len()).unwrap_or_default();
        Ok(Some(RawRecord { header, bytes }))
    }

    /// Appends consecutive durable records to `out`, as they lie on disk, as many as fit into `max_bytes` and at least one;
    /// returns how many: 0 if none is durable yet.
    pub fn next_batch(&mut self, max_bytes: usize, out: &mut Vec<u8>) -> Result<usize, Error> {
        let start = out.len();
        let mut count = 0;
        while let Some(header) = self.peek()? {
            let len = header.record_len();
            if count > 0 && out.len() - start + len > max_bytes {
                break;
            }
            let offset = self.pass(&header);
            out.extend_from_slice(self.window.held(offset, len).unwrap_or_default());
            count += 1;
        }
        Ok(count)
    }

    /// Steps over the record that was peeked at; returns where it lies.
    fn pass(&mut self, header: &RecordHeader) -> u64 {
        self.peeked = None;
        self.next = header.number.next();
        match &mut self.open {
            Some(open) => {
                let offset = open.offset;
                open.offset += header.record_len() as u64;
                offset
            }
            None => 0,
        }
    }

    /// Verifies the next durable record and leaves it in the window.
    fn peek(&mut self) -> Result<Option<RecordHeader>, Error> {
        if self.peeked.is_some() {
            return Ok(self.peeked);
        }
        let found = loop {
            match self.advance() {
                // Ends: each time, retention has taken a segment more.
                Err(Error::Removed { first, .. }) if self.held_only => self.next = first,
                advanced => break advanced?,
            }
        };
        if !found {
            self.window.release_excess();
            return Ok(None);
        }
        let Some(open) = &self.open else { return Ok(None) };
        let (offset, end) = (open.offset, open.span.end);
        let read = self.window.record(&*open.file, offset, end).map_err(Error::io("read", &open.path))?;
        let stop = match read {
            Ok(header) => match check_follows(self.next, Default::default(), &header) {
                Ok(_) => {
                    self.peeked = Some(header);
                    return Ok(self.peeked);
                }
                Err(misfit) => Stop::Misfit(misfit),
            },
            Err(error) => Stop::Broken(error),
        };
        let place =
            Place { file: &*open.file, path: &open.path, origin: self.log.origin(), first: open.span.first };
        Err(place.stopped_at(offset, self.next, &stop))
    }

    /// Makes `open` the segment that holds the next record; false if that is not durable yet.
    fn advance(&mut self) -> Result<bool, Error> {
        if let Some(open) = &self.open
            && (open.span.first..open.span.next).contains(&self.next)
        {
            return Ok(true);
        }
        if self.next.0 == 0 {
            self.next = self.log.first();
        }
        if self.next.0 == 0 || self.next > self.log.durable() {
            return Ok(false);
        }
        let Some(span) = self.log.span_of(self.next)? else { return Ok(false) };
        if let Some(open) = self.open.as_mut().filter(|open| open.span.first == span.first) {
            open.span = span;
            return Ok(true);
        }
        self.open = None;
        self.window.clear();
        let (file, path) = self.log.open_segment(span.first, self.next)?;
        let mut offset = HEADER_LEN;
        if self.next != span.first {
            let entry = self.log.signpost(span.first, self.next, |entry| entry.number <= self.next)?;
            let mut walk = self.log.walk(&*file, &path, span, entry, &mut self.window);
            while walk.next < self.next && walk.step()?.is_some() {}
            offset = walk.offset;
        }
        self.open = Some(OpenSegment { file, path, span, offset });
        Ok(true)
    }
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.open.as_ref().map(|open| segment::path(self.log.dir(), open.span.first));
        f.debug_struct("LogReader").field("next", &self.next).field("segment", &path).finish_non_exhaustive()
    }
}
