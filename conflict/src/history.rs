//! The history of one row, read newest first, and told as a story.

use std::sync::Arc;

use smallvec::SmallVec;
use transaction::{Context, Hlc, KeyHash, RepairPlace, Sequence, WriteId};

use crate::index::Index;
use crate::node::{COVERS_ALL, LIVE, Node};
use crate::regions::{OWN_ORDER, Regions, Seen};
use crate::slab::NONE;
use crate::spill::{Entry, SpilledCursor};
use crate::write::{Root, Standing};
use crate::{Chapter, Concurrent, Error, Story, Write};

/// A write that is not in the history.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) place: Standing,
    pub(crate) seen: Seen,
}

impl Incoming {
    /// The first row change of a transaction.
    pub(crate) fn new(regions: &Regions, id: &WriteId, context: &Context) -> Result<Self, Error> {
        let origin = regions.origin(id.origin)?;
        let (sequence, index) = (id.sequence.0, id.index);
        let root = Root { hlc: id.hlc.0, origin, sequence, index, level: 0 };
        Ok(Self { place: Standing { root, origin, sequence, index }, seen: regions.seen(origin, context)? })
    }
}

/// A point in one index's chain of writes: `at` and everything older.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    pub(crate) index: &'a Index,
    pub(crate) at: u32,
}

impl<'a> Cursor<'a> {
    fn node(&self) -> Option<&'a Node> {
        (self.at != NONE).then(|| &self.index.nodes[self.at])
    }

    fn place(&self) -> Option<Standing> {
        self.node().map(|node| self.index.place(node))
    }

    /// Whether a writer at `place`, which had seen `seen`, had seen every write from here down, itself excepted.
    ///
    /// Ends at the first write which is covered and itself covers all before it, since contexts are transitive.
    pub(crate) fn covered_by(mut self, seen: &[u64], place: &Standing) -> bool {
        while let Some(node) = self.node() {
            let other = self.index.place(node);
            if !other.is(place) {
                if !place.covers(seen, &other) {
                    return false;
                }
                if node.is(COVERS_ALL) {
                    return true;
                }
            }
            self.at = node.older;
        }
        true
    }
}

/// The unstable writes of one row, those of a batch that is being applied included where there is one.
#[derive(Debug, Clone)]
pub(crate) struct History<'a> {
    members: Members<'a>,
}

impl<'a> History<'a> {
    pub(crate) fn of(index: &'a Index, pending: Option<&'a Index>, key: KeyHash) -> Result<Self, Error> {
        let mut spilled = index.spilled(key)?;
        let mut chains = [index.chain(key), Cursor { index, at: NONE }];
        if let Some(pending) = pending {
            chains[1] = pending.chain(key);
            for mut cursor in pending.spilled(key)? {
                cursor.from_batch = true;
                spilled.push(cursor);
            }
        } else if !spilled.is_empty() && index.is_settled(chains[0], &spilled)? {
            spilled.clear();
            chains[0].at = NONE;
        }
        Ok(Self { members: Members { chains, spilled } })
    }

