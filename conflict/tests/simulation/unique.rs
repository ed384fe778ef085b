//! What the applier does about unique keys: the row whose newest write is older goes, and a repair says so.

use std::collections::BTreeMap;

use conflict::{Batch, Place, Write};
use transaction::RepairPlace;

use super::change::{Change, Key, hash};
use super::mistake::Mistake;
use super::region::Region;
use super::row::Row;

/// A row that goes, and where its repair stands.
pub(crate) type Loser = (Key, Row, RepairPlace);

impl Region {
    /// Gives the rows of a batch what the folds want, as far as unique keys let them; returns what had to go.
    pub(crate) fn settle(&mut self, wanted: BTreeMap<Key, Option<Row>>, batch: &Batch) -> Vec<Loser> {
        let mut losers = Vec::new();
        let mut order: Vec<(Write, Key, Row)> = Vec::new();
        for (key, row) in &wanted {
            self.set(*key, None);
            if let Some(row) = row {
                order.push((self.newest(*key, batch), *key, *row));
            }
        }
        order.sort_by_key(|(newest, key, _)| (rank(newest, *key), *key));
        for (newest, key, row) in order.into_iter().rev() {
            let clashing: Vec<(Write, Key)> =
                self.clashing(key, &row).map(|other| (self.newest(other, batch), other)).collect();
            if clashing.iter().any(|(other, held)| rank(other, *held) > rank(&newest, key)) {
                losers.push((key, row, newest.place_after().unwrap()));
                continue;
            }
            for (other, held) in clashing {
                losers.extend(self.rows.get(&held).map(|row| (held, *row, other.place_after().unwrap())));
                self.set(held, None);
            }
            self.set(key, Some(row));
        }
        losers
    }

    /// The newest write of a row. A row that clashes with an incoming write has unstable writes (SEMANTICS.md).
    fn newest(&self, key: Key, batch: &Batch) -> Write {
        batch.newest(&self.index, hash(key)).expect("a row that clashes has a history").0
    }

    /// Writes the repairs to this region's own log, in the same MySQL transaction as the batch.
    pub(crate) fn repair(&mut self, losers: Vec<Loser>) {
        if losers.is_empty() || self.mistake == Some(Mistake::NoRepair) {
            return;
        }
        self.counts.repairs += losers.len() as u64;
        let fresh = self.mistake == Some(Mistake::RepairAtOwnTime);
        if fresh {
            self.hlc = self.hlc.tick(0);
        }
        let blank = self.blank(self.hlc);
        let changes = losers.into_iter().enumerate().map(|(index, (key, row, place))| Change {
            repair: (!fresh).then_some(place),
            ..blank.with(index as u32, key, Some(row), None)
        });
        let changes = changes.collect();
        self.commit(changes);
    }
}

/// How new the newest write of a row is. Two rows that one primary-key update wrote have the same place.
fn rank(newest: &Write, key: Key) -> (Place, Key) {
    (newest.place(), key)
}
