//! A client of one region that changes hot rows until it is told to stop, and notes what each row was before and after.
//!
//! A row is locked when it is read before a change and when it is read after it, so its ledger tells what really was there. Now and
//! then the client hangs up in the middle of COMMIT, as clients do; such a transaction is in doubt.

use super::ledger::{Change, Image, Ledger, Transaction};
use super::schema::{TABLES, Table};
use crate::shop::dice::Dice;
use crate::{Error, Result, Sql};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::MissedTickBehavior;

/// A unique value that is taken already.
const DUPLICATE: u16 = 1062;
/// A parent that is not there.
const NO_PARENT: u16 = 1452;

/// What all writers share.
#[derive(Debug, Default)]
pub struct Control {
    /// Set to end the run.
    pub stop: AtomicBool,
    /// Transactions committed so far.
    pub committed: AtomicU64,
    /// The last ticket drawn, see [`Change::ticket`].
    pub ticket: AtomicU64,
}

/// How a writer writes.
#[derive(Debug, Clone)]
pub struct WriterPlan {
    /// The region whose server it writes to.
    pub region: String,
    /// Its number in its region.
    pub number: u64,
    /// Where its randomness begins.
    pub seed: u64,
    /// Transactions a second at most; 0 is as fast as the server answers.
    pub rate: u64,
    /// Of a thousand transactions, in how many it hangs up in the middle of COMMIT.
    pub hang_ups: u64,
    /// The server's port.
    pub port: u16,
}

/// A writer with its connection and its ledger.
#[derive(Debug)]
pub struct Writer {
    plan: WriterPlan,
    name: String,
    sql: Sql,
    ledger: Ledger,
    dice: Dice,
    control: Arc<Control>,
    tokens: u64,
    number: u64,
    pending: Vec<Change>,
}

/// What a writer did.
#[derive(Debug, Default)]
pub struct Done {
    /// Transactions that the server acknowledged.
    pub acknowledged: u64,
    /// Transactions whose COMMIT got no answer.
    pub in_doubt: u64,
    /// Transactions that gave way: a deadlock, a lock waited for too long, a value taken.
    pub given_up: u64,
    /// The ledger's file.
    pub ledger: PathBuf,
}

impl Writer {
    /// Connects.
    pub async fn connect(plan: WriterPlan, ledger: Ledger, control: Arc<Control>) -> Result<Self> {
        Ok(Self {
            name: format!("{}-{}", plan.region, plan.number),
            sql: connection(&plan).await?,
            dice: Dice::new(plan.seed),
            plan,
            ledger,
            control,
            tokens: 0,
            number: 0,
            pending: Vec::new(),
        })
    }

    /// Writes until told to stop.
    pub async fn run(mut self) -> Result<Done> {
        let mut done = Done::default();
        let pause = Duration::from_micros(1_000_000_u64.checked_div(self.plan.rate).unwrap_or(1));
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.control.stop.load(Ordering::Relaxed) {
            if self.plan.rate > 0 {
                ticks.tick().await;
            }
            self.try_one(&mut done).await?;
        }
        self.end(done)
    }

    /// Writes so many transactions, as fast as the server answers.
    pub async fn transactions(mut self, count: u64) -> Result<Done> {
        let mut done = Done::default();
        while done.acknowledged + done.in_doubt < count {
            self.try_one(&mut done).await?;
        }
        self.end(done)
    }

    fn end(self, done: Done) -> Result<Done> {
        Ok(Done { ledger: self.ledger.close()?, ..done })
    }

