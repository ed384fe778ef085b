//! Why a look at the log ended early.

use std::io;
use std::path::PathBuf;

use transaction::binlog::EventError;
use transaction::record::RecordError;
use transaction::{RecordNumber, RegionName};

/// Why a look at the log ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The store refuses or is damaged.
    #[error("[{code}] {0}", code = .0.code())]
    Store(#[from] log_store::Error),
    /// The data folder is not there.
    #[error(
        "{dir} does not exist: nothing has run here yet, or region.data_dir names another folder than `concord run` uses"
    )]
    NoData {
        /// The data folder.
        dir: PathBuf,
    },
    /// There is no log of this origin.
    #[error("{dir} holds no log of {origin}; it has {held}: name one of these with --origin")]
    NoLog {
        /// The data folder.
        dir: PathBuf,
        /// The origin asked for.
        origin: RegionName,
        /// The origins there are.
        held: String,
    },
    /// A record's checksum is right, its content is not.
    #[error("{0}; was it written by a newer version of Concord?")]
    Record(#[from] RecordError),
    /// An event in a record cannot be decoded. The log itself is whole.
    #[error("record {record} of the log of {origin} cannot be decoded: {source}")]
    Event {
        /// The log.
        origin: RegionName,
        /// The record.
        record: RecordNumber,
        /// What is wrong.
        source: EventError,
    },
    /// Nothing like it is in the log.
    #[error("{0}")]
    NotFound(String),
    /// An argument makes no sense.
    #[error("{0}")]
    Argument(String),
    /// Standard output cannot be written.
    #[error("cannot write the answer: {0}")]
    Output(#[source] io::Error),
}

/// Why showing one change failed, before the record is known.
#[derive(Debug)]
pub(super) enum Stop {
    /// An event cannot be decoded.
    Event(EventError),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl From<EventError> for Stop {
    fn from(error: EventError) -> Self {
        Self::Event(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Stop {
    /// As a failure at a record.
    pub(super) fn at(self, origin: RegionName, record: RecordNumber) -> Failure {
        match self {
            Self::Event(source) => Failure::Event { origin, record, source },
            Self::Output(error) => Failure::Output(error),
        }
    }
}
