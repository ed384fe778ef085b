//! What a batch of source transactions does to each row, ordered so that rows of one table share events. Pure.
//!
//! The changes of one row fold into one: from what it was before the first to what it is after the last. Deletes go first,
//! then updates, then inserts, since a row that leaves may give its unique value to one that comes; tables that others refer
//! to get theirs before those. Of a table that is not to fold, every change goes: in that order the first ones of all rows, then the
//! second ones, and so on. What can neither be folded nor moved follows at the end, in the order of the source. The server judges each
//! row as it comes: where that order offends a unique or a foreign key, the batch is tried again as it came.
//!
//! **Every row of the batch is changed at least once**, even one that ends as it began: an update to the same values takes its lock and logs
//! nothing. Without the lock, a client's write could pass between the second look and the commit.

use std::collections::HashMap;
use std::sync::Arc;

use transaction::KeyHash;
use transaction::binlog::{SessionState, TableMap};

use crate::effect::{Effect, Part};
use crate::relations::Relations;

/// Of which tables the changes fold: schema and table in, verdict out.
pub type Folds = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// What counts of a table for the folding of its changes.
#[derive(Debug, Clone, Copy)]
pub struct Nature {
    /// Whether they are to be folded; else every one of them goes.
    pub folds: bool,
    /// Whether the server computes something of each row ([`crate::definitions::Definition::computes`]).
    pub computes: bool,
}

/// One row change to send.
#[derive(Debug, Clone, Copy)]
pub struct RowChange<'p> {
    /// Which row.
    pub key: KeyHash,
    /// Layout of the table at the origin.
    pub table: &'p Arc<TableMap>,
    /// Flags of the source's rows event.
    pub flags: u16,
    /// Seconds since 1970, of the source's rows event.
    pub timestamp: u32,
    /// Whose session wrote it, if the server computes something of it.
    pub session: Option<&'p Arc<SessionState>>,
    /// The row before; `None` if it is not there.
    pub before: Option<&'p [u8]>,
    /// The row after; `None` if it goes.
    pub after: Option<&'p [u8]>,
}

/// The changes of one row so far.
struct Row<'p> {
    change: RowChange<'p>,
    /// Places of its first and its last change in the batch.
    first: usize,
    last: usize,
    /// False: its changes are sent one by one.
    folds: bool,
    /// How many of them have a place in what is sent.
    placed: usize,
}

/// What is sent first comes first: which change of its row it is, delete, update or insert, how deep its table is, and which, and its place
/// in the batch.
type Order = (usize, u8, usize, usize, usize);

/// One change as it came. `computes`: see [`Nature::computes`].
pub fn as_it_came<'p>(part: &'p Part, effect: &'p Effect, computes: bool) -> RowChange<'p> {
    RowChange {
        key: effect.key,
        table: &effect.table,
        flags: effect.flags,
        timestamp: effect.timestamp,
        session: part.transactions[effect.transaction].session.as_ref().filter(|_| computes),
        before: part.before(effect),
        after: part.after(effect),
    }
}

/// What to send of those `effects` of `part`, in its order. `nature` is asked once for each table.
pub fn net_changes<'p>(
    part: &'p Part,
    effects: impl Iterator<Item = &'p Effect>,
    nature: impl Fn(&TableMap) -> Nature,
    relations: &Relations,
) -> Vec<RowChange<'p>> {
    let mut tables = BatchTables::default();
    let came: Vec<RowChange<'p>> = effects.map(|effect| tables.note(part, effect, &nature)).collect();
    tables.descend(relations);
    let mut places: HashMap<KeyHash, usize> = HashMap::with_capacity(came.len());
    let mut rows: Vec<Row<'p>> = Vec::with_capacity(came.len());
    for (at, &change) in came.iter().enumerate() {
        let place = *places.entry(change.key).or_insert_with(|| {
            rows.push(Row { change, first: at, last: at, folds: true, placed: 0 });
            rows.len() - 1
        });
        let row = &mut rows[place];
        if row.first != at {
            row.join(change, at);
        }
    }
    // One time for all, or events of different seconds would not be shared. Nothing is computed from it.
    let timestamp = came.last().map_or(0, |change| change.timestamp);
    let mut sent: Vec<(Order, RowChange<'p>)> = Vec::with_capacity(came.len());
    for row in &mut rows {
        row.folds &= tables.get(row.change.table).is_some_and(|table| table.folds && table.moves);
        if row.stays_one() {
            let change = RowChange { timestamp, ..row.change };
            let at = if change.before.is_some() { row.last } else { row.first };
            sent.push((tables.order(&change, 0, at), change));
        }
    }
    for (at, change) in came.iter().enumerate() {
        let Some(row) = places.get(&change.key).map(|place| &mut rows[*place]).filter(|row| !row.stays_one())
        else {
            continue;
        };
        let order = match tables.get(change.table) {
            Some(table) if table.moves && !table.folds => tables.order(change, row.placed, at),
            _ => (usize::MAX, 0, 0, 0, at),
        };
        row.placed += 1;
        sent.push((order, *change));
    }
    sent.sort_unstable_by_key(|(order, _)| *order);
    sent.into_iter().map(|(_, change)| change).collect()
}

