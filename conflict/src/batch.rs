//! The writes of a target transaction that has not committed yet, laid over the index.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use transaction::{Context, Hlc, KeyHash, RegionName, RepairPlace, Sequence, WriteId};

use crate::history::{History, Incoming};
use crate::node::LIVE;
use crate::regions::Seen;
use crate::slab::NONE;
use crate::transactions::Transaction;
use crate::write::Root;
use crate::{Error, Index, Story, Write};

/// Consecutive source transactions that one target transaction applies.
///
/// It borrows nothing: between its calls others may feed the index, which is how a local write that turned up in the meantime
/// is seen by [`Batch::look_again`]. A rollback is [`Batch::clear`]: the index never held any of it.
#[derive(Debug)]
pub struct Batch {
    pending: Index,
    /// The registered transactions, in order.
    order: Vec<u32>,
    /// Per key, the revision of its history in the index when the batch last looked; 0 for none. When the batch has writes in
    /// runs, only of keys that have changed since it began.
    looked: HashMap<KeyHash, u32>,
    /// The index's own count of revisions at the first look.
    began: u32,
}

/// The answer for one incoming write at the first look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// Whether the history, earlier writes of the batch included, holds a write that the incoming one does not cover.
    /// Without a conflict the write is taken as it is; with one, the fold of [`Batch::story`] says what the row becomes.
    pub conflict: bool,
}

impl Batch {
    pub(crate) fn new(index: &Index) -> Self {
        Self { pending: index.overlay(), order: Vec::new(), looked: HashMap::new(), began: 0 }
    }

