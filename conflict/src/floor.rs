//! What the logs must keep so that a restart can rebuild every history.

use std::ops::ControlFlow;

use transaction::{Hlc, KeyHash, RegionName, Sequence};

use crate::regions::OWN_ORDER;
use crate::slab::NONE;
use crate::spill::Judgement;
use crate::suffix::Suffix;
use crate::{Error, Index, RunPlace};

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

/// From where on the logs have to be read for histories that hold all they must. See [`Index::lacks`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacks {
    /// Whatever has this stamp or a later one.
    pub hlc: Hlc,
    sequences: Vec<(RegionName, Sequence)>,
}

impl Lacks {
    /// And of `origin` whatever has this sequence number or a higher one; nothing of a region that is not in the mesh.
    pub fn sequence(&self, origin: RegionName) -> Sequence {
        let known = self.sequences.iter().find(|(name, _)| *name == origin);
        known.map_or(Sequence(u64::MAX), |(_, sequence)| *sequence)
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
        for part in &self.spill.parts {
            // The same of what runs hold; what may leave them since they were written counts, and keeps too much.
            for (lowest, (span, covered)) in lowest.iter_mut().zip(part.spans.iter().zip(&part.covered)) {
                *lowest = (*lowest).min(span.first).min(covered.saturating_add(1));
            }
        }
        let sequences = self.regions.iter().zip(lowest);
        Floor { sequences: sequences.map(|((_, name), lowest)| (name, Sequence(lowest))).collect() }
    }
    /// What histories may lack that are being rebuilt, and have not been pruned since; `None` if no write is unstable.
    ///
    /// Walks all histories. SEMANTICS.md, "What a rebuild reads", says why it is enough to insert from there as well,
    /// and to ask again, until nothing lower is asked for.
    pub fn lacks(&self) -> Result<Option<Lacks>, Error> {
        let mut lacks = Lacks { hlc: Hlc(u64::MAX), sequences: Vec::new() };
        let mut covered = vec![u64::MAX; self.regions.len()];
        let mut take_in = |begins: Hlc, suffix: &Suffix| {
            lacks.hlc = lacks.hlc.min(begins);
            for (lowest, covered) in covered.iter_mut().zip(suffix.covered()) {
                *lowest = (*lowest).min(*covered);
            }
        };
        let any_runs = !self.spill.parts.is_empty();
        for slot in &self.keys {
            if any_runs && self.is_spilled(self.nodes[slot.newest].key())? {
                continue;
            }
            let (oldest, suffix) = self.suffix(slot.newest);
            if oldest != NONE {
                take_in(Hlc(self.place(&self.nodes[oldest]).root.hlc), &suffix);
            }
        }
        self.for_each_spilled_key(|key| {
            let Judgement { cut, suffix, .. } = self.judge_key(key)?;
            if let Some(cut) = cut {
                take_in(Hlc(cut.root.hlc), &suffix);
            }
            Ok(())
        })?;
        if lacks.hlc == Hlc(u64::MAX) {
            return Ok(None);
        }
        let sequences = self.regions.iter().zip(covered);
        lacks.sequences =
            sequences.map(|((_, name), covered)| (name, Sequence(covered.saturating_add(1)))).collect();
        Ok(Some(lacks))
    }

    /// Calls `each` with every key that a run holds, once.
    pub(crate) fn for_each_spilled_key(
        &self,
        mut each: impl FnMut(KeyHash) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (at, part) in self.spill.parts.iter().enumerate() {
            let (mut place, mut last) = (Some(RunPlace::default()), None);
            while let Some(from) = place.take() {
                let mut found = None;
                part.run.read(from, &mut |next, key, _| {
                    found = Some((next, key)).filter(|_| last != Some(key));
                    place = Some(next);
                    if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })?;
                let Some((next, key)) = found else { break };
                (place, last) = (Some(next), Some(key));
                let mut elsewhere = false;
                for earlier in &self.spill.parts[..at] {
                    elsewhere |= earlier.run.find(key)?.is_some();
                }
                if !elsewhere {
                    each(key)?;
                }
            }
        }
        Ok(())
    }
}
