//! Why extraction stops.

use transaction::binlog::EventError;
use transaction::{Halt, HaltCode, RegionName, Sequence};

use crate::code;

/// Where in the binlog something was read, for messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Binlog file of the source.
    pub file: String,
    /// Offset of the end of the event in it.
    pub offset: u64,
}

impl Place {
    /// Number of the file: the digits after its last dot.
    pub fn number(&self) -> u64 {
        self.file.rsplit('.').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

/// What cannot be carried: each of these halts the extractor, with the place in the binlog.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// An event that cannot be read or carried.
    #[error("{source} (transaction {gtid}, binlog {place})")]
    Event {
        /// What is wrong with it.
        source: EventError,
        /// The transaction, or "none".
        gtid: String,
        /// Where.
        place: Place,
    },
    /// DML in statement format.
    #[error(
        "statement-format DML in transaction {gtid} at binlog {place}: {statement:?}; its rows are not in the binlog. \
         Set binlog_format = ROW in every session, then re-seed this region"
    )]
    StatementDml {
        /// The transaction.
        gtid: String,
        /// Where.
        place: Place,
        /// The start of the statement.
        statement: String,
    },
    /// A statement that no rule covers.
    #[error(
        "statement in transaction {gtid} at binlog {place} is of no known kind: {statement:?}; it cannot be carried"
    )]
    UnknownStatement {
        /// The transaction.
        gtid: String,
        /// Where.
        place: Place,
        /// The start of the statement.
        statement: String,
    },
    /// A group of an XA transaction that cannot be.
    #[error("XA transaction {gtid} at binlog {place}: {what}; re-seed this region, and please report this")]
    Xa {
        /// What is wrong with it.
        what: &'static str,
        /// The transaction.
        gtid: String,
        /// Where.
        place: Place,
    },
    /// An XA COMMIT whose XA PREPARE was not read.
    #[error(
        "XA COMMIT {xid} in transaction {gtid} at binlog {place}: it was prepared before Concord began to read here, so its rows \
         are not known. Re-seed this region, and finish XA transactions before a region starts for the first time"
    )]
    XaUnknown {
        /// Its XID.
        xid: String,
        /// The transaction.
        gtid: String,
        /// Where.
        place: Place,
    },
    /// No GTID.
    #[error(
        "transaction without GTID at binlog {place}: set gtid_mode = ON and enforce_gtid_consistency = ON"
    )]
    Anonymous {
        /// Where.
        place: Place,
    },
    /// Events in an order that cannot be.
    #[error("{what} at binlog {place}: the binlog is not as MySQL writes it")]
    Order {
        /// What came out of order.
        what: &'static str,
        /// Where.
        place: Place,
    },
    /// A write in a region that must not write.
    #[error(
        "local write {gtid} at binlog {place} in region {region}, which [mesh] declares writes = false; \
         set writes = true in every region's [mesh], or undo the write and re-seed this region"
    )]
    WriteForbidden {
        /// This region.
        region: RegionName,
        /// The transaction.
        gtid: String,
        /// Where.
        place: Place,
    },
    /// Marker and tag disagree.
    #[error(
        "transaction {gtid} at binlog {place} carries the tag of an origin and {what}: someone else used the tag"
    )]
    TagDisagrees {
        /// The transaction.
        gtid: String,
        /// Where.
        place: Place,
        /// How the marker differs.
        what: &'static str,
    },
    /// A marker that does not come first.
    #[error(
        "transaction {gtid} at binlog {place} changes concord.marker after other rows, so it is neither applied nor local \
         work: only Concord may write to schema concord. Re-seed the region or skip this transaction"
    )]
    MarkerLate {
        /// The transaction.
        gtid: String,
        /// Where.
        place: Place,
    },
    /// An applied transaction changed other rows than its lane said.
    #[error(
        "transaction {gtid} at binlog {place} is applied work of {origin}: its marker says {said} row changes, the binlog has \
         {found}. Rows of this region were changed inside it by something other than Concord, or Concord has a bug: compare \
         this region's tables with another region's, then re-seed this region"
    )]
    RowCount {
        /// Whose work.
        origin: RegionName,
        /// What the marker says.
        said: u64,
        /// What the binlog has.
        found: u64,
        /// The transaction.
        gtid: String,
        /// Where.
        place: Place,
    },
    /// A row of `concord.repair` or `concord.suspension` that no lane writes.
    #[error(
        "row of concord.{table} in transaction {gtid} at binlog {place}: {what}. Only Concord may write to schema concord; \
         re-seed this region, and report this if nobody else did"
    )]
    Repair {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        what: &'static str,
        /// The transaction.
        gtid: String,
        /// Where.
        place: Place,
    },
    /// An event beyond [`crate::Limits::event_len_max`].
    #[error(
        "{event} event of {len} bytes in transaction {gtid} at binlog {place}, of {table}: longer than {len_max}, so no peer \
         could apply it. Write smaller rows, then re-seed this region"
    )]
    TooLarge {
        /// Kind of the event.
        event: &'static str,
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        len_max: usize,
        /// Schema and table, or "no one table".
        table: String,
        /// The transaction.
        gtid: String,
        /// Where.
        place: Place,
    },
    /// The binlog is not the one that the log was made from.
    #[error(
        "transaction {sequence} of the log is {logged}, but the server's binlog has {found} there (binlog {place}): \
         this server's history is not the one that was extracted. Was the primary replaced or restored? Re-seed this region"
    )]
    HistoryDiffers {
        /// The transaction.
        sequence: Sequence,
        /// GTID in the log.
        logged: String,
        /// GTID in the binlog.
        found: String,
        /// Where.
        place: Place,
    },
    /// The receiver of the records failed.
    #[error(transparent)]
    Sink(#[from] Halt),
}

impl ExtractError {
    /// What a person is to do about it.
    pub fn code(&self) -> HaltCode {
        match self {
            Self::Event { source, .. } => code::of_event(source),
            Self::StatementDml { .. } => code::STATEMENT_FORMAT_DML,
            Self::UnknownStatement { .. } | Self::Xa { .. } | Self::Order { .. } => code::EVENT_UNKNOWN,
            Self::XaUnknown { .. } => code::XA_PREPARE_UNKNOWN,
            Self::Anonymous { .. } => code::TRANSACTION_WITHOUT_GTID,
            Self::WriteForbidden { .. } => code::LOCAL_WRITE_FORBIDDEN,
            Self::TagDisagrees { .. } => code::ORIGIN_TAG_MISUSED,
            Self::MarkerLate { .. } | Self::Repair { .. } => code::OWN_SCHEMA_WRITTEN,
            Self::RowCount { .. } => code::ROW_COUNT_DIFFERS,
            Self::TooLarge { .. } => code::EVENT_TOO_LARGE,
            Self::HistoryDiffers { .. } => code::BINLOG_HISTORY_DIFFERS,
            Self::Sink(halt) => halt.code,
        }
    }
}

impl From<ExtractError> for Halt {
    fn from(error: ExtractError) -> Self {
        error.code().halt(error)
    }
}
