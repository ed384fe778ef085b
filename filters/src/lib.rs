//! Decides which tables Concord carries between regions.
//!
//! **What it is.** Two lists of `schema.table` patterns, include and exclude, and one question: is this table carried?
//! A table is carried when its schema is no system schema, an include pattern matches and no exclude pattern does.
//!
//! **What it is not.** It keeps nothing out of a log: filters act before apply, so a peer's log holds the rows of
//! every table. It is no means of access control, knows no columns and reads no events; callers ask with the names
//! that the binlog's table map gives.
//!
//! **Invariants.**
//! - Pure: no runtime, file, socket, clock or randomness. The same lists give the same answers in every region.
//! - Names are compared exactly as they stand in the binlog. Nothing is folded: a server with
//!   `lower_case_table_names = 1` writes small letters there, so its patterns are in small letters too.
//! - The system schemas and Concord's own are never carried, whatever the lists say.
//! - Matching takes time proportional to pattern length times name length, never exponential.
//!
//! **Where to start.** [`Patterns::carries`], then [`Pattern`] for the grammar.

mod glob;
mod pattern;
mod patterns;

pub use pattern::{InvalidPattern, Pattern};
pub use patterns::{PatternList, Patterns, PatternsError};

/// Schemas that are never carried: the server's own, and `concord`, which holds this region's markers.
pub const SYSTEM_SCHEMAS: [&str; 5] = ["mysql", "sys", "information_schema", "performance_schema", "concord"];
