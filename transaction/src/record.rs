//! One entry of the transaction log, as bytes and as a value. `log-store/FORMAT.md` is the promise; this is its code.

mod codec;

use codec::{
    Input, STAMP_OUT_OF_RANGE, put_context, put_gtid, put_name, put_suspended, put_text, put_transaction,
};
use xxhash_rust::xxh3::Xxh3;

use crate::stamp::{RepairPlace, STAMP_END};
use crate::suspended::Suspended;
use crate::{Context, Epoch, Gtid, Hlc, Incarnation, RecordNumber, Sequence, WriteId};

/// Length of the fixed part of a record, in bytes.
pub const HEADER_LEN: usize = 48;

/// Longest body of a record, in bytes: the largest packet MySQL can send, and room for the stamps.
pub const BODY_LEN_MAX: u32 = (1 << 30) + (1 << 20);

/// The events of the payload end with a CRC32 each, as the server sent them.
pub const FLAG_EVENT_CHECKSUMS: u8 = 1;

/// The body's context is followed by the tables that the origin had suspended.
pub const FLAG_SUSPENDED: u8 = 2;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// A committed transaction: stamps and, unless it is the end of a chain, all its events.
    Transaction = 1,
    /// A part of a large transaction; its end is a `Transaction` record that says how many chunks precede it.
    Chunk = 2,
    /// How far the origin has read its binlog: context, wall clock, executed GTID set. Carries no sequence number.
    Position = 3,
    /// Begins an incarnation and says where the previous one ended.
    Incarnation = 4,
    /// A write that Concord made to settle a unique-key or foreign-key conflict.
    Repair = 5,
    /// Kept for the rows of an XA PREPARE. Not written: what is prepared stays in the binlog until it commits.
    Prepare = 6,
}

impl RecordKind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Transaction,
            2 => Self::Chunk,
            3 => Self::Position,
            4 => Self::Incarnation,
            5 => Self::Repair,
            6 => Self::Prepare,
            _ => return None,
        })
    }
}

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Fewer bytes than the header or the header's length says.
    #[error("record is cut short: {have} of {need} bytes")]
    Short {
        /// Bytes given.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// The length field is beyond [`BODY_LEN_MAX`].
    #[error("record claims a body of {0} bytes, more than any record has")]
    TooLong(u32),
    /// The checksum does not match.
    #[error("record {number} fails its checksum")]
    Checksum {
        /// Record number as read, which may itself be damaged.
        number: u64,
    },
    /// A kind this version does not know.
    #[error(
        "record {number} is of unknown kind {kind}: written by a newer version of Concord; upgrade this one"
    )]
    UnknownKind {
        /// Record number.
        number: u64,
        /// Kind byte.
        kind: u8,
    },
    /// The checksum is right, the content is not.
    #[error("record {number} is malformed: {what}")]
    Malformed {
        /// Record number.
        number: u64,
        /// What could not be read.
        what: &'static str,
    },
}

/// The fixed part of a record; all integers little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// Length of the body, in bytes.
    pub body_len: u32,
    /// What the record is.
    pub kind: RecordKind,
    /// `FLAG_…` bits.
    pub flags: u8,
    /// XXH3-64 of the whole record without this field.
    pub checksum: u64,
    /// Dense number of the record in its log.
    pub number: RecordNumber,
    /// Number of the transaction; 0 for kinds without one.
    pub sequence: Sequence,
    /// Stamp.
    pub hlc: Hlc,
    /// Incarnation of the origin.
    pub incarnation: Incarnation,
    /// Epoch of the mesh.
    pub epoch: Epoch,
}

impl RecordHeader {
    /// Reads the fixed part. The checksum is *not* verified here, since it covers the body.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(RecordError::Short { have: bytes.len(), need: HEADER_LEN });
        };
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let number = u64_at(16);
        let body_len = u32_at(0);
        if body_len > BODY_LEN_MAX {
            return Err(RecordError::TooLong(body_len));
        }
        let kind =
            RecordKind::from_byte(bytes[4]).ok_or(RecordError::UnknownKind { number, kind: bytes[4] })?;
        let (sequence, hlc) = (u64_at(24), u64_at(32));
        if [number, sequence, hlc].iter().any(|stamp| *stamp >= STAMP_END) {
            return Err(RecordError::Malformed { number, what: STAMP_OUT_OF_RANGE });
        }
        Ok(Self {
            body_len,
            kind,
            flags: bytes[5],
            checksum: u64_at(8),
            number: RecordNumber(number),
            sequence: Sequence(sequence),
            hlc: Hlc(hlc),
            incarnation: Incarnation(u32_at(40)),
            epoch: Epoch(u32_at(44)),
        })
    }

    /// Length of the whole record, in bytes.
    pub fn record_len(&self) -> usize {
        HEADER_LEN + self.body_len as usize
    }
}

