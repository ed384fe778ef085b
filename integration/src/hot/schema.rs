//! The tables of the hot rows, one for each kind of decision, and the policies for them.

use super::ledger::Image;
use crate::{Error, Result, Sql};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What decides a table's conflicts, as the referee knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The newest write gives the whole row.
    LastWriter,
    /// The same, with two unique secondary keys: a row whose newest write is older than the one it clashes with goes.
    Unique,
    /// Columns are merged, and no row is ever deleted: counters, a maximum, a minimum, a set, and two columns of the last writer.
    Tally,
    /// Columns are merged, and rows are deleted.
    Columns,
    /// [`OWNER`]'s writes stay against those that are concurrent with them.
    Owned,
    /// The newest write gives the row, but a delete wins against what is concurrent with it.
    DeleteWins,
    /// The newest write gives the row, but a delete loses against what is concurrent with it.
    UpdateWins,
    /// A parent, or a child that goes with its parent: the newest write of all that lean on each other decides. A parent may be put back.
    Family,
}

/// A table of hot rows.
#[derive(Debug)]
pub struct Table {
    /// Its name in schema `hot`.
    pub name: &'static str,
    /// Its columns, the primary key first.
    pub columns: &'static [&'static str],
    /// How conflicts in it are decided.
    pub rule: Rule,
    /// How many keys its writers use: 1 to so many.
    pub rows: u64,
}

/// The region that owns the rows of `hot.owned`.
pub const OWNER: &str = "eu";

/// All tables; fifty rows together.
pub const TABLES: [Table; 10] = [
    Table { name: "plain", columns: &["id", "token", "v"], rule: Rule::LastWriter, rows: 7 },
    Table { name: "spelled", columns: &["name", "token"], rule: Rule::LastWriter, rows: 5 },
    Table { name: "pair", columns: &["id", "a", "b", "token"], rule: Rule::Unique, rows: 9 },
    Table {
        name: "tally",
        columns: &["id", "n", "price", "high", "low", "tags", "fore", "aft"],
        rule: Rule::Tally,
        rows: 6,
    },
    Table { name: "mixed", columns: &["id", "fore", "aft"], rule: Rule::Columns, rows: 5 },
    Table { name: "owned", columns: &["id", "token"], rule: Rule::Owned, rows: 5 },
    Table { name: "fading", columns: &["id", "token"], rule: Rule::DeleteWins, rows: 3 },
    Table { name: "keeping", columns: &["id", "token"], rule: Rule::UpdateWins, rows: 3 },
    Table { name: "parent", columns: &["id", "token"], rule: Rule::Family, rows: 3 },
    Table { name: "child", columns: &["id", "parent", "token"], rule: Rule::Family, rows: 4 },
];

/// What `[[mesh.policy]]` must say, as TOML with one array `policy`.
pub const POLICIES: &str = r#"
[[policy]]
tables = ["hot.tally"]
policy = "columns"
counter = ["n", "price"]
max = ["high"]
min = ["low"]
set_union = ["tags"]
[[policy]]
tables = ["hot.mixed"]
policy = "columns"
[[policy]]
tables = ["hot.owned"]
policy = "region-owned"
owner = "eu"
[[policy]]
tables = ["hot.fading"]
policy = "last-writer-wins"
deletes = "win"
[[policy]]
tables = ["hot.keeping"]
policy = "last-writer-wins"
deletes = "lose"
"#;

const CREATE: &str = "
CREATE DATABASE hot;
CREATE TABLE hot.plain (id INT PRIMARY KEY, token VARCHAR(40) CHARACTER SET ascii NOT NULL, v VARCHAR(300) NOT NULL);
CREATE TABLE hot.spelled (
  name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci PRIMARY KEY,
  token VARCHAR(40) CHARACTER SET ascii NOT NULL
);
CREATE TABLE hot.pair (
  id INT PRIMARY KEY, a INT, b VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin, token VARCHAR(40) CHARACTER SET ascii NOT NULL,
  UNIQUE KEY uq_a (a), UNIQUE KEY uq_b (b)
);
CREATE TABLE hot.tally (
  id INT PRIMARY KEY, n BIGINT NOT NULL, price DECIMAL(24,2) NOT NULL, high INT NOT NULL, low INT NOT NULL,
  tags SET('a','b','c','d','e','f','g','h','i','j','k','l') NOT NULL,
  fore VARCHAR(40) CHARACTER SET ascii NOT NULL, aft VARCHAR(40) CHARACTER SET ascii NOT NULL
);
CREATE TABLE hot.mixed (
  id INT PRIMARY KEY, fore VARCHAR(40) CHARACTER SET ascii NOT NULL, aft VARCHAR(40) CHARACTER SET ascii NOT NULL
);
CREATE TABLE hot.owned (id INT PRIMARY KEY, token VARCHAR(40) CHARACTER SET ascii NOT NULL);
CREATE TABLE hot.fading (id INT PRIMARY KEY, token VARCHAR(40) CHARACTER SET ascii NOT NULL);
CREATE TABLE hot.keeping (id INT PRIMARY KEY, token VARCHAR(40) CHARACTER SET ascii NOT NULL);
CREATE TABLE hot.parent (id INT PRIMARY KEY, token VARCHAR(40) CHARACTER SET ascii NOT NULL);
CREATE TABLE hot.child (
  id INT PRIMARY KEY, parent INT NOT NULL, token VARCHAR(40) CHARACTER SET ascii NOT NULL,
  FOREIGN KEY (parent) REFERENCES hot.parent (id) ON DELETE CASCADE
);
";