    /// Begins the next source transaction of the batch, or the part of one that had seen less (tables that its origin had
    /// suspended), or record of repairs, which `repairs` has the places of (as
    /// [`Index::insert`] takes them); resolve its writes in binlog order.
    pub fn transaction(
        &mut self,
        origin: RegionName,
        sequence: Sequence,
        hlc: Hlc,
        context: &Context,
        repairs: &[RepairPlace],
    ) -> Result<BatchTransaction<'_>, Error> {
        let id = WriteId { hlc, origin, sequence, index: 0 };
        let incoming = Incoming::new(&self.pending.regions, &id, context)?;
        let roots = Root::all(&self.pending.regions, repairs)?;
        let number = self.pending.begin(incoming.place.origin, sequence.0, hlc.0, &incoming.seen, &roots)?;
        self.order.push(number);
        Ok(BatchTransaction { batch: self, number, incoming })
    }

    /// [`Batch::look_again`] at every key that the batch writes: those that have an answer, with their answers.
    pub fn look_again_at_all(&mut self, index: &Index) -> Result<Vec<(KeyHash, bool)>, Error> {
        let mut changed: Vec<KeyHash> = Vec::new();
        if self.began != index.last_revision() || !self.has_runs() {
            let pending = &self.pending;
            for slot in &pending.keys {
                let key = pending.nodes[slot.newest].key();
                if self.has_changed(index, key)? {
                    changed.push(key);
                }
            }
            pending.for_each_spilled_key(|key| {
                if pending.slot(key).is_none() && self.has_changed(index, key)? {
                    changed.push(key);
                }
                Ok(())
            })?;
        }
        let mut answers = Vec::with_capacity(changed.len());
        for key in changed {
            answers.extend(self.look_again(index, key)?.map(|answer| (key, answer)));
        }
        Ok(answers)
    }

    /// Whether a write may have joined the history of `key`, which the batch writes, since it looked last.
    fn has_changed(&self, index: &Index, key: KeyHash) -> Result<bool, Error> {
        let revision = index.revision(key)?;
        Ok(match self.looked.get(&key) {
            Some(looked) => *looked != revision,
            // Revisions count up, and no batch lives for two billion of them.
            None => revision != 0 && revision.wrapping_sub(self.began) as i32 > 0,
        })
    }

    fn has_runs(&self) -> bool {
        !self.pending.spill.parts.is_empty()
    }

    fn writes(&self, key: KeyHash) -> Result<bool, Error> {
        Ok(self.pending.slot(key).is_some() || self.pending.is_spilled(key)?)
    }

    /// Looks again at a key whose row is locked by now: `None` if no write has joined its history since the batch looked
    /// last, so that the row stays what it was made; else whether a write of the batch meets one that it does not cover.
    ///
    /// With an answer, the fold of [`Batch::story`] says anew what the row must become. Asked again, it is `None` until
    /// the next change.
    pub fn look_again(&mut self, index: &Index, key: KeyHash) -> Result<Option<bool>, Error> {
        if !self.writes(key)? || !self.has_changed(index, key)? {
            return Ok(None);
        }
        self.looked.insert(key, index.revision(key)?);
        self.conflicts(index, key).map(Some)
    }

    /// Whether a write of the batch to `key` is concurrent with another write, in the index or in the batch.
    pub fn conflicts(&self, index: &Index, key: KeyHash) -> Result<bool, Error> {
        let existing = History::of(index, None, key)?;
        let own = History::of(&self.pending, None, key)?;
        // What is in the index was committed before the batch: none of it covers a write of the batch.
        Ok(own.meets(&existing)? || own.has_concurrent()?)
    }

    /// The history of `key` with the batch's writes in it; `None` if there is none.
    pub fn story(&self, index: &Index, key: KeyHash) -> Result<Option<Story>, Error> {
        History::of(index, Some(&self.pending), key)?.story()
    }

    /// The newest write of `key`, the batch's included, and whether it is the batch's.
    ///
    /// Where the newest decides ([`crate::Policy::newest_decides`]), it spares the story.
    pub fn newest(&self, index: &Index, key: KeyHash) -> Result<Option<(Write, bool)>, Error> {
        History::of(index, Some(&self.pending), key)?.newest()
    }

    /// As [`Batch::commit`], for transactions of which the index has the writes on other tables already.
    pub fn commit_also(&mut self, index: &mut Index) -> Result<(), Error> {
        self.move_into(index, true)
    }

    /// Moves the batch's writes into the index, once the target transaction has committed; the batch is empty afterwards.
    pub fn commit(&mut self, index: &mut Index) -> Result<(), Error> {
        self.move_into(index, false)
    }

    fn move_into(&mut self, index: &mut Index, also: bool) -> Result<(), Error> {
        let mut new = None;
        for number in &self.order {
            let transaction = &self.pending.transactions[*number];
            let &Transaction { origin, sequence, hlc, mut first, .. } = transaction;
            let seen = Seen::from_slice(self.pending.transactions.seen(transaction));
            let roots = self.pending.transactions.roots(*number);
            let nodes = &self.pending.nodes;
            let writes = std::iter::from_fn(|| {
                let node = (first != NONE).then(|| &nodes[first])?;
                first = node.sibling;
                Some((node.key(), node.index, node.is(LIVE)))
            });
            // A transaction may come in parts, which had seen more or less.
            if also || new == Some((origin, sequence)) {
                index.insert_new(origin, sequence, hlc, &seen, roots, writes)?;
            } else if index.insert_seen(origin, sequence, hlc, &seen, roots, writes)? {
                new = Some((origin, sequence));
            }
        }
        if also || new.is_some() {
            let pending = &self.pending.transactions;
            let numbers =
                self.order.iter().map(|number| (pending[*number].origin, pending[*number].sequence));
            index.adopt(std::mem::take(&mut self.pending.spill.parts), numbers);
        }
        self.clear();
        Ok(())
    }

    /// Forgets the batch: its target transaction was rolled back.
    pub fn clear(&mut self) {
        self.pending = self.pending.overlay();
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
    incoming: Incoming,
}

impl BatchTransaction<'_> {
    /// Looks the next write up in the index and in the batch so far, and adds it to the batch.
    pub fn resolve(
        &mut self,
        index: &Index,
        key: KeyHash,
        write: u32,
        live: bool,
    ) -> Result<Resolution, Error> {
        self.incoming.place.index = write;
        // Coverage goes by origin, sequence number and index alone, so the place in the fold order is not needed for it.
        let before = History::of(index, Some(&self.batch.pending), key)?;
        let conflict = before.conflicts(&self.incoming)?;
        let Batch { pending, looked, began, .. } = self.batch;
        if pending.is_empty() {
            *began = index.last_revision();
        }
        if pending.spill.parts.is_empty()
            && let Entry::Vacant(first) = looked.entry(key)
        {
            first.insert(index.revision(key)?);
        }
        pending.add(self.number, key, write, live)?;
        if pending.relieve(Some(self.number))? {
            // One number for all keys is enough: what has joined since the batch began is looked at again.
            *looked = HashMap::new();
            while pending.tidy(usize::MAX)? {}
        }
        Ok(Resolution { conflict })
    }

    /// [`Batch::story`], with what has been resolved so far.
    pub fn story(&self, index: &Index, key: KeyHash) -> Result<Option<Story>, Error> {
        self.batch.story(index, key)
    }

    /// [`Batch::newest`], with what has been resolved so far.
    pub fn newest(&self, index: &Index, key: KeyHash) -> Result<Option<(Write, bool)>, Error> {
        self.batch.newest(index, key)
    }
}
