//! Laws broken on purpose: each must make some schedule diverge, or the schedules prove nothing.

use conflict::{FoldError, Policy, Rivals, Row, Story, Version};

/// A mistake made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// A write is forgotten as soon as it alone is stable.
    PruneAlone,
    /// Contexts of records that are received but not applied count for stability.
    ReadAhead,
    /// Law 1: the policy's step looks at who is asking.
    Impure,
    /// Law 2: writes go through the policy's step though they are concurrent with nothing.
    NotTaken,
    /// The incoming write is compared with the present row's writer alone.
    Pairwise,
    /// What loses for its unique key is removed, and no repair written.
    NoRepair,
    /// Repairs stand where the loser's write does: the loser may come after what settled it.
    RepairAtOwnTime,
}

/// A policy whose answer depends on the region.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) me: usize,
}

impl Policy for Partial {
    fn name(&self) -> &'static str {
        "partial"
    }

    fn reads_images(&self) -> bool {
        false
    }

    fn step<'a>(&self, row: Row<'a>, next: Version<'a>, _: Rivals<'a>) -> Result<Row<'a>, FoldError> {
        Ok(if self.me == 0 { row } else { Row::As(next) })
    }
}

/// A story in which every write is concurrent with all before it.
pub(crate) fn without_law_2(mut story: Story) -> Story {
    story.start = 0;
    for (at, chapter) in story.writes.iter_mut().enumerate() {
        chapter.concurrent = (0..at).collect();
    }
    story
}
