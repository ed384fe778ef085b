//! What the applier does about unique keys: the row whose newest write is older goes, and a repair says so.

use std::collections::BTreeMap;

use conflict::{Place, Write};
use transaction::{RepairPlace, WriteId};

use super::change::{Change, Key, hash, name};
use super::mistake::Mistake;
use super::region::Region;
use super::row::Row;
use super::twin::Batch;

/// A row that goes, and where its repair stands.
pub(crate) type Loser = (Key, Row, RepairPlace);

/// How new a row is. One all of whose writes the batch has seen is older than any row of the batch. Two rows that one
/// primary-key update wrote have the same place.
type Age = (Option<Place>, Key);

impl Region {
    /// Gives the rows of a batch what the folds want, as far as unique keys let them; returns what had to go.
    pub(crate) fn settle(
        &mut self,
        wanted: BTreeMap<Key, Option<Row>>,
        batch: &Batch,
        first: &Change,
    ) -> Vec<Loser> {
        // By its stamp alone: it may be a record of repairs.
        let incoming = Write { id: WriteId { index: 0, ..first.id() }, live: true, repair: None };
        let age = |region: &Self, key: Key| -> (Age, RepairPlace) {
            let newest = region.newest(key, batch, first);
            let after = newest.unwrap_or(incoming).place_after().unwrap();
            ((newest.map(|newest| newest.place()), key), after)
        };
        let mut losers = Vec::new();
        let mut order = Vec::new();
        for (key, row) in &wanted {
            self.set(*key, None);
            if let Some(row) = row {
                order.push((age(self, *key), *row));
            }
        }
        order.sort_by_key(|((age, _), _)| *age);
        for (((newest, key), after), row) in order.into_iter().rev() {
            let clashing: Vec<_> = self.clashing(key, &row).map(|other| age(self, other)).collect();
            if clashing.iter().any(|(other, _)| *other > (newest, key)) {
                losers.push((key, row, after));
                continue;
            }
            for ((_, held), after) in clashing {
                losers.extend(self.rows.get(&held).map(|row| (held, *row, after)));
                self.set(held, None);
            }
            self.set(key, Some(row));
        }
        losers
    }

    /// The newest write of a row, unless the batch's first transaction has seen all that the index holds of it: then what
    /// came after that may have been pruned.
    fn newest(&self, key: Key, batch: &Batch, first: &Change) -> Option<Write> {
        let story = batch.story(&self.index, hash(key))?;
        let seen = |id: &WriteId| match (0..self.regions).find(|region| name(*region) == id.origin) {
            Some(origin) if origin == first.origin => id.sequence.0 < first.sequence,
            origin => origin.is_some_and(|origin| id.sequence.0 <= first.seen[origin]),
        };
        let counts = story.writes.iter().any(|chapter| chapter.from_batch || !seen(&chapter.write.id));
        story.newest().copied().filter(|_| counts)
    }

    /// Writes the repairs to this region's own log, in the same MySQL transaction as the batch.
    pub(crate) fn repair(&mut self, losers: Vec<Loser>) {
        if losers.is_empty() || self.mistake == Some(Mistake::NoRepair) {
            return;
        }
        self.counts.repairs += losers.len() as u64;
        let fresh = self.mistake == Some(Mistake::RepairAtOwnTime);
        self.hlc = self.hlc.tick(0);
        let blank = self.blank(self.hlc);
        let changes = losers.into_iter().enumerate().map(|(index, (key, row, place))| Change {
            repair: (!fresh).then_some(place),
            ..blank.with(index as u32, key, Some(row), None)
        });
        let changes = changes.collect();
        self.commit(changes);
    }
}
