//! Reading everything there is, to find damage before it is needed.

use std::io;
use std::path::Path;

use transaction::{RecordNumber, RegionName, Sequence};

use crate::disk::{self, Access, Disk};
use crate::index::{Index, Summary};
use crate::log::{self, Log};
use crate::recovery::{self, Ending};
use crate::scan::{Place, check_joins};
use crate::segment;
use crate::{Damage, Error};

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes read so far.
    pub bytes: u64,
    /// Bytes to read in all.
    pub bytes_total: u64,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segments read.
    pub segments: u64,
    /// Intact records.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The first damage in each segment that has any; empty if the log is whole.
    pub damages: Vec<Damage>,
    /// Indexes that do not fit their segment. Harmless: they are built anew from it.
    pub stale_indexes: u64,
    /// Bytes beyond the last whole record that look like a torn tail; recovered at the next start.
    pub torn_bytes: u64,
}

impl Log {
    /// Reads and verifies every durable record, and says now and then how far it has come.
    ///
    /// Damage is reported, not returned as an error; it does not stop the log from being written.
    pub fn verify(&self, progress: &mut dyn FnMut(VerifyProgress)) -> Result<VerifyReport, Error> {
        let durable = self.state.lock().active.as_ref().map(|a| (a.index.summary.first, a.durable_bytes));
        verify_folder(&*self.disk, &self.dir, self.origin, durable, progress)
    }
}

/// Verifies the log in a folder. `durable` says up to where the segment of that first number counts, and ends the
/// verification there; without it, the last segment is judged as at an opening.
pub(crate) fn verify_folder(
    disk: &dyn Disk,
    dir: &Path,
    origin: RegionName,
    durable: Option<(RecordNumber, u64)>,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, Error> {
    let mut firsts = log::folder_segments(disk, dir, false)?;
    firsts.retain(|first| durable.is_none_or(|(active, _)| *first <= active));
    let mut report = VerifyReport::default();
    let bytes_total = size_of(disk, dir, &firsts)?;
    let mut before: Option<Summary> = None;
    let mut last_sequence = Sequence(0);
    for first in &firsts {
        let path = segment::path(dir, *first);
        let file = match disk.open(&path, Access::Read) {
            // Retention took it away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(Error::io("open", &path))?,
        };
        report.segments += 1;
        match segment::check_header(&*file, &path, origin, *first) {
            Err(Error::Damaged(damage)) => {
                report.damages.push(*damage);
                (before, last_sequence) = (None, Sequence(0));
                continue;
            }
            checked => checked?,
        }
        let mut size = file.size().map_err(Error::io("measure", &path))?;
        let is_last = firsts.last() == Some(first);
        if let Some((_, bytes)) = durable.filter(|(active, _)| active == first) {
            size = size.min(bytes);
        }
        let place = Place { file: &*file, path: &path, origin, first: *first };
        let done = report.bytes;
        let scan = place
            .scan(size, None, &mut |bytes| progress(VerifyProgress { bytes: done + bytes, bytes_total }))?;
        let index = &scan.index;
        report.records += index.summary.records;
        report.bytes += size;
        if let Some(before) = &before
            && let Err(damage) = check_joins(before, last_sequence, origin, &path, &index.summary)
        {
            report.damages.push(damage);
        }
        (before, last_sequence) = (Some(index.summary), index.summary.last_sequence.max(last_sequence));
        if let Some(stop) = &scan.stop {
            let judged = if is_last && durable.is_none() {
                recovery::judge(&place, &scan, size)
            } else {
                Err(place.stopped(index, stop))
            };
            match judged {
                Ok(Ending::Torn(torn)) => report.torn_bytes = torn.bytes,
                Ok(Ending::Damaged(last)) => {
                    report.damages.push(place.damage(last.offset, last.number, last.reason))
                }
                Err(Error::Damaged(damage)) => {
                    report.damages.push(*damage);
                    (before, last_sequence) = (None, Sequence(0));
                }
                Err(other) => return Err(other),
                Ok(Ending::Whole) => {}
            }
        } else if !is_last && index_is_stale(disk, dir, index)? {
            report.stale_indexes += 1;
        }
        progress(VerifyProgress { bytes: report.bytes, bytes_total });
    }
    Ok(report)
}

/// How many bytes these segments have together; one that is gone has none.
pub(crate) fn size_of(disk: &dyn Disk, dir: &Path, firsts: &[RecordNumber]) -> Result<u64, Error> {
    let mut bytes = 0;
    for first in firsts {
        let path = segment::path(dir, *first);
        match disk.open(&path, Access::Read).and_then(|file| file.size()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            size => bytes += size.map_err(Error::io("measure", &path))?,
        }
    }
    Ok(bytes)
}

/// Whether the index file beside a segment says something else than the segment; an absent one says nothing.
fn index_is_stale(disk: &dyn Disk, dir: &Path, index: &Index) -> Result<bool, Error> {
    let path = segment::index_path(dir, index.summary.first);
    match disk::read_file(disk, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        bytes => Ok(Index::decode(&bytes.map_err(Error::io("read", &path))?).as_ref() != Some(index)),
    }
}
