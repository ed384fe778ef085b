//! `make bench`: Concord beside MySQL's own replication, on the same machine and the same data, in one run.
//!
//! **What it is.** It drives real servers and the built `concord` (crate `integration`), lets MySQL's own replica and Concord do the same
//! work in turn, and writes down what came out: `report.json` for machines and `report.md` for people, both with server version,
//! settings, workload and machine, medians and the spread of the rounds. Both sides commit durably (`sync_binlog=1`,
//! `innodb_flush_log_at_trx_commit=1`) and keep commit order.
//!
//! **What it is not.** No test: nothing here fails because a figure is low. No tuning of one side: all servers have the same options, and
//! the native replica has the best of its worker counts in each round.
//!
//! **Invariants.**
//! - A target is never bent: what misses it is reported as missed, and what could not be measured as not measured, with the reason.
//! - Every round begins at the same bytes: data directories and logs are copied back while nothing runs, and synced before the clock starts.
//! - A drain counts only if the tables then equal the source's, by `CHECKSUM TABLE`.
//! - Rounds of both sides take turns, and a ratio is taken within a round, so that a busy machine weighs on both sides alike.
//!
//! **Where to start.** [`drain`] is what it is about; [`scene`] sets the servers up and puts them back; [`report`] knows the targets.

pub mod append;
pub mod ceiling;
pub mod compared;
pub mod cpu;
pub mod drain;
pub mod extract;
pub mod folder;
pub mod lag;
pub mod load;
pub mod memory;
pub mod mesh;
pub mod native;
pub mod options;
pub mod probe;
pub mod progress;
pub mod report;
pub mod rivals;
pub mod run;
pub mod sbtest;
pub mod scene;
pub mod skew;
pub mod source;
pub mod walk;
pub mod wan;
