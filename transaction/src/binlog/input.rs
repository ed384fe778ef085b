//! A cursor over the bytes of one event.

use super::EventError;

/// Reads little-endian fields off the front of an event; every read checks the length.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) rest: &'a [u8],
    event: &'static str,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8], event: &'static str) -> Self {
        Self { rest: bytes, event }
    }

    pub(super) fn malformed(&self, what: &'static str) -> EventError {
        EventError::Malformed { event: self.event, what }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], EventError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.malformed("it ends early"))?;
        self.rest = rest;
        Ok(head)
    }

    /// An unsigned little-endian integer of 1 to 8 bytes.
    pub(super) fn uint(&mut self, len: usize) -> Result<u64, EventError> {
        Ok(self.take(len)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    pub(super) fn byte(&mut self) -> Result<u8, EventError> {
        Ok(self.take(1)?[0])
    }

    /// A length-encoded integer of the client protocol.
    pub(super) fn lenenc(&mut self) -> Result<u64, EventError> {
        match self.byte()? {
            0xfc => self.uint(2),
            0xfd => self.uint(3),
            0xfe => self.uint(8),
            small @ 0..=0xfa => Ok(small.into()),
            _ => Err(self.malformed("a length is not valid")),
        }
    }

    /// A length-encoded integer that must fit what is left.
    pub(super) fn lenenc_len(&mut self) -> Result<usize, EventError> {
        let len = self.lenenc()?;
        usize::try_from(len)
            .ok()
            .filter(|len| *len <= self.rest.len())
            .ok_or_else(|| self.malformed("a length is beyond its end"))
    }

    /// A variable-length integer of `mysql::serialization`: as many further bytes as the first has trailing ones.
    pub(super) fn varlen(&mut self) -> Result<u64, EventError> {
        let first = *self.rest.first().ok_or_else(|| self.malformed("it ends early"))?;
        let further = first.trailing_ones() as usize;
        if further == 8 {
            self.byte()?;
            return self.uint(8);
        }
        Ok(self.uint(further + 1)? >> (further + 1))
    }

    /// A signed variable-length integer: the sign in the lowest bit.
    pub(super) fn varlen_signed(&mut self) -> Result<i64, EventError> {
        let raw = self.varlen()?;
        let magnitude = (raw >> 1) as i64;
        Ok(if raw & 1 == 1 { -magnitude - 1 } else { magnitude })
    }

    pub(super) fn text(&mut self, len: usize) -> Result<&'a str, EventError> {
        std::str::from_utf8(self.take(len)?).map_err(|_| self.malformed("a name is not UTF-8"))
    }
}
