//! The codes of the applier's halts, and which of them an error of the pure crates has.

use conflict::FoldError;
use transaction::binlog::EventError;
use transaction::key::KeyError;
use transaction::record::RecordError;
use transaction::{Halt, HaltCode};

transaction::halt_codes! {
    /// A schema change that is not to be run by itself, or not as it stands.
    DDL_NOT_CARRIED = "ddl-not-carried";
    /// A schema change of another region fails at this region's MySQL.
    DDL_FAILED = "ddl-failed";
    /// Two rows cannot both be there, and that is not settled by itself.
    CONSTRAINT_CLASH = "constraint-clash";
    /// A row breaks a CHECK constraint that its origin does not have.
    CHECK_VIOLATED = "check-violated";
    /// Rows do not fit the table as it is here.
    TABLE_UNFIT = "table-unfit";
    /// `[[region.filter]]` does not fit a table.
    FILTER_UNFIT = "filter-unfit";
    /// The account may not do what is to be done.
    TARGET_MISSING_PRIVILEGE = "target-missing-privilege";
    /// MySQL has no room left.
    TARGET_DISK_FULL = "target-disk-full";
    /// MySQL refuses something, for a reason that is not known here.
    TARGET_ERROR = "target-error";
    /// A row stays other than its history says, however often it is tried.
    ROW_DIFFERS = "row-differs";
    /// Another process has taken the markers over.
    FENCED = "fenced";
    /// Schema `concord` lacks the marker of an origin.
    MARKER_MISSING = "marker-missing";
    /// The copy of a log begins after what is to be applied next.
    LOG_BEGINS_LATE = "log-begins-late";
    /// A log lacks a part of a transaction, or holds something else in its place.
    LOG_INCOMPLETE = "log-incomplete";
    /// A record of a kind that this version does not apply.
    RECORD_UNKNOWN = "record-unknown";
    /// A row, or a binlog event in a log, cannot be read.
    ROW_UNREADABLE = "row-unreadable";
    /// A log has records of a region that is not in `[mesh]`.
    REGION_UNKNOWN = "region-unknown";
    /// The history index cannot hold more.
    HISTORY_INDEX_FULL = "history-index-full";
    /// A file of the history index cannot be written or read.
    HISTORY_RUN_DAMAGED = "history-run-damaged";
    /// What cannot be, unless Concord has a bug.
    INTERNAL_ERROR = "internal-error";
}

/// What the history index refuses.
pub fn of_history(error: conflict::Error) -> Halt {
    use conflict::Error::{Full, NoPlace, RepeatedRegion, Run, TooManyRegions, UnknownRegion};
    let code = match &error {
        UnknownRegion { .. } | RepeatedRegion { .. } | TooManyRegions { .. } => REGION_UNKNOWN,
        NoPlace { .. } => LOG_INCOMPLETE,
        Full { .. } => HISTORY_INDEX_FULL,
        Run { .. } => HISTORY_RUN_DAMAGED,
    };
    code.halt(error)
}

/// A record that does not decode.
pub fn of_record(error: RecordError) -> Halt {
    let code = match &error {
        RecordError::UnknownKind { .. } => RECORD_UNKNOWN,
        _ => LOG_INCOMPLETE,
    };
    code.halt(error)
}

/// An event or a row image that cannot be read.
pub fn of_event(error: EventError) -> Halt {
    of_key(error.into())
}

/// A row whose key cannot be told.
pub fn of_key(error: KeyError) -> Halt {
    for_key(&error).halt(error)
}

pub(crate) fn for_key(error: &KeyError) -> HaltCode {
    match error {
        KeyError::Event(EventError::Filter { .. }) => FILTER_UNFIT,
        error if error.is_of_table() => TABLE_UNFIT,
        _ => ROW_UNREADABLE,
    }
}

/// A history that cannot be folded.
pub(crate) fn of_fold(error: FoldError) -> Halt {
    let code = match &error {
        FoldError::NoImage { .. } => LOG_INCOMPLETE,
        FoldError::Image { .. } => ROW_UNREADABLE,
        FoldError::Empty => INTERNAL_ERROR,
    };
    code.halt(error)
}
