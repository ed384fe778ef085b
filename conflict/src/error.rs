//! What can be refused.

use transaction::{RegionName, Sequence};

/// Why the index could not take what it was given. Each of these stops the region: nothing was lost, nothing was skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A stamp names a region that is not in the mesh.
    #[error(
        "region {name} is not in the mesh, so its writes cannot be judged: add it to [mesh.regions] in every region, \
         or find out who wrote that record"
    )]
    UnknownRegion {
        /// The region named.
        name: RegionName,
    },
    /// The list of regions names one twice.
    #[error("region {name} is listed twice in the mesh: name each region once under [mesh.regions]")]
    RepeatedRegion {
        /// The region named twice.
        name: RegionName,
    },
    /// A row change of a repair without its place in the fold order.
    #[error(
        "repair {sequence} of {origin} has no place for its row change {index}: its record is malformed; take the log of \
         {origin} from another region, or report this as a bug of the Concord version that runs in {origin}"
    )]
    NoPlace {
        /// Where the repair was made.
        origin: RegionName,
        /// Its sequence number.
        sequence: Sequence,
        /// The row change.
        index: u32,
    },
    /// More regions than the index numbers.
    #[error("a mesh of {count} regions is too large: at most 255 regions can replicate to each other")]
    TooManyRegions {
        /// How many were given.
        count: usize,
    },
    /// More unstable writes or transactions than can be numbered.
    #[error(
        "the history index is full at {count} {what}: a region has been away for too long; bring it back, or remove it \
         from the mesh"
    )]
    Full {
        /// What was counted.
        what: &'static str,
        /// How many are held.
        count: usize,
    },
    /// A run of the index cannot be written or read.
    #[error(
        "{file}, which holds a part of the history index, cannot be used: {reason}; make room or mend the disk, then restart: \
         the index is built anew from the logs"
    )]
    Run {
        /// The file.
        file: String,
        /// What went wrong.
        reason: String,
    },
}