/// Verifies length and checksum of the record at the start of `bytes` and returns its header.
///
/// The bytes after the record are ignored, so this walks a batch of records. A kind that this version does not know is
/// reported as such only if the checksum is right.
pub fn verify(bytes: &[u8]) -> Result<RecordHeader, RecordError> {
    if bytes.len() < HEADER_LEN {
        return Err(RecordError::Short { have: bytes.len(), need: HEADER_LEN });
    }
    let body_len = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    if body_len > BODY_LEN_MAX {
        return Err(RecordError::TooLong(body_len));
    }
    let need = HEADER_LEN + body_len as usize;
    let Some(record) = bytes.get(..need) else {
        return Err(RecordError::Short { have: bytes.len(), need });
    };
    let word =
        |at: usize| record.get(at..at + 8).and_then(|w| w.try_into().ok()).map_or(0, u64::from_le_bytes);
    if checksum(record) != word(8) {
        return Err(RecordError::Checksum { number: word(16) });
    }
    RecordHeader::decode(record)
}

fn checksum(record: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&record[..8]);
    hash.update(&record[16..]);
    hash.digest()
}

/// Stamps that a record of any kind carries beside its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lineage {
    /// Incarnation of the origin.
    pub incarnation: Incarnation,
    /// Epoch of the mesh.
    pub epoch: Epoch,
}

/// A record, decoded; the payload is borrowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'a> {
    /// Dense number in its log.
    pub number: RecordNumber,
    /// Number of the transaction; 0 for kinds without one.
    pub sequence: Sequence,
    /// Stamp.
    pub hlc: Hlc,
    /// Incarnation and epoch.
    pub lineage: Lineage,
    /// Whether the payload's events end with a CRC32 each.
    pub event_checksums: bool,
    /// The rest, by kind.
    pub body: Body<'a>,
}

/// What a record carries, by kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Body<'a> {
    /// See [`RecordKind::Transaction`].
    Transaction(TransactionBody<'a>),
    /// See [`RecordKind::Chunk`].
    Chunk {
        /// Place in the chain, from 0.
        index: u32,
        /// Whole binlog events.
        events: &'a [u8],
    },
    /// See [`RecordKind::Position`].
    Position(PositionBody),
    /// See [`RecordKind::Incarnation`].
    Incarnation {
        /// Last record of the previous incarnation.
        previous_end: RecordNumber,
        /// Last transaction of the previous incarnation.
        previous_sequence: Sequence,
    },
    /// See [`RecordKind::Repair`].
    Repair {
        /// Where each row change of the payload stands in its row's fold order, one place per row change, in order.
        places: Vec<RepairPlace>,
        /// Stamps and events, as of a transaction.
        transaction: TransactionBody<'a>,
    },
    /// See [`RecordKind::Prepare`].
    Prepare {
        /// The XID as the server prints it.
        xid: String,
        /// GTID of the prepare.
        gtid: Gtid,
        /// Whole binlog events.
        events: &'a [u8],
    },
}

/// Stamps and events of a committed transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct TransactionBody<'a> {
    /// What was committed here before it.
    pub context: Context,
    /// Tables of which not all of that was applied.
    pub suspended: Suspended,
    /// Its GTID at the origin.
    pub gtid: Gtid,
    /// Immediate commit time at the origin, microseconds since 1970.
    pub commit_us: u64,
    /// How many `Chunk` records directly before this one hold its first events.
    pub chunks: u32,
    /// Whole binlog events, from the GTID event to the commit.
    pub events: &'a [u8],
}

/// How far the origin has read its binlog.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionBody {
    /// What is committed here, of other origins.
    pub context: Context,
    /// Tables of which not all of that was applied.
    pub suspended: Suspended,
    /// The last transaction of this origin.
    pub last_sequence: Sequence,
    /// Wall clock of the origin, microseconds since 1970.
    pub wall_us: u64,
    /// Executed GTID set of the binlog up to here, applied and skipped work included, in the server's text form.
    pub executed: String,
    /// Binlog file, for people.
    pub file: String,
    /// Offset in it, for people.
    pub offset: u64,
}

