//! Tables that are not applied for now: how a lane stops applying one, and how it catches up.
//!
//! The rows of `concord.suspension` say per table and origin up to where it is applied. They change in the same transaction as
//! the rows that were caught up, so a crash neither loses nor repeats one; and the extractor reads them off the binlog, so
//! that every record of this region says what its contexts do not cover.

use std::sync::Arc;

use transaction::{Hlc, RecordNumber, RegionName, Sequence, Suspended};

use crate::code;
use crate::effect::{Carries, Rules};
use crate::feed::{Feed, FeedError, Gate, Next, Reach};
use crate::lane::Lane;
use crate::parts::Parts;
use crate::relations::TableName;
use crate::scheduler::{Scheduler, Stop};
use crate::session::{MarkerChange, SqlFailure};
use crate::tables::{Applied, Suspension};
use crate::target::{Connector, Target};

/// A person's decision of all rows that the policy `halt` left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decide {
    /// The newest write in fold order.
    Newest,
    /// The row as it is in this region.
    Here,
    /// The row as the held-back writes leave it.
    Incoming,
}

/// A table that is being caught up: its transactions change these things beside its rows.
#[derive(Clone)]
pub(crate) struct CatchUp {
    /// Tables that are joined by foreign keys stop and go on together.
    pub(crate) tables: Vec<TableName>,
    pub(crate) decide: Option<Decide>,
    /// Only its rows.
    pub(crate) carries: Carries,
    /// The markers, which stay where they are.
    pub(crate) markers: Vec<Applied>,
}

impl CatchUp {
    /// The marker's change of a transaction that catches up with `origin`.
    pub(crate) fn marker(&self, origin: RegionName, owner: u64) -> Result<MarkerChange, SqlFailure> {
        let marker = self.markers.iter().find(|marker| marker.origin == origin);
        let Applied { sequence, record, hlc, .. } = *marker
            .ok_or_else(|| code::MARKER_MISSING.halt(format_args!("origin {origin} has no marker")))?;
        Ok(MarkerChange { lane: 0, origin, sequence, record, hlc, owner })
    }

    /// The statement that says how far the table is.
    pub(crate) fn statement(&self, origin: RegionName, sequence: Sequence) -> String {
        format!(
            "UPDATE concord.suspension SET sequence = {sequence} WHERE origin = '{origin}' AND {}",
            among(&self.tables)
        )
    }
}

/// A text as a binary string, which compares with the columns of `concord.suspension` whatever the session.
fn literal(text: &str) -> String {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("_utf8mb4 x'{hex}'")
}

/// Names in a message.
fn all_of(tables: &[TableName]) -> String {
    let names: Vec<String> = tables.iter().map(|(schema, table)| format!("{schema}.{table}")).collect();
    names.join(", ")
}

/// The condition of being one of these tables.
fn among(tables: &[TableName]) -> String {
    let names: Vec<String> =
        tables.iter().map(|(schema, table)| format!("({}, {})", literal(schema), literal(table))).collect();
    format!("(table_schema, table_name) IN ({})", names.join(", "))
}

impl<C: Connector> Scheduler<C> {
    /// Reads which tables are suspended, and lets the others through.
    pub(crate) async fn read_suspensions(&mut self) -> Result<(), SqlFailure> {
        let Some(Lane { target, .. }) = &mut self.lane else {
            return Err(SqlFailure::Away("not connected".into()));
        };
        let suspensions = target.suspensions().await?;
        self.show_suspensions(suspensions);
        Ok(())
    }

    fn show_suspensions(&mut self, suspensions: Vec<Suspension>) {
        let suspended: Arc<Suspended> =
            Arc::new(suspensions.iter().map(|suspension| suspension.table.clone()).collect());
        self.suspended = suspended.clone();
        let carries = self.setup.carries.clone();
        self.carries =
            Arc::new(move |schema, table| carries(schema, table) && suspended.get(schema, table).is_none());
        self.setup.suspensions.send_if_modified(|shown| {
            let changed = *shown != suspensions;
            *shown = suspensions;
            changed
        });
    }

