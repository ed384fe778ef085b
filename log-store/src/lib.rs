//! The durable transaction log: one append-only log per origin, in segment files.
//!
//! **What it is.** Blocking file code that keeps encoded records ([`transaction::record`]) in order, makes them durable
//! with group commit, finds them again by record number, sequence number or HLC, and recovers them after a crash.
//! `FORMAT.md` beside this crate describes every byte and is the promise this code keeps.
//!
//! Beside the logs it keeps the conflict journal ([`Journal`]): what was decided about which row, for people to read.
//!
//! And it keeps the runs of the history index ([`Runs`]), which is what outgrows memory of it, and deletes them at start.
//!
//! **What it is not.** It knows no runtime, no clock and no network, and it never looks into the body of a record: only
//! the fixed header and the checksum concern it. It has no checkpoint file; what the log holds *is* the progress. What
//! may be deleted is decided by the caller, who knows stability and age ([`Log::retain`]).
//!
//! **Invariants.**
//! - Record numbers of a log are dense, and so are the sequence numbers of its transactions and repairs; an append that
//!   would break either is refused without effect.
//! - [`Log::durable`] never runs ahead of fdatasync, and readers see durable records only.
//! - A sealed segment is complete and durable before the next one appears, so a crash can tear only the last.
//! - Only a provably torn tail is dropped at open. A last record that is whole but fails its checksum waits for the
//!   caller ([`Log::drop_damaged_last`]); damage anywhere else is an error that names file, offset and record.
//! - After a failed write or sync a log accepts nothing more until it is opened anew.
//! - An entry of the journal is durable when [`Journal::write`] returns; of all entries under one id, the last one counts.
//!
//! **In use.**
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (batch, eu): (Vec<u8>, _) = (Vec::new(), "eu".parse()?);
//! use log_store::{Identity, Options, Store};
//! use transaction::{RecordNumber, Sequence};
//!
//! let identity = Identity { mesh: "shop".into(), region: eu };
//! let store = Store::open("/var/lib/concord/logs", identity, Options::default())?;
//! let log = store.log(eu)?;
//! if let Some(last) = log.recovery().damaged_last {
//!     println!("ask the peers for record {}, then", last.number);
//!     log.drop_damaged_last()?;
//! }
//! log.append(&batch)?; // whole records, encoded; in the page cache now
//! log.sync()?; // durable now, and visible to readers
//! let from = log.find_sequence(Sequence(42))?.unwrap_or(RecordNumber(0));
//! let mut reader = log.read_from(from)?;
//! while let Some(record) = reader.next_record()? {
//!     println!("{} {:?}", record.header.number, record.header.kind);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **Where to start.** [`Store`] for the folder and its lock, [`Log`] for one origin, [`LogReader`] for reading,
//! `recovery.rs` for what happens after a crash, `mend.rs` for what a damaged disk takes, [`disk`] for the few things asked of the file system.

pub mod code;
pub mod disk;
mod error;
mod identity;
mod index;
mod journal;
mod log;
mod lookup;
mod mend;
mod reader;
mod recovery;
mod retention;
mod run;
mod scan;
mod segment;
mod store;
mod verify;
mod window;
mod writer;

pub use error::{Damage, Error};
pub use identity::{FORMAT_VERSION, Identity};
pub use journal::{
    EntryId, Found, JOURNAL_FILE_BYTES_DEFAULT, Journal, JournalOptions, JournalReader, JournalRetention,
    PAYLOAD_BYTES_MAX, Standing,
};
pub use log::{Log, Tail};
pub use mend::{MendError, MendReport, RecordSource};
pub use reader::{LogReader, RawRecord};
pub use recovery::{DamagedLast, DroppedChain, Recovery, TornCause, TornTail};
pub use retention::Retention;
pub use run::{RUN_RECORD_BYTES_MAX, Run, RunOptions, RunWriter, Runs, VisitRecord};
pub use segment::SegmentInfo;
pub use store::{Options, SEGMENT_BYTES_DEFAULT, Store};
pub use verify::{VerifyProgress, VerifyReport};
