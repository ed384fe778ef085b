//! Writing a run.

use super::block::{BLOCK_LEN, HEADER_LEN, RECORD_HEADER_LEN, seal};
use super::{File, KeptFilter, RUN_RECORD_BYTES_MAX, Run, upper};
use crate::Error;

/// Blocks that are written in one go.
const BLOCKS_AT_A_TIME: usize = 64;

/// A run that is being written; dropped unfinished, its file is deleted.
#[derive(Debug)]
pub struct RunWriter {
    file: File,
    signposts: Vec<u64>,
    filter: Option<KeptFilter>,
    last: Option<u128>,
    keys: u64,
    /// Blocks that are not written yet, the last of them open.
    buffer: Vec<u8>,
    /// Bytes used of the open block; 0 if none is open.
    used: usize,
    /// Blocks that are written.
    written: u32,
}

impl RunWriter {
    pub(super) fn new(file: File, records_max: u64) -> Self {
        let filter = file.folder.filter(records_max);
        let buffer = Vec::with_capacity(BLOCKS_AT_A_TIME * BLOCK_LEN);
        let (signposts, last) = (Vec::new(), None);
        Self { file, signposts, filter, last, keys: 0, buffer, used: 0, written: 0 }
    }

    /// Appends a record of at most [`RUN_RECORD_BYTES_MAX`] bytes. Keys come in ascending order; the records of one key stay in
    /// the order in which they come.
    pub fn push(&mut self, key: u128, record: &[u8]) -> Result<(), Error> {
        let (in_order, fits) =
            (self.last.is_none_or(|last| last <= key), record.len() <= RUN_RECORD_BYTES_MAX);
        assert!(in_order && fits, "a record of {} bytes, in order: {in_order}", record.len());
        let len = RECORD_HEADER_LEN + record.len();
        if self.used == 0 || self.used + len > BLOCK_LEN {
            self.close_block();
            if self.buffer.len() >= BLOCKS_AT_A_TIME * BLOCK_LEN {
                self.write()?;
            }
            self.signposts.push(upper(key));
            self.buffer.resize(self.buffer.len() + BLOCK_LEN, 0);
            self.used = HEADER_LEN;
        }
        let begin = self.buffer.len() - BLOCK_LEN + self.used;
        let place = &mut self.buffer[begin..begin + len];
        place[..16].copy_from_slice(&key.to_le_bytes());
        place[16..18].copy_from_slice(&(record.len() as u16).to_le_bytes());
        place[18..].copy_from_slice(record);
        self.used += len;
        if self.last.replace(key) != Some(key) {
            self.keys += 1;
            self.filter.iter_mut().for_each(|kept| kept.filter.insert(key));
        }
        Ok(())
    }

    fn close_block(&mut self) {
        if self.used > 0 {
            let number = self.signposts.len() as u32 - 1;
            let begin = self.buffer.len() - BLOCK_LEN;
            seal(&mut self.buffer[begin..], self.file.number, number, self.used);
            self.used = 0;
        }
    }

    fn write(&mut self) -> Result<(), Error> {
        let offset = u64::from(self.written) * BLOCK_LEN as u64;
        let File { handle, path, .. } = &self.file;
        handle.write_all_at(&self.buffer, offset).map_err(Error::io("write", path))?;
        self.written += (self.buffer.len() / BLOCK_LEN) as u32;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the run. Nothing is synced: no one looks for it after a crash.
    pub fn finish(mut self) -> Result<Run, Error> {
        self.close_block();
        self.write()?;
        let Self { file, mut signposts, mut filter, keys, .. } = self;
        signposts.shrink_to_fit();
        filter.iter_mut().for_each(|kept| kept.shrink(keys));
        Ok(Run { file, signposts, filter })
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        let signposts = self.signposts.capacity() * size_of::<u64>();
        signposts + self.buffer.capacity() + self.filter.as_ref().map_or(0, |kept| kept.filter.bytes())
    }
}
