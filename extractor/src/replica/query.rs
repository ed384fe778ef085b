//! Small questions in SQL, answered by the text protocol.

use super::bytes::Bytes;
use super::channel::Channel;
use super::error::ReplicaError;

const COM_QUERY: u8 = 0x03;

/// One row: per column its text, or `None` for NULL.
pub type Row = Vec<Option<Vec<u8>>>;

/// Runs one statement. Its rows are all kept in memory.
pub(super) fn query(channel: &mut Channel, sql: &str) -> Result<Vec<Row>, ReplicaError> {
    channel.command(&[&[COM_QUERY], sql.as_bytes()].concat())?;
    let first = channel.receive()?;
    let columns = match first.first() {
        Some(0x00) => return Ok(Vec::new()),
        // 0xfb asks for a local file, which is never given.
        Some(0xfb) | None => return Err(channel.protocol("an answer to a query that is no result")),
        Some(_) => Bytes(first).length(),
    };
    let Some(columns) = columns else { return Err(channel.protocol("a malformed number of columns")) };
    for _ in 0..columns {
        channel.receive()?;
    }
    if !is_end(channel.receive()?) {
        return Err(channel.protocol("more columns than announced"));
    }
    let mut rows = Vec::new();
    loop {
        let packet = channel.receive()?;
        if is_end(packet) {
            return Ok(rows);
        }
        match row(packet, columns) {
            Some(row) => rows.push(row),
            None => return Err(channel.protocol("a malformed row")),
        }
    }
}

/// Whether a packet is the EOF packet; a row can also begin with 0xfe, but is longer then.
pub(super) fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&0xfe) && packet.len() < 9
}

pub(super) fn row(packet: &[u8], columns: u64) -> Option<Row> {
    let mut input = Bytes(packet);
    let mut row = Row::new();
    for _ in 0..columns {
        if input.0.first() == Some(&0xfb) {
            input.u8()?;
            row.push(None);
        } else {
            row.push(Some(input.counted()?.to_vec()));
        }
    }
    input.0.is_empty().then_some(row)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_texts_and_nulls_and_nothing_more() {
        assert_eq!(row(b"\x01a\xfb\x00", 3).unwrap(), [Some(b"a".to_vec()), None, Some(Vec::new())]);
        assert_eq!(row(b"\x01a\xfb", 3), None);
        assert_eq!(row(b"\x01a\x01b", 1), None);
        assert_eq!(row(b"\x05a", 1), None);
    }

    #[test]
    fn a_long_first_column_is_not_taken_for_the_end() {
        assert!(is_end(b"\xfe\x00\x00\x02\x00"));
        assert!(!is_end(b"\xfe\x00\x00\x00\x01\x00\x00\x00\x00"));
        assert!(!is_end(b""));
    }
}
