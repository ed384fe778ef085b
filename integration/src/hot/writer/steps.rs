//! What a writer does with one row of each table.

use super::super::ledger::Image;
use super::super::schema::Table;
use super::Writer;
use crate::shop::dice::Dice;
use crate::{Error, Result};

impl Writer {
    /// One step of a transaction, in this table.
    pub(super) async fn step(&mut self, table: &'static Table) -> Result<()> {
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
