//! A lane's connection to a simulated server. It can be lost at any time, also between COMMIT and its answer.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use applier::code::TARGET_ERROR;
use applier::definitions::Definition;
use applier::relations::{ForeignKey, Relations, TableName, UniqueKey};
use applier::tables::{Applied, Suspension};
use applier::target::{Connector, KeyImage, Target};
use applier::{MarkerChange, Passed, Shared, SqlFailure};
use transaction::binlog::{SessionState, TableMap, row_image, row_values};
use transaction::key::Need;
use transaction::{DdlStatement, Gtid, RegionName, Weights};

use super::foreign::Foreign;
use super::locks::{Resource, Txn};
use super::mistake::Mistake;
use super::orphan::{Orphan, Orphans};
use super::schema::{Key, Row, weigh};
use super::server::{Checks, Marker, Place, Refusal, Server};
use super::statements::{self, Change, Statement};
use super::trace::trace;

/// How long a lane waits for a lock.
const WAIT_MS: u64 = 5_000;

/// Most time that one statement takes, besides waiting.
const STATEMENT_MS: u64 = 2;

/// Connects a lane to its region's server.
pub(crate) struct Connection {
    pub(crate) server: Rc<Server>,
    pub(crate) orphans: Rc<Orphans>,
    pub(crate) mistake: Option<Mistake>,
    /// Of a thousand statements, how many lose the connection.
    pub(crate) lost_permille: u64,
}

pub(crate) struct Session {
    server: Rc<Server>,
    orphans: Rc<Orphans>,
    mistake: Option<Mistake>,
    lost_permille: u64,
    epoch: u64,
    txn: Option<Txn>,
    tag: Option<RegionName>,
    gaps: bool,
    /// COMMIT was sent.
    committing: bool,
    /// Nothing comes through any more.
    lost: bool,
}

impl Connector for Connection {
    type Target = Session;

