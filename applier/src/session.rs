//! One connection of a lane: the statements it sends, and what their failures mean.

mod ddl;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use mysql_async::prelude::*;
use mysql_async::{Conn, Error, Row};
use transaction::binlog::{SessionState, TableMap};
use transaction::key::Need;
use transaction::{DdlStatement, Gtid, Halt, Hlc, RecordNumber, RegionName, Sequence, Weights};

use crate::code;
use crate::definitions::{self, Definition};
use crate::locks;
use crate::relations::{ForeignKey, Relations, TableName, UniqueKey};
use crate::shared::{Passed, Shared};
use crate::tables::{self, Applied, Suspension, binlog_end, has_tags};
use crate::target::{Connector, KeyImage, Target};
use crate::text::format_description;

use self::ddl::DdlSession;

/// What a failed statement asks for.
#[derive(Debug, thiserror::Error)]
pub enum SqlFailure {
    /// The connection is gone, or the server cannot take writes now: wait, connect again, read the marker.
    #[error("MySQL is away: {0}")]
    Away(String),
    /// A client held a lock, or a deadlock was broken: roll back and run the transaction again.
    #[error("the transaction lost to a client's lock and runs again: {0}")]
    Locked(String),
    /// A row was there, or was not there, against what the history said: a client changed it meanwhile.
    #[error("a row is not as its history says: {0}")]
    Surprise(String),
    /// Two rows cannot both be there: a unique key or a foreign key is to be settled.
    #[error("a unique key or a foreign key does not allow it: {0}")]
    Clash(String),
    /// The row breaks a CHECK constraint.
    #[error("a CHECK constraint does not allow it: {0}")]
    Check(String),
    /// A table cannot be applied: it is to be suspended, so that the others go on.
    #[error("table {schema}.{table} cannot be applied: {reason}")]
    Table {
        /// Its schema.
        schema: String,
        /// Its name.
        table: String,
        /// Why, and what helps.
        reason: String,
    },
    /// Rows are to be locked before they are decided: roll back and run the transaction again, with that lesson learnt.
    #[error("rows are contested: {0}")]
    Contested(String),
    /// Another process took over.
    #[error(
        "another concord process applies to this MySQL server (marker owner changed); stop one of the two, \
         a region has exactly one"
    )]
    Fenced,
    /// A person must act.
    #[error(transparent)]
    Halt(#[from] Halt),
}

impl SqlFailure {
    /// The halt that is left when trying again does not help.
    pub fn into_halt(self) -> Halt {
        let (code, reason) = match self {
            Self::Away(reason) | Self::Locked(reason) => (code::TARGET_ERROR, reason),
            Self::Surprise(reason) | Self::Contested(reason) => (code::ROW_DIFFERS, reason),
            Self::Clash(reason) => (code::CONSTRAINT_CLASH, reason),
            Self::Check(reason) => (code::CHECK_VIOLATED, reason),
            Self::Table { reason, .. } => (code::TABLE_UNFIT, reason),
            Self::Fenced => (code::FENCED, Self::Fenced.to_string()),
            Self::Halt(halt) => return halt,
        };
        code.halt(reason)
    }
}

impl From<Error> for SqlFailure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match &error {
            Error::Server(server) => match server.code {
                1205 | 1213 | 3572 => Self::Locked(text),
                1032 => Self::Surprise(text),
                // Only the primary key says that the row is there; another unique key says that another row is. The name of the key
                // ends the message; before it stands the value, which may hold anything.
                1062 if server.message.ends_with(".PRIMARY'") => Self::Surprise(text),
                1062 | 1451 | 1452 | 1216 | 1217 | 1761 | 1762 => Self::Clash(text),
                3819 => Self::Check(text),
                1048 if server.message.contains("'owner'") => Self::Fenced,
                // Read-only, shutting down, killed, offline, too many connections.
                1290 | 1836 | 1053 | 1317 | 1927 | 3032 | 3168 | 1040 | 4031 => Self::Away(text),
                1044 | 1045 | 1142 | 1143 | 1227 | 1370 => {
                    Self::Halt(code::TARGET_MISSING_PRIVILEGE.halt(text))
                }
                1021 | 1114 => Self::Halt(code::TARGET_DISK_FULL.halt(text)),
                _ => Self::Halt(code::TARGET_ERROR.halt(text)),
            },
            Error::Io(_) => Self::Away(text),
            Error::Driver(
                mysql_async::DriverError::ConnectionClosed | mysql_async::DriverError::PoolDisconnected,
            ) => Self::Away(text),
            _ => Self::Halt(code::TARGET_ERROR.halt(text)),
        }
    }
}

