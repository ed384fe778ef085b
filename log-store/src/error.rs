//! What can go wrong with a log store, each with its remedy.

use std::io;
use std::path::PathBuf;

use transaction::record::RecordError;
use transaction::{Halt, HaltCode, RecordNumber, RegionName, Sequence};

use crate::code;

/// Bytes in a log that are not what was written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The log.
    pub origin: RegionName,
    /// The segment file.
    pub path: PathBuf,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Number of the record that should stand there.
    pub number: RecordNumber,
    /// What was found instead.
    pub reason: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the log of {} is damaged at record {} ({}, offset {}): {}",
            self.origin,
            self.number,
            self.path.display(),
            self.offset,
            self.reason
        )
    }
}

/// Why the log store refuses or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system failed. A log that was being written is stopped by it. Remedy: mend the disk, restart.
    #[error("cannot {action} {path}: {source}; mend the disk or the permissions (is it full?) and restart")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the data folder. Remedy: stop it, or choose another folder.
    #[error(
        "{dir} is in use by another concord process (pid {holder}); stop that one or set another data_dir: two writers would destroy the log"
    )]
    Locked {
        /// The data folder.
        dir: PathBuf,
        /// Process id as the lock file has it, or `unknown`.
        holder: String,
    },
    /// The folder belongs to another region or mesh. Remedy: correct data_dir or the name.
    #[error(
        "{dir} holds the logs of {what} {found:?}, but this is {what} {expected:?}; correct data_dir or the name in the config"
    )]
    WrongIdentity {
        /// The data folder.
        dir: PathBuf,
        /// `region` or `mesh`.
        what: &'static str,
        /// Name in the folder.
        found: String,
        /// Name asked for.
        expected: String,
    },
    /// Written by a newer version. Remedy: upgrade.
    #[error(
        "{path} has format version {found}, this version of Concord reads up to {known}; upgrade Concord"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The highest version known here.
        known: u32,
    },
    /// A record of a kind that only a newer version knows. Remedy: upgrade.
    #[error("{path}, offset {offset}: {source}")]
    NewerRecord {
        /// The segment file.
        path: PathBuf,
        /// Offset in it, in bytes.
        offset: u64,
        /// Kind and number.
        source: RecordError,
    },
    /// The identity file is absent where there are logs, or cannot be understood. Remedy: restore it.
    #[error(
        "{path}: {reason}; restore this file from a backup, or empty the folder to take the logs back from the peers"
    )]
    BadIdentity {
        /// The identity file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such log in a store opened read-only.
    #[error("{dir} holds no log of {origin}; see `concord log list` for the origins it has")]
    NoSuchLog {
        /// The data folder.
        dir: PathBuf,
        /// The origin asked for.
        origin: RegionName,
    },
    /// Damage that is no torn tail. Nothing was dropped. Remedy: look, then take the log back from a peer.
    #[error(
        "{0}. Nothing was dropped. `concord log verify --origin {origin}` lists all damage; to mend it, stop concord and take the damaged records from a \
         region that holds them: concord log repair --origin {origin} --from REGION",
        origin = .0.origin
    )]
    Damaged(Box<Damage>),
    /// A log is mended from a copy that holds other records than it does. Nothing was taken from it. Remedy: find out which is right.
    #[error(
        "record {number} of the log of {origin} is intact here and in the other copy, and the two differ: nothing was taken from it. Take it from \
         another region; if copies differ between regions, keep all of them and report this"
    )]
    CopiesDiffer {
        /// The log.
        origin: RegionName,
        /// The record.
        number: RecordNumber,
    },
    /// A log is mended from a copy that ends too early. The file is as it was. Remedy: another region.
    #[error(
        "{path}: record {number} of the log of {origin} is damaged, and the other copy ends before it; take it from another region"
    )]
    NoCopy {
        /// The log.
        origin: RegionName,
        /// The damaged segment.
        path: PathBuf,
        /// The record.
        number: RecordNumber,
    },
    /// The last record is whole but fails its checksum, and nobody has decided what becomes of it.
    #[error(
        "the last record ({number}) of the log of {origin} fails its checksum; ask every peer for it, then replace or drop it, before appending"
    )]
    DamagedLastPending {
        /// The log.
        origin: RegionName,
        /// The record.
        number: RecordNumber,
    },
    /// Retention has removed what was asked for. Remedy: a peer that still holds it, or a new seed.
    #[error(
        "record {number} of the log of {origin} was removed by retention, the first one held is {first}; take it from a peer that still has it, or seed the region anew"
    )]
    Removed {
        /// The log.
        origin: RegionName,
        /// Record asked for.
        number: RecordNumber,
        /// First record held.
        first: RecordNumber,
    },
    /// An append does not begin where the log ends. Nothing was written.
    #[error(
        "the log of {origin} goes on with record {expected}, but was given record {got}; ask the sender to start at {expected}"
    )]
    NotNext {
        /// The log.
        origin: RegionName,
        /// Number that comes next.
        expected: RecordNumber,
        /// Number given.
        got: RecordNumber,
    },
    /// A transaction's sequence number does not follow the one before. Nothing was written.
    #[error(
        "record {number} of the log of {origin} has sequence number {got} where {expected} comes next; the copies of this log disagree: compare them with `concord log list` in both regions"
    )]
    NotNextSequence {
        /// The log.
        origin: RegionName,
        /// The record.
        number: RecordNumber,
        /// Sequence number that comes next.
        expected: Sequence,
        /// Sequence number given.
        got: Sequence,
    },
    /// Bytes given to append are no whole, intact records. Nothing was written.
    #[error("refused to append to the log of {origin}: {source}; ask the sender for the batch again")]
    BadRecord {
        /// The log.
        origin: RegionName,
        /// What is wrong.
        source: RecordError,
    },
    /// An earlier failure stopped this log. Remedy: mend the cause, restart.
    #[error("the log of {origin} was stopped by an earlier failure: {cause}")]
    Stopped {
        /// The log.
        origin: RegionName,
        /// The first failure, in full.
        cause: String,
    },
    /// Damage in the conflict journal that is no torn tail. Nothing was dropped. Remedy: move the file away.
    #[error(
        "the conflict journal is damaged ({path}, offset {offset}): {reason}. Nothing was dropped. No row depends on this file: stop concord, move it \
         away, start again; the conflicts noted in it are then no longer listed"
    )]
    JournalDamaged {
        /// The file.
        path: PathBuf,
        /// Offset in it, in bytes.
        offset: u64,
        /// What was found.
        reason: String,
    },
    /// An earlier failure stopped the conflict journal. Remedy: mend the cause, restart.
    #[error("the conflict journal was stopped by an earlier failure: {cause}")]
    JournalStopped {
        /// The first failure, in full.
        cause: String,
    },
    /// An entry for the conflict journal is too long. Nothing was written.
    #[error(
        "an entry of {bytes} bytes is too long for the conflict journal, which takes up to {max}; please report this"
    )]
    JournalEntryTooLong {
        /// Length of its payload, in bytes.
        bytes: usize,
        /// The longest that is taken.
        max: usize,
    },
    /// The conflict journal was to be written, but its store was opened read-only.
    #[error("{dir} was opened read-only; only `concord run` writes the conflict journal")]
    JournalReadOnly {
        /// The data folder.
        dir: PathBuf,
    },
    /// A run of the history index is not what was written there. Remedy: restart; the index is built anew from the logs.
    #[error(
        "{path} is damaged at offset {offset}: {reason}; look after the disk and restart: it holds nothing that is not in the logs"
    )]
    RunDamaged {
        /// The file.
        path: PathBuf,
        /// Offset of the block, in bytes.
        offset: u64,
        /// What was found.
        reason: String,
    },
    /// Runs were to be written, but their store was opened read-only.
    #[error("{dir} was opened read-only; only `concord run` writes runs of the history index")]
    RunsReadOnly {
        /// The data folder.
        dir: PathBuf,
    },
    /// The store was opened read-only, or the log is in use and cannot be mended.
    #[error("the log of {origin} was opened read-only, or is in use; only `concord run` writes to it")]
    ReadOnly {
        /// The log.
        origin: RegionName,
    },
}

