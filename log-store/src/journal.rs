//! The conflict journal: entries under ids, durable when they are written, kept for people and for nothing else.
//!
//! Nothing is ever decided by what the journal holds, so retention may take any of it, and a damaged file may be moved away.
//! An entry says that something was found, or that what was found under the same id came to nothing. **Of all entries under
//! one id, the last one counts**: so an entry that was written twice is one, and one that was withdrawn is none, unless
//! it was found again. What the payloads say is the caller's business. `FORMAT.md` has the bytes.

mod entry;
mod file;
mod reader;
mod retention;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Access, Disk, DiskFile, Lock};
use crate::store::make_dir;
use crate::{Error, Store};
pub use entry::{EntryId, PAYLOAD_BYTES_MAX};
use entry::{EntryKind, Header};
use file::{Contents, FILE_HEADER_LEN};
pub use reader::{JournalReader, Standing};
pub use retention::JournalRetention;

/// Length at which a file of the journal is closed unless configured otherwise: 16 MiB.
pub const JOURNAL_FILE_BYTES_DEFAULT: u64 = 16 << 20;

/// The folder of the journal. It has a hyphen, which no region name has, so it can never be taken for a log.
const FOLDER: &str = "conflict-journal";

/// How many ids are remembered, so that an entry which was written already is not written again.
const REMEMBERED: usize = 1 << 16;

/// How many entries are written in one go at most; more are several batches, each durable before the next.
const BATCH_ENTRIES_MAX: usize = 1 << 12;

/// What an operator may tune.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// Length at which a file is closed and the next one begun, in bytes. A batch never spans files, so files may be longer.
    pub file_bytes: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { file_bytes: JOURNAL_FILE_BYTES_DEFAULT }
    }
}

/// Something that was found.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Its name.
    pub id: EntryId,
    /// When, microseconds since 1970. The journal has no clock.
    pub time_us: u64,
    /// What, at most [`PAYLOAD_BYTES_MAX`] bytes.
    pub payload: &'a [u8],
    /// Tells it from other payloads under the same id; of what makes no difference, such as the time, the caller leaves out
    /// what it likes.
    pub digest: u64,
}

/// The journal, open for writing. Whoever has it holds the lock of its store.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: JournalOptions,
    torn_bytes: usize,
    /// Held over a write and its sync: a batch is durable before the next one is written.
    state: Mutex<State>,
    _lock: Arc<dyn Lock>,
}

#[derive(Debug)]
struct State {
    /// Numbers that the closed files begin with, oldest first.
    closed: VecDeque<u64>,
    /// The file that is written to; `None` before the first entry.
    active: Option<Active>,
    /// Number of the next entry.
    next: u64,
    standing: Remembered,
    /// The failure after which nothing more is written.
    stopped: Option<String>,
}

#[derive(Debug)]
struct Active {
    file: Arc<dyn DiskFile>,
    first: u64,
    bytes: u64,
    /// When the newest entry in it or before it was found.
    newest_us: u64,
}

/// The last entries that were written in this life of the process and stand: id and digest.
#[derive(Debug, Default)]
struct Remembered {
    digests: HashMap<EntryId, u64>,
    order: VecDeque<EntryId>,
}

impl Remembered {
    fn note(&mut self, kind: EntryKind, id: EntryId, digest: u64) {
        if kind == EntryKind::Withdrawn {
            self.digests.remove(&id);
            return;
        }
        if self.digests.insert(id, digest).is_none() {
            self.order.push_back(id);
        }
        // An id that was withdrawn and found again stands twice in the order and may be forgotten early. It is then
        // written once more than needed, which readers pass over.
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.digests.remove(&oldest);
        }
    }
}

impl Store {
    /// Opens the conflict journal for writing, making it if it is absent; a torn tail is dropped.
    ///
    /// At most one may be open of a store. Damage that is no torn tail is an error, and nothing is changed then.
    pub fn journal(&self, options: JournalOptions) -> Result<Journal, Error> {
        match self.lock() {
            Some(lock) => Journal::open(self.disk().clone(), self.dir(), options, lock.clone()),
            None => Err(Error::JournalReadOnly { dir: self.dir().to_owned() }),
        }
    }

    /// What stands in the conflict journal, newest first; also of a store that was opened for looking only, while another
    /// process writes to it.
    pub fn read_journal(&self) -> Result<JournalReader, Error> {
        JournalReader::open(self.disk().clone(), self.dir().join(FOLDER))
    }
}

impl Journal {
    fn open(
        disk: Arc<dyn Disk>,
        store: &Path,
        options: JournalOptions,
        lock: Arc<dyn Lock>,
    ) -> Result<Self, Error> {
        let dir = store.join(FOLDER);
        make_dir(&*disk, &dir)?;
        let mut closed: VecDeque<u64> = file::firsts(&*disk, &dir, true)?.into();
        let mut state = State {
            closed: VecDeque::new(),
            active: None,
            next: 1,
            standing: Remembered::default(),
            stopped: None,
        };
        let mut torn_bytes = 0;
        if let Some(first) = closed.pop_back() {
            let contents = Contents::read(&*disk, &dir, first)?;
            torn_bytes = contents.torn_bytes()?;
            let path = &contents.path;
            let file = disk.open(path, Access::Write).map_err(Error::io("open", path))?;
            if torn_bytes > 0 {
                file.truncate(contents.end as u64).map_err(Error::io("truncate", path))?;
                tracing::warn!(path = %path.display(), torn_bytes, "dropped a torn tail of the conflict journal");
            }
            // What was read may exist in memory only: a process that died without syncing leaves such entries.
            file.sync().map_err(Error::io("sync", path))?;
            disk.sync_dir(&dir).map_err(Error::io("sync", &dir))?;
            let after_us = file::check_header(path, first, &contents.bytes)?;
            let newest_us =
                contents.entries.iter().fold(after_us, |newest, (_, header)| newest.max(header.time_us));
            state.active = Some(Active { file, first, bytes: contents.end as u64, newest_us });
            state.next = contents.next;
        }
        state.closed = closed;
        Ok(Self { disk, dir, options, torn_bytes, state: Mutex::new(state), _lock: lock })
    }

