//! The default policy.

use super::Policy;
use crate::Write;
use crate::history::Concurrent;

/// The newest write in fold order gives the row its image, or its absence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LastWriterWins;

impl Policy for LastWriterWins {
    type Row = Write;

    fn take(&self, next: &Write) -> Write {
        *next
    }

    fn step(&self, _row: Write, next: &Write, _concurrent: Concurrent<'_>) -> Write {
        *next
    }

    fn decides(&self, _next: &Write) -> bool {
        true
    }
}
