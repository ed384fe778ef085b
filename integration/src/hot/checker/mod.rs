//! The referee of the hot rows: may the tables be what they are, given what the writers did?
//!
//! It reads the writers' ledgers and the final tables of one region (that all regions are equal is for the comparison of tables), and
//! judges each row by what its table's policy promises. It uses three facts about the order of two writes of one row, and only
//! where they are certain ([`write::Write::follows`]): in one region, row locks order them; a write follows the one whose image it found;
//! and on one machine with one clock, a write follows what was acknowledged before its own COMMIT was sent.
//!
//! What it checks:
//! - **last writer**: the row is, in every column, as one write left it, and no acknowledged write certainly follows that one. A row that is
//!   not there was deleted by such a write. Also what writers *found* must have been possible at that moment: a row never goes back.
//! - **unique**: the same, but a row may be gone if its newest write shared a unique value with a write of another region to another
//!   row that is not certainly older.
//! - **tally**: every counter is the exact sum of all acknowledged increments (and of a subset of those in doubt), the maximum is the
//!   largest and the minimum the smallest number ever written, the set is the union of all that was added, and the other columns are of the last writer.
//! - **columns**: each column's value came with a write that no write of that column certainly follows.
//! - **region-owned**: the row is as the owner's last write left it, or as a write that can have seen that one left it.
//! - **delete wins, update wins**: the row is as one write left it that nothing certainly overruled.
//! - **family**: the row is as one write left it that no later live write certainly overruled; a child has its parent; and a child is gone only if
//!   somebody deleted it or a parent that it may have had.
//! - A row that nobody wrote is not there, and a write that was acknowledged is never passed over as if it had not happened.
//!
//! What it does **not** check:
//! - Which of two writes is newer when their COMMITs overlapped in time in different regions. (The comparison of the regions says at
//!   least that all decided alike.)
//! - Whether two writes of different regions were concurrent, since writers do not know what their server had applied. So a
//!   repair, a merge or an owner's precedence is accepted wherever it may have been due, also where it was not due.
//! - With parents and children: whether the right one of the two was put back or removed.
//! - That a transaction with several rows is seen whole: conflicts are decided row by row.
//! - Whether the journal has each conflict, and the metrics their right numbers.
//! - With an update that wins over deletes: whether a row that stays should have been deleted.

mod columns;
mod family;
mod tally;
mod whole;
pub mod write;

#[cfg(test)]
mod tests;

use super::ledger::{Image, Transaction};
use super::schema::{Rule, TABLES, Table};
use std::collections::{BTreeMap, BTreeSet};
use write::Write;

/// The rows of one region: table name, then row name.
pub type Tables = BTreeMap<String, BTreeMap<String, Image>>;

/// All writes of one row and what became of it.
#[derive(Debug)]
pub struct Story<'a> {
    /// The row's table.
    pub table: &'static Table,
    /// The row's name.
    pub key: &'a str,
    /// Its writes; the first is the state at the beginning, as if somebody had written it.
    pub writes: Vec<Write<'a>>,
    /// The row at the end.
    pub end: Option<&'a Image>,
}

/// What the referee says.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Everything that is wrong, in sentences.
    pub faults: Vec<String>,
    /// Rows that were judged.
    pub rows: u64,
    /// Rows that clients of more than one region wrote.
    pub contested: u64,
    /// Writes that were judged.
    pub writes: u64,
    /// Rows of `hot.pair` that are gone though their newest write left them there: the losers of a unique value.
    pub made_way: u64,
}

/// Judges one region's `end` against all ledgers; `start` is what every region began with.
pub fn judge(start: &Tables, ledgers: &[Transaction], end: &Tables) -> Verdict {
    let mut verdict = Verdict::default();
    let nothing = BTreeMap::new();
    let parents = family::Parents::of(ledgers, end);
    for table in &TABLES {
        let starts = start.get(table.name).unwrap_or(&nothing);
        let ends = end.get(table.name).unwrap_or(&nothing);
        let mut rows: BTreeMap<&str, Vec<Write<'_>>> = BTreeMap::new();
        for key in starts.keys().chain(ends.keys()) {
            rows.entry(key).or_default();
        }
        for transaction in ledgers {
            for change in transaction.changes.iter().filter(|change| change.table == table.name) {
                rows.entry(&change.key).or_default().push(Write::of(transaction, change));
            }
        }
        let mut stories = Vec::new();
        for (key, mut writes) in rows {
            writes.sort_by_key(|write| write.ticket);
            verdict.writes += writes.len() as u64;
            let regions: BTreeSet<&str> = writes.iter().map(|write| write.region).collect();
            verdict.contested += u64::from(regions.len() > 1);
            writes.insert(0, Write::start(starts.get(key)));
            stories.push(Story { table, key, writes, end: ends.get(key) });
        }
        verdict.rows += stories.len() as u64;
        for story in &stories {
            let found = match table.rule {
                Rule::LastWriter => [whole::last_writer(story), whole::found_before(story)].concat(),
                Rule::Unique => {
                    let (faults, made_way) = whole::unique(story, &stories);
                    verdict.made_way += u64::from(made_way);
                    [faults, whole::found_before(story)].concat()
                }
                Rule::DeleteWins => whole::delete_wins(story),
                Rule::UpdateWins => whole::update_wins(story),
                Rule::Owned => whole::owned(story),
                Rule::Family => family::judge(story, &parents),
                Rule::Columns => columns::judge(story),
                Rule::Tally => tally::judge(story),
            };
            verdict.faults.extend(found.into_iter().map(|fault| story.tell(&fault)));
        }
    }
    verdict
}

impl<'a> Story<'a> {
    /// Whether an acknowledged write of those that `counts` certainly follows this one.
    fn overruled(&self, write: &Write<'_>, counts: impl Fn(&Write<'a>) -> bool) -> bool {
        self.writes.iter().any(|later| counts(later) && later.follows(write))
    }

    /// The writes that left the row as `image` says, those in doubt among them.
    fn that_left(&self, image: Option<&'a Image>) -> impl Iterator<Item = &Write<'a>> {
        self.writes.iter().filter(move |write| write.after == image)
    }

    /// A fault with the row's name, its end and its last writes.
    fn tell(&self, fault: &str) -> String {
        let mut told = format!("{} {}: {fault}; it is {}", self.table.full(), self.key, shown(self.end));
        let skip = self.writes.len().saturating_sub(12);
        for write in &self.writes[skip..] {
            told.push_str(&format!("\n    {write}"));
        }
        told
    }
}

/// An image as text.
fn shown(image: Option<&Image>) -> String {
    let Some(image) = image else { return "(no row)".to_owned() };
    let value = |(column, value): (&String, &Option<String>)| {
        let mut value = value.as_deref().unwrap_or("NULL").to_owned();
        if value.len() > 40 {
            value = format!("{}… of {}", &value[..8], value.len());
        }
        format!("{column}={value}")
    };
    image.iter().map(value).collect::<Vec<_>>().join(" ")
}