    /// From here on these tables are not applied, nor are those that foreign keys join to them: a row that is held back would
    /// look like one that is gone. They go on together.
    pub(crate) async fn suspend(&mut self, named: &[TableName], reason: &str) -> Result<(), SqlFailure> {
        if named.iter().all(|(schema, table)| self.suspended.get(schema, table).is_some()) {
            return Ok(());
        }
        let (owner, since) = (self.setup.owner, (self.setup.now_us)());
        let origins = self.setup.origins.clone();
        let Some(Lane { target, .. }) = &mut self.lane else {
            return Err(SqlFailure::Away("not connected".into()));
        };
        let relations = target.relations().await?;
        let mut tables: Vec<TableName> = Vec::new();
        for name in named.iter().flat_map(|(schema, table)| relations.joined(schema, table)) {
            let fresh =
                (self.setup.carries)(&name.0, &name.1) && self.suspended.get(&name.0, &name.1).is_none();
            if fresh && !tables.contains(&name) {
                tables.push(name);
            }
        }
        let markers = target.markers().await?;
        let Some(first) = markers.iter().find(|marker| origins.contains(&marker.origin)) else {
            let early =
                format!("table {} cannot be suspended before a first origin is applied", all_of(named));
            return Err(code::MARKER_MISSING.halt(early).into());
        };
        let Applied { origin, sequence, record, hlc } = *first;
        target.use_tag(origin).await?;
        let change = MarkerChange { lane: 0, origin, sequence, record, hlc, owner };
        target.begin(&change, false, None).await?;
        let reason: String = reason.chars().take(1000).collect();
        for (joined_schema, joined_table) in &tables {
            let is_named =
                named.iter().any(|(schema, table)| (schema, table) == (joined_schema, joined_table));
            let reason = match is_named {
                true => reason.clone(),
                false => format!("joined by foreign keys to {}, which is suspended", all_of(named)),
            };
            for origin in &origins {
                let marker = markers.iter().find(|marker| marker.origin == *origin);
                let sequence = marker.map(|marker| marker.sequence).unwrap_or_default();
                target
                    .send(&format!(
                        "INSERT INTO concord.suspension VALUES ({}, {}, '{origin}', {sequence}, {}, {since})",
                        literal(joined_schema),
                        literal(joined_table),
                        literal(&reason)
                    ))
                    .await?;
            }
        }
        target.commit(&change, 0).await?;
        tracing::error!("table {} is suspended: {reason}", all_of(named));
        self.read_suspensions().await
    }

