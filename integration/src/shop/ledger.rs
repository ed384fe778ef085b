//! What one writer knows that it committed: a file with one line of JSON per transaction.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// One committed transaction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Its number in this writer's order of commits: 1, 2, 3 …
    pub number: u64,
    /// What it changed, in order.
    pub changes: Vec<Change>,
}

/// One change of one row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    /// The table, as `schema.table`.
    pub table: String,
    /// The row, as [`super::schema::key_expression`] names it.
    pub key: String,
    /// Whether other writers change this row too.
    pub shared: bool,
    /// What became of the row.
    pub what: What,
}

/// What a change did.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The row is there and carries this token, which no other change carries.
    Put(String),
    /// The row was counted by so much, and carries this token.
    Count(i64, String),
    /// The row is gone.
    Delete,
}

/// A ledger being written.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: BufWriter<File>,
    number: u64,
}

impl Ledger {
    /// A new ledger.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(Error::io(format!("create the ledger {}", path.display())))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), number: 0 })
    }

    /// Notes a transaction that the server has committed.
    pub fn committed(&mut self, changes: Vec<Change>) -> Result<()> {
        self.number += 1;
        let entry = Entry { number: self.number, changes };
        let line = serde_json::to_string(&entry).map_err(|error| Error::Unexpected(error.to_string()))?;
        writeln!(self.file, "{line}").map_err(Error::io(format!("write {}", self.path.display())))
    }

    /// How many transactions it holds.
    pub fn transactions(&self) -> u64 {
        self.number
    }

    /// Makes the file whole.
    pub fn close(mut self) -> Result<PathBuf> {
        self.file.flush().map_err(Error::io(format!("write {}", self.path.display())))?;
        Ok(self.path)
    }
}

/// Reads a ledger.
pub fn read(path: &Path) -> Result<Vec<Entry>> {
    let file = File::open(path).map_err(Error::io(format!("open {}", path.display())))?;
    let mut entries = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(Error::io(format!("read {}", path.display())))?;
        let entry = serde_json::from_str(&line)
            .map_err(|error| Error::Unexpected(format!("{} line {}: {error}", path.display(), index + 1)))?;
        entries.push(entry);
    }
    Ok(entries)
}
