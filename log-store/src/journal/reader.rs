//! Reading a journal from its newest entry to its oldest.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::entry::{EntryId, EntryKind};
use super::file::{self, Contents};
use crate::Error;
use crate::disk::Disk;

/// An entry that stands: found, and not withdrawn since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its number in the journal.
    pub number: u64,
    /// Its name.
    pub id: EntryId,
    /// When it was found, microseconds since 1970.
    pub time_us: u64,
    /// What was found.
    pub payload: Vec<u8>,
}

/// The entries that stand, newest first. Holds one file in memory, and the ids of what it has passed.
///
/// It shows the files that there were when it was made. A torn tail, or entries that are being written, are not there to
/// it. Damage is an error, after which it goes on with what is intact before it.
#[derive(Debug)]
pub struct JournalReader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// What the files begin with that are still to be read, the newest last.
    firsts: Vec<u64>,
    is_last: bool,
    file: Option<Contents>,
    passed: HashSet<EntryId>,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").field("path", &self.path).finish_non_exhaustive()
    }
}

impl JournalReader {
    pub(super) fn open(disk: Arc<dyn Disk>, dir: PathBuf) -> Result<Self, Error> {
        let firsts = file::firsts(&*disk, &dir, false)?;
        Ok(Self { disk, dir, firsts, is_last: true, file: None, passed: HashSet::new() })
    }

    /// The next older entry that stands; `None` when there is none.
    pub fn next_older(&mut self) -> Result<Option<Standing>, Error> {
        loop {
            let Some(file) = &mut self.file else {
                let Some(first) = self.firsts.pop() else { return Ok(None) };
                let is_last = std::mem::replace(&mut self.is_last, false);
                match Contents::read(&*self.disk, &self.dir, first) {
                    Ok(contents) => {
                        // In the files before the last, nothing may be torn.
                        let damage = match is_last {
                            true => contents.torn_bytes().err(),
                            false => contents.broken.as_ref().map(|_| contents.damaged("")),
                        };
                        self.file = Some(contents);
                        if let Some(damage) = damage {
                            return Err(damage);
                        }
                    }
                    // Retention took it away meanwhile.
                    Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                    Err(other) => return Err(other),
                }
                continue;
            };
            let Some((offset, header)) = file.entries.pop() else {
                self.file = None;
                continue;
            };
            if self.passed.insert(header.id) && header.kind == EntryKind::Found {
                let payload = file.payload(offset, &header).to_vec();
                let (number, id, time_us) = (header.number, header.id, header.time_us);
                return Ok(Some(Standing { number, id, time_us, payload }));
            }
        }
    }
}
