//! What a run may do wrong on purpose: each must be caught by the checks.

/// A deliberate break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The second look does not wait until the extractor has passed the writers of the locked rows.
    NoSecondLook,
    /// Rows that are not there are not locked.
    NoGapLocks,
    /// Repairs do not reach the binlog.
    ForgetRepairs,
    /// After a lost answer to COMMIT, the marker is read without waiting for the transaction in doubt.
    ReadPastMarker,
    /// What a peer claims counts as soon as it is received, and not when what is before it is applied.
    PruneAhead,
    /// After a failover, what the region has claimed counts as held though its server lacks it.
    LostCounts,
    /// A restart does not wait for what its copies have lost.
    ForgottenCopies,
    /// A restart begins with an empty history index.
    ForgetfulRestart,
}
