//! A client of one region that changes hot rows until it is told to stop, and notes what each row was before and after.
//!
//! A row is locked when it is read before a change and when it is read after it, so its ledger tells what really was there. Now and
//! then the client hangs up in the middle of COMMIT, as clients do; such a transaction is in doubt.

mod steps;

use super::ledger::{Change, Image, Ledger, Transaction};
use super::schema::{TABLES, Table};
use crate::shop::dice::Dice;
use crate::{Error, Result, Sql};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
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
    /// Before COMMIT, it keeps what it has locked for up to so long.
    pub thinks: Duration,
    /// Of a thousand transactions, in how many it hangs up in the middle of COMMIT.
    pub hang_ups: u64,
    /// The server's port.
    pub port: u16,
    /// Whether a lost connection is to be expected, and made again.
    pub server_may_die: bool,
}

/// What a server says to clients while it stops: shutdown (1053), the session was killed (3169), disconnected by it (4031).
const STOPPING: [u16; 3] = [1053, 3169, 4031];
/// How long a server may be away.
const AWAY_MAX: Duration = Duration::from_secs(120);

/// A writer with its connection and its ledger.
#[derive(Debug)]
pub struct Writer {
    plan: WriterPlan,
    name: String,
    sql: Sql,
    /// The connection is of no use any more.
    lost: bool,
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
            lost: false,
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
        if self.lost && !self.reconnect().await? {
            return Ok(());
        }
        match self.transaction().await {
            Ok(Some(true)) => {
                done.acknowledged += 1;
                self.control.committed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Some(false)) => done.in_doubt += 1,
            Ok(None) => {}
            // The server has chosen this transaction to give way. A client would try again; so will the next throw.
            Err(error) if matches!(error.server_code(), Some(1205 | 1213)) => {
                done.given_up += 1;
                match self.sql.run("ROLLBACK").await {
                    Err(error) if self.is_lost(&error) => self.lost = true,
                    rolled_back => rolled_back?,
                }
            }
            Err(error) if self.is_lost(&error) => {
                done.given_up += 1;
                self.lost = true;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether an error says that the server died or stops, where that is to be expected.
    fn is_lost(&self, error: &Error) -> bool {
        self.plan.server_may_die && error.server_code().is_none_or(|code| STOPPING.contains(&code))
    }

    /// Connects again as soon as the server is back; false if the run ends before that.
    async fn reconnect(&mut self) -> Result<bool> {
        let began = Instant::now();
        loop {
            match connection(&self.plan).await {
                Ok(sql) => {
                    (self.sql, self.lost) = (sql, false);
                    return Ok(true);
                }
                Err(_) if self.control.stop.load(Ordering::Relaxed) => return Ok(false),
                Err(error) if !self.is_lost(&error) || began.elapsed() > AWAY_MAX => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
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
        let most = u64::try_from(self.plan.thinks.as_micros()).unwrap_or(u64::MAX);
        if most > 0 {
            tokio::time::sleep(Duration::from_micros(self.dice.below(most))).await;
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
            return match self.sql.run("COMMIT").await {
                Ok(()) => Ok(true),
                Err(error) if self.is_lost(&error) => {
                    self.lost = true;
                    Ok(false)
                }
                Err(error) => Err(error),
            };
        }
        let patience = Duration::from_micros(self.dice.below(3000));
        // Whether the statement was sent, taken in or answered when it ends is left to chance.
        let _ = tokio::time::timeout(patience, self.sql.run("COMMIT")).await;
        match connection(&self.plan).await {
            Ok(sql) => self.sql = sql,
            Err(error) if self.is_lost(&error) => self.lost = true,
            Err(error) => return Err(error),
        }
        Ok(false)
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
}

async fn connection(plan: &WriterPlan) -> Result<Sql> {
    let mut sql = Sql::connect(plan.port, "root", None).await?;
    // Both kinds of locking, with gaps and without.
    let isolation = if plan.number.is_multiple_of(2) { "READ COMMITTED" } else { "REPEATABLE READ" };
    sql.run(format!("SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")).await?;
    sql.run("SET SESSION innodb_lock_wait_timeout = 3").await?;
    Ok(sql)
}

/// The wall clock, the same that the servers on this machine read.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