impl Table {
    /// The table of that name.
    pub fn named(name: &str) -> Option<&'static Table> {
        TABLES.iter().find(|table| table.name == name)
    }

    /// `hot.name`.
    pub fn full(&self) -> String {
        format!("hot.{}", self.name)
    }

    /// The name of a row in ledgers: its primary key as the server compares it. Names are of plain ASCII letters and digits, where
    /// comparing without case is all that the collation does.
    pub fn key(&self, image: &Image) -> String {
        let value = image.get(self.columns[0]).cloned().flatten().unwrap_or_default();
        if self.name == "spelled" { value.to_ascii_lowercase() } else { value }
    }

    /// A condition that holds for exactly the row with this name.
    pub fn condition(&self, key: &str) -> String {
        format!("{} = '{key}'", self.columns[0])
    }

    /// The name of the row with this number.
    pub fn row_name(&self, number: u64) -> String {
        if self.name == "spelled" { format!("row{number}") } else { number.to_string() }
    }

    /// Makes an image of an answer that has all columns in order.
    pub fn image(&self, values: Vec<String>) -> Image {
        let values = values.into_iter().map(|value| (value != "NULL").then_some(value));
        self.columns.iter().map(|column| (*column).to_owned()).zip(values).collect()
    }

    /// All rows that one region has now, by name.
    pub async fn read(&self, sql: &mut Sql) -> Result<BTreeMap<String, Image>> {
        let query = format!("SELECT {} FROM {}", self.columns.join(", "), self.full());
        let mut found = BTreeMap::new();
        for row in sql.rows(query).await? {
            let image = self.image(row);
            let key = self.key(&image);
            if found.insert(key.clone(), image).is_some() {
                return Err(Error::Unexpected(format!("{} has two rows {key}", self.full())));
            }
        }
        Ok(found)
    }
}

/// The names of all tables, with their schema.
pub fn full_names() -> Vec<String> {
    TABLES.iter().map(Table::full).collect()
}

/// The script that makes the tables, the same in every region. Every second row is there from the beginning, and all of `hot.tally`.
pub fn script() -> String {
    let mut script = CREATE.to_owned();
    for table in &TABLES {
        for number in (1..=table.rows).filter(|number| table.rule == Rule::Tally || number % 2 == 1) {
            let name = table.row_name(number);
            let values = match table.name {
                "plain" => format!("'{name}', 'seed-{name}', 'seed'"),
                "pair" => format!("'{name}', {number}, 'b{number}', 'seed-{name}'"),
                "tally" => {
                    format!("'{name}', 0, 0, 1000000, 1000000, '', 'seed-fore-{name}', 'seed-aft-{name}'")
                }
                "mixed" => format!("'{name}', 'seed-fore-{name}', 'seed-aft-{name}'"),
                "child" => format!("'{name}', 1, 'seed-{name}'"),
                _ => format!("'{name}', 'seed-{name}'"),
            };
            let _ = writeln!(script, "INSERT INTO {} VALUES ({values});", table.full());
        }
    }
    script
}

/// Reads policies, given as TOML with one array `policy`, for `mesh.policy` of a configuration.
pub fn parse_policies(policies: &str) -> Result<toml::Value> {
    let mut given: toml::Table = toml::from_str(policies)
        .map_err(|error| Error::Unexpected(format!("these policies are no TOML: {error}\n{policies}")))?;
    Ok(given.remove("policy").unwrap_or_else(|| toml::Value::Array(Vec::new())))
}
