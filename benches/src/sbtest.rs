//! The workloads: tables, rows and transactions as sysbench's `oltp_write_only` has them, written anew, and what is skewed.
//!
//! Eight tables `sbtest.sbtest1` to `sbtest8` with columns `id`, `k`, `c CHAR(120)`, `pad CHAR(60)` and a key on `k`. Each transaction: one
//! `UPDATE` of `k` by id, one `UPDATE` of `c` by id, one `DELETE` by id and an `INSERT` of the same id, each of the three in a table drawn
//! evenly, ids from the distribution that sysbench 1.0 calls `special` (its default): 75 of 100 draws fall evenly on the hundredth of the ids in the
//! middle, the others on the mean of twelve even draws, a bell over all ids. A [`Workload`] says what differs from that.

use integration::shop::dice::Dice;
use std::fmt::Write as _;
use std::sync::Arc;

/// What the transactions of a load are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// What it is, for the report.
    pub name: &'static str,
    /// Which of sysbench's transactions.
    pub kind: Kind,
    /// What they write to.
    pub tables: Tables,
    /// Number of the first of sysbench's tables, so that loads at several regions have tables of their own.
    pub first: u64,
    /// Which ids.
    pub ids: Ids,
    /// Of a hundred transactions, how many first update one and the same row.
    pub hot_percent: u64,
}

/// Which of sysbench's transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `oltp_write_only`: two updates, a delete and an insert.
    WriteOnly,
    /// `oltp_insert`: one new row, so that no two transactions change the same one.
    Insert,
}

/// Which tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// So many of sysbench's.
    Sysbench(u64),
    /// Eight with rows of 16 KB.
    Large,
    /// Eight with two integers a row.
    Tiny,
}

/// How ids are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// As sysbench does by default.
    Special,
    /// By Zipf's law with exponent 1: the nth most frequent id is drawn a nth as often as the first.
    Zipf,
}

/// How many tables there are.
pub const TABLES: u64 = 8;
/// How many there are if skewed loads are measured; those beyond the first eight have few rows.
pub const MANY_TABLES: u64 = 200;
/// Of the rows of the first eight tables, one in so many is in each of the many others, in a table of large rows too.
const FEWER: u64 = 20;
/// How often eleven digits and a dash are in a large row.
const LARGE: u64 = 16_384 / 12;

impl Workload {
    /// `oltp_write_only`.
    pub const WRITE_ONLY: Self = Self {
        name: "oltp_write_only, 4 row changes a transaction",
        kind: Kind::WriteOnly,
        tables: Tables::Sysbench(TABLES),
        first: 1,
        ids: Ids::Special,
        hot_percent: 0,
    };
    /// `oltp_insert`.
    pub const INSERT: Self =
        Self { name: "oltp_insert, 1 row change a transaction", kind: Kind::Insert, ..Self::WRITE_ONLY };

    /// `oltp_write_only` on `count` tables that no other share has: the share of the region of this index, from 0 on.
    pub fn share(index: u64, count: u64) -> Self {
        Self { tables: Tables::Sysbench(count), first: 1 + index * count, ..Self::WRITE_ONLY }
    }

    /// Its tables' names.
    pub fn tables(self) -> Vec<String> {
        match self.tables {
            Tables::Sysbench(count) => {
                (self.first..self.first + count).map(|number| format!("sbtest.sbtest{number}")).collect()
            }
            Tables::Large => (1..=TABLES).map(|number| format!("sbtest.large{number}")).collect(),
            Tables::Tiny => (1..=TABLES).map(|number| format!("sbtest.tiny{number}")).collect(),
        }
    }

