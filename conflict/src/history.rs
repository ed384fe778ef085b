//! The history of one row, read newest first, and told as a story.

use smallvec::SmallVec;
use transaction::{Context, Hlc, RepairPlace, Sequence, WriteId};

use crate::index::Index;
use crate::node::{COVERS_ALL, LIVE, Node};
use crate::regions::{OWN_ORDER, Regions, Seen};
use crate::slab::NONE;
use crate::write::{Root, Standing};
use crate::{Chapter, Error, Story, Write};

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
    pub(crate) fn of(chain: Cursor<'a>, pending: Option<Cursor<'a>>) -> Self {
        let pending = pending.unwrap_or(Cursor { index: chain.index, at: NONE });
        Self { members: Members { chains: [chain, pending] } }
    }

    /// The newest write in fold order, and whether it is the batch's.
    pub(crate) fn newest(&self) -> Option<(Write, bool)> {
        self.members.clone().next().map(|member| (member.write(), member.from_batch))
    }

    /// The writes, each as it would arrive.
    pub(crate) fn incoming(&self) -> impl Iterator<Item = Incoming> + 'a {
        self.members
            .clone()
            .map(|member| Incoming { place: member.place, seen: Seen::from_slice(member.seen()) })
    }

    pub(crate) fn conflicts(&self, incoming: &Incoming) -> bool {
        self.members.chains.iter().any(|chain| !chain.covered_by(&incoming.seen, &incoming.place))
    }

    /// Whether two of the writes are concurrent with each other. Compares each with each.
    pub(crate) fn has_concurrent(&self) -> bool {
        let members = self.members.clone();
        members.clone().any(|one| members.clone().any(|other| one.is_concurrent(&other)))
    }

    /// The history as plain data; `None` if it is empty. See [`Story`] for what is left out.
    pub(crate) fn story(&self) -> Option<Story> {
        let mut told: Vec<Member<'a>> = Vec::new();
        let mut start = None;
        // Per origin, what all told writes are known to cover that come after the start or are the batch's.
        let mut covered: SmallVec<[u64; 6]> =
            SmallVec::from_elem(u64::MAX, self.members.chains[0].index.regions.len());
        for member in self.members.clone() {
            let surely_covered = member.place.sequence <= covered[usize::from(member.place.origin)];
            let covers_all = member.covers_all();
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
                for (covered, seen) in covered.iter_mut().zip(member.seen()) {
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
        let start = told.len().checked_sub(1 + start?)?;
        let chapters = told.iter().enumerate().map(|(at, member)| Chapter {
            write: member.write(),
            from_batch: member.from_batch,
            concurrent: member.concurrent_among(&told[..at]),
        });
        Some(Story { writes: chapters.collect(), start })
    }
}

/// A write in a history, with the point from which the older ones go on.
#[derive(Debug, Clone)]
struct Member<'a> {
    index: &'a Index,
    node: &'a Node,
    place: Standing,
    from_batch: bool,
    /// Whether it covers all before it in its own chain.
    covers_chain: bool,
    older: Members<'a>,
    /// Which of the two chains it is not in.
    other: usize,
}

impl<'a> Member<'a> {
    fn write(&self) -> Write {
        let Standing { root, origin, sequence, index } = self.place;
        let name = |origin| self.index.regions.name(origin);
        let (origin, sequence) = (name(origin), Sequence(sequence));
        let hlc = Hlc(self.index.transactions[self.node.transaction()].hlc);
        let repair = (root.level > 0).then(|| RepairPlace {
            root: WriteId {
                hlc: Hlc(root.hlc),
                origin: name(root.origin),
                sequence: Sequence(root.sequence),
                index: root.index,
            },
            level: root.level,
        });
        Write { id: WriteId { hlc, origin, sequence, index }, live: self.node.is(LIVE), repair }
    }

    fn seen(&self) -> &'a [u64] {
        self.index.seen(self.node)
    }

    /// Whether it covers every write before it.
    fn covers_all(&self) -> bool {
        self.covers_chain && self.older.chains[self.other].covered_by(self.seen(), &self.place)
    }

    /// Which of `earlier`, sorted in fold order, it is concurrent with.
    fn concurrent_among(&self, earlier: &[Member<'a>]) -> Vec<usize> {
        if self.covers_all() {
            return Vec::new();
        }
        (0..earlier.len()).filter(|at| self.is_concurrent(&earlier[*at])).collect()
    }

    fn is_concurrent(&self, other: &Member<'a>) -> bool {
        !self.place.is(&other.place)
            && !self.place.covers(self.seen(), &other.place)
            && !other.place.covers(other.seen(), &self.place)
    }
}

/// Two chains merged in fold order, newest first: that of the index, and that of a batch. A write that is in both comes once.
#[derive(Debug, Clone)]
struct Members<'a> {
    chains: [Cursor<'a>; 2],
}

impl Members<'_> {
    fn pending_is_over(&self) -> bool {
        self.chains[1].at == NONE
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let places = self.chains.map(|chain| chain.place());
        let from = usize::from(places[1] > places[0]);
        let (place, node) = (places[from]?, self.chains[from].node()?);
        let mut from_batch = from == 1;
        self.chains[from].at = node.older;
        if places[0] == places[1]
            && let Some(twin) = self.chains[1].node()
        {
            self.chains[1].at = twin.older;
            from_batch = true;
        }
        let index = self.chains[from].index;
        let covers_chain = node.is(COVERS_ALL);
        let older = self.clone();
        Some(Member { index, node, place, from_batch, covers_chain, older, other: 1 - from })
    }
}
