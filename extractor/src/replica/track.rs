//! Verifies each event's frame and follows the position in the source's files.

use super::bytes::Bytes;
use super::error::ReplicaError;
use crate::error::Place;

const HEADER_LEN: usize = 19;
const CHECKSUM_LEN: usize = 4;
const ROTATE: u8 = 4;
const FORMAT_DESCRIPTION: u8 = 15;
const HEARTBEAT: u8 = 27;
const HEARTBEAT_V2: u8 = 41;
/// Offset of the flags in the header, and the flag that a file is still being written.
const FLAGS_AT: usize = 17;
const IN_USE: u8 = 1;

/// What the events so far say about the next one.
pub(super) struct Track {
    place: Place,
    checksums: bool,
}

/// The fields of an event header that matter here.
struct Header {
    event_type: u8,
    len: usize,
    /// Low 32 bits of the offset after the event; 0 if the event is in no file.
    end: u32,
}

impl Header {
    fn parse(event: &[u8]) -> Option<Self> {
        let mut input = Bytes(event.get(..HEADER_LEN)?);
        input.u32()?;
        let event_type = input.u8()?;
        input.u32()?;
        Some(Self { event_type, len: input.u32()? as usize, end: input.u32()? })
    }
}

impl Track {
    pub(super) fn new(checksums: bool) -> Self {
        Self { place: Place::default(), checksums }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the last event ended with a CRC32.
    pub(super) fn checksums(&self) -> bool {
        self.checksums
    }

    /// Takes note of an event, or says how it is damaged.
    pub(super) fn follow(&mut self, event: &[u8]) -> Result<(), ReplicaError> {
        let damaged = |event_type: u8, reason: String, place: &Place| ReplicaError::Damaged {
            event_type: format!("{event_type} ({})", type_name(event_type)),
            place: place.clone(),
            reason,
        };
        let Some(header) = Header::parse(event) else {
            let event_type = event.get(4).copied().unwrap_or_default();
            return Err(damaged(
                event_type,
                format!("it has {} bytes, fewer than a header", event.len()),
                &self.place,
            ));
        };
        self.check_and_advance(event, &header)
            .map_err(|reason| damaged(header.event_type, reason, &self.place))
    }

    fn check_and_advance(&mut self, event: &[u8], header: &Header) -> Result<(), String> {
        if header.len != event.len() {
            return Err(format!("its header says {} bytes, its packet has {}", header.len, event.len()));
        }
        if header.event_type == FORMAT_DESCRIPTION {
            self.checksums = has_checksums(event)?;
        }
        let body = match self.checksums {
            true => verified(event, header.event_type)?,
            false => event,
        };
        let mut body = Bytes(&body[HEADER_LEN..]);
        match header.event_type {
            ROTATE => {
                self.place.offset = body.u64().ok_or("a rotation without a position")?;
                self.place.file = String::from_utf8_lossy(body.0).into_owned();
            }
            HEARTBEAT_V2 => {
                self.place.offset = heartbeat_offset(body).ok_or("a heartbeat without a position")?;
            }
            HEARTBEAT => self.advance(header.end),
            _ if header.end != 0 => self.advance(header.end),
            _ => {}
        }
        Ok(())
    }

    /// Headers hold 32 bits only; within a file offsets only grow, so a smaller number has wrapped around.
    fn advance(&mut self, end: u32) {
        const WRAP: u64 = 1 << 32;
        let offset = self.place.offset / WRAP * WRAP + u64::from(end);
        self.place.offset = if offset < self.place.offset { offset + WRAP } else { offset };
    }
}

/// Whether a FORMAT_DESCRIPTION announces events with CRC32. Its last bytes are the algorithm and its own checksum,
/// which is there in either case (source: `Format_description_event` in `control_events.h`).
fn has_checksums(event: &[u8]) -> Result<bool, String> {
    let at = event.len().checked_sub(CHECKSUM_LEN + 1).filter(|at| *at >= HEADER_LEN);
    match at.map(|at| event[at]) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(other) => {
            Err(format!("it announces checksum algorithm {other}, known are 0 (none) and 1 (CRC32)"))
        }
        None => Err("it is too short for a format description".into()),
    }
}