    /// Rows of each of its tables, if sysbench's have `rows`.
    pub fn rows(self, rows: u64) -> u64 {
        match self.tables {
            Tables::Sysbench(count) if count > TABLES => (rows / FEWER).max(1),
            Tables::Large => (rows / FEWER).max(1),
            _ => rows,
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

/// How every script of tables begins.
const DATABASE: &str = "SET SESSION cte_max_recursion_depth = 1000000;\nCREATE DATABASE sbtest;\n";

/// Rows `n (i)` from 1 on.
fn numbers(rows: u64) -> String {
    format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})")
}

/// The script that makes the tables with `rows` rows each, equal wherever it runs, and the table of the probes; with those of the skewed
/// loads, if they are asked for.
pub fn seed_script(rows: u64, skewed: bool) -> String {
    let mut script = String::from(DATABASE);
    let count = if skewed { MANY_TABLES } else { TABLES };
    let sysbench = Workload { tables: Tables::Sysbench(count), ..Workload::WRITE_ONLY };
    for (number, table) in (1..).zip(sysbench.tables()) {
        let rows = if number <= TABLES { rows } else { sysbench.rows(rows) };
        seed_sysbench(&mut script, number, &table, rows);
    }
    for (tables, columns, values) in [
        (
            Tables::Large,
            ", c TEXT NOT NULL",
            format!(", REPEAT(CONCAT(LPAD(CRC32(i), 11, '0'), '-'), {LARGE})"),
        ),
        (Tables::Tiny, "", String::new()),
    ] {
        let workload = Workload { tables, ..Workload::WRITE_ONLY };
        for table in workload.tables().into_iter().filter(|_| skewed) {
            let _ = write!(
                script,
                "CREATE TABLE {table} (id INT NOT NULL PRIMARY KEY, k INT NOT NULL{columns}) ENGINE = InnoDB;\n\
                 INSERT INTO {table} {} SELECT i, i{values} FROM n;\n",
                numbers(workload.rows(rows))
            );
        }
    }
    script.push_str("CREATE TABLE sbtest.probe (id INT NOT NULL PRIMARY KEY) ENGINE = InnoDB;\n");
    script
}

/// The script that makes so many of sysbench's tables, all of them with `rows` rows, equal wherever it runs.
pub fn seed_script_even(count: u64, rows: u64) -> String {
    let mut script = String::from(DATABASE);
    for (number, table) in (1..).zip(Workload::share(0, count).tables()) {
        seed_sysbench(&mut script, number, &table, rows);
    }
    script
}

fn seed_sysbench(script: &mut String, number: u64, table: &str, rows: u64) {
    let digits = |groups: u64, salt: &str| {
        let group = |index| format!("LPAD(CRC32(CONCAT('{salt}{number}.{index}.', i)), 11, '0')");
        (0..groups).map(group).collect::<Vec<_>>().join(", ")
    };
    let _ = write!(
        script,
        "CREATE TABLE {table} (id INT NOT NULL AUTO_INCREMENT, k INT NOT NULL DEFAULT 0, \
         c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_{number} (k)) \
         ENGINE = InnoDB;\n\
         INSERT INTO {table} (id, k, c, pad) {} \
         SELECT i, 1 + MOD(CRC32(CONCAT('k{number}.', i)), {rows}), CONCAT_WS('-', {}), CONCAT_WS('-', {}) FROM n;\n",
        numbers(rows),
        digits(10, "c"),
        digits(5, "p"),
    );
}

/// Queries that read every page of a load's tables and their keys, so that each drain begins with a warm buffer pool.
pub fn warming(workload: Workload) -> Vec<String> {
    let of_table = |(number, table): (u64, String)| match workload.tables {
        Tables::Sysbench(_) => vec![
            format!("SELECT SUM(LENGTH(c) + LENGTH(pad)) FROM {table} FORCE INDEX (PRIMARY)"),
            format!("SELECT COUNT(*) FROM {table} FORCE INDEX (k_{number}) WHERE k >= 0"),
        ],
        Tables::Large => vec![format!("SELECT SUM(LENGTH(c)) FROM {table}")],
        Tables::Tiny => vec![format!("SELECT SUM(k) FROM {table}")],
    };
    (workload.first..).zip(workload.tables()).flat_map(of_table).collect()
}

/// Draws transactions.
#[derive(Debug, Clone)]
pub struct Draw {
    dice: Dice,
    tables: Arc<[String]>,
    rows: u64,
    workload: Workload,
    /// By Zipf's law, of each id how many draws of the whole fall on it or those before it.
    zipf: Arc<[f64]>,
}

impl Draw {
    /// Over tables which have `rows` rows each if they are sysbench's.
    pub fn new(workload: Workload, seed: u64, rows: u64) -> Self {
        let rows = workload.rows(rows);
        let ranks = 1..=if workload.ids == Ids::Zipf { rows } else { 0 };
        let zipf = ranks.scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        });
        Self { dice: Dice::new(seed), tables: workload.tables().into(), rows, workload, zipf: zipf.collect() }
    }

    /// An id from 1 to the number of rows.
    pub fn id(&mut self) -> u64 {
        if let Some(whole) = self.zipf.last() {
            let drawn = whole * (self.dice.below(1 << 53) as f64 / (1u64 << 53) as f64);
            return 1 + self.zipf.partition_point(|sum| *sum <= drawn) as u64;
        }
        if self.dice.below(100) >= MIDDLE_PERCENT {
            let sum: u64 = (0..BELL_DRAWS).map(|_| self.dice.below(self.rows)).sum();
            return 1 + sum / BELL_DRAWS;
        }
        let few = (self.rows / 100).max(1);
        1 + (self.rows - few) / 2 + self.dice.below(few)
    }

    /// The statements of one transaction, as one text with semicolons.
    pub fn transaction(&mut self) -> String {
        match self.workload.kind {
            Kind::WriteOnly => self.write_only(),
            Kind::Insert => self.insert(),
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
        let (mut of_k, of_c, of_row) = (self.table(), self.table(), self.table());
        let mut hot = self.id();
        if self.workload.hot_percent > 0 && self.dice.below(100) < self.workload.hot_percent {
            (of_k, hot) = (self.tables[0].clone(), 1);
        }
        let mut text = String::with_capacity(600);
        let _ = write!(text, "BEGIN; UPDATE {of_k} SET k = k + 1 WHERE id = {hot}; UPDATE {of_c} SET ");
        self.content(&mut text);
        let _ = write!(text, " WHERE id = {}; ", self.id());
        let (id, k) = (self.id(), self.id());
        let _ =
            write!(text, "DELETE FROM {of_row} WHERE id = {id}; INSERT INTO {of_row} SET id = {id}, k = {k}");
        if self.workload.tables != Tables::Tiny {
            text.push_str(", ");
            self.content(&mut text);
        }
        if matches!(self.workload.tables, Tables::Sysbench(_)) {
            text.push_str(", pad = '");
            self.digits(&mut text, 5);
            text.push('\'');
        }
        text.push_str("; COMMIT");
        text
    }

    /// What an update puts into a row.
    fn content(&mut self, text: &mut String) {
        match self.workload.tables {
            Tables::Sysbench(_) => {
                text.push_str("c = '");
                self.digits(text, 10);
                text.push('\'');
            }
            Tables::Large => {
                text.push_str("c = REPEAT('");
                self.digits(text, 1);
                let _ = write!(text, "-', {LARGE})");
            }
            Tables::Tiny => {
                let _ = write!(text, "k = {}", self.dice.below(1 << 31));
            }
        }
    }

    fn table(&mut self) -> String {
        self.dice.pick(&self.tables).cloned().unwrap_or_default()
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
        let mut draw = Draw::new(Workload::WRITE_ONLY, 7, 10_000);
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
        let mut draw = Draw::new(Workload::WRITE_ONLY, 1, 3);
        assert!((0..1000).all(|_| (1..=3).contains(&draw.id())));
    }

    #[test]
    fn a_transaction_puts_back_the_row_that_it_deletes() {
        let text = Draw::new(Workload::WRITE_ONLY, 3, 100).transaction();
        let statements: Vec<&str> = text.split("; ").collect();
        assert_eq!(statements.len(), 6);
        let deleted = statements[3].rsplit(' ').next().unwrap_or_default();
        let table = statements[3].split(' ').nth(2).unwrap_or_default();
        let inserted = format!("INSERT INTO {table} SET id = {deleted}, k = ");
        assert!(statements[4].starts_with(&inserted), "{text}");
    }

    #[test]
    fn by_zipfs_law_the_first_id_comes_twice_as_often_as_the_second() {
        let zipf = Workload { ids: Ids::Zipf, ..Workload::WRITE_ONLY };
        let mut draw = Draw::new(zipf, 7, 1_000);
        let ids: Vec<u64> = (0..50_000).map(|_| draw.id()).collect();
        assert!(ids.iter().all(|id| (1..=1_000).contains(id)));
        let count = |wanted| ids.iter().filter(|id| **id == wanted).count();
        let (first, second) = (count(1), count(2));
        assert!((18..=22).contains(&(10 * first / second)), "{first} {second}");
    }

    #[test]
    fn two_shares_have_no_table_in_common_and_together_all() {
        let (one, other) = (Workload::share(0, TABLES / 2), Workload::share(1, TABLES / 2));
        assert_eq!([one.tables(), other.tables()].concat(), Workload::WRITE_ONLY.tables());
        let script = seed_script_even(TABLES, 100);
        assert!(other.tables().iter().all(|table| script.contains(&format!("CREATE TABLE {table} "))));
        assert!(warming(other).iter().any(|query| query.contains("sbtest.sbtest8 FORCE INDEX (k_8)")));
    }

    #[test]
    fn a_hot_row_is_hit_as_often_as_asked() {
        let hot = Workload { hot_percent: 10, ..Workload::WRITE_ONLY };
        let mut draw = Draw::new(hot, 7, 10_000);
        let first = "BEGIN; UPDATE sbtest.sbtest1 SET k = k + 1 WHERE id = 1;";
        let hits = (0..10_000).filter(|_| draw.transaction().starts_with(first)).count();
        assert!((900..=1_100).contains(&hits), "{hits}");
    }
}
