//! The nouns that every other crate of Concord passes on: regions, numbers, stamps, GTID sets, records of the
//! transaction log, and the row events of a binlog.
//!
//! **What it is.** Pure data and pure functions: bytes in, values out.
//!
//! **What it is not.** It knows no runtime, file, socket, clock or randomness. It decides nothing about conflicts
//! (`conflict`), stores nothing (`log-store`) and talks to no server (`extractor`, `applier`).
//!
//! **Invariants.**
//! - Parsers never panic on foreign bytes: they return an error that names what was wrong and where.
//! - A [`Context`] has one entry per region, sorted by name; two equal contexts are equal values.
//! - A record that decodes has a verified checksum ([`record::Record::decode`]).
//!
//! **Where to start.** [`stamp`] for the words, [`record`] for what lies in the log, [`binlog`] for what a payload holds.

pub mod binlog;
pub mod context;
pub mod ddl;
pub mod gtid;
pub mod halt;
pub mod key;
pub mod record;
pub mod region;
pub mod stamp;
pub mod suspended;

pub use context::Context;
pub use ddl::DdlStatement;
pub use gtid::{Gtid, GtidSet, Source, Tag, Uuid};
pub use halt::{Halt, HaltCode};
pub use key::{KeyError, KeyHash, Weights, key_of};
pub use record::{Record, RecordKind};
pub use region::RegionName;
pub use stamp::{Epoch, Hlc, Incarnation, RecordNumber, RepairPlace, STAMP_END, Sequence, WriteId};
pub use suspended::{Suspended, SuspendedTable};
