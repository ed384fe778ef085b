//! The writes of a target transaction that has not committed yet, laid over the index.

use hashbrown::HashMap;
use transaction::{Context, Hlc, KeyHash, RegionName, Sequence, WriteId};

use crate::history::{History, Incoming};
use crate::node::LIVE;
use crate::policy::Policy;
use crate::regions::Seen;
use crate::slab::NONE;
use crate::transactions::Transaction;
use crate::{Error, Index, Presence, Resolution, Settled, Winner, Write};

/// Consecutive source transactions that one target transaction applies.
///
/// It borrows nothing: between its calls others may feed the index, which is how a local write that turned up in the meantime
/// is seen by [`Batch::look_again`]. A rollback is [`Batch::clear`]: the index never held any of it.
#[derive(Debug)]
pub struct Batch {
    pending: Index,
    /// The registered transactions, in order.
    order: Vec<u32>,
    /// Per key, the revision of its history in the index when the batch last looked; 0 for none.
    looked: HashMap<KeyHash, u32>,
}

impl Batch {
    pub(crate) fn new(index: &Index) -> Self {
        Self { pending: index.empty(), order: Vec::new(), looked: HashMap::new() }
    }

    /// Begins the next source transaction of the batch; resolve its writes in binlog order.
    pub fn transaction(
        &mut self,
        origin: RegionName,
        sequence: Sequence,
        hlc: Hlc,
        context: &Context,
    ) -> Result<BatchTransaction<'_>, Error> {
        let id = WriteId { hlc, origin, sequence, index: 0 };
        let incoming = Incoming::new(&self.pending.regions, &id, context)?;
        let number = self.pending.begin(incoming.place.origin, sequence.0, hlc.0, &incoming.seen)?;
        self.order.push(number);
        Ok(BatchTransaction { batch: self, number, id, incoming })
    }

    /// The keys written by the batch, each once.
    pub fn keys(&self) -> impl Iterator<Item = KeyHash> + '_ {
        self.looked.keys().copied()
    }

    /// The history of `key` with the batch's writes in it.
    pub fn history<'a>(&'a self, index: &'a Index, key: KeyHash) -> History<'a> {
        History::of(index.chain(key), Some(self.pending.chain(key)))
    }

    /// Looks again at a key whose row is locked by now: `None` if no write has joined its history since the batch looked last.
    ///
    /// What comes back replaces all that was resolved for the key. Asked again, it is `None` until the next change.
    pub fn look_again<P: Policy<Row = Write> + ?Sized>(
        &mut self,
        index: &Index,
        policy: &P,
        key: KeyHash,
    ) -> Option<Settled> {
        let revision = revision(index, key);
        let looked = self.looked.get_mut(&key)?;
        if *looked == revision {
            return None;
        }
        *looked = revision;
        self.settle(index, policy, key)
    }

    /// What the row of `key` must become; `None` if the batch does not write it.
    pub fn settle<P: Policy<Row = Write> + ?Sized>(
        &self,
        index: &Index,
        policy: &P,
        key: KeyHash,
    ) -> Option<Settled> {
        let pending = self.pending.chain(key);
        let existing = History::of(index.chain(key), None);
        let own = History::of(pending, None);
        let taken = self.history(index, key).fold(policy)?;
        own.newest()?;
        let conflict = own.incoming().any(|write| existing.conflicts(&write));
        let from_batch = own.writes().any(|write| write.id == taken.id);
        Some(Settled {
            taken,
            from_batch,
            conflict,
            row_before: Presence::before(conflict, &existing, policy),
        })
    }

    /// Moves the batch's writes into the index, once the target transaction has committed; the batch is empty afterwards.
    pub fn commit(&mut self, index: &mut Index) -> Result<(), Error> {
        for number in &self.order {
            let transaction = &self.pending.transactions[*number];
            let &Transaction { origin, sequence, hlc, mut first, .. } = transaction;
            let seen = Seen::from_slice(self.pending.transactions.seen(transaction));
            let nodes = &self.pending.nodes;
            let writes = std::iter::from_fn(|| {
                let node = (first != NONE).then(|| &nodes[first])?;
                first = node.sibling;
                Some((node.key(), node.index, node.is(LIVE)))
            });
            index.insert_seen(origin, sequence, hlc, &seen, writes)?;
        }
        self.clear();
        Ok(())
    }

    /// Forgets the batch: its target transaction was rolled back.
    pub fn clear(&mut self) {
        self.pending = self.pending.empty();
        self.order.clear();
        self.looked.clear();
    }
}

/// One source transaction of a batch, whose writes are being resolved.
#[derive(Debug)]
pub struct BatchTransaction<'a> {
    batch: &'a mut Batch,
    number: u32,
    /// The write being resolved.
    id: WriteId,
    incoming: Incoming,
}

impl BatchTransaction<'_> {
    /// Resolves the next write against the index and the batch so far, and adds it to the batch.
    pub fn resolve<P: Policy<Row = Write> + ?Sized>(
        &mut self,
        index: &Index,
        policy: &P,
        key: KeyHash,
        write: u32,
        live: bool,
    ) -> Result<Resolution, Error> {
        self.incoming.place.index = write;
        self.id.index = write;
        let before = self.batch.history(index, key);
        let conflict = before.conflicts(&self.incoming);
        let row_before = Presence::before(conflict, &before, policy);
        self.batch.looked.entry(key).or_insert_with(|| revision(index, key));
        self.batch.pending.add(self.number, key, write, live)?;
        let taken = match conflict {
            // Concurrent with nothing, it is taken as it is. Otherwise the whole history decides.
            false => None,
            true => self.batch.history(index, key).fold(policy).filter(|taken| taken.id != self.id),
        };
        let winner = taken.map_or(Winner::Incoming, |taken| Winner::Existing(taken.id));
        Ok(Resolution { winner, conflict, row_before })
    }
}

fn revision(index: &Index, key: KeyHash) -> u32 {
    index.slot(key).map_or(0, |slot| slot.revision)
}
