//! The rows of a binlog by `mysql_common`.

use mysql_common::binlog::EventStreamReader;
use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::EventData;
use std::hint::black_box;
use std::io::{Error, Result};

/// Row changes of these events, of which the first tells the format.
pub(super) fn read(mut events: &[u8]) -> Result<u64> {
    let mut reader = EventStreamReader::new(BinlogVersion::Version4);
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