/// The event without its checksum, if that is right.
fn verified(event: &[u8], event_type: u8) -> Result<&[u8], String> {
    let Some((covered, sum)) =
        event.split_last_chunk::<CHECKSUM_LEN>().filter(|(rest, _)| rest.len() >= HEADER_LEN)
    else {
        return Err("it is too short for a checksum".into());
    };
    let mut hasher = crc32fast::Hasher::new();
    if event_type == FORMAT_DESCRIPTION {
        // The server sets this flag in the file after it has computed the checksum.
        hasher.update(&covered[..FLAGS_AT]);
        hasher.update(&[covered[FLAGS_AT] & !IN_USE]);
        hasher.update(&covered[FLAGS_AT + 1..]);
    } else {
        hasher.update(covered);
    }
    let (found, computed) = (u32::from_le_bytes(*sum), hasher.finalize());
    if found != computed {
        return Err(format!("its checksum is {found:08x}, its bytes give {computed:08x}"));
    }
    Ok(covered)
}

/// The offset in a heartbeat of the second form: fields of type, length and value, ended by type 0
/// (source: `Heartbeat_event_v2` in `control_events.h`). Unknown fields are passed over by their length.
fn heartbeat_offset(mut body: Bytes<'_>) -> Option<u64> {
    const END: u64 = 0;
    const OFFSET: u64 = 2;
    let mut offset = None;
    while !body.0.is_empty() {
        let field = body.length()?;
        if field == END {
            break;
        }
        let value = body.counted()?;
        if field == OFFSET {
            offset = Bytes(value).length();
        }
    }
    offset
}

