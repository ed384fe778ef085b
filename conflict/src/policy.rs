//! The rules by which a history becomes a row.

mod columns;
mod deletes;
mod halt;
mod last_writer_wins;
mod region_owned;

use std::fmt;

pub use columns::Columns;
pub use deletes::Deletes;
pub use halt::Halt;
pub use last_writer_wins::LastWriterWins;
pub use region_owned::RegionOwned;
use transaction::binlog::Column;

use crate::fold::{FoldError, Row, Version};

/// A step function over a history in fold order. See the module's text for its obligations.
pub trait Policy: Send + Sync + fmt::Debug {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;

    /// What a report says that decided: the name, and the modifier if there is one.
    fn rule(&self) -> String {
        self.name().to_owned()
    }

    /// Whether `step` looks at images at all. If not, a fold may be given [`crate::NoImages`].
    fn reads_images(&self) -> bool;

    /// Whether `step` takes every write as it is, whatever came before: the row is then as the newest write left it.
    ///
    /// It saves telling the story of a row that many wrote; it must agree with `step`.
    fn newest_decides(&self) -> bool {
        false
    }

    /// Why the policy cannot be used for a table with these columns, if it cannot: a column and the reason.
    fn check(&self, columns: &[Column]) -> Result<(), String> {
        let _ = columns;
        Ok(())
    }

    /// The row after `next`, which is concurrent with the writes before it in `concurrent`, in fold order, at least one.
    fn step<'a>(
        &self,
        row: Row<'a>,
        next: Version<'a>,
        concurrent: &[Version<'a>],
    ) -> Result<Row<'a>, FoldError>;
}
