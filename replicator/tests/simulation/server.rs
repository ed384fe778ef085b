//! A simulated MySQL server: rows under locks, transactions, and the binlog that they leave.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use applier::SqlFailure;
use tokio::sync::Notify;
use transaction::binlog::RowsKind;
use transaction::{Gtid, Hlc, RecordNumber, RegionName, Sequence};

use super::binlog::Binlog;
use super::clock;
use super::dice::Dice;
use super::locks::{Locks, Txn};
use super::own;
use super::rows::set;
use super::schema::{Key, Row, Schema};
use super::suspension::{self, Suspensions};
use super::trace::trace;

/// Why a statement is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The transaction was rolled back.
    Deadlock,
    Timeout,
    DuplicatePrimary,
    DuplicateUnique,
    NotFound,
    /// 1452.
    NoParent,
    /// 1451.
    HasChildren,
    /// 3819.
    Check,
    /// The server was restarted.
    Gone,
}

impl From<Refusal> for SqlFailure {
    fn from(refusal: Refusal) -> Self {
        let text = format!("{refusal:?}");
        match refusal {
            Refusal::Deadlock | Refusal::Timeout => Self::Locked(text),
            Refusal::DuplicatePrimary | Refusal::NotFound => Self::Surprise(text),
            Refusal::DuplicateUnique | Refusal::NoParent | Refusal::HasChildren => Self::Clash(text),
            Refusal::Check => Self::Check(text),
            Refusal::Gone => Self::Away(text),
        }
    }
}

/// Which foreign keys a change looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checks {
    /// All of them.
    All,
    /// None: an event says so.
    None,
    /// It is taken along by its parent: what refers to it goes along as well.
    Along,
}

/// Which row of `concord.marker`: whose transactions, and which lane changes it.
pub(crate) type Place = (RegionName, u16);

/// A row of `concord.marker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) sequence: Sequence,
    pub(crate) record: RecordNumber,
    pub(crate) hlc: Hlc,
    pub(crate) owner: u64,
    pub(crate) row_changes: u64,
}

#[derive(Clone)]
pub(crate) enum Undo {
    Row(usize, Key, Option<Row>),
    Marker(Place, Option<Marker>),
    Suspensions(Suspensions),
}

#[derive(Clone, Default)]
pub(crate) struct Open {
    pub(crate) undo: Vec<Undo>,
    pub(crate) changes: Vec<Vec<u8>>,
    /// Images of rows in `concord.repair`.
    repairs: Vec<Vec<u8>>,
    client: bool,
    /// Whose transactions a lane applies with it, and the last one.
    applies: Option<(RegionName, Sequence)>,
}

/// Rows by primary key, per table.
pub(crate) type Rows = Vec<BTreeMap<Key, Row>>;

#[derive(Clone)]
pub(crate) struct State {
    pub(crate) rows: Rows,
    /// Per table and column, who holds a value.
    pub(crate) values: BTreeMap<(usize, usize, Vec<u8>), Key>,
    pub(crate) markers: BTreeMap<Place, Marker>,
    pub(crate) suspensions: Suspensions,
    pub(crate) locks: Locks,
    pub(crate) open: BTreeMap<Txn, Open>,
    pub(crate) last: Txn,
    /// Raised by each restart: connections of before are gone.
    pub(crate) epoch: u64,
    pub(crate) up: bool,
    pub(crate) binlog: Binlog,
    pub(crate) applied: Vec<(RegionName, Sequence)>,
}

pub(crate) struct Server {
    pub(crate) place: usize,
    pub(crate) schema: Rc<Schema>,
    pub(crate) dice: Dice,
    /// Whether GTIDs have tags.
    pub(crate) tags: bool,
    pub(crate) state: RefCell<State>,
    pub(crate) freed: Notify,
    pub(crate) committed: Notify,
    pub(crate) standby: RefCell<Option<State>>,
    /// What clients committed on primaries before this one, where that is not in this one's binlog or comes before something that is.
    pub(crate) past: RefCell<Past>,
}

/// See [`Server::past`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    pub(crate) clients: Vec<Gtid>,
    /// So many groups of the present binlog are among them.
    pub(crate) groups: usize,
}

