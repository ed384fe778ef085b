//! The codes of what the log store refuses.

transaction::halt_codes! {
    /// The file system failed.
    LOG_IO = "log-io";
    /// An earlier failure stopped a log.
    LOG_STOPPED = "log-stopped";
    /// Another process holds the data folder.
    LOG_LOCKED = "log-locked";
    /// The data folder belongs to another region or mesh.
    LOG_WRONG_IDENTITY = "log-wrong-identity";
    /// The identity file is absent or cannot be understood.
    LOG_BAD_IDENTITY = "log-bad-identity";
    /// Written by a newer version.
    LOG_NEWER_FORMAT = "log-newer-format";
    /// There is no such log.
    LOG_ABSENT = "log-absent";
    /// A log is damaged.
    LOG_DAMAGED = "log-damaged";
    /// The last record of a log is damaged, and nobody has decided what becomes of it.
    LOG_DAMAGED_LAST = "log-damaged-last";
    /// Two copies of a log hold different records under one number.
    LOG_COPIES_DIFFER = "log-copies-differ";
    /// The copy that a log is mended from ends too early.
    LOG_NO_COPY = "log-no-copy";
    /// Retention has removed what was asked for.
    LOG_REMOVED = "log-removed";
    /// Records that do not follow on the last one.
    LOG_GAP = "log-gap";
    /// A transaction whose number does not follow on the last one.
    LOG_SEQUENCE_GAP = "log-sequence-gap";
    /// Bytes that are no whole, intact records.
    LOG_BAD_RECORD = "log-bad-record";
    /// What is only read was to be written.
    LOG_READ_ONLY = "log-read-only";
    /// A file of the history index is damaged.
    HISTORY_RUN_DAMAGED = "history-run-damaged";
    /// The conflict journal is damaged.
    JOURNAL_DAMAGED = "journal-damaged";
    /// An earlier failure stopped the conflict journal.
    JOURNAL_STOPPED = "journal-stopped";
    /// An entry is too long for the conflict journal.
    JOURNAL_ENTRY_TOO_LONG = "journal-entry-too-long";
}
