//! The envelope of everything that travels: a fixed header, then a payload. Pure; `wire` does the reading and writing.

use transaction::record::{BODY_LEN_MAX, HEADER_LEN};
use xxhash_rust::xxh3::Xxh3;

/// Sent by each side before its first frame; no later version changes it.
pub(crate) const PREFACE: [u8; 8] = *b"CONCORD\n";

/// Length of a frame's header, in bytes.
pub(crate) const FRAME_HEADER_LEN: usize = 16;

/// Longest payload that carries records or parts of an answer: the longest record, and the head before it.
pub(crate) const BULK_MAX: u32 = HEADER_LEN as u32 + BODY_LEN_MAX + 64;

/// Longest payload of a frame that carries one control message.
const CONTROL_MAX: u32 = 64 << 10;

/// Longest payload of a hello, which carries the description of the mesh.
const HELLO_MAX: u32 = 256 << 10;

/// Longest payload of a question.
pub(crate) const ASK_MAX: u32 = 1 << 20;

/// What a frame is. The numbers are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    Hello = 1,
    Refuse = 2,
    Pull = 3,
    Ask = 4,
    Opened = 5,
    Batch = 6,
    Ack = 7,
    Beat = 8,
    Part = 9,
    End = 10,
}

impl FrameKind {
    /// Every kind there is.
    pub(crate) const ALL: [Self; 10] = {
        use FrameKind::*;
        [Hello, Refuse, Pull, Ask, Opened, Batch, Ack, Beat, Part, End]
    };

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Longest payload of this kind, in bytes.
    pub(crate) fn payload_max(self) -> u32 {
        match self {
            Self::Hello => HELLO_MAX,
            Self::Ask => ASK_MAX + 1024,
            Self::Batch | Self::Part => BULK_MAX,
            Self::Refuse | Self::Pull | Self::Opened | Self::Ack | Self::Beat | Self::End => CONTROL_MAX,
        }
    }
}

/// Why bytes are no frame, or not one that is allowed here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
    #[error("a {kind:?} frame where only {allowed:?} may come")]
    Unexpected { kind: FrameKind, allowed: Vec<FrameKind> },
    #[error("a {kind:?} frame of {len} bytes, more than the {max} that it may have")]
    TooLong { kind: FrameKind, len: u32, max: u32 },
    #[error("a {0:?} frame with reserved bits set")]
    Reserved(FrameKind),
    #[error("a {0:?} frame that fails its checksum")]
    Checksum(FrameKind),
    #[error("a {kind:?} frame that does not decode: {what}")]
    Content { kind: FrameKind, what: String },
}

/// The fixed part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    pub(crate) payload_len: u32,
    checksum: u64,
}

impl FrameHeader {
    /// Reads the header and judges it by what is allowed in the present state, before any payload is read.
    pub(crate) fn decode(bytes: &[u8; FRAME_HEADER_LEN], allowed: &[FrameKind]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, kind, r0, r1, r2, sum @ ..] = *bytes;
        let kind = FrameKind::from_byte(kind).ok_or(FrameError::UnknownKind(kind))?;
        if !allowed.contains(&kind) {
            return Err(FrameError::Unexpected { kind, allowed: allowed.to_vec() });
        }
        let payload_len = u32::from_le_bytes([l0, l1, l2, l3]);
        let max = kind.payload_max();
        if payload_len > max {
            return Err(FrameError::TooLong { kind, len: payload_len, max });
        }
        if [r0, r1, r2] != [0; 3] {
            return Err(FrameError::Reserved(kind));
        }
        Ok(Self { kind, payload_len, checksum: u64::from_le_bytes(sum) })
    }

    /// The header's bytes for a payload that is the concatenation of `pieces`.
    ///
    /// # Panics
    /// If the payload is longer than its kind allows.
    pub(crate) fn encode(kind: FrameKind, pieces: &[&[u8]]) -> [u8; FRAME_HEADER_LEN] {
        let len: usize = pieces.iter().map(|piece| piece.len()).sum();
        assert!(len <= kind.payload_max() as usize, "a {kind:?} frame of {len} bytes");
        let mut bytes = [0; FRAME_HEADER_LEN];
        bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
        bytes[4] = kind as u8;
        let sum = checksum(&bytes[..8], pieces);
        bytes[8..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Whether `payload` is the one that this header was made for.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        let mut first = [0; 8];
        first[..4].copy_from_slice(&self.payload_len.to_le_bytes());
        first[4] = self.kind as u8;
        payload.len() == self.payload_len as usize && checksum(&first, &[payload]) == self.checksum
    }
}