impl Server {
    pub(crate) fn new(place: usize, schema: Rc<Schema>, dice: Dice, tags: bool) -> Self {
        let state = State {
            rows: vec![BTreeMap::new(); schema.tables.len()],
            values: BTreeMap::new(),
            markers: BTreeMap::new(),
            suspensions: Suspensions::default(),
            locks: Locks::default(),
            open: BTreeMap::new(),
            last: 0,
            epoch: 1,
            up: true,
            binlog: Binlog::new(place as u8 + 1),
            applied: Vec::new(),
        };
        Self {
            place,
            schema,
            dice,
            tags,
            state: RefCell::new(state),
            freed: Notify::new(),
            committed: Notify::new(),
            standby: RefCell::default(),
            past: RefCell::default(),
        }
    }

    /// Puts a row there as if it had always been.
    pub(crate) fn seed_row(&self, table: usize, row: Row) {
        let key = self.schema.tables[table].key(&row);
        let mut state = self.state.borrow_mut();
        for column in &self.schema.tables[table].unique {
            if let Some(value) = &row[*column] {
                let value = self.schema.tables[table].compared(*column, value);
                state.values.insert((table, *column, value), key.clone());
            }
        }
        state.rows[table].insert(key, row);
    }

    pub(crate) fn seed_marker(&self, origin: RegionName) {
        let (sequence, record, hlc) = (Sequence(0), RecordNumber(0), Hlc(0));
        let marker = Marker { sequence, record, hlc, owner: 0, row_changes: 0 };
        self.state.borrow_mut().markers.insert((origin, 0), marker);
    }

    /// Sets the markers of an origin, over every lane that has one.
    pub(crate) fn set_marker(&self, origin: RegionName, sequence: Sequence, record: RecordNumber, hlc: Hlc) {
        let mut state = self.state.borrow_mut();
        let marker = Marker { sequence, record, hlc, owner: 0, row_changes: 0 };
        state.markers.retain(|(of, _), _| *of != origin);
        state.markers.insert((origin, 0), marker);
    }

    /// The epoch that a connection belongs to; `None` while the server is down.
    pub(crate) fn connect(&self) -> Option<u64> {
        let state = self.state.borrow();
        state.up.then_some(state.epoch)
    }

    pub(crate) fn is_current(&self, epoch: u64) -> bool {
        self.connect() == Some(epoch)
    }

    /// mysqld dies: open transactions are undone, committed ones are there.
    pub(crate) fn crash(&self) {
        let open: Vec<Txn> = self.state.borrow().open.keys().copied().collect();
        for txn in open {
            self.rollback(txn);
        }
        let mut state = self.state.borrow_mut();
        state.locks.clear();
        state.up = false;
        drop(state);
        self.freed.notify_waiters();
        self.committed.notify_waiters();
    }

    pub(crate) fn restart(&self) {
        let mut state = self.state.borrow_mut();
        state.up = true;
        state.epoch += 1;
        state.binlog.begin_file();
        drop(state);
        self.committed.notify_waiters();
    }

    pub(crate) fn binlog<T>(&self, look: impl FnOnce(&Binlog) -> T) -> T {
        look(&self.state.borrow().binlog)
    }

    pub(crate) fn rows(&self) -> Rows {
        self.state.borrow().rows.clone()
    }

    pub(crate) fn row(&self, table: usize, key: &Key) -> Option<Row> {
        self.state.borrow().rows[table].get(key).cloned()
    }

    pub(crate) fn holder(&self, table: usize, column: usize, value: &[u8]) -> Option<Key> {
        self.state.borrow().values.get(&(table, column, value.to_vec())).cloned()
    }

    pub(crate) fn markers(&self) -> BTreeMap<Place, Marker> {
        self.state.borrow().markers.clone()
    }

    /// How far an origin is applied for good, whichever lane did it.
    pub(crate) fn applied_to(&self, origin: RegionName) -> Sequence {
        let markers = self.committed_markers();
        let own = markers.iter().filter(|((of, _), _)| *of == origin);
        own.map(|(_, marker)| marker.sequence).max().unwrap_or_default()
    }

    /// The markers without what open transactions have changed.
    pub(crate) fn committed_markers(&self) -> BTreeMap<Place, Marker> {
        let state = self.state.borrow();
        let mut markers = state.markers.clone();
        for undo in state.open.values().flat_map(|open| open.undo.iter().rev()) {
            match undo {
                Undo::Marker(place, Some(old)) => drop(markers.insert(*place, *old)),
                Undo::Marker(place, None) => drop(markers.remove(place)),
                Undo::Row(..) | Undo::Suspensions(_) => {}
            }
        }
        markers
    }

