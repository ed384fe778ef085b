//! What the simulated regions write, with images, beside the index that knows none.

use std::sync::LazyLock;

use conflict::Write;
use transaction::{Context, Hlc, KeyHash, RegionName, Sequence, WriteId};

pub(crate) const REGIONS_MAX: usize = 5;

/// Per region a sequence number.
pub(crate) type Seen = [u64; REGIONS_MAX];

pub(crate) type Key = u8;

/// A row: two plain columns and a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) a: u64,
    pub(crate) b: u64,
    pub(crate) count: i64,
}

/// One row change with its images and stamps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) hlc: u64,
    pub(crate) origin: usize,
    pub(crate) sequence: u64,
    pub(crate) index: u32,
    pub(crate) seen: Seen,
    pub(crate) key: Key,
    pub(crate) before: Option<Image>,
    pub(crate) after: Option<Image>,
}

impl Change {
    pub(crate) fn order(&self) -> (u64, usize, u64, u32) {
        (self.hlc, self.origin, self.sequence, self.index)
    }

    pub(crate) fn saw(&self, other: &Change) -> bool {
        if self.origin == other.origin {
            (other.sequence, other.index) < (self.sequence, self.index)
        } else {
            other.sequence <= self.seen[other.origin]
        }
    }

    pub(crate) fn concurrent(&self, other: &Change) -> bool {
        !self.saw(other) && !other.saw(self)
    }

    pub(crate) fn is(&self, write: &Write) -> bool {
        // The cheap part first: this is the innermost loop of the oracle.
        (write.id.sequence.0, write.id.index) == (self.sequence, self.index) && write.id == self.id()
    }

    pub(crate) fn id(&self) -> WriteId {
        WriteId {
            hlc: Hlc(self.hlc),
            origin: name(self.origin),
            sequence: Sequence(self.sequence),
            index: self.index,
        }
    }
}

/// A committed transaction.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) hlc: u64,
    pub(crate) origin: usize,
    pub(crate) sequence: u64,
    pub(crate) seen: Seen,
    pub(crate) changes: Vec<Change>,
}

impl Commit {
    pub(crate) fn context(&self) -> Context {
        context(self.origin, &self.seen)
    }

    pub(crate) fn writes(&self) -> impl Iterator<Item = (KeyHash, u32, bool)> + '_ {
        self.changes.iter().map(|change| (hash(change.key), change.index, change.after.is_some()))
    }
}

pub(crate) fn name(region: usize) -> RegionName {
    static NAMES: LazyLock<[RegionName; REGIONS_MAX]> =
        LazyLock::new(|| ["ap", "eu", "sa", "us", "za"].map(|name| name.parse().unwrap()));
    NAMES[region]
}

pub(crate) fn hash(key: Key) -> KeyHash {
    // The keys 2 and 3 agree in the bits by which the table hashes, so that equality is what tells them apart.
    KeyHash(u128::from(key) << 64 | u128::from(key & !1))
}

pub(crate) fn context(region: usize, seen: &Seen) -> Context {
    let others = (0..REGIONS_MAX).filter(|other| *other != region);
    others.map(|other| (name(other), Sequence(seen[other]))).collect()
}