fn checksum(first: &[u8], pieces: &[&[u8]]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(first);
    for piece in pieces {
        hash.update(piece);
    }
    hash.digest()
}

/// A whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The control message that the payload holds.
    pub(crate) fn message<M: prost::Message + Default>(&self) -> Result<M, FrameError> {
        M::decode(self.payload.as_slice())
            .map_err(|e| FrameError::Content { kind: self.kind, what: e.to_string() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [FrameKind; 10] = FrameKind::ALL;

    #[test]
    fn a_header_beyond_its_kinds_limit_is_refused_unread() {
        for kind in ALL {
            let mut bytes = FrameHeader::encode(kind, &[b"x"]);
            assert!(FrameHeader::decode(&bytes, &ALL).unwrap().matches(b"x"));
            bytes[..4].copy_from_slice(&(kind.payload_max() + 1).to_le_bytes());
            assert!(matches!(FrameHeader::decode(&bytes, &ALL), Err(FrameError::TooLong { .. })), "{kind:?}");
        }
    }

    #[test]
    fn a_frame_lies_byte_for_byte_as_the_protocol_says() {
        let header = FrameHeader::encode(FrameKind::Ack, &[&[0x08, 0x05], &[0x10, 0x07]]);
        assert_eq!(header[..8], [4, 0, 0, 0, 7, 0, 0, 0]);
        let covered = [4, 0, 0, 0, 7, 0, 0, 0, 0x08, 0x05, 0x10, 0x07];
        assert_eq!(header[8..], xxhash_rust::xxh3::xxh3_64(&covered).to_le_bytes());
        let frame = Frame { kind: FrameKind::Ack, payload: covered[8..].to_vec() };
        assert_eq!(frame.message(), Ok(crate::message::Ack { credit: 5, durable: 7 }));
        assert_eq!(PREFACE, [0x43, 0x4f, 0x4e, 0x43, 0x4f, 0x52, 0x44, 0x0a]);
    }

    #[test]
    fn a_kind_that_may_not_come_now_is_refused_by_name() {
        let bytes = FrameHeader::encode(FrameKind::Batch, &[b"x"]);
        let error = FrameHeader::decode(&bytes, &[FrameKind::Hello]).unwrap_err();
        assert_eq!(error.to_string(), "a Batch frame where only [Hello] may come");
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_any_flipped_bit_is_seen(
            garbage: [u8; FRAME_HEADER_LEN],
            payload in proptest::collection::vec(any::<u8>(), 0..100),
            bit in 0_usize..(FRAME_HEADER_LEN + 100) * 8,
        ) {
            if let Ok(header) = FrameHeader::decode(&garbage, &ALL) {
                prop_assert!(header.payload_len <= header.kind.payload_max());
                header.matches(&payload);
            }
            let mut whole = FrameHeader::encode(FrameKind::Part, &[&payload]).to_vec();
            whole.extend_from_slice(&payload);
            prop_assume!(bit / 8 < whole.len());
            whole[bit / 8] ^= 1 << (bit % 8);
            let (header, payload) = whole.split_first_chunk().unwrap();
            let seen = FrameHeader::decode(header, &ALL).map(|header| header.matches(payload));
            prop_assert_ne!(seen, Ok(true));
        }

        #[test]
        fn a_control_message_of_garbage_is_an_error_or_a_value(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let frame = Frame { kind: FrameKind::Hello, payload };
            let _ = frame.message::<crate::message::Hello>();
            let _ = frame.message::<crate::message::Beat>();
            let _ = frame.message::<crate::message::Ask>();
        }
    }
}
