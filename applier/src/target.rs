//! What a lane needs of the MySQL that it applies to: one connection, as a trait, so that a simulation can stand in for it.

use std::sync::Arc;

use transaction::binlog::{SessionState, TableMap};
use transaction::key::Need;
use transaction::{DdlStatement, Gtid, RegionName, Weights};

use crate::definitions::Definition;
use crate::relations::{ForeignKey, Relations, TableName, UniqueKey};
use crate::session::{MarkerChange, SqlFailure};
use crate::shared::{Passed, Shared};
use crate::tables::{Applied, Suspension};

/// A row image of which only the primary key is filled in; its other columns are NULL.
pub type KeyImage = Vec<u8>;

/// Makes connections to the target.
#[allow(async_fn_in_trait)] // A lane has a thread of its own, so its futures need not be Send.
pub trait Connector {
    /// What it connects to.
    type Target: Target + 'static;

    /// A new connection, ready for row events.
    async fn connect(&self) -> Result<Self::Target, SqlFailure>;
}

/// A lane's connection. Statements between [`Target::begin`] and [`Target::commit`] are one transaction; after any error comes
/// [`Target::rollback`].
#[allow(async_fn_in_trait)] // As above.
pub trait Target {
    /// Takes the right to apply over so many lanes, and reads the markers once no transaction of an earlier connection is in doubt.
    async fn take_ownership(&mut self, owner: u64, lanes: u16) -> Result<Vec<Applied>, SqlFailure>;

    /// Reads how far each origin is applied, whichever lane did it, by a locking read of the markers.
    async fn markers(&mut self) -> Result<Vec<Applied>, SqlFailure>;

    /// Reads the tables that are not applied for now.
    async fn suspensions(&mut self) -> Result<Vec<Suspension>, SqlFailure>;

    /// What ties rows of its tables to each other.
    async fn relations(&mut self) -> Result<Relations, SqlFailure>;

    /// The definition of a table; `None` if it does not exist.
    async fn definition(
        &mut self,
        weights: &Weights,
        schema: &str,
        table: &str,
    ) -> Result<Option<Definition>, SqlFailure>;

    /// Teaches `shared` the weights of texts.
    async fn weigh(&mut self, shared: &Shared, needs: Vec<Need>) -> Result<(), SqlFailure>;

    /// From here on, GTIDs carry the tag of `origin`, where the server has tags.
    async fn use_tag(&mut self, origin: RegionName) -> Result<(), SqlFailure>;

    /// Begins a transaction with the marker's change, and the rows of `binlog` if any. With `gaps`, a locking read of a row
    /// that is not there locks its key all the same.
    async fn begin(
        &mut self,
        change: &MarkerChange,
        gaps: bool,
        binlog: Option<&str>,
    ) -> Result<(), SqlFailure>;

    /// Sends one statement of the transaction.
    async fn send(&mut self, statement: &str) -> Result<(), SqlFailure>;

    /// Sends rows as the session with these variables wrote them; the target's own come back after it.
    async fn send_as(&mut self, rows: &str, session: &SessionState) -> Result<(), SqlFailure>;

    /// Locks rows by their primary key; tells of each whether it is there.
    async fn lock_rows(&mut self, rows: &[(&Arc<TableMap>, &[u8])]) -> Result<Vec<bool>, SqlFailure>;

    /// The row that holds the values which `image` has in `unique`, locked; `None` if there is none, or one of them is NULL.
    async fn holder(
        &mut self,
        table: &TableMap,
        unique: &UniqueKey,
        image: &[u8],
    ) -> Result<Option<KeyImage>, SqlFailure>;

    /// At most `rows_max` rows of `child` that refer by `key` to what `image`, a row of the parent, has in the referenced columns; locked.
    async fn children(
        &mut self,
        key: &ForeignKey,
        child: &TableMap,
        parent: &TableMap,
        image: &[u8],
        rows_max: usize,
    ) -> Result<Vec<KeyImage>, SqlFailure>;

    /// The row of `parent` to which `image`, a row of the child, refers by `key`; locked.
    async fn parent(
        &mut self,
        key: &ForeignKey,
        parent: &TableMap,
        child: &TableMap,
        image: &[u8],
    ) -> Result<Option<KeyImage>, SqlFailure>;

    /// The row with the primary key of `image`, as a row event of `table` would have it, locked; `None` if it is not there.
    async fn row(&mut self, table: &TableMap, image: &[u8]) -> Result<Option<Vec<u8>>, SqlFailure>;

    /// The end of the target's binlog: every writer of a row that this connection has locked is before it.
    async fn binlog_end(&mut self) -> Result<Passed, SqlFailure>;

    /// Changes the marker once more, with the number of row changes sent, and commits.
    async fn commit(&mut self, change: &MarkerChange, row_changes: u64) -> Result<(), SqlFailure>;

    /// Undoes the open transaction.
    async fn rollback(&mut self) -> Result<(), SqlFailure>;

    /// Whether its GTIDs can have tags.
    fn has_tags(&self) -> bool;

    /// Makes a connection for a DDL statement, beside this one.
    async fn begin_ddl(&mut self) -> Result<(), SqlFailure>;

    /// Whether the target has executed a GTID.
    async fn has_executed(&mut self, gtid: &Gtid) -> Result<bool, SqlFailure>;

    /// Locks those of the tables that exist, until [`Target::end_ddl`]: no one else writes to them.
    async fn lock_tables(&mut self, tables: &[TableName]) -> Result<(), SqlFailure>;

    /// Runs a statement under a GTID. If the target has executed that, nothing happens; if another session is about to, this
    /// waits for its end.
    async fn run_ddl(&mut self, gtid: &Gtid, statement: &DdlStatement) -> Result<(), SqlFailure>;

    /// Gives that connection up.
    async fn end_ddl(&mut self);
}
