//! A client of one region that places orders and changes things until it is told to stop.

use super::dice::Dice;
use super::ledger::{Change, Ledger, What};
use super::schema::PRODUCTS;
use crate::{Result, Sql};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// What all writers share: when to stop, and how many transactions a region's clients have committed.
#[derive(Debug, Default)]
pub struct Control {
    /// Set to end the run.
    pub stop: AtomicBool,
}

/// How a writer writes.
#[derive(Debug, Clone)]
pub struct WriterPlan {
    /// Its name, such as `eu-0`; tokens and its counter rows carry it.
    pub name: String,
    /// Where its randomness begins.
    pub seed: u64,
    /// Transactions a second at most; 0 is as fast as the server answers.
    pub rate: u64,
    /// Of a hundred transactions, how many change a row that all writers change.
    pub shared_percent: u64,
}

/// A writer with its connection and its ledger.
#[derive(Debug)]
pub struct Writer {
    plan: WriterPlan,
    sql: Sql,
    ledger: Ledger,
    dice: Dice,
    tokens: u64,
    customers: Vec<u64>,
    orders: Vec<u64>,
    pending: Vec<Change>,
    count: Arc<AtomicU64>,
}

/// What a writer did.
#[derive(Debug)]
pub struct Done {
    /// Its name.
    pub name: String,
    /// Transactions that the server committed.
    pub transactions: u64,
    /// Transactions that the server rolled back (a deadlock or a lock wait too long), and that were given up.
    pub given_up: u64,
    /// The ledger's file.
    pub ledger: PathBuf,
}

impl Writer {
    /// A writer on connection `sql`; `count` is raised at each commit.
    pub fn new(plan: WriterPlan, sql: Sql, ledger: Ledger, count: Arc<AtomicU64>) -> Self {
        let dice = Dice::new(plan.seed);
        Self {
            plan,
            sql,
            ledger,
            dice,
            tokens: 0,
            customers: Vec::new(),
            orders: Vec::new(),
            pending: Vec::new(),
            count,
        }
    }

    /// Writes until told to stop.
    pub async fn run(mut self, control: Arc<Control>) -> Result<Done> {
        let mut given_up = 0;
        let pause = Duration::from_micros(1_000_000_u64.checked_div(self.plan.rate).unwrap_or(0))
            .max(Duration::from_micros(1));
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !control.stop.load(Ordering::Relaxed) {
            if self.plan.rate > 0 {
                ticks.tick().await;
            }
            self.pending.clear();
            match self.transaction().await {
                Ok(()) => {
                    let changes = std::mem::take(&mut self.pending);
                    if !changes.is_empty() {
                        self.remember(&changes);
                        self.ledger.committed(changes)?;
                        self.count.fetch_add(1, Ordering::Relaxed);
                    }
                }
                // The server has chosen this transaction to give way. A client would try again; so will the next throw.
                Err(error) if matches!(error.server_code(), Some(1205 | 1213)) => {
                    self.sql.run("ROLLBACK").await?;
                    given_up += 1;
                }
                Err(error) => return Err(error),
            }
        }
        let transactions = self.ledger.transactions();
        Ok(Done { name: self.plan.name, transactions, given_up, ledger: self.ledger.close()? })
    }

    async fn transaction(&mut self) -> Result<()> {
        self.sql.run("BEGIN").await?;
        if self.dice.below(100) < self.plan.shared_percent {
            self.change_shared().await?;
        }
        match self.dice.below(10) {
            0 | 1 => self.new_customer().await?,
            2 => self.change_customer().await?,
            3 => self.delete_customer().await?,
            4 | 5 => self.move_order().await?,
            _ => self.place_order().await?,
        }
        self.sql.run("COMMIT").await
    }

    async fn new_customer(&mut self) -> Result<()> {
        let token = self.token();
        let (tier, credit) = (1 + self.dice.below(3), self.dice.below(1_000_000));
        self.sql
            .run(format!(
                "INSERT INTO shop.customers (name, tier, address, credit, seen, token) VALUES ('Zoë {token}', {tier}, \
                 JSON_OBJECT('street', 'Straße {credit}', 'code', {credit}, 'tags', JSON_ARRAY('a', 1, 2.5, NULL)), \
                 {credit} / 100, NOW(6), '{token}')"
            ))
            .await?;
        self.note("shop.customers", self.sql.last_insert_id(), false, What::Put(token));
        Ok(())
    }

    async fn change_customer(&mut self) -> Result<()> {
        let Some(id) = self.dice.pick(&self.customers).copied() else { return self.new_customer().await };
        let token = self.token();
        let statement = format!(
            "UPDATE shop.customers SET credit = credit - 0.01, tier = IF(tier = 'gold', 'basic', 'gold'), seen = NOW(6), \
             address = JSON_SET(address, '$.code', {}), token = '{token}' WHERE id = {id}",
            self.tokens
        );
        self.sql.run(statement).await?;
        self.note("shop.customers", id, false, What::Put(token));
        Ok(())
    }

