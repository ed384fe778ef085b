//! One target transaction, tried until it is committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use transaction::{Context, KeyHash, RegionName, Sequence};

use super::{RETRY_FIRST, RETRY_MAX, Scheduler, Stop};
use crate::attempt::{Lessons, Tally};
use crate::code;
use crate::effect::{Part, SourceTransaction};
use crate::feed::Reach;
use crate::lane::{Job, Lane};
use crate::parts::Parts;
use crate::progress::State;
use crate::session::SqlFailure;
use crate::shared::Shared;
use crate::target::Connector;

/// How often a target transaction starts over for rows that turn out to be contested, before all of them are locked first,
/// and before something must be wrong.
const STARTS_BEFORE_ALL: u32 = 4;
const STARTS_MAX: u32 = 1000;

/// Writes as the history index takes them: key, index, and whether the row lives.
type Writes = Vec<(KeyHash, u32, bool)>;

/// A transaction whose writes the index is to hold, by what they had seen.
struct Remembered {
    source: SourceTransaction,
    parts: Vec<(Context, Writes)>,
}

/// Takes note of which tables are written to. A table that another region's DDL dropped or converted, while neither had seen
/// the other, cannot be; unless a person has `settled` that.
pub(crate) fn note_tables(
    shared: &Shared,
    origin: RegionName,
    part: &Part,
    settled: bool,
) -> Result<(), SqlFailure> {
    let mut tables = shared.tables.lock();
    let mut last = None;
    for effect in &part.effects {
        let here = (Arc::as_ptr(&effect.table), effect.transaction);
        if last == Some(here) {
            continue;
        }
        last = Some(here);
        let source = &part.transactions[effect.transaction];
        let (schema, table) = (&effect.table.schema, &effect.table.table);
        let context = source.context_of(&effect.table);
        match tables.clash_of_write(schema, table, origin, &context) {
            Some(statement) if !settled => {
                let reason = format!(
                    "neither had seen transaction {} of {}, which is {:?}, nor that it. Make the table what it is to be in every \
                     region, then resume it: the write is applied then",
                    statement.sequence, statement.origin, statement.start
                );
                return Err(SqlFailure::Table { schema: schema.clone(), table: table.clone(), reason });
            }
            _ => tables.wrote(schema, table, origin, source.sequence),
        }
    }
    Ok(())
}

impl<C: Connector> Scheduler<C> {
    /// Tries until the target transaction is committed.
    pub(crate) async fn apply(
        &mut self,
        origin: RegionName,
        parts: &Parts<'_>,
        reach: &Reach,
    ) -> Result<Tally, Stop> {
        self.apply_after(None, Lessons::default(), origin, parts, reach).await
    }

