//! Opening a log: sealed segments by their indexes, the last one record by record.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use transaction::{RecordNumber, RegionName};

use super::{Active, Log, LogOptions, State};
use crate::disk::{self, Access, Disk, Lock};
use crate::index::Index;
use crate::recovery::{self, Ending};
use crate::scan::{Place, check_joins};
use crate::segment;
use crate::{Error, Recovery};

/// How often a read-only opening starts over because retention took a file away under it.
const TRIES: u32 = 8;

impl Log {
    /// Opens the log in `dir`, which exists, and recovers its end.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        origin: RegionName,
        options: LogOptions,
        lock: Option<Arc<dyn Lock>>,
    ) -> Result<Arc<Self>, Error> {
        let mut tries = 1;
        let (state, recovery) = loop {
            match load(&*disk, &dir, origin, options) {
                Err(Error::Io { source, .. })
                    if options.read_only && source.kind() == io::ErrorKind::NotFound && tries < TRIES =>
                {
                    tries += 1;
                }
                loaded => break loaded?,
            }
        };
        let log = Self {
            origin,
            dir,
            disk,
            options,
            writer: Mutex::default(),
            syncer: Mutex::default(),
            retention: Mutex::default(),
            durable: AtomicU64::new(state.durable.0),
            state: Mutex::new(state),
            indexes: Mutex::default(),
            hooks: Mutex::default(),
            recovery: Mutex::new(recovery),
            _lock: lock,
        };
        log.apply_chain_rule(&mut log.state.lock())?;
        log.durable.store(log.state.lock().durable.0, Ordering::Release);
        let recovery = log.recovery();
        if recovery.is_clean() || options.read_only {
            tracing::debug!(%origin, last = %log.durable(), "opened the log");
        } else {
            tracing::warn!(%origin, last = %log.durable(), %recovery, "recovered the log");
        }
        Ok(Arc::new(log))
    }
}

/// The first record numbers of the segments in a folder, sorted; leftovers of a crash are removed if `tidy`.
pub(crate) fn folder_segments(disk: &dyn Disk, dir: &Path, tidy: bool) -> Result<Vec<RecordNumber>, Error> {
    let names: Vec<String> = disk
        .list(dir)
        .map_err(Error::io("list", dir))?
        .into_iter()
        .filter(|entry| !entry.is_dir)
        .map(|entry| entry.name)
        .collect();
    let mut firsts: Vec<RecordNumber> =
        names.iter().filter_map(|name| segment::number_in_name(name, ".seg")).collect();
    firsts.sort_unstable();
    if tidy {
        let orphan = |name: &str| {
            let index =
                segment::number_in_name(name, ".index").is_some_and(|n| firsts.binary_search(&n).is_err());
            index || [".seg.tmp", ".index.tmp"].iter().any(|end| segment::number_in_name(name, end).is_some())
        };
        for name in names.iter().filter(|name| orphan(name)) {
            let path = dir.join(name);
            disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(firsts)
}

/// The index of a sealed segment, from its file or, failing that, from the segment; `keep` writes it then.
pub(crate) fn load_index(
    disk: &dyn Disk,
    dir: &Path,
    origin: RegionName,
    first: RecordNumber,
    keep: bool,
) -> Result<Index, Error> {
    let path = segment::path(dir, first);
    let file = disk.open(&path, Access::Read).map_err(Error::io("open", &path))?;
    segment::check_header(&*file, &path, origin, first)?;
    let size = file.size().map_err(Error::io("measure", &path))?;
    let index_path = segment::index_path(dir, first);
    match disk::read_file(disk, &index_path) {
        Ok(bytes) => match Index::decode(&bytes) {
            Some(index) if index.summary.first == first && index.summary.bytes == size => return Ok(index),
            _ => {
                tracing::warn!(path = %index_path.display(), "the index does not fit its segment; building it anew")
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io("read", &index_path)(error)),
    }
    let index = Place { file: &*file, path: &path, origin, first }.scan_sealed(size)?;
    if keep {
        write_index(disk, &index_path, &index);
    }
    Ok(index)
}

/// Writes an index file. Failing is no harm: it is built anew when next needed.
pub(crate) fn write_index(disk: &dyn Disk, path: &Path, index: &Index) {
    if let Err(error) = disk::create_derived(disk, path, &index.encode()) {
        tracing::warn!(path = %path.display(), %error, "cannot write the index of a segment");
    }
}

fn load(
    disk: &dyn Disk,
    dir: &Path,
    origin: RegionName,
    options: LogOptions,
) -> Result<(State, Recovery), Error> {
    let mut state = State::default();
    let mut recovery = Recovery::default();
    let firsts = folder_segments(disk, dir, !options.read_only)?;
    let Some((last, sealed)) = firsts.split_last() else { return Ok((state, recovery)) };
    for first in sealed {
        let index = load_index(disk, dir, origin, *first, !options.read_only)?;
        join(&state, dir, origin, &index)?;
        state.sealed.push_back(index.summary);
    }

    let path = segment::path(dir, *last);
    let access = if options.read_only { Access::Read } else { Access::Write };
    let file = disk.open(&path, access).map_err(Error::io("open", &path))?;
    segment::check_header(&*file, &path, origin, *last)?;
    let size = file.size().map_err(Error::io("measure", &path))?;
    let place = Place { file: &*file, path: &path, origin, first: *last };
    let scan = place.scan(size, None, &mut |_| {})?;
    #[cfg(feature = "canary")]
    let scan = recovery::take_for_whole(&place, scan);
    let end = scan.index.summary.bytes;
    let ending = recovery::judge(&place, &scan, size)?;
    join(&state, dir, origin, &scan.index)?;
    match ending {
        Ending::Whole => {}
        Ending::Torn(torn) => {
            if !options.read_only {
                file.truncate(end).map_err(Error::io("truncate", &path))?;
            }
            recovery.torn = Some(torn);
        }
        Ending::Damaged(last) => {
            state.damaged_last = Some(last.clone());
            recovery.damaged_last = Some(last);
        }
    }
    if !options.read_only {
        // What the scan read may exist in memory only: a process that died without syncing leaves such records. They
        // become durable before they are called so. The same holds for the segment's name.
        file.sync().map_err(Error::io("sync", &path))?;
        disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
    }
    state.active = Some(Active { file, index: scan.index, durable_bytes: end });
    state.durable = state.last();
    state.last_sequence = state.held_sequence();
    Ok((state, recovery))
}

/// Checks that the next segment goes on where those so far end.
fn join(state: &State, dir: &Path, origin: RegionName, index: &Index) -> Result<(), Error> {
    let Some(before) = state.sealed.back() else { return Ok(()) };
    let path = segment::path(dir, index.summary.first);
    check_joins(before, state.held_sequence(), origin, &path, &index.summary)
        .map_err(|damage| Error::Damaged(Box::new(damage)))
}
