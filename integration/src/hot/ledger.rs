//! What one writer knows of its transactions: a file with one line of JSON for each.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// A row: per column its value as text, `None` for NULL.
pub type Image = BTreeMap<String, Option<String>>;

/// One transaction that was committed, or may have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// The writer's name.
    pub writer: String,
    /// The region whose server it wrote to.
    pub region: String,
    /// Its number among this writer's: 1, 2, 3 …
    pub number: u64,
    /// The wall clock right before COMMIT was sent, in microseconds.
    pub sent_us: u64,
    /// The wall clock right after the server had said yes, in microseconds; `None` if no answer came: it is in doubt.
    pub acknowledged_us: Option<u64>,
    /// What it changed, in order.
    pub changes: Vec<Change>,
}

/// One change of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The table, without its schema.
    pub table: String,
    /// The row, as [`super::schema::Table::key`] names it.
    pub key: String,
    /// A number that rises over all writers, drawn while the row was locked: among the changes of one region to one row, its order
    /// is the order of their commits.
    pub ticket: u64,
    /// The row before; `None`: there was none.
    pub before: Option<Image>,
    /// The row after; `None`: there is none.
    pub after: Option<Image>,
}

/// A ledger being written.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Ledger {
    /// A new ledger.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(Error::io(format!("create the ledger {}", path.display())))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Notes a transaction.
    pub fn note(&mut self, transaction: &Transaction) -> Result<()> {
        let line =
            serde_json::to_string(transaction).map_err(|error| Error::Unexpected(error.to_string()))?;
        writeln!(self.file, "{line}").map_err(Error::io(format!("write {}", self.path.display())))
    }

    /// Makes the file whole; where it is.
    pub fn close(mut self) -> Result<PathBuf> {
        self.file.flush().map_err(Error::io(format!("write {}", self.path.display())))?;
        Ok(self.path)
    }
}

/// Reads a ledger.
pub fn read(path: &Path) -> Result<Vec<Transaction>> {
    let file = File::open(path).map_err(Error::io(format!("open {}", path.display())))?;
    let mut transactions = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(Error::io(format!("read {}", path.display())))?;
        let read = serde_json::from_str(&line)
            .map_err(|error| Error::Unexpected(format!("{} line {}: {error}", path.display(), index + 1)))?;
        transactions.push(read);
    }
    Ok(transactions)
}
