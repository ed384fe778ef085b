//! What the simulated regions write.

use std::sync::{Arc, LazyLock};

use conflict::{Image, Images};
use transaction::{Context, Hlc, KeyHash, RegionName, RepairPlace, Sequence, WriteId};

use super::row::Row;

pub(crate) const REGIONS_MAX: usize = 5;

/// Per region a sequence number.
pub(crate) type Seen = [u64; REGIONS_MAX];

pub(crate) type Key = u8;

/// One row change with its images and stamps.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) hlc: u64,
    pub(crate) origin: usize,
    pub(crate) sequence: u64,
    pub(crate) index: u32,
    pub(crate) seen: Seen,
    pub(crate) key: Key,
    pub(crate) before: Option<Row>,
    pub(crate) after: Option<Row>,
    pub(crate) images: [Option<Arc<Image>>; 2],
    pub(crate) repair: Option<RepairPlace>,
}

/// Where a change stands in the fold order, spelled out anew for the oracle.
pub(crate) type Order = (u64, RegionName, u64, u32, u8, usize, u64, u32);

impl Change {
    pub(crate) fn with(&self, index: u32, key: Key, before: Option<Row>, after: Option<Row>) -> Self {
        let images = [before, after].map(|row| row.map(|row| row.image()));
        Self { index, key, before, after, images, ..self.clone() }
    }

    pub(crate) fn order(&self) -> Order {
        let (root, level) = match self.repair {
            Some(RepairPlace { root, level }) => (root, level),
            None => (self.id(), 0),
        };
        let own = (self.origin, self.sequence, self.index);
        (root.hlc.0, root.origin, root.sequence.0, root.index, level, own.0, own.1, own.2)
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

    pub(crate) fn is(&self, id: &WriteId) -> bool {
        // The cheap part first: this is the innermost loop.
        (id.sequence.0, id.index) == (self.sequence, self.index) && id.origin == name(self.origin)
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

/// The changes of one key, as far as the logs still hold them.
pub(crate) struct Held<'a> {
    pub(crate) changes: &'a [&'a Change],
    /// The first sequence number that each log still holds.
    pub(crate) kept_from: Seen,
}

impl<'a> Held<'a> {
    pub(crate) fn find(&self, id: &WriteId) -> &'a Change {
        let change = self.changes.iter().find(|change| change.is(id)).unwrap();
        assert!(
            change.sequence >= self.kept_from[change.origin],
            "an image was deleted that is still needed"
        );
        change
    }
}

impl Images for Held<'_> {
    fn before(&self, write: &WriteId) -> Option<&Image> {
        self.find(write).images[0].as_deref()
    }

    fn after(&self, write: &WriteId) -> Option<&Image> {
        self.find(write).images[1].as_deref()
    }
}

/// A committed transaction, or a record of repairs.
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

    pub(crate) fn repairs(&self) -> Vec<RepairPlace> {
        self.changes.iter().filter_map(|change| change.repair).collect()
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