/// The variables on which it depends what the server reads and computes.
const OWN_VARIABLES: &str = "SET SESSION time_zone = '+00:00', SESSION lc_time_names = 'en_US', \
     SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'";

/// What the first and the last statement of a transaction put into the marker.
#[derive(Debug, Clone, Copy)]
pub struct MarkerChange {
    /// Over which lane.
    pub lane: u16,
    /// Whose transactions are applied.
    pub origin: RegionName,
    /// The last of them.
    pub sequence: Sequence,
    /// Its record.
    pub record: RecordNumber,
    /// The newest stamp among them.
    pub hlc: Hlc,
    /// The process that applies.
    pub owner: u64,
}

impl MarkerChange {
    /// The statement that changes it. A foreign owner makes the column NULL, which strict mode refuses: so a fenced process cannot go on.
    fn statement(&self) -> String {
        let Self { lane, origin, sequence, record, hlc, owner } = self;
        format!(
            "UPDATE concord.marker SET sequence = {sequence}, record = {record}, hlc = {hlc}, changes = changes + 1, \
             owner = IF(owner = {owner}, owner, NULL) WHERE lane = {lane} AND origin = '{origin}'"
        )
    }
}

/// Makes a new connection to the target.
pub type Connect =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Conn, mysql_async::Error>> + Send>> + Send + Sync>;

/// Connects lanes to a MySQL server.
pub struct MySql(pub Connect);

impl Connector for MySql {
    type Target = Session;

    async fn connect(&self) -> Result<Session, SqlFailure> {
        Session::open((self.0)().await?, self.0.clone()).await
    }
}

/// A lane's connection, prepared for row events.
pub struct Session {
    conn: Conn,
    tags: bool,
    tag: Option<RegionName>,
    connect: Connect,
    /// While a DDL statement is about to run, its connection.
    ddl: Option<DdlSession>,
}

impl Session {
    pub(crate) async fn open(mut conn: Conn, connect: Connect) -> Result<Self, SqlFailure> {
        let row: Option<(String, String, String)> =
            conn.query_first("SELECT VERSION(), @@binlog_row_image, @@binlog_row_value_options").await?;
        let (version, image, options) = row.unwrap_or_default();
        if image != "FULL" || !options.is_empty() {
            conn.query_drop("SET SESSION binlog_row_image = 'FULL', SESSION binlog_row_value_options = ''")
                .await?;
        }
        conn.query_drop(
            "SET SESSION transaction_isolation = 'READ-COMMITTED', SESSION innodb_lock_wait_timeout = 5, \
             SESSION lock_wait_timeout = 5, NAMES utf8mb4, SESSION character_set_results = NULL",
        )
        .await?;
        conn.query_drop(OWN_VARIABLES).await?;
        conn.query_drop(format_description()).await?;
        // The format description leaves gtid_next undetermined (error 1782 otherwise, seen).
        conn.query_drop("SET gtid_next = 'AUTOMATIC'").await?;
        Ok(Self { conn, tags: has_tags(&version), tag: None, connect, ddl: None })
    }

    fn ddl_session(&mut self) -> Result<&mut DdlSession, SqlFailure> {
        self.ddl.as_mut().ok_or_else(|| SqlFailure::Away("no connection for DDL".into()))
    }

    /// Rows affected by each statement of a text.
    async fn run(&mut self, text: &str) -> Result<Vec<u64>, SqlFailure> {
        let mut affected = Vec::new();
        let mut result = self.conn.query_iter(text).await?;
        loop {
            affected.push(result.affected_rows());
            // True at the last statement, also when it is the first.
            if result.is_empty() {
                break;
            }
            result.collect::<Row>().await?;
        }
        Ok(affected)
    }
}

impl Target for Session {
    async fn take_ownership(&mut self, owner: u64, lanes: u16) -> Result<Vec<Applied>, SqlFailure> {
        tables::take_ownership(&mut self.conn, owner, lanes).await?;
        self.markers().await
    }

