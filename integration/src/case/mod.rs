//! Cases in SQL: folders under `cases/`, replayed on real servers in both directions and judged byte for byte.
//!
//! `cases/README.md` says how to write one. A [`Case`] is a folder, a [`Play`] one of its two directions, [`pass`] replays
//! many of them in one mesh, [`judge`] compares what came of them, and [`stop`] is for those that cannot be carried.

pub mod folder;
pub mod judge;
pub mod pass;
pub mod play;
pub mod script;
pub mod stop;

pub use folder::{Case, all};
pub use play::{Failure, Play};
pub use script::Script;
