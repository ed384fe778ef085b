//! Faults drawn from a seed while clients of three regions fight over hot rows: processes and servers die, links and disks fail.
//!
//! [`fault`] draws them, [`disk`] is a disk that can fail, [`stage`] lets a fault begin and end on real processes,
//! `segments` knows a region's logs as files, and [`mod@run`]
//! is the whole course. Who judges is [`crate::hot::checker`], by what clients were told; in the end the copies of each log
//! are compared too.

pub mod disk;
pub mod fault;
pub mod run;
mod segments;
pub mod stage;

pub use run::{ChaosPlan, run};
