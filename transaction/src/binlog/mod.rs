//! The binlog events that a record's payload holds, as the server wrote them.
//!
//! Start at [`for_each_event`], which walks a payload and looks into compressed transactions, and at [`Tables`], which
//! turns table maps and rows events into row changes. [`partial`] makes partial JSON updates whole, before there is a record. Facts about the layout come from the server's
//! `libs/mysql/binlog/event/*.h` (`control_events.h`, `rows_event.h`) and `sql/log_event.cc`.

mod charset;
mod column;
mod decimal;
mod encode;
mod event;
mod gtid_event;
mod input;
mod json;
mod layout;
mod literal;
pub mod partial;
mod payload;
mod query;
mod rows;
mod session;
mod table_map;
mod temporal;
mod value;
mod view;
mod walk;

pub use charset::charset_name;
pub use column::{Column, ColumnType};
pub use encode::{encode_value, row_image};
pub use event::{Event, EventHeader, EventKind, HEADER_LEN, for_each_event};
pub use gtid_event::GtidEvent;
pub use json::Json;
pub use literal::{printable, sql_identifier};
pub use payload::PayloadHeader;
pub use query::{QueryEvent, Statement};
pub(crate) use rows::{KeyValues, key_values};
pub use rows::{RowChange, RowsEvent, RowsKind, Tables, row_values};
pub use session::{SessionFlags, SessionState};
pub use table_map::{TableMap, full_bitmap};
pub use temporal::utc_text;
pub use value::Value;
pub use view::{SeenChange, TableView, View};
pub use walk::{Item, for_each_item};

/// Why bytes of a binlog cannot be carried. Each of these halts: nothing unknown is skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The event ends before its content does.
    #[error("{event} event is cut short or malformed: {what}")]
    Malformed {
        /// Kind of the event.
        event: &'static str,
        /// What could not be read.
        what: &'static str,
    },
    /// No handler for this type.
    #[error("event of type {0} is not known to this version of Concord; it cannot be carried")]
    UnknownType(u8),
    /// The CRC32 at its end does not match.
    #[error("{event} event fails its checksum: it was damaged after the server wrote it")]
    Checksum {
        /// Kind of the event.
        event: &'static str,
    },
    /// A rows event without all columns.
    #[error(
        "rows event of {table} lacks columns: a session wrote it with binlog_row_image other than FULL; \
         set binlog_row_image = FULL in every session, then re-seed this region"
    )]
    PartialImage {
        /// Schema and table.
        table: String,
    },
    /// A partial JSON update that cannot be made whole.
    #[error(
        "partial JSON update of {table}, column {column}: {what}; \
         set binlog_row_value_options = '' in every session, then re-seed this region, and please report this"
    )]
    PartialJson {
        /// Schema and table.
        table: String,
        /// Column.
        column: String,
        /// What does not fit.
        what: &'static str,
    },
    /// A partial JSON update where there can be none.
    #[error("partial JSON update of {table} among whole rows; please report this")]
    PartialUpdate {
        /// Schema and table.
        table: String,
    },
    /// A filter that does not fit its table.
    #[error("{table} cannot be seen as [[region.filter]] says: {reason}")]
    Filter {
        /// Schema and table.
        table: String,
        /// What does not fit, and what helps.
        reason: String,
    },
    /// A table map without names.
    #[error(
        "table map of {table} lacks column names or key: binlog_row_metadata was MINIMAL when it was written; \
         SET PERSIST binlog_row_metadata = FULL"
    )]
    MinimalMetadata {
        /// Schema and table.
        table: String,
    },
    /// A rows event whose table map did not come before it.
    #[error("rows event for table id {0} has no table map before it")]
    NoTableMap(u64),
    /// A column type that no handler knows.
    #[error("column type {code} of {table} is not known to this version of Concord")]
    UnknownColumnType {
        /// Schema and table.
        table: String,
        /// Type byte.
        code: u8,
    },
    /// A compressed transaction that does not decompress to what it says.
    #[error("compressed transaction: {0}")]
    Payload(String),
}
