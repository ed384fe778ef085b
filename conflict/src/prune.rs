//! Forgetting writes that nothing still to come can be concurrent with.

use smallvec::SmallVec;

use crate::index::{Index, hash};
use crate::node::{SPENT, WALKED};
use crate::regions::{OWN_ORDER, Origin};
use crate::slab::NONE;
use crate::transactions::Transaction;

/// What one call of [`Index::prune`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Histories looked at.
    pub keys: usize,
    /// Writes that left their history.
    pub writes: usize,
    /// Transactions forgotten.
    pub transactions: usize,
    /// Whether stable transactions are left to look at; if not, only new stability makes a further call worth while.
    pub more: bool,
}

impl Index {
    /// Looks at no more than `keys_max` histories of newly stable transactions and drops from each what may go.
    ///
    /// A write goes only as part of a prefix in fold order, and only when it and every write concurrent with it are
    /// stable. Every history is looked at when one of its writes becomes stable, since nothing else
    /// can let a prefix go; so no call ever sweeps the whole index.
    pub fn prune(&mut self, keys_max: usize) -> Pruned {
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
            done.keys += 1;
            done.writes += self.prune_history(first);
        }
        for origin in 0..self.regions.len() {
            done.transactions += self.transactions.drop_spent(origin as Origin);
        }
        self.shrink();
        done.more = !self.ready.is_empty();
        done
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

    /// Drops what may go from the history that `member` is in; returns how many writes.
    fn prune_history(&mut self, member: u32) -> usize {
        let key = self.nodes[member].key();
        let Some(slot) = self.slot(key) else { return 0 };
        let oldest = self.nodes[slot.newest].newer;
        if !self.stands(oldest) {
            return 0;
        }
        let cut = self.oldest_to_stay(slot.newest);
        if cut == oldest {
            return 0;
        }
        let mut going = slot.newest;
        if cut == NONE {
            let nodes = &self.nodes;
            let found = self.keys.find_entry(hash(key), |other| nodes[other.newest].key() == key);
            if let Ok(entry) = found {
                entry.remove();
            }
        } else {
            going = self.nodes[cut].older;
            self.nodes[cut].older = NONE;
            self.nodes[slot.newest].newer = cut;
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

    /// The oldest write that has to stay, or `NONE`: the longest prefix of stable writes ends before it such that every write
    /// from there on covers all of the prefix.
    ///
    /// One pass from the newest down. `staying` holds, per origin, what all writes that stay are known to cover; `passed`
    /// the same of the writes passed since, which join them as soon as an older one has to stay.
    fn oldest_to_stay(&self, newest: u32) -> u32 {
        let none: SmallVec<[u64; 6]> = SmallVec::from_elem(u64::MAX, self.regions.len());
        let (mut staying, mut passed) = (none.clone(), none.clone());
        let (mut cut, mut at) = (NONE, newest);
        while at != NONE {
            let node = &self.nodes[at];
            let transaction = &self.transactions[node.transaction()];
            for (covered, seen) in passed.iter_mut().zip(self.transactions.seen(transaction)) {
                let seen = if *seen == OWN_ORDER { transaction.sequence.saturating_sub(1) } else { *seen };
                *covered = seen.min(*covered);
            }
            if !self.stands(at) || transaction.sequence > staying[usize::from(transaction.origin)] {
                for (covered, passed) in staying.iter_mut().zip(&mut passed) {
                    *covered = (*covered).min(*passed);
                    *passed = u64::MAX;
                }
                cut = at;
            }
            at = node.older;
        }
        cut
    }

    /// Gives memory back after a flood has drained.
    fn shrink(&mut self) {
        let nodes = &self.nodes;
        if self.keys.capacity() > 1024 && self.keys.len() < self.keys.capacity() / 8 {
            self.keys.shrink_to(self.keys.len() * 2, |slot| hash(nodes[slot.newest].key()));
        }
        if self.ready.capacity() > 1024 && self.ready.len() < self.ready.capacity() / 8 {
            self.ready.shrink_to(self.ready.len() * 2);
        }
    }
}