    async fn try_one(&mut self, done: &mut Done) -> Result<()> {
        match self.transaction().await {
            Ok(Some(true)) => {
                done.acknowledged += 1;
                self.control.committed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Some(false)) => done.in_doubt += 1,
            Ok(None) => {}
            // The server has chosen this transaction to give way. A client would try again; so will the next throw.
            Err(error) if matches!(error.server_code(), Some(1205 | 1213)) => {
                self.sql.run("ROLLBACK").await?;
                done.given_up += 1;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// One transaction: acknowledged (true), in doubt (false), or none, as it changed nothing.
    async fn transaction(&mut self) -> Result<Option<bool>> {
        self.pending.clear();
        self.sql.run("BEGIN").await?;
        for _ in 0..=self.dice.below(3) {
            let throw = self.dice.below(TABLES.iter().map(|table| table.rows).sum());
            let mut rest = throw;
            for table in &TABLES {
                if rest < table.rows {
                    self.step(table).await?;
                    break;
                }
                rest -= table.rows;
            }
        }
        if self.pending.is_empty() {
            self.sql.run("ROLLBACK").await?;
            return Ok(None);
        }
        let sent_us = now_us();
        let answered = self.commit().await?;
        let acknowledged_us = answered.then(now_us);
        self.number += 1;
        self.ledger.note(&Transaction {
            writer: self.name.clone(),
            region: self.plan.region.clone(),
            number: self.number,
            sent_us,
            acknowledged_us,
            changes: std::mem::take(&mut self.pending),
        })?;
        Ok(Some(answered))
    }

    /// Commits; false if this writer hung up before the answer.
    async fn commit(&mut self) -> Result<bool> {
        if self.dice.below(1000) >= self.plan.hang_ups {
            self.sql.run("COMMIT").await?;
            return Ok(true);
        }
        let patience = Duration::from_micros(self.dice.below(3000));
        // Whether the statement was sent, taken in or answered when it ends is left to chance.
        let _ = tokio::time::timeout(patience, self.sql.run("COMMIT")).await;
        self.sql = connection(&self.plan).await?;
        Ok(false)
    }

    async fn step(&mut self, table: &'static Table) -> Result<()> {
        let key = table.row_name(1 + self.dice.below(table.rows));
        match table.name {
            "tally" => self.count(table, &key).await,
            "mixed" => self.mix(table, &key).await,
            "pair" => self.pair(table, &key).await,
            "parent" => self.parent(table, &key).await,
            "child" => self.child(table, &key).await,
            _ => self.whole(table, &key).await,
        }
    }

    /// Puts, moves or deletes a row that is decided as a whole.
    async fn whole(&mut self, table: &'static Table, key: &str) -> Result<()> {
        let there = self.lock(table, key).await?.is_some();
        let token = self.token();
        let (full, is) = (table.full(), table.condition(key));
        let throw = self.dice.below(20);
        let statement = match (there, table.name, throw) {
            (false, "plain", _) => {
                let filler = self.filler();
                format!("INSERT INTO {full} VALUES ('{key}', '{token}', '{filler}')")
            }
            (false, "spelled", _) => {
                let spelled = self.spell(key);
                format!("INSERT INTO {full} VALUES ('{spelled}', '{token}')")
            }
            (false, ..) => format!("INSERT INTO {full} VALUES ('{key}', '{token}')"),
            (true, _, 0..4) => format!("DELETE FROM {full} WHERE {is}"),
            (true, "plain", 4) => return self.swap_keys(table, key).await,
            (true, "plain", 5..8) => {
                let to = table.row_name(1 + self.dice.below(table.rows));
                let statement = format!("UPDATE {full} SET id = '{to}', token = '{token}' WHERE {is}");
                return self.change(table, &[key, &to], &statement).await.map(|_| ());
            }
            (true, "plain", _) => {
                let filler = self.filler();
                format!("UPDATE {full} SET token = '{token}', v = '{filler}' WHERE {is}")
            }
            // A primary key is changed into one that the collation takes for the same.
            (true, "spelled", 4..9) => {
                let spelled = self.spell(key);
                format!("UPDATE {full} SET name = '{spelled}', token = '{token}' WHERE {is}")
            }
            (true, ..) => format!("UPDATE {full} SET token = '{token}' WHERE {is}"),
        };
        self.change(table, &[key], &statement).await.map(|_| ())
    }

    /// Swaps the primary keys of two rows by way of a third key that nobody else uses.
    async fn swap_keys(&mut self, table: &'static Table, one: &str) -> Result<()> {
        let other = table.row_name(1 + self.dice.below(table.rows));
        if other == one || self.lock(table, &other).await?.is_none() {
            return Ok(());
        }
        let offset = self.plan.region.bytes().fold(0_u64, |sum, byte| sum * 31 + u64::from(byte)) % 10_000;
        let aside = (1_000_000 + offset * 1000 + self.plan.number).to_string();
        for (from, to) in [(one, aside.as_str()), (other.as_str(), one), (aside.as_str(), other.as_str())] {
            let token = self.token();
            let statement =
                format!("UPDATE {} SET id = '{to}', token = '{token}' WHERE id = '{from}'", table.full());
            if !self.change(table, &[from, to], &statement).await? {
                return Err(Error::Unexpected(format!("{from} could not take the place {to} made free")));
            }
        }
        Ok(())
    }

    /// Changes a row of the table with two unique secondary keys.
    async fn pair(&mut self, table: &'static Table, key: &str) -> Result<()> {
        let there = self.lock(table, key).await?.is_some();
        let token = self.token();
        let values = table.rows * 3 / 2;
        let a = match self.dice.below(6) {
            0 => "NULL".to_owned(),
            _ => (1 + self.dice.below(values)).to_string(),
        };
        let b = match self.dice.below(6) {
            0 => "NULL".to_owned(),
            _ => format!("'b{}'", 1 + self.dice.below(values)),
        };
        let statement = match (there, self.dice.below(12)) {
            (false, 0..8) => format!("INSERT INTO hot.pair VALUES ({key}, {a}, {b}, '{token}')"),
            (_, 8) => return self.replace(table, key, &a, &b, &token).await,
            (false, _) => return Ok(()),
            (true, 0..2) => format!("DELETE FROM hot.pair WHERE id = {key}"),
            (true, 2..5) => format!("UPDATE hot.pair SET a = {a}, token = '{token}' WHERE id = {key}"),
            (true, 5..7) => format!("UPDATE hot.pair SET b = {b}, token = '{token}' WHERE id = {key}"),
            (true, 7) => {
                let to = table.row_name(1 + self.dice.below(table.rows));
                let statement = format!("UPDATE hot.pair SET id = {to}, token = '{token}' WHERE id = {key}");
                return self.change(table, &[key, &to], &statement).await.map(|_| ());
            }
            (true, 9..11) => return self.swap_values(table, key).await,
            (true, _) => format!("UPDATE hot.pair SET token = '{token}' WHERE id = {key}"),
        };
        self.change(table, &[key], &statement).await.map(|_| ())
    }

    /// REPLACE: every row in the way goes.
    async fn replace(
        &mut self,
        table: &'static Table,
        key: &str,
        a: &str,
        b: &str,
        token: &str,
    ) -> Result<()> {
        let in_the_way = self
            .sql
            .column(format!(
                "SELECT id FROM hot.pair WHERE id = {key} OR a = {a} OR b = {b} ORDER BY id FOR UPDATE"
            ))
            .await?;
        let mut keys: Vec<&str> =
            in_the_way.iter().map(String::as_str).filter(|other| *other != key).collect();
        keys.push(key);
        let before = self.images(table, &keys).await?;
        let gone = before.iter().filter(|image| image.is_some()).count();
        self.sql.run(format!("REPLACE INTO hot.pair VALUES ({key}, {a}, {b}, '{token}')")).await?;
        if self.sql.affected_rows() != 1 + gone as u64 {
            // Another row came in the way after the look. Nobody knows which one it was, so this one gives way.
            self.pending.clear();
            return self.sql.run("ROLLBACK AND CHAIN").await;
        }
        self.note(table, &keys, before).await
    }

    /// Swaps a unique value of two rows, by way of NULL.
    async fn swap_values(&mut self, table: &'static Table, one: &str) -> Result<()> {
        let other = table.row_name(1 + self.dice.below(table.rows));
        if other == one {
            return Ok(());
        }
        let (Some(first), Some(second)) = (self.lock(table, one).await?, self.lock(table, &other).await?)
        else {
            return Ok(());
        };
        let column = if self.dice.below(2) == 0 { "a" } else { "b" };
        let quoted = |image: &Image| match image.get(column).cloned().flatten() {
            Some(value) => format!("'{value}'"),
            None => "NULL".to_owned(),
        };
        let steps = [(one, "NULL".to_owned()), (&other, quoted(&first)), (one, quoted(&second))];
        for (key, value) in steps {
            let token = self.token();
            let statement =
                format!("UPDATE hot.pair SET {column} = {value}, token = '{token}' WHERE id = {key}");
            if !self.change(table, &[key], &statement).await? {
                return Err(Error::Unexpected(format!("{value} of hot.pair was not free in a swap")));
            }
        }
        Ok(())
    }

    /// Counts, raises, lowers and marks in a row that is always there.
    async fn count(&mut self, table: &'static Table, key: &str) -> Result<()> {
        let token = self.token();
        let mut sets = Vec::new();
        // Large random amounts: no two sums of some of them are equal but by a miracle.
        let amount = |dice: &mut Dice, most: u64| {
            let size = 1 + dice.below(most);
            if dice.below(3) == 0 { format!("- {size}") } else { format!("+ {size}") }
        };
        if self.dice.below(3) > 0 {
            sets.push(format!("n = n {}", amount(&mut self.dice, 1_000_000_000_000)));
        }
        if self.dice.below(3) == 0 {
            sets.push(format!("price = price {} / 100", amount(&mut self.dice, 1_000_000_000_000)));
        }
        if self.dice.below(4) == 0 {
            sets.push(format!("high = GREATEST(high, {})", 1_000_000 + self.dice.below(1_000_000)));
        }
        if self.dice.below(4) == 0 {
            sets.push(format!("low = LEAST(low, {})", self.dice.below(1_000_000)));
        }
        if self.dice.below(8) == 0 {
            sets.push(format!("tags = tags + 0 | {}", 1_u64 << self.dice.below(12)));
        }
        match self.dice.below(4) {
            0 => sets.push(format!("fore = '{token}'")),
            1 => sets.push(format!("aft = '{token}'")),
            2 => sets.push(format!("fore = '{token}', aft = '{token}'")),
            _ => {}
        }
        if sets.is_empty() {
            return Ok(());
        }
        let statement = format!("UPDATE hot.tally SET {} WHERE id = {key}", sets.join(", "));
        self.change(table, &[key], &statement).await.map(|_| ())
    }

    /// Changes one column or both of a row, makes it or deletes it.
    async fn mix(&mut self, table: &'static Table, key: &str) -> Result<()> {
        let there = self.lock(table, key).await?.is_some();
        let token = self.token();
        let statement = match (there, self.dice.below(10)) {
            (false, _) => format!("INSERT INTO hot.mixed VALUES ({key}, '{token}', '{token}')"),
            (true, 0) => format!("DELETE FROM hot.mixed WHERE id = {key}"),
            (true, 1..5) => format!("UPDATE hot.mixed SET fore = '{token}' WHERE id = {key}"),
            (true, 5..9) => format!("UPDATE hot.mixed SET aft = '{token}' WHERE id = {key}"),
            (true, _) => {
                format!("UPDATE hot.mixed SET fore = '{token}', aft = '{token}' WHERE id = {key}")
            }
        };
        self.change(table, &[key], &statement).await.map(|_| ())
    }

    /// Makes, changes or deletes a parent; its children go with it.
    async fn parent(&mut self, table: &'static Table, key: &str) -> Result<()> {
        // From here on nobody gives this parent another child.
        let there = self.lock(table, key).await?.is_some();
        let token = self.token();
        let statement = match (there, self.dice.below(3)) {
            (false, _) => format!("INSERT INTO hot.parent VALUES ({key}, '{token}')"),
            (true, 0) => return self.delete_family(table, key).await,
            (true, _) => format!("UPDATE hot.parent SET token = '{token}' WHERE id = {key}"),
        };
        self.change(table, &[key], &statement).await.map(|_| ())
    }

    async fn delete_family(&mut self, parents: &'static Table, key: &str) -> Result<()> {
        let Some(children) = Table::named("child") else { return Ok(()) };
        let ids =
            self.sql.column(format!("SELECT id FROM hot.child WHERE parent = {key} FOR UPDATE")).await?;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let before = self.images(children, &ids).await?;
        self.change(parents, &[key], &format!("DELETE FROM hot.parent WHERE id = {key}")).await?;
        self.note(children, &ids, before).await
    }

    /// Makes a child, gives it to another parent, changes or deletes it.
    async fn child(&mut self, table: &'static Table, key: &str) -> Result<()> {
        let there = self.lock(table, key).await?.is_some();
        let token = self.token();
        let parent = 1 + self.dice.below(Table::named("parent").map_or(1, |table| table.rows));
        let statement = match (there, self.dice.below(5)) {
            (false, _) => format!("INSERT INTO hot.child VALUES ({key}, {parent}, '{token}')"),
            (true, 0) => format!("DELETE FROM hot.child WHERE id = {key}"),
            (true, 1 | 2) => {
                format!("UPDATE hot.child SET parent = {parent}, token = '{token}' WHERE id = {key}")
            }
            (true, _) => format!("UPDATE hot.child SET token = '{token}' WHERE id = {key}"),
        };
        self.change(table, &[key], &statement).await.map(|_| ())
    }

    /// Runs a statement that changes at most the rows with these names, and remembers what it made of them. False if a unique value
    /// was taken or a parent is not there, which leaves everything as it was.
    async fn change(&mut self, table: &'static Table, keys: &[&str], statement: &str) -> Result<bool> {
        // A row that is moved to where it is would else be noted twice.
        let keys = if keys.windows(2).all(|pair| pair[0] == pair[1]) { &keys[..1] } else { keys };
        let before = self.images(table, keys).await?;
        match self.sql.run(statement).await {
            Ok(()) => self.note(table, keys, before).await.map(|()| true),
            Err(error) if matches!(error.server_code(), Some(DUPLICATE | NO_PARENT)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads these rows after a change and remembers those that are no longer as they were.
    async fn note(&mut self, table: &'static Table, keys: &[&str], before: Vec<Option<Image>>) -> Result<()> {
        let after = self.images(table, keys).await?;
        for ((key, before), after) in keys.iter().zip(before).zip(after) {
            if before != after {
                let ticket = 1 + self.control.ticket.fetch_add(1, Ordering::SeqCst);
                let (table, key) = (table.name.to_owned(), (*key).to_owned());
                self.pending.push(Change { table, key, ticket, before, after });
            }
        }
        Ok(())
    }

    async fn images(&mut self, table: &'static Table, keys: &[&str]) -> Result<Vec<Option<Image>>> {
        let mut found = Vec::new();
        for key in keys {
            found.push(self.lock(table, key).await?);
        }
        Ok(found)
    }

    /// Locks a row, if it is there, and reads it.
    async fn lock(&mut self, table: &'static Table, key: &str) -> Result<Option<Image>> {
        let query = format!(
            "SELECT {} FROM {} WHERE {} FOR UPDATE",
            table.columns.join(", "),
            table.full(),
            table.condition(key)
        );
        Ok(self.sql.rows(query).await?.pop().map(|row| table.image(row)))
    }

    fn token(&mut self) -> String {
        self.tokens += 1;
        format!("{}-{}", self.name, self.tokens)
    }

    fn filler(&mut self) -> String {
        "x".repeat(usize::try_from(self.dice.below(300)).unwrap_or(0))
    }

    /// The name with each letter large or small.
    fn spell(&mut self, name: &str) -> String {
        let one = |letter: char| {
            if self.dice.below(2) == 0 { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
        };
        name.chars().map(one).collect()
    }
}

async fn connection(plan: &WriterPlan) -> Result<Sql> {
    let mut sql = Sql::connect(plan.port, "root", None).await?;
    // Both kinds of locking, with gaps and without.
    let isolation = if plan.number % 2 == 0 { "READ COMMITTED" } else { "REPEATABLE READ" };
    sql.run(format!("SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")).await?;
    sql.run("SET SESSION innodb_lock_wait_timeout = 3").await?;
    Ok(sql)
}

/// The wall clock, the same that the servers on this machine read.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
