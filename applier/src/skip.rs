//! Passing over one transaction, because a person says so.
//!
//! Two ways. Either this region decides that every row of the transaction stays as it is here: that is a repair of each, which
//! replicates, so every region ends with these rows. Or the transaction's tables are suspended: its writes are held back with
//! all later ones of those tables, and nothing is decided.

use std::collections::BTreeSet;

use transaction::binlog::{EventError, Item, Tables, for_each_item};
use transaction::record::{Body, Record};
use transaction::{Halt, RecordNumber, RegionName, Sequence};

use crate::code;
use crate::ddl::{self, DdlPolicy, Verdict};
use crate::effect::Rules;
use crate::feed::{BatchLimits, Feed, FeedError, Gate, Next, Reach};
use crate::parts::Parts;
use crate::relations::TableName;
use crate::scheduler::{Scheduler, Stop};
use crate::target::Connector;
use crate::wish::{Named, Ungranted};

/// The next transaction of an origin, without its rows.
struct Upcoming {
    sequence: Sequence,
    gtid: String,
    tables: BTreeSet<TableName>,
}

impl<C: Connector> Scheduler<C> {
    /// Passes over the next transaction of `origin`, if it is the one that is meant. Returns what was done, in words.
    pub(crate) async fn skip(
        &mut self,
        origin: RegionName,
        named: &Named,
        suspend: bool,
    ) -> Result<String, Ungranted> {
        let Some(reach) = self.reach(origin) else {
            return Err(Ungranted::Refused(format!("no transaction of {origin} is applied here")));
        };
        let Some(upcoming) = self.upcoming(origin, reach.record)? else {
            return Err(Ungranted::Refused(format!(
                "all that came of {origin} is applied: nothing is left to skip"
            )));
        };
        let Upcoming { sequence, gtid, tables } = upcoming;
        let is_meant = match named {
            Named::Sequence(meant) => *meant == sequence,
            Named::Gtid(meant) => *meant == gtid,
        };
        if !is_meant {
            return Err(Ungranted::Refused(format!(
                "only the next transaction of an origin can be skipped, which of {origin} is {sequence} (GTID {gtid})"
            )));
        }
        let name = format!("transaction {sequence} of {origin} (GTID {gtid})");
        if suspend {
            if tables.is_empty() {
                return Err(Ungranted::Refused(format!("{name} writes no table: skip it without --suspend")));
            }
            let reason = format!("by request, since {name} cannot be applied");
            let tables: Vec<TableName> = tables.into_iter().collect();
            let suspended = self.suspend(&tables, &reason).await;
            suspended.map_err(|failure| self.stop(failure))?;
            let names: Vec<String> =
                tables.iter().map(|(schema, table)| format!("{schema}.{table}")).collect();
            self.go_on(origin);
            return Ok(format!("{name} is held back with all later writes of {}", names.join(", ")));
        }
        let rows = self.leave_as_they_are(origin, reach).await?;
        self.go_on(origin);
        Ok(match rows {
            0 => format!("{name} is passed over; it changes no row that is carried"),
            _ => format!("{name} is passed over: {rows} rows stay as they are here, in every region"),
        })
    }

    /// Applies the next transaction as if each of its rows had been decided in favour of what is here. Returns how many rows.
    async fn leave_as_they_are(&mut self, origin: RegionName, reach: Reach) -> Result<u64, Ungranted> {
        let ignored = ddl::always(DdlPolicy::Ignore);
        let mut feed = Feed::new(self.setup.logs.as_ref(), origin, reach)?;
        let next = loop {
            let gate = Gate {
                region: self.setup.region,
                tail: self.setup.tail,
                applied: self.applied(),
                now_us: (self.setup.now_us)(),
                skew_us_max: self.skew_us_max(origin),
                until: Sequence(u64::MAX),
            };
            let limits = BatchLimits { transactions_max: 1, ..self.setup.limits };
            let result = {
                let weights = self.setup.shared.weights.read();
                let rules = Rules { carries: &self.carries, weights: &weights, ddl: &ignored };
                feed.next(limits, &gate, &rules)
            };
            match result {
                Ok(next) => break next,
                Err(FeedError::Needs(needs)) => {
                    self.learn(needs).await.map_err(|failure| self.stop(failure))?;
                }
                Err(FeedError::Halt(Halt { reason, .. }) | FeedError::Table { reason, .. }) => {
                    return Err(Ungranted::Refused(format!(
                        "{reason}; its tables can be held back: skip it with --suspend"
                    )));
                }
            }
        };
        self.skipping = true;
        let (reach, tally) = match &next {
            Next::Batch(batch) if !batch.part.transactions.is_empty() => {
                (&batch.reach, self.apply(origin, &Parts::One(&batch.part), &batch.reach).await?)
            }
            Next::Large(large) => {
                let parts = Parts::chain(self.setup.logs.as_ref(), origin, large, self.carries.clone());
                (&large.reach, self.apply(origin, &parts, &large.reach).await?)
            }
            Next::WaitsFor { origin: other, sequence } => {
                return Err(Ungranted::Refused(format!("it waits for transaction {sequence} of {other}")));
            }
            Next::AheadOfClock { .. } => {
                return Err(Ungranted::Refused("its stamp is ahead of this region's clock".to_owned()));
            }
            Next::Batch(_) | Next::Drained => {
                return Err(Ungranted::Refused(format!("nothing of {origin} is left to skip")));
            }
        };
        self.skipping = false;
        self.done(origin, reach, 1, tally, None)?;
        self.restart(feed);
        Ok(tally.skipped)
    }

    /// The transaction after a record, and which carried tables it writes; `None` if none has come.
    fn upcoming(&self, origin: RegionName, after: RecordNumber) -> Result<Option<Upcoming>, Stop> {
        let mut reader = self.setup.logs.reader(origin, after.next())?;
        let (mut known, mut next_index) = (Tables::through(self.setup.logs.view(origin)), 0);
        let mut tables = BTreeSet::new();
        while let Some(bytes) = reader.next()? {
            let record = Record::decode(bytes).map_err(code::of_record)?;
            let (events, ended) = match &record.body {
                Body::Chunk { events, .. } => (*events, None),
                Body::Transaction(body) | Body::Repair { transaction: body, .. } => (body.events, Some(body)),
                _ => continue,
            };
            let checksums = record.event_checksums;
            for_each_item::<EventError>(events, checksums, &mut known, &mut next_index, &mut |item| {
                match item {
                    Item::Change { table, .. } if (self.carries)(&table.schema, &table.table) => {
                        tables.insert((table.schema.clone(), table.table.clone()));
                    }
                    Item::Statement { query, timestamp } => {
                        let verdict = ddl::judge(&query, timestamp, &self.carries, &self.setup.ddl);
                        if let Verdict::Replicate(statement) = verdict {
                            let named = statement.tables();
                            tables.extend(named.map(|table| (table.schema.clone(), table.name.clone())));
                        }
                    }
                    Item::Change { .. } | Item::Begin(_) => {}
                }
                Ok(())
            })
            .map_err(code::of_event)?;
            if let Some(body) = ended {
                return Ok(Some(Upcoming { sequence: record.sequence, gtid: body.gtid.to_string(), tables }));
            }
        }
        Ok(None)
    }
}
