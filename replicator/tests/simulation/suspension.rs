//! The table `concord.suspension` of a simulated server.

use std::collections::BTreeMap;

use applier::tables::Suspension;
use transaction::binlog::RowsKind;
use transaction::{Context, RegionName, Sequence, SuspendedTable};

use super::schema::NAME;
use super::synthetic::{Col, Val, image, rows, table_map};

/// What a statement changes.
#[derive(Debug)]
pub(crate) enum Change {
    Insert { table: String, origin: RegionName, sequence: Sequence, reason: String, since_us: u64 },
    Update { tables: Vec<String>, origin: RegionName, sequence: Sequence },
    Delete { tables: Vec<String> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    sequence: Sequence,
    reason: String,
    since_us: u64,
}

/// Its rows, by table and origin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Suspensions(BTreeMap<(String, RegionName), Row>);

impl Suspensions {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes a change. Returns its events; none if nothing changes.
    pub(crate) fn change(&mut self, change: Change) -> Vec<u8> {
        match change {
            Change::Insert { table, origin, sequence, reason, since_us } => {
                let row = Row { sequence, reason, since_us };
                let events = events(RowsKind::Write, vec![row_image(&table, origin, &row)]);
                self.0.insert((table, origin), row);
                events
            }
            Change::Update { tables, origin, sequence } => {
                let mut images = Vec::new();
                for ((table, of), row) in &mut self.0 {
                    if *of == origin && tables.contains(table) && row.sequence != sequence {
                        images.push(row_image(table, origin, row));
                        row.sequence = sequence;
                        images.push(row_image(table, origin, row));
                    }
                }
                events(RowsKind::Update, images)
            }
            Change::Delete { tables } => {
                let goes = |(table, _): &(String, RegionName)| tables.contains(table);
                let going = self.0.iter().filter(|(key, _)| goes(key));
                let images = going.map(|((table, origin), row)| row_image(table, *origin, row)).collect();
                self.0.retain(|key, _| !goes(key));
                events(RowsKind::Delete, images)
            }
        }
    }

    /// As a lane asks for them.
    pub(crate) fn list(&self) -> Vec<Suspension> {
        let mut all: Vec<Suspension> = Vec::new();
        for ((table, origin), row) in &self.0 {
            if all.last().is_none_or(|last| last.table.table != *table) {
                let (schema, table) = (NAME.to_owned(), table.clone());
                let table = SuspendedTable { schema, table, applied: Context::new() };
                all.push(Suspension { table, reason: row.reason.clone(), since_us: row.since_us });
            }
            if let Some(last) = all.last_mut() {
                last.table.applied.set(*origin, row.sequence);
            }
        }
        all
    }
}

fn row_image(table: &str, origin: RegionName, row: &Row) -> Vec<u8> {
    image(&[
        Val::Text(NAME),
        Val::Text(table),
        Val::Text(origin.as_str()),
        Val::Big(row.sequence.0),
        Val::Text(&row.reason),
        Val::Big(row.since_us),
    ])
}

fn events(kind: RowsKind, images: Vec<Vec<u8>>) -> Vec<u8> {
    const ID: u64 = 90;
    const UTF8MB4_BIN: u8 = 46;
    let columns = [
        ("table_schema", Col::Text(UTF8MB4_BIN)),
        ("table_name", Col::Text(UTF8MB4_BIN)),
        ("origin", Col::Text(65)),
        ("sequence", Col::Big),
        ("reason", Col::Text(UTF8MB4_BIN)),
        ("since_us", Col::Big),
    ];
    if images.is_empty() {
        return Vec::new();
    }
    let map = table_map(ID, "concord", "suspension", &columns);
    [map, rows(kind, ID, columns.len(), &images)].concat()
}

/// Reads a statement about the table; `None` if it is another.
pub(crate) fn read(text: &str) -> Option<Change> {
    if let Some(values) = text.strip_prefix("INSERT INTO concord.suspension VALUES (") {
        let fields: Vec<&str> = values.strip_suffix(')')?.split(", ").collect();
        let [_, table, origin, sequence, reason, since_us] = fields.try_into().ok()?;
        return Some(Change::Insert {
            table: literals(table).pop()?,
            origin: quoted(origin)?,
            sequence: Sequence(sequence.parse().ok()?),
            reason: literals(reason).pop()?,
            since_us: since_us.parse().ok()?,
        });
    }
    if let Some(rest) = text.strip_prefix("UPDATE concord.suspension SET sequence = ") {
        let (sequence, rest) = rest.split_once(" WHERE origin = ")?;
        let (origin, among) = rest.split_once(" AND ")?;
        let sequence = Sequence(sequence.parse().ok()?);
        return Some(Change::Update { tables: names(among), origin: quoted(origin)?, sequence });
    }
    let among = text.strip_prefix("DELETE FROM concord.suspension WHERE ")?;
    Some(Change::Delete { tables: names(among) })
}

fn quoted(text: &str) -> Option<RegionName> {
    RegionName::new(text.strip_prefix('\'')?.strip_suffix('\'')?).ok()
}

/// The tables of pairs of schema and table.
fn names(among: &str) -> Vec<String> {
    literals(among).into_iter().skip(1).step_by(2).collect()
}

/// The texts that are written as `x'…'`.
fn literals(text: &str) -> Vec<String> {
    let hex = text.split("x'").skip(1).filter_map(|rest| rest.split_once('\'')).map(|(hex, _)| hex);
    let byte = |hex: &str, at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    hex.map(|hex| String::from_utf8((0..hex.len() / 2).map(|at| byte(hex, at)).collect()).unwrap()).collect()
}
