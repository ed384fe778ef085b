//! Partial JSON updates (`binlog_row_value_options = PARTIAL_JSON`), made into updates of whole rows.
//!
//! With full row images the before image holds the document that the differences are to be applied to, so that an event
//! needs nothing but its table map to become whole. That is done once, where events enter Concord: behind the extractor
//! nothing knows of partial events.
//!
//! An event has, per row: before image, value options (a length-encoded integer), if its bit 0 is set a bit per JSON column of
//! the table, and the after image, in which a JSON column whose bit is set has a list of differences in place of its document
//! (seen on 9.7.4; `sql/rpl_record.h` and `sql/json_diff.h` in the server).

use std::io::Write;

use super::column::ColumnType;
use super::event::HEADER_LEN;
use super::input::Input;
use super::payload::{self, walk_payload};
use super::rows::{RowsEvent, Tables, image_len, walk_image};
use super::table_map::TableMap;
use super::{Event, EventError, EventHeader, EventKind, json};

/// Value option: bits for the JSON columns follow.
const PARTIAL_JSON_UPDATES: u64 = 1;

/// Length of the length field of a document and of differences, bytes.
const LEN_LEN: usize = 4;

/// The `UpdateRows` event that says of whole rows what `event`, a `PartialUpdateRows` event, says in part. It is whole, with header
/// and, if `checksum`, with a CRC32; all else in it is as it was.
///
/// Takes memory for the new event only, which is at most about twice as long as the old one.
pub fn complete(event: Event<'_>, checksum: bool, tables: &mut Tables) -> Result<Vec<u8>, EventError> {
    let rows = RowsEvent::decode(event)?;
    let table = tables.layout(&rows)?;
    let fixed = &event.body[..event.body.len() - rows.rows.len()];
    let mut out = begin(event.header, EventKind::UpdateRows);
    out.reserve(event.body.len());
    out.extend_from_slice(fixed);
    let mut input = Input::new(rows.rows, event.header.kind.name());
    while !input.rest.is_empty() {
        complete_row(table, &mut input, &mut out)?;
    }
    end(out, checksum)
}

/// The payload event of the same transaction as `event`, a `TransactionPayload` event, with all its partial updates whole; compressed
/// again.
pub fn complete_payload(
    event: Event<'_>,
    checksum: bool,
    tables: &mut Tables,
) -> Result<Vec<u8>, EventError> {
    let failed = |e: std::io::Error| EventError::Payload(format!("compression failed: {e}"));
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 0).map_err(failed)?;
    let mut len = 0;
    walk_payload::<EventError>(event.body, &mut |inner| {
        if inner.header.kind == EventKind::TableMap {
            tables.note(inner.body)?;
        }
        let bytes = match inner.header.kind {
            EventKind::PartialUpdateRows => complete(inner, false, tables)?,
            kind => {
                let mut bytes = begin(inner.header, kind);
                bytes.extend_from_slice(inner.body);
                end(bytes, false)?
            }
        };
        len += bytes.len() as u64;
        encoder.write_all(&bytes).map_err(failed)
    })?;
    let compressed = encoder.finish().map_err(failed)?;
    let mut out = begin(event.header, EventKind::TransactionPayload);
    payload::push_zstd(&mut out, &compressed, len);
    end(out, checksum)
}

/// The header of an event; its length is set at its end.
fn begin(header: EventHeader, kind: EventKind) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN);
    out.extend_from_slice(&header.timestamp.to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(&header.server_id.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&header.end_offset.to_le_bytes());
    out.extend_from_slice(&header.flags.to_le_bytes());
    out
}

fn end(mut event: Vec<u8>, checksum: bool) -> Result<Vec<u8>, EventError> {
    const LONG: EventError =
        EventError::Malformed { event: "Partial_update_rows", what: "its whole rows are longer than 4 GiB" };
    let len = event.len() + if checksum { 4 } else { 0 };
    event[9..13].copy_from_slice(&u32::try_from(len).map_err(|_| LONG)?.to_le_bytes());
    if checksum {
        event.extend_from_slice(&crc32fast::hash(&event).to_le_bytes());
    }
    Ok(event)
}

/// Takes the next row off the front of `input` and appends its whole images to `out`.
fn complete_row(table: &TableMap, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), EventError> {
    let len = image_len(table, input.rest)?;
    if len == 0 {
        return Err(input.malformed("its rows have no columns"));
    }
    let before = input.take(len)?;
    out.extend_from_slice(before);
    let json_columns =
        table.columns.iter().filter(|column| matches!(column.kind, ColumnType::Json(_))).count();
    let partial = match input.lenenc()? {
        0 => &[],
        PARTIAL_JSON_UPDATES => input.take(json_columns.div_ceil(8))?,
        _ => return Err(input.malformed("it has value options that are not known")),
    };
    // Differences have a length field as documents have, so that the walk over the image is the same.
    let after = input.take(image_len(table, input.rest)?)?;
    if partial.iter().all(|byte| *byte == 0) {
        out.extend_from_slice(after);
        return Ok(());
    }
    let mut documents = Vec::with_capacity(json_columns);
    walk_image(table, before, |place, range| {
        if matches!(table.columns[place].kind, ColumnType::Json(_)) {
            documents.push(range.map(|range| &before[range]));
        }
    })?;
    let mut differences = Vec::new();
    let mut number = 0;
    walk_image(table, after, |place, range| {
        if matches!(table.columns[place].kind, ColumnType::Json(_)) {
            if let (true, Some(range)) = (partial[number / 8] >> (number % 8) & 1 == 1, range) {
                differences.push((place, documents[number], range));
            }
            number += 1;
        }
    })?;
    let mut copied = 0;
    for (place, document, range) in differences {
        let column = &table.columns[place];
        let fail =
            |what| EventError::PartialJson { table: table.full_name(), column: column.name.clone(), what };
        if column.kind != ColumnType::Json(LEN_LEN as u8) {
            return Err(fail("its length field is not of four bytes"));
        }
        let document = document.ok_or_else(|| fail("the row before it has no document"))?;
        out.extend_from_slice(&after[copied..range.start - LEN_LEN]);
        copied = range.end;
        let whole = json::apply(document, &after[range]).map_err(fail)?;
        let len = u32::try_from(whole.len()).map_err(|_| fail("the document after it is too long"))?;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&whole);
    }
    out.extend_from_slice(&after[copied..]);
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
