//! Short plays on real servers: regions are held back, so that writes are concurrent by construction, and let go in a chosen order.

use super::conflicts::{self, Conflict};
use super::schema;
use crate::mesh::{binlog_end, set};
use crate::wait::{Look, wait_for};
use crate::{Error, Mesh, MeshPlan, Result, Sql};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long anything in a play may take.
const BOUND: Duration = Duration::from_secs(60);

/// A mesh, and a client in each region.
#[derive(Debug)]
pub struct Stage {
    /// The mesh.
    pub mesh: Mesh,
    clients: BTreeMap<String, Sql>,
    tables: Vec<String>,
}

impl Stage {
    /// A mesh of these regions with this schema, and these policies as [`schema::parse_policies`] takes them.
    pub async fn new(names: &[&str], schema: &str, policies: &str) -> Result<Self> {
        Self::with(MeshPlan::of(names), schema, policies).await
    }

    /// The same on a plan of the caller's.
    ///
    /// Region `us` applies one transaction at a time, the others as many as have come: what is decided must not depend on it.
    pub async fn with(plan: MeshPlan, schema: &str, policies: &str) -> Result<Self> {
        let policies = schema::parse_policies(policies)?;
        let plan = plan.schema(schema).edit(move |name, config| {
            if name == "us" {
                set(config, "region.apply.batch_transactions_max", 1);
            }
            if policies.as_array().is_some_and(|policies| !policies.is_empty()) {
                set(config, "mesh.policy", policies.clone());
            }
        });
        let mut mesh = plan.start().await?;
        let mut clients = BTreeMap::new();
        for name in mesh.names() {
            let client = mesh.root(&name).await?;
            clients.insert(name, client);
        }
        let first = mesh.names().into_iter().next().unwrap_or_default();
        let tables = mesh
            .root(&first)
            .await?
            .column(
                "SELECT CONCAT('`', REPLACE(table_schema, '`', '``'), '`.`', REPLACE(table_name, '`', '``'), '`') \
                 FROM information_schema.tables WHERE table_type = 'BASE TABLE' \
                 AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema', 'concord')",
            )
            .await?;
        Ok(Self { mesh, clients, tables })
    }

    /// The client of a region. It keeps its connection, so a transaction may stay open between two calls.
    pub fn client(&mut self, name: &str) -> Result<&mut Sql> {
        let found = self.clients.get_mut(name);
        found.ok_or_else(|| Error::Unexpected(format!("this stage has no region {name}")))
    }

