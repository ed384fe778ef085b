//! One client: blocks of statements, one after the other, on one connection.

use super::counts::Counts;
use super::table::Table;
use super::{ddl, statement};
use crate::case::script::{Outcome, Step};
use crate::shop::dice::Dice;
use std::sync::Arc;

/// What a client does at one time.
type Block = fn(&mut Client<'_>);

/// Every kind of block, and how often it comes.
const BLOCKS: &[(u64, Block)] = &[
    (50, |client| client.one()),
    (22, |client| client.transaction()),
    (8, |client| client.xa()),
    (8, |client| client.setting()),
    (4, |client| client.prepared()),
    (5, |client| client.ddl()),
];

/// What a session may be set to; the first of each is what it begins with, or close to it.
const SETTINGS: &[(&str, &[&str])] = &[
    ("time_zone", &["'+00:00'", "'+05:30'", "'-11:00'", "'+13:45'"]),
    (
        "sql_mode",
        &[
            "DEFAULT",
            "''",
            "'ANSI_QUOTES,STRICT_TRANS_TABLES'",
            "'NO_BACKSLASH_ESCAPES'",
            "'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
            "'PAD_CHAR_TO_FULL_LENGTH,PIPES_AS_CONCAT'",
            "'TIME_TRUNCATE_FRACTIONAL,STRICT_ALL_TABLES'",
            "'TRADITIONAL'",
        ],
    ),
    ("binlog_transaction_compression", &["OFF", "ON"]),
    ("binlog_transaction_compression_level_zstd", &["3", "1", "19"]),
    ("binlog_rows_query_log_events", &["OFF", "ON"]),
    // Row images stay FULL, of which this makes JSON an exception.
    ("binlog_row_value_options", &["''", "'PARTIAL_JSON'", "'PARTIAL_JSON'"]),
    ("transaction_isolation", &["'REPEATABLE-READ'", "'READ-COMMITTED'", "'SERIALIZABLE'"]),
    ("unique_checks", &["1", "0"]),
    ("auto_increment_increment", &["2", "4"]),
    ("collation_connection", &["utf8mb4_0900_ai_ci", "latin1_swedish_ci", "utf8mb4_bin"]),
    ("timestamp", &["DEFAULT", "1700000000.123456", "1"]),
    ("div_precision_increment", &["4", "9"]),
    ("sql_safe_updates", &["0"]),
    ("autocommit", &["1"]),
];

/// The steps of one region's client.
pub(super) struct Client<'a> {
    dice: &'a mut Dice,
    tables: &'a [Table],
    counts: &'a Arc<Counts>,
    steps: Vec<Step>,
    transactions: u32,
}

impl<'a> Client<'a> {
    pub(super) fn new(dice: &'a mut Dice, tables: &'a [Table], counts: &'a Arc<Counts>) -> Self {
        let mut client = Self { dice, tables, counts, steps: Vec::new(), transactions: 0 };
        // Nobody else writes in its schema, so a wait is a mistake that must be told soon.
        client.push("SET SESSION innodb_lock_wait_timeout = 5", Outcome::Succeeds);
        client
    }

    /// What it runs.
    pub(super) fn steps(self) -> Vec<Step> {
        self.steps
    }

    /// Adds a block of any kind.
    pub(super) fn block(&mut self) {
        let mut throw = self.dice.below(BLOCKS.iter().map(|(weight, _)| weight).sum());
        for (weight, block) in BLOCKS {
            if throw < *weight {
                return block(self);
            }
            throw -= weight;
        }
    }

    fn push(&mut self, statement: impl Into<String>, outcome: Outcome) {
        self.steps.push(Step::new(statement.into(), outcome));
    }

    /// One statement that changes rows.
    fn one(&mut self) {
        let statement = statement::some(self.dice, self.tables);
        self.push(statement, Outcome::Either(Some(Arc::clone(self.counts))));
    }

    fn some(&mut self, most: u64) {
        for _ in 0..=self.dice.below(most) {
            self.one();
        }
    }

    /// Many statements, with savepoints, that commit or not.
    fn transaction(&mut self) {
        let begin = ["BEGIN", "START TRANSACTION", "START TRANSACTION WITH CONSISTENT SNAPSHOT"];
        let begin = self.dice.pick(&begin).copied().unwrap_or("BEGIN");
        self.push(begin, Outcome::Succeeds);
        self.some(5);
        if self.dice.below(3) == 0 {
            self.push("SAVEPOINT s", Outcome::Succeeds);
            self.some(3);
            // Where a statement before it ended the transaction, there is no such savepoint.
            let then = ["ROLLBACK TO SAVEPOINT s", "RELEASE SAVEPOINT s", "ROLLBACK TO s"];
            let then = self.dice.pick(&then).copied().unwrap_or("ROLLBACK TO s");
            self.push(then, Outcome::Either(None));
            self.some(2);
        }
        let end = if self.dice.below(5) == 0 { "ROLLBACK" } else { "COMMIT" };
        self.push(end, Outcome::Succeeds);
    }

    /// The same in two phases. Where a statement made a rollback the only way on, the last step is that.
    fn xa(&mut self) {
        self.transactions += 1;
        // All cases of a server run at once, and names are the server's.
        let id = format!("x'{:016x}',x'{:04x}',7", self.dice.throw(), self.transactions);
        self.push(format!("XA START {id}"), Outcome::Succeeds);
        self.some(4);
        self.push(format!("XA END {id}"), Outcome::Either(None));
        if self.dice.below(3) == 0 {
            self.push(format!("XA COMMIT {id} ONE PHASE"), Outcome::Either(None));
        } else {
            self.push(format!("XA PREPARE {id}"), Outcome::Either(None));
            if self.dice.below(4) > 0 {
                self.push(format!("XA COMMIT {id}"), Outcome::Either(None));
            }
        }
        self.push(format!("XA ROLLBACK {id}"), Outcome::Either(None));
    }

    /// Something that changes what statements mean or how they are logged.
    fn setting(&mut self) {
        let Some((name, values)) = self.dice.pick(SETTINGS) else { return };
        let value = self.dice.pick(values).copied().unwrap_or("DEFAULT");
        self.push(format!("SET SESSION {name} = {value}"), Outcome::Succeeds);
    }

    /// A change of tables. That it ends a transaction is no matter: none is open here.
    fn ddl(&mut self) {
        for statement in ddl::some(self.dice, self.tables) {
            self.push(statement, Outcome::Either(Some(Arc::clone(self.counts))));
        }
    }

    /// A statement that is prepared and run twice; the second time, it may meet what it did the first time.
    fn prepared(&mut self) {
        let statement = statement::some(self.dice, self.tables);
        let hex: String = statement.bytes().map(|byte| format!("{byte:02x}")).collect();
        let either = || Outcome::Either(None);
        self.push(format!("SET @text = CONVERT(x'{hex}' USING utf8mb4)"), either());
        self.push("PREPARE p FROM @text", either());
        for _ in 0..2 {
            self.push("EXECUTE p", either());
        }
        self.push("DEALLOCATE PREPARE p", either());
    }
}
