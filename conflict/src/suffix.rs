//! Which writes of a history have to stay.

use smallvec::SmallVec;

use crate::regions::{OWN_ORDER, Origin};

/// The end of a history that has to stay, found in one pass from the newest write down.
///
/// It begins at the oldest write that is not stable, or that a later one of the suffix does not cover: all before it is then
/// stable, and covered by all of the suffix.
#[derive(Debug, Clone)]
pub(crate) struct Suffix {
    /// Per origin, what all writes of the suffix are known to cover.
    covered: Covered,
    /// The same of the writes passed since, which are part of the suffix if an older one has to stay.
    passed: Covered,
}

type Covered = SmallVec<[u64; 6]>;

impl Suffix {
    pub(crate) fn new(regions: usize) -> Self {
        let all: Covered = SmallVec::from_elem(u64::MAX, regions);
        Self { covered: all.clone(), passed: all }
    }

    /// Passes the next older write; returns whether the suffix reaches down to it.
    pub(crate) fn pass(&mut self, origin: Origin, sequence: u64, seen: &[u64], is_stable: bool) -> bool {
        for (covered, seen) in self.passed.iter_mut().zip(seen) {
            let seen = if *seen == OWN_ORDER { sequence.saturating_sub(1) } else { *seen };
            *covered = seen.min(*covered);
        }
        let stays = !is_stable || sequence > self.covered[usize::from(origin)];
        if stays {
            for (covered, passed) in self.covered.iter_mut().zip(&mut self.passed) {
                *covered = (*covered).min(*passed);
                *passed = u64::MAX;
            }
        }
        stays
    }

    /// Per origin, the highest sequence number up to which all writes of the suffix cover everything; `u64::MAX` of an empty one.
    pub(crate) fn covered(&self) -> &[u64] {
        &self.covered
    }
}