    /// How many bytes of a torn tail were dropped when it was opened.
    pub fn torn_bytes(&self) -> usize {
        self.torn_bytes
    }

    /// Writes what was found; returns when it is durable, with the ids under which nothing stood before, as far as this
    /// process remembers.
    ///
    /// What was written already, with the same digest, is not written again; with another digest it is, and counts from
    /// then on. After a failed write or sync nothing more is written: every later call fails with [`Error::JournalStopped`].
    pub fn write(&self, found: &[Found<'_>]) -> Result<Vec<EntryId>, Error> {
        let mut state = self.state.lock();
        state.check_writable()?;
        if let Some(long) = found.iter().find(|entry| entry.payload.len() > PAYLOAD_BYTES_MAX) {
            return Err(Error::JournalEntryTooLong { bytes: long.payload.len(), max: PAYLOAD_BYTES_MAX });
        }
        let (mut fresh, mut new, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for entry in found {
            let before = state.standing.digests.get(&entry.id);
            if before == Some(&entry.digest) || !seen.insert((entry.id, entry.digest)) {
                continue;
            }
            if before.is_none() && !new.contains(&entry.id) {
                new.push(entry.id);
            }
            fresh.push((EntryKind::Found, *entry));
        }
        self.append(&mut state, &fresh)?;
        Ok(new)
    }

    /// Says of ids that they came to nothing; returns when that is durable. Unknown ids are fine.
    pub fn withdraw(&self, ids: &[EntryId], time_us: u64) -> Result<(), Error> {
        let mut state = self.state.lock();
        state.check_writable()?;
        let withdrawn =
            |id: &EntryId| (EntryKind::Withdrawn, Found { id: *id, time_us, payload: &[], digest: 0 });
        let entries: Vec<_> = ids.iter().map(withdrawn).collect();
        self.append(&mut state, &entries)
    }

    /// What stands in it, newest first.
    pub fn read(&self) -> Result<JournalReader, Error> {
        JournalReader::open(self.disk.clone(), self.dir.clone())
    }

    fn append(&self, state: &mut State, entries: &[(EntryKind, Found<'_>)]) -> Result<(), Error> {
        let mut rest = entries;
        while !rest.is_empty() {
            let (count, len) = batch(rest, self.options.file_bytes);
            let done = self.write_batch(state, &rest[..count], len);
            done.inspect_err(|error| state.stopped = Some(error.to_string()))?;
            rest = &rest[count..];
        }
        Ok(())
    }

    fn write_batch(
        &self,
        state: &mut State,
        batch: &[(EntryKind, Found<'_>)],
        len: usize,
    ) -> Result<(), Error> {
        let time_us = batch.iter().map(|(_, entry)| entry.time_us).max().unwrap_or_default();
        let mut bytes = Vec::with_capacity(len);
        for (place, (kind, entry)) in batch.iter().enumerate() {
            let header = Header {
                payload_len: entry.payload.len(),
                // A batch has fewer entries than that.
                place: u16::try_from(place).unwrap_or(u16::MAX),
                kind: *kind,
                number: state.next + place as u64,
                time_us: entry.time_us,
                id: entry.id,
            };
            entry::encode(&header, entry.payload, &mut bytes);
        }
        let active = self.room_for(state, bytes.len() as u64)?;
        let path = file::path(&self.dir, active.first);
        active.file.write_all_at(&bytes, active.bytes).map_err(Error::io("write", &path))?;
        active.file.sync().map_err(Error::io("sync", &path))?;
        active.bytes += bytes.len() as u64;
        active.newest_us = active.newest_us.max(time_us);
        state.next += batch.len() as u64;
        for (kind, entry) in batch {
            state.standing.note(*kind, entry.id, entry.digest);
        }
        Ok(())
    }

    /// The file to write `len` bytes to: the present one, or a new one if they would make it too long.
    fn room_for<'s>(&self, state: &'s mut State, len: u64) -> Result<&'s mut Active, Error> {
        let full = |active: &Active| {
            active.bytes > FILE_HEADER_LEN as u64 && active.bytes + len > self.options.file_bytes
        };
        let active = match state.active.take() {
            Some(active) if !full(&active) => active,
            old => {
                let first = state.next;
                let after_us = old.as_ref().map_or(0, |active| active.newest_us);
                let file = file::create(&*self.disk, &self.dir, first, after_us)?;
                state.closed.extend(old.map(|active| active.first));
                Active { file, first, bytes: FILE_HEADER_LEN as u64, newest_us: after_us }
            }
        };
        Ok(state.active.insert(active))
    }
}

/// How many of the entries are written in one go, and how many bytes they are.
fn batch(entries: &[(EntryKind, Found<'_>)], bytes_max: u64) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for (_, entry) in entries.iter().take(BATCH_ENTRIES_MAX) {
        let len = entry::HEADER_LEN + entry.payload.len();
        if count > 0 && (bytes + len) as u64 > bytes_max {
            break;
        }
        (count, bytes) = (count + 1, bytes + len);
    }
    (count, bytes)
}

impl State {
    fn check_writable(&self) -> Result<(), Error> {
        match &self.stopped {
            Some(cause) => Err(Error::JournalStopped { cause: cause.clone() }),
            None => Ok(()),
        }
    }
}
