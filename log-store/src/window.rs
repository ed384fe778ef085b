//! A sliding window over a segment file: big reads, whole records, bounded memory.

use std::io;

use transaction::record::{self, BODY_LEN_MAX, HEADER_LEN, RecordError, RecordHeader};

use crate::disk::{self, DiskFile};

/// Size of the window unless a record is longer, in bytes.
pub(crate) const WINDOW_LEN: usize = 256 * 1024;

/// How much the first read of a window takes; each further one takes twice as much as the one before, up to what is usual. Whoever looks up
/// the image of one older write reads one record, whoever applies a backlog reads on and on.
const FIRST_LEN: usize = 8 * 1024;

/// Bytes of one file from `base` on. The caller promises that what lies below its limit never changes.
#[derive(Debug)]
pub(crate) struct Window {
    base: u64,
    buffer: Vec<u8>,
    usual_len: usize,
    next_len: usize,
}

impl Window {
    /// An empty window that soon reads `usual_len` bytes at a time.
    pub(crate) fn new(usual_len: usize) -> Self {
        Self { base: 0, buffer: Vec::new(), usual_len, next_len: FIRST_LEN.min(usual_len) }
    }

    /// Forgets everything: the next read is of another file.
    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
    }

    /// `len` bytes from `offset`, which must lie below `limit`.
    pub(crate) fn bytes(
        &mut self,
        file: &dyn DiskFile,
        offset: u64,
        len: usize,
        limit: u64,
    ) -> io::Result<&[u8]> {
        if self.held(offset, len).is_none() {
            self.fill(file, offset, len, limit)?;
        }
        let from = (offset - self.base) as usize;
        Ok(&self.buffer[from..from + len])
    }

    /// What [`Window::bytes`] returned, again, without reading.
    pub(crate) fn held(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.base)?).ok()?;
        self.buffer.get(from..from.checked_add(len)?)
    }

    /// The header of the record at `offset`, not verified.
    pub(crate) fn header(
        &mut self,
        file: &dyn DiskFile,
        offset: u64,
        limit: u64,
    ) -> io::Result<Result<RecordHeader, RecordError>> {
        let have = limit.saturating_sub(offset);
        if have < HEADER_LEN as u64 {
            return Ok(Err(RecordError::Short { have: have as usize, need: HEADER_LEN }));
        }
        Ok(RecordHeader::decode(self.bytes(file, offset, HEADER_LEN, limit)?))
    }

    /// Reads and verifies the whole record at `offset`; its bytes are then held.
    pub(crate) fn record(
        &mut self,
        file: &dyn DiskFile,
        offset: u64,
        limit: u64,
    ) -> io::Result<Result<RecordHeader, RecordError>> {
        let have = limit.saturating_sub(offset);
        if have < HEADER_LEN as u64 {
            return Ok(Err(RecordError::Short { have: have as usize, need: HEADER_LEN }));
        }
        // The length is believed only as far as the file goes, so a damaged one costs no memory.
        let head = self.bytes(file, offset, HEADER_LEN, limit)?;
        let body_len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        if body_len > BODY_LEN_MAX {
            return Ok(Err(RecordError::TooLong(body_len)));
        }
        let need = HEADER_LEN + body_len as usize;
        if have < need as u64 {
            return Ok(Err(RecordError::Short { have: have as usize, need }));
        }
        Ok(record::verify(self.bytes(file, offset, need, limit)?))
    }

    /// Gives back the memory that a long record took. What is held may be forgotten.
    pub(crate) fn release_excess(&mut self) {
        if self.buffer.capacity() > 2 * self.usual_len {
            self.buffer.clear();
            self.buffer.shrink_to(self.usual_len);
        }
    }

    fn fill(&mut self, file: &dyn DiskFile, offset: u64, len: usize, limit: u64) -> io::Result<()> {
        let rest = usize::try_from(limit.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = len.max(self.next_len.min(rest));
        self.next_len = (self.next_len * 2).min(self.usual_len);
        if want <= self.usual_len {
            self.release_excess();
        }
        self.base = offset;
        self.buffer.resize(want, 0);
        let done = disk::read_exact_at(file, &mut self.buffer, offset);
        if done.is_err() {
            self.buffer.clear();
        }
        done
    }
}
