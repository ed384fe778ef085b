//! Decides which tables Concord carries between regions, and how a region sees the rows of others.
//!
//! **What it is.** Two lists of `schema.table` patterns, include and exclude, and one question: is this table carried?
//! A table is carried when its schema is no system schema, an include pattern matches and no exclude pattern does.
//! And the filters of one region: tables under another name, columns left out or masked, only rows with certain values.
//!
//! **What it is not.** It keeps nothing out of a log: filters act before apply, so a peer's log holds the rows of
//! every table. It is no means of access control. It walks no events: a filter is a
//! [`View`](transaction::binlog::View) that whoever walks a log looks through.
//!
//! **Invariants.**
//! - Pure: no runtime, file, socket, clock or randomness. The same lists give the same answers in every region.
//! - Names are compared exactly as they stand in the binlog. Nothing is folded: a server with
//!   `lower_case_table_names = 1` writes small letters there, so its patterns are in small letters too.
//! - The system schemas and Concord's own are never carried, whatever the lists say.
//! - Matching takes time proportional to pattern length times name length, never exponential.
//!
//! - What a filter shows of a row depends on the row alone. A row that comes to fulfil a filter's conditions is an insert, one
//!   that ceases to is a delete.
//! - No filter drops or masks a column of a primary key.
//!
//! **Where to start.** [`Patterns::carries`], then [`Pattern`] for the grammar; [`TableFilter`] for the rest.

mod condition;
mod glob;
mod pattern;
mod patterns;
mod table_filter;

pub use condition::{Condition, InvalidCondition};
pub use pattern::{InvalidPattern, Pattern};
pub use patterns::{PatternList, Patterns, PatternsError};
pub use table_filter::{Filters, Mask, SeenTable, TableFilter};

/// Schemas that are never carried: the server's own, and `concord`, which holds this region's markers.
pub const SYSTEM_SCHEMAS: [&str; 5] = ["mysql", "sys", "information_schema", "performance_schema", "concord"];
