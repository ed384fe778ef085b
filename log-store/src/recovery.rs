//! What a crash left at the end of a log, and what may be done about it.
//!
//! This file decides; `log.rs` does. The rules are in FORMAT.md, section "Recovery".

use std::path::PathBuf;

use transaction::RecordNumber;
use transaction::record::{self, FLAG_EVENT_CHECKSUMS, HEADER_LEN, RecordError, RecordHeader};

use crate::Error;
use crate::disk::{self, DiskFile};
use crate::scan::{Place, Scan, Stop};
use crate::window::Window;

/// What was found at the end of a log when it was opened, and what was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// A torn tail, now cut off (in a log opened read-only: passed over).
    pub torn: Option<TornTail>,
    /// A chain of chunks without its end, dropped from the region's own log.
    pub chain: Option<DroppedChain>,
    /// A last record that may have been durable, yet is not intact. Nothing was dropped: the caller asks the peers, then
    /// calls [`crate::Log::replace_damaged_last`] or [`crate::Log::drop_damaged_last`]. Until then, appends are refused.
    pub damaged_last: Option<DamagedLast>,
}

impl Recovery {
    /// Whether the log was found whole.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// Bytes after the last whole record that were never acknowledged as durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment file.
    pub path: PathBuf,
    /// Where the last whole record ends, in bytes.
    pub offset: u64,
    /// How many bytes lay beyond.
    pub bytes: u64,
    /// Number of the record that was being written.
    pub number: RecordNumber,
    /// How it shows.
    pub cause: TornCause,
}

/// How a torn tail shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TornCause {
    /// The file ends inside a record.
    CutShort,
    /// The file was extended, its contents were not written: all zero.
    Zeros,
}

/// An unfinished chain of chunks that was dropped from the region's own log, which will read that transaction again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DroppedChain {
    /// Its first record: the number that the log goes on with.
    pub first: RecordNumber,
    /// How many records were dropped.
    pub records: u64,
    /// How many bytes they had.
    pub bytes: u64,
}

/// A last record that is long enough to have been durable, yet is not intact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedLast {
    /// The segment file.
    pub path: PathBuf,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How many bytes the file has from there on.
    pub bytes: u64,
    /// Its number, by its place.
    pub number: RecordNumber,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for Recovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if let Some(torn) = &self.torn {
            let how = if torn.cause == TornCause::Zeros { "zero-filled" } else { "cut short" };
            let (bytes, number) = (torn.bytes, torn.number);
            parts.push(format!("dropped a torn tail of {bytes} bytes ({how}) at record {number}"));
        }
        if let Some(DroppedChain { first, records, bytes }) = &self.chain {
            parts.push(format!(
                "dropped an unfinished chain of {records} chunks ({bytes} bytes) from record {first}"
            ));
        }
        if let Some(last) = &self.damaged_last {
            parts.push(format!("record {}, the last, is damaged: {}", last.number, last.reason));
        }
        if parts.is_empty() {
            parts.push("clean".into());
        }
        f.write_str(&parts.join("; "))
    }
}

/// The verdict on the end of the last segment.
pub(crate) enum Ending {
    Whole,
    Torn(TornTail),
    Damaged(DamagedLast),
}

/// Judges how the last segment ends; damage that is no ending is an error.
pub(crate) fn judge(place: &Place<'_>, scan: &Scan, size: u64) -> Result<Ending, Error> {
    let Some(stop) = &scan.stop else { return Ok(Ending::Whole) };
    let (offset, number) = (scan.index.summary.bytes, scan.index.summary.next());
    let broken = match stop {
        // Intact, but wrong here or too new for us: no crash does that.
        Stop::Misfit(_) | Stop::Broken(RecordError::UnknownKind { .. }) => {
            return Err(place.stopped(&scan.index, stop));
        }
        Stop::Broken(error) => error,
    };
    let io = |error| Error::io("read", place.path)(error);
    let tail = Tail { file: place.file, offset, size };
    let torn = |cause| {
        let path = place.path.to_owned();
        Ok(Ending::Torn(TornTail { path, offset, bytes: size - offset, number, cause }))
    };
    if tail.is_zero().map_err(io)? {
        return torn(TornCause::Zeros);
    }
    if let Some((later, at)) = tail.later_record(number).map_err(io)? {
        let reason = format!("{broken}, and the intact record {later} follows it at offset {at}");
        return Err(Error::Damaged(Box::new(place.damage(offset, number, reason))));
    }
    let mut head = [0; HEADER_LEN];
    if size - offset < HEADER_LEN as u64 {
        return torn(TornCause::CutShort);
    }
    disk::read_exact_at(place.file, &mut head, offset).map_err(io)?;
    let expected_header = RecordHeader::decode(&head).is_ok_and(|header| header.number == number);
    let cut_short = matches!(broken, RecordError::Short { .. }) && expected_header;
    if cut_short && !tail.is_whole_but_for_its_length().map_err(io)? {
        return torn(TornCause::CutShort);
    }
    let reason = match cut_short {
        true => "its length field is damaged".into(),
        false if expected_header => broken.to_string(),
        false => format!("its header is damaged ({broken})"),
    };
    let path = place.path.to_owned();
    Ok(Ending::Damaged(DamagedLast { path, offset, bytes: size - offset, number, reason }))
}

