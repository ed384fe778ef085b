//! The default policy.

use super::Policy;
use crate::fold::{FoldError, Rivals, Row, Version};

/// The newest write in fold order gives the row its image, or its absence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LastWriterWins;

impl Policy for LastWriterWins {
    fn name(&self) -> &'static str {
        "last-writer-wins"
    }

    fn reads_images(&self) -> bool {
        false
    }

    fn newest_decides(&self) -> bool {
        true
    }

    fn step<'a>(&self, _row: Row<'a>, next: Version<'a>, _: Rivals<'a>) -> Result<Row<'a>, FoldError> {
        Ok(Row::As(next))
    }
}
