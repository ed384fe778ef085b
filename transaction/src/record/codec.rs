//! The parts of which record bodies are made, as bytes.

use super::{PositionBody, TransactionBody};
use crate::gtid::NUMBER_END;
use crate::stamp::STAMP_END;
use crate::suspended::{Suspended, SuspendedTable};
use crate::{Context, Gtid, Hlc, RegionName, RepairPlace, Sequence, Source, Tag, Uuid, WriteId};

/// What is said of a number or an HLC at [`STAMP_END`] or beyond.
pub(super) const STAMP_OUT_OF_RANGE: &str = "a number or an HLC is out of range";

pub(super) fn put_name(out: &mut Vec<u8>, name: &str) {
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_context(out: &mut Vec<u8>, context: &Context) {
    out.push(context.iter().count() as u8);
    for (origin, sequence) in context.iter() {
        put_name(out, origin.as_str());
        out.extend_from_slice(&sequence.0.to_le_bytes());
    }
}

/// Nothing at all if there are none: a flag of the record tells.
pub(super) fn put_suspended(out: &mut Vec<u8>, suspended: &Suspended) {
    if suspended.is_empty() {
        return;
    }
    out.extend_from_slice(&(suspended.iter().count() as u32).to_le_bytes());
    for SuspendedTable { schema, table, applied } in suspended.iter() {
        put_text(out, schema);
        put_text(out, table);
        put_context(out, applied);
    }
}

pub(super) fn put_gtid(out: &mut Vec<u8>, gtid: &Gtid) {
    out.extend_from_slice(&gtid.source.uuid.0);
    put_name(out, gtid.source.tag.as_str());
    out.extend_from_slice(&gtid.number.to_le_bytes());
}

pub(super) fn put_transaction(out: &mut Vec<u8>, t: &TransactionBody<'_>) {
    put_context(out, &t.context);
    put_suspended(out, &t.suspended);
    put_gtid(out, &t.gtid);
    out.extend_from_slice(&t.commit_us.to_le_bytes());
    out.extend_from_slice(&t.chunks.to_le_bytes());
    out.extend_from_slice(t.events);
}

/// What is left of a body.
pub(super) struct Input<'a> {
    pub(super) rest: &'a [u8],
    /// Whether contexts are followed by suspended tables.
    pub(super) suspends: bool,
}

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or("the body ends early")?;
        self.rest = rest;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or("the body ends early")?;
        self.rest = rest;
        Ok(*head)
    }
    pub(super) fn u32(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }
    pub(super) fn u64(&mut self) -> Result<u64, &'static str> {
        self.array().map(u64::from_le_bytes)
    }
    /// A number or an HLC.
    pub(super) fn stamp(&mut self) -> Result<u64, &'static str> {
        self.u64().and_then(|stamp| if stamp < STAMP_END { Ok(stamp) } else { Err(STAMP_OUT_OF_RANGE) })
    }
    fn name(&mut self) -> Result<&'a str, &'static str> {
        let [len] = self.array::<1>()?;
        std::str::from_utf8(self.take(len.into())?).map_err(|_| "a name is not UTF-8")
    }
    fn region(&mut self) -> Result<RegionName, &'static str> {
        RegionName::new(self.name()?).map_err(|_| "a region name is not valid")
    }
    pub(super) fn text(&mut self) -> Result<String, &'static str> {
        let len = self.u32()? as usize;
        String::from_utf8(self.take(len)?.to_vec()).map_err(|_| "a text is not UTF-8")
    }
    fn context(&mut self) -> Result<Context, &'static str> {
        let [count] = self.array::<1>()?;
        (0..count).map(|_| Ok((self.region()?, Sequence(self.stamp()?)))).collect()
    }
    fn suspended(&mut self) -> Result<Suspended, &'static str> {
        if !self.suspends {
            return Ok(Suspended::default());
        }
        let count = self.u32()?;
        let tables = (0..count).map(|_| {
            let (schema, table) = (self.text()?, self.text()?);
            Ok(SuspendedTable { schema, table, applied: self.context()? })
        });
        tables.collect()
    }
    pub(super) fn gtid(&mut self) -> Result<Gtid, &'static str> {
        let uuid = Uuid(self.array()?);
        let tag = Tag::new(self.name()?).map_err(|_| "a GTID tag is not valid")?;
        let number = self.u64()?;
        if number >= NUMBER_END {
            return Err("a GTID's number is out of range");
        }
        Ok(Gtid { source: Source { uuid, tag }, number })
    }
    pub(super) fn repair_places(&mut self) -> Result<Vec<RepairPlace>, &'static str> {
        let count = self.u32()?;
        (0..count)
            .map(|_| {
                let origin = self.region()?;
                let (hlc, sequence) = (Hlc(self.stamp()?), Sequence(self.stamp()?));
                let root = WriteId { hlc, origin, sequence, index: self.u32()? };
                let [level] = self.array()?;
                Ok(RepairPlace { root, level })
            })
            .collect()
    }
    pub(super) fn position(&mut self) -> Result<PositionBody, &'static str> {
        Ok(PositionBody {
            context: self.context()?,
            suspended: self.suspended()?,
            last_sequence: Sequence(self.stamp()?),
            wall_us: self.u64()?,
            executed: self.text()?,
            file: self.text()?,
            offset: self.u64()?,
        })
    }
    pub(super) fn transaction(&mut self) -> Result<TransactionBody<'a>, &'static str> {
        Ok(TransactionBody {
            context: self.context()?,
            suspended: self.suspended()?,
            gtid: self.gtid()?,
            commit_us: self.u64()?,
            chunks: self.u32()?,
            events: std::mem::take(&mut self.rest),
        })
    }
}