    /// The same after a first try that failed, with what it has taught.
    pub(super) async fn apply_after(
        &mut self,
        mut failed: Option<SqlFailure>,
        mut lessons: Lessons,
        origin: RegionName,
        parts: &Parts<'_>,
        reach: &Reach,
    ) -> Result<Tally, Stop> {
        let mut starts = 0;
        let mut delay = RETRY_FIRST;
        loop {
            if *self.setup.shutdown.borrow() {
                return Err(Stop::Shutdown);
            }
            let failure = match failed.take() {
                Some(failure) => failure,
                None => match self.attempt(origin, parts, reach, &mut lessons).await {
                    Ok(tally) => return Ok(tally),
                    Err(failure) => failure,
                },
            };
            match failure {
                SqlFailure::Away(reason) => {
                    // Whether it committed is in doubt until the marker has been read.
                    tracing::warn!("applier: {reason}");
                    self.report_all(&State::Waiting { reason });
                    if self.reconnect_and_find(origin, reach).await? {
                        match self.remember(origin, parts).await {
                            Ok(()) => return Ok(Tally::default()),
                            // Nobody else would put its writes into the index.
                            Err(failure @ SqlFailure::Away(_)) => failed = Some(failure),
                            Err(failure) => return Err(self.stop(failure)),
                        }
                    }
                    continue;
                }
                SqlFailure::Fenced => return Err(Stop::Fenced),
                SqlFailure::Locked(reason) => {
                    tracing::debug!("origin {origin}: {reason}");
                    self.rollback().await;
                    if delay == RETRY_MAX {
                        self.report(origin, State::Waiting { reason });
                    }
                    self.pause(delay).await;
                    delay = (delay * 2).min(RETRY_MAX);
                    continue;
                }
                SqlFailure::Contested(reason) if starts < STARTS_MAX => {
                    tracing::debug!("origin {origin}: {reason}");
                    // A lesson each time: at the latest when every row is locked first, nothing is left to learn.
                    lessons.all |= starts > STARTS_BEFORE_ALL;
                }
                SqlFailure::Surprise(reason) | SqlFailure::Clash(reason)
                    if parts.sources().len() > 1 && !lessons.as_it_came && !lessons.all =>
                {
                    // Perhaps only the order of net changes offends a unique or a foreign key.
                    tracing::debug!("origin {origin}: {reason}");
                    lessons.as_it_came = true;
                }
                SqlFailure::Surprise(reason) | SqlFailure::Clash(reason)
                    if parts.sources().len() > 1 && self.catching_up.is_none() && !lessons.all =>
                {
                    // One of them needs every row of it locked first: not those of all the others.
                    tracing::debug!("origin {origin}: {reason}");
                    self.rollback().await;
                    return Err(self.fewer(origin, parts, reach));
                }
                SqlFailure::Table { reason, .. }
                    if parts.sources().len() > 1 && self.catching_up.is_none() =>
                {
                    // In the end alone, so that it can be named.
                    tracing::debug!("origin {origin}: {reason}");
                    self.rollback().await;
                    return Err(self.fewer(origin, parts, reach));
                }
                SqlFailure::Surprise(reason) if !lessons.all => {
                    tracing::debug!("origin {origin}: {reason}");
                    lessons.all = true;
                }
                SqlFailure::Surprise(reason) if starts < STARTS_MAX => {
                    tracing::debug!("origin {origin}: {reason}");
                    // With every row locked it may be another key, whose name ends like that of the primary key (`a.PRIMARY`).
                    lessons.constraints = true;
                }
                SqlFailure::Clash(reason) if !lessons.constraints => {
                    tracing::debug!("origin {origin}: {reason}");
                    lessons.all = true;
                    lessons.constraints = true;
                }
                SqlFailure::Table { schema, table, reason } if self.catching_up.is_none() => {
                    self.rollback().await;
                    let named = parts.sources().first().map_or_else(String::new, |source| {
                        let SourceTransaction { sequence, gtid, record, .. } = source;
                        format!("transaction {sequence} of {origin} (GTID {gtid}, record {record}): ")
                    });
                    let suspended = self.suspend(&[(schema, table)], &format!("{named}{reason}")).await;
                    suspended.map_err(|failure| self.stop(failure))?;
                    return Err(Stop::Again);
                }
                failure @ (SqlFailure::Table { .. }
                | SqlFailure::Halt(_)
                | SqlFailure::Contested(_)
                | SqlFailure::Surprise(_)
                | SqlFailure::Clash(_)
                | SqlFailure::Check(_)) => {
                    self.rollback().await;
                    if parts.sources().len() > 1 && self.catching_up.is_none() {
                        return Err(self.fewer(origin, parts, reach));
                    }
                    self.lane = None;
                    let named = |reason| {
                        let Reach { sequence, record, .. } = reach;
                        format!("transactions up to {sequence} of {origin} (record {record}): {reason}")
                    };
                    return Err(failure.into_halt().map_reason(named).into());
                }
            }
            starts += 1;
            self.rollback().await;
        }
    }

