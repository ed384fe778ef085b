//! The transactions that the index still needs, and their contexts, each stored once.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::Error;
use crate::regions::Origin;
use crate::slab::{NONE, Slab};
use crate::write::Root;

/// Numbers of transactions have 28 bits, since a node keeps its flags beside them.
pub(crate) const TRANSACTION_BITS: u32 = 28;

/// One transaction with writes in a history.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) hlc: u64,
    pub(crate) sequence: u64,
    context: u32,
    /// Head of the list of its nodes that pruning has not come by yet.
    pub(crate) first: u32,
    /// How many of its writes are still in a history.
    pub(crate) left: u32,
    pub(crate) origin: Origin,
    /// Pruning has come by all its nodes; none is in the list any more.
    pub(crate) visited: bool,
    /// Its writes are repairs, whose places are in [`Transactions`].
    pub(crate) repairs: bool,
    /// Its writes are being moved to a run.
    pub(crate) leaving: bool,
}

/// A context, shared by the transactions of an origin that follow each other with nothing applied in between.
#[derive(Debug)]
struct Shared {
    users: u32,
    seen: Box<[u64]>,
}

/// Transactions, per origin in the order of their sequence numbers.
#[derive(Debug)]
pub(crate) struct Transactions {
    all: Slab<Transaction>,
    contexts: Slab<Shared>,
    /// Places of repairs, per transaction that has some, by index of the row change. Most have none.
    roots: HashMap<u32, Box<[Root]>>,
    /// How many places they are in all.
    roots_held: usize,
    queues: Vec<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Numbers of transactions, ascending by sequence number.
    order: VecDeque<u32>,
    /// Highest sequence number that has left the queue.
    gone: u64,
}