/// The deliberate mistake: a record that the file ends within counts as whole, since its header says how long it is.
#[cfg(feature = "canary")]
pub(crate) fn take_for_whole(place: &Place<'_>, mut scan: Scan) -> Scan {
    let mut head = [0; HEADER_LEN];
    if canary::makes(canary::Mistake::TornTailAccepted)
        && matches!(scan.stop, Some(Stop::Broken(RecordError::Short { need, .. })) if need > HEADER_LEN)
        && disk::read_exact_at(place.file, &mut head, scan.index.summary.bytes).is_ok()
        && let Ok(header) = RecordHeader::decode(&head)
    {
        scan.index.note(&header);
        scan.stop = None;
    }
    scan
}

/// The record number in what may be a record's header.
///
/// Row data is full of small integers, and to rule a record out by its checksum costs a pass over all that it claims to
/// be. So every field has to be one that a record could have.
fn plausible_number(head: &[u8]) -> Option<u64> {
    let u32_at = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let u64_at = |at: usize| head.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let (number, sequence) = (u64_at(16)?, u64_at(24)?);
    let (kind, flags, padding) = (head[4], head[5], &head[6..8]);
    // Every sequence number takes a record of its own, so it is never above the record number.
    let plausible = (1..32).contains(&kind)
        && flags & !FLAG_EVENT_CHECKSUMS == 0
        && padding == [0, 0]
        && sequence <= number
        && (1..1 << 20).contains(&u32_at(40)?)
        && (1..1 << 20).contains(&u32_at(44)?);
    plausible.then_some(number)
}

/// What lies beyond the last whole record.
pub(crate) struct Tail<'a> {
    pub(crate) file: &'a dyn DiskFile,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// How much of a tail is read at once.
const PIECE: u64 = 1 << 20;

impl Tail<'_> {
    fn is_zero(&self) -> std::io::Result<bool> {
        let mut window = Window::new(PIECE as usize);
        let mut at = self.offset;
        while at < self.size {
            let len = (self.size - at).min(PIECE) as usize;
            if window.bytes(self.file, at, len, self.size)?.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += len as u64;
        }
        Ok(true)
    }

    /// The first intact record, at any offset, that could come at or after record `number` in this log.
    pub(crate) fn later_record(&self, number: RecordNumber) -> std::io::Result<Option<(RecordNumber, u64)>> {
        let (mut window, mut candidate) = (Window::new(PIECE as usize), Window::new(PIECE as usize));
        let plausible = number.0..=number.0.saturating_add((self.size - self.offset) / HEADER_LEN as u64);
        let mut at = self.offset + 1;
        while at + HEADER_LEN as u64 <= self.size {
            let len = (self.size - at).min(PIECE + HEADER_LEN as u64 - 1) as usize;
            let piece = window.bytes(self.file, at, len, self.size)?;
            for (shift, head) in piece.windows(HEADER_LEN).enumerate() {
                let here = at + shift as u64;
                let Some(found) = plausible_number(head).filter(|found| plausible.contains(found)) else {
                    continue;
                };
                // A later version's kind of record counts as well: its checksum tells that it is one.
                match candidate.record(self.file, here, self.size)? {
                    Ok(_) | Err(RecordError::UnknownKind { .. }) => {
                        return Ok(Some((RecordNumber(found), here)));
                    }
                    Err(_) => {}
                }
            }
            at += (len - (HEADER_LEN - 1)) as u64;
        }
        Ok(None)
    }

    /// Whether the tail is exactly one intact record if its length field is disregarded.
    fn is_whole_but_for_its_length(&self) -> std::io::Result<bool> {
        let Ok(body_len) = u32::try_from(self.size - self.offset - HEADER_LEN as u64) else {
            return Ok(false);
        };
        let mut bytes = vec![0; HEADER_LEN + body_len as usize];
        disk::read_exact_at(self.file, &mut bytes, self.offset)?;
        bytes[..4].copy_from_slice(&body_len.to_le_bytes());
        Ok(record::verify(&bytes).is_ok())
    }
}
