//! A write as the index knows it: where it stands in the fold order and what it had seen.

use transaction::{RegionName, RepairPlace, Sequence, WriteId};

use crate::Error;
use crate::regions::{Origin, Regions};

/// One row change in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Which write it is. Its images are in the log of `id.origin`, in transaction `id.sequence`.
    pub id: WriteId,
    /// Whether it leaves a row behind: false for a delete, and for the old key of a primary-key update.
    pub live: bool,
    /// Where it stands if it is a repair.
    pub repair: Option<RepairPlace>,
}

impl Write {
    /// Where it stands. Of two rows that cannot both stay, the one whose newest write has the higher place does.
    pub fn place(&self) -> Place {
        let WriteId { origin, sequence, index, .. } = self.id;
        let RepairPlace { root, level } = self.repair.unwrap_or(RepairPlace { root: self.id, level: 0 });
        Place { root, level, origin, sequence, index }
    }

    /// The place of a repair that settles this write; `None` after 255 repairs in a row, which no sane mesh has.
    pub fn place_after(&self) -> Option<RepairPlace> {
        let Place { root, level, .. } = self.place();
        Some(RepairPlace { root, level: level.checked_add(1)? })
    }
}

/// A place in the fold order; the order of places is the order in which a history is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    root: WriteId,
    level: u8,
    origin: RegionName,
    sequence: Sequence,
    index: u32,
}

/// A [`Place`] as the index has it: regions are numbers, which order as their names do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Standing {
    pub(crate) root: Root,
    pub(crate) origin: Origin,
    pub(crate) sequence: u64,
    pub(crate) index: u32,
}

/// The part of a [`Standing`] by which a repair follows another write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Root {
    pub(crate) hlc: u64,
    pub(crate) origin: Origin,
    pub(crate) sequence: u64,
    pub(crate) index: u32,
    pub(crate) level: u8,
}

impl Root {
    pub(crate) fn new(regions: &Regions, place: &RepairPlace) -> Result<Self, Error> {
        let RepairPlace { root: WriteId { hlc, origin, sequence, index }, level } = *place;
        Ok(Self { hlc: hlc.0, origin: regions.origin(origin)?, sequence: sequence.0, index, level })
    }

    pub(crate) fn all(regions: &Regions, places: &[RepairPlace]) -> Result<Vec<Self>, Error> {
        places.iter().map(|place| Self::new(regions, place)).collect()
    }
}

impl Standing {
    /// Whether it is the same write.
    pub(crate) fn is(&self, other: &Standing) -> bool {
        (self.origin, self.sequence, self.index) == (other.origin, other.sequence, other.index)
    }

    /// Whether a writer that stands here, and had seen `seen`, had seen the write at `other`.
    pub(crate) fn covers(&self, seen: &[u64], other: &Standing) -> bool {
        if other.origin != self.origin {
            other.sequence <= seen[usize::from(other.origin)]
        } else {
            (other.sequence, other.index) < (self.sequence, self.index)
        }
    }
}