/// Names of the types that a person may meet (source: `Log_event_type` in `binlog_event.h`).
fn type_name(event_type: u8) -> &'static str {
    match event_type {
        2 => "QUERY",
        3 => "STOP",
        4 => "ROTATE",
        15 => "FORMAT_DESCRIPTION",
        16 => "XID",
        19 => "TABLE_MAP",
        27 => "HEARTBEAT",
        29 => "ROWS_QUERY",
        30 => "WRITE_ROWS",
        31 => "UPDATE_ROWS",
        32 => "DELETE_ROWS",
        33 => "GTID",
        34 => "ANONYMOUS_GTID",
        35 => "PREVIOUS_GTIDS",
        36 => "TRANSACTION_CONTEXT",
        37 => "VIEW_CHANGE",
        38 => "XA_PREPARE",
        39 => "PARTIAL_UPDATE_ROWS",
        40 => "TRANSACTION_PAYLOAD",
        41 => "HEARTBEAT_V2",
        42 => "GTID_TAGGED",
        _ => "unnamed",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // As recorded from a server of version 9.7.4, in this order.
    const ROTATE_EVENT: &[u8] = include_bytes!("fixtures/events-9.7.4/artificial-rotate.bin");
    const FORMAT_EVENT: &[u8] = include_bytes!("fixtures/events-9.7.4/format-description.bin");
    const PREVIOUS_GTIDS_EVENT: &[u8] = include_bytes!("fixtures/events-9.7.4/previous-gtids.bin");
    const HEARTBEAT_EVENT: &[u8] = include_bytes!("fixtures/events-9.7.4/heartbeat.bin");

    /// An event with a right checksum, or without one.
    fn event(event_type: u8, end: u32, body: &[u8], checksum: bool) -> Vec<u8> {
        let len = HEADER_LEN + body.len() + if checksum { CHECKSUM_LEN } else { 0 };
        let mut out = vec![0, 0, 0, 0, event_type, 1, 0, 0, 0];
        out.extend_from_slice(&(len as u32).to_le_bytes());
        out.extend_from_slice(&end.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(body);
        if checksum {
            out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        }
        out
    }

    fn place(track: &Track) -> (&str, u64) {
        (&track.place().file, track.place().offset)
    }

    #[test]
    fn the_first_events_of_a_real_server_are_right_and_followed() {
        let mut track = Track::new(true);
        let steps =
            [(ROTATE_EVENT, 4), (FORMAT_EVENT, 127), (PREVIOUS_GTIDS_EVENT, 285), (HEARTBEAT_EVENT, 285)];
        for (event, offset) in steps {
            track.follow(event).unwrap();
            assert_eq!(place(&track), ("binlog.000007", offset));
        }
        assert!(track.checksums());
    }

    #[test]
    fn damage_to_any_bit_is_seen_and_named_with_place_and_type() {
        for at in 0..PREVIOUS_GTIDS_EVENT.len() * 8 {
            let mut track = Track::new(true);
            track.follow(ROTATE_EVENT).unwrap();
            track.follow(FORMAT_EVENT).unwrap();
            let mut bad = PREVIOUS_GTIDS_EVENT.to_vec();
            bad[at / 8] ^= 1 << (at % 8);
            let error = track.follow(&bad).unwrap_err();
            assert!(matches!(error, ReplicaError::Damaged { .. }), "bit {at}");
            assert!(error.to_string().contains("binlog.000007:127"), "{error}");
            // Bits 32 to 39 are the type itself.
            let named = error.to_string().contains("35 (PREVIOUS_GTIDS)");
            assert_eq!(named, at / 8 != 4, "{error}");
        }
    }

    #[test]
    fn a_format_description_of_a_file_in_use_has_a_right_checksum() {
        let mut in_use = FORMAT_EVENT.to_vec();
        in_use[FLAGS_AT] |= IN_USE;
        Track::new(true).follow(&in_use).unwrap();
        in_use[FLAGS_AT + 1] |= 1;
        assert!(Track::new(true).follow(&in_use).is_err());
    }

    #[test]
    fn a_format_description_switches_checksums_off_and_on_and_refuses_what_it_does_not_know() {
        let algorithm = FORMAT_EVENT.len() - CHECKSUM_LEN - 1;
        let mut none = FORMAT_EVENT.to_vec();
        none[algorithm] = 0;
        let mut track = Track::new(true);
        track.follow(&none).unwrap();
        assert!(!track.checksums());
        track.follow(&event(ROTATE, 0, b"\x04\0\0\0\0\0\0\0binlog.000009", false)).unwrap();
        assert_eq!(place(&track), ("binlog.000009", 4));
        track.follow(FORMAT_EVENT).unwrap();
        assert!(track.checksums());
        let mut unknown = FORMAT_EVENT.to_vec();
        unknown[algorithm] = 2;
        assert!(track.follow(&unknown).unwrap_err().to_string().contains("algorithm 2"));
    }

    #[test]
    fn offsets_go_on_beyond_four_gibibytes() {
        let mut track = Track::new(false);
        for (end, offset) in [(4_000_000_000, 4_000_000_000), (100, (1 << 32) + 100), (200, (1 << 32) + 200)]
        {
            track.follow(&event(31, end, b"row", false)).unwrap();
            assert_eq!(track.place().offset, offset);
        }
        // Offset 2^33 as a heartbeat gives it, then the next event.
        track.follow(&event(HEARTBEAT_V2, 0, b"\x02\x09\xfe\0\0\0\0\x02\0\0\0\0", false)).unwrap();
        track.follow(&event(16, 31, b"", false)).unwrap();
        assert_eq!(track.place().offset, (1 << 33) + 31);
    }

    #[test]
    fn an_event_that_is_in_no_file_does_not_move_the_position() {
        let mut track = Track::new(false);
        track.follow(&event(31, 900, b"row", false)).unwrap();
        track.follow(&event(2, 0, b"made up", false)).unwrap();
        assert_eq!(track.place().offset, 900);
    }

    #[test]
    fn an_event_of_another_length_than_its_header_says_is_refused() {
        let whole = event(31, 900, b"row", false);
        let mut track = Track::new(false);
        for bad in [&whole[..whole.len() - 1], &[whole.as_slice(), &[0]].concat(), &whole[..5], &[]] {
            assert!(track.follow(bad).is_err(), "{} bytes", bad.len());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_followed_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            event_type in prop::sample::select(vec![ROTATE, FORMAT_DESCRIPTION, HEARTBEAT, HEARTBEAT_V2, 31]),
            checksums: bool,
        ) {
            let mut track = Track::new(checksums);
            let _ = track.follow(&bytes);
            let _ = track.follow(&event(event_type, 5, &bytes, checksums));
        }
    }
}
