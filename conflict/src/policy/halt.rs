//! The policy that leaves a conflict to a person.

use super::Policy;
use crate::fold::{FoldError, Row, Version};

/// Concurrent writes leave the row undecided, until a write comes that has seen them all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Halt;

impl Policy for Halt {
    fn name(&self) -> &'static str {
        "halt"
    }

    fn reads_images(&self) -> bool {
        false
    }

    fn step<'a>(
        &self,
        row: Row<'a>,
        next: Version<'a>,
        concurrent: &[Version<'a>],
    ) -> Result<Row<'a>, FoldError> {
        // Several regions may settle one clash, each by removing the same row: no one disagrees.
        let removes = |version: &Version<'_>| version.write().repair.is_some() && !version.live();
        Ok(match row {
            Row::As(_) if !row.live() && removes(&next) && concurrent.iter().all(removes) => Row::As(next),
            _ => Row::Halted,
        })
    }
}