impl Record<'_> {
    /// The kind of the body.
    pub fn kind(&self) -> RecordKind {
        match self.body {
            Body::Transaction(_) => RecordKind::Transaction,
            Body::Chunk { .. } => RecordKind::Chunk,
            Body::Position(_) => RecordKind::Position,
            Body::Incarnation { .. } => RecordKind::Incarnation,
            Body::Repair { .. } => RecordKind::Repair,
            Body::Prepare { .. } => RecordKind::Prepare,
        }
    }

    /// The context, for kinds that carry one.
    pub fn context(&self) -> Option<&Context> {
        match &self.body {
            Body::Transaction(t) | Body::Repair { transaction: t, .. } => Some(&t.context),
            Body::Position(p) => Some(&p.context),
            Body::Chunk { .. } | Body::Incarnation { .. } | Body::Prepare { .. } => None,
        }
    }

    /// The tables that the origin had suspended, for kinds that carry a context.
    pub fn suspended(&self) -> Option<&Suspended> {
        match &self.body {
            Body::Transaction(t) | Body::Repair { transaction: t, .. } => Some(&t.suspended),
            Body::Position(p) => Some(&p.suspended),
            Body::Chunk { .. } | Body::Incarnation { .. } | Body::Prepare { .. } => None,
        }
    }

    /// What the origin claims to have applied of every table, for kinds that carry a context.
    pub fn claim(&self) -> Option<Context> {
        Some(self.suspended()?.claim(self.context()?))
    }

    /// Stamps and events, for kinds that commit rows.
    pub fn transaction(&self) -> Option<&TransactionBody<'_>> {
        match &self.body {
            Body::Transaction(t) | Body::Repair { transaction: t, .. } => Some(t),
            _ => None,
        }
    }

    /// Appends the record's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        match &self.body {
            Body::Transaction(t) => put_transaction(out, t),
            Body::Chunk { index, events } => {
                out.extend_from_slice(&index.to_le_bytes());
                out.extend_from_slice(events);
            }
            Body::Position(p) => {
                put_context(out, &p.context);
                put_suspended(out, &p.suspended);
                out.extend_from_slice(&p.last_sequence.0.to_le_bytes());
                out.extend_from_slice(&p.wall_us.to_le_bytes());
                put_text(out, &p.executed);
                put_text(out, &p.file);
                out.extend_from_slice(&p.offset.to_le_bytes());
            }
            Body::Incarnation { previous_end, previous_sequence } => {
                out.extend_from_slice(&previous_end.0.to_le_bytes());
                out.extend_from_slice(&previous_sequence.0.to_le_bytes());
            }
            Body::Repair { places, transaction } => {
                out.extend_from_slice(&(places.len() as u32).to_le_bytes());
                for RepairPlace { root, level } in places {
                    put_name(out, root.origin.as_str());
                    out.extend_from_slice(&root.hlc.0.to_le_bytes());
                    out.extend_from_slice(&root.sequence.0.to_le_bytes());
                    out.extend_from_slice(&root.index.to_le_bytes());
                    out.push(*level);
                }
                put_transaction(out, transaction);
            }
            Body::Prepare { xid, gtid, events } => {
                put_text(out, xid);
                put_gtid(out, gtid);
                out.extend_from_slice(events);
            }
        }
        let body_len = (out.len() - start - HEADER_LEN) as u32;
        assert!(body_len <= BODY_LEN_MAX, "a record body of {body_len} bytes");
        let record = &mut out[start..];
        record[0..4].copy_from_slice(&body_len.to_le_bytes());
        record[4] = self.kind() as u8;
        record[5] = if self.event_checksums { FLAG_EVENT_CHECKSUMS } else { 0 };
        if self.suspended().is_some_and(|suspended| !suspended.is_empty()) {
            record[5] |= FLAG_SUSPENDED;
        }
        record[16..24].copy_from_slice(&self.number.0.to_le_bytes());
        record[24..32].copy_from_slice(&self.sequence.0.to_le_bytes());
        record[32..40].copy_from_slice(&self.hlc.0.to_le_bytes());
        record[40..44].copy_from_slice(&self.lineage.incarnation.0.to_le_bytes());
        record[44..48].copy_from_slice(&self.lineage.epoch.0.to_le_bytes());
        let sum = checksum(record);
        record[8..16].copy_from_slice(&sum.to_le_bytes());
    }
}

impl<'a> Record<'a> {
    /// Decodes and verifies the record at the start of `bytes`; bytes after it are ignored.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let header = verify(bytes)?;
        let malformed = |what| RecordError::Malformed { number: header.number.0, what };
        let suspends = header.flags & FLAG_SUSPENDED != 0;
        let mut input = Input { rest: &bytes[HEADER_LEN..header.record_len()], suspends };
        let body = match header.kind {
            RecordKind::Transaction => Body::Transaction(input.transaction().map_err(malformed)?),
            RecordKind::Chunk => Body::Chunk { index: input.u32().map_err(malformed)?, events: input.rest },
            RecordKind::Position => Body::Position(input.position().map_err(malformed)?),
            RecordKind::Incarnation => Body::Incarnation {
                previous_end: RecordNumber(input.stamp().map_err(malformed)?),
                previous_sequence: Sequence(input.stamp().map_err(malformed)?),
            },
            RecordKind::Repair => {
                let places = input.repair_places().map_err(malformed)?;
                for (index, RepairPlace { root, level }) in (0..).zip(&places) {
                    // All but the origin, which a record does not say.
                    let own = WriteId { hlc: header.hlc, sequence: header.sequence, index, ..*root };
                    if *level == 0 && *root != own {
                        return Err(malformed("a place at level 0 is not that of the write itself"));
                    }
                }
                Body::Repair { places, transaction: input.transaction().map_err(malformed)? }
            }
            RecordKind::Prepare => Body::Prepare {
                xid: input.text().map_err(malformed)?,
                gtid: input.gtid().map_err(malformed)?,
                events: input.rest,
            },
        };
        Ok(Self {
            number: header.number,
            sequence: header.sequence,
            hlc: header.hlc,
            lineage: Lineage { incarnation: header.incarnation, epoch: header.epoch },
            event_checksums: header.flags & FLAG_EVENT_CHECKSUMS != 0,
            body,
        })
    }
}
