//! The event that begins a transaction group.

use super::input::Input;
use super::{Event, EventError, EventKind};
use crate::gtid::NUMBER_END;
use crate::{Gtid, Source, Tag, Uuid};

/// What a `Gtid` or `Gtid_tagged` event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GtidEvent {
    /// The transaction's GTID.
    pub gtid: Gtid,
    /// When it committed on this server, microseconds since 1970. (The *original* time can be set by a client to any
    /// year and is not read.)
    pub immediate_commit_us: u64,
}

impl GtidEvent {
    /// Reads an event of kind `Gtid` or `GtidTagged`.
    pub fn decode(event: Event<'_>) -> Result<Self, EventError> {
        let decoded = match event.header.kind {
            EventKind::GtidTagged => Self::decode_tagged(event.body),
            _ => Self::decode_plain(event.body),
        }?;
        if !(1..NUMBER_END).contains(&decoded.gtid.number) {
            return Err(EventError::Malformed {
                event: event.header.kind.name(),
                what: "its number is out of range",
            });
        }
        Ok(decoded)
    }

    /// `Gtid_event` with fixed offsets: flags, UUID, number, 2, two logical times, commit time of seven bytes …
    fn decode_plain(body: &[u8]) -> Result<Self, EventError> {
        let mut input = Input::new(body, "Gtid");
        input.byte()?;
        let mut uuid = [0; 16];
        uuid.copy_from_slice(input.take(16)?);
        let number = input.uint(8)?;
        if input.byte()? != 2 {
            return Err(input.malformed("its logical times are missing (the server is older than 8.0)"));
        }
        input.take(16)?;
        // Bit 55 says that the original commit time differs and follows.
        let immediate_commit_us = input.uint(7)? & !(1 << 55);
        Ok(Self {
            gtid: Gtid { source: Source { uuid: Uuid(uuid), tag: Tag::default() }, number },
            immediate_commit_us,
        })
    }

    /// `Gtid_tagged`: a message of `mysql::serialization`, fields by number.
    fn decode_tagged(body: &[u8]) -> Result<Self, EventError> {
        let mut input = Input::new(body, "Gtid_tagged");
        // The version, 1, is a variable-length integer too.
        let version = input.varlen()?;
        if version != 1 {
            return Err(input.malformed("its serialization version is not known"));
        }
        let message_len = input.varlen()? as usize;
        let _last_field_needed = input.varlen()?;
        let consumed = body.len() - input.rest.len();
        let fields = message_len.checked_sub(consumed).ok_or(input.malformed("its length is too small"))?;
        let mut fields = Input::new(input.take(fields)?, "Gtid_tagged");
        let (mut uuid, mut number, mut tag, mut immediate_commit_us) = (None, None, None, None);
        while !fields.rest.is_empty() {
            match fields.varlen()? {
                1 => {
                    let mut bytes = [0; 16];
                    for byte in &mut bytes {
                        *byte = fields.varlen()? as u8;
                    }
                    uuid = Some(Uuid(bytes));
                }
                2 => number = u64::try_from(fields.varlen_signed()?).ok(),
                3 => {
                    let len = fields.varlen()? as usize;
                    let text = fields.text(len)?;
                    tag = Some(Tag::new(text).map_err(|_| fields.malformed("its tag is not valid"))?);
                }
                4 | 5 => {
                    fields.varlen_signed()?;
                }
                6 => immediate_commit_us = Some(fields.varlen()?),
                0 | 7..=11 => {
                    fields.varlen()?;
                }
                _ => return Err(fields.malformed("a field of it is not known")),
            }
        }
        match (uuid, number, immediate_commit_us) {
            (Some(uuid), Some(number), Some(immediate_commit_us)) => Ok(Self {
                gtid: Gtid { source: Source { uuid, tag: tag.unwrap_or_default() }, number },
                immediate_commit_us,
            }),
            _ => Err(fields.malformed("UUID, number or commit time is missing")),
        }
    }
}
