//! The logs of a region as files: their records, to compare copies, and their ends, as a power loss may leave them.

use crate::shop::dice::Dice;
use crate::{Error, Result};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The records of a log in a folder, one after the other: its segments without their headers.
pub(super) fn records(folder: &Path) -> Result<Vec<u8>> {
    const HEADER_LEN: usize = 64;
    let mut records = Vec::new();
    for path in segments(folder)? {
        records.extend_from_slice(read(&path)?.get(HEADER_LEN..).unwrap_or_default());
    }
    Ok(records)
}

/// What a region has written to the end of each of its logs, synced or not.
#[derive(Debug)]
pub(super) struct Ends(Vec<(PathBuf, Vec<u8>)>);

impl Ends {
    /// Of the logs in a data directory; nobody may write there meanwhile.
    pub(super) fn of(data: &Path, origins: &[String]) -> Result<Self> {
        let mut ends = Vec::new();
        for folder in origins.iter().map(|origin| data.join(origin)).filter(|folder| folder.is_dir()) {
            if let Some(path) = segments(&folder)?.pop() {
                let bytes = read(&path)?;
                ends.push((path, bytes));
            }
        }
        Ok(Self(ends))
    }

    /// When power was lost, a disk may have some of what was being written. So each file that is shorter now gets some of that back, which
    /// mostly ends inside a record; one that is torn by itself stays as it is. Returns how many bytes were given
    /// back, and of how many.
    pub(super) fn leave_some(&self, dice: &mut Dice) -> Result<(usize, usize)> {
        let (mut left, mut all) = (0, 0);
        for (path, bytes) in &self.0 {
            // A segment that was new is not there.
            let Ok(synced) = std::fs::read(path) else { continue };
            let Some(lost) = bytes.strip_prefix(synced.as_slice()) else { continue };
            let some = usize::try_from(dice.below(1 + lost.len() as u64)).unwrap_or(0);
            let append = || std::fs::OpenOptions::new().append(true).open(path)?.write_all(&lost[..some]);
            append().map_err(Error::io(format!("write {}", path.display())))?;
            (left, all) = (left + some, all + lost.len());
        }
        Ok((left, all))
    }
}

/// The segments of the log in a folder, the last one last.
fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let reading = || Error::io(format!("read {}", folder.display()));
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(reading())? {
        paths.push(entry.map_err(reading())?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "seg"));
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::io(format!("read {}", path.display())))
}
