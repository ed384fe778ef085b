//! What the fuzz targets share: an allocation bound, right checksums around wrong bytes, and seeds.
//!
//! `make fuzz` runs all targets; `README.md` says how to run one.

pub mod bounded;
pub mod events;
pub mod records;
pub mod seeds;
