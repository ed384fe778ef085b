//! What every row must be: all writes ever made, none forgotten, folded by rules told a second time here.

use std::collections::BTreeMap;

use transaction::binlog::{EventError, Item, Tables, for_each_item};
use transaction::record::{Body, Record};
use transaction::{Context, RegionName, RepairPlace, Sequence, Suspended, WriteId};

use super::archive::Archive;
use super::schema::{Key, NAME, Row, Rule, Schema, Table, int, read_int};

/// A write of one row, as the logs have it.
#[derive(Debug, Clone)]
struct Write {
    id: WriteId,
    repair: Option<RepairPlace>,
    context: Context,
    before: Option<Row>,
    after: Option<Row>,
}

impl Write {
    fn place(&self) -> (WriteId, u8, RegionName, Sequence, u32) {
        let (root, level) = self.repair.map_or((self.id, 0), |place| (place.root, place.level));
        (root, level, self.id.origin, self.id.sequence, self.id.index)
    }

    fn covers(&self, other: &Write) -> bool {
        if self.id.origin == other.id.origin {
            (other.id.sequence, other.id.index) < (self.id.sequence, self.id.index)
        } else {
            self.context.covers(other.id.origin, other.id.sequence)
        }
    }

    fn is_delete(&self) -> bool {
        self.after.is_none() && self.repair.is_none()
    }
}

/// All writes by table and key.
pub(crate) struct Oracle {
    writes: BTreeMap<(usize, Key), Vec<Write>>,
    pub(crate) repairs: usize,
}

impl Oracle {
    pub(crate) fn new(schema: &Schema, names: &[RegionName], archives: &[Archive]) -> Self {
        let mut oracle = Self { writes: BTreeMap::new(), repairs: 0 };
        for (origin, archive) in names.iter().zip(archives) {
            let mut chain = Vec::new();
            for bytes in archive.records.values() {
                let record = Record::decode(bytes).unwrap();
                let (body, repairs): (_, &[RepairPlace]) = match &record.body {
                    Body::Chunk { index, events } => {
                        if *index == 0 {
                            chain.clear();
                        }
                        chain.extend_from_slice(events);
                        continue;
                    }
                    Body::Transaction(body) => (body, &[]),
                    Body::Repair { places, transaction } => (transaction, places),
                    _ => continue,
                };
                if body.chunks == 0 {
                    chain.clear();
                }
                chain.extend_from_slice(body.events);
                let stamp = WriteId { hlc: record.hlc, origin: *origin, sequence: record.sequence, index: 0 };
                oracle.repairs += repairs.len();
                let seen = (&body.context, &body.suspended);
                oracle.add(schema, &chain, record.event_checksums, stamp, seen, repairs);
                chain.clear();
            }
        }
        for writes in oracle.writes.values_mut() {
            writes.sort_by_key(Write::place);
        }
        oracle
    }

    fn add(
        &mut self,
        schema: &Schema,
        events: &[u8],
        checksums: bool,
        stamp: WriteId,
        (context, suspended): (&Context, &Suspended),
        repairs: &[RepairPlace],
    ) {
        for_each_item::<EventError>(events, checksums, &mut Tables::default(), &mut 0, &mut |item| {
            let Item::Change { table, index, change, .. } = item else { return Ok(()) };
            let place = schema.place(&table.table).unwrap();
            let layout = &schema.tables[place];
            let (before, after) =
                (change.before.map(|image| layout.row(image)), change.after.map(|image| layout.row(image)));
            let id = WriteId { index, ..stamp };
            let context = suspended.of_table(NAME, layout.name, context).unwrap_or_else(|| context.clone());
            let repair = repairs.get(index as usize).copied().filter(|place| place.level > 0);
            let mut push = |key: Key, before, after| {
                let write = Write { id, repair, context: context.clone(), before, after };
                self.writes.entry((place, key)).or_default().push(write);
            };
            let (old, new) =
                (before.as_ref().map(|row| layout.key(row)), after.as_ref().map(|row| layout.key(row)));
            match (old, new) {
                (Some(old), Some(new)) if old != new => {
                    push(old, before, None);
                    push(new, None, after);
                }
                (Some(key), _) | (None, Some(key)) => push(key, before, after),
                (None, None) => {}
            }
            Ok(())
        })
        .unwrap();
    }

    /// What each row that was ever written must be.
    pub(crate) fn rows(&self, schema: &Schema, owner: RegionName) -> BTreeMap<(usize, Key), Option<Row>> {
        let fold = |((table, key), writes): (&(usize, Key), &Vec<Write>)| {
            ((*table, key.clone()), fold(&schema.tables[*table], owner, writes))
        };
        self.writes.iter().map(fold).collect()
    }

    /// For a report: who wrote a row, in fold order.
    pub(crate) fn tell(&self, table: usize, key: &Key) -> String {
        let writes = self.writes.get(&(table, key.clone())).map(Vec::as_slice).unwrap_or_default();
        let line = |write: &Write| {
            let WriteId { hlc, origin, sequence, index } = write.id;
            let (context, repair) = (&write.context, write.repair.map(|place| place.level));
            format!(
                "\n    {origin}:{sequence}.{index} at {} seen [{context}] repair {repair:?}: {:?} -> {:?}",
                hlc.0 % 1_000_000_000_000,
                write.before,
                write.after
            )
        };
        writes.iter().rev().take(24).rev().map(line).collect()
    }
}

fn fold(table: &Table, owner: RegionName, writes: &[Write]) -> Option<Row> {
    let covers_all = |at: &usize| writes[..*at].iter().all(|earlier| writes[*at].covers(earlier));
    let start = (0..writes.len()).rev().find(covers_all).unwrap_or(0);
    let (mut row, mut merged) = (writes[start].after.clone(), false);
    for at in start + 1..writes.len() {
        let next = &writes[at];
        let rivals: Vec<&Write> = writes[..at].iter().filter(|earlier| !next.covers(earlier)).collect();
        row = if rivals.is_empty() { next.after.clone() } else { step(table, owner, row, next, &rivals) };
        merged = row != next.after;
    }
    match &row {
        // The server refuses what no one wrote: the newest row that someone wrote it is then.
        Some(refused) if merged && !table.allows(refused) => {
            writes[start..].iter().rev().find_map(|write| write.after.clone())
        }
        _ => row,
    }
}

fn step(table: &Table, owner: RegionName, row: Option<Row>, next: &Write, rivals: &[&Write]) -> Option<Row> {
    let stays = match table.rule {
        Rule::LastWriter => false,
        Rule::Owned => next.id.origin != owner && rivals.iter().any(|rival| rival.id.origin == owner),
        Rule::DeleteWins => {
            next.after.is_some() && row.is_none() && rivals.iter().any(|rival| rival.is_delete())
        }
        Rule::UpdateWins => {
            next.is_delete() && row.is_some() && rivals.iter().any(|rival| rival.after.is_some())
        }
        Rule::Columns => return merge(table, row, next),
    };
    if stays { row } else { next.after.clone() }
}

/// Column by column, where there is a row on both sides and a client wrote.
fn merge(table: &Table, row: Option<Row>, next: &Write) -> Option<Row> {
    let (Some(mut row), Some(after), None) = (row, &next.after, next.repair) else {
        return next.after.clone();
    };
    for (column, value) in after.iter().enumerate() {
        let before = next.before.as_ref().map(|before| &before[column]);
        if before == Some(value) {
            continue;
        }
        row[column] = if table.map.columns[column].name == "n" {
            int(read_int(&row[column]) + read_int(value) - before.map_or(0, read_int))
        } else {
            value.clone()
        };
    }
    Some(row)
}
