//! The rows of a binlog by `mysql_cdc`, which verifies no checksums.

use mysql_cdc::binlog_reader::BinlogReader;
use mysql_cdc::errors::Error;
use mysql_cdc::events::binlog_event::BinlogEvent;
use mysql_cdc::events::event_header::EventHeader;
use mysql_cdc::events::event_parser::EventParser;
use std::fs::File;
use std::hint::black_box;
use std::path::Path;

/// Bytes of an event's header, which its length counts too.
const HEADER_LEN: usize = 19;

/// Its reader, at the file's first event.
pub(super) fn open(path: &Path) -> Result<BinlogReader, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    BinlogReader::new(file).map_err(|error| format!("{error:?}"))
}

/// Row changes up to the reader's end.
pub(super) fn read(reader: BinlogReader) -> Result<u64, Error> {
    let mut rows = 0;
    for event in reader.read_events() {
        let (_, event) = event?;
        rows += changes(&event);
        black_box(event);
    }
    Ok(rows)
}

/// Row changes of these events, by the reader's own parser and without the reader.
pub(super) fn parse(mut events: &[u8]) -> Result<u64, Error> {
    let mut parser = EventParser::new();
    let mut rows = 0;
    while !events.is_empty() {
        let cut = || Error::String(format!("the last {} bytes are no whole event", events.len()));
        if events.len() < HEADER_LEN {
            return Err(cut());
        }
        let header = EventHeader::parse(events)?;
        let (event, behind) = events.split_at_checked(header.event_length as usize).ok_or_else(cut)?;
        let event = parser.parse_event(&header, event.get(HEADER_LEN..).ok_or_else(cut)?)?;
        rows += changes(&event);
        black_box(event);
        events = behind;
    }
    Ok(rows)
}

fn changes(event: &BinlogEvent) -> u64 {
    let rows = match event {
        BinlogEvent::WriteRowsEvent(found) => found.rows.len(),
        BinlogEvent::UpdateRowsEvent(found) => found.rows.len(),
        BinlogEvent::DeleteRowsEvent(found) => found.rows.len(),
        _ => 0,
    };
    rows as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn events_that_are_cut_short_in_memory_are_an_error_and_not_an_end() {
        let mut event = vec![0_u8; 30];
        event[9..13].copy_from_slice(&31_u32.to_le_bytes());
        for len in [1, HEADER_LEN - 1, HEADER_LEN, 30] {
            let error = format!("{:?}", parse(&event[..len]).unwrap_err());
            assert!(error.contains("no whole event"), "{len}: {error}");
        }
    }
}
