//! Row locks of a simulated server: who holds what, who waits for whom, and who gives way.

use std::collections::{BTreeMap, BTreeSet};

use transaction::RegionName;

use super::schema::Key;

/// Number of a transaction.
pub(crate) type Txn = u64;

/// Something that one transaction at a time may hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resource {
    /// A row of a table, there or not.
    Row(usize, Key),
    /// A value of a unique key: table, column, value.
    Value(usize, usize, Vec<u8>),
    /// The marker of an origin that a lane changes.
    Marker(RegionName, u16),
    /// All rows of `concord.suspension`.
    Suspensions,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Locks {
    held: BTreeMap<Resource, Txn>,
    waits: BTreeMap<Txn, Txn>,
    /// Rolled back to break a deadlock, and not told yet.
    pub(crate) victims: BTreeSet<Txn>,
}

/// How a try to take a lock ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Mine,
    /// Someone else has it.
    Waits,
    /// So does everyone in this circle.
    Circle(Vec<Txn>),
}

impl Locks {
    pub(crate) fn take(&mut self, txn: Txn, resource: &Resource) -> Taken {
        match self.held.get(resource).copied() {
            None => {
                self.waits.remove(&txn);
                self.held.insert(resource.clone(), txn);
                Taken::Mine
            }
            Some(holder) if holder == txn => Taken::Mine,
            Some(holder) => {
                self.waits.insert(txn, holder);
                let (mut circle, mut at) = (vec![txn], holder);
                while at != txn {
                    circle.push(at);
                    match self.waits.get(&at) {
                        Some(next) if circle.len() < 100 => at = *next,
                        _ => return Taken::Waits,
                    }
                }
                Taken::Circle(circle)
            }
        }
    }

    pub(crate) fn stop_waiting(&mut self, txn: Txn) {
        self.waits.remove(&txn);
    }

    pub(crate) fn unlock(&mut self, txn: Txn, resource: &Resource) {
        if self.held.get(resource) == Some(&txn) {
            self.held.remove(resource);
        }
    }

    pub(crate) fn release(&mut self, txn: Txn) {
        self.waits.remove(&txn);
        self.held.retain(|_, holder| *holder != txn);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