    async fn connect(&self) -> Result<Session, SqlFailure> {
        self.server.dice.pause(STATEMENT_MS).await;
        let epoch = self.server.connect().ok_or_else(|| SqlFailure::Away("the server is down".into()))?;
        Ok(Session {
            server: self.server.clone(),
            orphans: self.orphans.clone(),
            mistake: self.mistake,
            lost_permille: self.lost_permille,
            epoch,
            txn: None,
            tag: None,
            gaps: false,
            committing: false,
            lost: false,
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl Session {
    /// Leaves the open transaction to the server, which finds out later; what it was sent may take effect.
    fn abandon(&mut self) {
        if let Some(txn) = self.txn.take() {
            let commits = std::mem::take(&mut self.committing) && self.server.dice.percent(50);
            self.orphans.leave(Orphan { txn, tag: self.tag(), commits });
        }
    }

    fn tag(&self) -> Option<RegionName> {
        self.tag.filter(|_| self.server.tags)
    }

    /// A statement takes time, and may find the connection gone.
    async fn step(&mut self) -> Result<(), SqlFailure> {
        self.server.dice.pause(STATEMENT_MS).await;
        if !self.server.is_current(self.epoch) {
            self.txn = None;
            return Err(SqlFailure::Away("the server was restarted".into()));
        }
        if self.lost || self.server.dice.below(1000) < self.lost_permille {
            self.lost = true;
            self.abandon();
            return Err(SqlFailure::Away("the connection is lost".into()));
        }
        Ok(())
    }

    fn open(&self) -> Result<Txn, SqlFailure> {
        self.txn.ok_or_else(|| SqlFailure::Away("no transaction is open".into()))
    }

    async fn lock(&self, txn: Txn, resource: Resource) -> Result<(), SqlFailure> {
        self.server.lock(txn, resource, WAIT_MS).await.map_err(Refusal::into)
    }

    async fn apply(&mut self, text: &str) -> Result<(), SqlFailure> {
        let txn = self.open()?;
        match statements::read(text).map_err(|what| halt(&what))? {
            Statement::Binlog(changes) => {
                for change in changes {
                    self.change(txn, change).await?;
                }
            }
            Statement::InsertRepair(_) if self.mistake == Some(Mistake::ForgetRepairs) => {}
            Statement::InsertRepair(image) => self.server.repair(txn, Some(image)),
            Statement::DeleteRepairs => self.server.repair(txn, None),
            Statement::Suspension(change) => {
                self.lock(txn, Resource::Suspensions).await?;
                trace(|| format!("{} {change:?}", self.server.place));
                self.server.suspend(txn, change);
            }
        }
        Ok(())
    }

    async fn change(&mut self, txn: Txn, change: Change) -> Result<(), SqlFailure> {
        let schema = self.server.schema.clone();
        let place = schema
            .place(&change.map.table)
            .ok_or_else(|| halt(&format!("no table {}", change.map.full_name())))?;
        let table = &schema.tables[place];
        if change.map.columns != table.map.columns {
            return Err(halt(&format!("another layout of {}", change.map.full_name())));
        }
        let old = change.before.map(|image| table.key(&table.row(&image)));
        let new = change.after.map(|image| table.row(&image));
        let unchecked = change.flags & applier::text::NO_FOREIGN_KEY_CHECKS != 0;
        let checks = if unchecked { Checks::None } else { Checks::All };
        let what = format!("{} {old:?} becomes {new:?}", table.name);
        let changed = self.server.change(txn, place, old, new, checks, WAIT_MS).await;
        trace(|| format!("{}   {what} {checks:?}: {changed:?}", self.server.place));
        changed.map_err(Refusal::into).map(drop)
    }

    fn foreign(&self, key: &ForeignKey) -> Result<Foreign, SqlFailure> {
        let all = &self.server.schema.foreign;
        all.iter()
            .find(|foreign| foreign.name == key.name)
            .copied()
            .ok_or_else(|| halt("no such foreign key"))
    }

    fn key_of(&self, map: &TableMap, image: &[u8]) -> Result<(usize, Key), SqlFailure> {
        let place = self.server.schema.place(&map.table).ok_or_else(|| halt("no such table"))?;
        let values = row_values(map, image).map_err(|e| halt(&e.to_string()))?;
        let key = values[0].ok_or_else(|| halt("a key is NULL"))?;
        Ok((place, self.server.schema.tables[place].compared(0, key)))
    }
}

/// An image of which only the primary key is filled in.
fn only_key(table: &TableMap, row: &Row) -> Option<KeyImage> {
    let mut values: Vec<Option<&[u8]>> = vec![None; row.len()];
    values[0] = row[0].as_deref();
    row_image(table, &values)
}

/// Per origin, the furthest marker.
fn applied(markers: BTreeMap<Place, Marker>) -> Vec<Applied> {
    let mut all: BTreeMap<RegionName, Applied> = BTreeMap::new();
    for ((origin, _), Marker { sequence, record, hlc, .. }) in markers {
        let known = all.entry(origin).or_insert(Applied { origin, sequence, record, hlc });
        if known.sequence < sequence {
            *known = Applied { origin, sequence, record, hlc };
        }
    }
    all.into_values().collect()
}

fn halt(what: &str) -> SqlFailure {
    TARGET_ERROR.halt(what).into()
}

impl Target for Session {
    async fn take_ownership(&mut self, owner: u64, lanes: u16) -> Result<Vec<Applied>, SqlFailure> {
        self.step().await?;
        let committed = self.server.committed_markers();
        if self.mistake == Some(Mistake::ReadPastMarker)
            && committed.values().all(|marker| marker.owner == owner)
        {
            return Ok(applied(committed));
        }
        let txn = self.server.begin(false);
        self.txn = Some(txn);
        for (origin, lane) in self.server.markers().into_keys() {
            self.lock(txn, Resource::Marker(origin, lane)).await?;
            let marker = Marker { owner, row_changes: 0, ..self.server.markers()[&(origin, lane)] };
            self.server.mark(txn, (origin, lane), marker);
            let missing = (1..lanes).filter(|other| !self.server.markers().contains_key(&(origin, *other)));
            for other in missing.collect::<Vec<_>>() {
                self.server.mark(txn, (origin, other), marker);
            }
        }
        self.server.commit(txn, None);
        self.txn = None;
        self.markers().await
    }

    async fn markers(&mut self) -> Result<Vec<Applied>, SqlFailure> {
        self.step().await?;
        let txn = self.server.begin(false);
        self.txn = Some(txn);
        for (origin, lane) in self.server.markers().into_keys() {
            self.lock(txn, Resource::Marker(origin, lane)).await?;
        }
        let markers = applied(self.server.markers());
        self.server.rollback(txn);
        self.txn = None;
        Ok(markers)
    }

    async fn suspensions(&mut self) -> Result<Vec<Suspension>, SqlFailure> {
        self.step().await?;
        Ok(self.server.suspensions().list())
    }

    async fn relations(&mut self) -> Result<Relations, SqlFailure> {
        self.step().await?;
        Ok(self.server.schema.relations())
    }

    async fn definition(
        &mut self,
        _: &Weights,
        _schema: &str,
        table: &str,
    ) -> Result<Option<Definition>, SqlFailure> {
        self.step().await?;
        let schema = &self.server.schema;
        Ok(schema.place(table).map(|place| schema.tables[place].definition()))
    }

    async fn weigh(&mut self, shared: &Shared, needs: Vec<Need>) -> Result<(), SqlFailure> {
        self.step().await?;
        shared.weights.write().learn(weigh(needs));
        Ok(())
    }

    async fn use_tag(&mut self, origin: RegionName) -> Result<(), SqlFailure> {
        self.tag = Some(origin);
        Ok(())
    }

    async fn begin(
        &mut self,
        change: &MarkerChange,
        gaps: bool,
        binlog: Option<&str>,
    ) -> Result<(), SqlFailure> {
        self.step().await?;
        let txn = self.server.begin(false);
        self.txn = Some(txn);
        self.gaps = gaps;
        let place = (change.origin, change.lane);
        self.lock(txn, Resource::Marker(change.origin, change.lane)).await?;
        let marker = *self.server.markers().get(&place).ok_or_else(|| halt("no marker"))?;
        if marker.owner != change.owner {
            return Err(SqlFailure::Fenced);
        }
        let MarkerChange { origin, sequence, record, hlc, .. } = *change;
        trace(|| {
            format!("{} begins {origin}:{sequence} over lane {}, gaps {gaps}", self.server.place, change.lane)
        });
        self.server.mark(txn, place, Marker { sequence, record, hlc, ..marker });
        self.server.applies(txn, origin, sequence);
        match binlog {
            Some(text) => self.apply(text).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, statement: &str) -> Result<(), SqlFailure> {
        self.step().await?;
        self.apply(statement).await
    }

    async fn send_as(&mut self, rows: &str, _: &SessionState) -> Result<(), SqlFailure> {
        self.send(rows).await
    }

    async fn lock_rows(&mut self, rows: &[(&Arc<TableMap>, &[u8])]) -> Result<Vec<bool>, SqlFailure> {
        self.step().await?;
        let txn = self.open()?;
        let mut there = Vec::new();
        for (map, image) in rows {
            let (table, key) = self.key_of(map, image)?;
            let resource = Resource::Row(table, key.clone());
            self.lock(txn, resource.clone()).await?;
            let present = self.server.row(table, &key).is_some();
            if !present && (!self.gaps || self.mistake == Some(Mistake::NoGapLocks)) {
                self.server.unlock(txn, &resource);
            }
            trace(|| format!("{}   locks {} {key:?}, there {present}", self.server.place, map.table));
            there.push(present);
        }
        Ok(there)
    }

    async fn holder(
        &mut self,
        table: &TableMap,
        unique: &UniqueKey,
        image: &[u8],
    ) -> Result<Option<KeyImage>, SqlFailure> {
        self.step().await?;
        let txn = self.open()?;
        let (place, _) = self.key_of(table, image)?;
        let layout = &self.server.schema.tables[place];
        let column = layout.column(&unique.columns[0].0).ok_or_else(|| halt("no such column"))?;
        let values = row_values(table, image).map_err(|e| halt(&e.to_string()))?;
        let Some(value) = values[column] else { return Ok(None) };
        let value = layout.compared(column, value);
        self.lock(txn, Resource::Value(place, column, value.clone())).await?;
        let Some(key) = self.server.holder(place, column, &value) else { return Ok(None) };
        self.lock(txn, Resource::Row(place, key.clone())).await?;
        let row = self.server.row(place, &key).ok_or_else(|| halt("a unique key without its row"))?;
        Ok(only_key(table, &row))
    }

    async fn children(
        &mut self,
        key: &ForeignKey,
        child: &TableMap,
        parent: &TableMap,
        image: &[u8],
        rows_max: usize,
    ) -> Result<Vec<KeyImage>, SqlFailure> {
        self.step().await?;
        let txn = self.open()?;
        let foreign = self.foreign(key)?;
        let (_, referenced) = self.key_of(parent, image)?;
        let found = self.server.referring(txn, &foreign, &referenced, WAIT_MS).await?;
        let mut keys = Vec::new();
        for key in found.into_iter().take(rows_max) {
            self.lock(txn, Resource::Row(foreign.child, key.clone())).await?;
            if let Some(row) = self.server.row(foreign.child, &key) {
                keys.extend(only_key(child, &row));
            }
        }
        Ok(keys)
    }

    async fn parent(
        &mut self,
        key: &ForeignKey,
        parent: &TableMap,
        child: &TableMap,
        image: &[u8],
    ) -> Result<Option<KeyImage>, SqlFailure> {
        self.step().await?;
        let txn = self.open()?;
        let foreign = self.foreign(key)?;
        let values = row_values(child, image).map_err(|e| halt(&e.to_string()))?;
        let Some(value) = values[foreign.column].map(<[u8]>::to_vec) else { return Ok(None) };
        self.lock(txn, Resource::Row(foreign.parent, value.clone())).await?;
        Ok(self.server.row(foreign.parent, &value).and_then(|row| only_key(parent, &row)))
    }

    async fn row(&mut self, table: &TableMap, image: &[u8]) -> Result<Option<Vec<u8>>, SqlFailure> {
        self.step().await?;
        let txn = self.open()?;
        let (place, key) = self.key_of(table, image)?;
        self.lock(txn, Resource::Row(place, key.clone())).await?;
        Ok(self.server.row(place, &key).map(|row| self.server.schema.tables[place].image(&row)))
    }

    async fn binlog_end(&mut self) -> Result<Passed, SqlFailure> {
        self.step().await?;
        if self.mistake == Some(Mistake::NoSecondLook) {
            return Ok(Passed::default());
        }
        let (file, offset) = self.server.binlog(|binlog| (binlog.file, binlog.offset));
        Ok(Passed { file, offset, ..Passed::default() })
    }

    async fn commit(&mut self, change: &MarkerChange, row_changes: u64) -> Result<(), SqlFailure> {
        self.step().await?;
        let txn = self.open()?;
        let place = (change.origin, change.lane);
        let marker = *self.server.markers().get(&place).ok_or_else(|| halt("no marker"))?;
        if marker.owner != change.owner {
            return Err(SqlFailure::Fenced);
        }
        self.server.mark(txn, place, Marker { row_changes, ..marker });
        self.committing = true;
        // The answer may be lost before the server has come to it, or after.
        self.step().await?;
        let committed = self.server.commit(txn, self.tag());
        trace(|| format!("{} commits {}:{}: {committed}", self.server.place, change.origin, change.sequence));
        self.committing = false;
        self.txn = None;
        if !committed {
            return Err(SqlFailure::Away("the transaction is gone".into()));
        }
        self.step().await
    }

    async fn rollback(&mut self) -> Result<(), SqlFailure> {
        self.step().await?;
        trace(|| format!("{} rolls back", self.server.place));
        if let Some(txn) = self.txn.take() {
            self.server.rollback(txn);
        }
        Ok(())
    }

    fn has_tags(&self) -> bool {
        true
    }

    async fn begin_ddl(&mut self) -> Result<(), SqlFailure> {
        Err(no_ddl())
    }

    async fn has_executed(&mut self, _: &Gtid) -> Result<bool, SqlFailure> {
        Err(no_ddl())
    }

    async fn lock_tables(&mut self, _: &[TableName]) -> Result<(), SqlFailure> {
        Err(no_ddl())
    }

    async fn run_ddl(&mut self, _: &Gtid, _: &DdlStatement) -> Result<(), SqlFailure> {
        Err(no_ddl())
    }

    async fn end_ddl(&mut self) {}
}

fn no_ddl() -> SqlFailure {
    halt("the simulated servers know no DDL")
}
