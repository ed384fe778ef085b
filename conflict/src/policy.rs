//! The rules by which a history becomes a row.
//!
//! # How a policy is added
//!
//! One file below `policy/` with one type that implements [`Policy`], and one line here.
//!
//! - `Row` is whatever stands for the row during the fold. A policy that only ever takes one write's image whole (last writer, an
//!   owner region, deletes first) uses `Row =` [`Write`]: such policies need no images, and [`crate::Batch`] resolves by them.
//!   A policy that merges carries a row of values, and a way to read images by [`Write::id`] in `self`; it is
//!   asked only where there is a real conflict, since the fold starts at the last write that is taken as it is.
//! - [`Policy::step`] decides from its arguments alone: the row so far, the next write, and the writes before it that are concurrent
//!   with it. It may not look at a clock, at the order of arrival, or at which region it runs in; the images of a write are the
//!   same everywhere, so they may be read. It is not shown the rest of the history on purpose: how much of that is still
//!   there depends on how far this region has pruned.
//! - A write that is concurrent with nothing before it never reaches `step`: the fold takes it as it is. So a
//!   policy cannot break the second law of SEMANTICS.md, and the first is the purity above.
//! - [`Policy::decides`] is an optimisation that must agree with `step`; leave it out when in doubt.

mod last_writer_wins;

pub use last_writer_wins::LastWriterWins;

use crate::Write;
use crate::history::Concurrent;

/// A step function over a history in fold order. See the module's text for its obligations.
pub trait Policy {
    /// What stands for the row during the fold.
    type Row;

    /// The row as `next` left it where it was written.
    fn take(&self, next: &Write) -> Self::Row;

    /// The row after `next`, which is concurrent with at least one write before it.
    ///
    /// `concurrent` yields those writes, newest first.
    fn step(&self, row: Self::Row, next: &Write, concurrent: Concurrent<'_>) -> Self::Row;

    /// Whether `step` would take `next` as it is, whatever came before it. The fold may then start there.
    fn decides(&self, next: &Write) -> bool {
        let _ = next;
        false
    }
}
