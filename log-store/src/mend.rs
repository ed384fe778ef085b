//! Mending a damaged log: what is intact stays, what is not is taken from a copy, and a file is replaced whole or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use transaction::record::{self, RecordError};
use transaction::{RecordNumber, RegionName, Sequence};

use crate::disk::{self, Access, Disk, DiskFile};
use crate::index::{Index, Summary, check_follows};
use crate::log::folder_segments;
use crate::recovery::{self, Ending, Tail};
use crate::scan::{Place, Stop};
use crate::segment::{self, HEADER_LEN};
use crate::window::{WINDOW_LEN, Window};
use crate::{Error, VerifyProgress, verify};

/// Another copy of the log that is mended.
pub trait RecordSource {
    /// Why it cannot be read.
    type Error;

    /// Whole encoded records, one after the other, the first of them number `from`; `None` if the copy ends before it.
    fn records(&mut self, from: RecordNumber) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// What was mended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MendReport {
    /// The segments that were written anew.
    pub segments: Vec<PathBuf>,
    /// How many records of the copy stand in them.
    pub records: u64,
    /// How many bytes these have.
    pub bytes: u64,
}

/// Why a log could not be mended. Segments that were mended before stay so, the others are as they were.
#[derive(Debug, thiserror::Error)]
pub enum MendError<E> {
    /// The store refuses, or the disk failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// The copy cannot be read.
    #[error("{0}")]
    Source(E),
}

/// Mends the log in a folder that nobody has open.
pub(crate) fn mend_folder<S: RecordSource>(
    disk: &dyn Disk,
    dir: &Path,
    origin: RegionName,
    own: bool,
    source: &mut S,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<MendReport, MendError<S::Error>> {
    let firsts = folder_segments(disk, dir, true)?;
    let bytes_total = verify::size_of(disk, dir, &firsts)?;
    let copy = Copied { source, origin, bytes: Vec::new(), at: 0, next: RecordNumber(0) };
    let mut mender = Mender { disk, dir, origin, own, copy, report: MendReport::default() };
    let mut before: Option<Summary> = None;
    let mut last_sequence = Sequence(0);
    let mut bytes = 0;
    for (at, first) in firsts.iter().enumerate() {
        let end = firsts.get(at + 1).copied();
        if let Some(gap) = before.map(|before| before.next()).filter(|next| next != first) {
            if gap > *first {
                let reason = format!("the segment before it goes up to record {} already", gap.0 - 1);
                let path = segment::path(dir, *first);
                let damage = crate::Damage { origin, path, offset: 0, number: *first, reason };
                return Err(Error::Damaged(Box::new(damage)).into());
            }
            let made = mender.rewrite(gap, Some(*first), last_sequence)?;
            last_sequence = last_sequence.max(made.last_sequence);
        }
        let summary = match mender.whole(*first, end.is_none(), last_sequence)? {
            Some(summary) => summary,
            None => mender.rewrite(*first, end, last_sequence)?,
        };
        last_sequence = last_sequence.max(summary.last_sequence);
        bytes += summary.bytes;
        before = Some(summary);
        progress(VerifyProgress { bytes: bytes.min(bytes_total), bytes_total });
    }
    Ok(mender.report)
}

struct Mender<'a, S> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    origin: RegionName,
    /// Whether it is the region's own log, and no copy of another's.
    own: bool,
    copy: Copied<'a, S>,
    report: MendReport,
}