    pub(crate) fn members(&self) -> Members<'a> {
        self.members.clone()
    }

    /// The newest write in fold order, and whether it is the batch's.
    pub(crate) fn newest(&self) -> Result<Option<(Write, bool)>, Error> {
        Ok(self.members().next()?.map(|member| (member.write(), member.from_batch)))
    }

    pub(crate) fn conflicts(&self, incoming: &Incoming) -> Result<bool, Error> {
        Ok(!self.members.covered_by(&incoming.seen, &incoming.place, None)?)
    }

    /// Whether a write of `self` is concurrent with one of `existing`, all of which were committed before it.
    pub(crate) fn meets(&self, existing: &History<'_>) -> Result<bool, Error> {
        let mut members = self.members();
        while let Some(member) = members.next()? {
            if !existing.members.covered_by(&member.seen, &member.place, None)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether two of the writes are concurrent with each other. Compares each with each.
    pub(crate) fn has_concurrent(&self) -> Result<bool, Error> {
        let mut members = self.members();
        while let Some(one) = members.next()? {
            let mut others = one.older.clone();
            while let Some(other) = others.next()? {
                if one.is_concurrent(&other) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The history as plain data; `None` if it is empty. See [`Story`] for what is left out.
    pub(crate) fn story(&self) -> Result<Option<Story>, Error> {
        let mut told: Vec<Member<'a>> = Vec::new();
        let mut start = None;
        // Per origin, what all told writes are known to cover that come after the start or are the batch's.
        let mut covered: SmallVec<[u64; 6]> =
            SmallVec::from_elem(u64::MAX, self.members.chains[0].index.regions.len());
        let mut members = self.members();
        while let Some(member) = members.next()? {
            let surely_covered = member.place.sequence <= covered[usize::from(member.place.origin)];
            let covers_all = member.covers_all()?;
            let last_of_batch = member.older.pending_is_over();
            if start.is_some() && !member.from_batch && last_of_batch && surely_covered {
                if covers_all {
                    break;
                }
                continue;
            }
            if start.is_none() && covers_all {
                start = Some(told.len());
            }
            if start.is_none() || member.from_batch {
                for (covered, seen) in covered.iter_mut().zip(&member.seen) {
                    let own = member.place.sequence.saturating_sub(1);
                    *covered = (*covered).min(if *seen == OWN_ORDER { own } else { *seen });
                }
            }
            told.push(member);
            if start == Some(0) && told.len() == 1 && last_of_batch {
                break;
            }
        }
        told.reverse();
        let Some(start) = start.and_then(|start| told.len().checked_sub(1 + start)) else { return Ok(None) };
        let lists = Lists::of(&told);
        let mut writes = Vec::with_capacity(told.len());
        for (at, member) in told.iter().enumerate() {
            let concurrent = lists.concurrent(&told, at)?;
            writes.push(Chapter { write: member.write(), from_batch: member.from_batch, concurrent });
        }
        Ok(Some(Story { writes, start }))
    }
}

/// Places of writes in a story: per region those that are no repairs, ascending by place and by sequence number alike; and
/// those of repairs, which come out of turn.
struct Lists {
    by_origin: SmallVec<[Arc<[usize]>; 4]>,
    repairs: Vec<usize>,
}

impl Lists {
    fn of(told: &[Member<'_>]) -> Self {
        let regions = told.first().map_or(0, |member| member.regions.len());
        let mut by_origin = vec![Vec::new(); regions];
        let mut repairs = Vec::new();
        for (at, member) in told.iter().enumerate() {
            let repair = member.place.root.level > 0;
            let list = if repair { &mut repairs } else { &mut by_origin[usize::from(member.place.origin)] };
            list.push(at);
        }
        Self { by_origin: by_origin.into_iter().map(Arc::from).collect(), repairs }
    }

    /// The writes before the one at `at` that it is concurrent with: those it does not cover, since none of them covers it.
    fn concurrent(&self, told: &[Member<'_>], at: usize) -> Result<Concurrent, Error> {
        let (member, mut concurrent) = (&told[at], Concurrent::default());
        if member.covers_all()? {
            return Ok(concurrent);
        }
        let (place, seen) = (&member.place, &member.seen);
        for list in &self.by_origin {
            // What it covers of one region comes first in the list; what it wrote itself in the same transaction, last.
            let before = list.partition_point(|other| *other < at);
            let own = |other: &usize| {
                (told[*other].place.origin, told[*other].place.sequence) == (place.origin, place.sequence)
            };
            let to = before - list[..before].iter().rev().take_while(|other| own(other)).count();
            let from = list[..to].partition_point(|other| place.covers(seen, &told[*other].place));
            concurrent.push(list, from, to);
        }
        let repairs = self.repairs.iter().take_while(|other| **other < at).copied();
        let repairs: Arc<[usize]> =
            repairs.filter(|other| !place.covers(seen, &told[*other].place)).collect();
        concurrent.push(&repairs, 0, repairs.len());
        Ok(concurrent)
    }
}

/// A write in a history, with the point from which the older ones go on.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    regions: &'a Regions,
    pub(crate) place: Standing,
    hlc: u64,
    live: bool,
    /// What its transaction had seen.
    pub(crate) seen: Seen,
    from_batch: bool,
    /// Whether it covers all before it in its own chain.
    covers_chain: bool,
    pub(crate) chain: Chain,
    older: Members<'a>,
}

/// One of the chains that make up a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    /// In memory: the index's, or the batch's.
    Memory(usize),
    /// In a run, by its place among those of the history.
    Spilled(usize),
}

impl<'a> Member<'a> {
    fn write(&self) -> Write {
        let Standing { root, origin, sequence, index } = self.place;
        let name = |origin| self.regions.name(origin);
        let repair = (root.level > 0).then(|| RepairPlace {
            root: WriteId {
                hlc: Hlc(root.hlc),
                origin: name(root.origin),
                sequence: Sequence(root.sequence),
                index: root.index,
            },
            level: root.level,
        });
        let id = WriteId { hlc: Hlc(self.hlc), origin: name(origin), sequence: Sequence(sequence), index };
        Write { id, live: self.live, repair }
    }

    /// Whether it covers every write before it.
    fn covers_all(&self) -> Result<bool, Error> {
        Ok(self.covers_chain && self.older.covered_by(&self.seen, &self.place, Some(self.chain))?)
    }

    /// As a record of a run that has all of the history's chains in it, from here down.
    pub(crate) fn into_entry(self) -> Result<Entry, Error> {
        let covers = self.covers_all()?;
        let Self { place, hlc, live, seen, .. } = self;
        Ok(Entry { place, hlc, live, covers, seen })
    }

    fn is_concurrent(&self, other: &Member<'a>) -> bool {
        !self.place.is(&other.place)
            && !self.place.covers(&self.seen, &other.place)
            && !other.place.covers(&other.seen, &self.place)
    }
}

/// Chains merged in fold order, newest first: that of the index, that of a batch, and those in runs, which are nearly always
/// none. A write that is in several comes once.
#[derive(Debug, Clone)]
pub(crate) struct Members<'a> {
    pub(crate) chains: [Cursor<'a>; 2],
    pub(crate) spilled: Vec<SpilledCursor<'a>>,
}

impl<'a> Members<'a> {
    fn pending_is_over(&self) -> bool {
        let left = |cursor: &SpilledCursor<'_>| cursor.from_batch && cursor.head.is_some();
        self.chains[1].at == NONE && !self.spilled.iter().any(left)
    }

    /// Whether a writer at `place`, which had seen `seen`, had seen every write from here down in all chains but one.
    pub(crate) fn covered_by(
        &self,
        seen: &[u64],
        place: &Standing,
        but: Option<Chain>,
    ) -> Result<bool, Error> {
        for (at, chain) in self.chains.iter().enumerate() {
            if but != Some(Chain::Memory(at)) && !chain.covered_by(seen, place) {
                return Ok(false);
            }
        }
        for (at, cursor) in self.spilled.iter().enumerate() {
            if but != Some(Chain::Spilled(at)) && !cursor.covered_by(seen, place)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next older write.
    pub(crate) fn next(&mut self) -> Result<Option<Member<'a>>, Error> {
        let places = self.chains.map(|chain| chain.place());
        let in_memory = usize::from(places[1] > places[0]);
        let (mut chain, mut newest) = (Chain::Memory(in_memory), places[in_memory]);
        for (at, cursor) in self.spilled.iter().enumerate() {
            let place = cursor.place();
            if place > newest {
                (chain, newest) = (Chain::Spilled(at), place);
            }
        }
        let Some(place) = newest else { return Ok(None) };
        let mut member = match chain {
            Chain::Memory(at) => {
                let Some(node) = self.chains[at].node() else { return Ok(None) };
                let index = self.chains[at].index;
                let transaction = &index.transactions[node.transaction()];
                let seen = Seen::from_slice(index.transactions.seen(transaction));
                let (live, covers_chain) = (node.is(LIVE), node.is(COVERS_ALL));
                self.member(chain, place, transaction.hlc, live, covers_chain, seen)
            }
            Chain::Spilled(at) => {
                let Some(head) = &self.spilled[at].head else { return Ok(None) };
                let (hlc, live, covers_chain) = (head.hlc, head.live, head.covers);
                let seen = head.seen.clone();
                self.member(chain, place, hlc, live, covers_chain, seen)
            }
        };
        for (at, other) in places.iter().enumerate() {
            if *other == newest
                && let Some(node) = self.chains[at].node()
            {
                member.from_batch |= at == 1;
                self.chains[at].at = node.older;
            }
        }
        for cursor in &mut self.spilled {
            if cursor.place() == newest {
                member.from_batch |= cursor.from_batch;
                cursor.advance()?;
            }
        }
        member.older = self.clone();
        Ok(Some(member))
    }

    fn member(
        &self,
        chain: Chain,
        place: Standing,
        hlc: u64,
        live: bool,
        covers_chain: bool,
        seen: Seen,
    ) -> Member<'a> {
        let regions = &self.chains[0].index.regions;
        let older = Members { chains: self.chains, spilled: Vec::new() };
        Member { regions, place, hlc, live, seen, from_batch: false, covers_chain, chain, older }
    }
}
