//! Compressed transactions (`TRANSACTION_PAYLOAD`, zstd), decompressed as a stream.

use std::io::Read;

use super::event::{Event, HEADER_LEN};
use super::input::Input;
use super::layout::push_lenenc;
use super::{EventError, EventHeader};

/// No event is longer than this: the largest packet, 1 GiB.
const EVENT_LEN_MAX: usize = 1 << 30;

const COMPRESSION_ZSTD: u64 = 0;
const COMPRESSION_NONE: u64 = 255;

/// The fields before the compressed bytes (`Transaction_payload_event` in `binlog_event.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadHeader<'a> {
    compression: u64,
    /// Length of the events after decompression, in bytes.
    pub uncompressed_len: u64,
    compressed: &'a [u8],
}

impl<'a> PayloadHeader<'a> {
    /// Reads the fields: type, length, value; ended by type 0.
    pub fn decode(body: &'a [u8]) -> Result<Self, EventError> {
        let mut input = Input::new(body, "Transaction_payload");
        let (mut payload_len, mut compression, mut uncompressed_len) = (None, None, None);
        loop {
            let field = input.lenenc()?;
            if field == 0 {
                break;
            }
            let len = input.lenenc_len()?;
            let mut value = Input::new(input.take(len)?, "Transaction_payload");
            match field {
                1 => payload_len = Some(value.lenenc()?),
                2 => compression = Some(value.lenenc()?),
                3 => uncompressed_len = Some(value.lenenc()?),
                _ => return Err(EventError::Payload(format!("field {field} of its header is not known"))),
            }
        }
        let compression =
            compression.ok_or_else(|| EventError::Payload("its algorithm is missing".into()))?;
        if payload_len != Some(input.rest.len() as u64) {
            return Err(EventError::Payload(format!(
                "{} bytes follow its header, which says {payload_len:?}",
                input.rest.len()
            )));
        }
        let uncompressed_len = match (compression, uncompressed_len) {
            (COMPRESSION_NONE, len) => len.unwrap_or(input.rest.len() as u64),
            (_, Some(len)) => len,
            (_, None) => return Err(EventError::Payload("its uncompressed length is missing".into())),
        };
        Ok(Self { compression, uncompressed_len, compressed: input.rest })
    }
}

/// Appends the body of a payload event whose events take `uncompressed_len` bytes before their compression.
pub(super) fn push_zstd(out: &mut Vec<u8>, compressed: &[u8], uncompressed_len: u64) {
    for (field, value) in [(2, COMPRESSION_ZSTD), (3, uncompressed_len), (1, compressed.len() as u64)] {
        let mut bytes = Vec::new();
        push_lenenc(&mut bytes, value);
        out.extend_from_slice(&[field, bytes.len() as u8]);
        out.extend_from_slice(&bytes);
    }
    out.push(0);
    out.extend_from_slice(compressed);
}

pub(super) fn walk_payload<E: From<EventError>>(
    body: &[u8],
    visit: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let header = PayloadHeader::decode(body)?;
    match header.compression {
        COMPRESSION_NONE => walk_stream(header.compressed, header.uncompressed_len, visit),
        COMPRESSION_ZSTD => {
            let failed = |e: std::io::Error| EventError::Payload(format!("decompression failed: {e}"));
            let stream = zstd::stream::read::Decoder::with_buffer(header.compressed).map_err(failed)?;
            walk_stream(stream, header.uncompressed_len, visit)
        }
        other => Err(EventError::Payload(format!("algorithm {other} is not known")).into()),
    }
}

fn walk_stream<E: From<EventError>>(
    mut stream: impl Read,
    uncompressed_len: u64,
    visit: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |e: std::io::Error| EventError::Payload(format!("decompression failed: {e}"));
    let mut left = uncompressed_len;
    let mut buffer = Vec::new();
    while left > 0 {
        buffer.resize(HEADER_LEN, 0);
        stream.read_exact(&mut buffer).map_err(failed)?;
        let header = EventHeader::decode(&buffer)?;
        let len = header.event_len as usize;
        if len < HEADER_LEN || len as u64 > left || len > EVENT_LEN_MAX {
            return Err(EventError::Payload(format!(
                "an inner event claims {len} bytes where {left} are left"
            ))
            .into());
        }
        // Grow only as bytes arrive, so that a false length costs nothing.
        let read =
            stream.by_ref().take((len - HEADER_LEN) as u64).read_to_end(&mut buffer).map_err(failed)?;
        if read != len - HEADER_LEN {
            return Err(EventError::Payload("it ends inside an event".into()).into());
        }
        left -= len as u64;
        visit(Event { header, body: &buffer[HEADER_LEN..] })?;
    }
    if stream.read(&mut [0]).map_err(failed)? != 0 {
        return Err(EventError::Payload("it holds more than its header says".into()).into());
    }
    Ok(())
}
