//! From memory to a run.

use smallvec::SmallVec;
use transaction::KeyHash;

use super::{Entry, Part, PartWriter, Spill, SpilledCursor};
use crate::history::Cursor;
use crate::index::{Index, hash};
use crate::node::{COVERS_ALL, LIVE, Node, WALKED};
use crate::regions::{Origin, Seen};
use crate::slab::NONE;
use crate::{Error, Pruned};

impl Index {
    /// What runs hold of the history of `key`.
    pub(crate) fn spilled(&self, key: KeyHash) -> Result<Vec<SpilledCursor<'_>>, Error> {
        self.spill.check()?;
        let mut found = Vec::new();
        for part in &self.spill.parts {
            found.extend(SpilledCursor::find(part, key, self.regions.len())?);
        }
        Ok(found)
    }

    pub(crate) fn is_spilled(&self, key: KeyHash) -> Result<bool, Error> {
        self.spill.check()?;
        for part in &self.spill.parts {
            if part.run.find(key)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether pruning has taken note of all these writes being stable, so that the row has no history any more, though they are
    /// still in a run.
    pub(crate) fn is_settled(
        &self,
        memory: Cursor<'_>,
        spilled: &[SpilledCursor<'_>],
    ) -> Result<bool, Error> {
        let mut at = memory.at;
        while at != NONE {
            let node = &self.nodes[at];
            if !node.is(WALKED) {
                return Ok(false);
            }
            at = node.older;
        }
        for cursor in spilled {
            let mut cursor = cursor.clone();
            while let Some(head) = &cursor.head {
                if head.place.sequence > self.queued[usize::from(head.place.origin)] {
                    return Ok(false);
                }
                cursor.advance()?;
            }
        }
        Ok(true)
    }

    /// Moves the older half of the index to a run if it may need more memory than it may have. `current`: the transaction
    /// whose writes are being added; those added so far may leave, and the number stays good.
    ///
    /// Returns whether it was necessary.
    pub(crate) fn relieve(&mut self, current: Option<u32>) -> Result<bool, Error> {
        if self.spill.runs.is_none() || self.bytes_needed() <= self.spill.next_at {
            return Ok(false);
        }
        self.move_older_half(current).inspect_err(|error| self.spill.fail(error))?;
        // What pruning has yet to look at stays; so if that is nearly all, the next try is to be worth its while.
        self.spill.next_at = self.spill.limits.bytes.max(self.bytes_needed() / 4 * 5);
        Ok(true)
    }

    fn move_older_half(&mut self, current: Option<u32>) -> Result<(), Error> {
        let count = self.choose();
        let written = self.write_leaving(count);
        if !matches!(written, Ok(Some(_))) {
            for origin in 0..self.regions.len() {
                self.transactions.stay(origin as Origin);
            }
            return written.map(|_| ());
        }
        self.unlink_leaving();
        let registered = if self.spill.is_overlay { self.transactions.all() } else { Vec::new() };
        for number in registered.into_iter().chain(current) {
            self.transactions.begin_anew(number);
        }
        for origin in 0..self.regions.len() {
            let known = &mut self.spill.known[origin];
            self.transactions.drop_leaving(origin as Origin, |sequence| known.insert(sequence));
        }
        self.spill.revision = self.next_revision();
        self.spill.parts.extend(written?);
        self.shrink();
        Ok(())
    }

    /// Marks the transactions that are to leave: per origin the older ones, about half the writes of all. Returns how many
    /// writes they have.
    ///
    /// Those that pruning has in hand stay: it is about to drop them, and holds on to their numbers.
    fn choose(&mut self) -> u64 {
        let mut count = 0;
        for origin in 0..self.regions.len() {
            let queued = self.queued[origin];
            let numbers: Vec<u32> = self
                .transactions
                .numbers(origin as Origin)
                .filter(|number| {
                    let transaction = &self.transactions[*number];
                    transaction.visited || transaction.sequence > queued
                })
                .collect();
            let all: u64 = numbers.iter().map(|number| u64::from(self.transactions[*number].left)).sum();
            let mut chosen = 0;
            for number in numbers {
                let transaction = &mut self.transactions[number];
                if 2 * chosen >= all && transaction.left > 0 && !self.spill.is_overlay {
                    break;
                }
                transaction.leaving = true;
                chosen += u64::from(transaction.left);
            }
            count += chosen;
        }
        count
    }

    /// Writes a run of the transactions that are leaving; nothing else changes. `None` if they have no writes.
    fn write_leaving(&self, count: u64) -> Result<Option<Part>, Error> {
        let Some(runs) = self.spill.runs.as_ref().filter(|_| count > 0) else { return Ok(None) };
        // Sorted by what is at hand as far as that goes: a key lies somewhere else in memory each.
        let mut histories: Vec<(u64, u32)> = Vec::new();
        self.histories_leaving(|key, newest| histories.push(((key.0 >> 64) as u64, newest)));
        histories.sort_unstable();
        for same in histories.chunk_by_mut(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
            same.sort_unstable_by_key(|(_, newest)| self.nodes[*newest].key());
        }
        let mut writer = PartWriter::new(runs.begin(count)?, self.regions.len());
        for (_, newest) in histories {
            let key = self.nodes[newest].key();
            let mut at = newest;
            while at != NONE {
                let node = &self.nodes[at];
                if self.transactions[node.transaction()].leaving {
                    writer.push(key, &self.entry(node), &self.stability)?;
                }
                at = node.older;
            }
        }
        // Pruning has looked at what it had queued, and at nothing beyond.
        let checked: SmallVec<[u64; 4]> = SmallVec::from_slice(&self.queued);
        writer.finish(self.spill.next_part, checked)
    }

    /// Tells of each history that has a write that is leaving the key and the newest write.
    fn histories_leaving(&self, mut tell: impl FnMut(KeyHash, u32)) {
        for slot in &self.keys {
            let mut at = slot.newest;
            while at != NONE {
                let node = &self.nodes[at];
                if self.transactions[node.transaction()].leaving {
                    tell(node.key(), slot.newest);
                    break;
                }
                at = node.older;
            }
        }
    }

    fn entry(&self, node: &Node) -> Entry {
        let transaction = &self.transactions[node.transaction()];
        Entry {
            place: self.place(node),
            hlc: transaction.hlc,
            live: node.is(LIVE),
            // What else it covers may stay; it covers what leaves with it all the same.
            covers: node.is(COVERS_ALL),
            seen: Seen::from_slice(self.transactions.seen(transaction)),
        }
    }

    /// Takes the writes that have left out of their histories.
    fn unlink_leaving(&mut self) {
        self.spill.next_part += 1;
        let mut histories: Vec<u32> = Vec::new();
        self.histories_leaving(|_, newest| histories.push(newest));
        for newest in histories {
            let key = self.nodes[newest].key();
            // First the ring of those that stay, then the slot, and only then the nodes: a slot finds its key by its node.
            let (mut head, mut last, mut at) = (NONE, NONE, newest);
            let mut leaving: SmallVec<[u32; 8]> = SmallVec::new();
            while at != NONE {
                let node = self.nodes[at];
                if self.transactions[node.transaction()].leaving {
                    leaving.push(at);
                } else if last == NONE {
                    (head, last) = (at, at);
                } else {
                    self.nodes[last].older = at;
                    self.nodes[at].newer = last;
                    last = at;
                }
                at = node.older;
            }
            if head != NONE {
                self.nodes[last].older = NONE;
                self.nodes[head].newer = last;
            }
            let nodes = &self.nodes;
            if let Ok(mut entry) = self.keys.find_entry(hash(key), |slot| nodes[slot.newest].key() == key) {
                if head == NONE {
                    entry.remove();
                } else {
                    entry.get_mut().newest = head;
                }
            }
            self.writes -= leaving.len();
            for number in leaving {
                self.nodes.remove(number);
            }
        }
    }

    /// Takes over the runs of a batch that has committed: writes of these transactions.
    pub(crate) fn adopt(&mut self, parts: Vec<Part>, numbers: impl Iterator<Item = (Origin, u64)>) {
        if parts.is_empty() {
            return;
        }
        for (origin, sequence) in numbers {
            self.spill.known[usize::from(origin)].insert(sequence);
        }
        for mut part in parts {
            part.number = self.spill.next_part;
            self.spill.next_part += 1;
            part.checked = SmallVec::from_slice(&self.queued);
            self.spill.parts.push(part);
        }
        self.spill.revision = self.next_revision();
        self.spill.adopted = self.spill.revision;
    }

    /// Notes an encounter of pruning with a key that runs hold, and leaves the rest to the writing anew of these; false if
    /// none holds it.
    pub(crate) fn meet(&mut self, key: KeyHash) -> Result<bool, Error> {
        let Spill { parts, rewrite, .. } = &mut self.spill;
        let mut met = false;
        for part in parts {
            if part.run.find(key)?.is_none() {
                continue;
            }
            met = true;
            match rewrite {
                Some(rewrite) if rewrite.is_dropping(part.number) => rewrite.meet(key),
                _ => part.met += 1,
            }
        }
        Ok(met)
    }

    /// Merges runs, if there is reason to, without forgetting anything: while an index is rebuilt, nothing may be pruned yet.
    ///
    /// Looks at no more than `keys_max` histories; returns whether there is more to do.
    pub fn tidy(&mut self, keys_max: usize) -> Result<bool, Error> {
        let mut done = Pruned::default();
        self.rewrite(keys_max, false, &mut done)?;
        Ok(done.more)
    }
}
