//! The folder of all logs: whose it is, who may write, and the logs in it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use transaction::RegionName;

use crate::disk::{Disk, Lock, LockError, OsDisk, parent};
use crate::log::{Log, LogOptions};
use crate::mend::{self, MendError, MendReport, RecordSource};
use crate::verify::{self, VerifyProgress, VerifyReport};
use crate::{Error, Identity, identity};

/// Length at which a segment is sealed unless configured otherwise: 64 MiB.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;

/// What an operator may tune.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Length at which a segment is sealed, in bytes. Smaller ones let retention work finer, larger ones mean fewer files.
    pub segment_bytes: u64,
    /// Whether an unfinished chain of chunks at the end of the region's *own* log is dropped at open. It is, unless a log
    /// that was taken back from peers is still being completed. Copies of other logs always keep theirs: the link sends
    /// the rest.
    pub drop_unfinished_chain: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES_DEFAULT, drop_unfinished_chain: true }
    }
}

/// The logs of one region: its own and its copies of the others'.
///
/// The folder belongs to the store alone. Every subfolder whose name is a region name is a log; the conflict journal has
/// one whose name is none.
#[derive(Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    identity: Identity,
    options: Options,
    lock: Option<Arc<dyn Lock>>,
    logs: Mutex<BTreeMap<RegionName, Arc<Log>>>,
}

impl Store {
    /// Opens the folder for writing, making it if it is absent, and locks it for as long as the store or any of its logs
    /// lives. Refuses a folder that another process holds, or that belongs to another region or mesh.
    pub fn open(dir: impl Into<PathBuf>, identity: Identity, options: Options) -> Result<Self, Error> {
        Self::open_on(Arc::new(OsDisk), dir, identity, options)
    }

    /// [`Store::open`] on a disk of the caller's choice.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: impl Into<PathBuf>,
        identity: Identity,
        options: Options,
    ) -> Result<Self, Error> {
        let dir = dir.into();
        make_dir(&*disk, &dir)?;
        let lock_path = dir.join("LOCK");
        let lock = match disk.lock(&lock_path) {
            Ok(lock) => lock,
            Err(LockError::Held(holder)) => return Err(Error::Locked { dir, holder }),
            Err(LockError::Io(error)) => return Err(Error::io("lock", lock_path)(error)),
        };
        match identity::read(&*disk, &dir)? {
            Some(found) => identity::check(&dir, &found, &identity)?,
            None if !origins(&*disk, &dir)?.is_empty() => {
                let reason = "the identity file is missing, but there are logs".to_owned();
                return Err(Error::BadIdentity { path: identity::path(&dir), reason });
            }
            None => identity::write(&*disk, &dir, &identity)?,
        }
        Ok(Self { disk, dir, identity, options, lock: Some(lock.into()), logs: Mutex::default() })
    }

    /// Opens the folder for looking only: no lock, no change to any file, also while `concord run` writes to it.
    ///
    /// Logs opened from it show what was there at that moment.
    pub fn open_read_only(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_read_only_on(Arc::new(OsDisk), dir)
    }

    /// [`Store::open_read_only`] on a disk of the caller's choice.
    pub fn open_read_only_on(disk: Arc<dyn Disk>, dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let dir = dir.into();
        let Some(identity) = identity::read(&*disk, &dir)? else {
            let reason = "there is no identity file, so this is no data folder of concord".to_owned();
            return Err(Error::BadIdentity { path: identity::path(&dir), reason });
        };
        Ok(Self { disk, dir, identity, options: Options::default(), lock: None, logs: Mutex::default() })
    }

    /// Whose logs these are.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The origins that there are logs of, sorted.
    pub fn origins(&self) -> Result<Vec<RegionName>, Error> {
        origins(&*self.disk, &self.dir)
    }

    /// The log of an origin, opened and recovered at the first call; made if it is absent and the store is not read-only.
    ///
    /// See [`Log::recovery`] for what was found. Damage that is no torn tail is an error here, and the other logs are not
    /// affected by it.
    pub fn log(&self, origin: RegionName) -> Result<Arc<Log>, Error> {
        let mut logs = self.logs.lock();
        if let Some(log) = logs.get(&origin) {
            return Ok(log.clone());
        }
        let dir = self.dir.join(origin.as_str());
        let read_only = self.lock.is_none();
        if read_only {
            self.check_held(origin)?;
        } else {
            make_dir(&*self.disk, &dir)?;
        }
        let options = LogOptions {
            segment_bytes: self.options.segment_bytes,
            drop_unfinished_chain: self.options.drop_unfinished_chain && origin == self.identity.region,
            read_only,
        };
        let log = Log::open(self.disk.clone(), dir, origin, options, self.lock.clone())?;
        logs.insert(origin, log.clone());
        Ok(log)
    }

    /// Verifies the files of a log without opening it, so that one too damaged to be opened can be looked at.
    pub fn verify(
        &self,
        origin: RegionName,
        progress: &mut dyn FnMut(VerifyProgress),
    ) -> Result<VerifyReport, Error> {
        self.check_held(origin)?;
        verify::verify_folder(&*self.disk, &self.dir.join(origin.as_str()), origin, None, progress)
    }

    /// Mends the files of a log, before it is opened: damaged records are taken from `source`, missing files are made anew.
    ///
    /// What is intact stays, byte for byte. Where `source` disagrees with an intact record beside a damaged one it is no copy
    /// of this log, and nothing is taken from it. A torn tail, which the next opening drops, is no damage.
    pub fn mend<S: RecordSource>(
        &self,
        origin: RegionName,
        source: &mut S,
        progress: &mut dyn FnMut(VerifyProgress),
    ) -> Result<MendReport, MendError<S::Error>> {
        if self.lock.is_none() || self.logs.lock().contains_key(&origin) {
            return Err(Error::ReadOnly { origin }.into());
        }
        self.check_held(origin)?;
        let (dir, own) = (self.dir.join(origin.as_str()), origin == self.identity.region);
        mend::mend_folder(&*self.disk, &dir, origin, own, source, progress)
    }

    /// The disk that it lies on.
    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The lock on the folder; `None` if it was opened for looking only.
    pub(crate) fn lock(&self) -> Option<&Arc<dyn Lock>> {
        self.lock.as_ref()
    }

    fn check_held(&self, origin: RegionName) -> Result<(), Error> {
        match self.origins()?.contains(&origin) {
            true => Ok(()),
            false => Err(Error::NoSuchLog { dir: self.dir.clone(), origin }),
        }
    }
}

/// Makes a folder, and any parents that are absent, so that their names survive a power failure.
pub(crate) fn make_dir(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    let is_absent = |dir: &&Path| disk.list(dir).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let absent: Vec<&Path> =
        dir.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).take_while(is_absent).collect();
    disk.create_dir(dir).map_err(Error::io("create", dir))?;
    for made in std::iter::once(dir).chain(absent) {
        disk.sync_dir(parent(made)).map_err(Error::io("sync", parent(made)))?;
    }
    Ok(())
}

fn origins(disk: &dyn Disk, dir: &Path) -> Result<Vec<RegionName>, Error> {
    let entries = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(Error::io("list", dir))?,
    };
    let folders = entries.into_iter().filter(|entry| entry.is_dir);
    let mut origins: Vec<RegionName> =
        folders.filter_map(|entry| RegionName::new(&entry.name).ok()).collect();
    origins.sort_unstable();
    Ok(origins)
}
