//! Sorted runs: what a history index moves out of memory. Derived data, gone at the next start.
//!
//! A run is a file of records sorted by a key of 128 bits, in blocks that carry a checksum each. Of a run that is read, memory
//! holds a signpost per block and a filter, so that a look for a key that the run does not have costs no read of the disk.
//! Blocks that were read are kept as long as there is room.

mod block;
mod cache;
mod filter;
mod writer;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, Lock, read_exact_at};
use crate::store::make_dir;
use crate::{Error, Store};
use block::{BLOCK_LEN, Block, HEADER_LEN};
use cache::Cache;
use filter::Filter;

/// Takes a record of a run: the place of the next one, its key, and its bytes; tells whether to go on.
pub type VisitRecord<'a> = &'a mut dyn FnMut(u64, u128, &[u8]) -> ControlFlow<()>;
pub use writer::RunWriter;

/// The folder of the runs. It has a hyphen, which no region name has, so it can never be taken for a log.
const FOLDER: &str = "history-runs";

/// The longest record of a run, in bytes.
pub const RUN_RECORD_BYTES_MAX: usize = BLOCK_LEN - HEADER_LEN - block::RECORD_HEADER_LEN;

/// How much memory runs may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// Bytes of blocks that were read.
    pub cache_bytes: usize,
    /// Bytes of filters. A run that would take more has none: looks for keys that it does not have cost a read of the disk.
    pub filter_bytes_max: usize,
}

/// The folder of the runs.
#[derive(Debug)]
pub struct Runs {
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: RunOptions,
    cache: Mutex<Cache>,
    /// Number of the next run.
    next: AtomicU64,
    filter_bytes: AtomicUsize,
    _lock: Arc<dyn Lock>,
}

/// A file that is deleted with this value.
#[derive(Debug)]
struct File {
    folder: Arc<Folder>,
    number: u64,
    path: PathBuf,
    handle: Arc<dyn DiskFile>,
}

/// A sorted run; its file is deleted when it is dropped.
#[derive(Debug)]
pub struct Run {
    file: File,
    /// Per block, the upper half of the key of its first record.
    signposts: Vec<u64>,
    filter: Option<KeptFilter>,
}

/// A filter, and the room it takes of what filters may take.
#[derive(Debug)]
struct KeptFilter {
    filter: Filter,
    folder: Arc<Folder>,
}

impl Runs {
    /// Makes the folder if it is absent, and deletes what an earlier process left in it.
    pub fn open(store: &Store, options: RunOptions) -> Result<Self, Error> {
        let dir = store.dir().join(FOLDER);
        let Some(lock) = store.lock().cloned() else {
            return Err(Error::RunsReadOnly { dir: store.dir().to_owned() });
        };
        let disk = store.disk().clone();
        make_dir(&*disk, &dir)?;
        for entry in disk.list(&dir).map_err(Error::io("list", &dir))? {
            let path = dir.join(&entry.name);
            if path.extension().is_some_and(|end| end == "run") {
                disk.remove(&path).map_err(Error::io("remove", &path))?;
            }
        }
        let folder = Folder {
            disk,
            dir,
            options,
            cache: Mutex::new(Cache::new(options.cache_bytes / BLOCK_LEN)),
            next: AtomicU64::new(1),
            filter_bytes: AtomicUsize::new(0),
            _lock: lock,
        };
        Ok(Self { folder: Arc::new(folder) })
    }

    /// Begins a run of at most `records_max` records.
    pub fn begin(&self, records_max: u64) -> Result<RunWriter, Error> {
        let folder = &self.folder;
        let number = folder.next.fetch_add(1, Ordering::Relaxed);
        let path = folder.dir.join(format!("{number:020}.run"));
        let handle = folder.disk.create(&path).map_err(Error::io("create", &path))?;
        let file = File { folder: folder.clone(), number, path, handle };
        Ok(RunWriter::new(file, records_max))
    }

    /// Bytes of memory held for blocks that were read. What each run holds besides is [`Run::bytes`].
    pub fn bytes(&self) -> usize {
        self.folder.cache.lock().bytes()
    }
}