    /// The transactions of a batch that failed come again, fewer at a time.
    fn fewer(&mut self, origin: RegionName, parts: &Parts<'_>, reach: &Reach) -> Stop {
        self.narrow.entry(origin).or_default().failed(reach.sequence, parts.sources().len());
        Stop::Fewer
    }

    /// Puts the writes of a transaction into the history index whose COMMIT took effect though its answer was lost.
    async fn remember(&mut self, origin: RegionName, parts: &Parts<'_>) -> Result<(), SqlFailure> {
        let mut written: BTreeMap<Sequence, Remembered> = BTreeMap::new();
        for place in 0..parts.count() {
            let Some(Lane { target, .. }) = &mut self.lane else {
                return Err(SqlFailure::Away("not connected".into()));
            };
            let part = parts.load(place, &self.setup, target).await?;
            for effect in &part.effects {
                let source = &part.transactions[effect.transaction];
                let remembered = written
                    .entry(source.sequence)
                    .or_insert_with(|| Remembered { source: source.clone(), parts: Vec::new() });
                let context = source.context_of(&effect.table);
                let write = (effect.key, effect.index, part.after(effect).is_some());
                match remembered.parts.iter_mut().find(|(seen, _)| *seen == *context) {
                    Some((_, writes)) => writes.push(write),
                    None => remembered.parts.push((context.into_owned(), vec![write])),
                }
            }
        }
        let mut index = self.setup.shared.index.lock();
        for (sequence, Remembered { source, parts }) in written {
            let mut also = self.catching_up.is_some();
            for (context, writes) in parts {
                let (hlc, repairs) = (source.hlc, &source.repairs);
                let inserted = if also {
                    index.insert_also(origin, sequence, hlc, &context, repairs, writes).map(|()| true)
                } else {
                    index.insert(origin, sequence, hlc, &context, repairs, writes)
                };
                also = inserted.map_err(code::of_history)?;
            }
        }
        Ok(())
    }

    /// Connects again and reads the marker. Returns whether the transaction in doubt has committed.
    async fn reconnect_and_find(&mut self, origin: RegionName, reach: &Reach) -> Result<bool, Stop> {
        let mut delay = RETRY_FIRST;
        loop {
            self.lane = None;
            if *self.setup.shutdown.borrow() {
                return Err(Stop::Shutdown);
            }
            match self.connect().await {
                Ok((lane, markers)) => {
                    self.lane = Some(lane);
                    self.definitions.clear();
                    let Some(catch_up) = self.catching_up.clone() else {
                        return Ok(markers
                            .iter()
                            .any(|m| m.origin == origin && m.sequence >= reach.sequence));
                    };
                    match self.read_suspensions().await {
                        Ok(()) => {}
                        // Whether it has committed is still to be found out.
                        Err(SqlFailure::Away(_)) => continue,
                        Err(failure) => return Err(self.stop(failure)),
                    }
                    let first = catch_up.tables.first();
                    let table = first.and_then(|(schema, table)| self.suspended.get(schema, table));
                    return Ok(table.is_some_and(|table| table.applied.covers(origin, reach.sequence)));
                }
                Err(SqlFailure::Fenced) => return Err(Stop::Fenced),
                Err(failure) => {
                    tracing::debug!("applier: {failure}");
                    // It may be another reason than the one for which the connection was lost.
                    self.report_all(&State::Waiting { reason: failure.to_string() });
                    self.pause(delay).await;
                    delay = (delay * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// One try over the first lane.
    async fn attempt(
        &mut self,
        origin: RegionName,
        parts: &Parts<'_>,
        reach: &Reach,
        lessons: &mut Lessons,
    ) -> Result<Tally, SqlFailure> {
        let Some(lane) = &mut self.lane else { return Err(SqlFailure::Away("not connected".into())) };
        let job = Job {
            setup: &self.setup,
            definitions: &self.definitions,
            origin,
            parts,
            reach,
            catching_up: self.catching_up.as_ref(),
            skipping: self.skipping,
        };
        lane.attempt(&job, None, lessons).await
    }
}
