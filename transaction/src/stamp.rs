//! Numbers and times that stamp transactions, each a type of its own.

use std::fmt;

use crate::RegionName;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Number of a transaction in its origin's log: 1, 2, 3 … without gaps, going on across incarnations. 0 is "none yet".
    Sequence(u64)
}
number! {
    /// Number of any record in a log (transactions, chunks, position records), dense from 1; what the link pulls by. 0 is "none".
    RecordNumber(u64)
}
number! {
    /// How often an origin has begun anew on a primary that did not hold all of its log; starts at 1.
    Incarnation(u32)
}
number! {
    /// Number of the set of members, policies and two-way filters in force; starts at 1.
    Epoch(u32)
}
number! {
    /// Hybrid logical clock: the binlog's immediate commit time in microseconds since 1970, made monotonic and causal.
    Hlc(u64)
}

/// Numbers and times of a record are below it, so that counting on never overflows, and each fits MySQL's BIGINT.
pub const STAMP_END: u64 = i64::MAX as u64;

impl Sequence {
    /// The number after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl RecordNumber {
    /// The number after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Hlc {
    /// The stamp of a local transaction that committed at `commit_us` when `self` was the last HLC seen.
    ///
    /// A fold over the binlog, so reading it again gives the same stamps.
    pub fn tick(self, commit_us: u64) -> Self {
        Self(commit_us.max(self.0.saturating_add(1)))
    }
}

/// Where one write stands: its transaction and its place among that transaction's row changes.
///
/// Together with the HLC this is the fold order: (HLC, origin, sequence number, index).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId {
    /// Stamp of the transaction.
    pub hlc: Hlc,
    /// Where it first committed.
    pub origin: RegionName,
    /// Its number in that origin's log.
    pub sequence: Sequence,
    /// Place of the row change in the transaction, from 0, in binlog order. A primary-key update counts as one.
    pub index: u32,
}

/// Where a repair stands in the fold order: `level` repairs after the write `root`.
///
/// A repair sorts by its root, then its level, then its own origin, sequence number and index. A write that is no repair
/// sorts by itself, at level 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RepairPlace {
    /// The write that the repair follows, by its own stamps. It is no repair, or it stands, with index 0, for the record at whose
    /// coming a row was repaired of which no newer write is known.
    pub root: WriteId,
    /// 1 for a repair that settles `root` itself, one more than theirs for a repair that settles other repairs. 0 for a *merge*, which
    /// brings a row together with what a failover had lost of it: its root is itself, and it is a write like a client's.
    pub level: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_runs_backwards_still_ticks_forward() {
        let last = Hlc(1_000);
        assert_eq!(last.tick(900), Hlc(1_001));
        assert_eq!(last.tick(5_000), Hlc(5_000));
    }
}
