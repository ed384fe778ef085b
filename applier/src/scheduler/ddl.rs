//! A DDL statement of another origin: a barrier in its order.

use std::time::Duration;

use conflict::{DdlWrite, TableClash};
use transaction::ddl::ObjectKind;
use transaction::{DdlStatement, RegionName};

use super::{RETRY_FIRST, RETRY_MAX, Scheduler, Stop};
use crate::code;
use crate::ddl::gtid;
use crate::effect::SourceTransaction;
use crate::feed::Large;
use crate::lane::Lane;
use crate::parts::Parts;
use crate::progress::State;
use crate::relations::TableName;
use crate::session::SqlFailure;
use crate::target::{Connector, Target};

/// How long the extractor has to pass the last writer of a locked table.
const PASS_TIMEOUT: Duration = Duration::from_secs(5);

impl<C: Connector> Scheduler<C> {
    /// Runs the statement of a transaction, unless the server has run it before. Its marker, and rows if it has any, are to
    /// follow.
    pub(crate) async fn run_ddl(
        &mut self,
        origin: RegionName,
        source: &SourceTransaction,
        statement: &DdlStatement,
    ) -> Result<(), Stop> {
        let start = statement.start();
        self.report(origin, State::Waiting { reason: format!("its DDL statement to end: {start}") });
        let mut delay = RETRY_FIRST;
        loop {
            if *self.setup.shutdown.borrow() {
                return Err(Stop::Shutdown);
            }
            let failure = match self.try_ddl(origin, source, statement).await {
                Ok(()) => break,
                Err(failure) => failure,
            };
            // Its locks, and its GTID, go with its connection.
            if let Some(Lane { target, .. }) = &mut self.lane {
                target.end_ddl().await;
            }
            match failure {
                DdlFailure::Clash(clash) => {
                    return Err(self.suspend_clashing(source, origin, statement, &clash).await);
                }
                DdlFailure::Sql(SqlFailure::Locked(reason)) => {
                    let reason = format!("a lock for its DDL statement {start:?}: {reason}");
                    self.report(origin, State::Waiting { reason });
                    self.pause(delay).await;
                    delay = (delay * 2).min(RETRY_MAX);
                }
                DdlFailure::Sql(SqlFailure::Away(reason)) => return Err(Stop::Away(reason)),
                DdlFailure::Sql(SqlFailure::Fenced) => return Err(Stop::Fenced),
                DdlFailure::Sql(failure) => {
                    self.lane = None;
                    let failed = code::DDL_FAILED.halt(format_args!(
                        "transaction {} of {origin} (GTID {}, record {}): DDL fails here: {failure}: {start:?}. Remove what is in its \
                         way, then resume; or pass over it with `concord skip`",
                        source.sequence, source.gtid, source.record
                    ));
                    return Err(failed.into());
                }
            }
        }
        tracing::info!("origin {origin}: {start}");
        self.setup.shared.definitions_changed();
        let write = DdlWrite::new(origin, source.sequence, statement);
        self.setup.shared.tables.lock().ran(write);
        Ok(())
    }

    /// The same for a large transaction: CREATE TABLE … SELECT, of which the statement comes first.
    pub(crate) async fn run_ddl_of(
        &mut self,
        origin: RegionName,
        large: &Large,
        parts: &Parts<'_>,
    ) -> Result<(), Stop> {
        let Some(Lane { target, .. }) = &mut self.lane else {
            return Err(Stop::Away("not connected".into()));
        };
        let first = match parts.load(0, &self.setup, target).await {
            Ok(first) => first,
            Err(failure) => return Err(self.stop(failure)),
        };
        match first.statement.clone() {
            Some(statement) => self.run_ddl(origin, &large.transaction, &statement).await,
            None => Ok(()),
        }
    }

    async fn try_ddl(
        &mut self,
        origin: RegionName,
        source: &SourceTransaction,
        statement: &DdlStatement,
    ) -> Result<(), DdlFailure> {
        self.clash(origin, source, statement)?;
        let Some(Lane { target, .. }) = &mut self.lane else {
            return Err(SqlFailure::Away("not connected".into()).into());
        };
        let gtid = gtid(&self.setup.ddl_sources, origin, source.sequence, target.has_tags());
        target.begin_ddl().await?;
        if statement.loses && !target.has_executed(&gtid).await? {
            // From here on no client writes to it, and every write before has been looked at.
            let tables: Vec<TableName> =
                statement.tables().map(|object| (object.schema.clone(), object.name.clone())).collect();
            target.lock_tables(&tables).await?;
            let end = target.binlog_end().await?;
            let mut passed = self.setup.shared.passed.subscribe();
            let reached =
                tokio::time::timeout(PASS_TIMEOUT, passed.wait_for(|passed| passed.reaches(&end))).await;
            if !matches!(reached, Ok(Ok(_))) {
                return Err(SqlFailure::Locked("the extractor is behind; the locks are let go".into()).into());
            }
            drop(reached);
            self.clash(origin, source, statement)?;
        }
        let Some(Lane { target, .. }) = &mut self.lane else {
            return Err(SqlFailure::Away("not connected".into()).into());
        };
        target.run_ddl(&gtid, statement).await?;
        target.end_ddl().await;
        Ok(())
    }

    /// Whether something that the statement drops or changes was changed by someone who had not seen it, nor it them. Once a
    /// person lets a table go on, that is settled.
    fn clash(
        &self,
        origin: RegionName,
        source: &SourceTransaction,
        statement: &DdlStatement,
    ) -> Result<(), DdlFailure> {
        if self.catching_up.is_some() {
            return Ok(());
        }
        match self.setup.shared.tables.lock().clash_of_ddl(statement, origin, &source.context) {
            Some(clash) => Err(DdlFailure::Clash(clash)),
            None => Ok(()),
        }
    }

    async fn suspend_clashing(
        &mut self,
        source: &SourceTransaction,
        origin: RegionName,
        statement: &DdlStatement,
        clash: &TableClash,
    ) -> Stop {
        let other = match clash {
            TableClash::Write { table, origin, sequence } => {
                format!("transaction {sequence} of {origin}, which writes to {table}")
            }
            TableClash::Ddl(other) => {
                format!("transaction {} of {}, which is {:?}", other.sequence, other.origin, other.start)
            }
        };
        let reason = format!(
            "transaction {} of {origin} is {:?}; neither had seen {other}, nor that it. Make the table what it is to be in \
             every region, then resume it: the statement runs here then, if it is still to run",
            source.sequence,
            statement.start()
        );
        if statement.objects.iter().any(|object| object.kind != ObjectKind::Table) {
            let reason = format!("{reason}; or pass over it with `concord skip`");
            return code::DDL_NOT_CARRIED.halt(reason).into();
        }
        let tables: Vec<TableName> =
            statement.tables().map(|object| (object.schema.clone(), object.name.clone())).collect();
        match self.suspend(&tables, &reason).await {
            Ok(()) => Stop::Again,
            Err(failure) => self.stop(failure),
        }
    }
}

/// Why a statement did not run.
enum DdlFailure {
    Clash(TableClash),
    Sql(SqlFailure),
}

impl From<SqlFailure> for DdlFailure {
    fn from(failure: SqlFailure) -> Self {
        Self::Sql(failure)
    }
}
