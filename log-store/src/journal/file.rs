//! A file of a journal: its name, its header, and the entries in it up to where they end or break.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use transaction::STAMP_END;
use xxhash_rust::xxh3::xxh3_64;

use super::entry::{self, HEADER_LEN, Header};
use crate::disk::{self, Access, Disk, DiskFile};
use crate::segment::number_in_name;
use crate::{Error, FORMAT_VERSION};

/// Length of a file's header, in bytes. The first entry begins here.
pub(super) const FILE_HEADER_LEN: usize = 40;

/// How file names end.
const ENDING: &str = ".journal";

const MAGIC: &[u8; 8] = b"CNCRDJNL";

/// The file that begins with entry `first`.
pub(super) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}{ENDING}"))
}

/// The numbers that the files of a journal begin with, sorted; leftovers of a crash are removed if `tidy`.
pub(super) fn firsts(disk: &dyn Disk, dir: &Path, tidy: bool) -> Result<Vec<u64>, Error> {
    let entries = match disk.list(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(Error::io("list", dir))?,
    };
    let mut firsts = Vec::new();
    for name in entries.iter().filter(|entry| !entry.is_dir).map(|entry| &entry.name) {
        if let Some(first) = number_in_name(name, ENDING) {
            firsts.push(first.0);
        } else if tidy && number_in_name(name, &format!("{ENDING}.tmp")).is_some() {
            let path = dir.join(name);
            disk.remove(&path).map_err(Error::io("remove", path))?;
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Makes a new file without entries; no entry of the one before is newer than `after_us`. When this returns, its header and its name are durable.
pub(super) fn create(
    disk: &dyn Disk,
    dir: &Path,
    first: u64,
    after_us: u64,
) -> Result<Arc<dyn DiskFile>, Error> {
    let path = path(dir, first);
    disk::create_durable(disk, &path, &encode_header(first, after_us)).map_err(Error::io("create", path))
}

fn encode_header(first: u64, after_us: u64) -> [u8; FILE_HEADER_LEN] {
    let mut header = [0; FILE_HEADER_LEN];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(FILE_HEADER_LEN as u32).to_le_bytes());
    header[16..24].copy_from_slice(&first.to_le_bytes());
    header[24..32].copy_from_slice(&after_us.to_le_bytes());
    let sum = xxh3_64(&header[..32]);
    header[32..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// Judges a file's header; says when the newest entry of the file before was found, microseconds since 1970.
///
/// Files appear under their name only when their header is durable, so one that does not fit is damage, never torn.
pub(super) fn check_header(path: &Path, first: u64, bytes: &[u8]) -> Result<u64, Error> {
    let damaged =
        |reason: &str| Error::JournalDamaged { path: path.to_owned(), offset: 0, reason: reason.to_owned() };
    let header =
        bytes.get(..FILE_HEADER_LEN).ok_or_else(|| damaged("the file is shorter than its header"))?;
    if &header[..8] != MAGIC {
        return Err(damaged("the file does not begin as one of a journal does"));
    }
    if xxh3_64(&header[..32]).to_le_bytes() != header[32..] {
        return Err(damaged("the file's header fails its checksum"));
    }
    let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| header[at + i]));
    let version = u32::from_le_bytes(std::array::from_fn(|i| header[8 + i]));
    if version > FORMAT_VERSION {
        return Err(Error::NewerFormat { path: path.to_owned(), found: version, known: FORMAT_VERSION });
    }
    if u64_at(16) != first {
        return Err(damaged("the file's header is that of another file"));
    }
    if first >= STAMP_END {
        return Err(damaged("the file's number is one that no journal comes to"));
    }
    Ok(u64_at(24))
}

/// When the newest entry of the file before this one was found, from this one's header alone.
pub(super) fn after_us(disk: &dyn Disk, dir: &Path, first: u64) -> Result<u64, Error> {
    let path = path(dir, first);
    let file = disk.open(&path, Access::Read).map_err(Error::io("open", &path))?;
    let size = file.size().map_err(Error::io("measure", &path))?;
    let mut header = vec![0; FILE_HEADER_LEN.min(size as usize)];
    disk::read_exact_at(&*file, &mut header, 0).map_err(Error::io("read", &path))?;
    check_header(&path, first, &header)
}

/// The contents of a file.
pub(super) struct Contents {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// Its intact entries with their offsets.
    pub(super) entries: Vec<(usize, Header)>,
    /// Number of the entry that comes next.
    pub(super) next: u64,
    /// Where the intact entries end.
    pub(super) end: usize,
    /// What stands there instead of an entry; `None` if the file ends there.
    pub(super) broken: Option<String>,
}

impl Contents {
    /// Reads a file whole. It is bounded by the length at which files are closed, and by one batch of entries.
    pub(super) fn read(disk: &dyn Disk, dir: &Path, first: u64) -> Result<Self, Error> {
        let path = path(dir, first);
        let bytes = disk::read_file(disk, &path).map_err(Error::io("read", &path))?;
        check_header(&path, first, &bytes)?;
        let mut contents =
            Self { path, bytes, entries: Vec::new(), next: first, end: FILE_HEADER_LEN, broken: None };
        while contents.end < contents.bytes.len() {
            match entry::verify(&contents.bytes[contents.end..]) {
                Ok(header) if header.number == contents.next => {
                    contents.entries.push((contents.end, header));
                    contents.end += header.entry_len();
                    contents.next += 1;
                }
                Ok(header) => {
                    contents.broken =
                        Some(format!("entry {} where {} comes next", header.number, contents.next));
                    break;
                }
                Err(reason) => {
                    contents.broken = Some(reason.to_owned());
                    break;
                }
            }
        }
        Ok(contents)
    }

    /// The payload of one of its entries.
    pub(super) fn payload(&self, offset: usize, header: &Header) -> &[u8] {
        &self.bytes[offset + HEADER_LEN..offset + header.entry_len()]
    }

    /// How many bytes at the end of the journal's *last* file are a torn tail; an error if what breaks it is no such.
    ///
    /// Entries are written in batches, and a batch is durable before the next is written. So whatever a crash left of the
    /// last batch, in whatever order its pages were written, is torn; what breaks off before an intact entry of a later
    /// batch is damage.
    pub(super) fn torn_bytes(&self) -> Result<usize, Error> {
        if self.broken.is_none() {
            return Ok(0);
        }
        let tail = &self.bytes[self.end..];
        if entry::verify(tail).is_ok() {
            // Intact, but not the next one: no crash does that.
            return Err(self.damaged(""));
        }
        let plausible = self.next..=self.next + (tail.len() / HEADER_LEN) as u64;
        for at in 1..tail.len() {
            if let Ok(later) = entry::verify(&tail[at..])
                && plausible.contains(&later.number)
                && later.batch() > self.next
            {
                let (number, at) = (later.number, self.end + at);
                return Err(self.damaged(&format!(
                    ", and the intact entry {number} at offset {at} is of a later batch"
                )));
            }
        }
        Ok(tail.len())
    }

    /// The error for where the intact entries end.
    pub(super) fn damaged(&self, more: &str) -> Error {
        let reason = format!("{}{more}", self.broken.as_deref().unwrap_or("it ends too early"));
        Error::JournalDamaged { path: self.path.clone(), offset: self.end as u64, reason }
    }
}
