//! Which writes of a row conflict, and what the row becomes: the same answer in every region.
//!
//! **What it is.** The history index of a region, and the fold of a history by a policy. Histories, stamps and row images in,
//! outcomes out, as plain data. SEMANTICS.md, beside this crate's manifest, holds the argument.
//!
//! **What it is not.** It knows no runtime, file, socket, clock, randomness or lock. It fetches no image: whoever asks for a fold
//! brings those that the policy needs ([`Images`]). It does not lock rows, wait, write or log, nor does it settle unique keys; the
//! applier does, by its answers.
//!
//! **Invariants.**
//! - A history is sorted by [`Place`], and holds every write of its key that was inserted and that
//!   something still to come may be concurrent with.
//! - Two indexes that hold the same history give the same answer, whatever the order in which they were fed.
//! - A write leaves only as part of a prefix, and only when it and all that is concurrent with it are causally stable.
//! - Inserting a transaction twice is inserting it once, also after it was pruned.
//! - A context is stored once per transaction at most, a region's name once.
//!
//! **Who feeds it.** The extractor inserts local transactions ([`Index::insert`]) and the applier commits a [`Batch`]; both
//! tell what the regions have seen ([`Index::observe`]). At a restart the logs are read again, from where
//! [`Index::floor`] let them begin to what the markers say is applied.
//!
//! **Tables as a whole**, which DDL changes, have a history of their own: [`TableHistories`].
//!
//! **What outgrows memory** moves to sorted runs behind a trait, [`Runs`], that whoever owns a disk fulfils
//! ([`Index::spilling`]). No answer changes thereby; it may fail.
//!
//! **Where to start.** [`Index`], then [`Batch`] for the applier's way through a target transaction, then
//! [`fold()`] and [`policy`].

mod batch;
mod error;
mod floor;
pub mod fold;
mod history;
pub mod image;
mod index;
mod merge;
mod node;
mod number;
pub mod policy;
mod prune;
mod regions;
mod slab;
mod spill;
mod stability;
mod stats;
mod story;
mod suffix;
mod tables;
mod transactions;
mod write;

pub use batch::{Batch, BatchTransaction, Resolution};
pub use error::Error;
pub use floor::{Floor, Lacks};
pub use fold::{FoldError, Outcome, Rivals, Row, Version, fold};
pub use image::{Image, Images, NoImages};
pub use index::Index;
pub use merge::Merge;
pub use policy::{Columns, Deletes, Halt, LastWriterWins, Policy, RegionOwned};
pub use prune::Pruned;
pub use spill::{RECORD_BYTES_MAX, Run, RunPlace, RunWriter, Runs, SpillLimits, Visit};
pub use stats::Stats;
pub use story::{Chapter, Concurrent, Places, Story};
pub use tables::{DdlWrite, TableClash, TableHistories};
pub use write::{Place, Write};
