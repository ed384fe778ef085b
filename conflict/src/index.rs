//! The history index of a region: for every row with unstable writes, those writes in fold order.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashTable;
use transaction::{Context, Hlc, KeyHash, RegionName, RepairPlace, Sequence};

use crate::history::{Cursor, History};
use crate::node::{COVERS_ALL, LIVE, Node};
use crate::regions::{Origin, Regions};
use crate::slab::{NONE, Slab};
use crate::spill::{Runs, Spill, SpillLimits};
use crate::stability::Stability;
use crate::transactions::{Transaction, Transactions};
use crate::write::{Root, Standing};
use crate::{Batch, Error, Story, Write};

/// What the hash table keeps per key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    /// The newest write of the history.
    pub(crate) newest: u32,
    /// Another number after each write that joined the history; never 0.
    pub(crate) revision: u32,
}

/// The unstable writes of all rows. See the crate's text for who feeds it, and SEMANTICS.md for why it may forget.
#[derive(Debug)]
pub struct Index {
    pub(crate) regions: Regions,
    pub(crate) keys: HashTable<Slot>,
    pub(crate) nodes: Slab<Node>,
    pub(crate) transactions: Transactions,
    pub(crate) stability: Stability,
    /// Transactions that are stable and whose keys pruning has yet to look at.
    pub(crate) ready: VecDeque<u32>,
    /// Per origin, everything up to here has been put into `ready`.
    pub(crate) queued: Vec<u64>,
    /// Writes in histories, those in runs excepted.
    pub(crate) writes: usize,
    pub(crate) spill: Spill,
    revision: u32,
}

impl Index {
    /// An empty index for the `regions` of the mesh, kept by the region `own`.
    pub fn new(regions: &[RegionName], own: RegionName) -> Result<Self, Error> {
        Ok(Self::of(Regions::new(regions, own)?))
    }

    fn of(regions: Regions) -> Self {
        let count = regions.len();
        Self {
            regions,
            keys: HashTable::new(),
            nodes: Slab::new(NONE),
            transactions: Transactions::new(count),
            stability: Stability::new(count),
            ready: VecDeque::new(),
            queued: vec![0; count],
            writes: 0,
            spill: Spill::none(count),
            revision: 0,
        }
    }

    /// The index with a place for what outgrows memory; without one, it stays in memory, whatever it needs.
    pub fn spilling(mut self, runs: Arc<dyn Runs>, limits: SpillLimits) -> Self {
        self.spill.runs = Some(runs);
        self.spill.limits = limits;
        self.spill.next_at = limits.bytes;
        self
    }

    /// An empty index for the same mesh, for a batch; a batch that is large goes to runs as well.
    pub(crate) fn overlay(&self) -> Self {
        let mut overlay = Self::of(self.regions.clone());
        let Spill { runs, limits, is_overlay, .. } = &self.spill;
        overlay.spill.runs = runs.clone();
        overlay.spill.limits = *limits;
        if !is_overlay {
            overlay.spill.limits.bytes = limits.bytes / 4;
        }
        overlay.spill.is_overlay = true;
        overlay.spill.next_at = overlay.spill.limits.bytes;
        overlay
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.spill.parts.is_empty()
    }

    /// Adds the writes of one committed transaction: `(key, index, live)` each, all of them in one call.
    ///
    /// Local transactions come from the extractor, applied ones from a committed [`Batch`] or, at a rebuild, from the log. For
    /// a record of repairs, `repairs` has their places, by index of the row change; it is empty for a transaction.
    /// Returns whether it was new: a transaction that is held already, or was held and pruned, changes nothing. A
    /// primary-key update is two writes with one index; if both keys are the same as the server compares them, the row lives.
    pub fn insert(
        &mut self,
        origin: RegionName,
        sequence: Sequence,
        hlc: Hlc,
        context: &Context,
        repairs: &[RepairPlace],
        writes: impl IntoIterator<Item = (KeyHash, u32, bool)>,
    ) -> Result<bool, Error> {
        let origin = self.regions.origin(origin)?;
        let seen = self.regions.seen(origin, context)?;
        let roots = Root::all(&self.regions, repairs)?;
        self.insert_seen(origin, sequence.0, hlc.0, &seen, &roots, writes)
    }

    /// Adds further writes of a transaction that [`Index::insert`] has just found new: on tables that its origin had
    /// suspended, of which it had seen less, as `context` says.
    pub fn insert_also(
        &mut self,
        origin: RegionName,
        sequence: Sequence,
        hlc: Hlc,
        context: &Context,
        repairs: &[RepairPlace],
        writes: impl IntoIterator<Item = (KeyHash, u32, bool)>,
    ) -> Result<(), Error> {
        let origin = self.regions.origin(origin)?;
        let seen = self.regions.seen(origin, context)?;
        let roots = Root::all(&self.regions, repairs)?;
        self.insert_new(origin, sequence.0, hlc.0, &seen, &roots, writes)
    }

