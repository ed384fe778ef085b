//! What a look at a history yields, as data.

use transaction::WriteId;

use crate::Write;
use crate::history::History;
use crate::policy::Policy;

/// Whether a row is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is there.
    Present,
    /// It is not.
    Absent,
    /// As the before image of the next write says: there for an update or a delete, not there for an insert.
    ///
    /// So it is for every write without a conflict, since its writer had seen all that is here. Of a row without unstable
    /// writes the index knows nothing else.
    Unknown,
}

impl Presence {
    pub(crate) fn of(row: Option<Write>) -> Self {
        match row {
            Some(write) if write.live => Self::Present,
            Some(_) => Self::Absent,
            None => Self::Unknown,
        }
    }

    /// Whether the row of `history` was there before a write, or a batch of them, came.
    ///
    /// Only a conflict needs the fold. Without one the before image is the better witness: a history that a restart
    /// rebuilt may begin with stable writes whose own rivals the logs no longer hold (SEMANTICS.md).
    pub(crate) fn before<P>(conflict: bool, history: &History<'_>, policy: &P) -> Self
    where
        P: Policy<Row = Write> + ?Sized,
    {
        if conflict { Self::of(history.fold(policy)) } else { Self::Unknown }
    }
}

/// Whose image the row takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Winner {
    /// The incoming write's: apply it.
    Incoming,
    /// That of a write which is here already, or came earlier in the same batch: leave the row as it is, but lock it.
    Existing(WriteId),
}

/// The answer for one incoming write, at the moment it joins the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// Whose image the row takes.
    pub winner: Winner,
    /// Whether the history held a write that the incoming one's context does not cover.
    pub conflict: bool,
    /// Whether the row was in the table before this write, earlier writes of the batch counted as applied. Never
    /// [`Presence::Unknown`] where there is a conflict.
    pub row_before: Presence,
}

/// The answer for one key of a batch, after its history was looked at again under the row's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// The write whose after image the row must have when the batch commits; no row if it is not `live`.
    pub taken: Write,
    /// Whether `taken` is one of the batch's own writes. If not, its image is in the log of its origin.
    pub from_batch: bool,
    /// Whether a write of the batch met one that its context does not cover.
    pub conflict: bool,
    /// Whether the row is in the table without this batch. Never [`Presence::Unknown`] where there is a conflict; without one, as
    /// the before image of the batch's first write of this key says.
    pub row_before: Presence,
}
