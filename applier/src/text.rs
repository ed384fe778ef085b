//! The text of a `BINLOG` statement: row events that the target's own row applier replays.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use transaction::binlog::{EventKind, RowsKind, TableMap};

const STATEMENT_END: u16 = 1;
/// Flag of a rows event: the server looks after no foreign key.
pub const NO_FOREIGN_KEY_CHECKS: u16 = 2;

/// Lengths of the post-headers of event types 1 to 42, as MySQL 8.3 and later write them
/// (`Format_description_event` in `control_events.cpp`; seen in a 9.7.4 binlog).
const POST_HEADER_LENS: [u8; 42] = [
    0, 13, 0, 8, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 99, 0, 4, 26, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 10, 10, 10, 42,
    42, 0, 18, 52, 0, 10, 40, 0, 0,
];

/// The statement that a session needs before its first rows: a format description without checksums.
pub fn format_description() -> String {
    let mut body = vec![4, 0];
    body.extend_from_slice(b"9.7.4");
    body.resize(2 + 50, 0);
    body.extend_from_slice(&[0; 4]);
    body.push(19);
    body.extend_from_slice(&POST_HEADER_LENS);
    // Checksum algorithm: none; this event has room for a checksum all the same.
    body.extend_from_slice(&[0; 5]);
    let mut events = Vec::new();
    push_event(&mut events, EventKind::FormatDescription, 0, &body);
    format!("BINLOG '{}'", BASE64_STANDARD.encode(events))
}

fn push_event(events: &mut Vec<u8>, kind: EventKind, timestamp: u32, body: &[u8]) {
    events.extend_from_slice(&timestamp.to_le_bytes());
    events.push(kind as u8);
    // Server id 0 would be taken for the server's own in a filter; any other will do, the rows get the target's.
    events.extend_from_slice(&1u32.to_le_bytes());
    events.extend_from_slice(&((19 + body.len()) as u32).to_le_bytes());
    events.extend_from_slice(&[0; 6]);
    events.extend_from_slice(body);
}

/// Collects row changes into one text that stands alone: every rows event directly after its table map, each pair a
/// statement of its own.
///
/// A rows event whose map came in another text crashes the server (seen on 9.7.4), so a text is the only way out of
/// here, and it is whole by construction.
#[derive(Debug, Default)]
pub struct RowsText {
    events: Vec<u8>,
    /// Rows body being filled, of the last table and kind.
    open: Option<Open>,
    /// How many the server will log.
    changes: u64,
}

#[derive(Debug)]
struct Open {
    table: std::sync::Arc<TableMap>,
    kind: RowsKind,
    flags: u16,
    timestamp: u32,
    rows: Vec<u8>,
}

/// Rows are collected into one event up to this many bytes (the server's own default is 8 KiB).
const ROWS_EVENT_LEN: usize = 256 << 10;

impl RowsText {
    /// Adds one row change; consecutive ones of the same table and kind share an event.
    ///
    /// `images`: the before image, the after image, or both, in this order, as [`RowsKind`] says. `flags`: of the
    /// source's rows event, of which the checks (0x2, 0x4) are kept. `timestamp`: seconds, of the source's event.
    pub fn push(
        &mut self,
        table: &std::sync::Arc<TableMap>,
        kind: RowsKind,
        flags: u16,
        timestamp: u32,
        images: &[&[u8]],
    ) {
        debug_assert_eq!(images.len(), if kind == RowsKind::Update { 2 } else { 1 });
        // A rows event without a whole table map may crash the server.
        assert!(!table.body_after_id.is_empty(), "rows of {} without a layout from a log", table.full_name());
        let flags = flags & 0x6;
        let shares = self.open.as_ref().is_some_and(|open| {
            std::sync::Arc::ptr_eq(&open.table, table)
                && (open.kind, open.flags, open.timestamp) == (kind, flags, timestamp)
                && open.rows.len() < ROWS_EVENT_LEN
        });
        if !shares {
            self.close();
            self.open = Some(Open { table: table.clone(), kind, flags, timestamp, rows: Vec::new() });
        }
        if let Some(open) = &mut self.open {
            for image in images {
                open.rows.extend_from_slice(image);
            }
        }
        self.changes += 1;
    }

    /// The change added last is an update of a row to what it is: that takes the lock, and the server logs nothing (seen).
    pub fn last_logs_nothing(&mut self) {
        self.changes = self.changes.saturating_sub(1);
    }

    fn close(&mut self) {
        const TABLE_ID: [u8; 6] = [1, 0, 0, 0, 0, 0];
        let Some(open) = self.open.take() else { return };
        let mut map = TABLE_ID.to_vec();
        map.extend_from_slice(&open.table.body_after_id);
        let with_map = true;
        #[cfg(feature = "canary")]
        let with_map = with_map && !canary::makes_at_every(50, canary::Mistake::MapOmitted);
        if with_map {
            push_event(&mut self.events, EventKind::TableMap, open.timestamp, &map);
        }
        let width = open.table.columns.len();
        let mut body = Vec::with_capacity(open.rows.len() + 32);
        body.extend_from_slice(&TABLE_ID);
        body.extend_from_slice(&(open.flags | STATEMENT_END).to_le_bytes());
        body.extend_from_slice(&2u16.to_le_bytes());
        match u8::try_from(width) {
            Ok(small @ 0..=250) => body.push(small),
            _ => {
                body.push(0xfc);
                body.extend_from_slice(&(width as u16).to_le_bytes());
            }
        }
        body.extend_from_slice(&open.table.present);
        let kind = match open.kind {
            RowsKind::Write => EventKind::WriteRows,
            RowsKind::Delete => EventKind::DeleteRows,
            RowsKind::Update => {
                body.extend_from_slice(&open.table.present);
                EventKind::UpdateRows
            }
        };
        body.extend_from_slice(&open.rows);
        push_event(&mut self.events, kind, open.timestamp, &body);
    }

    /// Whether nothing was added since the last statement.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.open.is_none()
    }

    /// Bytes of events so far.
    pub fn len(&self) -> usize {
        self.events.len() + self.open.as_ref().map_or(0, |open| open.rows.len())
    }

    /// The events themselves; the collection is empty afterwards.
    pub fn take_events(&mut self) -> Vec<u8> {
        self.close();
        self.changes = 0;
        std::mem::take(&mut self.events)
    }

    /// The statement, and how many row changes it logs; the collection is empty afterwards.
    pub fn take_statement(&mut self) -> (String, u64) {
        self.close();
        let mut statement = String::with_capacity(self.events.len() * 4 / 3 + 16);
        statement.push_str("BINLOG '");
        BASE64_STANDARD.encode_string(&self.events, &mut statement);
        statement.push('\'');
        self.events.clear();
        (statement, std::mem::take(&mut self.changes))
    }
}
