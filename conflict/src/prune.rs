//! Forgetting writes that nothing still to come can be concurrent with.

use transaction::KeyHash;

use crate::Error;
use crate::index::{Index, hash};
use crate::node::{SPENT, WALKED};
use crate::regions::Origin;
use crate::slab::NONE;
use crate::suffix::Suffix;
use crate::transactions::Transaction;
use crate::write::Standing;

/// What one call of [`Index::prune`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Histories looked at.
    pub keys: usize,
    /// Writes that left their history.
    pub writes: usize,
    /// Transactions forgotten.
    pub transactions: usize,
    /// Whether stable transactions, or runs that are due, are left to look at; if not, only new stability makes a further call
    /// worth while.
    pub more: bool,
}

impl Index {
    /// Looks at no more than `keys_max` histories of newly stable transactions and drops from each what may go.
    ///
    /// A write goes only as part of a prefix in fold order, and only when it and every write concurrent with it are
    /// stable. Every history is looked at when one of its writes becomes stable, since nothing else
    /// can let a prefix go; so no call ever sweeps the whole index.
    /// Histories that are in part in runs are looked at when these are written anew, which waits until enough of them may go.
    pub fn prune(&mut self, keys_max: usize) -> Result<Pruned, Error> {
        self.spill.check()?;
        self.queue_stable();
        let mut done = Pruned::default();
        while done.keys < keys_max
            && let Some(number) = self.ready.front().copied()
        {
            let first = self.transactions[number].first;
            if first == NONE {
                self.transactions[number].visited = true;
                self.ready.pop_front();
                continue;
            }
            let node = &mut self.nodes[first];
            self.transactions[number].first = node.sibling;
            if node.is(SPENT) {
                self.nodes.remove(first);
                continue;
            }
            node.mark(WALKED);
            let key = node.key();
            done.keys += 1;
            done.writes += self.prune_history(key).inspect_err(|error| self.spill.fail(error))?;
        }
        if done.keys < keys_max {
            self.rewrite(keys_max, true, &mut done)?;
            if self.spill.rewrite.is_none() {
                self.wait();
            }
        } else {
            done.more |= !self.spill.parts.is_empty();
        }
        for origin in 0..self.regions.len() {
            done.transactions += self.transactions.drop_spent(origin as Origin);
        }
        self.settle_known();
        self.shrink();
        done.more |= !self.ready.is_empty();
        Ok(done)
    }

    /// Queues the transactions that have become stable since the last call.
    fn queue_stable(&mut self) {
        for origin in 0..self.regions.len() {
            let (queued, stable) = (self.queued[origin], self.stability.stable(origin as Origin));
            if stable > queued {
                self.ready.extend(self.transactions.between(origin as Origin, queued, stable));
                self.queued[origin] = stable;
            }
        }
    }

    /// Drops what may go from the history of `key`, unless runs hold a part of it; returns how many writes.
    pub(crate) fn prune_history(&mut self, key: KeyHash) -> Result<usize, Error> {
        let Some(slot) = self.slot(key) else { return Ok(0) };
        if self.meet(key)? {
            return Ok(0);
        }
        let oldest = self.nodes[slot.newest].newer;
        if !self.stands(oldest) {
            return Ok(0);
        }
        let (cut, _) = self.suffix(slot.newest);
        Ok(if cut == oldest { 0 } else { self.cut(key, slot.newest, cut) })
    }

    /// Drops from the memory's part of a history what stands before `cut`, or all of it; returns how many writes.
    pub(crate) fn drop_before(&mut self, key: KeyHash, cut: Option<Standing>) -> usize {
        let newest = self.slot(key).map_or(NONE, |slot| slot.newest);
        let (mut oldest, mut at) = (NONE, newest);
        while at != NONE && cut.is_some_and(|cut| self.place(&self.nodes[at]) >= cut) {
            (oldest, at) = (at, self.nodes[at].older);
        }
        if at == NONE { 0 } else { self.cut(key, newest, oldest) }
    }

    /// Drops the writes of a history that are older than `oldest`, or all if that is `NONE`; returns how many.
    fn cut(&mut self, key: KeyHash, newest: u32, oldest: u32) -> usize {
        let mut going = newest;
        if oldest == NONE {
            let nodes = &self.nodes;
            let found = self.keys.find_entry(hash(key), |other| nodes[other.newest].key() == key);
            if let Ok(entry) = found {
                entry.remove();
            }
        } else {
            going = self.nodes[oldest].older;
            self.nodes[oldest].older = NONE;
            self.nodes[newest].newer = oldest;
        }
        let mut count = 0;
        while going != NONE {
            let node = &mut self.nodes[going];
            let (older, transaction) = (node.older, node.transaction());
            if node.is(WALKED) {
                self.nodes.remove(going);
            } else {
                // It is still in its transaction's list, which frees it when pruning comes by.
                node.mark(SPENT);
            }
            self.transactions[transaction].left -= 1;
            count += 1;
            going = older;
        }
        self.writes -= count;
        count
    }

    fn stands(&self, number: u32) -> bool {
        let Transaction { origin, sequence, .. } = self.transactions[self.nodes[number].transaction()];
        sequence <= self.stability.stable(origin)
    }

    /// The oldest write that has to stay, or `NONE`, and the suffix that begins there.
    pub(crate) fn suffix(&self, newest: u32) -> (u32, Suffix) {
        let mut suffix = Suffix::new(self.regions.len());
        let (mut cut, mut at) = (NONE, newest);
        while at != NONE {
            let node = &self.nodes[at];
            let transaction = &self.transactions[node.transaction()];
            let seen = self.transactions.seen(transaction);
            if suffix.pass(transaction.origin, transaction.sequence, seen, self.stands(at)) {
                cut = at;
            }
            at = node.older;
        }
        (cut, suffix)
    }

    /// Gives memory back after a flood has drained.
    pub(crate) fn shrink(&mut self) {
        let nodes = &self.nodes;
        if self.keys.capacity() > 1024 && self.keys.len() < self.keys.capacity() / 8 {
            self.keys.shrink_to(self.keys.len() * 2, |slot| hash(nodes[slot.newest].key()));
        }
        if self.ready.capacity() > 1024 && self.ready.len() < self.ready.capacity() / 8 {
            self.ready.shrink_to(self.ready.len() * 2);
        }
    }
}