impl<'p> Row<'p> {
    fn join(&mut self, next: RowChange<'p>, at: usize) {
        let known = self.change;
        // Checks that a session had off are each change's own.
        let alike = Arc::ptr_eq(known.table, next.table)
            && known.flags == next.flags
            && known.after.is_some() == next.before.is_some();
        self.folds &= alike;
        self.change = RowChange { before: known.before, ..next };
        self.last = at;
    }

    /// A row that was not there and is not there in the end cannot be locked by one event.
    fn stays_one(&self) -> bool {
        self.folds && (self.change.before.is_some() || self.change.after.is_some())
    }
}

/// A table of a batch.
struct BatchTable<'p> {
    map: &'p Arc<TableMap>,
    /// Its place among them.
    place: usize,
    computes: bool,
    folds: bool,
    /// Whether changes of different rows may change places.
    moves: bool,
    /// How far it is from those that refer to none.
    depth: usize,
    /// Of its first change.
    session: Option<&'p Arc<SessionState>>,
}

#[derive(Default)]
struct BatchTables<'p> {
    all: Vec<BatchTable<'p>>,
    places: HashMap<*const TableMap, usize>,
}

impl<'p> BatchTables<'p> {
    /// Takes note of the table of a change, which is returned as it came.
    fn note(
        &mut self,
        part: &'p Part,
        effect: &'p Effect,
        nature: impl Fn(&TableMap) -> Nature,
    ) -> RowChange<'p> {
        let map = &effect.table;
        let place = *self.places.entry(Arc::as_ptr(map)).or_insert_with(|| {
            let Nature { folds, computes } = nature(map);
            let session = as_it_came(part, effect, computes).session;
            let place = self.all.len();
            self.all.push(BatchTable { map, place, computes, folds, moves: true, depth: 0, session });
            place
        });
        let table = &mut self.all[place];
        let change = as_it_came(part, effect, table.computes);
        // What the server computes may go by the session that first opened the table (DAYNAME and `lc_time_names`, seen): with
        // more than one session in the batch, the order of the source is kept.
        table.moves &= change.session == table.session;
        change
    }

    fn get(&self, map: &Arc<TableMap>) -> Option<&BatchTable<'p>> {
        self.all.get(*self.places.get(&Arc::as_ptr(map))?)
    }

    /// The order of a change which is the `nth` of its row, from 0 on.
    fn order(&self, change: &RowChange<'_>, nth: usize, at: usize) -> Order {
        let (depth, table) = self.get(change.table).map_or((0, 0), |table| (table.depth, table.place));
        match (change.before, change.after) {
            // In the order in which they went: one that refers to another of its table goes before that.
            (Some(_), None) => (nth, 0, usize::MAX - depth, table, at),
            (Some(_), Some(_)) => (nth, 1, depth, table, at),
            (None, _) => (nth, 2, depth, table, at),
        }
    }

    /// Tables that refer to others of the batch come below them; in a circle, somewhere.
    fn descend(&mut self, relations: &Relations) {
        for _ in 0..self.all.len() {
            let mut moved = false;
            for place in 0..self.all.len() {
                let map = self.all[place].map;
                let Some(related) = relations.of(&map.schema, &map.table) else { continue };
                let refers = |other: &&BatchTable<'_>| {
                    let is = |(schema, table): &(String, String)| {
                        (schema, table) == (&other.map.schema, &other.map.table)
                    };
                    other.place != place && related.parents.iter().any(|key| is(&key.parent))
                };
                let below = self.all.iter().filter(refers).map(|parent| parent.depth + 1).max().unwrap_or(0);
                if below > self.all[place].depth && below < self.all.len() {
                    self.all[place].depth = below;
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
    }
}