    async fn delete_customer(&mut self) -> Result<()> {
        let Some(id) = self.dice.pick(&self.customers).copied() else { return self.new_customer().await };
        self.sql.run(format!("DELETE FROM shop.customers WHERE id = {id}")).await?;
        self.note("shop.customers", id, false, What::Delete);
        Ok(())
    }

    async fn move_order(&mut self) -> Result<()> {
        let Some(id) = self.dice.pick(&self.orders).copied() else { return self.place_order().await };
        let token = self.token();
        let state = 2 + self.dice.below(3);
        self.sql
            .run(format!("UPDATE shop.orders SET state = {state}, token = '{token}' WHERE id = {id}"))
            .await?;
        self.note("shop.orders", id, false, What::Put(token));
        Ok(())
    }

    async fn place_order(&mut self) -> Result<()> {
        let token = self.token();
        let customer = self.dice.pick(&self.customers).copied().unwrap_or(0);
        self.sql
            .run(format!(
                "INSERT INTO shop.orders (customer, state, total, note, placed, token) VALUES ({customer}, 'new', \
                 {}.25, '{{\"gift\": true, \"text\": \"für dich\"}}', NOW(6), '{token}')",
                self.dice.below(10_000)
            ))
            .await?;
        let order = self.sql.last_insert_id();
        self.note("shop.orders", order, false, What::Put(token));
        let lines = 1 + self.dice.below(4);
        let mut values = Vec::new();
        for line in 1..=lines {
            let token = self.token();
            let product = 1 + self.dice.below(PRODUCTS);
            values.push(format!("({order}, {line}, {product}, {line}, {product}.99, '{token}')"));
            self.note("shop.order_lines", format!("{order}/{line}"), false, What::Put(token));
        }
        self.sql.run(format!("INSERT INTO shop.order_lines VALUES {}", values.join(", "))).await?;
        let token = self.token();
        let product = 1 + self.dice.below(PRODUCTS);
        let writer = self.plan.name.clone();
        self.sql
            .run(format!(
                "UPDATE shop.stock SET quantity = quantity - {lines}, token = '{token}' \
                 WHERE product = {product} AND warehouse = '{writer}'"
            ))
            .await?;
        let by = -i64::try_from(lines).unwrap_or(0);
        self.note("shop.stock", format!("{product}/{writer}"), false, What::Count(by, token));
        Ok(())
    }

    /// Changes a row that everybody changes: a price, a delete now and then, or the central stock.
    async fn change_shared(&mut self) -> Result<()> {
        let token = self.token();
        let product = 1 + self.dice.below(PRODUCTS);
        match self.dice.below(8) {
            0 => {
                self.sql.run(format!("DELETE FROM shop.products WHERE id = {product}")).await?;
                if self.sql.affected_rows() > 0 {
                    self.note("shop.products", product, true, What::Delete);
                }
            }
            1..=4 => {
                let price = self.dice.below(100_000);
                self.sql
                    .run(format!(
                        "INSERT INTO shop.products VALUES ({product}, 'product {product}', {price} / 100, \
                         JSON_OBJECT('price', {price}), 'hidden', NOW(6), '{token}') AS n \
                         ON DUPLICATE KEY UPDATE price = n.price, attributes = n.attributes, changed = n.changed, token = n.token"
                    ))
                    .await?;
                self.note("shop.products", product, true, What::Put(token));
            }
            _ => {
                self.sql
                    .run(format!(
                        "UPDATE shop.stock SET quantity = quantity - 1, token = '{token}' \
                         WHERE product = {product} AND warehouse = 'central'"
                    ))
                    .await?;
                self.note("shop.stock", format!("{product}/central"), true, What::Put(token));
            }
        }
        Ok(())
    }

    fn token(&mut self) -> String {
        self.tokens += 1;
        format!("{}-{}", self.plan.name, self.tokens)
    }

    fn note(&mut self, table: &str, key: impl ToString, shared: bool, what: What) {
        self.pending.push(Change { table: table.to_owned(), key: key.to_string(), shared, what });
    }

    /// Keeps the rows that this writer may change later; only what was committed.
    fn remember(&mut self, changes: &[Change]) {
        for change in changes {
            let rows = match change.table.as_str() {
                "shop.customers" => &mut self.customers,
                "shop.orders" => &mut self.orders,
                _ => continue,
            };
            let Ok(id) = change.key.parse() else { continue };
            match (&change.what, rows.iter().position(|row| *row == id)) {
                (What::Delete, Some(index)) => {
                    rows.swap_remove(index);
                }
                (What::Put(_), None) => rows.push(id),
                _ => {}
            }
            // Old rows are left in peace after a while, so that the search above stays short.
            if rows.len() > 2_000 {
                rows.remove(0);
            }
        }
    }
}
