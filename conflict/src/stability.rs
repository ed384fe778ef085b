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
    /// Regions that are not waited for.
    left_out: SmallVec<[bool; 6]>,
    stable: SmallVec<[u64; 6]>,
}

impl Stability {
    pub(crate) fn new(regions: usize) -> Self {
        Self {
            regions,
            known: vec![0; regions * regions],
            left_out: SmallVec::from_elem(false, regions),
            stable: SmallVec::from_elem(0, regions),
        }
    }

    /// Takes in what `region` says of itself.
    pub(crate) fn observe(&mut self, region: Origin, seen: &[u64], own_last: u64) {
        let row = usize::from(region) * self.regions;
        for (origin, sequence) in seen.iter().enumerate() {
            let held = if *sequence == OWN_ORDER { own_last } else { *sequence };
            let known = &mut self.known[row + origin];
            *known = held.max(*known);
        }
        self.settle();
    }

    /// From now on `region` is not waited for.
    pub(crate) fn leave_out(&mut self, region: Origin) {
        self.left_out[usize::from(region)] = true;
        self.settle();
    }

    fn settle(&mut self) {
        for origin in 0..self.regions {
            let counted = (0..self.regions).filter(|region| !self.left_out[*region]);
            let column = counted.map(|region| self.known[region * self.regions + origin]);
            #[cfg(feature = "canary")]
            if canary::makes(canary::Mistake::EarlyPruning) {
                self.stable[origin] = column.max().unwrap_or(0);
                continue;
            }
            self.stable[origin] = column.min().unwrap_or(0);
        }
    }

    /// Highest sequence number of `origin` that every region is known to have committed.
    pub(crate) fn stable(&self, origin: Origin) -> u64 {
        self.stable[usize::from(origin)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_that_is_left_out_holds_up_nothing_and_its_own_writes_wait_for_the_others() {
        let mut stability = Stability::new(3);
        stability.observe(0, &[OWN_ORDER, 5, 7], 9);
        stability.observe(1, &[8, OWN_ORDER, 4], 5);
        stability.observe(2, &[2, 0, OWN_ORDER], 7);
        let stable = |stability: &Stability| [0, 1, 2].map(|origin| stability.stable(origin));
        assert_eq!(stable(&stability), [2, 0, 4]);
        stability.leave_out(2);
        assert_eq!(stable(&stability), [8, 5, 4]);
        stability.observe(1, &[9, OWN_ORDER, 7], 6);
        assert_eq!(stable(&stability), [9, 5, 7]);
    }
}