impl Transactions {
    pub(crate) fn new(regions: usize) -> Self {
        let queues = (0..regions).map(|_| Queue::default()).collect();
        Self {
            all: Slab::new(1 << TRANSACTION_BITS),
            contexts: Slab::new(NONE),
            roots: HashMap::new(),
            roots_held: 0,
            queues,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether the transaction is held, or was held and has become dispensable.
    pub(crate) fn knows(&self, origin: Origin, sequence: u64) -> bool {
        let queue = &self.queues[usize::from(origin)];
        sequence <= queue.gone
            || queue.order.binary_search_by_key(&sequence, |number| self.all[*number].sequence).is_ok()
    }

    /// Adds a transaction that is not known yet, without writes.
    pub(crate) fn insert(
        &mut self,
        origin: Origin,
        sequence: u64,
        hlc: u64,
        seen: &[u64],
        roots: &[Root],
    ) -> Result<u32, Error> {
        let context = self.context(origin, seen)?;
        let repairs = !roots.is_empty();
        let (first, left, visited, leaving) = (NONE, 0, false, false);
        let transaction =
            Transaction { hlc, sequence, context, first, left, origin, visited, repairs, leaving };
        let number = self
            .all
            .insert(transaction)
            .ok_or(Error::Full { what: "transactions", count: self.all.len() })?;
        if repairs {
            self.roots_held += roots.len();
            self.roots.insert(number, roots.into());
        }
        let queue = &mut self.queues[usize::from(origin)].order;
        // Nearly always the end; a tail that returns after a failover has lower numbers than what came since.
        let at = match queue.back() {
            Some(last) if self.all[*last].sequence > sequence => {
                queue.partition_point(|other| self.all[*other].sequence < sequence)
            }
            _ => queue.len(),
        };
        queue.insert(at, number);
        Ok(number)
    }

    fn context(&mut self, origin: Origin, seen: &[u64]) -> Result<u32, Error> {
        if let Some(last) = self.queues[usize::from(origin)].order.back() {
            let context = self.all[*last].context;
            let shared = &mut self.contexts[context];
            if *shared.seen == *seen && shared.users < u32::MAX {
                shared.users += 1;
                return Ok(context);
            }
        }
        let count = self.contexts.len();
        self.contexts
            .insert(Shared { users: 1, seen: seen.into() })
            .ok_or(Error::Full { what: "contexts", count })
    }

    pub(crate) fn seen(&self, transaction: &Transaction) -> &[u64] {
        &self.contexts[transaction.context].seen
    }

    /// The places of a transaction's repairs, by index of the row change; empty if its writes are none.
    pub(crate) fn roots(&self, number: u32) -> &[Root] {
        if self[number].repairs { self.roots.get(&number).map_or(&[], |roots| roots) } else { &[] }
    }

    /// The transactions of `origin`, ascending by sequence number.
    pub(crate) fn of(&self, origin: Origin) -> impl Iterator<Item = &Transaction> {
        self.queues[usize::from(origin)].order.iter().map(|number| &self.all[*number])
    }

    /// Numbers of the transactions of `origin` with sequence numbers from `after`, not included, to `upto`, included.
    pub(crate) fn between(&self, origin: Origin, after: u64, upto: u64) -> impl Iterator<Item = u32> + '_ {
        let queue = &self.queues[usize::from(origin)].order;
        let bound = |sequence| queue.partition_point(|number| self.all[*number].sequence <= sequence);
        let (from, to) = (bound(after), bound(upto));
        queue.range(from..to.max(from)).copied()
    }

    /// Drops the leading transactions of `origin` that have no write in a history; returns how many.
    ///
    /// Only the leading ones, so that what is gone is one prefix and a repeated insert is known for what it is.
    pub(crate) fn drop_spent(&mut self, origin: Origin) -> usize {
        let mut dropped = 0;
        while let Some(number) = self.queues[usize::from(origin)].order.front().copied() {
            let Transaction { sequence, context, left, visited, repairs, .. } = self.all[number];
            if left > 0 || !visited {
                break;
            }
            let queue = &mut self.queues[usize::from(origin)];
            queue.order.pop_front();
            queue.gone = queue.gone.max(sequence);
            self.release(number, context, repairs);
            dropped += 1;
        }
        if dropped > 0 {
            self.shrink(origin);
        }
        dropped
    }

    /// Drops those of `origin` that are leaving, wherever they stand; hands out their sequence numbers.
    pub(crate) fn drop_leaving(&mut self, origin: Origin, mut gone: impl FnMut(u64)) {
        let mut order = std::mem::take(&mut self.queues[usize::from(origin)].order);
        order.retain(|number| {
            let Transaction { sequence, context, repairs, leaving, .. } = self.all[*number];
            if leaving {
                gone(sequence);
                self.release(*number, context, repairs);
            }
            !leaving
        });
        self.queues[usize::from(origin)].order = order;
        self.shrink(origin);
    }

    /// Those of `origin` that were leaving stay.
    pub(crate) fn stay(&mut self, origin: Origin) {
        for number in &self.queues[usize::from(origin)].order {
            self.all[*number].leaving = false;
        }
    }

    /// A transaction that is leaving stays, without the writes it had.
    pub(crate) fn begin_anew(&mut self, number: u32) {
        let transaction = &mut self.all[number];
        if transaction.leaving {
            (transaction.first, transaction.left, transaction.leaving) = (NONE, 0, false);
        }
    }

    fn release(&mut self, number: u32, context: u32, repairs: bool) {
        self.all.remove(number);
        if repairs && let Some(roots) = self.roots.remove(&number) {
            self.roots_held -= roots.len();
        }
        let shared = &mut self.contexts[context];
        shared.users -= 1;
        if shared.users == 0 {
            shared.seen = Box::default();
            self.contexts.remove(context);
        }
    }

    fn shrink(&mut self, origin: Origin) {
        let order = &mut self.queues[usize::from(origin)].order;
        if order.capacity() > 1024 && order.len() < order.capacity() / 8 {
            order.shrink_to(order.len() * 2);
        }
    }

    /// The lowest sequence number of `origin` that is held; `u64::MAX` if none is.
    pub(crate) fn first_held(&self, origin: Origin) -> u64 {
        let first = self.queues[usize::from(origin)].order.front();
        first.map_or(u64::MAX, |number| self.all[*number].sequence)
    }

    /// Everything up to `sequence` was held: none of it is new if it comes again.
    pub(crate) fn raise_gone(&mut self, origin: Origin, sequence: u64) {
        let gone = &mut self.queues[usize::from(origin)].gone;
        *gone = (*gone).max(sequence);
    }

    /// The highest sequence number up to which none is new if it comes again.
    pub(crate) fn gone(&self, origin: Origin) -> u64 {
        self.queues[usize::from(origin)].gone
    }

    /// Numbers of all transactions.
    pub(crate) fn all(&self) -> Vec<u32> {
        self.queues.iter().flat_map(|queue| &queue.order).copied().collect()
    }

    /// Numbers of the transactions of `origin`, ascending by sequence number.
    pub(crate) fn numbers(&self, origin: Origin) -> impl Iterator<Item = u32> + '_ {
        self.queues[usize::from(origin)].order.iter().copied()
    }

    /// Bytes that as many transactions may need at most, used and unused ones of growing tables included.
    pub(crate) fn bytes_needed(&self) -> usize {
        // A queue doubles; so does the list of free numbers of a slab.
        let each = size_of::<Transaction>() + 2 * size_of::<u32>() + 2 * size_of::<u32>();
        let context = size_of::<Shared>() + self.queues.len() * size_of::<u64>() + 16 + 2 * size_of::<u32>();
        self.all.len() * each + self.contexts.len() * context + self.roots_held * 2 * size_of::<Root>()
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        let queues: usize = self.queues.iter().map(|queue| queue.order.capacity() * size_of::<u32>()).sum();
        // The heap rounds small blocks up; 16 bytes a block is its usual overhead.
        let contexts = self.contexts.len() * (self.queues.len() * size_of::<u64>() + 16);
        let roots: usize = self.roots.values().map(|roots| size_of_val::<[Root]>(roots) + 16).sum();
        self.all.bytes() + self.contexts.bytes() + contexts + queues + self.roots.allocation_size() + roots
    }
}

impl std::ops::Index<u32> for Transactions {
    type Output = Transaction;
    fn index(&self, number: u32) -> &Transaction {
        &self.all[number]
    }
}

impl std::ops::IndexMut<u32> for Transactions {
    fn index_mut(&mut self, number: u32) -> &mut Transaction {
        &mut self.all[number]
    }
}
