//! A file for what is too large for memory: an XA transaction that is not committed yet, the writes of a transaction.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use extractor::Spool;
use log_store::code::LOG_IO;
use transaction::Halt;

/// Parts one after the other, in a file without a name: the kernel deletes it with the process. After a restart the server
/// sends what was prepared again.
#[derive(Debug)]
pub(super) struct SpoolFile {
    file: File,
    /// Lengths of the parts.
    lens: Vec<usize>,
    end: u64,
    /// The next part to be read, and where it begins.
    next: (usize, u64),
}

impl SpoolFile {
    pub(super) fn create(dir: &Path) -> Result<Self, Halt> {
        let file = tempfile::tempfile_in(dir).map_err(|error| {
            LOG_IO.halt(format_args!(
                "cannot write a large transaction to a file in {}: {error}; make room or mend the disk",
                dir.display()
            ))
        })?;
        Ok(Self { file, lens: Vec::new(), end: 0, next: (0, 0) })
    }
}

impl Spool for SpoolFile {
    fn push(&mut self, events: &[u8]) -> Result<(), Halt> {
        self.file.write_all_at(events, self.end).map_err(|error| {
            LOG_IO.halt(format_args!("cannot write a large transaction: {error}; make room or mend the disk"))
        })?;
        self.lens.push(events.len());
        self.end += events.len() as u64;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Halt> {
        let (place, begin) = self.next;
        let Some(len) = self.lens.get(place) else { return Ok(None) };
        let mut events = vec![0; *len];
        self.file.read_exact_at(&mut events, begin).map_err(|error| {
            LOG_IO.halt(format_args!("cannot read a large transaction back: {error}; mend the disk, restart"))
        })?;
        self.next = (place + 1, begin + *len as u64);
        Ok(Some(events))
    }
}