    async fn markers(&mut self) -> Result<Vec<Applied>, SqlFailure> {
        Ok(tables::applied(&mut self.conn).await?)
    }

    async fn suspensions(&mut self) -> Result<Vec<Suspension>, SqlFailure> {
        Ok(tables::suspensions(&mut self.conn).await?)
    }

    async fn relations(&mut self) -> Result<Relations, SqlFailure> {
        Ok(Relations::read(&mut self.conn).await?)
    }

    async fn definition(
        &mut self,
        weights: &Weights,
        schema: &str,
        table: &str,
    ) -> Result<Option<Definition>, SqlFailure> {
        Ok(definitions::read(&mut self.conn, weights, schema, table).await?)
    }

    async fn weigh(&mut self, shared: &Shared, needs: Vec<Need>) -> Result<(), SqlFailure> {
        Ok(definitions::learn(&mut self.conn, shared, needs).await?)
    }

    /// From here on, GTIDs carry the tag of `origin`, where the server has tags.
    async fn use_tag(&mut self, origin: RegionName) -> Result<(), SqlFailure> {
        if self.tags && self.tag != Some(origin) {
            self.conn.query_drop(format!("SET gtid_next = 'AUTOMATIC:{origin}'")).await?;
            self.tag = Some(origin);
        }
        Ok(())
    }

    /// Begins a transaction with the marker's change, and the rows of `binlog` if any, in one round trip.
    ///
    /// With `gaps`, a locking read of a row that is not there locks its key all the same (REPEATABLE READ, seen).
    async fn begin(
        &mut self,
        change: &MarkerChange,
        gaps: bool,
        binlog: Option<&str>,
    ) -> Result<(), SqlFailure> {
        let isolation = if gaps { "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; " } else { "" };
        #[cfg(feature = "canary")]
        if canary::makes(canary::Mistake::MarkerAfterCommit) {
            let rows = binlog.map(|rows| format!("; {rows}")).unwrap_or_default();
            return self.run(&format!("{isolation}BEGIN{rows}")).await.map(|_| ());
        }
        let mut text = format!("{isolation}BEGIN; {}", change.statement());
        if let Some(binlog) = binlog {
            // The BINLOG comes last: a statement after it in one text puts the protocol out of step (seen).
            text.push_str("; ");
            text.push_str(binlog);
        }
        let affected = self.run(&text).await?;
        if affected.get(1 + usize::from(gaps)) != Some(&1) {
            let missing = code::MARKER_MISSING.halt(format_args!(
                "the marker of origin {} is missing in concord.marker: without it applied work would look local. \
                 Restore the row, or re-seed this region",
                change.origin
            ));
            return Err(missing.into());
        }
        Ok(())
    }

    /// Sends rows.
    async fn send(&mut self, binlog: &str) -> Result<(), SqlFailure> {
        Ok(self.conn.query_drop(binlog).await?)
    }

    async fn send_as(&mut self, rows: &str, session: &SessionState) -> Result<(), SqlFailure> {
        let SessionState { sql_mode, time_zone, lc_time_names, .. } = session;
        let mut set = Vec::new();
        set.extend(sql_mode.map(|mode| format!("SESSION sql_mode = {mode}")));
        set.extend(
            time_zone.as_ref().map(|zone| format!("SESSION time_zone = '{}'", zone.replace('\'', "''"))),
        );
        set.extend(lc_time_names.map(|number| format!("SESSION lc_time_names = {number}")));
        if set.is_empty() {
            return self.send(rows).await;
        }
        let sent = self.run(&format!("SET {}; {rows}", set.join(", "))).await;
        // Whatever became of it: what this session reads and writes itself depends on its own.
        self.conn.query_drop(OWN_VARIABLES).await?;
        sent.map(|_| ())
    }

    async fn lock_rows(&mut self, rows: &[(&Arc<TableMap>, &[u8])]) -> Result<Vec<bool>, SqlFailure> {
        locks::rows(&mut self.conn, rows).await
    }

    async fn holder(
        &mut self,
        table: &TableMap,
        unique: &UniqueKey,
        image: &[u8],
    ) -> Result<Option<KeyImage>, SqlFailure> {
        locks::holder(&mut self.conn, table, unique, image).await
    }