impl<S: RecordSource> Mender<'_, S> {
    /// What a segment holds that needs no mending; an end that the next opening settles by itself needs none.
    fn whole(
        &self,
        first: RecordNumber,
        is_last: bool,
        last_sequence: Sequence,
    ) -> Result<Option<Summary>, Error> {
        let path = segment::path(self.dir, first);
        let file = self.disk.open(&path, Access::Read).map_err(Error::io("open", &path))?;
        match segment::check_header(&*file, &path, self.origin, first) {
            Err(Error::Damaged(_)) => return Ok(None),
            checked => checked?,
        }
        let size = file.size().map_err(Error::io("measure", &path))?;
        let place = Place { file: &*file, path: &path, origin: self.origin, first };
        let scan = place.scan(size, None, &mut |_| {})?;
        let found = scan.index.summary;
        let joins = last_sequence.0 == 0
            || found.first_sequence.0 == 0
            || found.first_sequence == last_sequence.next();
        let ends = match &scan.stop {
            None => true,
            Some(Stop::Broken(RecordError::UnknownKind { .. })) => {
                recovery::judge(&place, &scan, size)?;
                false
            }
            Some(_) if !is_last => false,
            Some(_) => match recovery::judge(&place, &scan, size) {
                Ok(ending) => matches!(ending, Ending::Whole | Ending::Torn(_)),
                Err(Error::Damaged(_)) => false,
                Err(other) => return Err(other),
            },
        };
        Ok((joins && ends).then_some(found))
    }

    /// Writes a segment anew, up to record `end`, or as far as it and the copy go.
    fn rewrite(
        &mut self,
        first: RecordNumber,
        end: Option<RecordNumber>,
        last_sequence: Sequence,
    ) -> Result<Summary, MendError<S::Error>> {
        let path = segment::path(self.dir, first);
        let old = match self.disk.open(&path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(Error::io("open", &path))?),
        };
        let size = old.as_ref().map_or(Ok(0), |old| old.size()).map_err(Error::io("measure", &path))?;
        let unfinished = disk::temporary(&path);
        let create = || {
            let new = self.disk.create(&unfinished)?;
            new.write_all_at(&segment::encode_header(self.origin, first), 0)?;
            Ok(new)
        };
        let new = create().map_err(Error::io("create", &unfinished))?;
        let index = Index::new(first);
        let mut made =
            Made { origin: self.origin, file: new, path: &unfinished, index, last_sequence, last: None };
        let rest = self.fill(&mut made, old.as_deref(), &path, size, end)?;
        let mut at = made.index.summary.bytes;
        if let (Some(old), Some(mut from)) = (&old, rest) {
            // Neither here nor there is this record intact: the opening decides about it, as it would have without us.
            let mut window = Window::new(WINDOW_LEN);
            while from < size {
                let len = (size - from).min(WINDOW_LEN as u64) as usize;
                let piece = window.bytes(&**old, from, len, size).map_err(Error::io("read", &path))?;
                made.file.write_all_at(piece, at).map_err(Error::io("write", &unfinished))?;
                (from, at) = (from + len as u64, at + len as u64);
            }
        }
        let Made { file, index, .. } = made;
        file.sync().map_err(Error::io("sync", &unfinished))?;
        disk::remove_if_there(self.disk, &segment::index_path(self.dir, first))?;
        self.disk.rename(&unfinished, &path).map_err(Error::io("put in place", &path))?;
        self.disk.sync_dir(self.dir).map_err(Error::io("sync", self.dir))?;
        self.report.segments.push(path);
        Ok(index.summary)
    }

    /// Writes the records; returns from where on the old file has a tail that is to stay as it is.
    fn fill(
        &mut self,
        made: &mut Made<'_>,
        old: Option<&dyn DiskFile>,
        path: &Path,
        size: u64,
        end: Option<RecordNumber>,
    ) -> Result<Option<u64>, MendError<S::Error>> {
        let mut window = Window::new(WINDOW_LEN);
        let mut offset = HEADER_LEN;
        loop {
            let number = made.index.summary.next();
            if end == Some(number) {
                return Ok(None);
            }
            // As long as our own records are intact and in their places, they stay.
            let mut resume = None;
            if let Some(old) = old.filter(|_| offset < size) {
                let found = window.record(old, offset, size).map_err(Error::io("read", path))?;
                if let Err(source @ RecordError::UnknownKind { .. }) = found {
                    return Err(Error::NewerRecord { path: path.to_owned(), offset, source }.into());
                }
                if let Ok(header) = found
                    && check_follows(number, made.last_sequence, &header).is_ok()
                {
                    let len = header.record_len();
                    let bytes = window.bytes(old, offset, len, size).map_err(Error::io("read", path))?;
                    made.push(bytes)?;
                    offset += len as u64;
                    continue;
                }
                let tail = Tail { file: old, offset, size };
                let later = tail.later_record(number).map_err(Error::io("read", path))?;
                resume = later.filter(|(later, _)| end.is_none_or(|end| *later < end));
            } else if end.is_none() {
                return Ok(None);
            }
            // Records of another copy may take the place of ours only if it is a copy of this very log.
            if let Some((before, ours)) = made.last()? {
                let theirs = self.copy.record(before)?;
                if theirs.is_some_and(|theirs| theirs != ours) {
                    return Err(Error::CopiesDiffer { origin: self.origin, number: before }.into());
                }
            }
            let until = resume.map(|(later, _)| later).or(end);
            // What stood in the end of a copy's last file was no longer than that; the link brings what comes after it. But
            // a region that goes on with less of its own log than its peers hold would give numbers out twice.
            let bytes_max = if self.own { u64::MAX } else { size.saturating_sub(offset) };
            let taken_before = self.report.bytes;
            while until != Some(made.index.summary.next()) {
                let (number, taken) = (made.index.summary.next(), self.report.bytes - taken_before);
                match self.copy.record(number)? {
                    None if until.is_some() => {
                        let path = path.to_owned();
                        return Err(Error::NoCopy { origin: self.origin, path, number }.into());
                    }
                    None => return Ok((taken == 0).then_some(offset)),
                    Some(record) if until.is_none() && taken + record.len() as u64 > bytes_max => {
                        return Ok(None);
                    }
                    Some(record) => {
                        made.push(&record)?;
                        self.report.records += 1;
                        self.report.bytes += record.len() as u64;
                    }
                }
            }
            offset = resume.map_or(size, |(_, at)| at);
        }
    }
}

