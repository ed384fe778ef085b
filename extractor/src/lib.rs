//! Reads one MySQL's binlog and yields stamped records of the transaction log.
//!
//! **What it is.** [`replica`] is the raw replica connection; [`Extractor`] assembles its events into transactions,
//! tells local from applied work by the marker, and stamps the local ones: sequence number, HLC, context.
//!
//! **What it is not.** It stores nothing: what it makes goes to a [`Sink`], and where it goes on comes from the log's tail
//! ([`Resume`]). It knows no clock: wall time is an argument.
//!
//! **Invariants.**
//! - A transaction that changed `concord.marker` is applied work; every other one with rows is local. The marker comes
//!   before all other rows, or extraction halts.
//! - Applied work changed as many rows as its marker says at the end, or extraction halts. The repairs in it are one record
//!   of this region's own log, behind what was applied.
//! - Stamps are a fold over the binlog: reading it again from a position record gives the same ones.
//! - A transaction that the log holds already must come again with the same GTID, else extraction halts.
//! - A partial JSON update goes on as the update of whole rows that it stands for; nothing else is changed.
//! - An event or statement of unknown kind halts. Nothing is skipped but account statements, maintenance, and Concord's own.
//!
//! **Where to start.** [`Extractor::on_event`].

pub mod code;
pub mod error;
mod extract;
mod group;
mod marker;
mod repair;
pub mod replica;
mod stamp;
mod suspension;
mod xa;

pub use error::{ExtractError, Place};
pub use extract::{Extractor, Limits, Progress, Restart, Resume, Sink};
pub use stamp::{Held, Stamp, Stamper};
pub use xa::Spool;

/// Schema of Concord's own tables in every region's MySQL.
pub const OWN_SCHEMA: &str = marker::SCHEMA;

/// GTID tag of Concord's own book-keeping, which is never replicated. No region may have this name.
pub const OWN_TAG: &str = "_concord";
