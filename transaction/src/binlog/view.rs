//! Tables and rows seen otherwise than they are in a log: under another name, with fewer columns or rows.

use std::fmt;
use std::sync::Arc;

use super::EventError;
use super::rows::RowChange;
use super::table_map::TableMap;

/// Decides how tables are seen. Whoever reads a log through a view sees nothing of what the view leaves out.
pub trait View: fmt::Debug + Send + Sync {
    /// How the rows of a table are seen; `None`: as they are.
    fn of(&self, table: &TableMap) -> Result<Option<Arc<dyn TableView>>, EventError>;
}

/// Rows before and after, as a view shows them.
pub type SeenChange = (Option<Vec<u8>>, Option<Vec<u8>>);

/// How one table is seen.
pub trait TableView: fmt::Debug + Send + Sync {
    /// Its layout as it is seen.
    fn table(&self) -> &Arc<TableMap>;

    /// A row change as it is seen, in that layout; both `None` if it is not seen at all.
    fn change(&self, change: &RowChange<'_>) -> Result<SeenChange, EventError>;
}