    /// Runs these statements, each by the client of its region, one after the other. Each is a transaction of its own, unless it
    /// begins one; several in one text are separated by semicolons.
    pub async fn play(&mut self, statements: &[(&str, &str)]) -> Result<()> {
        for (name, text) in statements {
            for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
                self.client(name)?.run(statement).await?;
            }
        }
        Ok(())
    }

    /// Plays while nobody applies anything, so that every region's writes are concurrent with every other's, then lets all go
    /// and waits until all tables are equal.
    pub async fn play_apart(&mut self, statements: &[(&str, &str)]) -> Result<()> {
        self.hold().await?;
        self.play(statements).await?;
        self.release()?;
        self.settle().await
    }

    /// Holds every region back from applying anything.
    pub async fn hold(&mut self) -> Result<()> {
        let names = self.mesh.names();
        for name in &names {
            for origin in names.iter().filter(|origin| *origin != name) {
                self.hold_one(name, origin).await?;
            }
        }
        Ok(())
    }

    /// Holds `region` back from applying what comes from `origin`.
    pub async fn hold_one(&mut self, region: &str, origin: &str) -> Result<()> {
        let concord = &mut self.mesh.region(region)?.concord;
        concord.say(&["pause", "--origin", origin])?;
        wait_for(&format!("{region} to pause {origin}"), BOUND, async || {
            let state = concord.status().await?.origin(origin).map(|entry| entry.applier.state.clone());
            Ok(Look::when(state.as_deref() == Some("paused"), (), format!("{state:?}")))
        })
        .await
    }

    /// Lets every region apply everything.
    pub fn release(&mut self) -> Result<()> {
        for region in &self.mesh.regions {
            region.concord.say(&["resume"])?;
        }
        Ok(())
    }

    /// Lets `region` apply what comes from `origin`.
    pub fn release_one(&mut self, region: &str, origin: &str) -> Result<()> {
        self.mesh.region(region)?.concord.say(&["resume", "--origin", origin]).map(|_| ())
    }

    /// Lets `region` apply all that `origin` has in its log now, then holds it back again.
    pub async fn apply(&mut self, region: &str, origin: &str) -> Result<()> {
        let written = self.written(origin).await?;
        self.release_one(region, origin)?;
        self.applied(region, origin, written).await?;
        self.hold_one(region, origin).await
    }

    /// The number of the last transaction in a region's log, when its extractor has read all that is committed now.
    pub async fn written(&mut self, name: &str) -> Result<u64> {
        let region = self.mesh.region(name)?;
        let end = binlog_end(&mut region.server.root().await?).await?;
        let concord = &mut region.concord;
        wait_for(&format!("the extractor of {name} to pass {end:?}"), BOUND, async || {
            concord.check_running()?;
            let status = concord.status().await?;
            let read = (status.extractor.file.clone(), status.extractor.offset);
            // Names of binlog files have numbers with zeros in front, so they compare as text.
            Ok(Look::when(
                read >= end,
                status.extractor.sequence,
                format!("{read:?}, {:?}", status.extractor.error),
            ))
        })
        .await
    }

    /// Waits until `region` has applied `origin`'s transaction of that number.
    pub async fn applied(&mut self, region: &str, origin: &str, number: u64) -> Result<()> {
        let concord = &mut self.mesh.region(region)?.concord;
        wait_for(&format!("{region} to apply transaction {number} of {origin}"), BOUND, async || {
            concord.check_running()?;
            let status = concord.status().await?;
            let applied = status.applied(origin);
            Ok(Look::when(applied >= number, (), format!("{applied}; {}", status.reasons().join("; "))))
        })
        .await
    }

    /// Waits until the lane of `region` waits for a lock that a client holds.
    pub async fn lane_waits(&mut self, region: &str) -> Result<()> {
        let mut sql = self.mesh.root(region).await?;
        wait_for(&format!("the lane of {region} to wait for a client's lock"), BOUND, async || {
            let waits = sql.number("SELECT COUNT(*) FROM performance_schema.data_lock_waits").await?;
            Ok(Look::when(waits > 0, (), waits))
        })
        .await
    }

    /// Waits until everything is applied everywhere, and compares all tables.
    pub async fn settle(&mut self) -> Result<()> {
        let tables: Vec<&str> = self.tables.iter().map(String::as_str).collect();
        self.mesh.expect_equal(&tables, BOUND).await
    }

    /// The answer of every region to a query, row by row, values with commas between them; an error if they do not agree.
    pub async fn rows(&mut self, query: &str) -> Result<Vec<String>> {
        let mut answers: Vec<(String, Vec<String>)> = Vec::new();
        for (name, sql) in &mut self.clients {
            let rows = sql.rows(query).await?.into_iter().map(|row| row.join(",")).collect();
            answers.push((name.clone(), rows));
        }
        match answers.first().cloned() {
            Some((_, first)) if answers.iter().all(|(_, rows)| *rows == first) => Ok(first),
            _ => Err(Error::Unexpected(format!("the regions differ in {query}: {answers:?}"))),
        }
    }

    /// The conflicts that any region has on record.
    pub fn conflicts(&self) -> Result<Vec<Conflict>> {
        let mut found = Vec::new();
        for region in &self.mesh.regions {
            found.extend(conflicts::list(&region.concord)?);
        }
        Ok(found)
    }

    /// The conflicts on record of one row; `key` is as [`Conflict::key`].
    pub fn conflicts_of(&self, table: &str, key: &str) -> Result<Vec<Conflict>> {
        let all = self.conflicts()?;
        Ok(all.into_iter().filter(|conflict| conflict.table == table && conflict.key == key).collect())
    }

    /// How many conflicts the regions count since their processes started.
    pub async fn conflicts_counted(&self) -> Result<u64> {
        let mut sum = 0;
        for region in &self.mesh.regions {
            sum += region.concord.status().await?.origins.iter().map(|origin| origin.conflicts).sum::<u64>();
        }
        Ok(sum)
    }
}