    /// Applies what was held back of a table, origin by origin as causality asks, and lets it through again.
    pub(crate) async fn catch_up(
        &mut self,
        schema: &str,
        table: &str,
        decide: Option<Decide>,
    ) -> Result<(), Stop> {
        let Some(mut applied) = self.suspended.get(schema, table).map(|known| known.applied.clone()) else {
            return Ok(());
        };
        // Those that were suspended with it are as far as it is.
        let shown = self.setup.suspensions.borrow().clone();
        let since = shown
            .iter()
            .find(|known| (known.table.schema.as_str(), known.table.table.as_str()) == (schema, table));
        let since = since.map(|known| known.since_us);
        let together: Vec<(TableName, bool)> = shown
            .into_iter()
            .filter(|known| known.table.applied == applied)
            .map(|known| ((known.table.schema, known.table.table), Some(known.since_us) == since))
            .collect();
        // It may have been changed without a trace in the binlog.
        self.definitions.clear();
        let carried = self.setup.carries.clone();
        let Some(Lane { target, .. }) = &mut self.lane else {
            return Err(Stop::Away("not connected".into()));
        };
        let asked = match target.relations().await {
            Ok(relations) => target.markers().await.map(|markers| (relations.joined(schema, table), markers)),
            Err(failure) => Err(failure),
        };
        let (joined, markers) = asked.map_err(|failure| self.stop(failure))?;
        let tables: Vec<TableName> = together
            .into_iter()
            .filter(|(name, at_once)| *at_once || joined.contains(name))
            .map(|(name, _)| name)
            .collect();
        let only = tables.clone();
        let catch_up = CatchUp {
            tables,
            decide,
            carries: Arc::new(move |schema, table| {
                only.iter().any(|name| (name.0.as_str(), name.1.as_str()) == (schema, table))
                    && carried(schema, table)
            }),
            markers: markers.clone(),
        };
        self.catching_up = Some(catch_up.clone());
        let mut feeds: Vec<(Feed, Sequence)> = Vec::new();
        for marker in &markers {
            let Some(from) = self.held_back(marker, applied.get(marker.origin))? else { continue };
            let feed = Feed::new(self.setup.logs.as_ref(), marker.origin, from)?;
            feeds.push((feed, marker.sequence));
        }
        loop {
            let (mut progressed, mut waits) = (false, None);
            for (feed, until) in &mut feeds {
                let origin = feed.origin();
                let next = loop {
                    let gate = Gate {
                        region: self.setup.region,
                        tail: self.setup.tail,
                        applied: &applied,
                        now_us: u64::MAX,
                        skew_us_max: 0,
                        until: *until,
                    };
                    let result = {
                        let weights = self.setup.shared.weights.read();
                        let rules =
                            Rules { carries: &catch_up.carries, weights: &weights, ddl: &self.setup.ddl };
                        feed.next(self.setup.limits, &gate, &rules)
                    };
                    match result {
                        Ok(next) => break next,
                        Err(FeedError::Halt(halt)) => return Err(halt.into()),
                        Err(FeedError::Table { reason, .. }) => {
                            return Err(code::TABLE_UNFIT.halt(reason).into());
                        }
                        Err(FeedError::Needs(needs)) => {
                            self.learn(needs).await.map_err(|failure| self.stop(failure))?;
                        }
                    }
                };
                let reach = match &next {
                    Next::Batch(batch) => {
                        if let (Some(statement), Some(source)) =
                            (&batch.part.statement, batch.part.transactions.first())
                        {
                            self.run_ddl(origin, source, statement).await?;
                        }
                        if !batch.part.effects.is_empty() {
                            self.apply(origin, &Parts::One(&batch.part), &batch.reach).await?;
                        }
                        batch.reach.clone()
                    }
                    Next::Large(large) => {
                        let parts =
                            Parts::chain(self.setup.logs.as_ref(), origin, large, catch_up.carries.clone());
                        self.run_ddl_of(origin, large, &parts).await?;
                        self.apply(origin, &parts, &large.reach).await?;
                        large.reach.clone()
                    }
                    Next::WaitsFor { origin, sequence } => {
                        waits = Some((*origin, *sequence));
                        continue;
                    }
                    Next::Drained | Next::AheadOfClock { .. } => continue,
                };
                progressed |= reach.sequence > applied.get(origin);
                applied.raise(origin, reach.sequence);
            }
            if !progressed {
                if let Some((origin, sequence)) = waits {
                    let astray = code::INTERNAL_ERROR.halt(format_args!(
                        "what was held back of {schema}.{table} waits for transaction {sequence} of {origin}, which is not \
                         held back: please report this"
                    ));
                    return Err(astray.into());
                }
                break;
            }
        }
        self.lift(&catch_up).await.map_err(|failure| self.stop(failure))?;
        self.catching_up = None;
        tracing::info!("table {schema}.{table} is applied again");
        Ok(())
    }

    /// Where a feed of what was held back begins; `None` if there is nothing.
    fn held_back(&self, marker: &Applied, applied: Sequence) -> Result<Option<Reach>, Stop> {
        if applied >= marker.sequence {
            return Ok(None);
        }
        let next = applied.next();
        let found = self.setup.logs.find(marker.origin, next)?;
        let Some(number) = found else {
            let gone = code::LOG_BEGINS_LATE.halt(format_args!(
                "the log of {} no longer holds transaction {next}, which was held back; seed this region anew",
                marker.origin
            ));
            return Err(gone.into());
        };
        let record = RecordNumber(number.0.saturating_sub(1));
        Ok(Some(Reach { record, sequence: applied, hlc: Hlc(0), claim: Default::default(), commit_us: 0 }))
    }

    /// The table is applied as far as all others.
    async fn lift(&mut self, catch_up: &CatchUp) -> Result<(), SqlFailure> {
        let owner = self.setup.owner;
        let Some(first) = catch_up.markers.first() else { return Ok(()) };
        let Some(Lane { target, .. }) = &mut self.lane else {
            return Err(SqlFailure::Away("not connected".into()));
        };
        let change = catch_up.marker(first.origin, owner)?;
        target.use_tag(first.origin).await?;
        target.begin(&change, false, None).await?;
        target.send(&format!("DELETE FROM concord.suspension WHERE {}", among(&catch_up.tables))).await?;
        target.commit(&change, 0).await?;
        self.read_suspensions().await
    }
}