    pub(crate) fn insert_seen(
        &mut self,
        origin: Origin,
        sequence: u64,
        hlc: u64,
        seen: &[u64],
        roots: &[Root],
        writes: impl IntoIterator<Item = (KeyHash, u32, bool)>,
    ) -> Result<bool, Error> {
        if self.knows(origin, sequence) {
            return Ok(false);
        }
        self.insert_new(origin, sequence, hlc, seen, roots, writes)?;
        Ok(true)
    }

    /// [`Index::insert_seen`] of a transaction, or a part of one, that is new.
    pub(crate) fn insert_new(
        &mut self,
        origin: Origin,
        sequence: u64,
        hlc: u64,
        seen: &[u64],
        roots: &[Root],
        writes: impl IntoIterator<Item = (KeyHash, u32, bool)>,
    ) -> Result<(), Error> {
        self.spill.check()?;
        let mut writes = writes.into_iter().peekable();
        if writes.peek().is_none() {
            return Ok(());
        }
        let transaction = self.begin(origin, sequence, hlc, seen, roots)?;
        for (key, index, live) in writes {
            self.add(transaction, key, index, live)?;
            self.relieve(Some(transaction))?;
        }
        Ok(())
    }

    /// Whether the transaction is held, or was held and has become dispensable.
    fn knows(&self, origin: Origin, sequence: u64) -> bool {
        self.transactions.knows(origin, sequence) || self.spill.known[usize::from(origin)].contains(sequence)
    }

    /// Registers a transaction that is not known; its writes follow by [`Index::add`].
    pub(crate) fn begin(
        &mut self,
        origin: Origin,
        sequence: u64,
        hlc: u64,
        seen: &[u64],
        roots: &[Root],
    ) -> Result<u32, Error> {
        let transaction = self.transactions.insert(origin, sequence, hlc, seen, roots)?;
        if sequence <= self.queued[usize::from(origin)] {
            self.ready.push_back(transaction);
        }
        Ok(transaction)
    }

    /// Adds one write of a registered transaction at its place in the history of `key`.
    pub(crate) fn add(
        &mut self,
        transaction: u32,
        key: KeyHash,
        index: u32,
        live: bool,
    ) -> Result<(), Error> {
        let &Transaction { origin, sequence, first: sibling, repairs, .. } = &self.transactions[transaction];
        if repairs && self.transactions.roots(transaction).len() <= index as usize {
            let origin = self.regions.name(origin);
            return Err(Error::NoPlace { origin, sequence: Sequence(sequence), index });
        }
        let flags = if live { LIVE } else { 0 };
        let node = Node::new(key, index, transaction, sibling, flags);
        let place = self.place(&node);

        // The neighbours: `newer` is the oldest write after the new one, `older` the newest before it.
        let newest = self.newest_node(key);
        let (mut newer, mut older) = (NONE, newest);
        while older != NONE && self.place(&self.nodes[older]) > place {
            (newer, older) = (older, self.nodes[older].older);
        }
        if older != NONE && self.place(&self.nodes[older]) == place {
            if live {
                self.nodes[older].mark(LIVE);
            }
            return Ok(());
        }

        let count = self.nodes.len();
        let number = self.nodes.insert(node).ok_or(Error::Full { what: "writes", count })?;
        let covers_all = self.cursor(older).covered_by(self.seen(&node), &place);
        if covers_all {
            self.nodes[number].mark(COVERS_ALL);
        }
        self.unmark_uncovering(newest, newer, &place);
        self.link(number, newest, newer, older);
        let transaction = &mut self.transactions[transaction];
        transaction.first = number;
        transaction.left += 1;
        self.writes += 1;
        Ok(())
    }

    /// Of the writes from `newest` down to `oldest`, marks those that do not cover `place`, which comes before them all.
    fn unmark_uncovering(&mut self, newest: u32, oldest: u32, place: &Standing) {
        let mut at = if oldest == NONE { NONE } else { newest };
        while at != NONE {
            let node = self.nodes[at];
            if node.is(COVERS_ALL) && !self.place(&node).covers(self.seen(&node), place) {
                self.nodes[at].clear(COVERS_ALL);
            }
            at = if at == oldest { NONE } else { node.older };
        }
    }

    /// Links a node into the ring of its history, between its neighbours.
    fn link(&mut self, number: u32, newest: u32, newer: u32, older: u32) {
        let key = self.nodes[number].key();
        let revision = self.next_revision();
        let head = if newer == NONE { number } else { newest };
        let oldest = match (newest, older) {
            (NONE, _) | (_, NONE) => number,
            _ => self.nodes[newest].newer,
        };
        self.nodes[number].older = older;
        self.nodes[number].newer = newer;
        if older != NONE {
            self.nodes[older].newer = number;
        }
        if newer != NONE {
            self.nodes[newer].older = number;
        }
        self.nodes[head].newer = oldest;
        let nodes = &self.nodes;
        if newest == NONE {
            let slot = Slot { newest: number, revision };
            self.keys.insert_unique(hash(key), slot, |slot| hash(nodes[slot.newest].key()));
        } else if let Some(slot) = self.keys.find_mut(hash(key), |slot| slot.newest == newest) {
            *slot = Slot { newest: head, revision };
        }
    }

