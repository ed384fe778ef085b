//! The workload: tables, rows and transactions as sysbench's `oltp_write_only` has them, written anew.
//!
//! Eight tables `sbtest.sbtest1` to `sbtest8` with columns `id`, `k`, `c CHAR(120)`, `pad CHAR(60)` and a key on `k`. Each transaction: one
//! `UPDATE` of `k` by id, one `UPDATE` of `c` by id, one `DELETE` by id and an `INSERT` of the same id, each of the three in a table drawn
//! evenly, ids from the distribution that sysbench 1.0 calls `special` (its default): 75 of 100 draws fall evenly on the hundredth of the ids in the
//! middle, the others on the mean of twelve even draws, a bell over all ids.

use integration::shop::dice::Dice;
use std::fmt::Write as _;

/// How many tables there are.
pub const TABLES: u64 = 8;

/// Which of sysbench's transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// `oltp_write_only`: two updates, a delete and an insert.
    WriteOnly,
    /// `oltp_insert`: one new row, so that no two transactions change the same one.
    Insert,
}

impl Workload {
    /// What it is, for the report.
    pub fn name(self) -> &'static str {
        match self {
            Workload::WriteOnly => "oltp_write_only, 4 row changes a transaction",
            Workload::Insert => "oltp_insert, 1 row change a transaction",
        }
    }
}

/// How ids are drawn, for the report.
pub const DISTRIBUTION: &str =
    "sysbench 1.0 `special`: 75 % evenly on the middle 1 % of the ids, 25 % on the mean of 12 even draws";

/// Draws of which the mean is taken.
const BELL_DRAWS: u64 = 12;
/// Of a hundred draws, how many fall on the few ids in the middle.
const MIDDLE_PERCENT: u64 = 75;

/// A name of a table, `schema.table`, for numbers from 1 on.
pub fn table(number: u64) -> String {
    format!("sbtest.sbtest{number}")
}

/// All names.
pub fn tables() -> Vec<String> {
    (1..=TABLES).map(table).collect()
}

/// The script that makes the tables with `rows` rows each, equal wherever it runs, and the table of the probes.
pub fn seed_script(rows: u64) -> String {
    let mut script =
        String::from("SET SESSION cte_max_recursion_depth = 1000000;\nCREATE DATABASE sbtest;\n");
    for (number, table) in (1..).zip(tables()) {
        let digits = |groups: u64, salt: &str| {
            let group = |index| format!("LPAD(CRC32(CONCAT('{salt}{number}.{index}.', i)), 11, '0')");
            (0..groups).map(group).collect::<Vec<_>>().join(", ")
        };
        let _ = write!(
            script,
            "CREATE TABLE {table} (id INT NOT NULL AUTO_INCREMENT, k INT NOT NULL DEFAULT 0, \
             c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_{number} (k)) \
             ENGINE = InnoDB;\n\
             INSERT INTO {table} (id, k, c, pad) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
             SELECT i, 1 + MOD(CRC32(CONCAT('k{number}.', i)), {rows}), CONCAT_WS('-', {}), CONCAT_WS('-', {}) FROM n;\n",
            digits(10, "c"),
            digits(5, "p"),
        );
    }
    script.push_str("CREATE TABLE sbtest.probe (id INT NOT NULL PRIMARY KEY) ENGINE = InnoDB;\n");
    script
}

/// Queries that read every page of the tables and their keys, so that each drain begins with a warm buffer pool.
pub fn warming() -> Vec<String> {
    let of_table = |number: u64| {
        let table = table(number);
        [
            format!("SELECT SUM(LENGTH(c) + LENGTH(pad)) FROM {table} FORCE INDEX (PRIMARY)"),
            format!("SELECT COUNT(*) FROM {table} FORCE INDEX (k_{number}) WHERE k >= 0"),
        ]
    };
    (1..=TABLES).flat_map(of_table).collect()
}

/// Draws transactions.
#[derive(Debug, Clone)]
pub struct Draw {
    dice: Dice,
    rows: u64,
    workload: Workload,
}

