//! What every region is known to have applied, and what is therefore causally stable.

use smallvec::SmallVec;

use crate::regions::{OWN_ORDER, Origin};

/// For each region, the highest sequence number of each origin that it is known to have committed.
///
/// Claims only rise, also where a primary failed over to one that holds less: what its region has claimed to peers it never writes without
/// again. See SEMANTICS.md, "Failover".
#[derive(Debug)]
pub(crate) struct Stability {
    regions: usize,
    known: Vec<u64>,
    stable: SmallVec<[u64; 6]>,
}

impl Stability {
    pub(crate) fn new(regions: usize) -> Self {
        Self { regions, known: vec![0; regions * regions], stable: SmallVec::from_elem(0, regions) }
    }

    /// Takes in what `region` says of itself.
    pub(crate) fn observe(&mut self, region: Origin, seen: &[u64], own_last: u64) {
        let row = usize::from(region) * self.regions;
        for (origin, sequence) in seen.iter().enumerate() {
            let held = if *sequence == OWN_ORDER { own_last } else { *sequence };
            let known = &mut self.known[row + origin];
            *known = held.max(*known);
        }
        for origin in 0..self.regions {
            let column = (0..self.regions).map(|region| self.known[region * self.regions + origin]);
            self.stable[origin] = column.min().unwrap_or(0);
        }
    }

    /// Highest sequence number of `origin` that every region is known to have committed.
    pub(crate) fn stable(&self, origin: Origin) -> u64 {
        self.stable[usize::from(origin)]
    }
}
