//! One event of a binlog: its header, and the walk over many.

use super::EventError;
use super::payload::walk_payload;

/// Length of the common header, in bytes (binlog version 4).
pub const HEADER_LEN: usize = 19;

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// The types of event that Concord has a handler for (`Log_event_type` in the server).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum EventKind { $($(#[$doc])* $name = $code),* }

        impl EventKind {
            /// The kind of a type byte; an unknown one is an error, never skipped.
            pub fn from_code(code: u8) -> Result<Self, EventError> {
                match code { $($code => Ok(Self::$name),)* _ => Err(EventError::UnknownType(code)) }
            }
            /// Its name in the server's documentation.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

event_kinds! {
    /// A statement: BEGIN, COMMIT, DDL, or (refused) DML in statement format.
    Query = 2, "Query";
    /// The server stopped.
    Stop = 3, "Stop";
    /// The next file.
    Rotate = 4, "Rotate";
    /// Commit of a transaction.
    Xid = 16, "Xid";
    /// Layout of the events that follow.
    FormatDescription = 15, "Format_description";
    /// Column layout of a table, before its rows events.
    TableMap = 19, "Table_map";
    /// Text of the statement whose rows follow.
    RowsQuery = 29, "Rows_query";
    /// Inserted rows.
    WriteRows = 30, "Write_rows";
    /// Updated rows.
    UpdateRows = 31, "Update_rows";
    /// Deleted rows.
    DeleteRows = 32, "Delete_rows";
    /// Begins a transaction group.
    Gtid = 33, "Gtid";
    /// Begins a transaction group without a GTID.
    AnonymousGtid = 34, "Anonymous_gtid";
    /// What was executed before this file.
    PreviousGtids = 35, "Previous_gtids";
    /// XA PREPARE.
    XaPrepare = 38, "XA_prepare";
    /// Updated rows with JSON differences.
    PartialUpdateRows = 39, "Partial_update_rows";
    /// A compressed transaction.
    TransactionPayload = 40, "Transaction_payload";
    /// The source is alive.
    Heartbeat = 27, "Heartbeat";
    /// The source is alive, with room for large positions.
    HeartbeatV2 = 41, "Heartbeat_v2";
    /// As `Gtid`, with a tag.
    GtidTagged = 42, "Gtid_tagged";
}

/// The common header of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHeader {
    /// Seconds since 1970.
    pub timestamp: u32,
    /// Its type.
    pub kind: EventKind,
    /// Who wrote it.
    pub server_id: u32,
    /// Length of the whole event, in bytes, header and checksum included.
    pub event_len: u32,
    /// Offset of its end in the file; 0 inside a compressed transaction and for artificial events.
    pub end_offset: u32,
    /// `LOG_EVENT_…_F` bits.
    pub flags: u16,
}

impl EventHeader {
    /// Reads the header at the start of `bytes`.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Self, EventError> {
        let Some(b) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(EventError::Malformed { event: "some", what: "it is shorter than a header" });
        };
        let u32_at = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        Ok(Self {
            timestamp: u32_at(0),
            kind: EventKind::from_code(b[4])?,
            server_id: u32_at(5),
            event_len: u32_at(9),
            end_offset: u32_at(13),
            flags: u16::from_le_bytes([b[17], b[18]]),
        })
    }
}

/// One event.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Its header.
    pub header: EventHeader,
    /// What lies between header and checksum.
    pub body: &'a [u8],
}

impl<'a> Event<'a> {
    /// The event at the start of `bytes`, and what follows it. `checksum`: it ends with a CRC32, which is verified.
    #[inline]
    pub fn split(bytes: &'a [u8], checksum: bool) -> Result<(Self, &'a [u8]), EventError> {
        let header = EventHeader::decode(bytes)?;
        let malformed = |what| EventError::Malformed { event: header.kind.name(), what };
        let len = header.event_len as usize;
        let (event, rest) =
            bytes.split_at_checked(len).ok_or_else(|| malformed("its length is beyond its bytes"))?;
        let mut body =
            event.get(HEADER_LEN..).ok_or_else(|| malformed("its length is shorter than its header"))?;
        if checksum {
            let (content, sum) =
                body.split_last_chunk::<4>().ok_or_else(|| malformed("it has no room for its checksum"))?;
            if crc32fast::hash(&event[..len - 4]) != u32::from_le_bytes(*sum) {
                return Err(EventError::Checksum { event: header.kind.name() });
            }
            body = content;
        }
        Ok((Self { header, body }, rest))
    }
}

/// Calls `visit` for every event in `events`, the events inside compressed transactions in place of their payload event.
///
/// `checksums`: each outer event ends with a CRC32 (events inside a payload never do). Memory: one inner event at a time.
pub fn for_each_event<E: From<EventError>>(
    mut events: &[u8],
    checksums: bool,
    visit: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
) -> Result<(), E> {
    while !events.is_empty() {
        let (event, rest) = Event::split(events, checksums)?;
        if event.header.kind == EventKind::TransactionPayload {
            walk_payload(event.body, visit)?;
        } else {
            visit(event)?;
        }
        events = rest;
    }
    Ok(())
}
