//! The codes of the extractor's halts.

use transaction::HaltCode;
use transaction::binlog::EventError;

transaction::halt_codes! {
    /// MySQL does not let the account in.
    MYSQL_ACCESS_DENIED = "mysql-access-denied";
    /// The account may not read the binlog.
    MYSQL_MISSING_PRIVILEGE = "mysql-missing-privilege";
    /// TLS with MySQL cannot be set up as configured.
    MYSQL_TLS = "mysql-tls";
    /// The account uses an authentication method that is not spoken here.
    MYSQL_AUTHENTICATION = "mysql-authentication";
    /// A key of `[region.mysql]` cannot work.
    MYSQL_OPTION = "mysql-option";
    /// What answers does not speak MySQL's protocol.
    MYSQL_PROTOCOL = "mysql-protocol";
    /// An error of MySQL that is not known here.
    MYSQL_ERROR = "mysql-error";
    /// The server is none that can be read from.
    UNSUPPORTED_SERVER = "unsupported-server";
    /// The server writes no binlog.
    BINLOG_DISABLED = "binlog-disabled";
    /// The server gives no GTIDs.
    GTID_MODE_OFF = "gtid-mode-off";
    /// Another reader has the same server id or UUID.
    DUPLICATE_SERVER_ID = "duplicate-server-id";
    /// An event is longer than the server may send.
    MAX_ALLOWED_PACKET = "max-allowed-packet";
    /// A transaction was written without a GTID.
    TRANSACTION_WITHOUT_GTID = "transaction-without-gtid";
    /// The server refuses to send its binlog, for a reason that is not known here.
    SOURCE_REFUSED_DUMP = "source-refused-dump";
    /// The server has deleted binlogs that were not read yet.
    SOURCE_PURGED_BINLOGS = "source-purged-binlogs";
    /// The server lacks transactions that were read from it.
    SOURCE_LOST_TRANSACTIONS = "source-lost-transactions";
    /// The server's history is not the one that the log was made from.
    BINLOG_HISTORY_DIFFERS = "binlog-history-differs";
    /// The binlog is not what the server wrote there.
    BINLOG_DAMAGED = "binlog-damaged";
    /// A session wrote statements instead of rows.
    STATEMENT_FORMAT_DML = "statement-format-dml";
    /// A session wrote rows without all of their columns.
    PARTIAL_ROW_IMAGE = "partial-row-image";
    /// A partial JSON update cannot be made whole.
    PARTIAL_JSON_UPDATE = "partial-json-update";
    /// Table maps came without names of columns.
    MINIMAL_ROW_METADATA = "minimal-row-metadata";
    /// A client wrote where `[mesh]` allows no writes.
    LOCAL_WRITE_FORBIDDEN = "local-write-forbidden";
    /// Someone used the name of an origin as GTID tag.
    ORIGIN_TAG_MISUSED = "origin-tag-misused";
    /// Someone else wrote to schema `concord`.
    OWN_SCHEMA_WRITTEN = "own-schema-written";
    /// Applied work changed other rows than were sent.
    ROW_COUNT_DIFFERS = "row-count-differs";
    /// An XA transaction was prepared before the region began.
    XA_PREPARE_UNKNOWN = "xa-prepare-unknown";
    /// An event is too long for any peer to apply.
    EVENT_TOO_LARGE = "event-too-large";
    /// The binlog holds what this version does not know.
    EVENT_UNKNOWN = "event-unknown";
}

/// The code of an event that cannot be read or carried.
pub fn of_event(error: &EventError) -> HaltCode {
    match error {
        EventError::Checksum { .. } => BINLOG_DAMAGED,
        EventError::PartialImage { .. } => PARTIAL_ROW_IMAGE,
        EventError::PartialJson { .. } | EventError::PartialUpdate { .. } => PARTIAL_JSON_UPDATE,
        EventError::MinimalMetadata { .. } => MINIMAL_ROW_METADATA,
        EventError::Malformed { .. }
        | EventError::UnknownType(_)
        | EventError::Filter { .. }
        | EventError::NoTableMap(_)
        | EventError::UnknownColumnType { .. }
        | EventError::Payload(_) => EVENT_UNKNOWN,
    }
}
