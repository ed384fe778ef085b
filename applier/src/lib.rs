//! Writes the transactions of other origins into one region's MySQL, exactly once, each row as its history says.
//!
//! **What it is.** The [`Scheduler`] takes batches from the [`feed`] of each origin and gives them to lanes. A lane looks every write up in the history index,
//! sends the outcome as row events (`BINLOG`), locks every key, waits until the extractor has passed every writer of
//! those keys, looks again, corrects in place, and commits together with the marker.
//!
//! **What it is not.** It decides no conflict (`conflict` does), reads no binlog (`extractor` does), and keeps no file:
//! how far it is stands in the marker, in the same transaction as the rows.
//!
//! **Invariants.**
//! - A target transaction changes its marker first and once more before COMMIT; rows and marker commit together or not.
//! - Every `BINLOG` text stands alone ([`text::RowsText`] builds nothing else), and STRICT mode applies it.
//! - After any error comes ROLLBACK, without exception: an error passed over inside a transaction was seen to lose rows.
//! - When COMMIT is sent, the history of every key of the batch is complete and its row locked.
//! - A DDL statement runs under a GTID made of its origin and number ([`ddl`]), so the server runs it once; its marker follows.
//! - A transaction is applied only after everything in its context.
//! - An origin's claims (its contexts) are told to the index only when everything before them in its log is applied.
//!
//! **Where to start.** [`Scheduler`], then `lane.rs` and `attempt/` for the order of steps inside one target transaction.

mod attempt;
mod claims;
mod clash;
pub mod code;
mod contest;
pub mod ddl;
pub mod definitions;
pub mod effect;
pub mod feed;
mod fit;
mod found;
pub mod journal;
mod lane;
mod locks;
pub mod logs;
pub mod net;
mod parts;
pub mod policies;
mod progress;
pub mod recall;
pub mod relations;
mod repair;
mod scheduler;
mod session;
mod shared;
mod skip;
mod suspension;
pub mod tables;
pub mod target;
pub mod text;
mod wish;

pub use definitions::learn;
pub use progress::{OriginProgress, State};
pub use scheduler::{Scheduler, Setup};
pub use session::{Connect, MarkerChange, MySql, Session, SqlFailure};
pub use shared::{Passed, Shared};
pub use suspension::Decide;
pub use wish::{Named, Wish, WishAnswer, Wishes};
