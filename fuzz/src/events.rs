//! Binlog events from a fuzzer's bytes, so that a changed body stays a whole event.

/// Length of the common header, in bytes.
const HEADER_LEN: usize = 19;
const LEN_AT: usize = 9;

/// Turns pieces of `kind`, two bytes of length and a body into events with header and, if asked for, a right checksum. A length
/// beyond the end means all the rest.
pub fn assemble(mut pieces: &[u8], checksums: bool) -> Vec<u8> {
    let mut out = Vec::new();
    while let [kind, low, high, rest @ ..] = pieces {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (body, rest) = rest.split_at(len);
        push(&mut out, *kind, body, checksums);
        pieces = rest;
    }
    out
}

fn push(out: &mut Vec<u8>, kind: u8, body: &[u8], checksums: bool) {
    let start = out.len();
    out.extend([1, 0, 0, 0, kind, 7, 0, 0, 0]);
    let len = HEADER_LEN + body.len() + if checksums { 4 } else { 0 };
    out.extend((len as u32).to_le_bytes());
    out.extend([0; 6]);
    out.extend(body);
    if checksums {
        let sum = crc32fast::hash(&out[start..]);
        out.extend(sum.to_le_bytes());
    }
}

/// The pieces of whole events that end with a checksum each: what [`assemble`] makes events of.
pub fn pieces(mut events: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(len) = events.get(LEN_AT..LEN_AT + 4).and_then(|bytes| bytes.try_into().ok()) {
        let (event, rest) =
            events.split_at((u32::from_le_bytes(len) as usize).clamp(HEADER_LEN + 4, events.len()));
        let body = &event[HEADER_LEN..event.len() - 4];
        out.push(event[4]);
        out.extend((body.len() as u16).to_le_bytes());
        out.extend(body);
        events = rest;
    }
    out
}
