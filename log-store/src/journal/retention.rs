//! Deleting what is old or too much, in whole files, from the front.

use std::path::PathBuf;

use super::file::{self, FILE_HEADER_LEN};
use super::{Active, Journal, State};
use crate::Error;
use crate::disk::Access;

/// What is to go. With neither limit, nothing ever goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalRetention {
    /// A file goes when all of it was found before this, microseconds since 1970: the present time less the age to keep.
    pub time_floor_us: Option<u64>,
    /// The oldest file goes while all together are longer than this, in bytes.
    pub bytes_max: Option<u64>,
}

impl Journal {
    /// Deletes files, oldest first, that are beyond the policy; returns which.
    ///
    /// The file that is being written stays, unless all of it is older than the age to keep: then it is closed first.
    pub fn retain(&self, policy: JournalRetention) -> Result<Vec<PathBuf>, Error> {
        let mut state = self.state.lock();
        state.check_writable()?;
        let has_entries = |active: &&Active| active.bytes > FILE_HEADER_LEN as u64;
        if let (Some(floor), Some(active)) = (policy.time_floor_us, state.active.as_ref().filter(has_entries))
            && active.newest_us < floor
        {
            self.close(&mut state)?;
        }
        let mut sizes = Vec::new();
        for first in &state.closed {
            sizes.push(self.size(*first)?);
        }
        let mut total = sizes.iter().sum::<u64>() + state.active.as_ref().map_or(0, |active| active.bytes);
        let mut deleted = Vec::new();
        for size in sizes {
            let Some(first) = state.closed.front().copied() else { break };
            let too_much = policy.bytes_max.is_some_and(|max| total > max);
            let too_old = match policy.time_floor_us {
                Some(floor) if !too_much => self.newest_us(&state)? < floor,
                _ => false,
            };
            if !(too_old || too_much) {
                break;
            }
            let path = file::path(&self.dir, first);
            self.disk.remove(&path).map_err(Error::io("remove", &path))?;
            state.closed.pop_front();
            total -= size;
            deleted.push(path);
        }
        if !deleted.is_empty() {
            self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        }
        Ok(deleted)
    }

    /// Closes the file that is being written and begins another.
    fn close(&self, state: &mut State) -> Result<(), Error> {
        let Some(newest_us) = state.active.as_ref().map(|active| active.newest_us) else { return Ok(()) };
        let first = state.next;
        let file = file::create(&*self.disk, &self.dir, first, newest_us);
        let file = file.inspect_err(|error| state.stopped = Some(error.to_string()))?;
        let old = state.active.replace(Active { file, first, bytes: FILE_HEADER_LEN as u64, newest_us });
        state.closed.extend(old.map(|active| active.first));
        Ok(())
    }

    /// When the newest entry of the oldest closed file was found, as the file after it says.
    fn newest_us(&self, state: &State) -> Result<u64, Error> {
        let next = state.closed.get(1).copied().or(state.active.as_ref().map(|active| active.first));
        next.map_or(Ok(u64::MAX), |next| file::after_us(&*self.disk, &self.dir, next))
    }

    fn size(&self, first: u64) -> Result<u64, Error> {
        let path = file::path(&self.dir, first);
        let file = self.disk.open(&path, Access::Read).map_err(Error::io("open", &path))?;
        file.size().map_err(Error::io("measure", path))
    }
}
