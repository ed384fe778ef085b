//! The modifiers delete-wins and update-wins, around any policy.

use std::sync::Arc;

use transaction::binlog::Column;

use super::Policy;
use crate::fold::{FoldError, Rivals, Row, Version};

/// What becomes of a client's delete that is concurrent with other writes of the row.
///
/// Repairs are no one's wish to delete: they go by the policy itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deletes {
    /// What the policy itself says of deletes.
    #[default]
    ByRule,
    /// The row goes, and stays away (delete-wins).
    Win,
    /// The row stays, or is put back (update-wins).
    Lose,
}

impl Deletes {
    /// The policy with this modifier around it.
    pub fn around(self, policy: Arc<dyn Policy>) -> Arc<dyn Policy> {
        match self {
            Self::ByRule => policy,
            Self::Win => Arc::new(DeleteWins(policy)),
            Self::Lose => Arc::new(UpdateWins(policy)),
        }
    }
}

fn is_delete(version: &Version<'_>) -> bool {
    !version.live() && version.write().repair.is_none()
}

#[derive(Debug)]
struct DeleteWins(Arc<dyn Policy>);

impl Policy for DeleteWins {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn rule(&self) -> String {
        format!("{} + delete-wins", self.0.rule())
    }

    fn reads_images(&self) -> bool {
        self.0.reads_images()
    }

    fn check(&self, columns: &[Column]) -> Result<(), String> {
        self.0.check(columns)
    }

    fn step<'a>(&self, row: Row<'a>, next: Version<'a>, rivals: Rivals<'a>) -> Result<Row<'a>, FoldError> {
        match row {
            Row::Halted => self.0.step(row, next, rivals),
            _ if is_delete(&next) => Ok(Row::As(next)),
            _ if next.live() && !row.live() && rivals.iter().any(|rival| is_delete(&rival)) => Ok(row),
            _ => self.0.step(row, next, rivals),
        }
    }
}

#[derive(Debug)]
struct UpdateWins(Arc<dyn Policy>);

impl Policy for UpdateWins {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn rule(&self) -> String {
        format!("{} + update-wins", self.0.rule())
    }

    fn reads_images(&self) -> bool {
        self.0.reads_images()
    }

    fn check(&self, columns: &[Column]) -> Result<(), String> {
        self.0.check(columns)
    }

    fn step<'a>(&self, row: Row<'a>, next: Version<'a>, rivals: Rivals<'a>) -> Result<Row<'a>, FoldError> {
        match row {
            Row::Halted => self.0.step(row, next, rivals),
            _ if is_delete(&next) && row.live() && rivals.iter().any(|rival| rival.live()) => Ok(row),
            _ if next.live() && !row.live() && rivals.iter().any(|rival| is_delete(&rival)) => {
                Ok(Row::As(next))
            }
            _ => self.0.step(row, next, rivals),
        }
    }
}