impl Draw {
    /// Over tables of `rows` rows each.
    pub fn new(workload: Workload, seed: u64, rows: u64) -> Self {
        Self { dice: Dice::new(seed), rows, workload }
    }

    /// An id from 1 to the number of rows.
    pub fn id(&mut self) -> u64 {
        if self.dice.below(100) >= MIDDLE_PERCENT {
            let sum: u64 = (0..BELL_DRAWS).map(|_| self.dice.below(self.rows)).sum();
            return 1 + sum / BELL_DRAWS;
        }
        let few = (self.rows / 100).max(1);
        1 + (self.rows - few) / 2 + self.dice.below(few)
    }

    /// The statements of one transaction, as one text with semicolons.
    pub fn transaction(&mut self) -> String {
        match self.workload {
            Workload::WriteOnly => self.write_only(),
            Workload::Insert => self.insert(),
        }
    }

    fn insert(&mut self) -> String {
        let (table, k) = (self.table(), self.id());
        // Id 0 asks the server for the next one.
        let mut text = format!("INSERT INTO {table} (id, k, c, pad) VALUES (0, {k}, '");
        self.digits(&mut text, 10);
        text.push_str("', '");
        self.digits(&mut text, 5);
        text.push_str("')");
        text
    }

    fn write_only(&mut self) -> String {
        let (of_k, of_c, of_row) = (self.table(), self.table(), self.table());
        let mut text = String::with_capacity(600);
        let _ = write!(text, "BEGIN; UPDATE {of_k} SET k = k + 1 WHERE id = {}; ", self.id());
        let _ = write!(text, "UPDATE {of_c} SET c = '");
        self.digits(&mut text, 10);
        let _ = write!(text, "' WHERE id = {}; ", self.id());
        let (id, k) = (self.id(), self.id());
        let _ = write!(
            text,
            "DELETE FROM {of_row} WHERE id = {id}; INSERT INTO {of_row} (id, k, c, pad) VALUES ({id}, {k}, '"
        );
        self.digits(&mut text, 10);
        text.push_str("', '");
        self.digits(&mut text, 5);
        text.push_str("'); COMMIT");
        text
    }

    fn table(&mut self) -> String {
        table(1 + self.dice.below(TABLES))
    }

    /// Groups of eleven digits with dashes between.
    fn digits(&mut self, text: &mut String, groups: u64) {
        for group in 0..groups {
            let dash = if group == 0 { "" } else { "-" };
            let _ = write!(text, "{dash}{:011}", self.dice.below(100_000_000_000));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_four_ids_lie_in_the_middle_hundredth_and_none_beyond_the_ends() {
        let mut draw = Draw::new(Workload::WriteOnly, 7, 10_000);
        let ids: Vec<u64> = (0..20_000).map(|_| draw.id()).collect();
        assert!(ids.iter().all(|id| (1..=10_000).contains(id)));
        let middle = ids.iter().filter(|id| (4_951..=5_050).contains(*id)).count();
        // The bell adds some of its own: 25 % times the 5 % of it that lie there.
        assert!((14_800..=15_800).contains(&middle), "{middle}");
        let outside = ids.iter().filter(|id| !(2_000..=8_000).contains(*id)).count();
        assert!(outside > 0, "the bell has no tails");
    }

    #[test]
    fn a_small_table_has_ids_too() {
        let mut draw = Draw::new(Workload::WriteOnly, 1, 3);
        assert!((0..1000).all(|_| (1..=3).contains(&draw.id())));
    }

    #[test]
    fn a_transaction_puts_back_the_row_that_it_deletes() {
        let text = Draw::new(Workload::WriteOnly, 3, 100).transaction();
        let statements: Vec<&str> = text.split("; ").collect();
        assert_eq!(statements.len(), 6);
        let deleted = statements[3].rsplit(' ').next().unwrap_or_default();
        let table = statements[3].split(' ').nth(2).unwrap_or_default();
        let inserted = format!("INSERT INTO {table} (id, k, c, pad) VALUES ({deleted}, ");
        assert!(statements[4].starts_with(&inserted), "{text}");
    }
}
