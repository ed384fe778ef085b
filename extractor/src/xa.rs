//! XA transactions in two phases: prepared in one group, finished in another, any time later.
//!
//! What is prepared counts for nothing until its XA COMMIT comes: that takes number, stamp and context, and the record has the
//! rows of the prepare. Until then the rows are held here, and the GTID of the prepare is left out of the executed set of position
//! records: so after a restart, or on a new connection, the server sends that group again before what follows.

use std::collections::BTreeMap;
use std::fmt;

use transaction::{Gtid, Halt};

use crate::group::Group;

/// Beyond so many bytes of all prepared transactions in memory, rows go to a [`Spool`].
const MEMORY_MAX: usize = 8 << 20;

/// Holds events beyond what fits in memory. They need not outlive the process.
pub trait Spool {
    /// Adds a part: whole events.
    fn push(&mut self, events: &[u8]) -> Result<(), Halt>;

    /// The parts in order, one a call; `None` after the last.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Halt>;
}

/// A prepared transaction.
pub(crate) struct Prepared {
    pub(crate) gtid: Gtid,
    /// The binlog file that it is in.
    pub(crate) file: String,
    /// How many were prepared before it.
    order: u64,
    pub(crate) checksums: bool,
    /// Whether it changes anything that is to be carried.
    pub(crate) own_rows: bool,
    pub(crate) spool: Option<Box<dyn Spool>>,
    /// What comes after the parts of the spool.
    pub(crate) events: Vec<u8>,
}

/// What is prepared and not finished, by XID.
#[derive(Default)]
pub(crate) struct Pending {
    by_xid: BTreeMap<String, Prepared>,
    put: u64,
}

impl Pending {
    /// Takes a group in that XA PREPARE has ended. A group of the same XID that is here already is the same one, sent again.
    pub(crate) fn put(&mut self, xid: String, group: &mut Group, file: String) {
        self.put += 1;
        let prepared = Prepared {
            gtid: group.gtid,
            file,
            order: self.put,
            checksums: group.checksums,
            own_rows: group.own_rows,
            spool: group.spool.take(),
            events: std::mem::take(&mut group.events),
        };
        self.by_xid.insert(xid, prepared);
    }

    pub(crate) fn take(&mut self, xid: &str) -> Option<Prepared> {
        self.by_xid.remove(xid)
    }

    /// The binlog file of the one that was prepared first.
    pub(crate) fn first_file(&self) -> Option<&str> {
        let first = self.by_xid.values().min_by_key(|prepared| prepared.order);
        first.map(|prepared| prepared.file.as_str())
    }

    /// Whether so many bytes more are too many to be held in memory.
    pub(crate) fn is_full(&self, more: usize) -> bool {
        self.by_xid.values().map(|prepared| prepared.events.len()).sum::<usize>() + more > MEMORY_MAX
    }

    pub(crate) fn clear(&mut self) {
        self.by_xid.clear();
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_xid.keys()).finish()
    }
}
