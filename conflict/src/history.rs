//! The history of one row, read in fold order, and its fold.

use smallvec::SmallVec;
use transaction::{Context, Hlc, Sequence, WriteId};

use crate::index::Index;
use crate::node::{COVERS_ALL, LIVE, Node};
use crate::policy::Policy;
use crate::regions::{Regions, Seen};
use crate::slab::NONE;
use crate::write::Place;
use crate::{Error, Write};

/// A write that is not in the history.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) place: Place,
    pub(crate) seen: Seen,
}

impl Incoming {
    pub(crate) fn new(regions: &Regions, id: &WriteId, context: &Context) -> Result<Self, Error> {
        let origin = regions.origin(id.origin)?;
        let place = Place { hlc: id.hlc.0, origin, sequence: id.sequence.0, index: id.index };
        Ok(Self { place, seen: regions.seen(origin, context)? })
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

    fn place(&self) -> Option<Place> {
        self.node().map(|node| self.index.place(node))
    }

    /// Whether a writer at `place`, which had seen `seen`, had seen every write from here down, itself excepted.
    ///
    /// Ends at the first write which is covered and itself covers all before it, since contexts are transitive.
    pub(crate) fn covered_by(mut self, seen: &[u64], place: &Place) -> bool {
        while let Some(node) = self.node() {
            let other = self.index.place(node);
            if other != *place {
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
pub struct History<'a> {
    members: Members<'a>,
}

impl<'a> History<'a> {
    pub(crate) fn of(chain: Cursor<'a>, pending: Option<Cursor<'a>>) -> Self {
        let pending = pending.unwrap_or(Cursor { index: chain.index, at: NONE });
        Self { members: Members { chains: [chain, pending] } }
    }

    /// Whether there is no unstable write.
    pub fn is_empty(&self) -> bool {
        self.newest().is_none()
    }

    /// The newest write in fold order.
    pub fn newest(&self) -> Option<Write> {
        self.members.clone().next().map(|member| member.write())
    }

    /// All writes, newest first.
    pub fn writes(&self) -> impl Iterator<Item = Write> + 'a {
        self.members.clone().map(|member| member.write())
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

    pub(crate) fn concurrent(&self, incoming: Option<&'a Incoming>) -> Concurrent<'a> {
        match incoming {
            Some(incoming) => {
                Concurrent { members: self.members.clone(), place: incoming.place, seen: &incoming.seen }
            }
            None => Concurrent { members: Members::ended(&self.members), place: Place::FIRST, seen: &[] },
        }
    }

    /// The row that this history makes, or `None` if it is empty.
    ///
    /// Starts at the last write that is taken as it is whatever came before, which for most rows is the newest.
    pub fn fold<P: Policy + ?Sized>(&self, policy: &P) -> Option<P::Row> {
        let mut later: SmallVec<[Member<'a>; 2]> = SmallVec::new();
        for member in self.members.clone() {
            if !policy.decides(&member.write()) && !member.covers_all() {
                later.push(member);
                continue;
            }
            let mut row = policy.take(&member.write());
            while let Some(member) = later.pop() {
                let concurrent = member.concurrent();
                row = if concurrent.clone().next().is_none() {
                    policy.take(&member.write())
                } else {
                    policy.step(row, &member.write(), concurrent)
                };
            }
            return Some(row);
        }
        // Not reached with a write left over: the oldest has nothing before it, so it covers all of that.
        None
    }
}

/// Writes that are concurrent with one write, newest first.
#[derive(Debug, Clone)]
pub struct Concurrent<'a> {
    members: Members<'a>,
    place: Place,
    seen: &'a [u64],
}

impl Iterator for Concurrent<'_> {
    type Item = Write;

    fn next(&mut self) -> Option<Write> {
        let (place, seen) = (self.place, self.seen);
        self.members
            .find(|other| {
                other.place != place
                    && !place.covers(seen, &other.place)
                    && !other.place.covers(other.seen(), &place)
            })
            .map(|member| member.write())
    }
}

/// A write in a history, with the point from which the older ones go on.
#[derive(Debug, Clone)]
struct Member<'a> {
    index: &'a Index,
    node: &'a Node,
    place: Place,
    /// Whether it covers all before it in its own chain.
    covers_chain: bool,
    older: Members<'a>,
    /// Which of the two chains it is not in.
    other: usize,
}

impl<'a> Member<'a> {
    fn write(&self) -> Write {
        let Place { hlc, origin, sequence, index } = self.place;
        let origin = self.index.regions.name(origin);
        let id = WriteId { hlc: Hlc(hlc), origin, sequence: Sequence(sequence), index };
        Write { id, live: self.node.is(LIVE) }
    }

    fn seen(&self) -> &'a [u64] {
        self.index.seen(self.node)
    }

    /// Whether it covers every write before it.
    fn covers_all(&self) -> bool {
        self.covers_chain && self.older.chains[self.other].covered_by(self.seen(), &self.place)
    }

    fn concurrent(&self) -> Concurrent<'a> {
        Concurrent { members: self.older.clone(), place: self.place, seen: self.seen() }
    }
}

/// Two chains merged in fold order, newest first. A write that is in both comes once.
#[derive(Debug, Clone)]
struct Members<'a> {
    chains: [Cursor<'a>; 2],
}

impl<'a> Members<'a> {
    fn ended(like: &Self) -> Self {
        let end = Cursor { index: like.chains[0].index, at: NONE };
        Self { chains: [end, end] }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let places = self.chains.map(|chain| chain.place());
        let from = usize::from(places[1] > places[0]);
        let (place, node) = (places[from]?, self.chains[from].node()?);
        self.chains[from].at = node.older;
        if places[0] == places[1]
            && let Some(twin) = self.chains[1].node()
        {
            self.chains[1].at = twin.older;
        }
        let index = self.chains[from].index;
        let covers_chain = node.is(COVERS_ALL);
        Some(Member { index, node, place, covers_chain, older: self.clone(), other: 1 - from })
    }
}