    async fn children(
        &mut self,
        key: &ForeignKey,
        child: &TableMap,
        parent: &TableMap,
        image: &[u8],
        rows_max: usize,
    ) -> Result<Vec<KeyImage>, SqlFailure> {
        locks::children(&mut self.conn, key, child, parent, image, rows_max).await
    }

    async fn parent(
        &mut self,
        key: &ForeignKey,
        parent: &TableMap,
        child: &TableMap,
        image: &[u8],
    ) -> Result<Option<KeyImage>, SqlFailure> {
        locks::parent(&mut self.conn, key, parent, child, image).await
    }

    async fn row(&mut self, table: &TableMap, image: &[u8]) -> Result<Option<Vec<u8>>, SqlFailure> {
        locks::row(&mut self.conn, table, image).await
    }

    async fn binlog_end(&mut self) -> Result<Passed, SqlFailure> {
        let end = binlog_end(&mut self.conn, self.tags).await?;
        end.ok_or_else(|| code::TARGET_ERROR.halt("the server has no binary log; set log_bin").into())
    }

    /// Changes the marker once more, with the number of row changes sent, and commits.
    async fn commit(&mut self, change: &MarkerChange, row_changes: u64) -> Result<(), SqlFailure> {
        let MarkerChange { lane, origin, owner, .. } = change;
        let text = format!(
            "UPDATE concord.marker SET changes = changes + 1, row_changes = {row_changes}, \
             owner = IF(owner = {owner}, owner, NULL) WHERE lane = {lane} AND origin = '{origin}'; COMMIT"
        );
        #[cfg(feature = "canary")]
        let text = match canary::makes(canary::Mistake::MarkerAfterCommit) {
            true => format!("COMMIT; {}", change.statement()),
            false => text,
        };
        match self.run(&text).await {
            Ok(_) => Ok(()),
            // The marker's change was refused, so COMMIT was not reached.
            Err(failure @ (SqlFailure::Locked(_) | SqlFailure::Fenced)) => Err(failure),
            // Anything else may have come from COMMIT itself: only the marker tells whether it took effect.
            Err(failure) => Err(SqlFailure::Away(failure.to_string())),
        }
    }

    fn has_tags(&self) -> bool {
        self.tags
    }

    async fn begin_ddl(&mut self) -> Result<(), SqlFailure> {
        self.ddl = Some(DdlSession::new((self.connect)().await?));
        Ok(())
    }

    async fn has_executed(&mut self, gtid: &Gtid) -> Result<bool, SqlFailure> {
        let executed: Option<bool> =
            self.conn.query_first(format!("SELECT GTID_SUBSET('{gtid}', @@GLOBAL.gtid_executed)")).await?;
        Ok(executed == Some(true))
    }

    async fn lock_tables(&mut self, tables: &[TableName]) -> Result<(), SqlFailure> {
        self.ddl_session()?.lock(tables).await
    }

    async fn run_ddl(&mut self, gtid: &Gtid, statement: &DdlStatement) -> Result<(), SqlFailure> {
        self.ddl_session()?.run(gtid, statement).await
    }

    async fn end_ddl(&mut self) {
        if let Some(session) = self.ddl.take() {
            // If it is gone already, so are its locks.
            let _ = session.conn.disconnect().await;
        }
    }

    /// Undoes the open transaction. After any error this comes first.
    async fn rollback(&mut self) -> Result<(), SqlFailure> {
        Ok(self.conn.query_drop("ROLLBACK").await?)
    }
}

#[cfg(test)]
mod tests {
    use mysql_async::ServerError;

    use super::*;

    #[test]
    fn only_the_name_of_the_key_says_which_key_a_duplicate_is_of() {
        let failure = |message: &str| {
            let error = ServerError { code: 1062, message: message.to_owned(), state: "23000".to_owned() };
            SqlFailure::from(Error::Server(error))
        };
        let primary = failure("Duplicate entry '1' for key 't.PRIMARY'");
        assert!(matches!(primary, SqlFailure::Surprise(_)), "{primary}");
        for other in
            ["'a' for key 't.email'", "'a.PRIMARY' for key 't.email'", "'1' for key 't.PRIMARY'.email'"]
        {
            let other = failure(&format!("Duplicate entry {other}"));
            assert!(matches!(other, SqlFailure::Clash(_)), "{other}");
        }
    }
}
