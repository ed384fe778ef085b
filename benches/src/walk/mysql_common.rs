//! The same rows by `mysql_common`.

use super::{Binlog, MAGIC_LEN};
use ::mysql_common::binlog::EventStreamReader;
use ::mysql_common::binlog::consts::BinlogVersion;
use ::mysql_common::binlog::events::EventData;
use std::hint::black_box;
use std::io::{Error, Result};

/// Decodes every row, and counts them.
pub(super) fn row_changes(binlog: &Binlog) -> Result<u64> {
    // The head makes the reader know the format; the events then come from memory as ours do.
    let mut reader = EventStreamReader::new(BinlogVersion::Version4);
    let mut head = &binlog.head[MAGIC_LEN..];
    while reader.read(&mut head)?.is_some() {}
    let mut events = &binlog.events[..];
    let mut rows = 0;
    while let Some(event) = reader.read(&mut events)? {
        let Some(EventData::RowsEvent(found)) = event.read_data()? else { continue };
        let table = reader.get_tme(found.table_id()).ok_or_else(|| Error::other("no table map"))?;
        for row in found.rows(table) {
            black_box(row?);
            rows += 1;
        }
    }
    Ok(rows)
}