impl Folder {
    /// A filter for so many keys, if there is room for one.
    fn filter(self: &Arc<Self>, keys_max: u64) -> Option<KeptFilter> {
        let filter = Filter::sized(keys_max);
        let before = self.filter_bytes.fetch_add(filter.bytes(), Ordering::Relaxed);
        let fits = before + filter.bytes() <= self.options.filter_bytes_max;
        // One that does not fit gives its room back at once.
        let mut kept = KeptFilter { filter, folder: self.clone() };
        fits.then(|| {
            kept.filter.allocate();
            kept
        })
    }
}

impl KeptFilter {
    /// Gives back what fewer keys do not need.
    fn shrink(&mut self, keys: u64) {
        let before = self.filter.bytes();
        self.filter.shrink(keys);
        self.folder.filter_bytes.fetch_sub(before - self.filter.bytes(), Ordering::Relaxed);
    }
}

impl Drop for KeptFilter {
    fn drop(&mut self) {
        self.folder.filter_bytes.fetch_sub(self.filter.bytes(), Ordering::Relaxed);
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Err(error) = self.folder.disk.remove(&self.path) {
            // It takes room until the next start, and nothing else.
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

impl File {
    fn block(&self, number: u32) -> Result<Arc<Block>, Error> {
        let id = (self.number, number);
        if let Some(block) = self.folder.cache.lock().get(id) {
            return Ok(block);
        }
        let mut bytes = vec![0; BLOCK_LEN].into_boxed_slice();
        let offset = u64::from(number) * BLOCK_LEN as u64;
        read_exact_at(&*self.handle, &mut bytes, offset).map_err(Error::io("read", &self.path))?;
        let block = Block::verified(bytes, self.number, number).map_err(|reason| Error::RunDamaged {
            path: self.path.clone(),
            offset,
            reason: reason.to_owned(),
        })?;
        let block = Arc::new(block);
        self.folder.cache.lock().put(id, block.clone());
        Ok(block)
    }
}

impl Run {
    /// The place of the first record of `key`, if it has any.
    pub fn find(&self, key: u128) -> Result<Option<u64>, Error> {
        if self.filter.as_ref().is_some_and(|kept| !kept.filter.may_hold(key)) {
            return Ok(None);
        }
        // The first record may be at the end of the block before the first signpost that has reached the key.
        let first = self.signposts.partition_point(|signpost| *signpost < upper(key)).saturating_sub(1);
        for number in first as u32..self.signposts.len() as u32 {
            let block = self.file.block(number)?;
            let mut at = HEADER_LEN;
            while let Some(record) = block.record(at) {
                if record.key >= key {
                    return Ok((record.key == key).then(|| place(number, at)));
                }
                at = record.end;
            }
        }
        Ok(None)
    }

    /// Hands the records from a place on to `visit`, each as the place of the next one, key and record, until it breaks or they
    /// end. The first record of the run is at 0.
    pub fn read(&self, from: u64, visit: VisitRecord<'_>) -> Result<(), Error> {
        let (first, mut at) = ((from >> PLACE_BITS) as u32, (from & PLACE_MASK) as usize);
        for number in first..self.signposts.len() as u32 {
            let block = self.file.block(number)?;
            at = at.max(HEADER_LEN);
            while let Some(record) = block.record(at) {
                at = record.end;
                if visit(place(number, at), record.key, record.bytes).is_break() {
                    return Ok(());
                }
            }
            at = 0;
        }
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Bytes of memory held for it: signposts and filter.
    pub fn bytes(&self) -> usize {
        self.signposts.capacity() * size_of::<u64>()
            + self.filter.as_ref().map_or(0, |kept| kept.filter.bytes())
    }

    /// Length of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.signposts.len() as u64 * BLOCK_LEN as u64
    }
}

/// A place is the number of a block and an offset in it.
const PLACE_BITS: u32 = 16;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;

fn place(block: u32, offset: usize) -> u64 {
    u64::from(block) << PLACE_BITS | offset as u64
}

fn upper(key: u128) -> u64 {
    (key >> 64) as u64
}