/// The other copy, one record at a time.
struct Copied<'a, S> {
    source: &'a mut S,
    origin: RegionName,
    /// What it gave last.
    bytes: Vec<u8>,
    /// Where in it record `next` begins, unless that is its end.
    at: usize,
    next: RecordNumber,
}

impl<S: RecordSource> Copied<'_, S> {
    /// Record `number`, encoded; `None` if the copy ends before it.
    fn record(&mut self, number: RecordNumber) -> Result<Option<Vec<u8>>, MendError<S::Error>> {
        if self.next != number || self.at == self.bytes.len() {
            let Some(bytes) = self.source.records(number).map_err(MendError::Source)? else {
                return Ok(None);
            };
            (self.bytes, self.at, self.next) = (bytes, 0, number);
        }
        let (rest, origin) = (&self.bytes[self.at..], self.origin);
        let header = record::verify(rest).map_err(|source| Error::BadRecord { origin, source })?;
        if header.number != number {
            return Err(Error::NotNext { origin, expected: number, got: header.number }.into());
        }
        let record = rest[..header.record_len()].to_vec();
        (self.at, self.next) = (self.at + record.len(), number.next());
        Ok(Some(record))
    }
}

/// A segment that is being written.
struct Made<'a> {
    origin: RegionName,
    file: Arc<dyn DiskFile>,
    path: &'a Path,
    index: Index,
    last_sequence: Sequence,
    /// Where the last record begins, and its length.
    last: Option<(u64, usize)>,
}

impl Made<'_> {
    /// Adds a whole record, which must be the next.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let origin = self.origin;
        let header = record::verify(bytes).map_err(|source| Error::BadRecord { origin, source })?;
        let (next, at) = (self.index.summary.next(), self.index.summary.bytes);
        self.last_sequence = check_follows(next, self.last_sequence, &header)
            .map_err(|_| Error::CopiesDiffer { origin, number: header.number })?;
        let written = self.file.write_all_at(&bytes[..header.record_len()], at);
        written.map_err(Error::io("write", self.path))?;
        self.last = Some((at, header.record_len()));
        self.index.note(&header);
        Ok(())
    }

    /// The last record and its number.
    fn last(&self) -> Result<Option<(RecordNumber, Vec<u8>)>, Error> {
        let Some((at, len)) = self.last else { return Ok(None) };
        let mut bytes = vec![0; len];
        disk::read_exact_at(&*self.file, &mut bytes, at).map_err(Error::io("read", self.path))?;
        Ok(Some((self.index.summary.last(), bytes)))
    }
}