    pub(crate) fn begin(&self, client: bool) -> Txn {
        let mut state = self.state.borrow_mut();
        state.last += 1;
        let txn = state.last;
        state.open.insert(txn, Open { client, ..Open::default() });
        txn
    }

    pub(crate) fn is_open(&self, txn: Txn) -> bool {
        self.state.borrow().open.contains_key(&txn)
    }

    /// Changes a marker, which must be locked.
    pub(crate) fn mark(&self, txn: Txn, place: Place, marker: Marker) {
        let mut state = self.state.borrow_mut();
        let old = state.markers.insert(place, marker);
        let (sequence, hlc, rows) = (marker.sequence.0, marker.hlc.0, marker.row_changes);
        if let Some(open) = state.open.get_mut(&txn) {
            open.undo.push(Undo::Marker(place, old));
            open.changes.push(own::marker(place.0.as_str(), place.1, sequence, hlc, rows));
        }
    }

    /// The transaction is a lane's.
    pub(crate) fn applies(&self, txn: Txn, origin: RegionName, sequence: Sequence) {
        if let Some(open) = self.state.borrow_mut().open.get_mut(&txn) {
            open.applies = Some((origin, sequence));
        }
    }

    /// What lanes committed, in order.
    pub(crate) fn applied(&self) -> Vec<(RegionName, Sequence)> {
        self.state.borrow().applied.clone()
    }

    /// Changes `concord.suspension`: the transaction is none that takes an origin further.
    pub(crate) fn suspend(&self, txn: Txn, change: suspension::Change) {
        let mut state = self.state.borrow_mut();
        let old = state.suspensions.clone();
        let events = state.suspensions.change(change);
        if let Some(open) = state.open.get_mut(&txn) {
            open.undo.push(Undo::Suspensions(old));
            open.applies = None;
            open.changes.push(events);
        }
    }

    /// What is committed of `concord.suspension`.
    pub(crate) fn suspensions(&self) -> Suspensions {
        let state = self.state.borrow();
        let undo = state.open.values().flat_map(|open| &open.undo);
        let old =
            undo.filter_map(|undo| if let Undo::Suspensions(old) = undo { Some(old) } else { None }).next();
        old.unwrap_or(&state.suspensions).clone()
    }

    /// Inserts a row into `concord.repair`; or, with `None`, deletes them all.
    pub(crate) fn repair(&self, txn: Txn, image: Option<Vec<u8>>) {
        let mut state = self.state.borrow_mut();
        let Some(open) = state.open.get_mut(&txn) else { return };
        match image {
            Some(image) => {
                open.changes.push(own::repair_rows(RowsKind::Write, std::slice::from_ref(&image)));
                open.repairs.push(image);
            }
            None if open.repairs.is_empty() => {}
            None => {
                let images = std::mem::take(&mut open.repairs);
                open.changes.push(own::repair_rows(RowsKind::Delete, &images));
            }
        }
    }

    /// Commits; false if the transaction is gone.
    pub(crate) fn commit(&self, txn: Txn, tag: Option<RegionName>) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(open) = state.open.remove(&txn) else { return false };
        trace(|| format!("{} commits transaction {txn}, client {}", self.place, open.client));
        if !open.changes.is_empty() {
            let commit_us = clock::read(self.place);
            state.binlog.append(tag, commit_us, open.changes, open.client);
        }
        state.applied.extend(open.applies);
        state.locks.release(txn);
        drop(state);
        self.freed.notify_waiters();
        self.committed.notify_waiters();
        true
    }

    pub(crate) fn rollback(&self, txn: Txn) {
        let mut state = self.state.borrow_mut();
        if let Some(open) = state.open.remove(&txn) {
            for undo in open.undo.into_iter().rev() {
                match undo {
                    Undo::Row(table, key, old) => set(&mut state, &self.schema, table, &key, old),
                    Undo::Marker(origin, Some(old)) => drop(state.markers.insert(origin, old)),
                    Undo::Suspensions(old) => state.suspensions = old,
                    Undo::Marker(origin, None) => drop(state.markers.remove(&origin)),
                }
            }
        }
        state.locks.release(txn);
        drop(state);
        self.freed.notify_waiters();
    }
}
