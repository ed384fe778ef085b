//! The policy that leaves a conflict to a person.

use super::Policy;
use crate::fold::{FoldError, Rivals, Row, Version};

/// Concurrent writes leave the row undecided, until a write comes that has seen them all, or a repair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Halt;

impl Policy for Halt {
    fn name(&self) -> &'static str {
        "halt"
    }

    fn reads_images(&self) -> bool {
        false
    }

    fn step<'a>(&self, _row: Row<'a>, next: Version<'a>, _rivals: Rivals<'a>) -> Result<Row<'a>, FoldError> {
        // A repair is a decision: of a unique key or foreign key, or a person's. Of several the newest holds.
        Ok(if next.write().repair.is_some() { Row::As(next) } else { Row::Halted })
    }
}
