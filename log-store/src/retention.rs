//! Deleting what is no longer needed, in whole segments, from the front.

use transaction::{Hlc, RecordNumber};

use crate::Error;
use crate::log::Log;
use crate::segment::{self, SegmentInfo};

/// When a segment that nobody needs any more is to go. With neither limit, nothing ever goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// A segment goes when all its records are stamped before this: the present time less the age to keep.
    pub hlc_floor: Option<Hlc>,
    /// A segment goes while the whole log is longer than this, in bytes.
    pub bytes_max: Option<u64>,
}

impl Log {
    /// Deletes sealed segments, oldest first, that lie wholly below `keep_from` *and* are beyond the policy; returns what
    /// they were.
    ///
    /// Stops at the first segment that has to stay, so no hole ever appears; the removal of each file is durable before the
    /// next begins, for the same reason. Records from `keep_from` on are kept whatever the policy says.
    pub fn retain(&self, keep_from: RecordNumber, policy: Retention) -> Result<Vec<SegmentInfo>, Error> {
        if self.options.read_only {
            return Err(Error::ReadOnly { origin: self.origin });
        }
        let _one_at_a_time = self.retention.lock();
        let mut deleted = Vec::new();
        loop {
            let summary = {
                let mut state = self.state.lock();
                let total = state.bytes();
                let Some(oldest) = state.sealed.front() else { break };
                let too_old = policy.hlc_floor.is_some_and(|floor| oldest.hlc_max < floor);
                let too_much = policy.bytes_max.is_some_and(|max| total > max);
                if oldest.next() > keep_from || !(too_old || too_much) {
                    break;
                }
                // Taken out of the list first, so that no reader opens a file that is about to go.
                state.sealed.pop_front()
            };
            let Some(summary) = summary else { break };
            if let Err(error) = self.remove_segment(summary.first) {
                let path = segment::path(&self.dir, summary.first);
                if self.disk.open(&path, crate::disk::Access::Read).is_ok() {
                    self.state.lock().sealed.push_front(summary);
                }
                return Err(error);
            }
            self.indexes.lock().retain(|index| index.summary.first != summary.first);
            deleted.push(summary.info(segment::path(&self.dir, summary.first), true));
        }
        Ok(deleted)
    }
}
