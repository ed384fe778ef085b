//! What the logs must keep so that a restart can rebuild every history.

use transaction::{RegionName, Sequence};

use crate::Index;
use crate::regions::OWN_ORDER;

/// Where the logs may begin. See SEMANTICS.md, "What the logs must keep".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    sequences: Vec<(RegionName, Sequence)>,
}

impl Floor {
    /// The lowest sequence number of `origin` that must stay; 0, which keeps everything, for a region that is not in the mesh.
    pub fn sequence(&self, origin: RegionName) -> Sequence {
        let known = self.sequences.iter().find(|(name, _)| *name == origin);
        known.map_or(Sequence(0), |(_, sequence)| *sequence)
    }

    /// Per origin, the lowest sequence number that must stay, sorted by name.
    pub fn sequences(&self) -> impl Iterator<Item = (RegionName, Sequence)> + '_ {
        self.sequences.iter().copied()
    }
}

impl Index {
    /// What must stay in this region's copies of the logs now.
    ///
    /// Walks the transactions held; meant for retention, not for every record.
    pub fn floor(&self) -> Floor {
        // Whatever is not stable, applied or not, with or without writes.
        let stable = |origin| self.stability.stable(origin);
        let mut lowest: Vec<u64> =
            self.regions.iter().map(|(origin, _)| stable(origin).saturating_add(1)).collect();
        for (origin, _) in self.regions.iter() {
            for transaction in self.transactions.of(origin) {
                if transaction.left > 0 {
                    // A write in a history, stable or not: a rebuild needs it, and its images may be asked for.
                    let lowest = &mut lowest[usize::from(origin)];
                    *lowest = (*lowest).min(transaction.sequence);
                }
                if transaction.sequence > stable(origin) {
                    // Whatever an unstable transaction may be concurrent with: a peer that has not applied it yet
                    // may have to rebuild its histories from this region's copy.
                    for (lowest, seen) in lowest.iter_mut().zip(self.transactions.seen(transaction)) {
                        if *seen != OWN_ORDER {
                            *lowest = (*lowest).min(seen.saturating_add(1));
                        }
                    }
                }
            }
        }
        let sequences = self.regions.iter().zip(lowest);
        Floor { sequences: sequences.map(|((_, name), lowest)| (name, Sequence(lowest))).collect() }
    }
}