impl Error {
    /// What a person is to do about it.
    pub fn code(&self) -> HaltCode {
        match self {
            Self::Io { .. } => code::LOG_IO,
            Self::Locked { .. } => code::LOG_LOCKED,
            Self::WrongIdentity { .. } => code::LOG_WRONG_IDENTITY,
            Self::NewerFormat { .. } | Self::NewerRecord { .. } => code::LOG_NEWER_FORMAT,
            Self::BadIdentity { .. } => code::LOG_BAD_IDENTITY,
            Self::NoSuchLog { .. } => code::LOG_ABSENT,
            Self::Damaged(_) => code::LOG_DAMAGED,
            Self::CopiesDiffer { .. } => code::LOG_COPIES_DIFFER,
            Self::NoCopy { .. } => code::LOG_NO_COPY,
            Self::DamagedLastPending { .. } => code::LOG_DAMAGED_LAST,
            Self::Removed { .. } => code::LOG_REMOVED,
            Self::NotNext { .. } => code::LOG_GAP,
            Self::NotNextSequence { .. } => code::LOG_SEQUENCE_GAP,
            Self::BadRecord { .. } => code::LOG_BAD_RECORD,
            Self::Stopped { .. } => code::LOG_STOPPED,
            Self::ReadOnly { .. } | Self::JournalReadOnly { .. } | Self::RunsReadOnly { .. } => {
                code::LOG_READ_ONLY
            }
            Self::RunDamaged { .. } => code::HISTORY_RUN_DAMAGED,
            Self::JournalDamaged { .. } => code::JOURNAL_DAMAGED,
            Self::JournalStopped { .. } => code::JOURNAL_STOPPED,
            Self::JournalEntryTooLong { .. } => code::JOURNAL_ENTRY_TOO_LONG,
        }
    }

    /// Turns an [`io::Error`] into one that says what was tried on which file.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        error.code().halt(error)
    }
}