    /// The last number that any key was given.
    pub(crate) fn last_revision(&self) -> u32 {
        self.revision
    }

    pub(crate) fn next_revision(&mut self) -> u32 {
        self.revision = self.revision.wrapping_add(1).max(1);
        self.revision
    }

    /// Another number after each write that joined the history of `key`; 0 if it has none.
    ///
    /// Of a history that only runs hold, it is not known when a write joined last: it was before the last move to a run.
    pub(crate) fn revision(&self, key: KeyHash) -> Result<u32, Error> {
        match self.slot(key) {
            // A batch may have brought its runs while newer and older writes are in memory.
            Some(slot)
                if self.spill.adopted.wrapping_sub(slot.revision) as i32 > 0 && self.is_spilled(key)? =>
            {
                Ok(self.spill.adopted)
            }
            Some(slot) => Ok(slot.revision),
            None if self.is_spilled(key)? => Ok(self.spill.revision),
            None => Ok(0),
        }
    }

    pub(crate) fn slot(&self, key: KeyHash) -> Option<Slot> {
        self.keys.find(hash(key), |slot| self.nodes[slot.newest].key() == key).copied()
    }

    fn newest_node(&self, key: KeyHash) -> u32 {
        self.slot(key).map_or(NONE, |slot| slot.newest)
    }

    pub(crate) fn place(&self, node: &Node) -> Standing {
        let number = node.transaction();
        let &Transaction { hlc, origin, sequence, repairs, .. } = &self.transactions[number];
        let index = node.index;
        let mut root = Root { hlc, origin, sequence, index, level: 0 };
        if repairs && let Some(place) = self.transactions.roots(number).get(index as usize) {
            root = *place;
        }
        Standing { root, origin, sequence, index }
    }

    pub(crate) fn seen(&self, node: &Node) -> &[u64] {
        self.transactions.seen(&self.transactions[node.transaction()])
    }

    pub(crate) fn cursor(&self, at: u32) -> Cursor<'_> {
        Cursor { index: self, at }
    }

    pub(crate) fn chain(&self, key: KeyHash) -> Cursor<'_> {
        self.cursor(self.newest_node(key))
    }

    /// The newest write of `key`, if it has unstable ones.
    pub fn newest(&self, key: KeyHash) -> Result<Option<Write>, Error> {
        let newest = History::of(self, None, key)?.newest()?;
        Ok(newest.map(|(write, _)| write))
    }

    /// The history of `key`, without any batch's writes; `None` if it has no unstable write.
    pub fn story(&self, key: KeyHash) -> Result<Option<Story>, Error> {
        History::of(self, None, key)?.story()
    }

    /// An empty batch: writes that are being applied and have not committed yet.
    pub fn batch(&self) -> Batch {
        Batch::new(self)
    }

    /// Takes in what `region` says it has committed: `context`, and of its own log everything up to `own_last`.
    ///
    /// Call it for the region's own extractor, and for a peer only with the context of a transaction that is applied here and
    /// inserted, or of a position record all of whose predecessors are. Anything read ahead of that would prune writes
    /// that a transaction not yet applied may still be concurrent with.
    pub fn observe(
        &mut self,
        region: RegionName,
        context: &Context,
        own_last: Sequence,
    ) -> Result<(), Error> {
        let region = self.regions.origin(region)?;
        let seen = self.regions.seen(region, context)?;
        self.stability.observe(region, &seen, own_last.0);
        Ok(())
    }

    /// `region` is lost: from now on nothing waits for it to have seen anything.
    ///
    /// Only once all that any region will ever apply of its log is applied here (SEMANTICS.md, "A lost region").
    pub fn leave_out(&mut self, region: RegionName) -> Result<(), Error> {
        self.stability.leave_out(self.regions.origin(region)?);
        Ok(())
    }

    /// Whether every region is known to have transaction `sequence` of `origin`: nothing to come can be concurrent with it.
    pub fn is_stable(&self, origin: RegionName, sequence: Sequence) -> Result<bool, Error> {
        Ok(self.stable(origin)? >= sequence)
    }

    /// The highest stable sequence number of `origin`.
    pub fn stable(&self, origin: RegionName) -> Result<Sequence, Error> {
        Ok(Sequence(self.stability.stable(self.regions.origin(origin)?)))
    }
}

/// A key is a good hash already; the table takes 64 bits of it.
pub(crate) fn hash(key: KeyHash) -> u64 {
    key.0 as u64
}

#[cfg(test)]
mod tests;
