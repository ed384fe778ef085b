//! A segment file: its name, its header, and what is known of its contents.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use transaction::{Hlc, RecordNumber, RegionName, Sequence};
use xxhash_rust::xxh3::xxh3_64;

use crate::disk::{self, Disk, DiskFile};
use crate::{Damage, Error, FORMAT_VERSION};

/// Length of a segment's header, in bytes. The first record begins here.
pub(crate) const HEADER_LEN: u64 = 64;

const MAGIC: &[u8; 8] = b"CNCRDLOG";

/// What a segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The file.
    pub path: PathBuf,
    /// Number of its first record, or of the record that will be its first.
    pub first: RecordNumber,
    /// How many records it holds.
    pub records: u64,
    /// Length of the file, in bytes, header included.
    pub bytes: u64,
    /// First and last sequence number of its transactions and repairs, if it holds any.
    pub sequences: Option<(Sequence, Sequence)>,
    /// Lowest and highest HLC of its records, if it holds any.
    pub hlcs: Option<(Hlc, Hlc)>,
    /// Whether it is complete; the last segment of a log is not.
    pub sealed: bool,
}

impl SegmentInfo {
    /// Number of its last record; one less than `first` if it holds none.
    pub fn last(&self) -> RecordNumber {
        RecordNumber((self.first.0 + self.records).saturating_sub(1))
    }
}

/// The file of the segment that begins with record `first`.
pub(crate) fn path(dir: &Path, first: RecordNumber) -> PathBuf {
    dir.join(format!("{:020}.seg", first.0))
}

/// The index file beside a segment.
pub(crate) fn index_path(dir: &Path, first: RecordNumber) -> PathBuf {
    dir.join(format!("{:020}.index", first.0))
}

/// The first record number that a file name of the given ending stands for.
pub(crate) fn number_in_name(name: &str, ending: &str) -> Option<RecordNumber> {
    let digits = name.strip_suffix(ending)?;
    let canonical = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|number| canonical && *number > 0).map(RecordNumber)
}

/// The header of a segment.
pub(crate) fn encode_header(origin: RegionName, first: RecordNumber) -> [u8; HEADER_LEN as usize] {
    let mut header = [0; HEADER_LEN as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(HEADER_LEN as u32).to_le_bytes());
    header[16..24].copy_from_slice(&first.0.to_le_bytes());
    header[24..24 + origin.as_str().len()].copy_from_slice(origin.as_str().as_bytes());
    let sum = xxh3_64(&header[..56]);
    header[56..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// Reads and judges the header of the segment at `path`, which by its name begins with record `first`.
///
/// Since segments appear under their name only when their header is durable, a header that does not fit is damage,
/// never a torn tail.
pub(crate) fn check_header(
    file: &dyn DiskFile,
    path: &Path,
    origin: RegionName,
    first: RecordNumber,
) -> Result<(), Error> {
    let damaged = |reason: String| {
        Error::Damaged(Box::new(Damage { origin, path: path.to_owned(), offset: 0, number: first, reason }))
    };
    let mut header = [0; HEADER_LEN as usize];
    if file.size().map_err(Error::io("measure", path))? < HEADER_LEN {
        return Err(damaged("the file is shorter than its header".into()));
    }
    disk::read_exact_at(file, &mut header, 0).map_err(Error::io("read", path))?;
    if &header[..8] != MAGIC {
        return Err(damaged("the file does not begin as a segment does".into()));
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if header == encode_header(origin, first) {
        return Ok(());
    }
    // From here on it is only about which words explain best what is wrong. A newer version's header has another checksum.
    let mut of_this_version = header;
    of_this_version[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    if of_this_version == encode_header(origin, first) {
        return Err(damaged(format!("the version in the segment's header, {version}, is damaged")));
    }
    if version > FORMAT_VERSION {
        return Err(Error::NewerFormat { path: path.to_owned(), found: version, known: FORMAT_VERSION });
    }
    if xxh3_64(&header[..56]).to_le_bytes() != header[56..] {
        return Err(damaged("the segment's header fails its checksum".into()));
    }
    let name = String::from_utf8_lossy(&header[24..56]);
    Err(damaged(format!(
        "the segment's header is of another file: origin {:?}, version {version}",
        name.trim_end_matches('\0')
    )))
}

/// Makes a new, empty segment. When this returns, its header and its name are durable.
pub(crate) fn create(
    disk: &dyn Disk,
    dir: &Path,
    origin: RegionName,
    first: RecordNumber,
) -> Result<Arc<dyn DiskFile>, Error> {
    let path = path(dir, first);
    disk::create_durable(disk, &path, &encode_header(origin, first)).map_err(Error::io("create", &path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::disk::{Access, SimulatedDisk};

    #[test]
    fn only_twenty_digits_name_a_segment() {
        assert_eq!(number_in_name("00000000000000000042.seg", ".seg"), Some(RecordNumber(42)));
        for bad in
            ["42.seg", "00000000000000000000.seg", "00000000000000000042.seg.tmp", "+0000000000000000042.seg"]
        {
            assert_eq!(number_in_name(bad, ".seg"), None, "{bad}");
        }
    }

    #[test]
    fn any_flipped_bit_of_a_header_is_noticed() {
        let (disk, dir, eu) = (SimulatedDisk::new(), Path::new("/eu"), RegionName::new("eu").unwrap());
        create(&disk, dir, eu, RecordNumber(7)).unwrap();
        let path = path(dir, RecordNumber(7));
        let file = disk.open(&path, Access::Write).unwrap();
        check_header(&*file, &path, eu, RecordNumber(7)).unwrap();
        for bit in 0..HEADER_LEN as usize * 8 {
            let mut bytes = disk.read(&path).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            file.write_all_at(&bytes, 0).unwrap();
            let error = check_header(&*file, &path, eu, RecordNumber(7)).unwrap_err();
            assert!(matches!(error, Error::Damaged(_)), "bit {bit}: {error}");
            bytes[bit / 8] ^= 1 << (bit % 8);
            file.write_all_at(&bytes, 0).unwrap();
        }
        assert!(check_header(&*file, &path, eu, RecordNumber(8)).is_err());
        assert!(check_header(&*file, &path, RegionName::new("us").unwrap(), RecordNumber(7)).is_err());
    }
}
