//! Deliberate mistakes, so that it shows whether the tests with real servers would notice them.
//!
//! **What it is.** The names of the mistakes, and which one this process makes. Each mistake is a few lines beside the code that it
//! breaks, which only feature `canary` of that crate compiles. `make canaries` plays each and fails if nobody notices.
//!
//! **What it is not.** Part of the product: without the feature, no crate links this one. It reads no environment: `replicator`
//! does, and says here what it found, once.
//!
//! **Invariants.**
//! - A process makes one mistake at most, and the same one from its start to its end.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What may be done wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// A lane commits its rows, and changes the marker in a transaction of its own after that.
    MarkerAfterCommit,
    /// A lane commits without waiting for the extractor and looking again.
    NoSecondLook,
    /// Contested rows are read without locking them, so that one which stays as it is remains open to clients.
    UnlockedKeys,
    /// What any single region has counts as causally stable.
    EarlyPruning,
    /// The last record of a log counts as whole by what its header says, though the file ends before that.
    TornTailAccepted,
    /// Now and then, a rows event is sent without its table map.
    MapOmitted,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::MarkerAfterCommit,
        Self::NoSecondLook,
        Self::UnlockedKeys,
        Self::EarlyPruning,
        Self::TornTailAccepted,
        Self::MapOmitted,
    ];

    /// The name by which a person asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MarkerAfterCommit => "marker-after-commit",
            Self::NoSecondLook => "no-second-look",
            Self::UnlockedKeys => "unlocked-keys",
            Self::EarlyPruning => "early-pruning",
            Self::TornTailAccepted => "torn-tail-accepted",
            Self::MapOmitted => "map-omitted",
        }
    }

    /// The mistake of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mistake| mistake.name() == name)
    }
}

static MADE: OnceLock<Mistake> = OnceLock::new();

/// From now on this process makes that mistake. Returns whether it makes none but that.
pub fn make(mistake: Mistake) -> bool {
    *MADE.get_or_init(|| mistake) == mistake
}

/// Whether this process makes that mistake.
pub fn makes(mistake: Mistake) -> bool {
    MADE.get() == Some(&mistake)
}

/// Whether this process makes that mistake now: at every `nth` time of asking.
pub fn makes_at_every(nth: u64, mistake: Mistake) -> bool {
    static ASKED: AtomicU64 = AtomicU64::new(1);
    makes(mistake) && ASKED.fetch_add(1, Ordering::Relaxed).is_multiple_of(nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_found_by_its_name() {
        for mistake in Mistake::ALL {
            assert_eq!(Mistake::named(mistake.name()), Some(mistake));
        }
        assert_eq!(Mistake::named("none"), None);
    }

    #[test]
    fn a_process_makes_one_mistake_and_keeps_to_it() {
        assert!(make(Mistake::MapOmitted));
        assert!(!make(Mistake::EarlyPruning));
        assert!(makes(Mistake::MapOmitted) && !makes(Mistake::EarlyPruning));
        let made: Vec<bool> = (0..6).map(|_| makes_at_every(3, Mistake::MapOmitted)).collect();
        assert_eq!(made, [false, false, true, false, false, true]);
    }
}
